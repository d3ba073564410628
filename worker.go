package workerchannel

import "iter"

// A Worker is the worker's half of the protocol (PROTOCOL section 10): the state behind the messages
// of one runtime instance. Like Coordinator it does no I/O, belongs to one event loop, is not safe for
// concurrent use, and its refused calls change nothing and send nothing. NewWorker makes one; the zero
// Worker is one with an empty id and seed 0.
//
// The application begins with Announce or Fail; before that, all other calls are refused with
// ErrWorkerNotReady. It gives what arrives to Receive and does what the returned envelope's operation
// asks: it runs a SpawnJob (Start, Report, Complete), answers a CancelJob with AcknowledgeCancel (or
// Complete, if the job ends by itself first), a DrainJob with CompleteDrain, a FinalizeJob with
// CompleteFinalize, and a ShutdownWorker with CompleteShutdown. A PollStatus answers itself. A job
// that has ended is forgotten, so that its id may come again. After Fail or CompleteShutdown the
// worker is closed for good: calls are refused with ErrWorkerNotReady, and what arrives is ignored, unless it
// does not even validate.
//
// A job may end while a CancelJob for it is on its way. Receive returns that like any other, without an
// error, and its AcknowledgeCancel is an ErrUnknownJobID, which says that there is nothing left to cancel.
//
// Calls about a job are refused with, in this order, ErrInvalidValue for an argument that cannot be
// sent, ErrWorkerNotReady, ErrPayloadTooLarge, ErrUnknownJobID, and the error that the call names.
type Worker struct {
	id       string
	out      outbox
	phase    workerPhase
	shutdown bool   // requested
	lastSeen uint64 // the coordinator's highest sequence number so far
	jobs     map[uint64]*workerJob
}

type workerPhase uint8

const (
	workerStarting workerPhase = iota
	workerReady
	workerClosed
)

// A workerJob is a job on the worker's side. Its state moves when the coordinator asks for a phase;
// answered tells whether the application has answered that.
type workerJob struct {
	TrackedJob
	answered bool
}

// NewWorker returns the worker of one runtime instance. The id must be new for every instance: the
// coordinator refuses one whose session has ended. It may be empty, and must be well-formed UTF-8, or
// Announce and Fail are refused.
func NewWorker(id string, seed uint64) *Worker {
	return &Worker{id: id, out: newOutbox(seed)}
}

// Announce tells the coordinator that the worker is ready. A second time is an ErrAlreadyAnnounced.
func (w *Worker) Announce() error {
	if err := checkText("worker_id", w.id); err != nil {
		return err
	}
	switch w.phase {
	case workerReady:
		return ErrAlreadyAnnounced
	case workerClosed:
		return ErrWorkerNotReady
	}
	w.phase = workerReady
	w.out.send(BootstrapReady{w.id})
	return nil
}

// Fail tells the coordinator that the worker could not start, or can go on no longer, and closes it.
func (w *Worker) Fail(reason string) error {
	if err := checkText("worker_id", w.id); err != nil {
		return err
	}
	if err := checkText("reason", reason); err != nil {
		return err
	}
	if w.phase == workerClosed {
		return ErrWorkerNotReady
	}
	w.close(BootstrapFailed{w.id, reason})
	return nil
}

// Start makes a queued job StateRunning, and reports it. Any other is an ErrInvalidTransition.
func (w *Worker) Start(jobID uint64) error {
	j, err := w.find(jobID)
	if err != nil {
		return err
	}
	if err := j.TransitionTo(StateRunning); err != nil {
		return err
	}
	w.sendAbout(j, StatusSnapshot{JobID: jobID, State: j.State})
	return nil
}

// Report sends a status snapshot with a detail, such as the progress. A job that is neither queued nor
// running is an ErrInvalidStatusSnapshotState.
func (w *Worker) Report(jobID uint64, detail string) error {
	if err := checkText("detail", detail); err != nil {
		return err
	}
	j, err := w.find(jobID)
	if err != nil {
		return err
	}
	if !j.State.reportable() {
		return &JobError{ErrInvalidStatusSnapshotState, jobID, j.State}
	}
	w.sendAbout(j, StatusSnapshot{JobID: jobID, State: j.State, Detail: &detail})
	return nil
}

// Complete ends a job with an outcome. A job whose cancel has been acknowledged is an
// ErrUnexpectedCompletionPhase. A payload is not copied, and must not be changed until its envelope
// has been drained and written.
func (w *Worker) Complete(jobID uint64, outcome Outcome) error {
	op := JobCompleted{jobID, outcome}
	f := fieldsOf(op)
	if err := f.check(); err != nil {
		return err
	}
	if w.phase != workerReady {
		return ErrWorkerNotReady
	}
	if err := checkPayload(f.payload); err != nil {
		return err
	}
	j, err := w.find(jobID)
	if err != nil {
		return err
	}
	if !j.State.completable() || j.answered {
		return &JobError{ErrUnexpectedCompletionPhase, jobID, j.State}
	}
	w.out.send(op)
	delete(w.jobs, jobID)
	return nil
}

// AcknowledgeCancel answers a CancelJob: the job will not complete by itself any more. A job that is
// not asked to cancel, or has been acknowledged, is an ErrInvalidTransition.
func (w *Worker) AcknowledgeCancel(jobID uint64) error {
	return w.answer(jobID, StateCancelRequested, StateDraining, CancelAcknowledged{jobID})
}

// CompleteDrain answers a DrainJob: the job has nothing under way. A job that is not draining, or has
// been drained, is an ErrInvalidTransition.
func (w *Worker) CompleteDrain(jobID uint64) error {
	return w.answer(jobID, StateDraining, StateFinalizing, DrainCompleted{jobID})
}

// CompleteFinalize answers a FinalizeJob: the job has ended. A job that is not finalizing is an
// ErrInvalidTransition.
func (w *Worker) CompleteFinalize(jobID uint64) error {
	if err := w.answer(jobID, StateFinalizing, StateCompleted, FinalizeCompleted{jobID}); err != nil {
		return err
	}
	delete(w.jobs, jobID)
	return nil
}

// Diagnose sends a line for the coordinator's log.
func (w *Worker) Diagnose(d Diagnostic) error {
	d.Metadata = cloneText(d.Metadata)
	f := fieldsOf(d)
	if err := f.check(); err != nil {
		return err
	}
	if w.phase != workerReady {
		return ErrWorkerNotReady
	}
	w.out.send(d)
	return nil
}

// CompleteShutdown tells the coordinator that the worker has stopped, asked to or not, and closes it.
// Jobs that have not ended fail with the session.
func (w *Worker) CompleteShutdown() error {
	if w.phase != workerReady {
		return ErrWorkerNotReady
	}
	w.close(ShutdownCompleted{})
	return nil
}

// AdvanceTurn begins the worker's next turn; messages carry the turn in which they were made.
func (w *Worker) AdvanceTurn() { w.out.last.IssuedAtTurn++ }

// HandleInbound validates a message of the coordinator and applies it. The envelope remains the
// caller's, who now does what the operation asks.
//
// An error is either the refusal of a message, by Validate or with ErrUnexpectedDirection or
// ErrInboundSequenceNotFresh, after which nothing has changed; or the answer to a message that counts
// as received but did not fit the job it is about: ErrDuplicateJobID, ErrUnknownJobID,
// ErrInvalidTransition.
func (w *Worker) HandleInbound(env *Envelope) error {
	if err := env.Validate(); err != nil {
		return err
	}
	return w.apply(env)
}

// HandleVerified is HandleInbound for an envelope that Verify has found valid, perhaps on another
// goroutine. The zero Verified is an ErrInvalidValue.
func (w *Worker) HandleVerified(v Verified) error {
	if err := v.check(); err != nil {
		return err
	}
	return w.apply(&v.env)
}

// Receive reads, verifies and applies one message: Verify and HandleVerified. The envelope is
// returned whenever it was valid, also with an error of HandleVerified; it aliases nothing of data.
func (w *Worker) Receive(data []byte) (Envelope, error) {
	r := reader{data: data, verifying: true}
	if err := r.verify(); err != nil {
		return Envelope{}, err
	}
	return r.env, w.apply(&r.env)
}

// DrainOutbox takes the oldest message to be sent, sealed with its digest; false if there is none.
func (w *Worker) DrainOutbox() (Envelope, bool) { return w.out.take(cloneText(&w.id)) }

// Outbox yields the messages to be sent, oldest first, taking each from the outbox as it goes.
func (w *Worker) Outbox() iter.Seq[Envelope] { return drain(w.DrainOutbox) }

// OutboxLen returns how many messages wait to be sent.
func (w *Worker) OutboxLen() int { return w.out.len() }

// ID returns the id of the runtime instance.
func (w *Worker) ID() string { return w.id }

// Seed returns the seed that messages carry.
func (w *Worker) Seed() uint64 { return w.out.last.Seed }

// Turn returns the number of the worker's turn, from 0.
func (w *Worker) Turn() uint64 { return w.out.last.IssuedAtTurn }

// Ready tells whether the worker has announced itself and is not closed.
func (w *Worker) Ready() bool { return w.phase == workerReady }

// Closed tells whether the worker has failed or completed its shutdown.
func (w *Worker) Closed() bool { return w.phase == workerClosed }

// ShutdownRequested tells whether the coordinator has asked the worker to stop.
func (w *Worker) ShutdownRequested() bool { return w.shutdown }

// InflightCount returns how many jobs the worker has been given that have not ended.
func (w *Worker) InflightCount() int { return len(w.jobs) }

// JobState returns the state of a job, if the worker has it.
func (w *Worker) JobState(jobID uint64) (JobState, bool) {
	j, ok := w.Job(jobID)
	return j.State, ok
}

// Job returns what is known of a job, if the worker has it.
func (w *Worker) Job(jobID uint64) (TrackedJob, bool) {
	j, ok := w.jobs[jobID]
	if !ok {
		return TrackedJob{}, false
	}
	return j.TrackedJob, true
}

// Jobs yields the worker's jobs by ascending id. The ids are taken when the iteration starts, so that
// the worker may be called meanwhile; a job that has ended by then is left out.
func (w *Worker) Jobs() iter.Seq[TrackedJob] { return byID(&w.jobs, w.Job) }

func (w *Worker) apply(env *Envelope) error {
	if w.phase == workerClosed {
		return nil
	}
	if t := env.Op.Type(); t.Sender() != SenderCoordinator {
		return &DirectionError{t}
	}
	if env.SeqNo <= w.lastSeen {
		return &SequenceError{w.lastSeen, env.SeqNo}
	}
	w.lastSeen = env.SeqNo
	switch op := env.Op.(type) {
	case SpawnJob:
		if _, tracked := w.jobs[op.JobID]; tracked {
			return &JobError{Kind: ErrDuplicateJobID, JobID: op.JobID}
		}
		if w.jobs == nil {
			w.jobs = make(map[uint64]*workerJob)
		}
		w.jobs[op.JobID] = &workerJob{TrackedJob: TrackedJob{JobID: op.JobID, RegionID: op.RegionID, State: StateQueued}}
	case PollStatus:
		if j, ok := w.jobs[op.JobID]; ok && j.State.reportable() && w.phase == workerReady {
			w.sendAbout(j, StatusSnapshot{JobID: op.JobID, State: j.State})
		}
	case CancelJob:
		if j, ok := w.jobs[op.JobID]; ok { // or it ended while the request travelled
			return j.TransitionTo(StateCancelRequested)
		}
	case DrainJob:
		return w.enter(op.JobID, StateDraining)
	case FinalizeJob:
		return w.enter(op.JobID, StateFinalizing)
	case ShutdownWorker:
		w.shutdown = true
	}
	return nil
}

// enter takes a job whose phase has been answered to the next.
func (w *Worker) enter(jobID uint64, phase JobState) error {
	j, ok := w.jobs[jobID]
	if !ok {
		return &JobError{Kind: ErrUnknownJobID, JobID: jobID}
	}
	if !j.answered {
		return &TransitionError{jobID, j.State, phase}
	}
	if err := j.TransitionTo(phase); err != nil {
		return err
	}
	j.answered = false
	return nil
}

// answer sends the application's answer to a phase, once.
func (w *Worker) answer(jobID uint64, phase, next JobState, op Op) error {
	j, err := w.find(jobID)
	if err != nil {
		return err
	}
	if j.State != phase || j.answered {
		return &TransitionError{jobID, j.State, next}
	}
	j.answered = true
	w.sendAbout(j, op)
	return nil
}

// find returns the job that a call is about.
func (w *Worker) find(jobID uint64) (*workerJob, error) {
	if w.phase != workerReady {
		return nil, ErrWorkerNotReady
	}
	if j, ok := w.jobs[jobID]; ok {
		return j, nil
	}
	return nil, &JobError{Kind: ErrUnknownJobID, JobID: jobID}
}

func (w *Worker) sendAbout(j *workerJob, op Op) { j.LastSeqNo = w.out.send(op) }

func (w *Worker) close(last Op) {
	w.phase = workerClosed
	w.out.send(last)
	w.jobs = nil
}
