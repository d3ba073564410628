package transporttest

import (
	"fmt"
	"strings"
	"time"
)

// A run is one test of one transport.
type run struct {
	config
	short     bool
	label     string // of its goroutines
	reproduce string // how to see a failure again, but for the seed

	phase     phase         // the current subtest
	began     time.Time     // of it
	until     time.Time     // of the time that it may take for what can be left out
	end       time.Time     // the same for the whole run
	deadline  time.Time     // for everything, less what a report takes
	hangs     time.Duration // after which a call hangs: timeout, or less while a plan is shrunk
	patience  time.Duration // how long to wait for what the harness wants to know, but nobody must do
	unhurried time.Duration // how long a message may take before a probe is sent after it
	longest   time.Duration // that passed before something happened on a connection
	speed     speed
	capacity  map[bool]int  // how many messages each end could send, until Send blocked; -1 if it did not
	lingers   map[bool]bool // whether its Close waits for the peer to receive, which it may

	stats    stats
	covered  stats      // by the subtests before the current one
	strict   bool       // a message that is waited for gets no probe behind it
	leftOut  bool       // something of it, for lack of time
	replays  bool       // a fault has been found, and plans are played again
	previous []*message // of the connections before, as far as they are remembered
}

// A speed is what has been seen of a transport's.
type speed struct {
	pace   time.Duration // of one message, when several are sent
	spent  time.Duration // waiting for large messages
	bytes  int           // of them
	opened time.Duration // the longest that it took to open and close a pair
}

// carry returns how long n bytes take.
func (s *speed) carry(n int) time.Duration {
	if s.bytes < 16<<10 {
		return 0
	}
	return time.Duration(float64(s.spent) / float64(s.bytes) * float64(n))
}

// stats count what a run has done.
type stats struct{ messages, bytes, connections, closes int }

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

// checkPlans plays plans until one fails, and shrinks that. When the time is up, it plays only those that must be.
func (r *run) checkPlans(plans []plan) *diagnosis {
	for _, p := range plans {
		end := time.Now().Add(r.speed.opened)
		if p.leaks {
			end = end.Add(3 * r.speed.opened)
		}
		if end.After(r.until) && !p.must() {
			r.leftOut = true
			continue
		}
		if end.After(r.deadline) {
			return &diagnosis{fault: slow, what: r.tooSlow()}
		}
		d := r.try(p)
		if d != nil && d.fault == unclear {
			r.strict = true
			d = r.try(p)
			r.strict = d != nil
		}
		if d == nil && p.leaks {
			if d = r.leaks(p); d != nil && d.fault == leak {
				d.reproduce = fmt.Sprintf(r.reproduce, p.seed)
				return d
			}
		}
		if d != nil {
			return r.shrunk(p, d)
		}
	}
	return nil
}

// tooSlow says why there is no verdict.
func (r *run) tooSlow() string {
	return fmt.Sprintf("the transport is too slow to tell whether %s: there was no time for what this subtest needs at least (%s). So far: %s. "+
		"More time (-timeout) helps, and smaller messages (WithMaxMessage)", r.phase.checks, r.phase.sends, r.summary())
}

// mayBeSlow is what a report of a hang ends with.
func (r *run) mayBeSlow() string {
	return fmt.Sprintf(". If the transport is only slow, WithTimeout makes the test wait longer than %v", r.timeout)
}

// try plays a plan over a new connection.
func (r *run) try(p plan) (d *diagnosis) {
	began := time.Now()
	l, d := r.connect(p)
	if d != nil {
		return d
	}
	opened := time.Since(began)
	defer func() {
		v := recover()
		found, ok := v.(*diagnosis)
		if v != nil && !ok {
			panic(v)
		}
		if ok {
			found.took = time.Since(began)
		}
		d = l.abandon(found)
		if r.speed.opened = max(r.speed.opened, opened+l.parting); d != nil {
			d.steps = l.played
		}
		r.remember(l)
	}()
	p.play(l, p.steps)
	return nil
}

// remember keeps the messages of a connection, in case that one arrives over a later one.
func (r *run) remember(l *link) {
	if l.replays {
		return
	}
	const most = 2000
	for _, e := range l.ends() {
		for _, m := range e.sent[max(len(e.sent)-most/2, 0):] {
			if len(m.data) >= 8 && len(m.data) <= 1000 {
				r.previous = append(r.previous, m)
			}
		}
	}
	r.previous = r.previous[max(len(r.previous)-most, 0):]
}

// shrunk looks for a smaller plan that shows the same fault. It begins with the steps that were played until it showed.
// Then it plays the whole plan a few times more, to see whether the fault shows each time.
func (r *run) shrunk(p plan, d *diagnosis) *diagnosis {
	d.reproduce = fmt.Sprintf(r.reproduce, p.seed)
	if d.fault == slow {
		return d
	}
	p.steps, r.replays = d.steps, true
	whole := p
	// A fault that has been waited for need not be waited for in full again. One that shows at once is not found by
	// waiting either, and a plan that hangs instead is none that is sought.
	r.unhurried, r.patience = 5*time.Millisecond, 50*time.Millisecond
	r.hangs = min(max(patience, 20*r.longest), r.hangs)
	end := time.Now().Add(min(r.config.shrink, time.Until(r.deadline)/2))
	times := 3
	if d.took > time.Second && !d.waited() { // it would take too long
		end, times = time.Now(), 1
	}
	for smaller := true; smaller; {
		smaller = false
		for candidate := range p.smaller() {
			if time.Now().After(end) {
				break
			}
			found := r.try(candidate)
			if found != nil && found.fault == d.fault && found.where == d.where {
				found.reproduce, found.took = d.reproduce, d.took
				p, d, smaller = candidate, found, true
				break
			}
		}
	}
	if !d.waited() && d.took < r.timeout/2 { // nothing may seem to hang
		r.hangs, r.unhurried = r.timeout, 50*time.Millisecond
	}
	shows := 0
	for range times {
		if time.Now().Add(d.took + d.took/4).After(r.deadline) {
			return d
		}
		if r.try(whole) != nil {
			shows++
		}
	}
	if shows < times {
		d.reproduce += fmt.Sprintf(" (it does not show every time: %d of %d; try -count=20)", shows+1, times+1)
	}
	return d
}

// summary says what the subtest has covered.
func (r *run) summary() string {
	s, c := r.stats, r.covered
	text := strings.Join([]string{count(s.connections-c.connections, "connection"), count(s.messages-c.messages, "message"),
		count(s.bytes-c.bytes, "byte"), count(s.closes-c.closes, "close")}, ", ")
	text += fmt.Sprintf(" in %v", time.Since(r.began).Round(time.Millisecond))
	if r.leftOut {
		text += "; cut short, as the transport is slow"
	}
	return text
}
