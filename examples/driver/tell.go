package driver

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// tell makes an event, if somebody observes the host. A nil envelope stands for none.
func (s *session) tell(kind EventKind, env *workerchannel.Envelope, size int, err error) {
	list := s.hub.observers.list.Load()
	if list == nil {
		return
	}
	e := Event{Kind: kind, Worker: s.number, Turn: s.c.Turn(), Size: size, Err: err}
	if env != nil {
		e.Envelope = *env
	}
	for _, o := range *list {
		o.f(e)
	}
}

func (s *session) tellEnd() {
	if errors.Is(s.why, errLeft) {
		s.tell(EventEnded, nil, 0, nil)
		return
	}
	s.tell(EventEnded, nil, 0, s.why)
}

// noteEnd remembers how the worker has ended.
func (s *session) noteEnd() {
	s.hub.mu.Lock()
	defer s.hub.unlock()
	end := WorkerEnd{Number: s.number, ID: s.id, At: time.Now(), Asked: s.slot.dismissed || s.hub.sched.stopping, Err: s.why}
	if errors.Is(s.why, errLeft) {
		end.Err = nil
	}
	ends := &s.hub.ends
	if len(*ends) == mostEnds {
		*ends = slices.Delete(*ends, 0, 1)
	}
	*ends = append(*ends, end)
}

// reasonAttr has room for the last words of a process.
func reasonAttr(err error) slog.Attr {
	return slog.String("reason", safetext.Printable(err.Error(), 1<<10))
}

// logPreamble logs a line that the worker has printed before its first message.
func (s *session) logPreamble(line []byte) {
	s.said.line(slog.LevelInfo, "worker prints", append(s.attrs(), slog.String("line", printable(string(line))))...)
}

// attrs name the worker in a log.
func (s *session) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.Uint64("worker", s.number)}
	if s.id != "" {
		attrs = append(attrs, slog.String("id", printable(s.id)))
	}
	return attrs
}

// logEnd says how a worker ended, and, if it was late, with what.
func (s *session) logEnd() {
	level := slog.LevelInfo
	if !s.left {
		level = slog.LevelWarn
	}
	attrs := append(s.attrs(), reasonAttr(s.why))
	var late *lateError
	if errors.As(s.why, &late) {
		attrs = append(attrs, slog.String("limit", late.limit))
	}
	var request workerchannel.Overdue
	if errors.As(s.why, &request) && request.JobID != 0 { // no call has the number 0
		attrs = append(attrs, slog.String("operation", request.Request.String()), slog.Uint64("job", request.JobID))
	}
	s.hub.events.line(level, "worker has ended", attrs...)
}

func (s *session) logDiagnostic(d workerchannel.Diagnostic) {
	level := slog.LevelInfo
	switch d.Level {
	case workerchannel.LevelWarn:
		level = slog.LevelWarn
	case workerchannel.LevelError:
		level = slog.LevelError
	}
	attrs := append(s.attrs(), slog.String("category", printable(d.Category)), slog.String("message", printable(d.Message)))
	if d.Metadata != nil {
		attrs = append(attrs, slog.String("metadata", printable(*d.Metadata)))
	}
	s.said.line(level, "worker says", attrs...)
}

// debug logs what the host does. That has no limit, as there is no more of it than calls and turns.
func (s *session) debug(msg string, attrs ...slog.Attr) {
	s.hub.log.LogAttrs(context.Background(), slog.LevelDebug, msg, s.debugAttrs(attrs)...)
}

func (s *session) debugAttrs(attrs []slog.Attr) []slog.Attr {
	return append(append(s.attrs(), slog.Uint64("turn", s.c.Turn())), attrs...)
}

func (s *session) debugging() bool { return s.hub.log.Enabled(context.Background(), slog.LevelDebug) }

// logMessage logs a message that is sent or was accepted. What a worker can send any number of is limited.
func (s *session) logMessage(env *workerchannel.Envelope, size int) {
	if !s.debugging() {
		return
	}
	attrs := []slog.Attr{slog.String("operation", env.Op.Type().String()), slog.Int("size", size)}
	if id, ok := workerchannel.JobOf(env.Op); ok {
		attrs = append(attrs, slog.Uint64("job", id))
	}
	switch op := env.Op.(type) {
	case workerchannel.Diagnostic: // has a line of its own
		return
	case workerchannel.StatusSnapshot:
		s.reports.line(slog.LevelDebug, env.String(), s.debugAttrs(attrs)...)
		return
	case workerchannel.JobCompleted:
		name, _ := outcome(op.Outcome)
		attrs = append(attrs, slog.String("outcome", name))
	}
	s.debug(env.String(), attrs...)
}

func (s *session) logOutcome(job *workerchannel.TrackedJob) {
	if !s.debugging() {
		return
	}
	name, size := outcome(job.Outcome)
	s.debug("job has ended", slog.Uint64("job", job.JobID), slog.String("outcome", name), slog.Int("size", size))
}

// outcome returns the name of an outcome and the size of the result.
func outcome(o workerchannel.Outcome) (name string, size int) {
	switch o := o.(type) {
	case workerchannel.OutcomeErr:
		return "error", 0
	case workerchannel.OutcomeCancelled:
		return "cancelled", 0
	case workerchannel.OutcomePanicked:
		return "panicked", 0
	case workerchannel.OutcomeOk:
		return "ok", len(o.Payload)
	}
	return "none", 0
}
