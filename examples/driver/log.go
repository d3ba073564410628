package driver

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/workerchannel/workerchannel"
)

// printable returns a peer's text so that it can go to a terminal: on one line, of bounded length, without control
// characters and escape sequences. Plain text stays as it is.
func printable(s string) string {
	const most = 256
	rest := ""
	if len(s) > most {
		rest = fmt.Sprintf("… (%d bytes)", len(s))
		cut := most
		for cut > most-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) + rest
}

// A limitedLog logs at most burst lines at once and perSecond lines a second in the long run. What is more is
// counted, and the count goes with the next line that is logged.
type limitedLog struct {
	log        *slog.Logger
	mu         sync.Mutex
	tokens     float64
	last       time.Time
	suppressed uint64 // since the last line
	total      uint64
}

const (
	logBurst     = 20
	logPerSecond = 2
)

func newLimitedLog(log *slog.Logger) *limitedLog {
	return &limitedLog{log: log, tokens: logBurst, last: time.Now()}
}

// line logs one line. The caller has made its texts printable.
func (l *limitedLog) line(level slog.Level, msg string, attrs ...slog.Attr) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	if n, ok := l.admit(); ok {
		if n > 0 {
			attrs = append(attrs, slog.Uint64("suppressed", n))
		}
		l.log.LogAttrs(context.Background(), level, msg, attrs...)
	}
}

// admit reports whether a line may be logged, and how many were not since the last.
func (l *limitedLog) admit() (suppressed uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.tokens = min(logBurst, l.tokens+now.Sub(l.last).Seconds()*logPerSecond)
	l.last = now
	if l.tokens < 1 {
		l.suppressed++
		l.total++
		return 0, false
	}
	l.tokens--
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}

func (l *limitedLog) totalSuppressed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

const levelWarn = slog.LevelWarn

func reasonAttr(err error) slog.Attr { return slog.String("reason", printable(err.Error())) }

// attrs name the worker in a log. Only the loop of the worker calls it.
func (w *worker) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.Uint64("worker", w.number)}
	if w.id != "" {
		attrs = append(attrs, slog.String("id", printable(w.id)))
	}
	return attrs
}

func (w *worker) logEnd() {
	level := slog.LevelInfo
	if !w.left {
		level = levelWarn
	}
	w.host.events.line(level, "worker has ended", append(w.attrs(), reasonAttr(w.why))...)
}

func (w *worker) logDiagnostic(d workerchannel.Diagnostic) {
	level := slog.LevelInfo
	switch d.Level {
	case workerchannel.LevelWarn:
		level = slog.LevelWarn
	case workerchannel.LevelError:
		level = slog.LevelError
	}
	attrs := append(w.attrs(), slog.String("category", printable(d.Category)), slog.String("message", printable(d.Message)))
	if d.Metadata != nil {
		attrs = append(attrs, slog.String("metadata", printable(*d.Metadata)))
	}
	w.host.lines.line(level, "worker says", attrs...)
}
