package driver

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/jobname"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// watched reports whether somebody looks at messages.
func (s *session) watched() bool { return s.hub.observers.list.Load() != nil || s.debugging() }

// tell makes an event, if somebody observes the host. A nil envelope stands for none.
func (s *session) tell(kind EventKind, env *workerchannel.Envelope, size int, err error) {
	list := s.hub.observers.list.Load()
	if list == nil {
		return
	}
	e := Event{Kind: kind, Worker: s.slot.number, Turn: s.c.Turn(), Size: size, Err: err}
	if env != nil {
		e.Envelope = *env
		e.Job, e.Label, _ = s.about(env.Op)
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
	end := WorkerEnd{Number: s.slot.number, ID: s.slot.id, At: time.Now(), Asked: s.slot.dismissed || s.hub.sched.stopping, Err: s.why}
	if errors.Is(s.why, errLeft) {
		end.Err = nil
	}
	s.hub.ends.add(end, mostEnds)
	if past := s.slot.past; past != nil {
		past.add(end, mostPredecessors)
	}
}

// logPreamble logs a line that the worker has printed before its first message.
func (s *session) logPreamble(line []byte) {
	s.said.line(slog.LevelInfo, "worker prints", append(s.attrs(), slog.String("line", printable(string(line))))...)
}

// ending returns how the worker has ended, for the journal.
func (s *session) ending() journal.Ending {
	how, why := journal.Lost, s.why
	var late *lateError
	switch {
	case s.left:
		how, why = journal.Left, errLeft // whatever became of the connection
	case errors.Is(why, errKilled):
		how = journal.Stopped
	case errors.As(why, &late):
		how = journal.Late
	case errors.Is(why, workerchannel.ErrBootstrapFailed):
		how = journal.Failed
	case s.broken:
		how = journal.Broken
	}
	return journal.Ending{How: how, Why: reasonAttr(why).Value.String()}
}

// attrs name the worker in a log.
func (s *session) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.Uint64("worker", s.slot.number)}
	if id := s.slot.id; id != "" {
		attrs = append(attrs, slog.String("id", printable(id)))
	}
	return attrs
}

// about returns the call that an operation is about, and its label; 0: none. A diagnostic may name a call in its
// metadata (PROTOCOL.md, section 13), and is about it if the worker has it; rest is what else they say.
func (s *session) about(op workerchannel.Op) (jobID uint64, label string, rest *string) {
	jobID, _ = workerchannel.JobOf(op)
	d, ok := op.(workerchannel.Diagnostic)
	if ok {
		jobID, rest = jobname.Of(d.Metadata)
	}
	if h := s.handed(jobID); h != nil {
		return jobID, h.call.label, rest
	} else if ok {
		return 0, "", d.Metadata
	}
	return jobID, "", nil
}

// jobAttrs name a call in a log.
func jobAttrs(id uint64, label string) (attrs []slog.Attr) {
	if id != 0 { // no call has this number
		attrs = append(attrs, slog.Uint64("job", id))
	}
	if label != "" {
		attrs = append(attrs, slog.String("label", printable(label)))
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
		var request workerchannel.Overdue
		if errors.As(late.cause, &request) && request.JobID != 0 {
			attrs = append(attrs, slog.String("operation", request.Request.String()))
			attrs = append(attrs, jobAttrs(request.JobID, late.label)...)
		}
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
	id, label, metadata := s.about(d)
	attrs = append(attrs, jobAttrs(id, label)...)
	if metadata != nil {
		attrs = append(attrs, slog.String("metadata", printable(*metadata)))
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
	id, label, _ := s.about(env.Op)
	attrs = append(attrs, jobAttrs(id, label)...)
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

func (s *session) logOutcome(job *workerchannel.TrackedJob, label string) {
	if !s.debugging() {
		return
	}
	name, size := outcome(job.Outcome)
	s.debug("job has ended", append(jobAttrs(job.JobID, label), slog.String("outcome", name), slog.Int("size", size))...)
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
