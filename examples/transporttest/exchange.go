package transporttest

import (
	"fmt"
	"time"
)

// fail ends the play with a fault.
func (l *link) fail(f fault, format string, args ...any) {
	l.failAt(f, format, format, args...)
}

func (l *link) failAt(f fault, where, format string, args ...any) {
	d := &diagnosis{fault: f, where: where, what: fmt.Sprintf(format, args...), transcript: l.log.strings()}
	d.pending = l.pending(d.waited())
	panic(d)
}

// pending describes the calls that have not returned, and those of Recv only if asked for, as there is nearly always
// one.
func (l *link) pending(recv bool) (calls []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.ends() {
		if e.sending {
			call := fmt.Sprintf("Send of %v is pending at the %s's end", e.sent[e.queued-1], e.name)
			if n := len(e.sent) - e.queued; n > 0 {
				call += fmt.Sprintf("; not sent yet: %s", count(n, "message"))
			}
			calls = append(calls, call)
		}
		if e.waiting && recv {
			calls = append(calls, fmt.Sprintf("Recv is pending at the %s's end", e.name))
		}
		if e.closes > 0 {
			calls = append(calls, fmt.Sprintf("Close is pending at the %s's end", e.name))
		}
	}
	return calls
}

// put has an end send data once the messages before are sent.
func (l *link) put(e *end, data []byte, what string, probe bool) *message {
	initial := e.name[:1]
	m := &message{name: fmt.Sprintf("%s%d", initial, len(e.sent)+1), what: what, data: data, probe: probe}
	l.log.move(e, "sends", m)
	e.peer.due += len(data)
	l.stats.messages++
	l.stats.bytes += len(data)
	l.mu.Lock()
	e.sent = append(e.sent, m)
	l.cond.Broadcast()
	l.mu.Unlock()
	return m
}

// random has an end send a message of n bytes, which are found in no other message.
func (l *link) random(e *end, n, padding int) *message {
	return l.put(e, l.content(l.contentKey(e), n, padding), "", false)
}

func (l *link) contentKey(e *end) uint64 {
	return l.key + uint64(len(e.sent))<<1 + uint64(e.name[0]&1)
}

// probe has an end send a message of the harness's own, which nothing is waiting for.
func (l *link) probe(e *end) *message {
	return l.put(e, l.content(^l.contentKey(e), 40, randomOnly), "", true)
}

// pause keeps an end from calling Recv again. One call may be pending.
func (l *link) pause(e *end) { l.setPaused(e, true) }

func (l *link) resume(e *end) { l.setPaused(e, false) }

func (l *link) setPaused(e *end, paused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.paused == paused {
		return
	}
	if paused {
		l.log.say("the %s stops calling Recv for now", e.name)
	} else {
		l.log.say("the %s calls Recv again", e.name)
	}
	e.paused = paused
	l.cond.Broadcast()
}

// settle has both ends receive all that has been sent to them, and checks that no more comes.
func (l *link) settle() {
	for _, e := range l.ends() {
		l.resume(e)
	}
	if n := len(l.host.sent) + len(l.worker.sent); n > 0 && l.settled == n {
		return
	}
	for _, e := range l.ends() {
		l.await(e, len(e.peer.sent))
	}
	for _, e := range l.ends() {
		l.probe(e.peer)
		l.probe(e.peer) // if the first is lost, this one comes in its place
		l.await(e, len(e.peer.sent))
	}
	for _, e := range l.ends() {
		l.checkResults(e)
	}
	l.settled = len(l.host.sent) + len(l.worker.sent)
}

// await has an end receive the first n messages that its peer sends. A message that does not come soon is followed by a
// probe: if that arrives in its place, the message is lost, and no clock is needed to say so.
func (l *link) await(e *end, n int) {
	for e.got < n {
		m, began := e.peer.sent[e.got], l.now()
		if !l.wait(min(max(l.unhurried, 4*l.longest, 2*l.speed.carry(e.due)), l.hangs), l.here(e)) {
			if !e.peer.sent[len(e.peer.sent)-1].probe {
				l.probe(e.peer)
			}
			l.comes(e, m)
		}
		l.learn(m, began)
		l.judge(e)
	}
}

// hear is like await for all that is under way, without probes: one could be what makes a message come. If a message
// comes after a while, and a probe behind it, the plan is to be played once more, without haste.
func (l *link) hear(e *end) {
	l.resume(e)
	for e.got < len(e.peer.sent) {
		m, began := e.peer.sent[e.got], l.now()
		hasty := !l.strict && !l.wait(max(l.patience, 4*l.longest, 2*l.speed.carry(e.due)), l.here(e))
		if hasty {
			l.probe(e.peer)
		}
		l.comes(e, m)
		l.learn(m, began)
		l.judge(e)
		if hasty {
			l.fail(unclear, "%v came late", m)
		}
	}
}

// now returns the time, and fails if it is too late for anything.
func (l *link) now() time.Time {
	now := time.Now()
	if !now.Before(l.deadline) {
		l.failAt(slow, "slow", "%s", l.tooSlow())
	}
	return now
}

// comes waits until something has arrived at an end, where m must.
func (l *link) comes(e *end, m *message) {
	if !l.returns(l.here(e)) {
		l.silence(e, m)
	}
}

// here returns a condition to wait for: something has arrived at an end, or an error.
func (l *link) here(e *end) func() bool {
	return func() bool { return len(e.arrived) > 0 || e.err != nil || l.sendFailed(e.peer) != nil }
}

// learn notes how long a large message has been waited for.
func (l *link) learn(m *message, began time.Time) {
	if len(m.data) >= 1000 {
		l.speed.spent += max(time.Since(began)-l.speed.pace, 0)
		l.speed.bytes += len(m.data)
	}
}

// sendFailed returns the first message for which Send failed while both ends were open. The caller holds l.mu.
func (l *link) sendFailed(e *end) *message {
	if l.closing {
		return nil
	}
	return e.failed
}

// judge takes what has arrived at an end and compares it with what was sent. If nothing has arrived, there is an error.
func (l *link) judge(e *end) {
	l.mu.Lock()
	data, err := e.arrived, e.err
	failed := l.sendFailed(e.peer)
	if len(data) > 0 {
		e.arrived = e.arrived[1:]
	}
	l.mu.Unlock()
	switch {
	case len(data) > 0:
		if e.got == len(e.peer.sent) || !l.same(e.peer.sent[e.got], data[0]) {
			l.mismatch(e, data[0])
		}
		m := e.peer.sent[e.got]
		e.got++
		e.due -= len(m.data)
		l.log.move(e, "receives", m)
		if e.half != nil && !m.probe {
			l.take(e, m, data[0])
		}
	case failed != nil:
		l.sendBroke(e.peer, failed)
	default:
		l.fail(broken, "Recv failed at the %s's end, while both were open: %v", e.name, err)
	}
}

func (l *link) sendBroke(e *end, m *message) {
	l.failAt(broken, "Send", "Send failed at the %s's end for %v, while both ends were open: %v", e.name, m, m.err)
}

// checkResults fails if somebody else has written to a result of Recv, or if two share their memory.
func (l *link) checkResults(e *end) {
	l.mu.Lock()
	results := e.results
	l.mu.Unlock()
	starts := make(map[*byte]int, len(results))
	for _, r := range results {
		at := commonPrefix(r.data, r.want)
		earlier := starts[&r.data[0]]
		switch {
		case at < len(r.data) && marked(r.data, sentMark):
			l.failAt(kept, "Recv", "Send of the %s's end kept its caller's slice: what the caller wrote there after Send had returned shows in result %d of Recv at the %s's end",
				e.peer.name, r.n, e.name)
		case at < len(r.data):
			l.failAt(reused, "Recv", "result %d of Recv at the %s's end was overwritten later: byte %d, from %s to %s",
				r.n, e.name, at, excerpt(r.want, at), excerpt(r.data, at))
		case earlier > 0:
			l.failAt(reused, "Recv", "results %d and %d of Recv at the %s's end are the same memory", earlier, r.n, e.name)
		}
		starts[&r.data[0]] = r.n
	}
}

// patience is how long the harness waits for something that it wants to know, but that nobody must do.
const patience = 300 * time.Millisecond

// mismatch finds out what has become of the next message of an end, in whose place data has arrived, and fails. The
// message may still come, if it is late.
func (l *link) mismatch(e *end, data []byte) {
	cut := len(l.log.lines)
	l.mu.Lock()
	failed := l.sendFailed(e.peer)
	l.mu.Unlock()
	if failed != nil {
		l.sendBroke(e.peer, failed)
	}
	l.checkResults(e)
	for _, e := range l.ends() {
		l.resume(e)
	}
	later := e.peer.sent[min(e.got+1, len(e.peer.sent)):]
	late, ended := among(&l.config, later, data), l.closing // of what comes late, the place shows
	var last *message
	if !l.closing {
		l.probe(e.peer)
		last = l.probe(e.peer)
	}
	judged, end := 0, time.Now().Add(l.patience)
	l.wait(l.patience, func() bool {
		for ; judged < len(e.arrived); judged++ {
			late = late && !l.same(e.peer.sent[e.got], e.arrived[judged])
			ended = ended || l.same(last, e.arrived[judged])
		}
		return e.err != nil || last != nil && ended && !late || time.Now().After(end)
	})
	l.mu.Lock()
	arrived := append([][]byte{data}, e.arrived...)
	l.mu.Unlock()
	l.checkResults(e)
	f, what := explain(&l.config, e.peer.sent, e.got, arrived, e.sent)
	if f == invented {
		what += l.origin(e, data)
	}
	l.log.cut(cut) // what followed is not how it went wrong
	l.failAt(f, string(f), "at the %s's end, %s", e.name, what)
}

// origin says who has sent what an end was not sent, if it can be found out.
func (l *link) origin(e *end, data []byte) string {
	for _, m := range e.sent {
		if l.same(m, data) {
			return fmt.Sprintf(". It is %v, which the %s has sent itself", m, e.name)
		}
	}
	for _, m := range l.previous {
		if l.same(m, data) {
			return fmt.Sprintf(". It is %v of an earlier connection, which was closed at both ends", m)
		}
	}
	return ""
}

// silence finds out why nothing arrives at an end, where m should, and fails.
func (l *link) silence(e *end, m *message) {
	p := e.peer
	l.mu.Lock()
	returned, both := m.done, p.sending && e.sending
	cut := len(l.log.lines)
	l.mu.Unlock()
	fail := func(f fault, format string, args ...any) {
		l.log.cut(cut)
		what := fmt.Sprintf(format, args...)
		if f == hang || f == halfDuplex {
			what += l.mayBeSlow()
		}
		l.failAt(f, format, "%s", what)
	}
	switch {
	case both:
		fail(halfDuplex, "Send had not returned at either end after %v: it seems that they cannot send at the same time", l.timeout)
	case !returned:
		// Does it wait for a Recv at its own end?
		for range 3 {
			l.probe(e)
			l.wait(l.patience/4, func() bool { return m.done })
		}
		l.mu.Lock()
		returned := m.done
		l.mu.Unlock()
		if returned {
			fail(hang, "Send of %v had not returned after %v, and did when Recv returned at the same end: the two seem to share a lock", m, l.timeout)
		}
		fail(hang, "Send of %v had not returned after %v, though the %s was receiving", m, l.timeout, e.name)
	}
	l.probe(p)
	l.probe(p)
	if l.wait(l.patience, l.here(e)) {
		l.expectLate(e, m)
		fail(hang, "%v had not arrived after %v; it arrived when another message was sent after it", m, l.timeout)
	}
	l.closing = true
	l.closeAll(p)
	if !l.wait(l.patience, func() bool { return len(e.arrived) > 0 || e.err != nil }) {
		fail(hang, "%v had not arrived after %v, and Recv did not return at the %s's end when the %s's was closed", m, l.timeout, e.name, p.name)
	}
	l.mu.Lock()
	ended := len(e.arrived) == 0
	l.mu.Unlock()
	if ended {
		fail(lost, "Send returned, and %v had not arrived after %v, nor when the %s's end was closed", m, l.timeout, p.name)
	}
	l.expectLate(e, m)
	fail(hang, "%v had not arrived after %v; it arrived when the %s's end was closed: it seems that a buffer was not flushed", m, l.timeout, p.name)
}

// expectLate fails unless m has arrived, or Recv failed, which has reasons of its own.
func (l *link) expectLate(e *end, m *message) {
	l.mu.Lock()
	arrived := e.arrived
	l.mu.Unlock()
	if len(arrived) == 0 || !l.same(m, arrived[0]) {
		l.judge(e)
	}
}
