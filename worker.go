package workerchannel

import "iter"

// A Worker is the worker's half of the protocol (PROTOCOL section 10): the state behind the messages of one
// runtime instance. Like Coordinator it does no I/O, belongs to one event loop, is not safe for concurrent use, and
// must not be copied. NewWorker makes one; the zero Worker has an empty id and seed 0.
//
// The application first calls Announce, or Fail. It gives what arrives to Receive and does what the operation
// of the returned envelope asks: it runs a SpawnJob (Start, Report, Complete), answers a CancelJob with
// AcknowledgeCancel (or Complete, if the job ends by itself first), a DrainJob with CompleteDrain, a FinalizeJob
// with CompleteFinalize, and a ShutdownWorker with CompleteShutdown. The Worker answers a PollStatus by itself.
//
// A job that has ended is forgotten, so that its id may come again. A CancelJob may arrive for a job that has
// just ended; Receive returns it like any other, and AcknowledgeCancel then returns ErrUnknownJobID: there is
// nothing left to cancel. Once a shutdown is requested no DrainJob or FinalizeJob follows, so every answer ends
// its job, and one that has been given already has ended it: when InflightCount is 0 nothing is left to answer.
//
// A refused call changes nothing and sends nothing. A call returns, checked in this order, ErrInvalidValue for
// an argument that cannot be sent; ErrWorkerNotReady before Announce, and ErrWorkerClosed after Fail or
// CompleteShutdown; ErrPayloadTooLarge; ErrUnknownJobID; and the error that its comment names.
type Worker struct {
	id       string
	out      outbox
	phase    workerPhase
	shutdown bool   // requested
	lastSeen uint64 // the coordinator's highest sequence number so far
	jobs     table[*workerJob]
}

type workerPhase uint8

const (
	phaseStarting workerPhase = iota
	phaseReady
	phaseClosed
)

// A workerJob is a job that a worker has. Its state is one of those that workerRules distinguish.
type workerJob struct {
	id, regionID, taskID, obligationID uint64
	since, lastSeqNo                   uint64
	state                              JobState
}

// NewWorker returns the worker of one runtime instance. The id must be new for every instance, as the coordinator
// refuses one whose session has ended. It may be empty. If it is not well-formed UTF-8, Announce and Fail return
// ErrInvalidValue.
func NewWorker(id string, seed uint64) *Worker {
	return &Worker{id: id, out: newOutbox(seed)}
}

// Announce tells the coordinator that the worker is ready. Calling it again returns ErrAlreadyAnnounced.
func (w *Worker) Announce() error {
	if err := checkString("worker_id", w.id); err != nil {
		return err
	}
	switch w.phase {
	case phaseReady:
		return ErrAlreadyAnnounced
	case phaseClosed:
		return ErrWorkerClosed
	}
	w.phase = phaseReady
	w.send(BootstrapReady{w.id})
	return nil
}

// Fail tells the coordinator that the worker could not start or cannot go on, and closes it. It may be called
// before Announce.
func (w *Worker) Fail(reason string) error {
	if err := checkString("worker_id", w.id); err != nil {
		return err
	}
	if err := checkString("reason", reason); err != nil {
		return err
	}
	if w.phase == phaseClosed {
		return ErrWorkerClosed
	}
	w.close(BootstrapFailed{w.id, reason})
	return nil
}

// Start makes a queued job StateRunning and reports it. For any other job it returns ErrInvalidTransition.
func (w *Worker) Start(jobID uint64) error {
	return w.call(jobID, workerStart, StatusSnapshot{JobID: jobID, State: StateRunning})
}

// Report sends a status snapshot with a detail for people, such as the progress. It returns
// ErrInvalidStatusSnapshotState unless the job is queued or running.
func (w *Worker) Report(jobID uint64, detail string) error {
	if err := checkString("detail", detail); err != nil {
		return err
	}
	state, _ := w.JobState(jobID)
	return w.call(jobID, workerReport, StatusSnapshot{JobID: jobID, State: state, Detail: &detail})
}

// Complete ends a job with an outcome. Once the job's cancel has been acknowledged it returns
// ErrUnexpectedCompletionPhase. A payload is not copied: do not change it before its envelope has been drained
// and written.
func (w *Worker) Complete(jobID uint64, outcome Outcome) error {
	op := JobCompleted{jobID, outcome}
	var f flatOp
	f.set(op)
	if err := f.checkValues(); err != nil {
		return err
	}
	if err := w.checkReady(); err != nil {
		return err
	}
	if err := checkPayload(f.payload); err != nil {
		return err
	}
	return w.call(jobID, workerComplete, op)
}

// AcknowledgeCancel answers a CancelJob: the job will report no outcome. It returns ErrInvalidTransition unless
// the job has been asked to cancel and has not been acknowledged.
func (w *Worker) AcknowledgeCancel(jobID uint64) error {
	return w.call(jobID, workerAcknowledge, CancelAcknowledged{jobID})
}

// CompleteDrain answers a DrainJob: the job has nothing under way. It returns ErrInvalidTransition unless the
// job is draining and has not been drained.
func (w *Worker) CompleteDrain(jobID uint64) error {
	return w.call(jobID, workerDrained, DrainCompleted{jobID})
}

// CompleteFinalize answers a FinalizeJob: nothing is left of the job. It returns ErrInvalidTransition unless the
// job is finalizing.
func (w *Worker) CompleteFinalize(jobID uint64) error {
	return w.call(jobID, workerFinalized, FinalizeCompleted{jobID})
}

// Diagnose sends a line for the coordinator's log.
func (w *Worker) Diagnose(d Diagnostic) error {
	d.Metadata = cloneString(d.Metadata)
	var f flatOp
	f.set(d)
	if err := f.checkValues(); err != nil {
		return err
	}
	if err := w.checkReady(); err != nil {
		return err
	}
	w.send(d)
	return nil
}

// CompleteShutdown tells the coordinator that the worker has stopped, asked to or not, and closes it. Jobs that
// have not ended fail with the session; the host may run them again.
func (w *Worker) CompleteShutdown() error {
	if err := w.checkReady(); err != nil {
		return err
	}
	w.close(ShutdownCompleted{})
	return nil
}

// AdvanceTurn begins the worker's next turn. Messages carry the turn in which they were made.
func (w *Worker) AdvanceTurn() { w.out.last.IssuedAtTurn++ }

// HandleInbound validates a message of the coordinator and applies it (PROTOCOL section 10, Inbound). The
// envelope remains the caller's, who then does what the operation asks.
//
// After ErrUnexpectedDirection, ErrInboundSequenceNotFresh and the errors of Envelope.Validate nothing has
// changed. ErrDuplicateJobID, ErrUnknownJobID and ErrInvalidTransition mean that the message was accepted but
// did not fit the job that it is about. A closed worker ignores every valid message. A worker that refuses a
// message of its coordinator should Fail and stop.
func (w *Worker) HandleInbound(env *Envelope) error {
	if err := env.Validate(); err != nil {
		return err
	}
	return w.apply(env)
}

// HandleVerified is like HandleInbound for an envelope that Verify has found valid, perhaps on another
// goroutine. For the zero Verified it returns ErrInvalidValue.
func (w *Worker) HandleVerified(v Verified) error {
	if err := v.check(); err != nil {
		return err
	}
	return w.apply(&v.env)
}

// Receive reads, verifies and applies one message: it is like Verify and HandleVerified, in one pass. It returns
// the envelope whenever it is valid, even with an error of HandleVerified. The envelope shares no memory with
// data.
func (w *Worker) Receive(data []byte) (env Envelope, err error) {
	if err := parse(&env, data, ""); err != nil {
		return env, err
	}
	return env, w.apply(&env)
}

// DrainOutbox takes the oldest message from the outbox and returns it, complete with its digest; false if there
// is none.
func (w *Worker) DrainOutbox() (env Envelope, ok bool) {
	var f flatOp
	if ok = w.take(&env, &f); ok {
		env.seal(&f)
	}
	return env, ok
}

// AppendNext takes the oldest message from the outbox, as DrainOutbox does, and appends its canonical JSON to dst, as
// Envelope.AppendJSON does; what is queued can always be written. The capacity of dst must not share memory with a
// payload that was given to Complete. If there is no message, AppendNext returns dst and false.
func (w *Worker) AppendNext(dst []byte) (text []byte, env Envelope, ok bool) {
	var f flatOp
	if ok = w.take(&env, &f); ok {
		env.seal(&f)
		dst = env.write(dst, &f)
	}
	return dst, env, ok
}

// AppendBatch is like AppendNext for as many messages as there are and batch has room for, until they have about size
// bytes together; it takes one whatever size is. It sets batch[:n], and returns dst with their texts, which need not
// follow directly one on the other. Several take less time than with AppendNext, because their digests are computed at
// once.
func (w *Worker) AppendBatch(dst []byte, batch []Outgoing, size int) (text []byte, n int) {
	s := sealer{text: dst}
	for n < len(batch) && w.out.len() > 0 && (n == 0 || len(s.text)-len(dst) < size) {
		var f flatOp
		m := &batch[n]
		*m = Outgoing{}
		w.take(&m.Envelope, &f)
		s.add(m, &f)
		n++
	}
	return s.finish(batch[:n]), n
}

func (w *Worker) take(env *Envelope, f *flatOp) (ok bool) {
	if w.out.len() > 0 { // else the copy of the id would be for nothing
		_, ok = w.out.pop(env, f, cloneString(&w.id))
	}
	return ok
}

// Outbox yields the messages to be sent, oldest first. It takes each from the outbox as DrainOutbox does.
func (w *Worker) Outbox() iter.Seq[Envelope] { return drained(w.DrainOutbox) }

// OutboxLen returns the number of messages in the outbox.
func (w *Worker) OutboxLen() int { return w.out.len() }

// ID returns the id of the runtime instance.
func (w *Worker) ID() string { return w.id }

// Seed returns the seed that messages carry.
func (w *Worker) Seed() uint64 { return w.out.last.Seed }

// Turn returns the number of the worker's turn; the first is 0.
func (w *Worker) Turn() uint64 { return w.out.last.IssuedAtTurn }

// Ready reports whether the worker has announced itself and is not closed.
func (w *Worker) Ready() bool { return w.phase == phaseReady }

// Closed reports whether the worker has failed or completed its shutdown.
func (w *Worker) Closed() bool { return w.phase == phaseClosed }

// ShutdownRequested reports whether the coordinator has asked the worker to stop.
func (w *Worker) ShutdownRequested() bool { return w.shutdown }

// InflightCount returns the number of jobs that have not ended.
func (w *Worker) InflightCount() int { return w.jobs.len() }

// JobState returns the state of a job; false if the worker does not have it.
func (w *Worker) JobState(jobID uint64) (JobState, bool) {
	j, ok := w.Job(jobID)
	return j.State, ok
}

// Job returns what is known of a job; false if the worker does not have it.
func (w *Worker) Job(jobID uint64) (TrackedJob, bool) {
	j, ok := w.jobs.get(jobID)
	if !ok {
		return TrackedJob{}, false
	}
	return TrackedJob{
		JobID: j.id, RegionID: j.regionID, TaskID: j.taskID, ObligationID: j.obligationID,
		State: j.state.public(), Since: j.since, LastSeqNo: j.lastSeqNo,
	}, true
}

// Jobs yields the worker's jobs by ascending id. The ids are read when the iteration starts, so the worker may be
// called during it; a job that has ended by then is left out.
func (w *Worker) Jobs() iter.Seq[TrackedJob] { return ascending(&w.jobs, w.Job) }

func (w *Worker) apply(env *Envelope) error {
	if w.phase == phaseClosed {
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
		return w.spawn(op)
	case PollStatus:
		if j, ok := w.jobs.get(op.JobID); ok && w.phase == phaseReady {
			return w.step(j, workerPolled, StatusSnapshot{JobID: op.JobID, State: j.state})
		}
	case CancelJob:
		return w.step(w.find(op.JobID), workerCancelled, nil)
	case DrainJob:
		return w.step(w.find(op.JobID), workerDrain, nil)
	case FinalizeJob:
		return w.step(w.find(op.JobID), workerFinalize, nil)
	case ShutdownWorker:
		w.shutdown = true
		for _, j := range w.jobs.m {
			_ = w.step(j, workerShutDown, nil) // which ignores a job that it does not concern
		}
	}
	return nil
}

func (w *Worker) spawn(op SpawnJob) error {
	j := w.find(op.JobID)
	if j.state == untracked {
		j.regionID, j.taskID, j.obligationID = op.RegionID, op.TaskID, op.ObligationID
		w.jobs.put(j.id, j)
	}
	return w.step(j, workerSpawned, nil)
}

// call does what a call of the application asks for.
func (w *Worker) call(jobID uint64, row int, message Op) error {
	if err := w.checkReady(); err != nil {
		return err
	}
	return w.step(w.find(jobID), row, message)
}

// checkReady returns the error for a call that is made too early or too late.
func (w *Worker) checkReady() error {
	switch w.phase {
	case phaseStarting:
		return ErrWorkerNotReady
	case phaseClosed:
		return ErrWorkerClosed
	}
	return nil
}

// find returns a job, untracked if the worker does not have it.
func (w *Worker) find(jobID uint64) *workerJob {
	if j, ok := w.jobs.get(jobID); ok {
		return j
	}
	return &workerJob{id: jobID, state: untracked}
}

// step applies a rule to a job and sends the message that goes with it. A job that is untracked then has ended, as has
// one that waits for a request once a shutdown is requested: it is forgotten.
func (w *Worker) step(j *workerJob, row int, message Op) error {
	rule := &workerRules[row]
	if !rule.accepts(j.state) {
		return rule.refuse(j.id, j.state)
	}
	to := rule.leadsTo(j.state)
	if to.public() != j.state.public() {
		j.since = w.Turn()
	}
	j.state = to
	if rule.sends != 0 {
		j.lastSeqNo = w.send(message)
	}
	if j.state == untracked || w.shutdown && workerRules[workerShutDown].accepts(j.state) {
		w.jobs.remove(j.id)
	}
	return nil
}

func (w *Worker) send(op Op) uint64 { return w.out.push(op, nil) }

func (w *Worker) close(last Op) {
	w.phase = phaseClosed
	w.send(last)
	w.jobs = table[*workerJob]{}
}
