package workerchannel

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// These tests go through every state that a coordinator and a worker can be in together, breadth-first,
// and make every call and every delivery in each: with up to two jobs, queues of bounded length, and
// workers that die and are replaced without end. Both halves are the real ones; what connects them is a
// world. What goes wrong is printed as the shortest sequence of steps that leads to it.

var (
	exploreJobs  = flag.Int("explore.jobs", 2, "with -explore.queue: how many jobs there are at a time, 1 or 2")
	exploreQueue = flag.Int("explore.queue", 0, "explore with queues of so many messages; 0 for what is done in seconds")
)

func TestEveryStateOverAnOrderedLosslessNetwork(t *testing.T) {
	explore(t, false)
}

func TestEveryStateOverANetworkThatLosesRepeatsAndReorders(t *testing.T) {
	explore(t, true)
}

// explore looks at all worlds with few jobs and much on its way, and with more jobs and less.
func explore(t *testing.T, hostile bool) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	bounds := []struct{ jobs, room int }{{1, 2}, {2, 1}}
	if *exploreQueue > 0 {
		bounds = bounds[:1]
		bounds[0].jobs, bounds[0].room = *exploreJobs, *exploreQueue
	}
	for _, b := range bounds {
		t.Run(fmt.Sprintf("jobs=%d,queue=%d", b.jobs, b.room), func(t *testing.T) {
			e := &exploration{room: b.room, index: map[string]int32{}, seed: maphash.MakeSeed()}
			e.run(t, newWorld(hostile, b.jobs))
		})
	}
}

// A world is the state of both halves and of all that is on its way between them.
//
// An honest network delivers each message once and in order. A hostile one delivers any message at any
// time, again and again, or never. Its queues hold only the messages that may still be accepted; what the
// others come to does not depend on how they got there, and outcasts has them all.
type world struct {
	hostile          bool
	jobs             int // how many there are at a time; their ids count from 1
	c                *Coordinator
	w                *Worker // the latest instance, which may not have announced itself yet, or be closed
	born             int     // how many instances there have been
	toWorker, toHost []letter

	// By job: what the coordinator's and what the worker's goes back to.
	spawned, taken [3]origin
}

// A letter is a message on its way. A worker's carries what the job that it is about goes back to.
type letter struct {
	Envelope
	about origin
}

// An origin is the SpawnJob that a job goes back to: whom it was for, and its sequence number.
type origin struct {
	worker string
	seq    uint64
}

func newWorld(hostile bool, jobs int) *world {
	x := &world{hostile: hostile, jobs: jobs, c: NewCoordinator(1)}
	x.replaceWorker()
	return x
}

func (x *world) clone() *world {
	y := *x
	w := *x.w
	w.out.queue = slices.Clone(w.out.queue)
	w.jobs = maps.Clone(x.w.jobs)
	for id, j := range w.jobs {
		twin := *j
		w.jobs[id] = &twin
	}
	y.c, y.w = clone(x.c), &w
	y.toWorker, y.toHost = slices.Clone(x.toWorker), slices.Clone(x.toHost)
	return &y
}

// A step is one call, delivery or accident: a row of the table for one job or one letter, or for neither.
type step struct {
	row, n uint8
}

// rows are the things that can happen. The first ones are what becomes of the jobs when the host stops
// asking and everybody does his part, in this order.
var rows = [...]struct {
	name string
	over scope
	do   func(x *world, n uint64) error
}{
	workerReceives: {"the worker receives", toWorker, (*world).deliverToWorker},
	hostReceives:   {"the host receives", toHost, (*world).deliverToHost},
	{"the host sends", once, (*world).send},
	{"the worker announces itself", once, func(x *world, _ uint64) error { return x.w.Announce() }},
	{"the worker stops as it was asked to", once, (*world).obey},
	{"the worker acknowledges the cancel of", eachJob, func(x *world, id uint64) error { return x.w.AcknowledgeCancel(id) }},
	{"the worker has drained", eachJob, func(x *world, id uint64) error { return x.w.CompleteDrain(id) }},
	{"the worker has finalized", eachJob, func(x *world, id uint64) error { return x.w.CompleteFinalize(id) }},
	workerCompletes: {"the worker completes", eachJob, func(x *world, id uint64) error { return x.w.Complete(id, OutcomeOk{}) }},

	{"the worker starts", eachJob, func(x *world, id uint64) error { return x.w.Start(id) }},
	{"the worker reports on", eachJob, func(x *world, id uint64) error { return x.w.Report(id, "") }},
	{"the worker sends a diagnostic", once, func(x *world, _ uint64) error { return x.w.Diagnose(Diagnostic{}) }},
	{"the worker fails", once, func(x *world, _ uint64) error { return x.w.Fail("") }},
	{"the worker stops", once, func(x *world, _ uint64) error { return x.w.CompleteShutdown() }},
	{"the worker dies, and another is started", once, func(x *world, _ uint64) error { x.replaceWorker(); return nil }},

	hostSpawns: {"the host spawns", eachJob, (*world).spawn},
	{"the host cancels", eachJob, func(x *world, id uint64) error { return x.c.CancelJob(id, "") }},
	{"the host polls", eachJob, func(x *world, id uint64) error { return x.c.PollStatus(id) }},
	hostRemoves: {"the host removes", eachJob, func(x *world, id uint64) error { _, err := x.c.RemoveJob(id); return err }},
	hostReaps:   {"the host reaps", once, func(x *world, _ uint64) error { x.c.Reap(); return nil }},
	{"the host requests shutdown", once, func(x *world, _ uint64) error { return x.c.RequestShutdown("") }},
	{"the host learns that the worker is lost", once, func(x *world, _ uint64) error { x.c.WorkerLost(); return nil }},

	{"the network loses", toWorker, func(x *world, n uint64) error { return x.drop(&x.toWorker, n) }},
	{"the network loses", toHost, func(x *world, n uint64) error { return x.drop(&x.toHost, n) }},
}

// The rows that are spoken of elsewhere.
const (
	workerReceives  = 0
	hostReceives    = 1
	workerCompletes = 8
	hostSpawns      = 15
	hostRemoves     = 18
	hostReaps       = 19
	hostStops       = 20
)

// A scope tells for what a row is done, one by one.
type scope uint8

const (
	once scope = iota
	eachJob
	toWorker
	toHost
)

func (x *world) count(over scope) int {
	switch {
	case over == once:
		return 1
	case over == eachJob:
		return x.jobs
	case x.hostile:
		return len(x.queue(over))
	}
	return min(1, len(x.queue(over)))
}

func (x *world) queue(over scope) []letter {
	if over == toWorker {
		return x.toWorker
	}
	return x.toHost
}

var errNotNow = errors.New("nothing to do")

func (x *world) spawn(id uint64) error {
	if err := x.c.SpawnJob(SpawnJob{JobID: id}); err != nil {
		return err
	}
	j, _ := x.c.Job(id)
	x.spawned[id] = origin{x.c.worker, j.LastSeqNo}
	return nil
}

func (x *world) obey(uint64) error {
	if !x.w.ShutdownRequested() {
		return errNotNow
	}
	return x.w.CompleteShutdown()
}

// send puts the coordinator's next message on the way to the worker whose session it is. While there is
// none that can only be the one that is being started.
func (x *world) send(uint64) error {
	env, ok := x.c.DrainOutbox()
	if !ok {
		return errNotNow
	}
	if to, ok := x.c.ActiveWorker(); !ok || to == x.w.ID() {
		x.toWorker = append(x.toWorker, letter{Envelope: env})
	}
	return nil
}

func (x *world) deliverToWorker(n uint64) error {
	env := x.toWorker[n-1].Envelope
	if !x.hostile {
		x.toWorker = slices.Delete(x.toWorker, 0, 1)
	}
	err := x.w.HandleInbound(&env)
	if op, ok := env.Op.(SpawnJob); ok && err == nil {
		x.taken[op.JobID] = origin{x.w.ID(), env.SeqNo}
	}
	return err
}

func (x *world) deliverToHost(n uint64) error {
	env := x.toHost[n-1].Envelope
	if !x.hostile {
		x.toHost = slices.Delete(x.toHost, 0, 1)
	}
	return x.c.HandleInbound(&env)
}

func (x *world) drop(queue *[]letter, n uint64) error {
	if !x.hostile {
		return errNotNow
	}
	*queue = slices.Delete(*queue, int(n)-1, int(n))
	return nil
}

// replaceWorker starts a new instance. The channel to the old one goes with it; what that had sent is
// still on its way.
func (x *world) replaceWorker() {
	x.born++
	x.w = NewWorker(fmt.Sprint("w", x.born), 1)
	x.toWorker = nil
}

// settle moves what the worker sends to its queue, and takes what can have no effect any more out of the
// world: outcasts tries all of it in every state.
func (x *world) settle() {
	for env := range x.w.Outbox() {
		x.toHost = append(x.toHost, letter{env, x.taken[fieldsOf(env.Op).jobID]})
	}
	if x.retired(x.w.ID()) { // it may go on, but there is no way back
		x.w.phase = workerClosed
		clear(x.w.jobs)
	}
	x.toHost = slices.DeleteFunc(x.toHost, func(l letter) bool { return x.retired(*l.WorkerID) })
	if x.w.Closed() {
		x.toWorker = nil
	}
	if !x.hostile {
		return
	}
	x.toWorker = slices.DeleteFunc(x.toWorker, func(l letter) bool { return l.SeqNo <= x.w.lastSeen })
	begun := "" // whose bootstrap is on its way
	x.toHost = slices.DeleteFunc(x.toHost, func(l letter) bool {
		switch {
		case x.c.active && *l.WorkerID == x.c.worker:
			return l.SeqNo <= x.c.lastSeen
		case l.Op.Type().bootstrap():
			begun = *l.WorkerID
		}
		return begun != *l.WorkerID
	})
}

func (x *world) retired(worker string) bool { return slices.Contains(x.c.retired, worker) }

// key tells worlds apart, but for what makes no difference to anything that can still happen:
//
//   - Job ids are only ever compared, so that exchanging them everywhere changes nothing: the lesser of
//     both ways to write a world stands for it.
//   - So are worker ids. What counts is who is active, who is running, and who has ended; and those who
//     ended are gone from the world, but for the memory of them.
//   - A sequence number is only ever compared with the high-water mark of its reader. All that are yet to
//     come are greater than any there is, and a queue has its own in order, so that for each message it
//     is enough whether it is fresh. A mark without a session is never read again.
//   - Of an origin it matters whether it is that of the job that the coordinator has in flight now.
//   - Message ids, decision numbers, seeds and turns are carried and not looked at.
//
// That is an argument; explore also puts it to the test.
func (x *world) key() string {
	key := string(x.write(nil, [3]byte{0, 1, 2}))
	if x.jobs == 2 {
		key = min(key, string(x.write(nil, [3]byte{0, 2, 1})))
	}
	return key
}

// write writes a world with its jobs in an order, which is its own inverse.
func (x *world) write(b []byte, order [3]byte) []byte {
	active, running := x.c.worker, x.w.id
	b = append(b, byte(x.w.phase),
		flags(x.c.ready, x.c.shutdown, x.c.active, x.c.active && active == running, x.w.shutdown && !x.w.Closed()))
	for _, id := range order[1 : 1+x.jobs] {
		s, tracked := x.c.JobState(uint64(id))
		b = append(b, byte(s), flags(tracked))
		if j, ok := x.w.jobs[uint64(id)]; ok {
			b = append(b, byte(j.State), flags(true, j.answered, x.current(uint64(id), x.taken[id])))
		} else {
			b = append(b, 0, 0)
		}
	}
	op := func(op Op, seen bool, about origin) {
		f := fieldsOf(op)
		b = append(b, byte(f.typ), order[f.jobID], byte(f.state), flags(seen, x.current(f.jobID, about)))
	}
	b = append(b, 0xff)
	for _, m := range x.c.out.queue[x.c.out.head:] {
		op(m.Op, false, origin{active, m.SeqNo})
	}
	b = append(b, 0xff)
	for _, l := range x.toWorker {
		op(l.Op, l.SeqNo <= x.w.lastSeen, origin{running, l.SeqNo})
	}
	b = append(b, 0xff)
	last, other := "", byte(0)
	for _, l := range x.toHost {
		from := *l.WorkerID
		if from != last {
			last, other = from, other+1
		}
		op(l.Op, x.c.active && from == active && l.SeqNo <= x.c.lastSeen, l.about)
		switch from {
		case active:
			b = append(b, 'a')
		case running:
			b = append(b, 'r')
		default:
			b = append(b, other)
		}
	}
	return b
}

// current tells whether an origin is that of the job in flight.
func (x *world) current(id uint64, o origin) bool {
	s, ok := x.c.JobState(id)
	return ok && !s.Terminal() && x.spawned[id] == o
}

func flags(set ...bool) (b byte) {
	for i, f := range set {
		if f {
			b |= 1 << i
		}
	}
	return b
}

// refusal tells whether an error says that a message was refused, rather than that it counts as received
// but did not fit.
func refusal(err error) bool {
	return errors.Is(err, ErrInboundSequenceNotFresh) || errors.Is(err, ErrWorkerSessionMismatch) ||
		errors.Is(err, ErrRetiredWorker) || errors.Is(err, ErrUnexpectedDirection)
}

// successors is the table of section 6 once more, so that the other is not its own judge.
var successors = map[JobState][]JobState{
	StateQueued:          {StateRunning, StateCancelRequested, StateCompleted, StateFailed},
	StateRunning:         {StateCancelRequested, StateCompleted, StateFailed},
	StateCancelRequested: {StateDraining, StateCompleted, StateFailed},
	StateDraining:        {StateFinalizing, StateFailed},
	StateFinalizing:      {StateCompleted, StateFailed},
}

// judge tells which promise the step from x to y breaks, if one.
func judge(x, y *world, s step, err error) string {
	received := letter{}
	if s.row == hostReceives {
		received = x.toHost[s.n-1]
	}
	if s.row <= hostReceives && err != nil && !errors.Is(err, ErrBootstrapFailed) {
		if !x.hostile {
			return "over an ordered lossless network no side refuses the other: " + err.Error()
		}
		c, w := *y.c, *y.w
		c.lastSeen, w.lastSeen = x.c.lastSeen, x.w.lastSeen
		if !reflect.DeepEqual(&c, x.c) || !reflect.DeepEqual(&w, x.w) {
			return "a message that does not fit changes nothing but the high-water mark: " + err.Error()
		}
	}
	newSession := y.c.active && y.c.worker != x.c.worker
	ended := x.c.active && (newSession || !y.c.active)
	if newSession && y.c.lastSeen != received.SeqNo {
		return "the high-water mark of a session begins with its bootstrap"
	}
	if ended && (y.c.InflightCount() != 0 || y.c.OutboxLen() != 0) {
		return "the end of a session ends all jobs and empties the outbox"
	}
	switch {
	case s.row == hostStops && y.c.OutboxLen() != 1:
		return "a request for shutdown drops what has not been sent, and is sent alone"
	case x.c.shutdown && y.c.shutdown && y.c.OutboxLen() > x.c.OutboxLen():
		return "a worker that has been asked to stop is asked for nothing more"
	}
	for id := uint64(1); id <= uint64(x.jobs); id++ {
		before, was := x.c.JobState(id)
		after, is := y.c.JobState(id)
		switch {
		case !was && !is, was && is && before == after:
		case !was:
			if s.row != hostSpawns || after != StateQueued {
				return "a job begins by being spawned, as queued"
			}
		case !is:
			if s.row != hostRemoves && s.row != hostReaps || !before.Terminal() {
				return "a job is forgotten by the host's leave, when it has ended"
			}
		case !slices.Contains(successors[before], after):
			return fmt.Sprintf("job states follow the table: from %v to %v", before, after)
		case after == StateFailed:
			if !ended {
				return "a job fails with its session only"
			}
		case after == StateCompleted:
			if err := completed(x, id, before, received); err != "" {
				return err
			}
		}
	}
	return ""
}

// completed tells which promise is broken by completing a job on a letter.
func completed(x *world, id uint64, before JobState, l letter) string {
	switch op := l.Op.(type) {
	case JobCompleted:
		if op.JobID != id || before == StateDraining || before == StateFinalizing {
			return "an outcome completes its own job, before it drains"
		}
	case FinalizeCompleted:
		if op.JobID != id || before != StateFinalizing {
			return "the end of the cancel handshake completes its own job, and nothing is left out"
		}
	default:
		return "only an outcome or the end of the cancel handshake completes a job"
	}
	if l.about != x.spawned[id] || *l.WorkerID != l.about.worker {
		return "no job is completed by a message that was not its own session's and its own"
	}
	return ""
}

// judgeState tells which promise a world breaks by itself, if one.
func judgeState(x *world, room int) string {
	inflight := 0
	for id := uint64(1); id <= uint64(x.jobs); id++ {
		if s, ok := x.c.JobState(id); ok && !s.Terminal() {
			inflight++
			if !x.c.active || x.spawned[id].worker != x.c.worker {
				return "a job in flight is one of the present session"
			}
		}
	}
	_, active := x.c.ActiveWorker()
	switch {
	case x.c.InflightCount() != inflight:
		return "the count of jobs in flight agrees with the jobs"
	case x.c.WorkerReady() && !active:
		return "a ready worker is the active one"
	case active && x.retired(x.c.worker):
		return "a session that has ended does not come back"
	case len(x.c.retired) > x.born:
		return "a worker that has ended is remembered once"
	case x.c.OutboxLen() > room+x.jobs:
		return "beyond what the host asked for, one message a job waits to be sent"
	case len(x.toWorker)+len(x.toHost)+x.c.OutboxLen() == 0 && active && x.c.worker == x.w.id && !x.hostile && !x.c.shutdown:
		if d := disagreement(x); d != "" {
			return d
		}
	}
	return lose(clone(x.c), inflight)
}

// disagreement tells about which job the two sides differ, in a session in which nothing is on its way.
func disagreement(x *world) string {
	for id := uint64(1); id <= uint64(x.jobs); id++ {
		host, ok := x.c.JobState(id)
		j, taken := x.w.jobs[id]
		if ok && !host.Terminal() != taken || taken && (j.State != host || j.answered) {
			return fmt.Sprint("with nothing on its way, the two sides agree about job ", id)
		}
	}
	return ""
}

// lose loses the worker of a coordinator with so many jobs in flight, and tells which promise that breaks.
func lose(c *Coordinator, inflight int) string {
	const promise = "worker lost ends everything, and the next worker starts afresh: "
	for _, j := range c.Reap() {
		if !j.State.Terminal() {
			return "only jobs that have ended are reaped"
		}
	}
	c.WorkerLost()
	failed := c.Reap()
	for _, j := range failed {
		if j.State != StateFailed {
			return fmt.Sprint(promise, "job ", j.JobID, " is ", j.State)
		}
	}
	if len(failed) != inflight || len(collect(c.Jobs())) != 0 {
		return promise + "not all jobs have failed that were in flight"
	}
	if c.InflightCount() != 0 || c.OutboxLen() != 0 || c.WorkerReady() || c.ShutdownRequested() {
		return promise + "something of the session is left"
	}
	w := NewWorker("next", 1)
	if err := w.Announce(); err != nil {
		return promise + err.Error()
	}
	hello, _ := w.DrainOutbox()
	if err := c.HandleInbound(&hello); err != nil {
		return promise + err.Error()
	}
	if err := c.SpawnJob(SpawnJob{JobID: 1}); err != nil {
		return promise + err.Error()
	}
	job, _ := c.DrainOutbox()
	if c.OutboxLen() != 0 || w.HandleInbound(&job) != nil || w.InflightCount() != 1 {
		return promise + "the first job does not arrive alone"
	}
	return ""
}

// outcasts are the messages that must come to nothing in a world, for each side: all that its present
// session has left behind, those of the ended session, those of a worker that has not announced itself, and
// a side's own.
func outcasts(x *world) (toHost, toWorker [][]letter) {
	toHost = [][]letter{everything("", math.MaxUint64), everything("stranger", 0), everything("stranger", math.MaxUint64)[bootstraps:]}
	if n := len(x.c.retired); n > 0 {
		toHost = append(toHost, everything(x.c.retired[n-1], math.MaxUint64))
	}
	if x.c.active {
		toHost = append(toHost, everything(x.c.worker, 0), everything(x.c.worker, x.c.lastSeen))
	}
	toWorker = [][]letter{everything(x.w.id, math.MaxUint64), everything("", 0), everything("", x.w.lastSeen)}
	if x.w.Closed() {
		toWorker = append(toWorker, everything("", math.MaxUint64))
	}
	return toHost, toWorker
}

// bootstraps is how many of a worker's messages in everything are bootstraps. They come first.
const bootstraps = 2

var everythingOf = map[origin][]letter{}

// everything returns all that a worker, or without a name the coordinator, could say under a number.
func everything(sender string, seq uint64) (all []letter) {
	if all, ok := everythingOf[origin{sender, seq}]; ok {
		return all
	}
	say := func(ops ...Op) {
		for _, op := range ops {
			switch {
			case op.Type().Sender() == SenderCoordinator && sender == "":
				all = append(all, letter{Envelope: NewEnvelope(Header{SeqNo: seq}, op)})
			case op.Type().Sender() == SenderWorker && sender != "":
				all = append(all, letter{Envelope: NewWorkerEnvelope(sender, Header{SeqNo: seq}, op)})
			}
		}
	}
	say(BootstrapReady{sender}, BootstrapFailed{WorkerID: sender}, ShutdownWorker{}, ShutdownCompleted{}, Diagnostic{})
	for id := uint64(1); id <= 2; id++ {
		say(SpawnJob{JobID: id}, PollStatus{id}, CancelJob{JobID: id}, DrainJob{id}, FinalizeJob{id})
		say(JobCompleted{id, OutcomeOk{}}, CancelAcknowledged{id}, DrainCompleted{id}, FinalizeCompleted{id})
		say(StatusSnapshot{JobID: id, State: StateQueued}, StatusSnapshot{JobID: id, State: StateRunning})
	}
	everythingOf[origin{sender, seq}] = all
	return all
}

// judgeAnything tells which promise is broken if the active worker says anything at all next, right or wrong.
func judgeAnything(x *world) string {
	if !x.c.active {
		return ""
	}
	before := *x
	before.hostile = true
	says := step{hostReceives, 1}
	for _, l := range everything(x.c.worker, math.MaxUint64) {
		l.about = x.spawned[fieldsOf(l.Op).jobID] // it may well be about the right job
		before.toHost = []letter{l}
		after := before
		after.c = clone(x.c)
		if broken := judge(&before, &after, says, says.do(&after)); broken != "" {
			return says.in(&before) + "\n" + broken
		}
	}
	return ""
}

// judgeRefusals tells which promise a refusal breaks in a world, if one.
func judgeRefusals(x *world, refused []step) string {
	if tryRefusals(x, refused, false) == "" {
		return ""
	}
	return tryRefusals(x, refused, true)
}

// tryRefusals makes all the steps that were refused in a world, and hands out its outcasts, to one copy.
// It looks at what that did in the end or, which is slow, after each.
func tryRefusals(x *world, refused []step, each bool) string {
	const promise = "no refusal changes anything: "
	y := x.clone()
	changed := func() bool { return !reflect.DeepEqual(x.c, y.c) || !reflect.DeepEqual(x.w, y.w) }
	for _, s := range refused {
		if s.do(y); each && changed() {
			return promise + s.in(x)
		}
	}
	toHost, toWorker := outcasts(x)
	for _, l := range slices.Concat(toHost...) {
		if err := y.c.HandleVerified(Verified{l.Envelope}); !refusal(err) || each && changed() {
			return fmt.Sprint(promise, "the host receives ", l, ": ", err)
		}
	}
	for _, l := range slices.Concat(toWorker...) {
		if err := y.w.HandleVerified(Verified{l.Envelope}); !refusal(err) && !x.w.Closed() || each && changed() {
			return fmt.Sprint(promise, "the worker receives ", l, ": ", err)
		}
	}
	if changed() {
		return promise + "one of all these in a row"
	}
	return ""
}

func (s step) do(x *world) error { return rows[s.row].do(x, uint64(s.n)) }

// An exploration is the graph of the worlds found so far.
type exploration struct {
	room  int // in each queue
	first *world
	index map[string]int32
	nodes []node
	twins []twin
	seed  maphash.Seed
}

type node struct {
	world  *world // until it has been looked at
	parent int32
	by     step
	next   int32  // the world that this becomes when the host stops asking and everybody does his part
	ended  bool   // no job is in flight
	all    uint64 // a digest of all that comes of it
}

// A twin is a world that was left out because one with the same key had been found.
type twin struct {
	world *world
	of    int32
}

const twinsEvery = 199

// run looks at all worlds that come of one.
func (e *exploration) run(t *testing.T, first *world) {
	e.first = first.clone()
	e.add(first, -1, step{})
	steps := 0
	for i := int32(0); int(i) < len(e.nodes); i++ {
		x := e.nodes[i].world
		if broken := cmp.Or(judgeState(x, e.room), judgeAnything(x)); broken != "" {
			t.Fatal(e.transcript(i) + broken)
		}
		next := int32(-1)
		all, broken := e.expand(x, func(s step, y *world, key string) {
			steps++
			to, known := e.index[key]
			switch {
			case !known:
				to = e.add(y, i, s)
			case steps%twinsEvery == 0:
				e.twins = append(e.twins, twin{y, to})
			}
			if next < 0 && s.row <= workerCompletes && to != i {
				next = to
			}
		})
		if broken != "" {
			t.Fatal(e.transcript(i) + broken)
		}
		n := &e.nodes[i]
		n.world, n.next, n.all, n.ended = nil, next, all, x.c.InflightCount() == 0
	}
	for _, twin := range e.twins {
		if all, broken := e.expand(twin.world, func(step, *world, string) {}); all != e.nodes[twin.of].all || broken != "" {
			t.Fatalf("%sworlds with one key have one future, but not %v and this: %s", e.transcript(twin.of), twin.world, broken)
		}
	}
	if !first.hostile {
		e.checkEnds(t)
	}
	t.Logf("%d states, %d steps between them, %d pairs of equivalent states compared, queues of %d", len(e.nodes), steps, len(e.twins), e.room)
}

func (e *exploration) add(x *world, parent int32, by step) int32 {
	i := int32(len(e.nodes))
	e.nodes = append(e.nodes, node{world: x, parent: parent, by: by})
	e.index[x.key()] = i
	return i
}

// expand makes every step in a world and answers with a digest of what comes of each, and with the promise
// that one of them breaks.
func (e *exploration) expand(x *world, visit func(s step, y *world, key string)) (all uint64, broken string) {
	var refused []step
	y := x.clone()
	for r := range rows {
		for n := 1; n <= x.count(rows[r].over); n++ {
			s := step{uint8(r), uint8(n)}
			err := s.do(y)
			if received := s.row <= hostReceives; err != nil && !received || x.hostile && refusal(err) {
				refused = append(refused, s)
				continue // with y, which is still x: judgeRefusals makes sure
			}
			if broken := judge(x, y, s, err); broken != "" {
				return 0, s.in(x) + "\n" + broken
			}
			y.settle()
			if e.fits(x, y, s) {
				key := y.key()
				visit(s, y, key)
				all += maphash.String(e.seed, fmt.Sprint(errors.Unwrap(err))+key)
			}
			y = x.clone()
		}
	}
	return all, judgeRefusals(x, refused)
}

// fits tells whether the queues had room for what a step from x to y put into them. Only the coordinator
// takes what arrives in any case: two sides that wait for room with each other would never get on.
func (e *exploration) fits(x, y *world, s step) bool {
	return len(y.toWorker) <= e.room && len(y.toHost) <= e.room &&
		(y.c.OutboxLen() <= max(e.room, x.c.OutboxLen()) || s.row == hostReceives)
}

// checkEnds follows every world to what becomes of it once the host stops asking.
func (e *exploration) checkEnds(t *testing.T) {
	good := make([]bool, len(e.nodes))
	for i := range e.nodes {
		var path []int32
		at := int32(i)
		for steps := 0; !good[at]; steps++ {
			path = append(path, at)
			n := e.nodes[at]
			if n.next < 0 && n.ended {
				break
			}
			if n.next < 0 || steps > len(e.nodes) {
				t.Fatal(e.transcript(int32(i)) + "once the host stops asking and the worker does its part, every job ends")
			}
			at = n.next
		}
		for _, p := range path {
			good[p] = true
		}
	}
}

// transcript tells how a world came about.
func (e *exploration) transcript(i int32) string {
	var path []step
	for ; e.nodes[i].parent >= 0; i = e.nodes[i].parent {
		path = append(path, e.nodes[i].by)
	}
	slices.Reverse(path)
	x := e.first.clone()
	b := new(strings.Builder)
	fmt.Fprintf(b, "the shortest way to break a promise:\n    %v\n", x)
	for k, s := range path {
		fmt.Fprintf(b, "%2d. %s\n", k+1, s.in(x))
		s.do(x)
		x.settle()
		fmt.Fprintf(b, "    %v\n", x)
	}
	return b.String()
}

// in tells what a step is in a world.
func (s step) in(x *world) string {
	switch row := rows[s.row]; row.over {
	case once:
		return row.name
	case eachJob:
		return fmt.Sprint(row.name, " job ", s.n)
	default:
		return fmt.Sprint(row.name, " ", x.queue(row.over)[s.n-1])
	}
}

func (l letter) String() string {
	f := fieldsOf(l.Op)
	s := f.typ.String()
	if f.jobID != 0 {
		s += fmt.Sprint(" of job ", f.jobID)
	}
	if f.typ == OpStatusSnapshot {
		s += fmt.Sprint(" ", f.state)
	}
	if l.WorkerID != nil {
		s += " from " + *l.WorkerID
	}
	return s + fmt.Sprint(" (", l.SeqNo, ")")
}

func (x *world) String() string {
	s := "host:"
	if id, ok := x.c.ActiveWorker(); ok {
		s += " " + id
	}
	if x.c.WorkerReady() {
		s += " ready"
	}
	if x.c.ShutdownRequested() {
		s += ", shutdown requested"
	}
	for j := range x.c.Jobs() {
		s += fmt.Sprint(", job ", j.JobID, " ", j.State)
	}
	for _, m := range x.c.out.queue[x.c.out.head:] {
		s += fmt.Sprint(", has ", letter{Envelope: Envelope{Header: m.Header, Op: m.Op}}, " to send")
	}
	s += "; under way:"
	for _, l := range slices.Concat(x.toWorker, x.toHost) {
		s += fmt.Sprint(" ", l)
	}
	s += "; " + x.w.id + ":" + []string{" starting", " ready", " closed"}[x.w.phase]
	for j := range x.w.Jobs() {
		s += fmt.Sprint(", job ", j.JobID, " ", j.State)
		if x.w.jobs[j.JobID].answered {
			s += " answered"
		}
	}
	return s
}
