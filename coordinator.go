package workerchannel

import "iter"

// A Coordinator is the host's half of the protocol (PROTOCOL section 7). It belongs to one event loop
// and is not safe for concurrent use. NewCoordinator makes one; the zero Coordinator has seed 0 and no
// limits. It must not be copied.
//
// A refused call changes nothing and sends nothing. What a refused message changes, HandleInbound says.
type Coordinator struct {
	out      outbox
	jobs     jobTable
	clocks   clocks
	retired  retiredIDs
	session  *session // nil if no worker is active
	worker   string   // the active worker's id
	lastSeen uint64   // the highest inbound sequence number accepted

	ready         bool
	shutdown      bool // requested
	closing       bool // a shutdown is to be requested as soon as no job is in flight
	closingReason string
}

// An Option configures a Coordinator that NewCoordinator makes. It must not be called otherwise.
type Option func(*Coordinator)

// WithFirstDecisionSeq makes n the decision sequence number of the first message, instead of 1. Every number
// is allowed, and 0 follows 2^64−1; no receiver checks the order.
func WithFirstDecisionSeq(n uint64) Option {
	return func(c *Coordinator) { c.out.last.DecisionSeq = n - 1 }
}

// WithLimits sets how many turns the worker may take for each kind of request. Without it nothing is ever
// overdue.
func WithLimits(l Limits) Option {
	return func(c *Coordinator) { c.clocks.limits = l }
}

// NewCoordinator returns a coordinator whose messages carry the seed. A nil option is ignored.
func NewCoordinator(seed uint64, opts ...Option) *Coordinator {
	c := &Coordinator{out: newOutbox(seed)}
	for _, opt := range opts {
		if opt != nil {
			opt(c)
		}
	}
	return c
}

// SpawnJob is SpawnTagged without a tag.
func (c *Coordinator) SpawnJob(spawn SpawnJob) error { return c.SpawnTagged(spawn, nil) }

// SpawnTagged hands a job to the worker. The job is StateQueued, and tracked until Reap or RemoveJob forgets
// it. Every id is allowed, including 0. The payload is not copied: do not change it before its envelope has
// been drained and written. A nil payload is the empty one. The tag stays local and comes back with the job as
// TrackedJob.Tag.
//
// SpawnTagged returns, checked in this order, ErrWorkerNotReady, ErrShutdownInProgress (a shutdown has been
// requested, or the coordinator is closing), ErrRegionClosed, ErrPayloadTooLarge, and ErrDuplicateJobID for
// every tracked job, even one that has ended.
func (c *Coordinator) SpawnTagged(spawn SpawnJob, tag any) error {
	if !c.ready {
		return ErrWorkerNotReady
	}
	if c.shutdown || c.closing {
		return ErrShutdownInProgress
	}
	if r, ok := c.jobs.regions.get(spawn.RegionID); ok && r.closed {
		return &RegionError{ErrRegionClosed, spawn.RegionID}
	}
	if err := checkPayload(spawn.Payload); err != nil {
		return err
	}
	rule := &hostRules[hostSpawn]
	if j, ok := c.jobs.byID.get(spawn.JobID); ok {
		return rule.refuse(j.id, j.now())
	}
	j := &job{
		id: spawn.JobID, taskID: spawn.TaskID, obligationID: spawn.ObligationID,
		session: c.session, state: rule.to, since: c.Turn(), tag: tag,
	}
	c.jobs.add(j, spawn.RegionID)
	j.lastSeqNo = c.out.push(spawn, j)
	return nil
}

// CancelJob asks the worker to cancel a job, which becomes StateCancelRequested. The coordinator does the rest of
// the handshake by itself. The job may still complete with an outcome if that was on its way.
//
// CancelJob returns, checked in this order, ErrInvalidValue for a reason that is not well-formed UTF-8,
// ErrShutdownInProgress once a shutdown has been requested, ErrUnknownJobID, and ErrInvalidTransition unless
// the job is queued or running. ErrUnknownJobID may mean that the job has ended and has been reaped: then there is
// nothing left to cancel.
func (c *Coordinator) CancelJob(jobID uint64, reason string) error {
	if err := c.checkRequest(reason); err != nil {
		return err
	}
	j, err := c.jobs.find(jobID)
	if err != nil {
		return err
	}
	return c.cancel(j, reason)
}

func (c *Coordinator) cancel(j *job, reason string) error {
	err := c.step(j, hostCancel, CancelJob{j.id, reason})
	if err == nil {
		j.outcome = OutcomeCancelled{reason} // if the handshake gets that far
	}
	return err
}

// CancelRegion cancels every queued or running job of a region, by ascending id, and returns how many these were.
//
// It returns, checked in this order, ErrInvalidValue for a reason that is not well-formed UTF-8,
// ErrShutdownInProgress once a shutdown has been requested, and ErrUnknownRegionID if no job of the region is
// tracked. It takes time in proportion to the region's jobs.
func (c *Coordinator) CancelRegion(regionID uint64, reason string) (cancelled int, err error) {
	if err := c.checkRequest(reason); err != nil {
		return 0, err
	}
	r, ok := c.jobs.regions.get(regionID)
	if !ok {
		return 0, &RegionError{ErrUnknownRegionID, regionID}
	}
	jobs := r.matching(hostRules[hostCancel].from)
	for _, j := range jobs {
		_ = c.cancel(j, reason) // the rule accepts it
	}
	return len(jobs), nil
}

// CloseRegion closes a region, so that SpawnJob returns ErrRegionClosed for it, and then does what CancelRegion
// does, with the same errors. When Region reports no job in flight any more, the region is quiescent. A region
// is forgotten with its last job; Region then returns false and the id is open again. If it must stay closed,
// remember that yourself.
func (c *Coordinator) CloseRegion(regionID uint64, reason string) (cancelled int, err error) {
	cancelled, err = c.CancelRegion(regionID, reason)
	if r, ok := c.jobs.regions.get(regionID); ok && err == nil {
		r.closed = true
	}
	return cancelled, err
}

// PollStatus asks the worker for a status snapshot of a job. It returns, checked in this order,
// ErrShutdownInProgress once a shutdown has been requested, ErrUnknownJobID, and ErrJobNotPollable unless the
// job is queued or running: a worker reports no other state.
func (c *Coordinator) PollStatus(jobID uint64) error {
	if c.shutdown {
		return ErrShutdownInProgress
	}
	j, err := c.jobs.find(jobID)
	if err != nil {
		return err
	}
	return c.step(j, hostPoll, PollStatus{jobID})
}

// RequestShutdown asks the worker to stop. Everything in the outbox is dropped, and no job can be spawned,
// cancelled or polled until the session has ended. Jobs in flight may still complete with an outcome; cancel
// handshakes are frozen. What has not ended fails when the worker has stopped. If the worker never answers,
// call WorkerLost (see Limits.Shutdown). Without an active worker the request is for the next one.
//
// It returns, checked in this order, ErrInvalidValue for a reason that is not well-formed UTF-8, and
// ErrShutdownInProgress if a shutdown has been requested already.
func (c *Coordinator) RequestShutdown(reason string) error {
	if err := c.checkRequest(reason); err != nil {
		return err
	}
	c.requestShutdown(reason)
	return nil
}

func (c *Coordinator) requestShutdown(reason string) {
	c.shutdown, c.closing, c.closingReason = true, false, ""
	c.clocks.shutdownRequested()
	c.out.clear()
	c.out.push(ShutdownWorker{reason}, nil)
}

// ShutdownWhenIdle stops taking jobs, lets those in flight end, by an outcome or by the whole cancel handshake,
// and then does what RequestShutdown does, at once if no job is in flight. Until then jobs can be cancelled
// and polled.
//
// It returns, checked in this order, ErrInvalidValue for a reason that is not well-formed UTF-8, and
// ErrShutdownInProgress if a shutdown has been requested or the coordinator is closing already. No limit runs
// while it waits for queued and running jobs: poll them.
func (c *Coordinator) ShutdownWhenIdle(reason string) error {
	if err := c.checkRequest(reason); err != nil {
		return err
	}
	if c.closing {
		return ErrShutdownInProgress
	}
	c.closing, c.closingReason = true, reason
	c.shutdownIfIdle()
	return nil
}

func (c *Coordinator) shutdownIfIdle() {
	if c.closing && c.jobs.inflight == 0 {
		c.requestShutdown(c.closingReason)
	}
}

// ExpectWorker says that the host has started a worker: Limits.Boot counts from this turn until a worker
// announces itself.
func (c *Coordinator) ExpectWorker() { c.clocks.boot = clock{running: true, since: c.Turn()} }

// WorkerLost ends the session because the worker is gone: every job in flight becomes StateFailed with
// CauseWorkerLost, the outbox is emptied, and a later message of that worker is refused. Without a session it
// cancels ExpectWorker and a shutdown meant for that worker. The coordinator then knows no id to refuse, so make
// sure that nothing of that worker arrives later. Calling it again does no harm. If the worker may already have been
// replaced, call RetireWorker instead. It takes constant time; Reap then takes the jobs.
func (c *Coordinator) WorkerLost() {
	if c.session == nil {
		c.clocks.boot.running = false
	}
	c.endSession(CauseWorkerLost)
}

// RetireWorker says that one worker instance is gone. If it is the active worker, RetireWorker does what
// WorkerLost does. Otherwise it only remembers the id, so that a late bootstrap of that instance is refused; an
// id that is not well-formed UTF-8 cannot be a worker's and is ignored.
func (c *Coordinator) RetireWorker(workerID string) {
	switch {
	case c.session != nil && workerID == c.worker:
		c.endSession(CauseWorkerLost)
	case checkString("worker_id", workerID) == nil:
		c.retired.add(workerID)
	}
}

// RemoveJob forgets a job that has ended, and returns its last state. The id may then be used again. It returns,
// checked in this order, ErrUnknownJobID and ErrJobNotTerminal.
func (c *Coordinator) RemoveJob(jobID uint64) (JobState, error) {
	j, err := c.jobs.find(jobID)
	if err != nil {
		return 0, err
	}
	state := j.now()
	if rule := &hostRules[hostRemove]; !rule.accepts(state) {
		return 0, rule.refuse(jobID, state)
	}
	c.jobs.forget(j)
	return state, nil
}

// Reap forgets every job that has ended and returns them by ascending id, each as Job would have. Their ids may
// then be used again. It takes O(n log n) time for n ended jobs, however many are tracked.
func (c *Coordinator) Reap() []TrackedJob { return c.jobs.reap() }

// AdvanceTurn begins the host's next turn. Messages carry the turn in which they were made, and Limits count in
// turns. 0 follows 2^64−1.
func (c *Coordinator) AdvanceTurn() { c.out.last.IssuedAtTurn++ }

// Overdue returns the request that was due first, if the worker is late with one (PROTOCOL section 7,
// "Limits"). Nothing happens by itself: stop the worker and call WorkerLost. It takes constant time.
func (c *Coordinator) Overdue() (Overdue, bool) {
	first, ok := c.clocks.first(&c.jobs, c.shutdown)
	if !ok || c.Turn() < first.Deadline {
		return Overdue{}, false
	}
	return first.Overdue, true
}

// Requests yields the requests that have a limit and are outstanding, overdue or not, in the order in which they are due.
// Of several polls it yields the one that was sent first, as any message answers all of them. Once a shutdown has been
// requested it yields no request of a cancel handshake. The requests are read when the iteration starts, which takes
// O(n log n) time for n requests; the coordinator may be called during it.
func (c *Coordinator) Requests() iter.Seq[Overdue] {
	return func(yield func(Overdue) bool) {
		for _, r := range c.clocks.all(&c.jobs, c.shutdown) {
			if !yield(r.Overdue) {
				return
			}
		}
	}
}

// NextDeadline returns the turn in which the first request is or was due, if any that has a limit is
// outstanding. It takes constant time.
func (c *Coordinator) NextDeadline() (turn uint64, ok bool) {
	first, ok := c.clocks.first(&c.jobs, c.shutdown)
	return first.Deadline, ok
}

// HandleInbound validates a message of the worker and applies it (PROTOCOL section 7, Inbound). The envelope
// remains the caller's, but the outcome of a completed job is kept, without a copy, until the job is forgotten:
// do not change its payload before.
//
// After ErrUnexpectedDirection, ErrInboundSequenceNotFresh, ErrWorkerSessionMismatch, ErrRetiredWorker and the
// errors of Envelope.Validate nothing has changed. ErrUnknownJobID, ErrInvalidTransition,
// ErrTerminalStatusSnapshot, ErrInvalidStatusSnapshotState and ErrUnexpectedCompletionPhase mean that the
// message was accepted but did not fit the job that it is about. ErrBootstrapFailed means that the worker has
// given up and that its session has ended.
func (c *Coordinator) HandleInbound(env *Envelope) error {
	if err := env.Validate(); err != nil {
		return err
	}
	return c.apply(env)
}

// HandleVerified is like HandleInbound for an envelope that Verify has found valid, perhaps on another
// goroutine. Its time depends on the length of the worker id, but not on the payload or on how many jobs are
// tracked. For the zero Verified it returns ErrInvalidValue.
func (c *Coordinator) HandleVerified(v Verified) error {
	if err := v.check(); err != nil {
		return err
	}
	return c.apply(&v.env)
}

// Receive reads, verifies and applies one message: it is like Verify and HandleVerified, in one pass. It returns
// the envelope whenever it is valid, even with an error of HandleVerified. The envelope shares no memory with
// data.
func (c *Coordinator) Receive(data []byte) (env Envelope, err error) {
	if err := parse(&env, data, c.worker); err != nil {
		return env, err
	}
	return env, c.apply(&env)
}

// DrainOutbox takes the oldest message from the outbox and returns it, complete with its digest; false if there
// is none. The clock of a request starts now (see Limits), so call it when the transport can take the message.
func (c *Coordinator) DrainOutbox() (env Envelope, ok bool) {
	var f flatOp
	if ok = c.take(&env, &f); ok {
		env.seal(&f)
	}
	return env, ok
}

// AppendNext takes the oldest message from the outbox, as DrainOutbox does, and appends its canonical JSON to dst, as
// Envelope.AppendJSON does; what is queued can always be written. The capacity of dst must not share memory with the
// payload of a job. If there is no message, AppendNext returns dst and false.
func (c *Coordinator) AppendNext(dst []byte) (text []byte, env Envelope, ok bool) {
	var f flatOp
	if ok = c.take(&env, &f); ok {
		env.seal(&f)
		dst = env.write(dst, &f)
	}
	return dst, env, ok
}

// AppendBatch is like AppendNext for as many messages as there are and batch has room for, until they have about size
// bytes together; it takes one whatever size is. It sets batch[:n], and returns dst with their texts, which need not
// follow directly one on the other. Several take less time than with AppendNext, because their digests are computed at
// once.
func (c *Coordinator) AppendBatch(dst []byte, batch []Outgoing, size int) (text []byte, n int) {
	s := sealer{text: dst}
	for n < len(batch) && c.out.len() > 0 && (n == 0 || len(s.text)-len(dst) < size) {
		var f flatOp
		m := &batch[n]
		*m = Outgoing{}
		c.take(&m.Envelope, &f)
		s.add(m, &f)
		n++
	}
	return s.finish(batch[:n]), n
}

func (c *Coordinator) take(env *Envelope, f *flatOp) bool {
	j, ok := c.out.pop(env, f, nil)
	if ok {
		c.clocks.start(env, j, &c.jobs, c.Turn())
	}
	return ok
}

// Outbox yields the messages to be sent, oldest first. It takes each from the outbox as DrainOutbox does.
func (c *Coordinator) Outbox() iter.Seq[Envelope] { return drained(c.DrainOutbox) }

// OutboxLen returns the number of messages in the outbox.
func (c *Coordinator) OutboxLen() int { return c.out.len() }

// WorkerReady reports whether the active worker has announced itself. SpawnJob also requires that no shutdown
// has been requested and that the coordinator is not closing.
func (c *Coordinator) WorkerReady() bool { return c.ready }

// ShutdownRequested reports whether a shutdown has been requested and the session has not yet ended. After a
// ShutdownCompleted it is false again: remember yourself that you wanted to stop.
func (c *Coordinator) ShutdownRequested() bool { return c.shutdown }

// Closing reports whether ShutdownWhenIdle is waiting for jobs in flight.
func (c *Coordinator) Closing() bool { return c.closing }

// ActiveWorker returns the id of the worker whose session this is; ok is false if there is none, as an id may
// be empty.
func (c *Coordinator) ActiveWorker() (id string, ok bool) { return c.worker, c.session != nil }

// InflightCount returns the number of tracked jobs that have not ended.
func (c *Coordinator) InflightCount() int { return c.jobs.inflight }

// JobState returns the state of a job; false if it is not tracked.
func (c *Coordinator) JobState(jobID uint64) (JobState, bool) {
	j, ok := c.Job(jobID)
	return j.State, ok
}

// Job returns what is known of a job; false if it is not tracked.
func (c *Coordinator) Job(jobID uint64) (TrackedJob, bool) {
	j, ok := c.jobs.byID.get(jobID)
	if !ok {
		return TrackedJob{}, false
	}
	return j.tracked(), true
}

// Jobs yields all tracked jobs by ascending id. The ids are read when the iteration starts, so the coordinator
// may be called during it; a job that has been forgotten by then is left out.
func (c *Coordinator) Jobs() iter.Seq[TrackedJob] { return ascending(&c.jobs.byID, c.Job) }

// Region returns what is known of a region; false if no job of it is tracked.
func (c *Coordinator) Region(regionID uint64) (Region, bool) {
	r, ok := c.jobs.regions.get(regionID)
	if !ok {
		return Region{}, false
	}
	return r.snapshot(), true
}

// Regions yields all regions by ascending id, in the manner of Jobs.
func (c *Coordinator) Regions() iter.Seq[Region] { return ascending(&c.jobs.regions, c.Region) }

// Turn returns the number of the host's turn; the first is 0.
func (c *Coordinator) Turn() uint64 { return c.out.last.IssuedAtTurn }

// Seed returns the seed that messages carry.
func (c *Coordinator) Seed() uint64 { return c.out.last.Seed }

// checkRequest returns the error for a call that sends a reason to the worker, as far as it does not depend on
// a job.
func (c *Coordinator) checkRequest(reason string) error {
	if err := checkString("reason", reason); err != nil {
		return err
	}
	if c.shutdown {
		return ErrShutdownInProgress
	}
	return nil
}
