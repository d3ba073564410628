package driver_test

import (
	"errors"
	"slices"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// checkReturn checks that a call that somebody has lost patience with returned soon, and at once if it is to (promise 4).
func (s *simulation) checkReturn(c *simCall) {
	if c.returned.IsZero() {
		return
	}
	if c.plan.AtOnce && c.returned.After(c.deadline) {
		s.note(4, "does not return at once", "call %d, %v after the end of its context", c.index, c.returned.Sub(c.deadline))
	}
	if ended := s.impatient(c); !ended.IsZero() && c.returned.Sub(ended) > letGo+transfer(s.plan) {
		s.note(4, "returned late", "call %d, %v after the end of its context", c.index, c.returned.Sub(ended))
	}
}

// lateness is how late a run limit may be noticed.
func (c callPlan) lateness() time.Duration {
	if c.RunLimit == 0 {
		return 0
	}
	return max(10*time.Millisecond, c.RunLimit/10)
}

// checkRunLimit checks that a call is cancelled when its handler has run as long as it may (promise 4).
func (s *simulation) checkRunLimit(c *simCall) {
	for _, g := range c.gifts {
		due := g.due(c)
		if due.IsZero() {
			continue
		}
		last := due.Add(c.plan.lateness())
		if late := func(t time.Time) bool { return t.IsZero() || t.After(last) }; late(g.over) && late(g.recalled) {
			s.note(4, "a handler runs too long", "call %d runs on %v for longer than %v", c.index, g.worker, c.plan.RunLimit)
		}
	}
}

// ranTooLong reports whether the last worker that had the call ran it for as long as it may. If the worker was frozen or died
// before it could say that the handler has returned, or leaves the call open since it was asked to end, the host cannot know.
func (c *simCall) ranTooLong() bool {
	if c.plan.RunLimit == 0 || len(c.gifts) == 0 {
		return false
	}
	g := c.gifts[len(c.gifts)-1]
	if g.worker.plan.Silent {
		return !c.returned.Before(g.due(c))
	}
	end := g.returned
	if w := g.worker; w.why != "" && w.why != errLeaving.Error() && w.whyAt.Before(c.returned) {
		end = c.returned
	}
	return !g.begun.IsZero() && end.Sub(g.begun) >= c.plan.RunLimit
}

// mayRefuse reports whether the call may be answered with ErrBusy: at once, if as many waited as may, and no worker had had a
// handler free for as long as that may be, that was not kept for another.
func (s *simulation) mayRefuse(c *simCall) bool {
	if !s.plan.Bounded || c.ahead < s.plan.Backlog && !s.moves(c) || !c.returned.Equal(c.submitted) || len(c.gifts) > 0 {
		return false
	}
	from := c.submitted.Add(-4*s.latency.most - time.Microsecond)
	able := 0
	for _, w := range s.workers {
		able += btoi(w.until(from, c.submitted).Equal(c.submitted) && w.free.covers(from, c.submitted))
	}
	return able <= s.mostQueued(from, c.submitted)
}

// checkBacklog checks that a call that has to wait is refused if as many waited already as may.
func (s *simulation) checkBacklog(c *simCall) {
	if s.plan.Bounded && c.ahead >= s.plan.Backlog && !s.moves(c) && !c.firstSent.Equal(c.submitted) && c.returned.After(c.submitted) {
		s.note(1, "too many calls wait", "call %d waits with %d others", c.index, c.ahead)
	}
}

// moves reports whether a worker got or lost another call at the moment at which the call was made, so that either may have been
// first.
func (s *simulation) moves(c *simCall) bool {
	return slices.ContainsFunc(s.calls, func(other *simCall) bool {
		return other != c && slices.ContainsFunc(other.gifts, func(g *gift) bool { return g.sent.Equal(c.submitted) || g.over.Equal(c.submitted) })
	})
}

// checkKinds checks that each call was counted as what its caller was told, when all have returned.
func (s *simulation) checkKinds() {
	kinds := []error{
		nil, driver.ErrJobFailed, driver.ErrPanicked, driver.ErrCancelled, driver.ErrGivenUp, driver.ErrNoWorker, driver.ErrStopped, driver.ErrBusy,
	}
	n := s.host.Stats()
	got := []uint64{n.Succeeded, n.Failed, n.Panicked, n.Cancelled, n.GivenUp, n.NoWorker, n.Stopped, n.Refused}
	want := make([]uint64, len(got))
	for _, c := range s.calls {
		if errors.Is(c.err, driver.ErrStopped) && c.submitted.After(s.stopped) {
			continue // it was not accepted
		}
		if i := slices.IndexFunc(kinds, func(kind error) bool { return errors.Is(c.err, kind) }); i >= 0 {
			want[i]++
		}
	}
	if !slices.Equal(got, want) {
		s.report(1, "counted as something else", "%v, in place of %v", got, want)
	}
}
