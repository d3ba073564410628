package driver_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// What the host promises in numbers, with the default limits. A turn is half a second.
const (
	turn     = 500 * time.Millisecond
	holdMost = 5*time.Second + 10*time.Second + 5*turn // Silence + Answer
	letGo    = (10+30+10+5)*time.Second + 5*turn       // Cancel + Drain + Finalize + Close
	keptMost = 2 * time.Millisecond                    // how long, and two round trips, a handler is kept for a call at a worker that does not answer
	attempts = 5                                       // of WithAttempts
)

// transfer returns how much longer a worker may take because of what is under way to it.
func transfer(p plan) time.Duration {
	bytes := 0
	for _, c := range p.Calls {
		bytes += 500 + 5*c.Bytes // as JSON
	}
	return time.Duration(float64(time.Second) * float64(bytes) / (1 << 20))
}

// check looks for promises that were broken.
func (s *simulation) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	useless := 0 // workers that may have been of no use
	for _, w := range s.workers {
		useless += btoi(len(w.running) == 0 && w.done == 0)
	}
	s.lookForKept()
	s.lookForDismissed()
	for _, c := range s.calls {
		s.checkAnswer(c, useless)
		s.checkInfo(c)
		s.checkReturn(c)
		s.checkRunLimit(c)
		s.checkBacklog(c)
		s.checkHarm(c)
		if len(s.workers) < mostWorkers { // else something is wrong anyway
			s.checkWaits(c)
		}
		s.checkSuspect(c)
		s.checkMoves(c)
		s.checkTurn(c)
		s.checkStaff(c)
	}
	s.checkRegions()
	slices.SortStableFunc(s.violations, func(a, b violation) int {
		return cmp.Or(cmp.Compare(a.promise, b.promise), cmp.Compare(a.kind, b.kind))
	})
}

// checkAnswer checks that a call was answered with what it came to (promise 1), and not with what others did
// (promise 2).
func (s *simulation) checkAnswer(c *simCall, useless int) {
	if c.returned.IsZero() {
		return
	}
	var gaveUp *driver.GivenUpError
	var cancelled *driver.CancelError
	right := false
	switch err := c.err; {
	case err == nil:
		right = c.successes > 0 && len(c.data) == 4 && int(binary.BigEndian.Uint32(c.data)) == c.index
	case errors.Is(err, driver.ErrJobFailed):
		right = c.plan.Does == fails && c.begun > 0
	case errors.Is(err, driver.ErrPanicked):
		right = c.plan.Does == panics && c.begun > 0
	case errors.As(err, &cancelled):
		late := errors.Is(err, context.DeadlineExceeded) && !c.deadline.IsZero() && !c.returned.Before(c.deadline)
		right = late || errors.Is(err, driver.ErrRunLimit) && c.ranTooLong() ||
			errors.Is(err, errCancelled) && c.plan.Region == s.plan.Cancel.Region && !c.returned.Before(s.impatient(c))
	case errors.Is(err, driver.ErrBusy):
		right = s.mayRefuse(c)
	case errors.Is(err, driver.ErrStopped):
		right = !s.stopped.IsZero() && !c.returned.Before(s.stopped) && !s.wasRunning(c)
	case errors.As(err, &gaveUp):
		s.checkGivenUp(c)
		return
	case errors.Is(err, driver.ErrNoWorker):
		orderly := 0
		for _, e := range c.ends {
			orderly += btoi(e.orderly && (!e.begun.IsZero() || e.worker.plan.Silent))
		}
		if useless < attempts && orderly < attempts {
			s.note(2, "no worker, though there were some", "call %d: %v", c.index, err)
		}
		return
	}
	if !right {
		s.note(1, "wrong answer", "call %d (%v): %q, %v", c.index, c.plan.Does, c.data, c.err)
	}
}

// wasRunning reports whether the call ran when the host was stopped and could have ended before patience did.
func (s *simulation) wasRunning(c *simCall) bool {
	for _, g := range c.gifts {
		end := g.begun.Add(c.plan.Run + 2*s.latency.most)
		if !g.begun.IsZero() && g.begun.Before(s.stopped) && (g.over.IsZero() || g.over.After(s.stopped)) {
			return g.worker.why == "" && g.recalled.IsZero() && !c.plan.Does.guilty() && s.plan.Patience > 0 && end.Before(s.stopped.Add(s.plan.Patience))
		}
	}
	return false
}

// checkGivenUp checks that a call was given up for what it did itself.
func (s *simulation) checkGivenUp(c *simCall) {
	if len(c.ends) == 0 {
		s.note(2, "given up though no worker had ended", "call %d", c.index)
		return
	}
	last := c.ends[len(c.ends)-1]
	if s.plan.tries() == 1 {
		if last.orderly && last.begun.IsZero() && !last.worker.plan.Silent { // the host knows what that has begun only from its reports
			s.note(2, "tries 1: lost, and never begun, with a worker that left", "call %d, %v %s", c.index, last.worker, last.why)
		}
		return
	}
	alone, orderly := 0, false
	for _, e := range c.ends {
		alone += btoi(e.alone && !e.orderly)
		orderly = orderly || e.orderly
	}
	var gaveUp *driver.GivenUpError
	if errors.As(c.err, &gaveUp) && gaveUp.Workers != s.plan.tries() {
		s.note(5, "wrong number of workers", "call %d: %v", c.index, c.err)
	}
	switch {
	case alone >= s.plan.tries():
	case orderly:
		s.note(2, "given up because workers left in order", "call %d, the last of %d: %v %s", c.index, len(c.ends), last.worker, last.why)
	case c.plan.Does.guilty():
		s.note(2, "a guilty call given up because of others", "call %d, the last of %d: %v %s", c.index, len(c.ends), last.worker, last.why)
	default:
		s.note(2, "an innocent call given up because of others", "call %d, the last of %d: %v %s", c.index, len(c.ends), last.worker, last.why)
	}
}

// checkInfo checks what the caller was told beside the answer (promise 5).
func (s *simulation) checkInfo(c *simCall) {
	if c.returned.IsZero() {
		return
	}
	i, took := c.info, c.returned.Sub(c.submitted)
	switch refused := errors.Is(c.err, driver.ErrBusy); {
	case refused != (i.ID == 0) && !errors.Is(c.err, driver.ErrStopped):
		s.note(5, "wrong number", "call %d is job %d: %v", c.index, i.ID, c.err)
	case i.ID != 0 && i.Waited+i.Ran != took:
		s.note(5, "wrong times", "call %d took %v: %+v", c.index, took, i)
	case i.ID != 0 && (i.Attempts > len(c.gifts) || uint64(i.Attempts) < c.attempt && !c.plan.AtOnce):
		s.note(5, "wrong attempts", "call %d was given %d times, attempt %d was begun: %+v", c.index, len(c.gifts), c.attempt, i)
	}
}

// checkHarm checks that a call did not run more often than it may, nor end more workers than it may: in company once,
// then alone.
func (s *simulation) checkHarm(c *simCall) {
	tries := s.plan.tries()
	switch {
	case tries == 1 && c.begun > 1:
		s.note(2, "tries 1: begun twice", "call %d was begun %d times", c.index, c.begun)
	case tries > 1 && c.ended > tries+1:
		s.note(2, "a guilty call ended too many workers", "call %d ended %d", c.index, c.ended)
	}
	orderly := 0
	for _, e := range c.ends {
		if orderly += btoi(e.orderly && !e.begun.IsZero()); !e.orderly {
			orderly = 0
		}
	}
	if orderly > attempts {
		s.note(2, "begun by too many workers that left in order", "call %d, %d in a row", c.index, orderly)
	}
}

// checkWaits checks that a call did not wait while a worker had a handler free (promise 3), but for two round trips with
// the transfer of what was under way. A handler that is kept for a call that is being taken back is not free. More than so
// many workers as suspects wait must have had a handler all the time, since the others may have been kept for them. A suspect
// itself waits for an empty worker.
func (s *simulation) checkWaits(c *simCall) {
	bound := 4*s.latency.most + time.Microsecond
	for _, wait := range c.waits.list {
		suspect := !c.suspected.IsZero() && !wait.from.Before(c.suspected)
		end := wait.to
		for _, t := range []time.Time{s.stopped, s.impatient(c)} {
			if !t.IsZero() && end.After(t) {
				end = t
			}
		}
		for _, from := range s.moments(wait.from, end.Add(-bound)) {
			last := from
			var able []*simWorker
			for _, w := range s.workers {
				if to := w.until(from, from.Add(bound)); !to.After(end) && w.couldRun(c, suspect, from, to) {
					able = append(able, w)
					last = latest(last, to)
				}
			}
			if others := s.mostQueued(from, last) - btoi(suspect); len(able) > others {
				s.note(3, c.place(from, able[0]), "call %d waits from %v to %v; %v has a handler free from %v for too long", c.index,
					wait.from.Sub(s.started), end.Sub(s.started), able[0], from.Sub(s.started))
				return
			}
		}
	}
}

// lookForKept notes when handlers were kept for calls that were being taken back: until the call was moved there, or turned out
// to have begun, or, if its worker does not answer, for a while. In the latter cases it may have been any worker's handler.
func (s *simulation) lookForKept() {
	var anywhere []span
	for _, c := range s.calls {
		lost := s.impatient(c)
		for i, g := range c.gifts {
			if g.recalled.IsZero() || !lost.IsZero() && !g.recalled.Before(lost) {
				continue
			}
			switch {
			case !g.inVain.IsZero():
				anywhere = append(anywhere, span{g.recalled, g.inVain})
			case i+1 < len(c.gifts) && c.gifts[i+1].moved:
				next := c.gifts[i+1]
				next.worker.kept = append(next.worker.kept, span{g.recalled, next.sent})
			case !g.worker.frozenAt.IsZero():
				anywhere = append(anywhere, span{g.recalled, g.recalled.Add(keptMost + 4*s.latency.most)})
			}
		}
	}
	for _, w := range s.workers {
		w.kept = append(w.kept, anywhere...)
		slices.SortFunc(w.kept, func(a, b span) int { return a.from.Compare(b.from) })
	}
}

// until returns a later end of a period, if handlers of the worker were kept in it.
func (w *simWorker) until(from, to time.Time) time.Time {
	for _, k := range w.kept {
		if k.from.Before(to) && k.to.After(from) {
			to = to.Add(k.to.Sub(latest(k.from, from)))
		}
	}
	return to
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// couldRun reports whether the worker had a handler free for the call for the whole of a period; for a suspect, whether it
// had nothing at all.
func (w *simWorker) couldRun(c *simCall, suspect bool, from, to time.Time) bool {
	if c.letGoBy(w, from) {
		return false
	}
	if suspect {
		return w.empty.covers(from, to)
	}
	return w.free.covers(from, to)
}

// checkSuspect checks that a suspect gets a worker: while it waits, not all workers are given other calls. If one of them
// is frozen, or lost meanwhile, that may have been the one that was kept for it.
func (s *simulation) checkSuspect(c *simCall) {
	for _, wait := range c.waits.list {
		to := wait.to
		for _, g := range c.gifts {
			if g.sent.After(wait.from) && g.sent.Before(to) {
				to = g.sent
			}
		}
		if c.suspected.IsZero() || c.doubtful || wait.from.Before(c.suspected) || to.Sub(wait.from) < 4*s.latency.most {
			continue
		}
		able, given := 0, 0
		for _, w := range s.workers {
			frozen := !w.frozenAt.IsZero() && w.frozenAt.Before(to) && w.over.After(wait.from)
			if frozen || w.able.endsIn(wait.from, to) {
				given = -1
				break
			}
			if !w.able.covers(wait.from, to) {
				continue
			}
			able++
			given += btoi(slices.ContainsFunc(w.sends, func(g *gift) bool {
				return g.sent.After(wait.from) && g.sent.Before(to) && !g.suspect
			}))
		}
		if able > 0 && given == able {
			s.note(3, "a suspect waits while every worker is given other calls", "call %d waits from %v to %v", c.index, wait.from.Sub(s.started), to.Sub(s.started))
		}
	}
}

// mostMoves is how often a call may be taken back, and once more for every worker that has come.
const mostMoves = 2

// checkMoves checks that a call is not taken back again and again.
func (s *simulation) checkMoves(c *simCall) {
	if c.moves > mostMoves+len(s.workers) {
		s.note(3, "taken back too often", "call %d was taken back %d times", c.index, c.moves)
	}
}

// moments returns from, and when a handler got free from then on until last.
func (s *simulation) moments(from, last time.Time) (all []time.Time) {
	if from.After(last) {
		return nil
	}
	all = append(all, from)
	for _, w := range s.workers {
		for _, periods := range []spans{w.free, w.empty} {
			for _, p := range periods.list {
				if p.from.After(from) && !p.from.After(last) {
					all = append(all, p.from)
				}
			}
		}
	}
	return all
}

// place names where a call waited at a moment, while another worker had a handler free.
func (c *simCall) place(at time.Time, other *simWorker) string {
	for _, g := range c.gifts {
		if g.sent.After(at) || !g.over.IsZero() && g.over.Before(at) {
			continue
		}
		switch {
		case g.worker == other:
			return "waits at a worker that has a handler free"
		case g.sent.Before(other.began):
			return "waits at a worker, since before another was ready"
		}
		return "waits at a worker, another has a handler free"
	}
	return "waits at the host though a worker has a handler free"
}

// checkRegions checks that regions take turns: between two calls that are sent to workers, one after the other in a region,
// no other region has three new calls sent. One is its turn, another may have been decided before.
func (s *simulation) checkRegions() {
	for _, c := range s.calls {
		if c.firstSent.IsZero() {
			continue
		}
		first := c.submitted // of its region
		later := func(t time.Time) {
			if t.After(first) && t.Before(c.firstSent) {
				first = t
			}
		}
		for _, other := range s.calls {
			if other.plan.Region != c.plan.Region {
				continue
			}
			for _, g := range other.gifts {
				later(g.sent)
			}
			if other.submitted.Before(c.submitted) {
				later(other.returned)
			}
		}
		var sent [regions]int
		for _, other := range s.firstSends {
			r := other.plan.Region
			if r != c.plan.Region && other.firstSent.After(first) && other.firstSent.Before(c.firstSent) {
				if sent[r]++; sent[r] == 3 {
					s.note(3, "regions do not take turns", "call %d of region %d waits for the third of region %d", c.index, c.plan.Region, r)
				}
			}
		}
	}
}

// checkTurn checks that a call that has had its turn, and has come back to the host, goes before those whose turns were later.
// Suspects wait for empty workers, a call does not go to a worker that still lets go of it, and a handler that was kept for one
// call is not for others.
func (s *simulation) checkTurn(c *simCall) {
	for i, g := range c.gifts[:max(0, len(c.gifts)-1)] {
		next := c.gifts[i+1]
		if next.suspect || next.moved {
			continue
		}
		for _, other := range s.calls {
			if !other.firstSent.After(c.firstSent) {
				continue
			}
			for _, h := range other.gifts {
				if h.sent.After(g.over) && h.sent.Before(next.sent) && !h.moved && !h.suspect && !c.letGoBy(h.worker, h.sent) && !other.letGoBy(nil, h.sent) {
					s.note(3, "a turn comes to nothing", "call %d is at the host from %v to %v, and call %d is sent", c.index, g.over.Sub(s.started), next.sent.Sub(s.started), other.index)
					return
				}
			}
		}
	}
}

// letGoBy reports whether the worker, nil being any, still lets go of the call at a moment.
func (c *simCall) letGoBy(w *simWorker, at time.Time) bool {
	return slices.ContainsFunc(c.gifts, func(g *gift) bool {
		return (g.worker == w || w == nil) && g.taken && !g.over.After(at) && (g.letGo.IsZero() || g.letGo.After(at))
	})
}
