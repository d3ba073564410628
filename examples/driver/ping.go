package driver

import (
	"context"
	"sync/atomic"
	"time"
)

// A watchdog pings the other end of a connection when nothing has come from there for some time. A nil *watchdog does
// nothing.
type watchdog struct {
	conn            pinger
	silence, answer time.Duration
	idle            func() bool // whether pings tell; otherwise it is asked again later
	late            func()      // is called when nothing has come after a ping, once
	began           time.Time
	heard           atomic.Int64    // when something came last: a time.Duration after began
	over            context.Context // ends with the watch
	stopWatching    context.CancelFunc
}

// watchOver begins to watch a connection; it returns nil if that cannot ping, or a time is negative.
func watchOver(conn Conn, silence, answer time.Duration, idle func() bool, late func()) *watchdog {
	p, ok := conn.(pinger)
	if !ok || silence < 0 || answer < 0 {
		return nil
	}
	d := &watchdog{conn: p, silence: silence, answer: answer, idle: idle, late: late, began: time.Now()}
	d.over, d.stopWatching = context.WithCancel(context.Background())
	go d.watch()
	return d
}

// hear notes that something has come.
func (d *watchdog) hear() {
	if d != nil {
		d.heard.Store(int64(d.now()))
	}
}

func (d *watchdog) now() time.Duration     { return time.Since(d.began) }
func (d *watchdog) heardAt() time.Duration { return time.Duration(d.heard.Load()) }

func (d *watchdog) stop() {
	if d != nil {
		d.stopWatching()
	}
}

// watch ends when a ping has not been answered.
func (d *watchdog) watch() {
	timer := time.NewTimer(d.silence)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-d.over.Done():
			return
		}
		switch wait := d.silence - (d.now() - d.heardAt()); {
		case wait > 0:
			timer.Reset(wait)
		case !d.idle():
			timer.Reset(d.silence)
		case d.ping():
			timer.Reset(d.silence)
		default:
			return
		}
	}
}

// ping reports whether it was answered; if something else comes, the time begins anew. A ping that fails is sent again:
// if the connection has ended, Recv tells why in better words, and otherwise the ping may only have been held up.
func (d *watchdog) ping() bool {
	ctx, end := context.WithCancel(d.over)
	defer end()
	answered := make(chan struct{})
	go func() {
		for d.conn.Ping(ctx) != nil {
			select {
			case <-time.After(d.answer / 10):
			case <-ctx.Done():
				return
			}
		}
		close(answered)
	}()
	sent := d.now()
	for {
		left := d.answer - (d.now() - max(d.heardAt()+d.silence, sent))
		if left <= 0 {
			if d.idle() {
				d.late()
				return false
			}
			left = d.silence
		}
		select {
		case <-answered:
			d.hear()
			return true
		case <-time.After(left):
		case <-d.over.Done():
			return false
		}
	}
}
