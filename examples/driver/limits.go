package driver

import (
	"time"

	"github.com/workerchannel/workerchannel"
)

// Limits are the times that a worker may take. 0 stands for the default, and a negative time for no limit. A worker
// that is late is ended, and its calls run elsewhere. No time is cut short, and each may become longer by about a tenth
// of the shortest of them, or by a few milliseconds.
//
// A worker that is late is ended without ceremony: its connection is cut, see Conn.
//
// A worker may in addition take a second for each MiB that was sent to it and that it has not shown to have reached:
// it may still be reading.
type Limits struct {
	Boot     time.Duration // for Dial to return, and then for the worker to announce itself; 10 s
	Cancel   time.Duration // to acknowledge a cancel; 10 s
	Drain    time.Duration // for a cancelled handler to return; 30 s
	Finalize time.Duration // to clean up after a cancelled job; 10 s
	Silence  time.Duration // after which a worker is asked for a sign of life: if it has no calls by Ping, see Conn; 5 s
	Answer   time.Duration // to give it; 10 s
	Send     time.Duration // for the transport to take a message; 30 s
	Shutdown time.Duration // to stop once it has no calls, and to end its connection then; 10 s
	Close    time.Duration // for the connection's calls to return once it is being closed; then it is left to itself; 5 s

	// Run is how long a handler may run, see WithRunLimit; 0 is no limit, too.
	Run time.Duration
}

var defaultLimits = Limits{
	Boot: 10 * time.Second, Cancel: 10 * time.Second, Drain: 30 * time.Second, Finalize: 10 * time.Second,
	Silence: 5 * time.Second, Answer: 10 * time.Second, Send: 30 * time.Second, Shutdown: 10 * time.Second, Close: 5 * time.Second,
}

// The times of WithBackoff without it, and of ServeAgain.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// each calls f with each limit and its default.
func (l *Limits) each(f func(d *time.Duration, byDefault time.Duration)) {
	f(&l.Boot, defaultLimits.Boot)
	f(&l.Cancel, defaultLimits.Cancel)
	f(&l.Drain, defaultLimits.Drain)
	f(&l.Finalize, defaultLimits.Finalize)
	f(&l.Silence, defaultLimits.Silence)
	f(&l.Answer, defaultLimits.Answer)
	f(&l.Send, defaultLimits.Send)
	f(&l.Shutdown, defaultLimits.Shutdown)
	f(&l.Close, defaultLimits.Close)
}

// turns are the limits in turns, 0 being none.
type turns struct {
	limits Limits
	length time.Duration // of a turn
	core   workerchannel.Limits
	silence, send, leave, close,
	perMiB uint64
}

// withDefaults returns the limits with the defaults in place of 0.
func (l Limits) withDefaults() Limits {
	l.each(func(d *time.Duration, byDefault time.Duration) {
		if *d == 0 {
			*d = byDefault
		}
	})
	return l
}

// turns returns limits that have their defaults, in turns.
func (l Limits) turns() turns {
	shortest := 10 * time.Second
	l.each(func(d *time.Duration, _ time.Duration) {
		if *d > 0 {
			shortest = min(shortest, *d)
		}
	})
	length := max(shortest/10, time.Millisecond)
	in := func(d time.Duration) uint64 {
		if d < 0 {
			return 0
		}
		n := uint64(d / length)
		if d%length != 0 {
			n++
		}
		return n + 1 // the first turn may be almost over
	}
	return turns{
		limits: l,
		length: length,
		core: workerchannel.Limits{
			Boot: in(l.Boot), Cancel: in(l.Cancel), Drain: in(l.Drain), Finalize: in(l.Finalize), Poll: in(l.Answer), Shutdown: in(l.Shutdown),
		},
		silence: in(l.Silence), send: in(l.Send), leave: in(l.Shutdown), close: in(l.Close),
		perMiB: in(time.Second),
	}
}
