package model

import (
	"slices"

	wc "github.com/workerchannel/workerchannel"
)

// The model of the coordinator, continued: section 7, "Inbound".

// Inbound takes a message. An error of the first three steps is a refusal; one of the fifth is an answer.
func (p *Coordinator) Inbound(e wc.Envelope) (refusal, answer error) {
	if err := Verdict(e); err != nil { // step 1
		return err, nil
	}
	if FromCoordinator(e.Op) { // step 2
		return &wc.DirectionError{Op: e.Op.Type()}, nil
	}
	sender := *e.WorkerID
	if p.Active != nil && *p.Active == sender { // step 3
		if e.SeqNo <= p.Highest {
			return &wc.SequenceError{LastSeen: p.Highest, Actual: e.SeqNo}, nil
		}
	} else {
		_, isReady := e.Op.(wc.BootstrapReady)
		_, isFailed := e.Op.(wc.BootstrapFailed)
		if !isReady && !isFailed {
			return &wc.WorkerError{Kind: wc.ErrWorkerSessionMismatch, Expected: p.Active, WorkerID: sender}, nil
		}
		if slices.Contains(p.Ended, sender) {
			return &wc.WorkerError{Kind: wc.ErrRetiredWorker, WorkerID: sender}, nil
		}
		if e.SeqNo == 0 {
			return new(wc.SequenceError), nil
		}
		if p.Active != nil {
			p.endSession(wc.CauseReplaced)
		}
		p.Active, p.expected = &sender, nil
	}
	p.Highest = e.SeqNo // step 4
	for i := len(p.taken) - 1; i >= 0; i-- {
		if _, poll := p.taken[i].Op.(wc.PollStatus); poll {
			p.taken, p.takenIn = slices.Delete(p.taken, i, i+1), slices.Delete(p.takenIn, i, i+1)
		}
	}
	return nil, p.operation(e.Op) // step 5
}

func (p *Coordinator) operation(op wc.Op) error {
	switch op := op.(type) {
	case wc.BootstrapReady:
		p.Ready = true
	case wc.BootstrapFailed:
		p.endSession(wc.CauseBootstrapFailed)
		return &wc.WorkerError{Kind: wc.ErrBootstrapFailed, WorkerID: op.WorkerID, Reason: op.Reason}
	case wc.StatusSnapshot:
		return p.snapshot(op)
	case wc.JobCompleted:
		j, err := p.Jobs.Find(op.JobID)
		if err != nil {
			return err
		}
		if !Pollable(j.State) && j.State != wc.StateCancelRequested {
			return &wc.JobError{Kind: wc.ErrUnexpectedCompletionPhase, JobID: op.JobID, State: j.State}
		}
		return p.complete(j, op.Outcome, wc.CauseOutcome)
	case wc.CancelAcknowledged:
		return p.proceed(op.JobID, wc.StateDraining, wc.DrainJob(op))
	case wc.DrainCompleted:
		return p.proceed(op.JobID, wc.StateFinalizing, wc.FinalizeJob(op))
	case wc.FinalizeCompleted:
		j, err := p.Jobs.Find(op.JobID)
		if err != nil {
			return err
		}
		if j.State != wc.StateFinalizing {
			return &wc.TransitionError{JobID: op.JobID, From: j.State, To: wc.StateCompleted}
		}
		return p.complete(j, wc.OutcomeCancelled{Reason: j.reason}, wc.CauseCancelled)
	case wc.ShutdownCompleted:
		p.endSession(wc.CauseShutdown)
	}
	return nil
}

func (p *Coordinator) snapshot(op wc.StatusSnapshot) error {
	if Ended(op.State) {
		return &wc.JobError{Kind: wc.ErrTerminalStatusSnapshot, JobID: op.JobID, State: op.State}
	}
	if !Pollable(op.State) {
		return &wc.JobError{Kind: wc.ErrInvalidStatusSnapshotState, JobID: op.JobID, State: op.State}
	}
	j, err := p.Jobs.Find(op.JobID)
	if err != nil {
		return err
	}
	if j.State == wc.StateCancelRequested || j.State == op.State {
		return nil
	}
	return j.become(op.State, p.Turn())
}

func (p *Coordinator) complete(j *Job, outcome wc.Outcome, cause wc.EndCause) error {
	err := j.become(wc.StateCompleted, p.Turn())
	j.Outcome, j.Cause = outcome, cause
	p.shutdownIfIdle()
	return err
}

// proceed takes a job to the next phase of its cancel handshake, unless a shutdown has been requested.
func (p *Coordinator) proceed(jobID uint64, to wc.JobState, request wc.Op) error {
	j, err := p.Jobs.Find(jobID)
	if err != nil || p.Shutdown {
		return err
	}
	if err := j.become(to, p.Turn()); err != nil {
		return err
	}
	p.send(request, j)
	return nil
}
