package driver

import (
	"errors"
	"time"
)

// While every handler is busy, workers get a few calls in advance, their lead, so that the next call is there when one
// ends. When it turns out that another worker could run such a call sooner, it is taken back: at once if its message has
// not been made, otherwise by the cancel handshake, which a worker that has said its capacity acknowledges without
// a report of Running if it has not begun the call.

// A pace is how long calls run, as a moving average.
type pace struct {
	known bool
	mean  time.Duration
}

func (p *pace) add(ran time.Duration) {
	if !p.known {
		p.known, p.mean = true, time.Millisecond
	}
	p.mean += (ran - p.mean) / 8
}

// lead returns how many calls may wait at a worker: about a millisecond's work.
func (p *pace) lead() int {
	if !p.known {
		return 1
	}
	return int(min(max(time.Millisecond/max(p.mean, 1), 1), maxLead))
}

// mostLead returns how many calls may wait at a worker whatever the pace.
func (s *scheduler) mostLead(w *slot) int {
	switch {
	case !w.said || s.tries == 1 || w.stuck:
		return 0
	case s.window > 0:
		return min(maxLead, s.window-w.capacity)
	}
	return maxLead
}

// progressed notes that a worker has ended a call, and looks for one that has not for a long time.
func (s *scheduler) progressed(w *slot, ran time.Duration) {
	s.ended++
	s.pace.add(ran)
	w.progress = s.ended
	if w.stuck {
		w.stuck = false
		s.arrange(w)
	}
	if w.behind.chain != nil {
		w.behind.remove()
		s.behind.append(&w.behind)
	}
	// A call that waits behind a long one must not wait until no other call does. So when the others have ended as many calls as
	// if each handler had ended those in front of it once, it is taken back.
	if first := s.behind.first; first != nil && s.ended-first.of.progress >= uint64(s.handlers*s.pace.lead()) {
		first.of.stuck = true
		s.takeBackAll(first.of)
	}
}

// takeBack takes back calls that wait while another worker has a handler free. If calls are short, whose call has just ended
// may well make the next one at once, which can have the handler; so that is left to balance.
func (s *scheduler) takeBack() {
	for s.behind.len > 0 {
		to := s.places.best()
		if to == nil || to.free() <= 0 {
			return
		}
		from := s.behind.first.of
		c := from.unbegun.last.of
		if c.ordered && s.pace.lead() > 1 {
			if !s.armed {
				s.armed, s.effects.balance = true, true
			}
			return
		}
		if !s.takeBackFor(c, to) {
			return
		}
	}
}

// balance does what takeBack has left to it.
func (s *scheduler) balance() {
	s.armed = false
	for s.behind.len > 0 {
		to := s.places.best()
		if to == nil || to.free() <= 0 || !s.takeBackFor(s.behind.first.of.unbegun.last.of, to) {
			return
		}
	}
}

// takeBackFor takes back a call for a worker with a free handler, which is reserved; for another one if that still lets
// go of it. It reports whether it could.
func (s *scheduler) takeBackFor(c *call, to *slot) bool {
	if to.rest[c.id] {
		if to = s.roomElsewhere(c); to == nil || to.free() <= 0 {
			return false
		}
	}
	from := c.slot
	if !c.ordered {
		s.detach(c)
		s.assign(c, to)
		return true
	}
	c.link.remove()
	c.returning, c.to = true, to
	from.returning++
	to.reserved++
	s.arrange(from)
	s.arrange(to)
	s.order(from, orderReturn, c)
	s.effects.taken = append(s.effects.taken, c)
	return true
}

// unreserve ends the reservation of a handler for a call that has not come back soon: its worker may not answer at all.
func (s *scheduler) unreserve(c *call, attempt uint64) {
	if c.attempt == attempt {
		s.release(c)
		s.dispatch()
	}
}

// takeBackAll takes back all calls that wait at a worker, whether or not another one can run them at once.
func (s *scheduler) takeBackAll(from *slot) {
	for from.excess() > 0 {
		c := from.unbegun.last.of
		if !c.ordered {
			s.detach(c)
			s.wait(c)
			continue
		}
		c.link.remove()
		c.returning = true
		from.returning++
		s.arrange(from)
		s.order(from, orderReturn, c)
	}
}

// keep ends taking back a call, if that has begun.
func (s *scheduler) keep(c *call) {
	if !c.returning {
		return
	}
	c.returning = false
	if !c.begun {
		c.slot.returning--
	}
	s.release(c)
	s.arrange(c.slot)
}

// release ends the reservation of a handler for a call.
func (s *scheduler) release(c *call) {
	if to := c.to; to != nil {
		c.to = nil
		to.reserved--
		s.recheck = s.recheck || to.empty()
		s.arrange(to)
	}
}

// callAcknowledged notes that the worker has acknowledged that the call is cancelled. If it was only taken back and has not
// begun, it need not wait for the rest of the handshake.
func (s *scheduler) callAcknowledged(w *slot, c *call) {
	if c.slot != w || !c.returning || c.begun {
		return
	}
	w.rest[c.id] = true
	to := c.to
	s.detach(c)
	if to != nil && to.place.chain != nil && to.free() > 0 && !c.suspect {
		s.assign(c, to)
	} else {
		s.wait(c)
	}
	s.dispatch()
}

// callReturned notes that the handshake of a call that was taken back after it had begun is over.
func (s *scheduler) callReturned(c *call) {
	c.ran()
	s.detach(c)
	if s.tries == 1 {
		s.settle(c, nil, &GivenUpError{1, errTakenBack})
	} else {
		s.wait(c)
	}
	s.dispatch()
}

// letGo notes that the handshake of a call that was taken back, and given elsewhere, is over.
func (s *scheduler) letGo(w *slot, c *call) {
	delete(w.rest, c.id)
	s.arrange(w)
	s.recheck = s.recheck || len(s.backlog.suspects) > 0
	s.dispatch()
}

// unpark has calls wait in turn again that only workers could take that still let go of them, since one may take them now.
func (s *scheduler) unpark() {
	if s.room() == nil {
		return
	}
	for l := s.backlog.parked.first; l != nil; {
		c := l.of
		l = l.next
		s.backlog.remove(c)
		s.backlog.giveBack(c)
	}
}

// roomElsewhere does what room does for a call that some workers still let go of.
func (s *scheduler) roomElsewhere(c *call) (best *slot) {
	for _, w := range s.slots {
		if w.place.chain != nil && !w.rest[c.id] && w.free()+s.pace.lead() > 0 && (best == nil || w.free() > best.free()) {
			best = w
		}
	}
	return best
}

var errTakenBack = errors.New("driver: call was taken back from a worker that was to begin no more, and had begun it")
