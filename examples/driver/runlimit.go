package driver

import "fmt"

// The clock of a handler (WithRunLimit) is one of real time, so that it is exact whatever the length of a turn. What a worker
// reports too late, or never, is looked for in each turn.

// limitRun starts the clock of a call, from now. A call that is being taken back is cancelled already, and will run elsewhere, and
// so will one whose worker is ending.
func (s *session) limitRun(h *handed) {
	limit := h.call.runLimit
	if limit <= 0 || s.why != nil {
		return
	}
	h.clock.start(limit, func() {
		s.decide(func(d *scheduler) {
			if c := h.call; c.slot == s.slot && c.attempt == h.attempt && !c.returning {
				d.cancelCall(c, ErrRunLimit, fmt.Sprintf("%v of %v", ErrRunLimit, limit))
			}
		})
	})
}

// capacitySaid notes that the worker has said its capacity. The clocks that were started because it might say nothing stop.
func (s *session) capacitySaid(handlers int) {
	said := false
	s.decide(func(d *scheduler) {
		said = s.slot.said
		d.workerCapacity(s.slot, handlers)
	})
	if !said {
		s.stopClocks(func(h *handed) bool { return !h.begun })
	}
}

func (s *session) stopClocks(of func(*handed) bool) {
	for job := range s.c.Jobs() {
		if h := job.Tag.(*handed); of(h) {
			h.clock.stop()
		}
	}
}

// limitUnreported starts the clocks of calls that the worker has not reported, though it has had a handler for them for as long
// as it may take to answer, and has shown a sign of life since: one that gives none is ended for its silence, which is not to be
// blamed on its calls.
func (s *session) limitUnreported() {
	now := s.c.Turn()
	s.decide(func(*scheduler) {
		w := s.slot
		if !w.said {
			return
		}
		free := w.capacity - (len(w.calls) - w.unbegun.len) // as far as the worker has said
		for l := w.unbegun.first; l != nil && l.of.given && free > 0; l, free = l.next, free-1 {
			h := s.handed(l.of.id)
			switch {
			case h.due == 0:
				h.due = now + s.turns.core.Poll + s.allowance()
			case s.heard >= h.due && !h.limited:
				h.limited = true
				s.limitRun(h)
			}
		}
	})
}
