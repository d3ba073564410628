package transporttest

import (
	"iter"
	"slices"
)

// fullPlans send while the peer does not receive, until Send blocks: then the peer goes on, or an end is closed.
func (r *run) fullPlans() iter.Seq[plan] {
	fill := func(worker bool, n, size int) step { return step{do: "fill", worker: worker, n: n, size: size} }
	settle := step{do: "settle"}
	large := min(r.max, 64<<10)
	plans := []plan{
		r.plan(playMessages, fill(false, 2000, 24), settle, fill(true, 2000, 24), settle),
		r.plan(playMessages, fill(false, 12<<20/large, large), settle, fill(true, 12<<20/large, large), settle),
		r.plan(playMessages, fill(false, 1<<21/large, large), fill(true, 1<<21/large, large), settle),
	}
	if !r.jrpc2 {
		for _, worker := range []bool{false, true} {
			plans = append(plans,
				r.plan(playCapacity, fill(worker, 12<<20/large, large)),
				r.plan(playCloseUnblocked, fill(worker, 12<<20/large, large)),
				r.plan(playCloseBlocked, fill(worker, 12<<20/large, large)),
				r.plan(playCloseFull, fill(worker, 12<<20/large, large)))
		}
	}
	return slices.Values(plans)
}

// A fullness is what a run has learnt about an end whose peer does not receive.
type fullness struct {
	capacity int  // how many messages it could send, until Send blocked; -1 if it did not block
	waits    bool // Close waits for the peer to receive, which it may
}

func (r *run) full(s step) *fullness {
	if s.worker {
		return &r.fullness[1]
	}
	return &r.fullness[0]
}

// playCapacity finds out how much can be sent, and closes the end of which the peer does not receive.
func playCapacity(l *link, steps []step) {
	for _, s := range steps {
		l.do([]step{s})
		e := l.end(s)
		l.mu.Lock()
		l.full(s).capacity = -1
		if e.sending {
			l.full(s).capacity = e.queued - 1
		}
		l.mu.Unlock()
		l.part(e.peer)
	}
}

// playCloseUnblocked finds out whether Close waits for the peer although no Send is blocked.
func playCloseUnblocked(l *link, steps []step) {
	for _, s := range steps {
		e := l.end(s)
		s.n = l.full(s).capacity / 2
		if s.n < 0 {
			return
		}
		l.do([]step{s})
		l.closeAll(e)
		l.full(s).waits = !l.wait(3*patience, func() bool { return e.closes == 0 })
		l.part(e)
	}
}

// playCloseBlocked closes an end whose Send is blocked. If Close does not wait for the peer otherwise, it must not now.
func playCloseBlocked(l *link, steps []step) {
	for _, s := range steps {
		e := l.end(s)
		if full := l.full(s); full.capacity < 0 || full.waits {
			return
		}
		l.do([]step{s})
		if l.wait(patience/20, func() bool { return !e.sending && e.queued == len(e.sent) }) {
			return // nothing is blocked
		}
		l.closeAll(e)
		if !l.wait(l.timeout, func() bool { return e.closes == 0 }) {
			l.failAt(hang, "Close blocked", "Close of the %s's end had not returned after %v while a Send of the same end was blocked, as the %s does not receive (without such a Send, it returns at once)",
				e.name, l.timeout, e.peer.name)
		}
		l.part(e)
	}
}

// playCloseFull closes both ends while neither receives.
func playCloseFull(l *link, steps []step) {
	for _, s := range steps {
		l.do([]step{s})
	}
	l.finish()
}
