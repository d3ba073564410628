package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	wc "github.com/workerchannel/workerchannel"
)

// A WorkerRecorder is a Worker that records every call that can change it, as a Recorder does.
type WorkerRecorder struct {
	*wc.Worker
	note func(Step)
}

// RecordWorker returns the worker with each call from now on passed to note.
func RecordWorker(w *wc.Worker, note func(Step)) *WorkerRecorder { return &WorkerRecorder{w, note} }

// Receive is recorded as handle_inbound, unless data is malformed.
func (r *WorkerRecorder) Receive(data []byte) (wc.Envelope, error) {
	env, err := r.Worker.Receive(data)
	if !errors.Is(err, wc.ErrMalformed) {
		_ = r.step("handle_inbound", err, Step{"wire": string(data)})
	}
	return env, err
}

// Announce is recorded as announce.
func (r *WorkerRecorder) Announce() error { return r.step("announce", r.Worker.Announce(), Step{}) }

// Fail is recorded as fail.
func (r *WorkerRecorder) Fail(reason string) error {
	return r.step("fail", r.Worker.Fail(reason), Step{"reason": reason})
}

// Start is recorded as start.
func (r *WorkerRecorder) Start(jobID uint64) error { return r.about("start", r.Worker.Start, jobID) }

// Report is recorded as report.
func (r *WorkerRecorder) Report(jobID uint64, detail string) error {
	return r.step("report", r.Worker.Report(jobID, detail), Step{"job_id": jobID, "detail": detail})
}

// Complete is recorded as complete.
func (r *WorkerRecorder) Complete(jobID uint64, outcome wc.Outcome) error {
	return r.step("complete", r.Worker.Complete(jobID, outcome), Step{"job_id": jobID, "outcome": outcomeOnWire(outcome)})
}

// AcknowledgeCancel is recorded as acknowledge_cancel.
func (r *WorkerRecorder) AcknowledgeCancel(jobID uint64) error {
	return r.about("acknowledge_cancel", r.Worker.AcknowledgeCancel, jobID)
}

// CompleteDrain is recorded as complete_drain.
func (r *WorkerRecorder) CompleteDrain(jobID uint64) error {
	return r.about("complete_drain", r.Worker.CompleteDrain, jobID)
}

// CompleteFinalize is recorded as complete_finalize.
func (r *WorkerRecorder) CompleteFinalize(jobID uint64) error {
	return r.about("complete_finalize", r.Worker.CompleteFinalize, jobID)
}

// Diagnose is recorded as diagnose.
func (r *WorkerRecorder) Diagnose(d wc.Diagnostic) error {
	members := onWire(d)
	delete(members, "type")
	return r.step("diagnose", r.Worker.Diagnose(d), Step{"diagnostic": members})
}

// CompleteShutdown is recorded as complete_shutdown.
func (r *WorkerRecorder) CompleteShutdown() error {
	return r.step("complete_shutdown", r.Worker.CompleteShutdown(), Step{})
}

// AdvanceTurn is recorded as advance_turn.
func (r *WorkerRecorder) AdvanceTurn() {
	r.Worker.AdvanceTurn()
	r.record("advance_turn", Step{})
}

// DrainOutbox is recorded as drain_outbox.
func (r *WorkerRecorder) DrainOutbox() (wc.Envelope, bool) {
	env, ok := r.Worker.DrainOutbox()
	r.record("drain_outbox", drained(env, ok))
	return env, ok
}

// Outbox records a drain_outbox for each message, and one more that finds none left.
func (r *WorkerRecorder) Outbox() iter.Seq[wc.Envelope] { return outbox(r.DrainOutbox) }

func (r *WorkerRecorder) about(call string, f func(uint64) error, jobID uint64) error {
	return r.step(call, f(jobID), Step{"job_id": jobID})
}

func (r *WorkerRecorder) step(call string, err error, s Step) error {
	if !errors.Is(err, wc.ErrInvalidValue) {
		s["error"] = Describe(err)
		r.record(call, s)
	}
	return err
}

func (r *WorkerRecorder) record(call string, s Step) {
	s["call"], s["after"] = call, newWorkerAfter(r.Worker)
	r.note(s)
}

// outcome reads an outcome in the form that it has on the wire.
func (o *object) outcome(name string) wc.Outcome {
	in := o.object(name)
	if in == nil {
		return nil
	}
	defer o.failFrom(name, in)
	switch status := in.str("status"); status {
	case "Ok":
		return wc.OutcomeOk{Payload: in.bytes("payload")}
	case "Err":
		return wc.OutcomeErr{Code: in.str("code"), Message: in.str("message")}
	case "Cancelled":
		return wc.OutcomeCancelled{Reason: in.str("reason")}
	case "Panicked":
		return wc.OutcomePanicked{Message: in.str("message")}
	default:
		in.fail("status", fmt.Errorf("unknown name %s", show(status)))
	}
	return nil
}

// diagnostic reads a diagnostic in the form that it has on the wire, without its type.
func (o *object) diagnostic(name string) (d wc.Diagnostic) {
	in := o.object(name)
	if in == nil {
		return d
	}
	defer o.failFrom(name, in)
	d = wc.Diagnostic{Category: in.str("category"), Message: in.str("message")}
	switch level := in.str("level"); level {
	case "Info":
		d.Level = wc.LevelInfo
	case "Warn":
		d.Level = wc.LevelWarn
	case "Error":
		d.Level = wc.LevelError
	default:
		in.fail("level", fmt.Errorf("unknown name %s", show(level)))
	}
	if metadata, ok := in.members["metadata"]; !ok || string(metadata) != "null" {
		s := in.str("metadata")
		d.Metadata = &s
	}
	return d
}

// object reads a member that is an object; nil after a failure.
func (o *object) object(name string) *object {
	in, err := readObject(member[json.RawMessage](o, name))
	if err != nil {
		o.fail(name, err)
		return nil
	}
	return in
}

// failFrom keeps the failure of a member that is an object.
func (o *object) failFrom(name string, in *object) {
	if in.err != nil {
		o.fail(name, in.err)
	}
}
