package workerchannel

import "unicode/utf8"

// The reference model of the worker: PROTOCOL section 10, as naive as that of the coordinator.
type plainWorker struct {
	plainOutbox
	id            string
	jobs          plainJobs
	highest       uint64
	ready, closed bool
	shutdown      bool
}

func newPlainWorker(id string, seed uint64) *plainWorker {
	return &plainWorker{plainOutbox: plainOutbox{workerID: &id, last: Header{Seed: seed}}, id: id}
}

func (p *plainWorker) turn() uint64 { return p.last.IssuedAtTurn }

func (p *plainWorker) close(op Op) error {
	p.send(op, nil)
	p.closed, p.ready, p.jobs = true, false, nil
	return nil
}

func (p *plainWorker) checkReady() error {
	if p.closed {
		return ErrWorkerClosed
	}
	if !p.ready {
		return ErrWorkerNotReady
	}
	return nil
}

// find returns the job that a call is about.
func (p *plainWorker) find(jobID uint64) (*plainJob, error) {
	if err := p.checkReady(); err != nil {
		return nil, err
	}
	return p.jobs.find(jobID)
}

// lastWord forgets a job if a shutdown is requested: no request about it will follow its answer.
func (p *plainWorker) lastWord(j *plainJob) {
	if p.shutdown && j.answered {
		p.jobs.forget(j)
	}
}

func (p *plainWorker) announce() error {
	if !utf8.ValidString(p.id) {
		return ErrInvalidValue
	}
	if p.closed {
		return ErrWorkerClosed
	}
	if p.ready {
		return ErrAlreadyAnnounced
	}
	p.ready = true
	p.send(BootstrapReady{p.id}, nil)
	return nil
}

func (p *plainWorker) fail(reason string) error {
	if !utf8.ValidString(p.id) || !utf8.ValidString(reason) {
		return ErrInvalidValue
	}
	if p.closed {
		return ErrWorkerClosed
	}
	return p.close(BootstrapFailed{p.id, reason})
}

func (p *plainWorker) start(jobID uint64) error {
	j, err := p.find(jobID)
	if err != nil {
		return err
	}
	if err := j.become(StateRunning, p.turn()); err != nil {
		return err
	}
	p.send(StatusSnapshot{JobID: jobID, State: StateRunning}, j)
	return nil
}

func (p *plainWorker) report(jobID uint64, detail string) error {
	if !utf8.ValidString(detail) {
		return ErrInvalidValue
	}
	j, err := p.find(jobID)
	if err != nil {
		return err
	}
	if !plainPollable(j.State) {
		return &JobError{ErrInvalidStatusSnapshotState, jobID, j.State}
	}
	p.send(StatusSnapshot{jobID, j.State, &detail}, j)
	return nil
}

func (p *plainWorker) complete(jobID uint64, outcome Outcome) error {
	op := JobCompleted{jobID, outcome}
	if !plainSendable(Envelope{Op: op}) {
		return ErrInvalidValue
	}
	if err := p.checkReady(); err != nil {
		return err
	}
	if ok, is := outcome.(OutcomeOk); is && len(ok.Payload) > 262144 {
		return &PayloadError{len(ok.Payload), 262144}
	}
	j, err := p.find(jobID)
	if err != nil {
		return err
	}
	if !plainPollable(j.State) && (j.State != StateCancelRequested || j.answered) {
		return &JobError{ErrUnexpectedCompletionPhase, jobID, j.State}
	}
	p.send(op, j)
	p.jobs.forget(j)
	return nil
}

// answer sends op, the application's answer to the phase that a job is in; next is the phase after it.
func (p *plainWorker) answer(jobID uint64, phase, next JobState, op Op) error {
	j, err := p.find(jobID)
	if err != nil {
		return err
	}
	if j.State != phase || j.answered {
		return &TransitionError{jobID, j.State, next}
	}
	j.answered = true
	p.send(op, j)
	if phase == StateFinalizing {
		p.jobs.forget(j)
	}
	p.lastWord(j)
	return nil
}

func (p *plainWorker) acknowledge(jobID uint64) error {
	return p.answer(jobID, StateCancelRequested, StateDraining, CancelAcknowledged{jobID})
}

func (p *plainWorker) completeDrain(jobID uint64) error {
	return p.answer(jobID, StateDraining, StateFinalizing, DrainCompleted{jobID})
}

func (p *plainWorker) completeFinalize(jobID uint64) error {
	return p.answer(jobID, StateFinalizing, StateCompleted, FinalizeCompleted{jobID})
}

func (p *plainWorker) diagnose(d Diagnostic) error {
	if !plainSendable(Envelope{Op: d}) {
		return ErrInvalidValue
	}
	if err := p.checkReady(); err != nil {
		return err
	}
	p.send(d, nil)
	return nil
}

func (p *plainWorker) completeShutdown() error {
	if err := p.checkReady(); err != nil {
		return err
	}
	return p.close(ShutdownCompleted{})
}

// inbound takes a message. A refusal changes nothing.
func (p *plainWorker) inbound(e Envelope) (refusal, answer error) {
	if err := plainVerdict(e); err != nil {
		return err, nil
	}
	if p.closed {
		return nil, nil
	}
	if !fromCoordinator(e.Op) {
		return &DirectionError{e.Op.Type()}, nil
	}
	if e.SeqNo <= p.highest {
		return &SequenceError{p.highest, e.SeqNo}, nil
	}
	p.highest = e.SeqNo
	return nil, p.operation(e.Op)
}

func (p *plainWorker) operation(op Op) error {
	switch op := op.(type) {
	case SpawnJob:
		if _, err := p.jobs.find(op.JobID); err == nil {
			return &JobError{Kind: ErrDuplicateJobID, JobID: op.JobID}
		}
		p.jobs = append(p.jobs, &plainJob{TrackedJob: TrackedJob{
			JobID: op.JobID, RegionID: op.RegionID, TaskID: op.TaskID, ObligationID: op.ObligationID,
			State: StateQueued, Since: p.turn(),
		}})
	case PollStatus:
		if j, err := p.jobs.find(op.JobID); err == nil && p.ready && plainPollable(j.State) {
			p.send(StatusSnapshot{JobID: op.JobID, State: j.State}, j)
		}
	case CancelJob:
		if j, err := p.jobs.find(op.JobID); err == nil {
			return j.become(StateCancelRequested, p.turn())
		}
	case DrainJob:
		return p.proceed(op.JobID, StateDraining)
	case FinalizeJob:
		return p.proceed(op.JobID, StateFinalizing)
	case ShutdownWorker:
		p.shutdown = true
		for _, j := range p.jobs.all() {
			p.lastWord(j)
		}
	}
	return nil
}

// proceed takes a job whose phase has been answered to the next one.
func (p *plainWorker) proceed(jobID uint64, to JobState) error {
	j, err := p.jobs.find(jobID)
	if err != nil {
		return err
	}
	if !j.answered {
		return &TransitionError{jobID, j.State, to}
	}
	return j.become(to, p.turn())
}
