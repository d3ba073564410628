package transporttest

import (
	"fmt"
	"iter"
	"sync/atomic"
	"time"
)

// A run is one test of one transport.
type run struct {
	config
	short     bool
	hangs     time.Duration // after which a call hangs: timeout, or less while a plan is shrunk
	label     string        // of its goroutines
	began     time.Time     // of the current subtest
	reproduce string        // how to see a failure again, but for the seed
	end       time.Time     // of the time that a good transport may take
	deadline  time.Time     // of the test, less what a report takes; zero if there is none
	until     time.Time     // the same for the current subtest
	longest   time.Duration // that passed before something happened on a connection
	slowest   time.Duration // that a plan took
	pace      time.Duration // of one message, when few are sent
	unhurried time.Duration // how long a message may take before a probe is sent after it
	fullness  [2]fullness
	stats     stats
	covered   stats // by the subtests before the current one
	plans     int   // of the current subtest
	replays   bool  // a fault has been found, and plans are played to shrink it
}

// stats count what a run has done.
type stats struct {
	messages, bytes, connections, closes atomic.Int64
}

func (s *stats) set(other *stats) {
	s.messages.Store(other.messages.Load())
	s.bytes.Store(other.bytes.Load())
	s.connections.Store(other.connections.Load())
	s.closes.Store(other.closes.Load())
}

func (r *run) timeUp() bool { return time.Now().After(r.until) }

// scale returns how many of something to do, which is n for the default budget.
func (r *run) scale(n int) int {
	return max(r.budgeted(n*min(r.budget, 2*10_000)/10_000), 1)
}

// budgeted returns less if the test is to be short.
func (r *run) budgeted(n int) int {
	if r.short {
		return n/5 + 1
	}
	return n
}

// checkPlans plays plans until one fails or the time is up, and shrinks that.
func (r *run) checkPlans(plans iter.Seq[plan]) *diagnosis {
	r.plans = 0
	for p := range plans {
		if r.plans > 0 && r.timeUp() || r.tooLate() {
			break
		}
		r.plans++
		if d := r.try(p); d != nil {
			return r.shrunk(p, d)
		}
	}
	return nil
}

// tooLate reports whether another plan might take longer than -timeout allows.
func (r *run) tooLate() bool {
	return !r.deadline.IsZero() && time.Now().Add(r.slowest+r.slowest/4).After(r.deadline)
}

// try plays a plan over a new connection.
func (r *run) try(p plan) (d *diagnosis) {
	l, d := r.connect(p.seed)
	if d != nil {
		return d
	}
	began := time.Now()
	defer func() {
		v := recover()
		found, ok := v.(*diagnosis)
		if v != nil && !ok {
			panic(v)
		}
		took := time.Since(began)
		d = l.abandon(v != nil)
		r.slowest = max(r.slowest, time.Since(began))
		if ok {
			d = found
			d.took = took
		}
		if d != nil {
			d.steps = l.played
		}
	}()
	p.play(l, p.steps)
	return nil
}

// shrunk looks for a smaller plan that shows the same fault. It begins with the steps that were played until it showed.
func (r *run) shrunk(p plan, d *diagnosis) *diagnosis {
	d.reproduce = fmt.Sprintf(r.reproduce, p.seed)
	p.steps, r.replays = d.steps, true
	r.unhurried = 5 * time.Millisecond
	// A fault that has been waited for need not be waited for in full again. One that shows at once is not found by waiting
	// either, and a plan that hangs instead is none that is sought; but when it is reconsidered, nothing may seem to hang.
	whole, waited, atOnce := p, d.waited(), d.took <= r.hangs/2
	r.hangs = min(max(patience, 20*r.longest), r.hangs)
	defer func() { r.hangs = r.timeout }()
	end := time.Now().Add(r.config.shrink)
	if left := time.Until(r.end) / 2; left < r.config.shrink {
		end = time.Now().Add(max(left, 0))
	}
	for smaller := true; smaller; {
		smaller = false
		for candidate := range p.smaller() {
			if time.Now().After(end) {
				break
			}
			found := r.try(candidate)
			if found != nil && found.fault == d.fault && found.where == d.where {
				found.reproduce = d.reproduce
				p, d, smaller = candidate, found, true
				break
			}
		}
	}
	if atOnce {
		r.hangs = r.timeout
	}
	if !waited {
		r.reconsider(whole, d)
	}
	return d
}

// reconsider plays a plan a few times more, to see whether its fault shows each time, and whether it shows when only one end
// sends. If it does not, the two directions get into each other's way.
func (r *run) reconsider(whole plan, d *diagnosis) {
	const times = 4
	shows := func(p plan) (n int) {
		for range times {
			if r.tooLate() {
				return times
			}
			if r.try(p) != nil {
				n++
			}
		}
		return n
	}
	n := shows(whole)
	if n < times {
		d.reproduce += fmt.Sprintf(" (it does not show every time: %d of %d; try -count=20)", n+1, times+1)
	}
	if !d.fault.damage() || !whole.sends(false) || !whole.sends(true) || n < times-1 {
		return
	}
	for _, worker := range []bool{false, true} {
		if shows(whole.only(worker)) > 1 { // not none, since the harness's own messages still go both ways
			return
		}
	}
	d.what = fmt.Sprintf("%s (%s). It shows only when both ends send: Send and Recv seem to use the same memory", d.what, d.fault)
	d.fault = shared
}
