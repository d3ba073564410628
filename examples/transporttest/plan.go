package transporttest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"time"
)

// A plan is what shall happen on one connection: steps that a seed has drawn, and a way to play them. The
// same plan leads to the same calls each time, and a plan with fewer or smaller steps can be played as well.
type plan struct {
	seed  uint64
	steps []step
	play  func(*link, []step)
	leaks bool // what it leaves behind is looked for
}

// must reports whether the plan has steps that must be played.
func (p plan) must() bool { return slices.ContainsFunc(p.steps, func(s step) bool { return s.must }) }

// key returns a number that differs from plan to plan, also if the seed is the same.
func (p plan) key() uint64 {
	h := uint64(len(p.steps))
	for _, s := range p.steps {
		h = h*1_000_003 + uint64(s.n)<<32 + uint64(s.size)
	}
	return rand.NewPCG(p.seed, h).Uint64()
}

// A step is one thing that happens. What its numbers mean is up to what it does.
type step struct {
	do      string
	worker  bool // the worker does it, or else the host
	n, size int
	padding int
	must    bool // it is played even if the transport is slow
}

// end returns the end that does the step.
func (l *link) end(s step) *end {
	if s.worker {
		return l.worker
	}
	return l.host
}

// do has the ends take steps.
func (l *link) do(steps []step) {
	for _, s := range steps {
		if !l.affordable(&s) {
			continue
		}
		l.played = append(l.played, s)
		e := l.end(s)
		switch s.do {
		case "send": // n messages of size bytes
			for range s.n {
				l.random(e, s.size, s.padding)
			}
		case "again": // the latest message n times more
			for n := len(e.sent); n > 0 && len(e.sent) < n+s.n; {
				l.put(e, bytes.Clone(e.sent[n-1].data), "", false)
			}
		case "receive": // up to n messages, of those that are under way
			l.resume(e)
			l.await(e, min(e.got+s.n, len(e.peer.sent)))
		case "hear": // all that are under way, and none is sent behind them
			l.hear(e)
		case "exchange": // n messages each way, one after the other
			for range s.n {
				l.random(l.host, s.size, randomOnly)
				l.hear(l.worker)
				l.random(l.worker, s.size, randomOnly)
				l.hear(l.host)
			}
		case "settle": // both receive everything
			l.settle()
		case "pause":
			l.pause(e)
		case "fill": // send until it blocks, but n messages at most, while the peer does not receive
			l.pause(e.peer)
			for range s.n {
				m := l.random(e, s.size, randomOnly)
				if !l.wait(max(15*time.Millisecond, min(2*l.longest, 100*time.Millisecond), 2*l.speed.carry(s.size)), func() bool { return m.done }) {
					break
				}
			}
			l.filled(s)
		case "idle":
			l.log.say("nothing is sent for %v", l.idle)
			time.Sleep(l.idle)
		}
	}
}

// affordable reports whether there is time for a step. Perhaps there is for a part, which it makes the step. A replay
// plays all that it has, which are steps that there was time for: without some of them the fault might not show.
func (l *link) affordable(s *step) bool {
	each := l.speed.pace + l.speed.carry(s.size)
	switch s.do {
	case "send", "again", "fill":
	case "exchange":
		each *= 2
	default:
		return true
	}
	left := time.Until(l.until) - l.backlog()
	switch {
	case l.replays:
		return true
	case s.must:
		if time.Now().Add(l.backlog() + time.Duration(s.n)*each).After(l.deadline) {
			l.failAt(slow, "slow", "%s", l.tooSlow())
		}
		return true
	case left > 2*time.Duration(max(s.n, 1))*each:
		return true
	}
	l.leftOut = true
	if each > 0 {
		s.n = int(left / 2 / each)
	}
	return s.n > 0 && left > 0
}

// backlog returns how long it takes for what is under way to arrive.
func (l *link) backlog() time.Duration {
	n, bytes := l.underWay()
	return time.Duration(n)*l.speed.pace + l.speed.carry(bytes)
}

// underWay returns how many messages have not been received, and their size.
func (l *link) underWay() (n, bytes int) {
	for _, e := range l.ends() {
		n += len(e.peer.sent) - e.got
		bytes += e.due
	}
	return n, bytes
}

// either draws an end.
func (l *link) either() *end {
	if l.seed%2 == 0 {
		return l.host
	}
	return l.worker
}

func playMessages(l *link, steps []step) {
	began := time.Now()
	l.do(steps)
	l.settle()
	// The fastest counts: any other may have been held up by something else.
	pace := time.Since(began) / time.Duration(len(l.host.sent)+len(l.worker.sent))
	if l.speed.pace == 0 || pace < l.speed.pace {
		l.speed.pace = pace
	}
	l.part(l.either())
}

// playClose closes the ends while messages are under way: one end before the other, or both at once.
func playClose(l *link, steps []step) {
	l.do(steps)
	switch {
	case l.jrpc2 || l.seed/2%3 > 0:
		l.part(l.either())
	default:
		l.finish()
	}
}

// drawn returns n plans of steps that draw draws.
func drawn(r *run, n int, draw func(*rand.Rand) []step, play func(*link, []step)) (plans []plan) {
	for i := range n {
		seed := r.seed + uint64(i)
		plans = append(plans, plan{seed: seed, steps: draw(newRand(seed)), play: play})
	}
	return plans
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x706c616e)) }

// drawSteps draws a few steps with small messages mostly.
func (c *config) drawSteps(rng *rand.Rand) (steps []step) {
	for range 1 + rng.IntN(12) {
		s := step{worker: rng.IntN(2) == 0, padding: randomOnly}
		switch rng.IntN(8) {
		case 0, 1, 2, 3:
			s.do, s.n, s.size = "send", 1+rng.IntN(4), c.drawSize(rng)
			if rng.IntN(2) == 0 {
				s.padding = rng.IntN(len(specials))
			}
		case 4:
			s.do, s.n, s.size = "send", rng.IntN(40), 8+rng.IntN(32)
		case 5, 6:
			s.do, s.n = "receive", 1+rng.IntN(20)
		case 7:
			s.do = "pause"
		}
		steps = append(steps, s)
	}
	return steps
}

// drawSize draws the size of a message: small ones mostly, but any from 8. Only Boundaries has smaller ones, so that it
// is clear what an empty message is elsewhere, and where wrong bytes come from.
func (c *config) drawSize(rng *rand.Rand) int {
	most := 64
	switch rng.IntN(16) {
	case 0:
		most = c.max
	case 1, 2:
		most = 70_000
	case 3, 4, 5:
		most = 5_000
	}
	return 8 + rng.IntN(most)
}
