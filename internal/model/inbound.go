package workerchannel

import "slices"

// The reference model of the coordinator, continued: section 7, Inbound.

// inbound takes a message. An error of the first three steps is a refusal; one of the fifth is an answer.
func (p *plainCoordinator) inbound(e Envelope) (refusal, answer error) {
	if err := plainVerdict(e); err != nil { // step 1
		return err, nil
	}
	if fromCoordinator(e.Op) { // step 2
		return &DirectionError{e.Op.Type()}, nil
	}
	sender := *e.WorkerID
	if p.active != nil && *p.active == sender { // step 3
		if e.SeqNo <= p.highest {
			return &SequenceError{p.highest, e.SeqNo}, nil
		}
	} else {
		_, isReady := e.Op.(BootstrapReady)
		_, isFailed := e.Op.(BootstrapFailed)
		if !isReady && !isFailed {
			return &WorkerError{Kind: ErrWorkerSessionMismatch, Expected: p.active, WorkerID: sender}, nil
		}
		if slices.Contains(p.ended, sender) {
			return &WorkerError{Kind: ErrRetiredWorker, WorkerID: sender}, nil
		}
		if e.SeqNo == 0 {
			return &SequenceError{0, 0}, nil
		}
		if p.active != nil {
			p.endSession(CauseReplaced)
		}
		p.active, p.expected = &sender, nil
	}
	p.highest = e.SeqNo // step 4
	for i := len(p.taken) - 1; i >= 0; i-- {
		if _, poll := p.taken[i].Op.(PollStatus); poll {
			p.taken, p.takenIn = slices.Delete(p.taken, i, i+1), slices.Delete(p.takenIn, i, i+1)
		}
	}
	return nil, p.operation(e.Op) // step 5
}

func (p *plainCoordinator) operation(op Op) error {
	switch op := op.(type) {
	case BootstrapReady:
		p.ready = true
	case BootstrapFailed:
		p.endSession(CauseBootstrapFailed)
		return &WorkerError{Kind: ErrBootstrapFailed, WorkerID: op.WorkerID, Reason: op.Reason}
	case StatusSnapshot:
		return p.snapshot(op)
	case JobCompleted:
		j, err := p.jobs.find(op.JobID)
		if err != nil {
			return err
		}
		if !plainPollable(j.State) && j.State != StateCancelRequested {
			return &JobError{ErrUnexpectedCompletionPhase, op.JobID, j.State}
		}
		return p.complete(j, op.Outcome, CauseOutcome)
	case CancelAcknowledged:
		return p.proceed(op.JobID, StateDraining, DrainJob(op))
	case DrainCompleted:
		return p.proceed(op.JobID, StateFinalizing, FinalizeJob(op))
	case FinalizeCompleted:
		j, err := p.jobs.find(op.JobID)
		if err != nil {
			return err
		}
		if j.State != StateFinalizing {
			return &TransitionError{op.JobID, j.State, StateCompleted}
		}
		return p.complete(j, OutcomeCancelled{j.reason}, CauseCancelled)
	case ShutdownCompleted:
		p.endSession(CauseShutdown)
	}
	return nil
}

func (p *plainCoordinator) snapshot(op StatusSnapshot) error {
	if plainEnded(op.State) {
		return &JobError{ErrTerminalStatusSnapshot, op.JobID, op.State}
	}
	if !plainPollable(op.State) {
		return &JobError{ErrInvalidStatusSnapshotState, op.JobID, op.State}
	}
	j, err := p.jobs.find(op.JobID)
	if err != nil {
		return err
	}
	if j.State == StateCancelRequested || j.State == op.State {
		return nil
	}
	return j.become(op.State, p.turn())
}

func (p *plainCoordinator) complete(j *plainJob, outcome Outcome, cause EndCause) error {
	err := j.become(StateCompleted, p.turn())
	j.Outcome, j.Cause = outcome, cause
	p.shutdownIfIdle()
	return err
}

// proceed takes a job to the next phase of its cancel handshake, unless a shutdown has been requested.
func (p *plainCoordinator) proceed(jobID uint64, to JobState, request Op) error {
	j, err := p.jobs.find(jobID)
	if err != nil || p.shutdown {
		return err
	}
	if err := j.become(to, p.turn()); err != nil {
		return err
	}
	p.send(request, j)
	return nil
}
