package workerchannel

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
)

// judgeCall looks at whether a call is refused when it has to be, and not otherwise.
func judgeCall(x *world, m move, err error) string {
	want := hostRefusalOf(x, m)
	if m.kind < hostSpawns {
		want = workerRefusalOf(x, m)
	}
	if want == nil && err != nil || !errors.Is(err, want) {
		return fmt.Sprintf("calls are refused for the reasons in the table: %v, expected %v", err, want)
	}
	return ""
}

// unless returns err unless ok.
func unless(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}

// hostRefusalOf returns what a call of the host is to be refused with (PROTOCOL section 7, "Calls of the host").
func hostRefusalOf(x *world, m move) error {
	id := uint64(m.n)
	j, tracked := x.c.Job(id)
	open := unless(!x.c.ShutdownRequested(), ErrShutdownInProgress)
	known := unless(tracked, ErrUnknownJobID)
	goesOn := j.State == StateQueued || j.State == StateRunning
	switch m.kind {
	case hostSpawns:
		job, region := x.jobAndRegion(id)
		r, _ := x.c.Region(region)
		_, tracked = x.c.Job(job)
		return cmp.Or(unless(x.c.WorkerReady(), ErrWorkerNotReady), open, unless(!x.c.Closing(), ErrShutdownInProgress),
			unless(!r.Closed, ErrRegionClosed), unless(!tracked, ErrDuplicateJobID))
	case hostCancels:
		return cmp.Or(open, known, unless(goesOn, ErrInvalidTransition))
	case hostPolls:
		return cmp.Or(open, known, unless(goesOn, ErrJobNotPollable))
	case hostCancelsRegion, hostClosesRegion:
		_, exists := x.c.Region(id)
		return cmp.Or(open, unless(exists, ErrUnknownRegionID))
	case hostRemoves:
		return cmp.Or(known, unless(j.State.Terminal(), ErrJobNotTerminal))
	case hostStops:
		return open
	case hostCloses:
		return cmp.Or(open, unless(!x.c.Closing(), ErrShutdownInProgress))
	}
	return nil
}

// workerRefusalOf returns what a call of the worker's application is to be refused with (PROTOCOL section 10).
func workerRefusalOf(x *world, m move) error {
	j, tracked := x.w.jobs.m[uint64(m.n)]
	known := unless(tracked, ErrUnknownJobID)
	state := StateCreated
	if tracked {
		state = j.state
	}
	closed := unless(!x.w.Closed(), ErrWorkerClosed)
	ready := cmp.Or(closed, unless(x.w.Ready(), ErrWorkerNotReady))
	from := func(err error, states ...JobState) error {
		return cmp.Or(ready, known, unless(slices.Contains(states, state), err))
	}
	switch m.kind {
	case workerAnnounces:
		return cmp.Or(closed, unless(!x.w.Ready(), ErrAlreadyAnnounced))
	case workerFails:
		return closed
	case workerObeys, workerStops, workerDiagnoses:
		return ready
	case workerStarts:
		return from(ErrInvalidTransition, StateQueued)
	case workerReports:
		return from(ErrInvalidStatusSnapshotState, StateQueued, StateRunning)
	case workerCompletes:
		return from(ErrUnexpectedCompletionPhase, StateQueued, StateRunning, StateCancelRequested)
	case workerAcknowledges:
		return from(ErrInvalidTransition, StateCancelRequested)
	case workerDrains:
		return from(ErrInvalidTransition, StateDraining)
	case workerFinalizes:
		return from(ErrInvalidTransition, StateFinalizing)
	}
	return nil
}

// The messages that must come to nothing in a world.

// everything returns all that a worker, or without a name the coordinator, could say under a number.
func everything(sender string, seqNo uint64) (all []onItsWay) {
	if all, ok := everythingOf[origin{sender, seqNo}]; ok {
		return all
	}
	say := func(ops ...Op) {
		for _, op := range ops {
			switch {
			case op.Type().Sender() == SenderCoordinator && sender == "":
				all = append(all, onItsWay{Envelope: NewEnvelope(Header{SeqNo: seqNo}, op)})
			case op.Type().Sender() == SenderWorker && sender != "":
				all = append(all, onItsWay{Envelope: NewWorkerEnvelope(sender, Header{SeqNo: seqNo}, op)})
			}
		}
	}
	say(BootstrapReady{sender}, BootstrapFailed{WorkerID: sender}, ShutdownWorker{}, ShutdownCompleted{}, Diagnostic{})
	for id := uint64(1); id <= 2; id++ {
		say(SpawnJob{JobID: id}, PollStatus{id}, CancelJob{JobID: id}, DrainJob{id}, FinalizeJob{id})
		say(JobCompleted{id, OutcomeErr{Message: outcomeMessage}}, CancelAcknowledged{id}, DrainCompleted{id}, FinalizeCompleted{id})
		for _, state := range []JobState{StateQueued, StateRunning, StateDraining, StateCompleted} {
			say(StatusSnapshot{JobID: id, State: state})
		}
	}
	everythingOf[origin{sender, seqNo}] = all
	return all
}

var everythingOf = map[origin][]onItsWay{}

// bootstraps is how many of a worker's messages in everything are bootstraps. They come first.
const bootstraps = 2

// judgeOutcasts gives the coordinator its own messages, what its present session has left behind, what comes
// from the ended session and from a worker that has not announced itself.
func judgeOutcasts(x *world) string {
	outcasts := [][]onItsWay{everything("", math.MaxUint64), everything("stranger", 0), everything("stranger", math.MaxUint64)[bootstraps:]}
	if n := len(x.c.retired.order); n > 0 {
		outcasts = append(outcasts, everything(x.c.retired.order[n-1].beginning, math.MaxUint64))
	}
	if x.c.session != nil {
		outcasts = append(outcasts, everything(x.c.worker, 0), everything(x.c.worker, x.c.lastSeen))
	}
	c := clone(x.c)
	return tryOutcasts(outcasts, "the host", c.HandleVerified, isRefusal, func() bool { return !reflect.DeepEqual(c, x.c) })
}

// judgeWorkerOutcasts gives the worker its own messages and what it has seen already; if it is closed, anything.
func judgeWorkerOutcasts(x *world) string {
	outcasts := [][]onItsWay{everything(x.w.id, math.MaxUint64), everything("", 0), everything("", x.w.lastSeen)}
	if x.w.Closed() {
		outcasts = append(outcasts, everything("", math.MaxUint64))
	}
	w := cloneWorker(x.w)
	expected := func(err error) bool { return isRefusal(err) || x.w.Closed() }
	return tryOutcasts(outcasts, "the worker", w.HandleVerified, expected, func() bool { return !reflect.DeepEqual(w, x.w) })
}

func tryOutcasts(outcasts [][]onItsWay, side string, receive func(Verified) error, expected func(error) bool, changed func() bool) string {
	for _, all := range outcasts {
		for _, l := range all {
			if err := receive(Verified{l.Envelope}); !expected(err) {
				return fmt.Sprint(refusalsChangeNothing, side, " receives ", l, ": ", err)
			}
		}
	}
	if changed() {
		return fmt.Sprint(refusalsChangeNothing, side, " receives what is not for it now")
	}
	return ""
}

const refusalsChangeNothing = "no refusal changes anything: "

// judgeRefusals makes all the moves that were refused in a world to one copy of it. It looks at what that did in
// the end or, which is slow, after each.
func judgeRefusals(x *world, refused []move) string {
	if len(refused) == 0 {
		return ""
	}
	if unchanged(x, refused, false) == "" {
		return ""
	}
	return unchanged(x, refused, true)
}

func unchanged(x *world, refused []move, each bool) string {
	y := x.clone()
	changed := func() bool { return !reflect.DeepEqual(x.c, y.c) || !reflect.DeepEqual(x.w, y.w) }
	for _, m := range refused {
		if m.do(y); each && changed() {
			return refusalsChangeNothing + m.in(x)
		}
	}
	if !each && changed() {
		return refusalsChangeNothing + "one of all these in a row"
	}
	return ""
}

// The requests under a limit, as someone sees them who watches the messages that the host takes from the outbox
// and the messages that it accepts. The coordinator's clocks have to agree with that in every state.

// asked is a request that the worker has to answer.
type asked struct {
	op          OpType // 0 for the bootstrap of an expected worker
	jobID       uint64
	seqNo, turn uint64 // of the message, and when it was taken
}

var phaseOfRequest = map[OpType]JobState{
	OpCancelJob:   StateCancelRequested,
	OpDrainJob:    StateDraining,
	OpFinalizeJob: StateFinalizing,
}

// noteRequest notes a message that the host has just taken from the outbox.
func (x *world) noteRequest(env *Envelope) {
	if x.limits == (Limits{}) {
		return
	}
	f := flatten(env.Op)
	switch f.typ {
	case OpPollStatus:
		if s, tracked := x.c.JobState(f.jobID); !tracked || s.Terminal() || x.spawned[f.jobID].seqNo > env.SeqNo {
			return // the job that it was about has ended
		}
		if slices.ContainsFunc(x.asked, func(a asked) bool { return a.op == OpPollStatus }) {
			return // what answers that one answers this one too
		}
	case OpCancelJob, OpDrainJob, OpFinalizeJob, OpShutdownWorker:
	default:
		return
	}
	x.asked = append(x.asked, asked{f.typ, f.jobID, env.SeqNo, x.c.Turn()})
}

// expect says that the host has started a worker. A host that does not accuse the innocent says so before it has
// received the bootstrap.
func (x *world) expect(uint64) error {
	if x.worker == prompt && (x.w.Closed() || x.c.worker == x.w.ID()) {
		return errNotNow
	}
	x.c.ExpectWorker()
	x.asked = slices.DeleteFunc(x.asked, func(a asked) bool { return a.op == 0 })
	x.asked = slices.Insert(x.asked, 0, asked{turn: x.c.Turn()})
	return nil
}

// settleRequests forgets the requests that a move has settled. Before it, active was the active worker; in it, the
// host accepted a message of sender, if it is not "".
func (x *world) settleRequests(m move, active, sender string) {
	x.asked = slices.DeleteFunc(x.asked, func(a asked) bool {
		switch a.op {
		case 0:
			return sender != "" && sender != active || m.kind == hostLoses && active == ""
		case OpShutdownWorker:
			return !x.c.ShutdownRequested()
		case OpPollStatus:
			return sender != "" || x.c.worker != active || x.c.ShutdownRequested()
		}
		s, _ := x.c.JobState(a.jobID)
		return s != phaseOfRequest[a.op] || x.c.ShutdownRequested()
	})
}

// passTurn advances the host's turn. The host has stopped a late worker before, so no turn passes while a request
// is overdue, and no request gets older than its limit. If the worker is prompt, everything that has been
// taken from the outbox has been answered by then.
func (x *world) passTurn(uint64) error {
	if _, late := x.c.Overdue(); late || x.worker == prompt && !x.answered() {
		return errNotNow
	}
	for id := range x.spent {
		s, _ := x.c.JobState(uint64(id))
		if isCancelling(s) && slices.ContainsFunc(x.asked, func(a asked) bool {
			return a.op == OpShutdownWorker || a.jobID == uint64(id) && a.op != OpPollStatus && a.op != 0
		}) {
			x.spent[id]++
		}
	}
	x.c.AdvanceTurn()
	return nil
}

// isCancelling reports whether a job in state s has been cancelled and has not ended.
func isCancelling(s JobState) bool {
	return s == StateCancelRequested || s == StateDraining || s == StateFinalizing
}

// answered reports whether nothing is on its way and the worker has nothing to answer.
func (x *world) answered() bool {
	if len(x.toWorker)+len(x.toHost) > 0 || x.w.phase == phaseStarting || x.w.Ready() && x.w.ShutdownRequested() {
		return false
	}
	for _, j := range x.w.jobs.m {
		if isCancelling(j.state) {
			return false
		}
	}
	return true
}

// limitFor returns the limit of a request, from the table of section 7.
func limitFor(l *Limits, op OpType) uint64 {
	switch op {
	case OpShutdownWorker:
		return l.Shutdown
	case OpPollStatus:
		return l.Poll
	case OpCancelJob:
		return l.Cancel
	case OpDrainJob:
		return l.Drain
	case OpFinalizeJob:
		return l.Finalize
	}
	return l.Boot
}

// judgeClocks returns the promise about limits that a world breaks, if any.
func judgeClocks(x *world) string {
	due := Overdue{}
	found, seqNo := false, uint64(0)
	for _, a := range x.asked {
		deadline := a.turn + limitFor(&x.limits, a.op)
		if !found || deadline < due.Deadline || deadline == due.Deadline && a.seqNo < seqNo {
			due, found, seqNo = Overdue{a.op, a.jobID, a.turn, deadline}, true, a.seqNo
		}
	}
	overdue := found && x.c.Turn() >= due.Deadline
	next, some := x.c.NextDeadline()
	first, late := x.c.Overdue()
	switch {
	case some != found || next != due.Deadline:
		return "the next deadline is that of the requests that have been taken and not been answered"
	case late != overdue || late && first != due:
		return "the request that was due first is overdue, and no other"
	case x.worker == prompt && late:
		return "a worker that answers every message in the turn in which it gets it is never overdue"
	}
	if x.limits == (Limits{}) {
		return ""
	}
	for id, spent := range x.spent {
		most := x.limits.Cancel + x.limits.Drain + x.limits.Finalize
		if x.c.ShutdownRequested() {
			most += x.limits.Shutdown
		}
		if s, _ := x.c.JobState(uint64(id)); isCancelling(s) && spent > most {
			return "a job that is cancelled ends within the sum of its limits, or the host is told"
		}
	}
	return judgeSilence(x)
}

// judgeSilence lets a worker do nothing at all any more. The host takes all its messages, lets turns pass, and
// reports the worker lost when it is late.
func judgeSilence(x *world) string {
	c := clone(x.c)
	stopping := c.ShutdownRequested()
	limit := uint64(0)
	var cancelled []uint64
	for j := range c.Jobs() {
		if isCancelling(j.State) {
			cancelled = append(cancelled, j.JobID)
			limit = max(limit, map[JobState]uint64{
				StateCancelRequested: x.limits.Cancel, StateDraining: x.limits.Drain, StateFinalizing: x.limits.Finalize,
			}[j.State])
		}
	}
	if stopping { // which stops the other clocks
		limit = x.limits.Shutdown
	}
	for range c.Outbox() {
	}
	late := false
	for range limit + 1 {
		if _, late = c.Overdue(); late {
			c.WorkerLost()
			break
		}
		c.AdvanceTurn()
	}
	if !late && (stopping || len(cancelled) > 0) || stopping && (c.ShutdownRequested() || c.session != nil) {
		return "a session that is stopping and a job that is cancelled end within the limit, though the worker does nothing"
	}
	for _, id := range cancelled {
		if j, _ := c.Job(id); j.State != StateFailed || j.Cause != CauseWorkerLost {
			return "a job that is cancelled ends within the limit, though the worker does nothing"
		}
	}
	return ""
}
