package workerchannel

import "strings"

// apply does steps 2 to 5 of section 7, Inbound, for a valid envelope.
func (c *Coordinator) apply(env *Envelope) error {
	t := env.Op.Type()
	if t.Sender() != SenderWorker {
		return &DirectionError{t}
	}
	if err := c.admit(*env.WorkerID, env.SeqNo, t); err != nil {
		return err
	}
	c.lastSeen = env.SeqNo
	c.clocks.poll.running = false
	switch op := env.Op.(type) {
	case BootstrapReady:
		c.ready = true
	case BootstrapFailed:
		c.endSession(CauseBootstrapFailed)
		return &WorkerError{Kind: ErrBootstrapFailed, WorkerID: op.WorkerID, Reason: op.Reason}
	case StatusSnapshot:
		return c.snapshot(op.JobID, op.State)
	case JobCompleted:
		return c.complete(op.JobID, hostCompleted, CauseOutcome, op.Outcome)
	case CancelAcknowledged:
		return c.proceed(op.JobID, hostAcknowledged, DrainJob(op))
	case DrainCompleted:
		return c.proceed(op.JobID, hostDrained, FinalizeJob(op))
	case FinalizeCompleted:
		return c.complete(op.JobID, hostFinalized, CauseCancelled, nil)
	case ShutdownCompleted:
		c.endSession(CauseShutdown)
	case Diagnostic:
	}
	return nil
}

// admit does step 3: it returns an error unless the sender may speak in this session or begin another.
func (c *Coordinator) admit(worker string, seqNo uint64, op OpType) error {
	if c.session != nil && worker == c.worker {
		if seqNo <= c.lastSeen {
			return &SequenceError{c.lastSeen, seqNo}
		}
		return nil
	}
	switch {
	case !op.bootstrap():
		e := &WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: worker}
		if c.session != nil {
			e.Expected = cloneString(&c.worker)
		}
		return e
	case c.retired.has(worker):
		return &WorkerError{Kind: ErrRetiredWorker, WorkerID: worker}
	case seqNo == 0:
		return &SequenceError{0, 0}
	}
	if c.session != nil {
		c.endSession(CauseReplaced)
	}
	c.session, c.worker = new(session), strings.Clone(worker) // or it could keep a whole message alive
	c.clocks.boot.running = false
	return nil
}

func (c *Coordinator) snapshot(jobID uint64, reported JobState) error {
	rule := hostSnapshotRunning
	switch {
	case reported.Terminal():
		return &JobError{ErrTerminalStatusSnapshot, jobID, reported}
	case !reported.AllowedInStatusSnapshot():
		return &JobError{ErrInvalidStatusSnapshotState, jobID, reported}
	case reported == StateQueued:
		rule = hostSnapshotQueued
	}
	j, err := c.jobs.find(jobID)
	if err != nil {
		return err
	}
	return c.step(j, rule, nil)
}

// complete ends a job by a message of the worker. A nil outcome leaves the one that the cancel request noted.
func (c *Coordinator) complete(jobID uint64, rule int, cause EndCause, outcome Outcome) error {
	j, err := c.jobs.find(jobID)
	if err != nil {
		return err
	}
	if err := c.step(j, rule, nil); err != nil {
		return err
	}
	j.cause = cause
	if outcome != nil {
		j.outcome = outcome
	}
	c.shutdownIfIdle()
	return nil
}

// proceed takes a job to the next phase of its cancellation. A worker that has been asked to stop is asked for
// nothing more.
func (c *Coordinator) proceed(jobID uint64, rule int, request Op) error {
	j, err := c.jobs.find(jobID)
	if err != nil || c.shutdown {
		return err
	}
	return c.step(j, rule, request)
}

// step applies a rule to a job and sends the message that goes with it.
func (c *Coordinator) step(j *job, row int, message Op) error {
	rule, state := &hostRules[row], j.now()
	if !rule.accepts(state) {
		return rule.refuse(j.id, state)
	}
	if to := rule.leadsTo(state); to != state {
		c.jobs.setState(j, to, c.Turn())
	}
	if rule.sends != 0 {
		j.lastSeqNo = c.out.push(message, j)
	}
	return nil
}

// endSession ends the session, if there is one, and drops all that was meant for its worker (section 7, "Ending
// the session"). The high-water mark and the clock of an expected worker stay.
func (c *Coordinator) endSession(cause EndCause) {
	if c.session != nil {
		c.session.cause, c.session.turn = cause, c.Turn()
		c.jobs.failAll()
		c.retired.add(c.worker)
		c.session, c.worker = nil, ""
	}
	c.ready, c.shutdown, c.closing, c.closingReason = false, false, false, ""
	c.clocks.sessionEnded()
	c.out.clear()
}
