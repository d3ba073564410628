package transporttest

// fullPlans send while the peer does not receive, until Send blocks: then the peer goes on, or an end is closed.
func (r *run) fullPlans() []plan {
	fill := func(worker bool, n, size int) step { return step{do: "fill", worker: worker, n: n, size: size} }
	settle := step{do: "settle"}
	large := min(r.max, 64<<10)
	finish := func(l *link, steps []step) { l.do(steps); l.finish() }
	plans := []plan{
		r.plan(playMessages, append(musts(fill(false, 10, 24), fill(true, 10, 24)), settle, fill(false, 5000, 24), settle, fill(true, 5000, 24))...),
		r.plan(playMessages, fill(false, 12<<20/large, large), settle, fill(true, 12<<20/large, large), settle),
		r.plan(playMessages, fill(false, 1<<21/large, large), fill(true, 1<<21/large, large), settle),
	}
	if !r.jrpc2 {
		for _, worker := range []bool{false, true} {
			plans = append(plans,
				r.plan(playCloseUnblocked, fill(worker, 12<<20/large, large)),
				r.plan(playCloseBlocked, fill(worker, 12<<20/large, large)),
				r.plan(finish, fill(worker, 12<<20/large, large)))
		}
	}
	return plans
}

// filled notes how much an end could send, if it was blocked.
func (l *link) filled(s step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.end(s); e.sending {
		l.capacity[s.worker] = e.queued - 1
	} else if l.capacity[s.worker] == 0 {
		l.capacity[s.worker] = -1
	}
}

// playCloseUnblocked finds out whether Close waits for the peer although no Send is blocked.
func playCloseUnblocked(l *link, steps []step) {
	for _, s := range steps {
		e := l.end(s)
		if s.n = l.capacity[s.worker] / 2; s.n >= 0 {
			l.do([]step{s})
			l.closeAll(e)
			l.lingers[s.worker] = !l.wait(3*l.patience, returned(e))
			l.part(e)
		}
	}
}

// playCloseBlocked closes an end whose Send is blocked. If Close does not wait for the peer otherwise, it must not now.
func playCloseBlocked(l *link, steps []step) {
	for _, s := range steps {
		e := l.end(s)
		if l.capacity[s.worker] < 0 || l.lingers[s.worker] {
			return
		}
		l.do([]step{s})
		if l.wait(l.patience/20, func() bool { return !e.sending && e.queued == len(e.sent) }) {
			return // nothing is blocked
		}
		l.closeAll(e)
		if !l.returns(returned(e)) {
			l.hung("Close", "it waits while a Send of the same end is blocked, as the %s does not receive (without such a Send, it returns at once)", e.peer.name)
		}
		if !l.returns(func() bool { return e.queued == len(e.sent) && !e.sending }) {
			l.hung("Send blocked", "Send at the %s's end was blocked, as the %s does not receive, and had not returned %v after its own end was closed",
				e.name, e.peer.name, l.timeout)
		}
		l.part(e)
	}
}
