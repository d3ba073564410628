// Package logvalue makes messages and jobs values for log/slog, which the library itself does not import.
//
//	slog.Info("received", "message", logvalue.Envelope(env))
//	slog.Info("ended", "job", logvalue.Job(tracked))
//
// A handler of slog writes them as groups of attributes. Nothing is computed unless the record is written. Of a
// payload there is only the size. Strings of the peer are cut to 200 bytes; a handler escapes them. For one readable line
// use Envelope.String of the library.
package logvalue

import (
	"log/slog"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// maxText is how much is kept of a string, in bytes.
const maxText = 200

// An Envelope is a message, as a group of from ("coordinator" or the worker's id), op, seq, turn (the sender's) and,
// as far as the operation has them, job, bytes (of the payload), outcome, state, level, category and text (a reason,
// detail or message).
type Envelope wc.Envelope

// LogValue returns the group.
func (e Envelope) LogValue() slog.Value {
	if e.Op == nil {
		return slog.GroupValue(slog.String("op", "none"))
	}
	from := e.Op.Type().Sender().String()
	if e.WorkerID != nil {
		from = cut(*e.WorkerID)
	}
	attrs := []slog.Attr{
		slog.String("from", from), slog.String("op", e.Op.Type().String()),
		slog.Uint64("seq", e.SeqNo), slog.Uint64("turn", e.IssuedAtTurn),
	}
	if id, ok := wc.JobOf(e.Op); ok {
		attrs = append(attrs, slog.Uint64("job", id))
	}
	text := func(s string) { attrs = append(attrs, slog.String("text", cut(s))) }
	switch op := e.Op.(type) {
	case wc.SpawnJob:
		attrs = append(attrs, slog.Int("bytes", len(op.Payload)))
	case wc.BootstrapFailed:
		text(op.Reason)
	case wc.StatusSnapshot:
		attrs = append(attrs, slog.String("state", op.State.String()))
		if op.Detail != nil {
			text(*op.Detail)
		}
	case wc.JobCompleted:
		attrs = append(attrs, outcome(op.Outcome)...)
	case wc.CancelJob:
		text(op.Reason)
	case wc.ShutdownWorker:
		text(op.Reason)
	case wc.Diagnostic:
		attrs = append(attrs, slog.String("level", op.Level.String()), slog.String("category", cut(op.Category)))
		text(op.Message)
	}
	return slog.GroupValue(attrs...)
}

// A Job is a tracked job, as a group of id, region, state, since (the turn in which it entered it) and, once it has
// ended, cause, outcome, bytes (of an Ok outcome) and text (of any other).
type Job wc.TrackedJob

// LogValue returns the group.
func (j Job) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.Uint64("id", j.JobID), slog.Uint64("region", j.RegionID),
		slog.String("state", j.State.String()), slog.Uint64("since", j.Since),
	}
	if j.Cause != wc.CauseNone {
		attrs = append(attrs, slog.String("cause", j.Cause.String()))
	}
	return slog.GroupValue(append(attrs, outcome(j.Outcome)...)...)
}

func outcome(o wc.Outcome) []slog.Attr {
	named := func(name string, more slog.Attr) []slog.Attr {
		return []slog.Attr{slog.String("outcome", name), more}
	}
	switch o := o.(type) {
	case wc.OutcomeOk:
		return named("ok", slog.Int("bytes", len(o.Payload)))
	case wc.OutcomeErr:
		return named("err", slog.String("text", cut(o.Code+": "+o.Message)))
	case wc.OutcomeCancelled:
		return named("cancelled", slog.String("text", cut(o.Reason)))
	case wc.OutcomePanicked:
		return named("panicked", slog.String("text", cut(o.Message)))
	}
	return nil
}

func cut(s string) string { return safetext.Cut(s, maxText) }
