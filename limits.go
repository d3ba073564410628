package workerchannel

import "math"

// Limits says how many turns a worker may take for each kind of request; 0 is no limit (PROTOCOL section 7,
// "Limits"). A turn is as long as the host makes it: see [Coordinator.AdvanceTurn]. The clock of a request
// starts in the turn in which DrainOutbox returns its message, so a slow transport is not held against the
// worker. A queued or running job has no limit of its own: to notice a worker that hangs in a job, call PollStatus
// for it every few turns.
type Limits struct {
	Boot     uint64 // from ExpectWorker to the worker's bootstrap
	Cancel   uint64 // from CancelJob until the job has left StateCancelRequested
	Drain    uint64 // from DrainJob until the job has left StateDraining
	Finalize uint64 // from FinalizeJob until the job has left StateFinalizing
	Poll     uint64 // from PollStatus until any message of the worker is accepted
	Shutdown uint64 // from ShutdownWorker to the end of the session
}

// An Overdue is a request that the worker has not answered within its limit. It is an error, so that it can
// be given as the reason for which the host stops the worker.
type Overdue struct {
	Request  OpType // the request's operation; 0 for the bootstrap of an expected worker
	JobID    uint64 // the job that the request is about; 0 for the bootstrap and for OpShutdownWorker
	Since    uint64 // the turn in which the clock started
	Deadline uint64 // Since plus the limit: the turn from which the request is overdue
}

// Error returns a description of one line.
func (o Overdue) Error() string {
	what := "bootstrap"
	if o.Request != 0 {
		what = o.Request.String()
	}
	if o.Request != 0 && o.Request != OpShutdownWorker {
		what += " of job " + utoa(o.JobID)
	}
	return "workerchannel: worker is late: " + what + " sent in turn " + utoa(o.Since) + " was due in turn " + utoa(o.Deadline)
}

// phaseRequests has the request that a job in each phase of its cancellation waits for, in the order of
// jobTable.timed.
var phaseRequests = [...]OpType{OpCancelJob, OpDrainJob, OpFinalizeJob}

// A clock runs for one request.
type clock struct {
	running      bool
	since        uint64
	seqNo, jobID uint64 // of the request's message
}

// The clocks of the requests that are about no job, and of the first poll: a message is the answer to all polls
// so far, so the others cannot be due before it. The clocks of the cancel handshake are in the job table.
type clocks struct {
	limits               Limits
	boot, poll, shutdown clock
}

// start starts the clock of a message that was just taken from the outbox, if there is a limit and anyone
// still has to answer it.
func (c *clocks) start(env *Envelope, j *job, jobs *jobTable, turn uint64) {
	var started *clock
	switch env.Op.Type() {
	case OpShutdownWorker:
		started = &c.shutdown
	case OpPollStatus:
		if !c.poll.running && !j.now().Terminal() {
			started = &c.poll
		}
	case OpCancelJob:
		c.startPhase(j, StateCancelRequested, jobs, turn)
	case OpDrainJob:
		c.startPhase(j, StateDraining, jobs, turn)
	case OpFinalizeJob:
		c.startPhase(j, StateFinalizing, jobs, turn)
	}
	if started != nil {
		*started = clock{true, turn, env.SeqNo, 0}
		if j != nil {
			started.jobID = j.id
		}
	}
}

func (c *clocks) startPhase(j *job, phase JobState, jobs *jobTable, turn uint64) {
	if j.now() == phase && c.phaseLimit(phase) != 0 {
		jobs.startClock(j, turn)
	}
}

func (c *clocks) phaseLimit(phase JobState) uint64 {
	return [...]uint64{c.limits.Cancel, c.limits.Drain, c.limits.Finalize}[phase-StateCancelRequested]
}

// shutdownRequested stops all clocks but those of the shutdown and the bootstrap. The handshakes are frozen:
// nothing asks for the clocks of the job table any more before their session ends.
func (c *clocks) shutdownRequested() { c.poll.running = false }

// sessionEnded stops all clocks but that of the bootstrap.
func (c *clocks) sessionEnded() { c.poll.running, c.shutdown.running = false, false }

// first returns the request that is due first, if there is one. It looks at no more than six.
func (c *clocks) first(jobs *jobTable, frozen bool) (first Overdue, ok bool) {
	var firstSeqNo uint64
	consider := func(op OpType, limit uint64, k clock) {
		if !k.running || limit == 0 {
			return
		}
		due := k.since + limit
		if due < k.since {
			due = math.MaxUint64
		}
		if !ok || due < first.Deadline || due == first.Deadline && k.seqNo < firstSeqNo {
			first, firstSeqNo, ok = Overdue{op, k.jobID, k.since, due}, k.seqNo, true
		}
	}
	consider(0, c.limits.Boot, c.boot)
	consider(OpShutdownWorker, c.limits.Shutdown, c.shutdown)
	consider(OpPollStatus, c.limits.Poll, c.poll)
	if frozen {
		return first, ok
	}
	for i, request := range phaseRequests {
		if j := jobs.timed[i].first; j != nil {
			consider(request, c.phaseLimit(j.state), clock{true, j.sent, j.lastSeqNo, j.id})
		}
	}
	return first, ok
}
