package transporttest

import (
	"bytes"
	"iter"
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
}

// A step is one thing that happens. What its numbers mean is up to what it does.
type step struct {
	do      string
	worker  bool // the worker does it, or else the host
	n, size int
	padding int
}

// sends reports whether an end sends.
func (p plan) sends(worker bool) bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { return s.worker == worker && s.do == "send" })
}

// only returns the plan without what the other end sends.
func (p plan) only(worker bool) plan {
	p.steps = slices.DeleteFunc(slices.Clone(p.steps), func(s step) bool { return s.worker != worker && (s.do == "send" || s.do == "again") })
	return p
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
	for i, s := range steps {
		if i > 8 && l.enough() {
			return // the transport is slow
		}
		if s.do == "send" || s.do == "fill" {
			s.n = l.affordable(s.n)
		}
		l.played = append(l.played, s)
		e := l.end(s)
		switch s.do {
		case "send": // n messages of size bytes
			for range s.n {
				l.random(e, s.size, s.padding)
			}
		case "again": // the latest message n times more
			for range s.n {
				l.put(e, bytes.Clone(e.sent[len(e.sent)-1].data), "", false)
			}
		case "receive": // up to n messages, of those that are under way
			l.resume(e)
			l.await(e, min(e.got+s.n, len(e.peer.sent)))
		case "settle": // both receive everything
			l.settle()
		case "pause":
			l.pause(e)
		case "fill": // send until it blocks, but n messages at most, while the peer does not receive
			l.pause(e.peer)
			for range s.n {
				m := l.random(e, s.size, randomOnly)
				if !l.wait(min(max(15*time.Millisecond, 2*l.longest), time.Second), func() bool { return m.done }) {
					break
				}
			}
		case "idle":
			l.log.say("nothing is sent for %v", l.idle)
			time.Sleep(l.idle)
		}
	}
}

// either draws an end.
func (l *link) either() *end {
	if l.key%2 == 0 {
		return l.host
	}
	return l.worker
}

// enough reports whether no further steps are played, as the subtest's time will be up when the messages of those before
// have been sent. A replay plays all that it has, which are steps that there was time for: without some of them the fault
// might not show.
func (l *link) enough() bool {
	if l.replays {
		return false
	}
	l.mu.Lock()
	waiting := max(len(l.host.sent)-l.host.queued, len(l.worker.sent)-l.worker.queued)
	l.mu.Unlock()
	return time.Now().Add(time.Duration(waiting) * l.pace).After(l.until)
}

// affordable returns n, or less if the transport is so slow that n messages would take too much of the subtest's time.
func (r *run) affordable(n int) int {
	if r.pace == 0 || r.replays {
		return n
	}
	return min(n, max(int(time.Until(r.until)/4/r.pace), 2))
}

func playMessages(l *link, steps []step) {
	began := time.Now()
	l.do(steps)
	l.settle()
	// The fastest counts: any other may have been held up by something else.
	if pace := time.Since(began) / time.Duration(len(l.host.sent)+len(l.worker.sent)); l.pace == 0 || pace < l.pace {
		l.pace = pace
	}
	l.part(l.either())
}

// playClose closes the ends while messages are under way: one end before the other, or both at once.
func playClose(l *link, steps []step) {
	l.do(steps)
	switch {
	case l.jrpc2 || l.key/2%3 > 0:
		l.part(l.either())
	default:
		l.finish()
	}
}

// drawn returns n plans of steps that draw draws.
func drawn(r *run, n int, draw func(*rand.Rand) []step, play func(*link, []step)) iter.Seq[plan] {
	return func(yield func(plan) bool) {
		for i := range n {
			seed := r.seed + uint64(i)
			if !yield(plan{seed, draw(newRand(seed)), play}) {
				return
			}
		}
	}
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
				s.padding = rng.IntN(24)
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

// drawSize draws the size of a message: small ones mostly, but any from 8. Only Boundaries has smaller ones, so that it is clear
// what an empty message is elsewhere, and where wrong bytes come from.
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
