package driver

import (
	"fmt"
	"strings"
	"time"

	"github.com/workerchannel/workerchannel"
)

// Limits are the times that a worker may take. 0 stands for the default, and a negative time for no limit. A worker
// that is late is ended, and its calls run elsewhere. No time is cut short, and each may become longer by about a tenth
// of the shortest of them, or by a few milliseconds.
//
// A worker that is late is ended without ceremony: its connection is cut, see Conn. A process for which WithTerm sets a
// time has that in addition to Close.
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
	Send     time.Duration // for the transport to take a message, or short ones together while the worker reads none; 30 s
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
func (l *Limits) each(f func(name string, d *time.Duration, byDefault time.Duration)) {
	f("Boot", &l.Boot, defaultLimits.Boot)
	f("Cancel", &l.Cancel, defaultLimits.Cancel)
	f("Drain", &l.Drain, defaultLimits.Drain)
	f("Finalize", &l.Finalize, defaultLimits.Finalize)
	f("Silence", &l.Silence, defaultLimits.Silence)
	f("Answer", &l.Answer, defaultLimits.Answer)
	f("Send", &l.Send, defaultLimits.Send)
	f("Shutdown", &l.Shutdown, defaultLimits.Shutdown)
	f("Close", &l.Close, defaultLimits.Close)
}

// named returns the limit that is the field of that name.
func (l Limits) named(limit string) (d time.Duration) {
	l.each(func(name string, field *time.Duration, _ time.Duration) {
		if name == limit {
			d = *field
		}
	})
	return d
}

// limitNames has the field of Limits for each request of the coordinator.
var limitNames = map[workerchannel.OpType]string{
	0:                              "Boot",
	workerchannel.OpCancelJob:      "Cancel",
	workerchannel.OpDrainJob:       "Drain",
	workerchannel.OpFinalizeJob:    "Finalize",
	workerchannel.OpPollStatus:     "Answer",
	workerchannel.OpShutdownWorker: "Shutdown",
}

// A lateError says what has not happened within a limit.
type lateError struct {
	what   string
	limit  string // the field of Limits
	within time.Duration
	cause  error  // the workerchannel.Overdue; nil: none
	label  string // of the call that it is about
}

func (e *lateError) Error() string {
	return fmt.Sprintf("driver: %s within %v (Limits.%s)", e.what, e.within, e.limit)
}

func (e *lateError) Unwrap() error { return e.cause }

// undone has what a worker that is late has not done, by the limit.
var undone = map[string]string{
	"Boot":     "worker has not announced itself",
	"Cancel":   "worker has not acknowledged the cancel of job %d",
	"Drain":    "worker has not returned from job %d, which is cancelled,",
	"Finalize": "worker has not cleaned up after job %d, which is cancelled,",
	"Answer":   "worker has not answered a poll of job %d",
	"Send":     "worker has not read a message",
	"Shutdown": "worker has not shut down",
	"Close":    "connection has not closed",
}

// late returns the error of a worker that is late; the job is 0 if it is about none.
func (l Limits) late(limit string, jobID uint64, cause error) *lateError {
	what := strings.Replace(undone[limit], "%d", fmt.Sprint(jobID), 1)
	return &lateError{what: what, limit: limit, within: l.named(limit), cause: cause}
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
	l.each(func(_ string, d *time.Duration, byDefault time.Duration) {
		if *d == 0 {
			*d = byDefault
		}
	})
	return l
}

// turns returns limits that have their defaults, in turns.
func (l Limits) turns() turns {
	shortest := 10 * time.Second
	l.each(func(_ string, d *time.Duration, _ time.Duration) {
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
