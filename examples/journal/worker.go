package journal

import (
	"iter"

	wc "github.com/workerchannel/workerchannel"
)

// A WorkerRecorder is a Worker that records every call that can change it, as a Recorder does.
type WorkerRecorder struct {
	*wc.Worker
	to *session
}

// RecordWorker is like Record for a worker, which must be new.
func (w *Writer) RecordWorker(k *wc.Worker) *WorkerRecorder {
	r, id := &WorkerRecorder{Worker: k}, k.ID()
	r.to = w.begin(head{seed: k.Seed(), workerID: &id}, r.state)
	return r
}

// Close ends the session in the journal and returns Err. Calls after it still work and are not recorded.
func (r *WorkerRecorder) Close() error { return r.End(Ending{}) }

// End is Close for a session of which it is known how it ended.
func (r *WorkerRecorder) End(e Ending) error { return r.to.end(e) }

// Err returns a *WriteError if a step could not be written. Nothing has been recorded from there on.
func (r *WorkerRecorder) Err() error { return r.to.w.Err() }

// Receive is recorded as handle_inbound or, if the message cannot be read, as unreadable; see Recorder.Receive.
func (r *WorkerRecorder) Receive(data []byte) (wc.Envelope, error) {
	env, err := r.Worker.Receive(data)
	r.to.received(data, func() wc.Envelope { return env }, err)
	return env, err
}

// HandleInbound is recorded as handle_inbound, with the canonical text of the message.
func (r *WorkerRecorder) HandleInbound(env *wc.Envelope) error {
	err := r.Worker.HandleInbound(env)
	r.to.handled(env, err)
	return err
}

// HandleVerified is recorded as handle_inbound, with the canonical text of the message.
func (r *WorkerRecorder) HandleVerified(v wc.Verified) error {
	err := r.Worker.HandleVerified(v)
	env := v.Envelope()
	r.to.handled(&env, err)
	return err
}

// Refuse records, as refuse, a message that arrived and was not given to the worker; see Recorder.Refuse.
func (r *WorkerRecorder) Refuse(env *wc.Envelope, reason string) { r.to.refused(env, reason) }

// Announce is recorded as announce.
func (r *WorkerRecorder) Announce() error {
	err := r.Worker.Announce()
	if r.to.call("announce", err) != nil {
		r.to.result(err)
	}
	return err
}

// Fail is recorded as fail.
func (r *WorkerRecorder) Fail(reason string) error {
	return r.to.says("fail", `,"reason":`, reason, r.Worker.Fail(reason))
}

// Start is recorded as start.
func (r *WorkerRecorder) Start(jobID uint64) error {
	return r.to.about("start", jobID, r.Worker.Start(jobID))
}

// Report is recorded as report.
func (r *WorkerRecorder) Report(jobID uint64, detail string) error {
	err := r.Worker.Report(jobID, detail)
	if l := r.to.call("report", err); l != nil {
		l.number(`,"job_id":`, jobID).text(`,"detail":`, detail)
		r.to.result(err)
	}
	return err
}

// Complete is recorded as complete.
func (r *WorkerRecorder) Complete(jobID uint64, outcome wc.Outcome) error {
	err := r.Worker.Complete(jobID, outcome)
	if l := r.to.call("complete", err); l != nil {
		l.number(`,"job_id":`, jobID)
		r.to.outcome(outcome)
		r.to.result(err)
	}
	return err
}

// AcknowledgeCancel is recorded as acknowledge_cancel.
func (r *WorkerRecorder) AcknowledgeCancel(jobID uint64) error {
	return r.to.about("acknowledge_cancel", jobID, r.Worker.AcknowledgeCancel(jobID))
}

// CompleteDrain is recorded as complete_drain.
func (r *WorkerRecorder) CompleteDrain(jobID uint64) error {
	return r.to.about("complete_drain", jobID, r.Worker.CompleteDrain(jobID))
}

// CompleteFinalize is recorded as complete_finalize.
func (r *WorkerRecorder) CompleteFinalize(jobID uint64) error {
	return r.to.about("complete_finalize", jobID, r.Worker.CompleteFinalize(jobID))
}

// Diagnose is recorded as diagnose.
func (r *WorkerRecorder) Diagnose(d wc.Diagnostic) error {
	err := r.Worker.Diagnose(d)
	if l := r.to.call("diagnose", err); l != nil {
		l.marshal(`,"diagnostic":`, struct { // as on the wire, without its type
			Category string   `json:"category"`
			Level    wc.Level `json:"level"`
			Message  string   `json:"message"`
			Metadata *string  `json:"metadata"`
		}{d.Category, d.Level, d.Message, d.Metadata})
		r.to.result(err)
	}
	return err
}

// CompleteShutdown is recorded as complete_shutdown.
func (r *WorkerRecorder) CompleteShutdown() error {
	err := r.Worker.CompleteShutdown()
	if r.to.call("complete_shutdown", err) != nil {
		r.to.result(err)
	}
	return err
}

// AdvanceTurn is recorded as advance_turn.
func (r *WorkerRecorder) AdvanceTurn() {
	r.Worker.AdvanceTurn()
	r.to.plain("advance_turn")
}

// DrainOutbox is recorded as drain_outbox.
func (r *WorkerRecorder) DrainOutbox() (wc.Envelope, bool) {
	env, ok := r.Worker.DrainOutbox()
	r.to.drained(&env, ok)
	return env, ok
}

// AppendNext is recorded as drain_outbox.
func (r *WorkerRecorder) AppendNext(dst []byte) (text []byte, env wc.Envelope, ok bool) {
	text, env, ok = r.Worker.AppendNext(dst)
	r.to.drained(&env, ok)
	return text, env, ok
}

// AppendBatch records a drain_outbox for each message.
func (r *WorkerRecorder) AppendBatch(dst []byte, batch []wc.Outgoing, size int) (text []byte, n int) {
	text, n = r.Worker.AppendBatch(dst, batch, size)
	r.to.batch(batch[:n])
	return text, n
}

// Outbox records a drain_outbox for each message.
func (r *WorkerRecorder) Outbox() iter.Seq[wc.Envelope] { return outbox(r.DrainOutbox) }

// state returns what a step tells of the state after it.
func (r *WorkerRecorder) state() after {
	state := "starting"
	switch {
	case r.Closed():
		state = "closed"
	case r.ShutdownRequested():
		state = "stopping"
	case r.Ready():
		state = "ready"
	}
	return after{turn: r.Turn(), state: state, inflight: r.InflightCount(), outbox: r.OutboxLen()}
}
