package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// fill keeps a worker running for a post until that is closed or the host stops. A worker that has shut down, or that the
// host ends, is replaced at once, before its connection has ended. But one whose predecessor has not ended either is not,
// so there are never more than two.
func (h *Host) fill(p *post) {
	wait := time.Duration(0)
	var before <-chan struct{} // closed when the worker before the last has ended
	for more := true; more; {
		useful, tried := false, false
		if w := h.startWorker(p); w != nil {
			<-w.replace
			if before != nil {
				<-before
			}
			before = w.gone
			w.mu.Lock()
			tried = w.session.sentBytes > 0
			w.mu.Unlock()
			h.decide(func(*scheduler) { useful, more = w.session.slot.ended > 0, !p.closed })
		}
		switch {
		case useful:
			wait = 0
		case tried:
			wait = h.config.minBackoff // it may be for its call that it ended, and others wait for the next worker
		default:
			wait = min(max(2*wait, h.config.minBackoff), h.config.maxBackoff)
		}
		if more = more && h.pause(wait); more {
			h.decide(func(s *scheduler) { more = s.goOn(p) })
		}
	}
}

// pause waits, and reports whether the host is not stopping.
func (h *Host) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.stopping:
	}
	select {
	case <-h.stopping:
		return false
	default:
		return true
	}
}

// startWorker returns nil if no worker could be started, or what was started is not wanted any more.
func (h *Host) startWorker(p *post) *worker {
	var replaces int
	h.decide(func(*scheduler) { replaces = h.replaces })
	conn, err := h.dial()
	if err != nil {
		h.mu.Lock()
		stopping := h.sched.stopping
		if !stopping {
			h.sched.counts.DialFailures++
			h.sched.attemptFailed(p, err)
		}
		h.unlock()
		if !stopping {
			h.events.line(slog.LevelWarn, "cannot start a worker", reasonAttr(err))
		}
		return nil
	}
	w := h.newWorker(conn, p, replaces)
	if w == nil {
		h.discard(conn)
	}
	return w
}

// dial calls Dial, whose context ends when the host stops, or with the Boot limit. If Stop does not want to wait any
// longer, neither does dial; a connection that comes later is closed.
func (h *Host) dial() (Conn, error) {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	limit := h.config.limits.Boot
	if limit > 0 {
		var endLimit func()
		ctx, endLimit = context.WithTimeout(ctx, limit)
		defer endLimit()
	}
	type dialed struct {
		conn Conn
		err  error
	}
	got := make(chan dialed, 1)
	go func() {
		conn, err := h.config.dial(ctx)
		if conn != nil && err != nil {
			h.discard(conn)
			conn = nil
		}
		if conn == nil && err == nil {
			err = fmt.Errorf("%w: dial returned neither a connection nor an error", ErrOptions)
		}
		got <- dialed{conn, err}
	}()
	stopping := h.stopping
	for {
		select {
		case d := <-got:
			if d.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				d.err = fmt.Errorf("driver: Dial has not returned within %v (Limits.Boot): %w", limit, d.err)
			}
			return d.conn, d.err
		case <-stopping:
			stopping = nil
			end()
		case <-h.killed:
			go func() {
				if d := <-got; d.err == nil {
					_ = d.conn.Close()
				}
			}()
			return nil, errKilled
		}
	}
}

// discard closes a connection that has come too late, and waits for that no longer than for that of a worker.
func (h *Host) discard(conn Conn) {
	closed := make(chan struct{})
	go func() {
		_ = conn.Close()
		close(closed)
	}()
	var late <-chan time.Time
	if limit := h.config.limits.Close; limit > 0 {
		if p, ok := conn.(*process); ok {
			limit += p.term
		}
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-closed:
	case <-late:
	}
}
