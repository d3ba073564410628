package driver

import (
	"strings"
	"sync"
	"time"
)

// A call is one call of Host.Do.
type call struct {
	id      uint64
	payload []byte
	region  *Region // nil: none
	cancel  error   // the cause of its cancellation; nil: it is not cancelled
	reason  string  // the text of cancel, for the worker
	charged int     // the workers that ended while they had it alone
	dry     uint64  // the scheduler's when it was submitted
	leaves  int     // the workers in a row that left in order and had begun it
	result  result

	link  link[*call] // in the backlog, or in slot.unbegun
	queue *queue      // of the backlog, that has it at place; nil: none
	place int
	turn  uint64 // when it was first taken out of the backlog; 0: it was not

	slot      *slot  // the worker that has it; nil while it waits, and once it is settled
	attempt   uint64 // counts the workers that have had it
	to        *slot  // if it is being taken back, for this worker, where a handler is reserved; nil: for any
	ordered   bool   // its loop has taken the order to hand it over
	given     bool   // its message has left for slot
	begun     bool   // slot says that it runs
	returning bool   // it is being taken back

	settled   bool
	suspect   bool // it runs alone, since a worker ended that may have begun it
	atOnce    bool // its caller is told as soon as it is cancelled
	abandoned bool // and has been

	since  time.Duration // from made until slot was given it, or said that it runs
	runs   int           // workers that may have begun it, and have let go of it
	ranBy  *slot         // the last of them
	waited time.Duration // since, of that

	// The Host's.
	label      string
	onProgress func(detail string) // nil: nobody wants it
	into       *CallInfo           // of WithInfo; nil: nobody wants it
	done       chan struct{}       // closed when the call is settled
	left       chan struct{}       // if atOnce: closed when it is cancelled and not settled
	progress   *details            // nil: nobody wants it
	made       time.Time           // when Do was called
	runLimit   time.Duration       // 0 or less: none
	first      handed              // to the first worker that has it
	expiry     *time.Timer         // until it has waited for a worker for long; nil: it has not
}

// A CallInfo says how a call went, see WithInfo.
type CallInfo struct {
	ID       uint64        // its number in logs, on the live page, in the journal and in Job.ID; 0: it was refused
	Attempts int           // workers that may have begun it
	Worker   uint64        // the last of them, see WorkerStats; 0: there was none
	WorkerID string        // its own id; quote it before it goes to a terminal
	Waited   time.Duration // until that worker said that it runs the job, or was sent it if it never said so
	Ran      time.Duration // from then on until Do returned
}

// A result is how a call ended.
type result struct {
	payload []byte
	err     error
}

// info returns what is known of a call that was accepted.
func (c *call) info() CallInfo {
	all := time.Since(c.made)
	runs, by, waited := c.runs, c.ranBy, c.waited
	if c.slot != nil && c.given { // and it has returned at once
		runs, by, waited = runs+1, c.slot, c.since
	}
	if runs == 0 {
		return CallInfo{ID: c.id, Waited: all}
	}
	return CallInfo{c.id, runs, by.number, by.id, waited, all - waited}
}

// reached notes when a worker was given the call, or said that it runs.
func (c *call) reached(w *slot, at time.Time) {
	if c.slot == w {
		c.since = at.Sub(c.made)
	}
}

// ran notes that the worker that has the call, and is about to let go of it, may have begun it.
func (c *call) ran() { c.runs, c.ranBy, c.waited = c.runs+1, c.slot, c.since }

// handed is a call as one worker has it. It is the worker's session's.
type handed struct {
	call     *call
	attempt  uint64
	clock    runClock
	position uint64        // in the bytes sent to the worker: where its message ends; 0: it has not left
	since    time.Time     // when its message was made, or when the worker said that it runs
	begun    bool          // it has said so
	free     bool          // the worker had a handler for it when it got it
	due      uint64        // the turn from which it could have begun it; 0: not yet
	limited  bool          // its clock has been started
	ran      time.Duration // when it has ended: how long
}

// details are what the job of a call has reported and its caller has not taken yet, the oldest first. They are bounded
// in bytes, as a worker may report anything at any rate. Those of a caller who does not want them are nil.
type details struct {
	mu    sync.Mutex
	list  []string
	bytes int           // with detailCost for each
	some  chan struct{} // capacity 1: list may not be empty
}

const (
	detailCost = 32        // the memory that an entry of list takes, about, beside its text
	maxDetails = 129 << 10 // 8 of the longest
)

// add adds a detail, in place of the oldest if there are too many. It does not wait for the caller.
func (d *details) add(detail string) {
	if d == nil {
		return
	}
	detail = strings.Clone(plain(detail, maxText)) // or a part would keep the whole
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, detail)
	d.bytes += len(detail) + detailCost
	for d.bytes > maxDetails {
		d.first()
	}
	notify(d.some)
}

// take takes the oldest detail out, if there is one.
func (d *details) take() (detail string, ok bool) {
	if d == nil {
		return "", false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.list) == 0 {
		return "", false
	}
	if detail = d.first(); len(d.list) > 0 {
		notify(d.some)
	}
	return detail, true
}

func (d *details) first() string {
	detail := d.list[0]
	d.list[0] = ""
	d.list = d.list[1:]
	d.bytes -= len(detail) + detailCost
	return detail
}

// A runClock is the clock of a handler.
type runClock struct{ timer *time.Timer }

// start starts the clock, again if it has been started. When it is over, f is called on a goroutine of its own.
func (r *runClock) start(d time.Duration, f func()) {
	if r.timer == nil {
		r.timer = time.AfterFunc(d, f)
	} else if r.timer.Stop() {
		r.timer.Reset(d)
	}
}

func (r *runClock) stop() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}
