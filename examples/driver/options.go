package driver

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/workerchannel/workerchannel/examples/journal"
)

// A Dial starts a worker, or connects to one, and returns the host's end of the connection. It must return soon when
// ctx ends, which it does when the host stops, or after the time of Limits.Boot. The worker must not depend on ctx: it
// lives until its connection is closed. Dial is called on several goroutines if there are several workers.
type Dial func(ctx context.Context) (Conn, error)

// config is what options set.
type config struct {
	rules
	dial       Dial
	idle       time.Duration // of WithOnDemand
	age        time.Duration // of WithRecycle; 0: any
	noWorker   time.Duration // of WithNoWorkerAfter
	first      uint64        // of WithFirstCall
	limits     Limits
	minBackoff time.Duration
	maxBackoff time.Duration
	seed       uint64
	log        *slog.Logger
	record     recordFunc
	err        error // the first option that is out of range
}

// An Option configures a Host that NewHost makes.
type Option func(*config)

func (c *config) check(ok bool, format string, args ...any) {
	if !ok && c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
	}
}

// maxWorkers is far more than a host can use.
const maxWorkers = 10_000

// WithWorkers has the host start n workers (1 to 10,000) by means of dial, and a new one for each that ends. The new one
// may start while the connection of the old one still closes, and its process has the time of WithTerm: both may run for
// a moment. Without this option workers come by Attach only.
func WithWorkers(n int, dial Dial) Option {
	return func(c *config) {
		c.check(n > 0 && n <= maxWorkers, "WithWorkers: expected 1 to %d workers, got %d", maxWorkers, n)
		c.check(dial != nil, "WithWorkers: dial is nil")
		c.most, c.dial = n, dial
	}
}

// WithOnDemand has the host start workers as calls need them: of the n of WithWorkers, without which it makes no sense, least
// (0 to n) are always kept, and one more is started for each call that no ready or starting worker can take. A starting worker
// can take as many calls as a worker said last that it can run; the first, one. When a worker beyond least has had no calls
// for the time idle, it leaves in order, which is no attempt in the sense of WithAttempts, and causes no backoff.
func WithOnDemand(least int, idle time.Duration) Option {
	return func(c *config) {
		c.check(least >= 0, "WithOnDemand: expected no negative number of workers, got %d", least)
		c.check(idle > 0, "WithOnDemand: expected a time above 0, got %v", idle)
		c.least, c.idle = least, idle
	}
}

// WithRecycle has the host replace each worker that it has started when that has ended so many calls, or has that age, raised
// for each worker by a random part of up to a tenth, so that not all are replaced at once: one more is started, and when it is
// ready, the old one gets no more calls and leaves in order once it has none. Until then the old one works, so it ends some
// more calls: of very short ones, many. 0 stands for never; one of the two must be set. Beside the n workers of WithWorkers
// there are up to n that start for others, and up to n that leave; no others are replaced until one has left.
func WithRecycle(calls int, age time.Duration) Option {
	return func(c *config) {
		c.check(calls >= 0 && age >= 0, "WithRecycle: expected no negative number, got %d calls and an age of %v", calls, age)
		c.check(calls != 0 || age != 0, "WithRecycle: expected a number of calls or an age above 0")
		c.recycle, c.age = calls, age
	}
}

// WithNoWorkerAfter has calls answered with a *NoWorkerError that have waited so long while no worker was ready. The time is
// counted from the beginning of the call, or from when the last ready worker went, or said that it leaves, if that was later. It
// should be longer than a worker takes to start. Without this option a call
// waits until WithAttempts attempts were of no use, and, if workers come by Attach only, for ever.
func WithNoWorkerAfter(d time.Duration) Option {
	return func(c *config) {
		c.check(d > 0, "WithNoWorkerAfter: expected a time above 0, got %v", d)
		c.noWorker, c.expire = d, true
	}
}

// WithFirstCall sets the number of the first call, at least 1, so that the numbers of several hosts, or of one that starts
// again, can differ. It is below 2^63. Without this option it is 1.
func WithFirstCall(n uint64) Option {
	return func(c *config) {
		c.check(n > 0 && n < 1<<63, "WithFirstCall: expected at least 1 and less than 2^63, got %d", n)
		c.first = n
	}
}

// WithBackoff sets how long the host waits before it starts a worker again: first, and twice as long each time that a worker
// cannot be started or ends before it was given a call, up to most. After a worker that ends before it has ended a call that
// it was given, the host waits for the time first, however often that happens: it may be for the call that the worker ended,
// and other calls wait. After a worker that has ended a call it does not wait. Without this option the times are 100 ms and
// 10 s.
func WithBackoff(first, most time.Duration) Option {
	return func(c *config) {
		c.check(first > 0 && most >= first, "WithBackoff: expected 0 < first <= most, got %v and %v", first, most)
		c.minBackoff, c.maxBackoff = first, most
	}
}

// WithAttempts sets after how many attempts in a row that were of no use, calls that wait are answered with a
// *NoWorkerError, if no other worker is ready. An attempt is of no use if Dial fails, or if the worker does not get ready or
// ends before it can have begun a call; all workers are counted together. The host goes on to try, and after each further
// failure answers the calls that wait then. A call is also answered with a *NoWorkerError when as many
// workers in a row have left in order while they had begun it. 0 stands for any number. Without this option it is 5.
func WithAttempts(n int) Option {
	return func(c *config) {
		c.check(n >= 0, "WithAttempts: expected no negative number, got %d", n)
		c.rules.attempts = n
	}
}

// WithWindow sets how many calls a worker has at a time at most, those that it runs and those that wait there. Without
// this option a worker that has said how many it can run, as Serve does, has as many, and a lead: one more where calls are
// long, up to 32 where they are short, so that the next call is there when one ends. What waits at such a worker is
// taken back when another one can run it sooner. A worker that says nothing has as many as this option says, without it one.
func WithWindow(n int) Option {
	return func(c *config) {
		c.check(n > 0, "WithWindow: expected at least 1, got %d", n)
		c.window = n
	}
}

// WithTries sets how many workers may end while they have a call, and nothing else, before it is answered with a
// *GivenUpError. Without this option it is 3. When a worker with several calls ends, those that it may have begun run again
// one by one, each in a worker that has nothing else, before other calls. So a call that ends its workers harms no other.
// A worker that leaves in order, or that the host ends because of one call that it does not let go of, counts for none.
//
// With 1, a call that a worker may have begun is not given to another one: it is answered with a *GivenUpError when the
// worker ends, whichever call that was for. No call then waits at a worker that cannot run it at once.
func WithTries(n int) Option {
	return func(c *config) {
		c.check(n > 0, "WithTries: expected at least 1, got %d", n)
		c.tries = n
	}
}

// WithBacklog sets how many calls may wait for a worker, also for one that is still starting; Do refuses the next with
// ErrBusy. Where workers start on demand, one is started for a call that is refused as for one that waits. Without this option
// any number waits.
func WithBacklog(n int) Option {
	return func(c *config) {
		c.check(n >= 0, "WithBacklog: expected no negative number, got %d", n)
		c.waiting = n
	}
}

// WithLimits sets the times that a worker may take.
func WithLimits(l Limits) Option { return func(c *config) { c.limits = l.withDefaults() } }

// WithSeed sets the seed of the host's messages, which is 0 otherwise.
func WithSeed(seed uint64) Option { return func(c *config) { c.seed = seed } }

// WithLogger has the host log what workers do and say. Lines are limited in rate, for each worker and for all together,
// and in length, and a worker's text is quoted. A logger that blocks holds up the worker that the line is about. At
// slog.LevelDebug the host also logs each message that it sends or accepts, as a line such as "w-1 → JobCompleted job
// 7: ok, 5 bytes", and the end of each job; only the reports of jobs and diagnostics are limited in rate there. What a
// line tells is also in attributes: worker, id, operation, job and label, turn, outcome, size; of a late worker, limit,
// which is the field of Limits. Without this option nothing is logged.
func WithLogger(log *slog.Logger) Option {
	return func(c *config) {
		c.check(log != nil, "WithLogger: logger is nil")
		c.log = log
	}
}

func newConfig(opts []Option) (*config, error) {
	c := &config{
		rules:      rules{tries: 3, waiting: -1, attempts: 5, least: -1},
		first:      1,
		minBackoff: minBackoff,
		maxBackoff: maxBackoff,
		limits:     defaultLimits,
		log:        slog.New(slog.DiscardHandler),
		record:     recordNothing,
	}
	for _, opt := range opts {
		if opt != nil {
			opt(c)
		}
	}
	if c.idle > 0 {
		c.check(c.dial != nil, "WithOnDemand: there is no WithWorkers")
		c.check(c.least <= c.most, "WithOnDemand: expected at most the %d of WithWorkers, got %d", c.most, c.least)
	}
	if c.recycle > 0 || c.age > 0 {
		c.check(c.dial != nil, "WithRecycle: there is no WithWorkers")
	}
	if c.least < 0 {
		c.least = c.most
	}
	return c, c.err
}

// WithJournal has the host record what happens between it and each worker in a journal, as one session for each
// connection, which ends with it and says why the worker ended. Close the journal after Host.Stop. A journal that
// cannot be written does not disturb the host; see journal.Options.OnError and Writer.Err. journal.Options.MaxFiles
// bounds it if WithRecycle keeps sessions short: no file is deleted in which a session began that goes on. With
// journal.Options.Sync, and on a slow disk, each message waits for the disk. The journal has all payloads, unless
// journal.Options.DigestOver is set.
func WithJournal(w *journal.Writer) Option {
	return func(c *config) {
		c.check(w != nil, "WithJournal: writer is nil")
		c.record = recordIn(w)
	}
}
