package journal

import (
	"io"
	"iter"

	wc "github.com/workerchannel/workerchannel"
)

// A WorkerRecorder is a Worker that records every call that can change it, as a Recorder does.
type WorkerRecorder struct {
	*wc.Worker
	to recording
}

// RecordWorker is like Record for a worker, which must be new.
func (w *Writer) RecordWorker(k *wc.Worker) *WorkerRecorder {
	r := &WorkerRecorder{k, recording{to: w, digestOver: w.digestOver, at: now}}
	id := k.ID()
	r.to.begin(head{Seed: k.Seed(), WorkerID: &id})
	return r
}

// RecordWorkerSession is like RecordSession for a worker.
func RecordWorkerSession(w io.Writer, k *wc.Worker) *WorkerRecorder {
	r := &WorkerRecorder{k, recording{to: &whole{w: w}, full: true, at: never}}
	id := k.ID()
	r.to.begin(head{Seed: k.Seed(), WorkerID: &id})
	return r
}

// Close ends the session in the journal and returns Err. Calls after it still work and are not recorded.
func (r *WorkerRecorder) Close() error { return r.End(Ending{}) }

// End is Close for a session of which it is known how it ended.
func (r *WorkerRecorder) End(e Ending) error { return r.to.end(e) }

// Err returns a *WriteError if a step could not be written. Nothing has been recorded from there on.
func (r *WorkerRecorder) Err() error { return r.to.err() }

// Receive is recorded as handle_inbound or, if the message cannot be read, as unreadable; see Recorder.Receive.
func (r *WorkerRecorder) Receive(data []byte) (wc.Envelope, error) {
	env, err := r.Worker.Receive(data)
	if r.to.received(data, &env, err) {
		r.end(err)
	}
	return env, err
}

// HandleInbound is recorded as handle_inbound, with the canonical text of the message.
func (r *WorkerRecorder) HandleInbound(env *wc.Envelope) error {
	err := r.Worker.HandleInbound(env)
	if r.to.handled(env, err) {
		r.end(err)
	}
	return err
}

// HandleVerified is recorded as handle_inbound, with the canonical text of the message.
func (r *WorkerRecorder) HandleVerified(v wc.Verified) error {
	err := r.Worker.HandleVerified(v)
	env := v.Envelope()
	if r.to.handled(&env, err) {
		r.end(err)
	}
	return err
}

// Refuse records, as refuse, a message that arrived and was not given to the worker; see Recorder.Refuse.
func (r *WorkerRecorder) Refuse(env *wc.Envelope, reason string) {
	if r.to.refused(env, reason) {
		r.finish()
	}
}

// Announce is recorded as announce.
func (r *WorkerRecorder) Announce() error {
	err := r.Worker.Announce()
	if r.to.call("announce", err) != nil {
		r.end(err)
	}
	return err
}

// Fail is recorded as fail.
func (r *WorkerRecorder) Fail(reason string) error {
	err := r.Worker.Fail(reason)
	if s := r.to.call("fail", err); s != nil {
		s.text(`,"reason":`, reason)
		r.end(err)
	}
	return err
}

// Start is recorded as start.
func (r *WorkerRecorder) Start(jobID uint64) error {
	return r.about("start", jobID, r.Worker.Start(jobID))
}

// Report is recorded as report.
func (r *WorkerRecorder) Report(jobID uint64, detail string) error {
	err := r.Worker.Report(jobID, detail)
	if s := r.to.call("report", err); s != nil {
		s.number(`,"job_id":`, jobID).text(`,"detail":`, detail)
		r.end(err)
	}
	return err
}

// Complete is recorded as complete.
func (r *WorkerRecorder) Complete(jobID uint64, outcome wc.Outcome) error {
	err := r.Worker.Complete(jobID, outcome)
	if s := r.to.call("complete", err); s != nil {
		s.number(`,"job_id":`, jobID)
		r.to.outcome(outcome)
		r.end(err)
	}
	return err
}

// AcknowledgeCancel is recorded as acknowledge_cancel.
func (r *WorkerRecorder) AcknowledgeCancel(jobID uint64) error {
	return r.about("acknowledge_cancel", jobID, r.Worker.AcknowledgeCancel(jobID))
}

// CompleteDrain is recorded as complete_drain.
func (r *WorkerRecorder) CompleteDrain(jobID uint64) error {
	return r.about("complete_drain", jobID, r.Worker.CompleteDrain(jobID))
}

// CompleteFinalize is recorded as complete_finalize.
func (r *WorkerRecorder) CompleteFinalize(jobID uint64) error {
	return r.about("complete_finalize", jobID, r.Worker.CompleteFinalize(jobID))
}

// Diagnose is recorded as diagnose.
func (r *WorkerRecorder) Diagnose(d wc.Diagnostic) error {
	err := r.Worker.Diagnose(d)
	if s := r.to.call("diagnose", err); s != nil {
		s.marshal(`,"diagnostic":`, struct { // as on the wire, without its type
			Category string   `json:"category"`
			Level    wc.Level `json:"level"`
			Message  string   `json:"message"`
			Metadata *string  `json:"metadata"`
		}{d.Category, d.Level, d.Message, d.Metadata})
		r.end(err)
	}
	return err
}

// CompleteShutdown is recorded as complete_shutdown.
func (r *WorkerRecorder) CompleteShutdown() error {
	err := r.Worker.CompleteShutdown()
	if r.to.call("complete_shutdown", err) != nil {
		r.end(err)
	}
	return err
}

// AdvanceTurn is recorded as advance_turn.
func (r *WorkerRecorder) AdvanceTurn() {
	r.Worker.AdvanceTurn()
	if r.to.step("advance_turn") != nil {
		r.finish()
	}
}

// DrainOutbox is recorded as drain_outbox.
func (r *WorkerRecorder) DrainOutbox() (wc.Envelope, bool) {
	env, ok, recorded := r.to.drain(r.Worker)
	if recorded {
		r.finish()
	}
	return env, ok
}

// AppendNext is recorded as drain_outbox.
func (r *WorkerRecorder) AppendNext(dst []byte) (text []byte, env wc.Envelope, ok bool) {
	text, env, ok = r.Worker.AppendNext(dst)
	if r.to.drained(&env, text[len(dst):], ok) {
		r.finish()
	}
	return text, env, ok
}

// AppendBatch records a drain_outbox for each message.
func (r *WorkerRecorder) AppendBatch(dst []byte, batch []wc.Outgoing, size int) (text []byte, n int) {
	return appendBatch(r.AppendNext, dst, batch, size)
}

// Outbox records a drain_outbox for each message.
func (r *WorkerRecorder) Outbox() iter.Seq[wc.Envelope] { return outbox(r.DrainOutbox) }

// about records a call whose only argument is a job.
func (r *WorkerRecorder) about(call string, jobID uint64, err error) error {
	if s := r.to.call(call, err); s != nil {
		s.number(`,"job_id":`, jobID)
		r.end(err)
	}
	return err
}

func (r *WorkerRecorder) end(err error) {
	r.to.line.error(err)
	r.finish()
}

func (r *WorkerRecorder) finish() {
	if r.to.full {
		r.to.line.marshal(`,"after":`, newWorkerAfter(r.Worker))
	} else {
		state := "starting"
		switch {
		case r.Closed():
			state = "closed"
		case r.ShutdownRequested():
			state = "stopping"
		case r.Ready():
			state = "ready"
		}
		r.to.after(after{turn: r.Turn(), state: state, inflight: r.InflightCount(), outbox: r.OutboxLen()})
	}
	r.to.write()
}
