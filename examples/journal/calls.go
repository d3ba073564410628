package journal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"

	wc "github.com/workerchannel/workerchannel"
)

// A call says how to make one kind of call again and which members of its step are the result. What the call
// returns is dropped here, but for the message that arrived or was taken: the recorder has it.
type call[R any] struct {
	make    func(R, *object) *wc.Envelope
	results []string
}

// without is a call that has no message.
func without[R any](make func(R, *object), results ...string) call[R] {
	return call[R]{func(r R, in *object) *wc.Envelope {
		make(r, in)
		return nil
	}, results}
}

// The tables are functions and not variables, because a variable brings all that reads a journal into each program that
// imports the package, even if it only records.

func coordinatorCalls() map[string]call[*Recorder] {
	return map[string]call[*Recorder]{
		"handle_inbound": {func(r *Recorder, in *object) *wc.Envelope { return handleAgain(r, in) }, []string{"error"}},
		"unreadable":     {func(r *Recorder, in *object) *wc.Envelope { return unreadAgain(r, r.to, in) }, []string{"error"}},
		"refuse":         {func(r *Recorder, in *object) *wc.Envelope { return refuseAgain(r, in) }, nil},
		"spawn_job": without(func(r *Recorder, in *object) {
			label := in.optional("label")
			_ = r.SpawnLabeled(wc.SpawnJob{
				JobID: in.number("job_id"), RegionID: in.number("region_id"), TaskID: in.number("task_id"),
				ObligationID: in.number("obligation_id"), Payload: in.bytes("payload"),
			}, label, label)
		}, "error"),
		"cancel_job":         without(func(r *Recorder, in *object) { _ = r.CancelJob(in.number("job_id"), in.str("reason")) }, "error"),
		"cancel_region":      without(func(r *Recorder, in *object) { _, _ = r.CancelRegion(in.number("region_id"), in.str("reason")) }, "error", "cancelled"),
		"close_region":       without(func(r *Recorder, in *object) { _, _ = r.CloseRegion(in.number("region_id"), in.str("reason")) }, "error", "cancelled"),
		"poll_status":        without(func(r *Recorder, in *object) { _ = r.PollStatus(in.number("job_id")) }, "error"),
		"request_shutdown":   without(func(r *Recorder, in *object) { _ = r.RequestShutdown(in.str("reason")) }, "error"),
		"shutdown_when_idle": without(func(r *Recorder, in *object) { _ = r.ShutdownWhenIdle(in.str("reason")) }, "error"),
		"remove_job":         without(func(r *Recorder, in *object) { _, _ = r.RemoveJob(in.number("job_id")) }, "error", "state"),
		"reap":               without(func(r *Recorder, _ *object) { r.Reap() }, "reaped"),
		"expect_worker":      without(func(r *Recorder, _ *object) { r.ExpectWorker() }),
		"worker_lost":        without(func(r *Recorder, _ *object) { r.WorkerLost() }),
		"retire_worker":      without(func(r *Recorder, in *object) { r.RetireWorker(in.str("worker_id")) }),
		"advance_turn":       without(func(r *Recorder, _ *object) { r.AdvanceTurn() }),
		"drain_outbox":       {func(r *Recorder, _ *object) *wc.Envelope { return drainAgain(r.DrainOutbox) }, []string{"op", "job_id", "seq_no", "replay_hash"}},
	}
}

func workerCalls() map[string]call[*WorkerRecorder] {
	return map[string]call[*WorkerRecorder]{
		"handle_inbound":     {func(r *WorkerRecorder, in *object) *wc.Envelope { return handleAgain(r, in) }, []string{"error"}},
		"unreadable":         {func(r *WorkerRecorder, in *object) *wc.Envelope { return unreadAgain(r, r.to, in) }, []string{"error"}},
		"refuse":             {func(r *WorkerRecorder, in *object) *wc.Envelope { return refuseAgain(r, in) }, nil},
		"announce":           without(func(r *WorkerRecorder, _ *object) { _ = r.Announce() }, "error"),
		"fail":               without(func(r *WorkerRecorder, in *object) { _ = r.Fail(in.str("reason")) }, "error"),
		"start":              without(func(r *WorkerRecorder, in *object) { _ = r.Start(in.number("job_id")) }, "error"),
		"report":             without(func(r *WorkerRecorder, in *object) { _ = r.Report(in.number("job_id"), in.str("detail")) }, "error"),
		"complete":           without(func(r *WorkerRecorder, in *object) { _ = r.Complete(in.number("job_id"), in.outcome("outcome")) }, "error"),
		"acknowledge_cancel": without(func(r *WorkerRecorder, in *object) { _ = r.AcknowledgeCancel(in.number("job_id")) }, "error"),
		"complete_drain":     without(func(r *WorkerRecorder, in *object) { _ = r.CompleteDrain(in.number("job_id")) }, "error"),
		"complete_finalize":  without(func(r *WorkerRecorder, in *object) { _ = r.CompleteFinalize(in.number("job_id")) }, "error"),
		"diagnose":           without(func(r *WorkerRecorder, in *object) { _ = r.Diagnose(in.diagnostic("diagnostic")) }, "error"),
		"complete_shutdown":  without(func(r *WorkerRecorder, _ *object) { _ = r.CompleteShutdown() }, "error"),
		"advance_turn":       without(func(r *WorkerRecorder, _ *object) { r.AdvanceTurn() }),
		"drain_outbox":       {func(r *WorkerRecorder, _ *object) *wc.Envelope { return drainAgain(r.DrainOutbox) }, []string{"op", "job_id", "seq_no", "replay_hash"}},
	}
}

func drainAgain(drain func() (wc.Envelope, bool)) *wc.Envelope {
	env, ok := drain()
	if !ok {
		return nil
	}
	return &env
}

// A receiver is a Recorder or a WorkerRecorder.
type receiver interface {
	Receive([]byte) (wc.Envelope, error)
	HandleInbound(*wc.Envelope) error
	Refuse(env *wc.Envelope, reason string)
}

func handleAgain(r receiver, in *object) *wc.Envelope {
	if _, packed := in.members["packed"]; packed {
		env, digested := in.packed("wire")
		if env == nil {
			return nil
		}
		sealed := *env
		if digested { // the right replay digest needs the payload
			sealed.ReplayHash = wc.ReplayHash(env.Header, env.WorkerID, env.Op)
		}
		_ = r.HandleInbound(&sealed)
		return env
	}
	data := in.message("wire")
	if in.err != nil {
		return nil
	}
	env, err := r.Receive(data)
	if errors.Is(err, wc.ErrMalformed) {
		in.fail("wire", err)
		return nil
	}
	if env.Op == nil && env.UnmarshalJSON(data) != nil { // a refused message is of interest, too
		return nil
	}
	return &env
}

func refuseAgain(r receiver, in *object) *wc.Envelope {
	env, reason := in.envelope("wire"), in.str("reason")
	if in.err != nil {
		return nil
	}
	r.Refuse(env, reason)
	return env
}

// unreadAgain gives an unreadable message to the receiver if the journal has all of it, and believes it otherwise.
func unreadAgain(r receiver, to *session, in *object) *wc.Envelope {
	size := in.number("bytes")
	head, err := base64.StdEncoding.DecodeString(in.str("head"))
	if err != nil {
		in.fail("head", err)
	}
	if in.err != nil {
		return nil
	}
	if uint64(len(head)) == size {
		if _, err := r.Receive(head); !errors.Is(err, wc.ErrMalformed) && !errors.Is(err, wc.ErrPayloadTooLarge) {
			in.fail("head", errors.New("expected a message that cannot be read"))
		}
		return nil
	}
	to.unreadable(size, head, recordedError{in.members["error"]})
	return nil
}

// A recordedError is an error as it stands in a journal.
type recordedError struct{ json.RawMessage }

func (e recordedError) Error() string { return string(e.RawMessage) }

// message returns a message that arrived, which is a JSON object or, if its text has several lines, a string that has it.
func (o *object) message(name string) []byte {
	if raw := o.members[name]; len(raw) > 0 && raw[0] == '{' {
		return raw
	}
	return []byte(o.str(name))
}

// envelope returns a message that arrived, as packed does if that is how it stands there; nil after a failure.
func (o *object) envelope(name string) *wc.Envelope {
	if _, packed := o.members["packed"]; packed {
		env, _ := o.packed(name)
		return env
	}
	env := new(wc.Envelope)
	if err := env.UnmarshalJSON(o.message(name)); err != nil {
		o.fail(name, err)
		return nil
	}
	return env
}

// packed returns a message whose payload stands in base64 or as a digest. In place of a digest, the payload is that many
// zeros; the replay digest is that of the message as it was. It returns nil after a failure.
func (o *object) packed(name string) (env *wc.Envelope, digested bool) {
	in := o.object(name)
	if in == nil {
		return nil, false
	}
	holder := in.object("op") // of the payload
	if holder != nil && holder.members["outcome"] != nil {
		holder = holder.object("outcome")
	}
	if holder == nil {
		o.fail(name, errors.New("expected a payload"))
		return nil, false
	}
	payload, value := holder.bytes("payload"), holder.members["payload"]
	o.failFrom(name, holder)
	if o.err != nil {
		return nil, false
	}
	raw := o.members[name]
	at := bytes.LastIndex(raw, value) // it is the last member
	data := append(append(bytes.Clone(raw[:at]), "[]"...), raw[at+len(value):]...)
	env = new(wc.Envelope)
	if err := env.UnmarshalJSON(data); err != nil {
		o.fail(name, err)
		return nil, false
	}
	setPayload(env, payload)
	return env, value[0] == '{'
}
