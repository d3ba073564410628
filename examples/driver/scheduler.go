package driver

import (
	"github.com/workerchannel/workerchannel"
)

// A scheduler decides which worker gets which call, and what becomes of a call when it ends or its worker does. It
// has no goroutine, no channel and no clock: its methods change its state at once, and what they ask of others is
// in effects. A Host calls them one at a time.
//
// A call is waiting in the backlog, assigned to a slot, or settled. It is settled exactly once.
type scheduler struct {
	rules
	lastID   uint64
	backlog  callList // the calls that wait, by ascending id
	slots    []*slot  // the workers, in the order in which they joined
	attempts int      // workers in a row that were of no use
	stopping bool
	counts   Counters
	effects  effects
}

// rules are the numbers that the scheduler goes by.
type rules struct {
	window   int // the calls that a worker may have at a time
	tries    int // the workers that may end while they have a call
	waiting  int // the calls that may wait; negative: any number
	attempts int // the workers in a row that may be of no use; 0: any number
}

// effects are what the scheduler asks of its host.
type effects struct {
	settled []*call // their result is set: tell the callers
	ordered []*slot // they have new orders: wake their loops
}

// reset forgets the effects, which have taken place.
func (e *effects) reset() {
	e.settled, e.ordered = emptied(e.settled), emptied(e.ordered)
}

// emptied returns a list without its elements, to be filled again, unless it is longer than most get.
func emptied[T any](list []T) []T {
	const most = 1024
	if cap(list) > most {
		return nil
	}
	clear(list)
	return list[:0]
}

// A slot is a worker as the scheduler sees it.
type slot struct {
	dialed                bool // the host starts another one in its place
	ready, stopping, left bool
	useful                bool             // it has ended a call
	calls                 map[uint64]*call // assigned to it and not settled
	orders, spare         []order          // not yet taken by takeOrders; taken before
	wake                  func()           // the Host's
}

// An order asks the loop of a worker to do something.
type order struct {
	kind orderKind
	call *call
}

type orderKind uint8

const (
	orderSpawn  orderKind = iota // hand the call to the worker
	orderCancel                  // begin the cancel handshake
	orderStop                    // shut down when idle
)

// takeOrders returns the orders for a slot, oldest first. The list is valid until the next call.
func (s *scheduler) takeOrders(w *slot) []order {
	w.orders, w.spare = emptied(w.spare), w.orders
	return w.spare
}

func (s *scheduler) order(w *slot, kind orderKind, c *call) {
	w.orders = append(w.orders, order{kind, c})
	s.effects.ordered = append(s.effects.ordered, w)
}

// A call is one call of Host.Do.
type call struct {
	id       uint64
	payload  []byte
	region   *regionState // nil: none
	slot     *slot        // the worker that has it; nil while it waits, and once it is settled
	cancel   error        // the cause of its cancellation; nil: it is not cancelled
	reason   string       // the text of cancel, for the worker
	given    bool         // its message has left for slot
	begun    bool         // slot says that it runs
	charged  int          // the workers that ended while they had it
	result   result
	settled  bool
	shell    callShell // the Host's
	previous *call     // of the backlog
	next     *call
}

// A result is how a call ended.
type result struct {
	payload []byte
	err     error
}

// A regionState is a region as the scheduler sees it.
type regionState struct {
	id     uint64
	calls  map[uint64]*call // those that have not been settled
	closed bool
	quiet  func() // called when the region is closed and its last call is settled
}

// submit takes a new call. If it returns an error the call has no effect.
func (s *scheduler) submit(c *call) error {
	switch {
	case s.stopping:
		return ErrStopped
	case c.region != nil && c.region.closed:
		return ErrRegionClosed
	case s.waiting >= 0 && s.backlog.len >= s.waiting && s.freest() == nil:
		s.counts.Refused++
		return ErrBusy
	}
	s.lastID++
	c.id = s.lastID
	s.counts.Calls++
	if c.region != nil {
		c.region.calls[c.id] = c
	}
	s.backlog.insert(c)
	s.dispatch()
	return nil
}

// cancelCall cancels a call: at once if it waits, otherwise through the handshake. The first cause counts.
func (s *scheduler) cancelCall(c *call, cause error, reason string) {
	if c.settled || c.cancel != nil {
		return
	}
	c.cancel, c.reason = cause, reason
	if c.slot != nil {
		s.order(c.slot, orderCancel, c)
		return
	}
	s.backlog.remove(c)
	s.settle(c, nil, &CancelError{Cause: cause})
}

// cancelRegion cancels the calls of a region, and returns how many were not cancelled before.
func (s *scheduler) cancelRegion(r *regionState, cause error, reason string) (cancelled int) {
	for _, c := range sortedCalls(r.calls) {
		if c.cancel == nil {
			s.cancelCall(c, cause, reason)
			cancelled++
		}
	}
	return cancelled
}

// closeRegion also has the region refuse calls from now on.
func (s *scheduler) closeRegion(r *regionState, cause error, reason string) (cancelled int) {
	if !r.closed {
		r.closed = true
		if len(r.calls) == 0 {
			r.quiet()
		}
	}
	return s.cancelRegion(r, cause, reason)
}

// join adds a worker, which is not ready yet.
func (s *scheduler) join(dialed bool) *slot {
	w := &slot{dialed: dialed, calls: map[uint64]*call{}}
	s.slots = append(s.slots, w)
	s.counts.WorkersStarted++
	return w
}

// workerReady gives a worker its first calls.
func (s *scheduler) workerReady(w *slot) {
	w.ready = true
	s.dispatch()
}

// workerEnding has a worker get no more calls. What it has is decided when it has left.
func (s *scheduler) workerEnding(w *slot) { w.stopping = true }

// callGiven notes that the message that hands over the call has left for its worker.
func (s *scheduler) callGiven(c *call) { c.given = true }

// callBegun notes that the worker says that it runs the call.
func (s *scheduler) callBegun(c *call) { c.begun = true }

// callEnded settles a call that its worker has ended: with an outcome, or cancelled by the whole handshake.
func (s *scheduler) callEnded(w *slot, c *call, cause workerchannel.EndCause, outcome workerchannel.Outcome) {
	if c.slot != w {
		return
	}
	w.useful, s.attempts = true, 0
	switch o := outcome.(type) {
	case workerchannel.OutcomeOk:
		s.settle(c, o.Payload, nil)
	case workerchannel.OutcomeErr:
		s.settle(c, nil, &JobError{o.Code, o.Message})
	case workerchannel.OutcomePanicked:
		s.settle(c, nil, &PanicError{o.Message})
	case workerchannel.OutcomeCancelled:
		if cause == workerchannel.CauseCancelled {
			s.settle(c, nil, &CancelError{Cause: c.cancel})
		} else {
			s.settle(c, nil, &CancelError{Reason: o.Reason})
		}
	}
	s.dispatch()
}

// workerLeft removes a worker that has no session any more, and decides about each call that it had. One that was
// cancelled is settled as cancelled, since its connection has ended. Any other runs again elsewhere, unless this
// was one worker too many for it.
//
// Charged with the worker's end are the calls that it is known to have begun; if there are none, those that it was
// given. So a worker that takes calls and leaves cannot go on for ever, and a call that kills its workers does not take
// down the calls that were queued behind it. The news that a call was begun may have been lost with the worker, so if
// no call may run twice, all that it was given are charged.
func (s *scheduler) workerLeft(w *slot, why error) {
	if w.left {
		return
	}
	w.left = true
	for i, other := range s.slots {
		if other == w {
			s.slots = append(s.slots[:i:i], s.slots[i+1:]...)
			break
		}
	}
	s.counts.WorkersEnded++
	calls := sortedCalls(w.calls)
	begun, charged := false, false
	for _, c := range calls {
		begun = begun || c.begun
	}
	for _, c := range calls {
		if c.begun || c.given && (!begun || s.tries == 1) {
			c.charged++
			charged = true
		}
		switch {
		case c.cancel != nil:
			s.settle(c, nil, &CancelError{Cause: c.cancel})
		case s.stopping:
			s.settle(c, nil, ErrStopped)
		case c.charged >= s.tries:
			s.settle(c, nil, &GivenUpError{c.charged, why})
		default:
			delete(w.calls, c.id)
			c.slot, c.given, c.begun = nil, false, false
			s.counts.Retries++
			s.backlog.insert(c)
		}
	}
	w.orders = nil
	if w.dialed && !w.useful && !charged {
		s.attemptFailed(why)
	}
	s.dispatch()
}

// attemptFailed notes that an attempt to get a worker came to nothing: it did not get ready, or it left before it was given
// a call. After too many in a row, calls that wait are
// settled if there is no worker for them.
func (s *scheduler) attemptFailed(why error) {
	s.attempts++
	if s.rules.attempts == 0 || s.attempts < s.rules.attempts {
		return
	}
	for _, w := range s.slots {
		if w.ready {
			return
		}
	}
	for c := s.backlog.first; c != nil; c = s.backlog.first {
		s.backlog.remove(c)
		s.settle(c, nil, &NoWorkerError{s.attempts, why})
	}
}

// stop refuses calls from now on, settles those that wait, and has each worker stop when its calls have ended.
func (s *scheduler) stop() {
	if s.stopping {
		return
	}
	s.stopping = true
	for c := s.backlog.first; c != nil; c = s.backlog.first {
		s.backlog.remove(c)
		s.settle(c, nil, ErrStopped)
	}
	for _, w := range s.slots {
		w.stopping = true
		s.order(w, orderStop, nil)
	}
}

// dispatch assigns calls that wait, oldest first, while a worker has room.
func (s *scheduler) dispatch() {
	for c := s.backlog.first; c != nil; c = s.backlog.first {
		w := s.freest()
		if w == nil {
			return
		}
		s.backlog.remove(c)
		c.slot = w
		w.calls[c.id] = c
		s.order(w, orderSpawn, c)
	}
}

// freest returns the worker that has the fewest calls, the first to join of several; nil if none has room.
func (s *scheduler) freest() (best *slot) {
	for _, w := range s.slots {
		if w.ready && !w.stopping && len(w.calls) < s.window && (best == nil || len(w.calls) < len(best.calls)) {
			best = w
		}
	}
	return best
}

// settle ends a call, which is not in the backlog any more.
func (s *scheduler) settle(c *call, payload []byte, err error) {
	if c.slot != nil {
		delete(c.slot.calls, c.id)
		c.slot = nil
	}
	c.result, c.settled, c.payload = result{payload, err}, true, nil
	s.counts.count(err)
	s.effects.settled = append(s.effects.settled, c)
	if r := c.region; r != nil {
		delete(r.calls, c.id)
		if r.closed && len(r.calls) == 0 {
			r.quiet()
		}
	}
}
