package driver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// printable returns a peer's text so that it can go to a terminal: see safetext.Printable.
func printable(s string) string { return safetext.Printable(s, 256) }

// A limitedLog logs no more lines than each of its budgets admits. What is more is counted, and the count goes with the
// next line that is logged.
//
// What a worker says goes by a budget of its own, so that one worker does not silence the others, and by one of the
// host, so that many workers, or workers that are restarted all the time, do not fill the log.
type limitedLog struct {
	log        *slog.Logger
	budgets    []*budget
	suppressed atomic.Uint64  // since the last line
	total      *atomic.Uint64 // of several logs
}

// line logs one line. The caller has made its texts printable.
func (l *limitedLog) line(level slog.Level, msg string, attrs ...slog.Attr) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	for _, b := range l.budgets {
		if !b.admit() {
			l.suppressed.Add(1)
			l.total.Add(1)
			return
		}
	}
	if n := l.suppressed.Swap(0); n > 0 {
		attrs = append(attrs, slog.Uint64("suppressed", n))
	}
	l.log.LogAttrs(context.Background(), level, msg, attrs...)
}

// A budget admits at most burst lines at once and perSecond lines a second in the long run.
type budget struct {
	burst, perSecond float64

	mu     sync.Mutex
	tokens float64
	last   time.Time
}

func newBudget(burst, perSecond float64) *budget {
	return &budget{burst: burst, perSecond: perSecond, tokens: burst, last: time.Now()}
}

func newWorkerBudget() *budget { return newBudget(20, 2) }
func newHostBudget() *budget   { return newBudget(200, 20) }

func (b *budget) admit() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = min(b.burst, b.tokens+now.Sub(b.last).Seconds()*b.perSecond)
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func reasonAttr(err error) slog.Attr { return slog.String("reason", printable(err.Error())) }

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
	var late workerchannel.Overdue
	if errors.As(s.why, &late) {
		attrs = append(attrs, slog.String("operation", late.Request.String()), slog.Uint64("job", late.JobID), slog.Uint64("turn", late.Since))
	}
	s.host.events.line(level, "worker has ended", attrs...)
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
	s.host.config.log.LogAttrs(context.Background(), slog.LevelDebug, msg, s.debugAttrs(attrs)...)
}

func (s *session) debugAttrs(attrs []slog.Attr) []slog.Attr {
	return append(append(s.attrs(), slog.Uint64("turn", s.c.Turn())), attrs...)
}

func (s *session) debugging() bool {
	return s.host.config.log.Enabled(context.Background(), slog.LevelDebug)
}

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
