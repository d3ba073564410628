package driver_test

import (
	"cmp"
	"slices"
	"time"
)

// The methods of this file keep what the checks look at afterwards. They are called with mu held.

// spans are periods of time, by their beginnings.
type spans struct {
	list []span
	open bool // the last one goes on
}

type span struct{ from, to time.Time }

func (s *spans) begin(now time.Time) {
	if !s.open {
		s.list, s.open = append(s.list, span{from: now}), true
	}
}

func (s *spans) end(now time.Time) {
	if s.open {
		s.list[len(s.list)-1].to, s.open = now, false
	}
}

func (s *spans) set(on bool, now time.Time) {
	if on {
		s.begin(now)
	} else {
		s.end(now)
	}
}

// covers reports whether one of the periods lasts from the one moment to the other.
func (s *spans) covers(from, to time.Time) bool {
	return slices.ContainsFunc(s.list, func(p span) bool {
		return !p.from.After(from) && (p.to.IsZero() || !p.to.Before(to))
	})
}

// endsIn reports whether one of the periods ends between two moments.
func (s *spans) endsIn(from, to time.Time) bool {
	return slices.ContainsFunc(s.list, func(p span) bool { return p.to.After(from) && p.to.Before(to) })
}

// look notes what the worker is from now on. A call that is on its way to a handler, or whose end is on its way to the
// host, takes the handler as one that runs does.
func (w *simWorker) look() {
	now := time.Now()
	able, busy, suspects := w.ready && !w.leaving && !w.asked && w.over.IsZero() && w.alive(), len(w.given), 0
	for _, g := range w.given {
		suspects += btoi(g.suspect)
	}
	for c := range w.running {
		busy += btoi(w.given[c] == nil)
	}
	for c := range w.undoing {
		busy += btoi(w.given[c] == nil && !w.running[c])
	}
	w.able.set(able, now)
	w.free.set(able && suspects == 0 && busy < w.simulation.plan.usable(w.plan), now)
	w.empty.set(able && busy == 0, now)
}

// give notes that a call is being sent to the worker.
func (w *simWorker) give(c *simCall) {
	now := time.Now()
	if c.firstSent.IsZero() {
		c.firstSent = now
		w.firstSends = append(w.firstSends, c)
	}
	g := &gift{worker: w, sent: now, suspect: c.suspect}
	if n := len(c.gifts); n > 0 {
		before := c.gifts[n-1]
		g.moved = before.taken && before.over.Equal(now)
	}
	c.gifts, w.sends = append(c.gifts, g), append(w.sends, g)
	w.given[c] = g
	p := w.simulation.plan
	if end := w.impatient(c); !end.IsZero() && now.After(end.Add(c.plan.lateness())) {
		w.note(4, "given to a worker after its end", "call %d, %v after it", c.index, now.Sub(end))
	}
	switch n := w.has(); {
	case w.told0:
		w.note(3, "a call for a worker that leaves", "%v gets call %d", w, c.index)
	case p.tries() == 1 && n > p.usable(w.plan):
		w.note(2, "tries 1: a call waits at a worker", "%v has %d", w, n)
	case p.long() && n > p.usable(w.plan)+1:
		w.note(3, "too many calls in advance", "%v has %d", w, n)
	}
}

// has returns how many calls the worker has, as the host knows.
func (w *simWorker) has() (n int) {
	for c, g := range w.undoing {
		n += btoi(w.given[c] == nil && !g.taken)
	}
	return n + len(w.given)
}

// take notes that the worker has the call no more, and, if so, that it waits for another one.
func (w *simWorker) take(c *simCall, again bool) {
	g := w.given[c]
	if g == nil {
		return
	}
	delete(w.given, c)
	g.over = time.Now()
	if again && c.returned.IsZero() {
		w.waits(c, g.over)
	}
}

// begunAfterAll notes that the worker has begun a call, which it keeps if the host was taking it back.
func (s *simulation) begunAfterAll(g *gift) {
	if !g.recalled.IsZero() && g.inVain.IsZero() {
		g.inVain = time.Now()
	}
}

// impatient returns when somebody loses patience with a call that has been made: its context ends, or that of its region, or
// a handler has run as long as it may; zero: never.
func (s *simulation) impatient(c *simCall) (first time.Time) {
	cancel := time.Time{}
	if at := s.plan.Cancel.At; at > 0 && c.plan.Region == s.plan.Cancel.Region && s.started.Add(at).After(c.submitted) {
		cancel = s.started.Add(at)
	}
	for _, t := range []time.Time{c.deadline, cancel, c.expires()} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// expires returns when a handler of the call has run as long as it may, as far as the host can know, and before the call is
// taken back; zero: none does.
func (c *simCall) expires() time.Time {
	for _, g := range c.gifts {
		due := g.due(c)
		after := func(t time.Time) bool { return t.IsZero() || !t.Before(due) }
		if !due.IsZero() && after(g.over) && after(g.recalled) {
			return due
		}
	}
	return time.Time{}
}

// due returns when a handler that has been reported has run as long as it may; zero: it has no limit. At a worker that has not
// said how many handlers it has, the time begins when the call is sent, until there is a report.
func (g *gift) due(c *simCall) time.Time {
	from, limit := g.reported, c.plan.RunLimit
	if g.worker.plan.Silent && (from.IsZero() || from.After(g.sent.Add(limit))) {
		from = g.sent
	}
	if from.IsZero() || limit == 0 {
		return time.Time{}
	}
	return from.Add(limit)
}

// cancelled reports whether somebody has lost patience with a call.
func (s *simulation) cancelled(c *simCall) bool {
	ended := s.impatient(c)
	return !ended.IsZero() && !time.Now().Before(ended)
}

// begin notes that a handler is called with a call, and reports whether the process does anything.
func (w *simWorker) begin(c *simCall, attempt uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.alive() {
		return false
	}
	w.running[c] = true
	if attempt <= c.attempt {
		w.note(5, "two handlers have the same attempt", "call %d, attempt %d", c.index, attempt)
	}
	c.attempt = attempt
	if c.begun++; c.begun == 1 {
		c.firstRun = time.Now()
	}
	w.tell("%v begins call %d", w, c.index)
	if g := w.given[c]; g != nil {
		g.begun = time.Now()
	}
	c.waits.end(time.Now())
	w.count(c)
	w.look()
	return true
}

// noticed is called when the host has learned that the connection has ended, or ends it.
func (w *simWorker) noticed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone(false)
}

// gone notes that the host has learned that the worker is gone. What it had waits again.
func (w *simWorker) gone(orderly bool) {
	if !w.over.IsZero() {
		return
	}
	w.over = time.Now()
	if w.culprit != nil && len(w.undoing) == 0 { // else the host may have ended it because of a cancel that came to nothing
		w.culprit.ended++
	}
	if !orderly && w.ready && w.why == "" && !w.deaf() && w.stopped.IsZero() {
		w.note(2, "a worker that does well is ended", "%v", w)
	}
	w.tell("%v is gone, in order: %v, %s", w, orderly, w.why)
	now := time.Now()
	had := make([]*simCall, 0, len(w.given))
	for c := range w.given {
		had = append(had, c)
	}
	slices.SortFunc(had, func(a, b *simCall) int { return cmp.Compare(a.index, b.index) })
	for _, c := range had {
		g := w.given[c]
		g.over = now
		why := w.why
		if why == "" {
			why = "ended by the host"
		}
		c.ends = append(c.ends, end{g, orderly, len(had) == 1, !w.frozenAt.IsZero(), why})
		if !orderly && !c.suspect && c.returned.IsZero() {
			c.suspect, c.suspected = true, now
			c.doubtful = len(w.undoing) > 0
		}
		w.stopWaiting(c, g, now)
		if c.returned.IsZero() {
			w.waits(c, now)
		}
	}
	clear(w.given)
	clear(w.undoing)
	w.look()
}

// deaf reports whether a call that is being cancelled, or taken back, takes no notice.
func (w *simWorker) deaf() bool {
	for c := range w.undoing {
		if c.plan.Does == ignores {
			return true
		}
	}
	return false
}

// startAgain notes that the host has learned that the worker leaves: only now can it know that what waits there is to
// be taken back.
func (w *simWorker) startAgain() {
	now := time.Now()
	for c := range w.given {
		if c.waits.open {
			c.waits.end(now)
			c.waits.begin(now)
		}
	}
}

// stopWaiting notes that the call does not wait at the worker any more. One that waited at a worker that was frozen counts
// neither as waiting nor for ever.
func (w *simWorker) stopWaiting(c *simCall, g *gift, now time.Time) {
	if !c.waits.open || w.frozenAt.IsZero() {
		c.waits.end(now)
		return
	}
	since := w.frozenAt
	if g.sent.After(since) {
		since = g.sent
	}
	if d := now.Sub(since); d > holdMost+transfer(w.simulation.plan) {
		w.note(3, "held by a worker that does not answer", "call %d was with %v for %v", c.index, w, d)
	}
	if last := &c.waits.list[len(c.waits.list)-1]; since.Before(last.from) {
		c.waits.list, c.waits.open = c.waits.list[:len(c.waits.list)-1], false
	} else {
		c.waits.end(since)
	}
}

// waits notes that the call waits, again.
func (s *simulation) waits(c *simCall, now time.Time) {
	c.waits.begin(now)
	s.count(c)
}

// settled notes that a call has been answered.
func (s *simulation) settled(c *simCall) {
	for _, w := range s.workers {
		if g := w.given[c]; g != nil {
			w.stopWaiting(c, g, c.returned)
		}
	}
	c.waits.end(c.returned)
	c.suspect = false
	s.count(c)
	for _, w := range s.workers {
		if w.given[c] != nil {
			w.look()
		}
	}
}

// count keeps the number of suspects that wait.
func (s *simulation) count(c *simCall) {
	queued := c.suspect && c.waits.open
	if queued == c.queued {
		return
	}
	c.queued = queued
	s.queued += btoi(queued) - btoi(!queued)
	s.queuedLog = append(s.queuedLog, sample{time.Now(), s.queued})
}

// mostQueued returns how many suspects waited at most in a period.
func (s *simulation) mostQueued(from, to time.Time) (most int) {
	for _, q := range s.queuedLog {
		if q.at.After(to) {
			break
		}
		if !q.at.After(from) {
			most = 0
		}
		most = max(most, q.n)
	}
	return most
}
