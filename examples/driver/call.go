package driver

import "time"

// A call is one call of Host.Do.
type call struct {
	id      uint64
	payload []byte
	region  *Region // nil: none
	cancel  error   // the cause of its cancellation; nil: it is not cancelled
	reason  string  // the text of cancel, for the worker
	suspect bool    // it runs alone, since a worker ended that may have begun it
	charged int     // the workers that ended while they had it alone
	dry     uint64  // the scheduler's when it was submitted
	leaves  int     // the workers in a row that left in order and had begun it
	result  result
	settled bool

	atOnce    bool // its caller is told as soon as it is cancelled
	abandoned bool // and has been

	link  link[*call] // in the backlog, or in slot.unbegun
	queue *queue      // of the backlog, that has it at place; nil: none
	place int
	turn  uint64 // when it was first taken out of the backlog; 0: it was not

	slot      *slot  // the worker that has it; nil while it waits, and once it is settled
	attempt   uint64 // counts the workers that have had it
	ordered   bool   // its loop has taken the order to hand it over
	given     bool   // its message has left for slot
	begun     bool   // slot says that it runs
	returning bool   // it is being taken back
	to        *slot  // for this worker, where a handler is reserved; nil: for any

	// The Host's.
	done     chan struct{} // closed when the call is settled
	left     chan struct{} // if atOnce: closed when it is cancelled and not settled
	progress chan string   // nil: nobody wants it
	made     time.Time     // when Do was called
	runLimit time.Duration // 0 or less: none
	first    handed        // to the first worker that has it
	expiry   *time.Timer   // until it has waited for a worker for long; nil: it has not
}

// A result is how a call ended.
type result struct {
	payload []byte
	err     error
}

// handed is a call as one worker has it. It is the worker's session's.
type handed struct {
	call     *call
	attempt  uint64
	clock    runClock
	position uint64    // in the bytes sent to the worker: where its message ends; 0: it has not left
	since    time.Time // when its message was made, or when the worker said that it runs
	begun    bool      // it has said so
	free     bool      // the worker had a handler for it when it got it
	due      uint64    // the turn from which it could have begun it; 0: not yet
	limited  bool      // its clock has been started
}

// deliver gives a detail to the caller, and makes room for it if the caller is slow.
func (c *call) deliver(detail string) {
	if c.progress == nil {
		return
	}
	for {
		select {
		case c.progress <- detail:
			return
		default:
		}
		select {
		case <-c.progress:
		default:
		}
	}
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
