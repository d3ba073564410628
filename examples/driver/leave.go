package driver

import (
	"cmp"
	"slices"
	"time"
)

// What becomes of the calls of a worker that has ended depends on how it did:
//
//	it ended                       a call that was given to it              with WithTries(1)
//	in order                       runs again; too often in a row, begun:   is given up if it was reported as begun, or the
//	                               there is no worker for it                worker does not report
//	because of one call            runs again                               is given up
//	by itself, or late, or broken  is a suspect: runs again, alone; if      is given up
//	                               it was alone, it is charged, and too
//	                               often charged, given up
//
// One that was cancelled is settled as cancelled, since its connection has ended, and one that was not given to it runs
// again. So a call is charged only for what it can have done itself.

// An ending is how a worker ended.
type ending uint8

const (
	endedByItself ending = iota // or for its silence, or a broken message
	endedInOrder                // by ShutdownCompleted
	endedForOne                 // by the host because of one call, which is cancelled
)

// workerLeft removes a worker that has no session any more, and decides about each call that it had.
func (s *scheduler) workerLeft(w *slot, how ending, why error) {
	if w.left {
		return
	}
	s.endRelief(w, nil)
	s.close(w)
	w.left = true
	last := len(s.slots) - 1
	s.slots[w.index] = s.slots[last]
	s.slots[w.index].index = w.index
	s.slots[last] = nil
	s.slots = s.slots[:last]
	if w.dialed && w.post == nil {
		s.staff.leaving--
		for _, other := range s.slots {
			s.recycleWorker(other) // it may have waited for that
		}
	}
	s.counts.WorkersEnded++
	calls := sortedCalls(w.calls)
	given, blamed := 0, false
	for _, c := range calls {
		if c.given {
			given++
		}
	}
	for _, c := range calls {
		mayHaveBegun := c.given && (how != endedInOrder || c.begun || !w.said)
		blamed = blamed || mayHaveBegun
		if mayHaveBegun {
			c.ran()
		}
		s.detach(c)
		switch {
		case c.cancel != nil:
			s.settle(c, nil, &CancelError{Cause: c.cancel})
		case s.stopping:
			s.settle(c, nil, ErrStopped)
		case !mayHaveBegun:
			s.again(c)
		case s.tries == 1:
			s.settle(c, nil, &GivenUpError{1, why})
		case how == endedInOrder:
			if c.leaves++; s.rules.attempts > 0 && c.leaves >= s.rules.attempts {
				s.settle(c, nil, &NoWorkerError{Attempts: c.leaves, Last: why})
			} else {
				s.again(c)
			}
		case how == endedForOne:
			c.leaves = 0
			s.again(c)
		default:
			c.leaves, c.suspect = 0, true
			if given == 1 {
				c.charged++
			}
			if c.charged >= s.tries {
				s.settle(c, nil, &GivenUpError{c.charged, why})
			} else {
				s.again(c)
			}
		}
	}
	w.orders, w.rest = nil, nil
	if !w.dismissed {
		s.failure = why
	}
	if w.post != nil && w.ended == 0 && !blamed {
		s.attemptFailed(w.post, why)
	}
	s.dispatch()
}

// again has a call of a worker that has ended wait.
func (s *scheduler) again(c *call) {
	s.counts.Retries++
	s.wait(c)
}

// attemptFailed notes that an attempt to get a worker came to nothing: it did not get ready, or it left before it began
// a call. After too many in a row, calls that wait are settled if there is no worker for them.
func (s *scheduler) attemptFailed(p *post, why error) {
	s.attempts++
	s.failure = why
	p.failures++
	if most := s.rules.attempts; most > 0 && p.failures >= most && p.relieved != nil {
		s.endRelief(p.relieves, &NoWorkerError{Attempts: p.failures, Last: why})
		s.abolish(p)
	}
	if s.rules.attempts == 0 || s.attempts < s.rules.attempts {
		return
	}
	s.effects.barren = s.noWorker(0)
	if s.ready > 0 {
		return
	}
	for c := s.backlog.any(); c != nil; c = s.backlog.any() {
		s.backlog.remove(c)
		s.settle(c, nil, s.noWorker(0))
	}
}

// noWorker returns the error of a call for which there is no worker, or was none for some time.
func (s *scheduler) noWorker(waited time.Duration) error {
	return &NoWorkerError{Attempts: s.attempts, Last: s.failure, Waited: waited}
}

// expireCall settles a call that was submitted while no worker was ready, if none has been since. dry was the scheduler's then.
func (s *scheduler) expireCall(c *call, dry uint64, waited time.Duration) {
	if s.ready == 0 && s.dry == dry && c.slot == nil && !c.settled {
		s.backlog.remove(c)
		s.settle(c, nil, s.noWorker(waited))
		s.dispatch()
	}
}

// expireAll settles the calls that wait and were submitted before the last worker went, if none has been ready since.
func (s *scheduler) expireAll(dry uint64, waited time.Duration) {
	if s.ready > 0 || s.dry != dry {
		return
	}
	var calls []*call
	s.backlog.each(s.backlog.len, func(c *call) {
		if c.dry < dry {
			calls = append(calls, c)
		}
	})
	for _, c := range calls {
		s.expireCall(c, dry, waited)
	}
}

// placeSuspects gives suspects to workers that have no calls, and has as many workers as there are more suspects get no
// calls until they have none: those with the fewest.
func (s *scheduler) placeSuspects() {
	if !s.recheck {
		return
	}
	s.recheck = false
	for l := s.vacant.first; l != nil && len(s.backlog.suspects) > 0; {
		w, c := l.of, s.backlog.suspects.first()
		if l = l.next; !w.rest[c.id] {
			s.backlog.remove(c)
			w.suspect = c
			s.unempty(w)
			s.assign(c, w)
		}
	}
	if s.emptying == min(len(s.backlog.suspects), s.shared) {
		return
	}
	var busy []*slot
	for _, w := range s.slots {
		if w.shared == 1 {
			busy = append(busy, w)
		}
	}
	slices.SortStableFunc(busy, func(a, b *slot) int { return cmp.Compare(len(a.calls)+a.reserved, len(b.calls)+b.reserved) })
	for i, w := range busy {
		if i >= len(s.backlog.suspects) {
			s.unempty(w)
		} else if !w.emptying {
			w.emptying = true
			s.emptying++
			s.arrange(w)
		}
	}
}

// unempty ends the emptying of a worker.
func (s *scheduler) unempty(w *slot) {
	if w.emptying {
		w.emptying = false
		s.emptying--
		s.arrange(w)
	}
}
