// Package workerchannel is the protocol core of a host that hands jobs to a worker behind a message
// channel: a Web Worker, a child process, a remote peer. It does no I/O, reads no clock and starts no
// goroutine. A Coordinator is the host's half and a Worker the other; the program between them moves
// bytes over whatever transport it has.
//
// Every job ends in exactly one terminal state, however the worker ends; a cancel is a handshake of
// request, drain and finalize rather than a kill; a message of another session is refused; and the
// same calls give the same bytes, so that a session can be replayed.
//
// Comments cite the sections of the protocol's specification: 1 the envelope, 2 operations, 3 the wire
// format, 4 the replay digest, 5 validation, 6 job states, 7 the coordinator, 8 errors, 10 the worker.
//
// # The duties of the caller, in order
//
//  1. Own the Coordinator in one goroutine. It is not safe for concurrent use. Verify is, and may
//     run elsewhere; its result goes to HandleVerified.
//  2. Give every message that arrives, whole and in the order in which the worker sent it, to Receive. Bound
//     the size of a message before you read it: payloads have a limit, other texts have none, and the ids
//     of the latest 1,024 workers are kept.
//  3. When the transport sees the worker die, hand over what has still arrived from it, then call
//     WorkerLost. Give a successor a channel of its own: messages to a worker name none, so one that was
//     meant for its predecessor would be obeyed.
//  4. After each of these and after calls of your own, send what Outbox yields, in that order.
//  5. Then Reap, and settle the jobs that have ended: nobody waits for them any longer.
//
// # When a message is refused
//
// Log the error of Receive. ErrWorkerSessionMismatch and ErrRetiredWorker are a message of another session,
// and harmless. ErrBootstrapFailed says that there is no worker any more. Over a transport that keeps order
// and loses nothing, any other error means that the worker is broken, and that a job may be waiting for
// what was refused: stop it and call WorkerLost.
//
// The protocol authenticates nobody: whoever can write to the channel can be the worker.
package workerchannel

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// A Coordinator is the host's half of the protocol (PROTOCOL section 7). It belongs to one event loop
// and is not safe for concurrent use. NewCoordinator makes one; the zero Coordinator is one with
// seed 0.
//
// A refused call changes nothing and sends nothing.
type Coordinator struct {
	out outbox

	worker   string // the active worker's id, if active
	active   bool
	ready    bool
	shutdown bool     // requested
	lastSeen uint64   // the highest inbound sequence number accepted in this session
	retired  []string // the latest workers whose sessions ended, oldest first

	jobs     map[uint64]*job
	peak     int     // the most jobs that the map has held
	live     jobList // the jobs in flight
	inflight int     // how many there are
	ended    jobList // those in a terminal state

	// sessionEnd is the last sequence number of the session before. A job that reached no terminal
	// state itself and about which nothing was sent since has failed with its session, which is how
	// all jobs of a session fail at once.
	sessionEnd uint64
}

// retiredMost is how many ended workers are remembered.
const retiredMost = 1024

// An Option changes how NewCoordinator makes a Coordinator.
type Option func(*Coordinator)

// WithFirstDecisionSeq makes n the decision sequence number of the first message, in place of 1. Any number
// will do; 0 follows 2^64−1; no reader checks its order.
func WithFirstDecisionSeq(n uint64) Option {
	return func(c *Coordinator) { c.out.last.DecisionSeq = n - 1 }
}

// NewCoordinator returns a coordinator whose messages carry the seed.
func NewCoordinator(seed uint64, opts ...Option) *Coordinator {
	c := &Coordinator{out: newOutbox(seed)}
	for _, opt := range opts {
		if opt != nil {
			opt(c)
		}
	}
	return c
}

// SpawnJob hands a job to the worker: it is tracked as StateQueued until Reap or RemoveJob forgets it.
// Any id will do, 0 included. The payload is not copied, and must not be changed until its envelope has been
// drained and written; nil is the empty payload.
//
// It is refused with, in this order, ErrWorkerNotReady, ErrShutdownInProgress, ErrPayloadTooLarge,
// and ErrDuplicateJobID for any tracked job, also one that has ended.
func (c *Coordinator) SpawnJob(spawn SpawnJob) error {
	if !c.ready {
		return ErrWorkerNotReady
	}
	if c.shutdown {
		return ErrShutdownInProgress
	}
	if err := checkPayload(spawn.Payload); err != nil {
		return err
	}
	if _, tracked := c.jobs[spawn.JobID]; tracked {
		return &JobError{Kind: ErrDuplicateJobID, JobID: spawn.JobID}
	}
	seq := c.out.send(spawn)
	c.track(&job{TrackedJob: TrackedJob{spawn.JobID, spawn.RegionID, StateQueued, seq}})
	return nil
}

// CancelJob asks the worker to cancel a job, which becomes StateCancelRequested. The rest of the
// handshake takes care of itself; the job may still complete if its outcome is on its way.
//
// It is refused with, in this order, ErrInvalidValue for a reason that is not well-formed UTF-8,
// ErrShutdownInProgress, ErrUnknownJobID, and ErrInvalidTransition unless the job is queued or running.
func (c *Coordinator) CancelJob(jobID uint64, reason string) error {
	if err := checkText("reason", reason); err != nil {
		return err
	}
	if c.shutdown {
		return ErrShutdownInProgress
	}
	j, err := c.find(jobID)
	if err != nil {
		return err
	}
	return c.request(j, StateCancelRequested, CancelJob{jobID, reason})
}

// PollStatus asks the worker for a status snapshot of a job. It is refused with, in this order,
// ErrShutdownInProgress, ErrUnknownJobID, and ErrJobNotInFlight for a job that has ended.
func (c *Coordinator) PollStatus(jobID uint64) error {
	if c.shutdown {
		return ErrShutdownInProgress
	}
	j, err := c.find(jobID)
	if err != nil {
		return err
	}
	if state := c.state(j); state.Terminal() {
		return &JobError{ErrJobNotInFlight, jobID, state}
	}
	j.LastSeqNo = c.out.send(PollStatus{jobID})
	return nil
}

// RequestShutdown asks the worker to stop. All that is still in the outbox is dropped, and no job can
// be spawned, cancelled or polled until a worker announces itself again. Jobs in flight may still
// complete; the rest fails when the worker is done. A worker that never answers is for WorkerLost.
// It works without a ready worker.
//
// It is refused with, in this order, ErrInvalidValue for a reason that is not well-formed UTF-8, and
// ErrShutdownInProgress.
func (c *Coordinator) RequestShutdown(reason string) error {
	if err := checkText("reason", reason); err != nil {
		return err
	}
	if c.shutdown {
		return ErrShutdownInProgress
	}
	c.shutdown = true
	c.out.clear()
	c.out.send(ShutdownWorker{reason})
	return nil
}

// WorkerLost ends the session because the transport saw the worker die: every job in flight becomes
// StateFailed, the outbox is emptied, and a later message of that worker is refused. Calling it again,
// or without a worker, does no harm; but a late notice of a worker that has been replaced would end the
// session of its successor. It takes constant time; Reap then pays for the jobs.
func (c *Coordinator) WorkerLost() { c.endSession() }

// RemoveJob forgets a job that has ended, and answers its last state. The id may be used again.
// It is refused with, in this order, ErrUnknownJobID and ErrJobNotTerminal.
func (c *Coordinator) RemoveJob(jobID uint64) (JobState, error) {
	j, err := c.find(jobID)
	if err != nil {
		return 0, err
	}
	state := c.state(j)
	if !state.Terminal() {
		return 0, &JobError{ErrJobNotTerminal, jobID, state}
	}
	c.ended.remove(j)
	c.forget(j)
	return state, nil
}

// Reap forgets every job that has ended, and returns them by ascending id, each with its last state.
// Their ids may be used again. Its time goes by the number of jobs that have ended, not of those tracked.
func (c *Coordinator) Reap() []TrackedJob {
	var reaped []TrackedJob
	for j := c.ended.first; j != nil; j = j.next {
		reaped = append(reaped, c.current(j))
		c.forget(j)
	}
	c.ended = jobList{}
	slices.SortFunc(reaped, func(a, b TrackedJob) int { return cmp.Compare(a.JobID, b.JobID) })
	return reaped
}

// AdvanceTurn begins the host's next turn; messages carry the turn in which they were made. 0 follows 2^64−1.
func (c *Coordinator) AdvanceTurn() { c.out.last.IssuedAtTurn++ }

// HandleInbound validates a message of the worker and applies it (section 7, Inbound). The envelope
// remains the caller's.
//
// An error is either the refusal of a message, by Validate or with ErrUnexpectedDirection,
// ErrInboundSequenceNotFresh, ErrWorkerSessionMismatch or ErrRetiredWorker, after which nothing has
// changed; or the answer to a message that counts as received but did not fit the job it is about:
// ErrUnknownJobID, ErrInvalidTransition, ErrTerminalStatusSnapshot, ErrInvalidStatusSnapshotState,
// ErrUnexpectedCompletionPhase; or the news that the worker gave up, ErrBootstrapFailed.
func (c *Coordinator) HandleInbound(env *Envelope) error {
	if err := env.Validate(); err != nil {
		return err
	}
	return c.apply(env)
}

// HandleVerified is HandleInbound for an envelope that Verify has found valid, perhaps on another
// goroutine. Its time does not depend on the payload. The zero Verified is an ErrInvalidValue.
func (c *Coordinator) HandleVerified(v Verified) error {
	if err := v.check(); err != nil {
		return err
	}
	return c.apply(&v.env)
}

// Receive reads, verifies and applies one message: Verify and HandleVerified (less a copy). The envelope is
// returned whenever it was valid, also with an error of HandleVerified; it aliases nothing of data.
func (c *Coordinator) Receive(data []byte) (Envelope, error) {
	r := reader{data: data, verifying: true}
	if err := r.verify(); err != nil {
		return Envelope{}, err
	}
	return r.env, c.apply(&r.env)
}

// DrainOutbox takes the oldest message to be sent, sealed with its digest; false if there is none.
func (c *Coordinator) DrainOutbox() (Envelope, bool) { return c.out.take(nil) }

// Outbox yields the messages to be sent, oldest first, taking each from the outbox as it goes.
func (c *Coordinator) Outbox() iter.Seq[Envelope] { return drain(c.DrainOutbox) }

// OutboxLen returns how many messages wait to be sent.
func (c *Coordinator) OutboxLen() int { return c.out.len() }

// WorkerReady is true from a worker's BootstrapReady to the end of its session. SpawnJob also needs that no
// shutdown has been requested.
func (c *Coordinator) WorkerReady() bool { return c.ready }

// ShutdownRequested tells whether the worker has been asked to stop and is not yet gone.
func (c *Coordinator) ShutdownRequested() bool { return c.shutdown }

// ActiveWorker returns the id of the worker whose session this is; ok tells if there is one, as an id may
// be empty.
func (c *Coordinator) ActiveWorker() (id string, ok bool) { return c.worker, c.active }

// InflightCount returns how many tracked jobs have not ended.
func (c *Coordinator) InflightCount() int { return c.inflight }

// JobState returns the state of a job, if it is tracked.
func (c *Coordinator) JobState(jobID uint64) (JobState, bool) {
	j, ok := c.Job(jobID)
	return j.State, ok
}

// Job returns what is known of a job, if it is tracked.
func (c *Coordinator) Job(jobID uint64) (TrackedJob, bool) {
	j, ok := c.jobs[jobID]
	if !ok {
		return TrackedJob{}, false
	}
	return c.current(j), true
}

// Jobs yields all tracked jobs by ascending id. The ids are taken when the iteration starts, so that
// the coordinator may be called meanwhile; a job that has been forgotten by then is left out.
func (c *Coordinator) Jobs() iter.Seq[TrackedJob] { return byID(&c.jobs, c.Job) }

// Turn returns the number of the host's turn, from 0.
func (c *Coordinator) Turn() uint64 { return c.out.last.IssuedAtTurn }

// Seed returns the seed that messages carry.
func (c *Coordinator) Seed() uint64 { return c.out.last.Seed }

// apply is steps 2 to 5 of section 7, Inbound, for a valid envelope.
func (c *Coordinator) apply(env *Envelope) error {
	if t := env.Op.Type(); t.Sender() != SenderWorker {
		return &DirectionError{t}
	}
	if err := c.admit(*env.WorkerID, env.SeqNo, env.Op); err != nil {
		return err
	}
	switch op := env.Op.(type) {
	case BootstrapReady:
		c.ready, c.shutdown = true, false
	case BootstrapFailed:
		c.endSession()
		return &WorkerError{Kind: ErrBootstrapFailed, WorkerID: op.WorkerID, Reason: op.Reason}
	case StatusSnapshot:
		return c.snapshot(op.JobID, op.State)
	case JobCompleted:
		return c.complete(op.JobID)
	case CancelAcknowledged:
		return c.proceed(op.JobID, StateDraining, DrainJob(op))
	case DrainCompleted:
		return c.proceed(op.JobID, StateFinalizing, FinalizeJob(op))
	case FinalizeCompleted:
		return c.finalize(op.JobID)
	case ShutdownCompleted:
		c.endSession()
	case Diagnostic:
	}
	return nil
}

// admit is steps 3 and 4: whether the sender may speak in this session, or begin another.
func (c *Coordinator) admit(worker string, seq uint64, op Op) error {
	if c.active && worker == c.worker {
		if seq <= c.lastSeen {
			return &SequenceError{c.lastSeen, seq}
		}
		c.lastSeen = seq
		return nil
	}
	switch {
	case !op.Type().bootstrap():
		e := &WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: worker}
		if c.active {
			e.Expected = cloneText(&c.worker)
		}
		return e
	case slices.Contains(c.retired, worker):
		return &WorkerError{Kind: ErrRetiredWorker, WorkerID: worker}
	case seq == 0:
		return &SequenceError{0, 0}
	}
	c.endSession()
	c.worker, c.active = strings.Clone(worker), true // or it could keep a whole message alive
	c.lastSeen = seq
	return nil
}

func (c *Coordinator) snapshot(jobID uint64, reported JobState) error {
	switch {
	case reported.Terminal():
		return &JobError{ErrTerminalStatusSnapshot, jobID, reported}
	case !reported.reportable():
		return &JobError{ErrInvalidStatusSnapshotState, jobID, reported}
	}
	j, err := c.find(jobID)
	if err != nil {
		return err
	}
	switch c.state(j) {
	case reported:
		return nil
	case StateCancelRequested: // it crossed the cancel on the wire
		return nil
	}
	return c.advance(j, reported)
}

func (c *Coordinator) complete(jobID uint64) error {
	j, err := c.find(jobID)
	if err != nil {
		return err
	}
	if state := c.state(j); !state.completable() {
		return &JobError{ErrUnexpectedCompletionPhase, jobID, state}
	}
	return c.advance(j, StateCompleted)
}

// proceed takes a job to the next phase of its cancellation, and asks the worker for it; a worker that
// has been asked to stop is asked for nothing more.
func (c *Coordinator) proceed(jobID uint64, to JobState, request Op) error {
	j, err := c.find(jobID)
	if err != nil || c.shutdown {
		return err
	}
	return c.request(j, to, request)
}

func (c *Coordinator) finalize(jobID uint64) error {
	j, err := c.find(jobID)
	if err != nil {
		return err
	}
	if state := c.state(j); state != StateFinalizing {
		return &TransitionError{jobID, state, StateCompleted}
	}
	return c.advance(j, StateCompleted)
}

func (c *Coordinator) endSession() {
	if c.active {
		if len(c.retired) == retiredMost {
			c.retired = c.retired[:copy(c.retired, c.retired[1:])]
		}
		c.retired = append(c.retired, c.worker)
		c.worker, c.active = "", false
	}
	c.ready, c.shutdown = false, false
	c.out.clear()
	c.ended.take(&c.live)
	c.inflight = 0
	c.sessionEnd = c.out.last.SeqNo
}

// A job is one tracked job, and its place in the list of the jobs in flight or of those that ended.
type job struct {
	TrackedJob
	prev, next *job
}

func (c *Coordinator) track(j *job) {
	if c.jobs == nil {
		c.jobs = make(map[uint64]*job)
	}
	c.jobs[j.JobID] = j
	c.peak = max(c.peak, len(c.jobs))
	c.live.push(j)
	c.inflight++
}

func (c *Coordinator) forget(j *job) {
	delete(c.jobs, j.JobID)
	if len(c.jobs) == 0 && c.peak > 1024 {
		c.jobs, c.peak = nil, 0 // a map never shrinks
	}
}

func (c *Coordinator) find(jobID uint64) (*job, error) {
	if j, ok := c.jobs[jobID]; ok {
		return j, nil
	}
	return nil, &JobError{Kind: ErrUnknownJobID, JobID: jobID}
}

// state returns the state that a job is in, which after the end of its session is not the one noted.
func (c *Coordinator) state(j *job) JobState {
	if !j.State.Terminal() && j.LastSeqNo <= c.sessionEnd {
		return StateFailed
	}
	return j.State
}

func (c *Coordinator) current(j *job) TrackedJob {
	t := j.TrackedJob
	t.State = c.state(j)
	return t
}

// advance makes a transition, if the table has it.
func (c *Coordinator) advance(j *job, to JobState) error {
	t := c.current(j)
	if err := t.TransitionTo(to); err != nil {
		return err
	}
	j.State = to
	if to.Terminal() {
		c.live.remove(j)
		c.ended.push(j)
		c.inflight--
	}
	return nil
}

// request makes a transition and tells the worker.
func (c *Coordinator) request(j *job, to JobState, op Op) error {
	if err := c.advance(j, to); err != nil {
		return err
	}
	j.LastSeqNo = c.out.send(op)
	return nil
}

// A jobList is a doubly linked list.
type jobList struct {
	first, last *job
}

func (l *jobList) push(j *job) {
	j.prev, j.next = l.last, nil
	if l.last == nil {
		l.first = j
	} else {
		l.last.next = j
	}
	l.last = j
}

func (l *jobList) remove(j *job) {
	if j.prev == nil {
		l.first = j.next
	} else {
		j.prev.next = j.next
	}
	if j.next == nil {
		l.last = j.prev
	} else {
		j.next.prev = j.prev
	}
}

// take appends all of another list, and leaves that empty.
func (l *jobList) take(other *jobList) {
	if other.first == nil {
		return
	}
	if l.last == nil {
		l.first = other.first
	} else {
		l.last.next, other.first.prev = other.first, l.last
	}
	l.last = other.last
	*other = jobList{}
}

// byID yields jobs by ascending id. It looks at the map only when the iteration starts.
func byID[J any](jobs *map[uint64]J, job func(uint64) (TrackedJob, bool)) iter.Seq[TrackedJob] {
	return func(yield func(TrackedJob) bool) {
		for _, id := range slices.Sorted(maps.Keys(*jobs)) {
			if j, ok := job(id); ok && !yield(j) {
				return
			}
		}
	}
}

// An outbox numbers one side's messages and keeps them until they are sent. They are sealed only then: a
// message that is dropped costs no digest.
type outbox struct {
	last  Header // the numbers of the last message, and the seed and turn of the next
	queue []Envelope
	head  int // queue[:head] has been taken
}

func newOutbox(seed uint64) outbox { return outbox{last: Header{Seed: seed}} }

// send queues a message and returns its sequence number.
func (o *outbox) send(op Op) uint64 {
	o.last.MessageID++
	o.last.SeqNo++
	o.last.DecisionSeq++
	o.queue = append(o.queue, Envelope{Version: ProtocolVersion, Header: o.last, Op: op})
	return o.last.SeqNo
}

// take takes the oldest message, if there is one, and seals it. It gives memory back as a long queue gets
// shorter.
func (o *outbox) take(workerID *string) (env Envelope, ok bool) {
	if o.len() == 0 {
		return Envelope{}, false
	}
	env = o.queue[o.head]
	o.queue[o.head] = Envelope{} // or the queue would keep the payload alive
	o.head++
	const small = 64
	switch rest := o.queue[o.head:]; {
	case cap(o.queue) > small && len(rest) <= o.head:
		o.queue, o.head = append([]Envelope(nil), rest...), 0
	case len(rest) == 0:
		o.queue, o.head = o.queue[:0], 0
	}
	env.WorkerID = workerID
	env.ReplayHash = ReplayHash(env.Header, workerID, env.Op)
	return env, true
}

func (o *outbox) len() int { return len(o.queue) - o.head }

func (o *outbox) clear() { o.queue, o.head = nil, 0 }

func drain(next func() (Envelope, bool)) iter.Seq[Envelope] {
	return func(yield func(Envelope) bool) {
		for env, ok := next(); ok && yield(env); env, ok = next() {
		}
	}
}
