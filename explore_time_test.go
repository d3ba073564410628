package workerchannel

import "slices"

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
