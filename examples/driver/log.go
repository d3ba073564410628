package driver

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

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

// A budget admits so many lines in each period.
type budget struct {
	lines int

	mu    sync.Mutex
	since time.Time // the beginning of the period
	used  int
}

// period is that of a budget.
const period = 10 * time.Second

func newWorkerBudget() *budget { return &budget{lines: 20} }
func newHostBudget() *budget   { return &budget{lines: 200} }

func (b *budget) admit() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); now.Sub(b.since) >= period {
		b.since, b.used = now, 0
	}
	b.used++
	return b.used <= b.lines
}
