package model

import (
	"unicode/utf8"

	wc "github.com/workerchannel/workerchannel"
)

// A Worker is PROTOCOL section 10, as naive as the Coordinator. Its methods are named for the calls.
type Worker struct {
	Outbox
	ID            string
	Jobs          Jobs
	Highest       uint64
	Ready, Closed bool
	Shutdown      bool
}

// NewWorker returns a worker that has not announced itself.
func NewWorker(id string, seed uint64) *Worker {
	return &Worker{Outbox: Outbox{workerID: &id, Last: wc.Header{Seed: seed}}, ID: id}
}

func (p *Worker) Turn() uint64 { return p.Last.IssuedAtTurn }

func (p *Worker) close(op wc.Op) error {
	p.send(op, nil)
	p.Closed, p.Ready, p.Jobs = true, false, nil
	return nil
}

func (p *Worker) checkReady() error {
	if p.Closed {
		return wc.ErrWorkerClosed
	}
	if !p.Ready {
		return wc.ErrWorkerNotReady
	}
	return nil
}

// find returns the job that a call is about.
func (p *Worker) find(jobID uint64) (*Job, error) {
	if err := p.checkReady(); err != nil {
		return nil, err
	}
	return p.Jobs.Find(jobID)
}

// lastWord forgets a job if a shutdown is requested: no request about it will follow its answer.
func (p *Worker) lastWord(j *Job) {
	if p.Shutdown && j.Answered {
		p.Jobs.forget(j)
	}
}

func (p *Worker) Announce() error {
	if !utf8.ValidString(p.ID) {
		return wc.ErrInvalidValue
	}
	if p.Closed {
		return wc.ErrWorkerClosed
	}
	if p.Ready {
		return wc.ErrAlreadyAnnounced
	}
	p.Ready = true
	p.send(wc.BootstrapReady{WorkerID: p.ID}, nil)
	return nil
}

func (p *Worker) Fail(reason string) error {
	if !utf8.ValidString(p.ID) || !utf8.ValidString(reason) {
		return wc.ErrInvalidValue
	}
	if p.Closed {
		return wc.ErrWorkerClosed
	}
	return p.close(wc.BootstrapFailed{WorkerID: p.ID, Reason: reason})
}

func (p *Worker) Start(jobID uint64) error {
	j, err := p.find(jobID)
	if err != nil {
		return err
	}
	if err := j.become(wc.StateRunning, p.Turn()); err != nil {
		return err
	}
	p.send(wc.StatusSnapshot{JobID: jobID, State: wc.StateRunning}, j)
	return nil
}

func (p *Worker) Report(jobID uint64, detail string) error {
	if !utf8.ValidString(detail) {
		return wc.ErrInvalidValue
	}
	j, err := p.find(jobID)
	if err != nil {
		return err
	}
	if !Pollable(j.State) {
		return &wc.JobError{Kind: wc.ErrInvalidStatusSnapshotState, JobID: jobID, State: j.State}
	}
	p.send(wc.StatusSnapshot{JobID: jobID, State: j.State, Detail: &detail}, j)
	return nil
}

func (p *Worker) Complete(jobID uint64, outcome wc.Outcome) error {
	op := wc.JobCompleted{JobID: jobID, Outcome: outcome}
	if !Sendable(wc.Envelope{Op: op}) {
		return wc.ErrInvalidValue
	}
	if err := p.checkReady(); err != nil {
		return err
	}
	if ok, is := outcome.(wc.OutcomeOk); is && len(ok.Payload) > 262144 {
		return &wc.PayloadError{Size: len(ok.Payload), Max: 262144}
	}
	j, err := p.find(jobID)
	if err != nil {
		return err
	}
	if !Pollable(j.State) && (j.State != wc.StateCancelRequested || j.Answered) {
		return &wc.JobError{Kind: wc.ErrUnexpectedCompletionPhase, JobID: jobID, State: j.State}
	}
	p.send(op, j)
	p.Jobs.forget(j)
	return nil
}

// answer sends op, the application's answer to the phase that a job is in; next is the phase after it.
func (p *Worker) answer(jobID uint64, phase, next wc.JobState, op wc.Op) error {
	j, err := p.find(jobID)
	if err != nil {
		return err
	}
	if j.State != phase || j.Answered {
		return &wc.TransitionError{JobID: jobID, From: j.State, To: next}
	}
	j.Answered = true
	p.send(op, j)
	if phase == wc.StateFinalizing {
		p.Jobs.forget(j)
	}
	p.lastWord(j)
	return nil
}

func (p *Worker) Acknowledge(jobID uint64) error {
	return p.answer(jobID, wc.StateCancelRequested, wc.StateDraining, wc.CancelAcknowledged{JobID: jobID})
}

func (p *Worker) CompleteDrain(jobID uint64) error {
	return p.answer(jobID, wc.StateDraining, wc.StateFinalizing, wc.DrainCompleted{JobID: jobID})
}

func (p *Worker) CompleteFinalize(jobID uint64) error {
	return p.answer(jobID, wc.StateFinalizing, wc.StateCompleted, wc.FinalizeCompleted{JobID: jobID})
}

func (p *Worker) Diagnose(d wc.Diagnostic) error {
	if !Sendable(wc.Envelope{Op: d}) {
		return wc.ErrInvalidValue
	}
	if err := p.checkReady(); err != nil {
		return err
	}
	p.send(d, nil)
	return nil
}

func (p *Worker) CompleteShutdown() error {
	if err := p.checkReady(); err != nil {
		return err
	}
	return p.close(wc.ShutdownCompleted{})
}

// Inbound takes a message. A refusal changes nothing.
func (p *Worker) Inbound(e wc.Envelope) (refusal, answer error) {
	if err := Verdict(e); err != nil {
		return err, nil
	}
	if p.Closed {
		return nil, nil
	}
	if !FromCoordinator(e.Op) {
		return &wc.DirectionError{Op: e.Op.Type()}, nil
	}
	if e.SeqNo <= p.Highest {
		return &wc.SequenceError{LastSeen: p.Highest, Actual: e.SeqNo}, nil
	}
	p.Highest = e.SeqNo
	return nil, p.operation(e.Op)
}

func (p *Worker) operation(op wc.Op) error {
	switch op := op.(type) {
	case wc.SpawnJob:
		if _, err := p.Jobs.Find(op.JobID); err == nil {
			return &wc.JobError{Kind: wc.ErrDuplicateJobID, JobID: op.JobID}
		}
		p.Jobs = append(p.Jobs, &Job{TrackedJob: wc.TrackedJob{
			JobID: op.JobID, RegionID: op.RegionID, TaskID: op.TaskID, ObligationID: op.ObligationID,
			State: wc.StateQueued, Since: p.Turn(),
		}})
	case wc.PollStatus:
		if j, err := p.Jobs.Find(op.JobID); err == nil && p.Ready && Pollable(j.State) {
			p.send(wc.StatusSnapshot{JobID: op.JobID, State: j.State}, j)
		}
	case wc.CancelJob:
		if j, err := p.Jobs.Find(op.JobID); err == nil {
			return j.become(wc.StateCancelRequested, p.Turn())
		}
	case wc.DrainJob:
		return p.proceed(op.JobID, wc.StateDraining)
	case wc.FinalizeJob:
		return p.proceed(op.JobID, wc.StateFinalizing)
	case wc.ShutdownWorker:
		p.Shutdown = true
		for _, j := range p.Jobs.All() {
			p.lastWord(j)
		}
	}
	return nil
}

// proceed takes a job whose phase has been answered to the next one.
func (p *Worker) proceed(jobID uint64, to wc.JobState) error {
	j, err := p.Jobs.Find(jobID)
	if err != nil {
		return err
	}
	if !j.Answered {
		return &wc.TransitionError{JobID: jobID, From: j.State, To: to}
	}
	return j.become(to, p.Turn())
}
