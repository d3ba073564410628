package driver

import (
	"time"

	"github.com/workerchannel/workerchannel"
)

// A scheduler decides which worker gets which call, and what becomes of a call when it ends or its worker does. It
// has no goroutine, no channel and no clock: its methods change its state at once, and what they ask of others is
// in effects. A Host calls them one at a time. An event of a call takes constant time; one of a worker, the time that it
// takes to look at its calls and at all workers.
//
// A call is waiting in the backlog, assigned to a slot, or settled. It is settled exactly once. What happens:
//
//	event             the call                                      the worker
//	submit            waits                                         the one with the most free handlers gets it
//	cancelCall        is settled if it waits; else the handshake    tells the call's handler
//	workerReady                                                     gets a call
//	workerSilent                                                    gets as many calls as the window
//	workerCapacity    0: what has not begun is taken back           gets as many calls as it can run, and a lead
//	callGiven         may have begun
//	callBegun         has begun, is not taken back any more
//	callAcknowledged  taken back, not begun: is given elsewhere     its handler is not occupied any more
//	callEnded         is settled; taken back, begun: waits again    gets another call
//	workerEnding      not given: waits again                        gets no more calls
//	workerLeft        see leave.go                                  is forgotten
//	attemptFailed     too many, no worker ready: is settled
//	stop              waits: is settled                             ends when it has no calls
//	balance           see balance.go
type scheduler struct {
	rules
	lastID   uint64
	backlog  backlog
	slots    []*slot // the workers
	places   ranking
	vacant   chain[*slot] // those that have no calls and could be given one
	behind   chain[*slot] // the workers at which calls wait, the one that has ended no call for the longest time first
	handlers int          // of the workers that are ready
	ready    int          // these workers, but those that are leaving
	dry      uint64       // counts the times that the last of them went
	usual    int          // the capacity that a worker said last
	excess   int          // calls that wait at workers
	staff    staff
	shared   int    // the workers that are
	emptying int    // of these
	recheck  bool   // a suspect may find an empty worker now
	ended    uint64 // calls that workers have ended
	pace     pace
	armed    bool  // effects.balance has been asked for
	attempts int   // workers in a row that were of no use
	failure  error // why the last of them was
	stopping bool
	counts   Counters
	effects  effects
}

// rules are the numbers that the scheduler goes by.
type rules struct {
	window   int // the calls that a worker may have at a time; 0: as many as it can run, and a lead
	tries    int // the workers that may end while they have a call alone
	waiting  int // the calls that may wait; negative: any number
	attempts int // the workers in a row that may be of no use; 0: any number

	least, most int  // workers that the host starts
	recycle     int  // the calls after which one is replaced; 0: any number
	expire      bool // calls are given up when there has been no worker for long
}

// submit takes a new call. If it returns an error the call has no effect.
func (s *scheduler) submit(c *call) error {
	switch {
	case s.stopping:
		return ErrStopped
	case c.region != nil && c.region.closed:
		return ErrRegionClosed
	case s.waiting >= 0 && s.backlog.len >= s.waiting && s.room() == nil:
		s.counts.Refused++
		s.hireFor(1)
		return ErrBusy
	}
	s.lastID++
	c.id, c.link.of, c.dry = s.lastID, c, s.dry
	if s.expire && s.ready == 0 {
		s.effects.early = append(s.effects.early, c)
	}
	s.counts.Calls++
	if c.region != nil {
		c.region.calls[c.id] = c
	}
	s.backlog.add(c)
	s.dispatch()
	return nil
}

// cancelCall cancels a call: at once if it waits, otherwise through the handshake. The first cause counts.
func (s *scheduler) cancelCall(c *call, cause error, reason string) {
	if s.beginCancel(c, cause, reason) {
		s.dispatch()
	}
}

// beginCancel cancels a call that was not cancelled before. The caller calls dispatch then.
func (s *scheduler) beginCancel(c *call, cause error, reason string) (begun bool) {
	if c.settled || c.cancel != nil {
		return false
	}
	c.cancel, c.reason = cause, reason
	if c.slot == nil {
		s.backlog.remove(c)
		s.settle(c, nil, &CancelError{Cause: cause})
		s.recheck = s.recheck || c.suspect
	} else {
		s.keep(c)
		c.link.remove()
		s.arrange(c.slot)
		s.order(c.slot, orderCancel, c)
		if c.abandoned = c.atOnce; c.atOnce {
			s.effects.left = append(s.effects.left, c)
		}
	}
	return true
}

// cancelRegion cancels the calls of a region, and returns how many were not cancelled before.
func (s *scheduler) cancelRegion(r *Region, cause error, reason string) (cancelled int) {
	for _, c := range sortedCalls(r.calls) {
		if s.beginCancel(c, cause, reason) {
			cancelled++
		}
	}
	s.dispatch()
	return cancelled
}

// closeRegion also has the region refuse calls from now on.
func (s *scheduler) closeRegion(r *Region, cause error, reason string) (cancelled int) {
	if !r.closed {
		r.closed = true
		if len(r.calls) == 0 {
			s.effects.quiet = append(s.effects.quiet, r)
		}
	}
	return s.cancelRegion(r, cause, reason)
}

// join adds a worker, which is not ready yet, for a post; nil: it has come by itself.
func (s *scheduler) join(p *post) *slot {
	w := &slot{post: p, dialed: p != nil, calls: map[uint64]*call{}, rest: map[uint64]bool{}}
	w.behind.of, w.vacant.of = w, w
	if p != nil {
		p.worker, w.past = w, p.past
	}
	w.index, s.slots = len(s.slots), append(s.slots, w)
	s.counts.WorkersStarted++
	return w
}

// workerReady gives a worker its first call. How many more it gets depends on what it says next.
func (s *scheduler) workerReady(w *slot) {
	if w.ready {
		return
	}
	w.ready = true
	s.setCapacity(w, 1)
	if w.able {
		w.untold = true
		s.staff.untold++
		s.man(w.post, true)
	}
	s.effects.ready = append(s.effects.ready, w)
	s.dispatch()
}

// workerSilent gives a worker that has not said its capacity as many calls as it may have.
func (s *scheduler) workerSilent(w *slot) {
	if !w.said && !w.left {
		s.tell(w)
		s.setCapacity(w, max(s.window, 1))
		s.dispatch()
	}
}

// workerCapacity notes how many calls a worker can run. If there are none, it is leaving.
func (s *scheduler) workerCapacity(w *slot, n int) {
	if !w.ready || w.left {
		return
	}
	w.said = true
	s.tell(w)
	if s.window > 0 {
		n = min(n, s.window)
	}
	if n > 0 {
		s.usual = n
	}
	s.setCapacity(w, n)
	if n == 0 || w.dismissed && !s.stopping {
		s.takeBackAll(w)
	}
	s.leaves(w)
	s.dispatch()
}

func (s *scheduler) setCapacity(w *slot, n int) {
	n = min(n, maxCapacity)
	if !w.stopping {
		s.handlers += n - w.capacity
	}
	w.capacity, s.recheck = n, true
	s.count(w)
	s.arrange(w)
}

// count keeps the number of workers that are ready, for which one that is leaving does not count.
func (s *scheduler) count(w *slot) {
	able := w.ready && !w.stopping && w.capacity > 0
	switch {
	case able && !w.able:
		s.ready++
	case !able && w.able:
		if s.ready--; s.ready == 0 {
			s.dry++
			s.effects.dry = true
		}
	}
	if w.able = able; !able {
		s.unempty(w)
	}
}

// workerEnding has a worker get no more calls. What it has been given is decided when it has left.
func (s *scheduler) workerEnding(w *slot) {
	s.close(w)
	for l := w.unbegun.last; l != nil; {
		c := l.of
		if l = l.previous; !c.given && !c.returning {
			s.counts.Retries++
			s.detach(c)
			s.wait(c)
		}
	}
	s.dispatch()
}

// close has a worker get no more calls.
func (s *scheduler) close(w *slot) {
	if !w.stopping {
		w.stopping, s.recheck = true, true
		s.handlers -= w.capacity
		s.count(w)
		s.man(w.post, false)
		s.tell(w)
		s.arrange(w)
	}
}

// callGiven notes that the message that hands over the call has left for its worker.
func (s *scheduler) callGiven(w *slot, c *call) {
	if c.slot == w {
		c.given = true
	}
}

// callBegun notes that the worker says that it runs the call.
func (s *scheduler) callBegun(w *slot, c *call) {
	if c.slot != w || c.begun {
		return
	}
	c.begun = true
	c.link.remove()
	if c.returning {
		w.returning-- // it has a handler
	}
	s.release(c) // if it is being taken back, nobody knows when its handler returns
	s.arrange(w)
	s.dispatch()
}

// callEnded settles a call that its worker has ended: with an outcome, or cancelled by the whole handshake. One that was
// only taken back waits again.
func (s *scheduler) callEnded(w *slot, c *call, ran time.Duration, cause workerchannel.EndCause, outcome workerchannel.Outcome) {
	if c.slot != w {
		s.letGo(w, c)
		return
	}
	cancelled, given := outcome.(workerchannel.OutcomeCancelled)
	if given && c.returning {
		s.callReturned(c)
		return
	}
	if c.begun || !w.said || cause != workerchannel.CauseCancelled {
		c.ran()
	}
	w.ended++
	s.attempts = 0
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
			s.settle(c, nil, &CancelError{Reason: cancelled.Reason})
		}
	}
	s.recycleWorker(w)
	s.progressed(w, ran)
	s.dispatch()
}

// stop refuses calls from now on, settles those that wait, and has each worker stop when its calls have ended.
func (s *scheduler) stop() {
	if s.stopping {
		return
	}
	s.stopping = true
	for c := s.backlog.any(); c != nil; c = s.backlog.any() {
		s.backlog.remove(c)
		s.settle(c, nil, ErrStopped)
	}
	for _, w := range s.slots {
		s.endRelief(w, ErrStopped)
		s.close(w)
		s.order(w, orderStop, nil)
	}
}

// dispatch assigns calls that wait while a worker has room: first suspects, then calls of each region in turn.
func (s *scheduler) dispatch() {
	s.placeSuspects()
	s.unpark()
	for c := s.backlog.next(); c != nil; c = s.backlog.next() {
		w := s.room()
		if w == nil {
			break
		}
		s.backlog.take(c)
		if w.rest[c.id] {
			w = s.roomElsewhere(c)
		}
		if w == nil {
			s.backlog.park(c) // until the worker has let go of it
		} else {
			s.assign(c, w)
		}
	}
	s.takeBack()
	s.hire()
}

// room returns the worker that gets the next call: the one with the most free handlers, or, if there is none, the one at
// which the fewest calls wait; nil if none has room.
func (s *scheduler) room() *slot {
	if w := s.places.best(); w != nil && w.free()+s.pace.lead() > 0 {
		return w
	}
	return nil
}

// assign gives a call, which is not in the backlog any more, to a worker.
func (s *scheduler) assign(c *call, w *slot) {
	c.slot = w
	c.attempt++
	w.calls[c.id] = c
	w.unbegun.append(&c.link)
	s.arrange(w)
	s.order(w, orderSpawn, c)
}

// detach takes a call from its worker.
func (s *scheduler) detach(c *call) {
	w := c.slot
	s.keep(c)
	c.link.remove()
	delete(w.calls, c.id)
	if w.suspect == c {
		w.suspect, s.recheck = nil, true
	}
	s.recheck = s.recheck || len(w.calls) == 0
	c.slot, c.ordered, c.given, c.begun = nil, false, false, false
	s.arrange(w)
}

// wait has a call that a worker had wait again.
func (s *scheduler) wait(c *call) {
	if s.stopping {
		s.settle(c, nil, ErrStopped)
		return
	}
	s.backlog.giveBack(c)
	if s.expire && s.ready == 0 {
		s.effects.early = append(s.effects.early, c)
	}
	s.recheck = s.recheck || c.suspect
}

// settle ends a call, which is not in the backlog any more.
func (s *scheduler) settle(c *call, payload []byte, err error) {
	if c.slot != nil {
		s.detach(c)
	}
	if c.abandoned {
		payload, err = nil, &CancelError{Cause: c.cancel}
	}
	c.result, c.settled, c.payload = result{payload, err}, true, nil
	s.counts.count(err)
	s.effects.settled = append(s.effects.settled, c)
	if r := c.region; r != nil {
		delete(r.calls, c.id)
		if r.closed && len(r.calls) == 0 {
			s.effects.quiet = append(s.effects.quiet, r)
		}
	}
}

// arrange puts a worker where it belongs when something about it has changed.
func (s *scheduler) arrange(w *slot) {
	w.place.remove()
	if w.takes() && (w.free() > 0 || w.reserved == 0 && -w.free() < s.mostLead(w)) {
		s.places.put(w)
	}
	excess := 0
	if w.said && s.tries > 1 && !w.stopping {
		excess = max(w.excess(), 0)
	}
	s.excess += excess - w.waiting
	w.waiting = excess
	switch vacant := w.empty(); {
	case !vacant:
		w.vacant.remove()
	case w.vacant.chain == nil:
		s.vacant.append(&w.vacant)
		s.effects.idle = append(s.effects.idle, w)
	}
	shared := 0
	if w.able && w.suspect == nil {
		shared = 1
	}
	s.shared += shared - w.shared
	w.shared = shared
	switch {
	case excess == 0:
		w.behind.remove()
	case w.behind.chain == nil:
		w.progress = s.ended
		s.behind.append(&w.behind)
	}
}
