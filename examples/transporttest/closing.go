package transporttest

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// close has two goroutines call Close at the same time, as nearly as can be had: some mistakes show only then.
func (l *link) close(e *end) {
	l.closing = true
	callers := 2
	if l.jrpc2 {
		callers = 1
	}
	l.stats.closes += callers
	l.mu.Lock()
	e.closes += callers
	l.mu.Unlock()
	var ready atomic.Int32
	for range callers {
		l.wg.Go(func() {
			ready.Add(1)
			for n := 1; ready.Load() < int32(callers); n++ {
				if n%1000 == 0 {
					runtime.Gosched()
				}
			}
			began := time.Now()
			_ = e.call("Close", e.conn.Close)
			l.mu.Lock()
			defer l.mu.Unlock()
			e.closes--
			l.parting = max(l.parting, time.Since(began))
			l.happened()
		})
	}
}

// closeAll closes several ends at once.
func (l *link) closeAll(ends ...*end) {
	for _, e := range ends {
		l.log.say("the %s closes its end", e.name)
		l.close(e)
	}
}

// returned returns a condition to wait for: all calls of Close have returned.
func returned(ends ...*end) func() bool {
	return func() bool { return !slices.ContainsFunc(ends, func(e *end) bool { return e.closes > 0 }) }
}

// closed waits until all calls of Close have returned, as they must once they have been called at both ends. A paused
// end goes on to receive after a while, since Close may wait for that.
func (l *link) closed(ends ...*end) {
	l.wait(l.patience, returned(ends...))
	for _, e := range l.ends() {
		l.resume(e)
	}
	if !l.returns(returned(ends...)) {
		l.hung("Close", "both had been closed")
	}
}

// hung fails with a hang. A pending Close is the most likely cause, also of what else does not return.
func (l *link) hung(where, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	l.mu.Lock()
	for _, e := range l.ends() {
		if e.closes > 0 {
			where, what = "Close", fmt.Sprintf("Close of the %s's end had not returned after %v: %s", e.name, l.timeout, what)
			break
		}
	}
	l.mu.Unlock()
	l.failAt(hang, where, "%s%s", what, l.mayBeSlow())
}

// part closes what is open, the first end before the other, and checks that all calls come to an end, as they must.
// Close of the first may wait until the other is closed.
func (l *link) part(first *end) {
	if l.jrpc2 {
		l.partByJRPC2Rules(first)
		return
	}
	other := first.peer
	l.closeAll(first)
	l.wait(l.patience, returned(first))
	l.resume(first)
	l.resume(other)
	l.hearOut(other)
	l.sendInVain(other, false)
	if l.wait(l.patience, returned(first)) {
		l.hearOut(first)
		l.sendInVain(first, true)
	}
	l.finish()
}

// finish closes both ends again, or for the first time, and checks what is left to be checked then.
func (l *link) finish() {
	l.closeAll(l.host, l.worker)
	l.closed(l.host, l.worker)
	if l.jrpc2 {
		return
	}
	for _, e := range l.ends() {
		l.hearOut(e)
		l.sendInVain(e, true)
	}
	for _, e := range l.ends() {
		l.hearMore(e)
	}
	if l.parting < time.Second {
		l.closeAll(l.host, l.worker)
		l.closed(l.host, l.worker)
	}
	for _, e := range l.ends() {
		l.checkResults(e)
	}
}

// partByJRPC2Rules closes each end once.
func (l *link) partByJRPC2Rules(first *end) {
	l.resume(l.host)
	l.resume(l.worker)
	l.sentAll(first)
	l.sentAll(first.peer)
	l.closeAll(first)
	l.closed(first)
	l.sendInVain(first, true)
	l.hearOut(first.peer)
	l.closeAll(first.peer)
	l.closed(first.peer)
	l.hearOut(first)
}

// sentAll waits until all calls of Send have returned.
func (l *link) sentAll(e *end) {
	if !l.returns(func() bool { return e.queued == len(e.sent) && !e.sending }) {
		l.mu.Lock()
		m := e.sent[e.queued-1]
		l.mu.Unlock()
		l.hung("Send", "Send of %v at the %s's end had not returned after %v", m, e.name, l.timeout)
	}
}

// sendInVain has an end send one more message after an end was closed, which must return, and must fail if it is this
// end that was closed.
func (l *link) sendInVain(e *end, mustFail bool) {
	l.sentAll(e)
	m := l.probe(e)
	l.sentAll(e)
	if mustFail && m.err == nil {
		l.failAt(open, "Send", "Send of %v returned no error at the %s's end, which had been closed", m, e.name)
	}
}

// hearOut has an end receive what there is after an end was closed, until the error that must come.
func (l *link) hearOut(e *end) {
	for {
		if !l.returns(func() bool { return len(e.arrived) > 0 || e.err != nil }) {
			l.hung("Recv", "Recv had not returned at the %s's end after %v, though an end was closed", e.name, l.timeout)
		}
		l.mu.Lock()
		ended := len(e.arrived) == 0
		l.mu.Unlock()
		if ended {
			return
		}
		l.judge(e)
	}
}

// hearMore calls Recv again, after its error.
func (l *link) hearMore(e *end) {
	for range 3 {
		var data []byte
		var err error
		returned := false
		l.wg.Go(func() {
			failure := e.call("Recv", func() (err error) { data, err = e.conn.Recv(); return err })
			l.mu.Lock()
			defer l.mu.Unlock()
			returned, err = true, failure
			l.happened()
		})
		if !l.returns(func() bool { return returned }) {
			l.hung("late", "Recv had returned an error at the %s's end (%v), and the next call had not returned after %v", e.name, e.err, l.timeout)
		}
		switch {
		case err != nil:
		case len(data) == 0:
			l.failAt(empty, "late", "Recv had returned an error at the %s's end (%v), and then returned an empty message and no error", e.name, e.err)
		default:
			l.failAt(late, "late", "Recv had returned an error at the %s's end (%v), and then returned a message of %s: %s", e.name, e.err, count(len(data), "byte"), excerpt(data, 0))
		}
	}
}

// abandon frees everything, at whatever point the play has stopped. It returns what was found, if anything was, or else
// what hangs or panics now.
func (l *link) abandon(found *diagnosis) (d *diagnosis) {
	l.mu.Lock()
	l.over = true
	l.cond.Broadcast()
	l.mu.Unlock()
	limit := l.hangs
	if found != nil {
		limit = l.patience // something may be pending for ever
	}
	if !l.closing || found != nil && !l.jrpc2 {
		for _, e := range l.ends() {
			l.wg.Go(func() { _ = e.call("Close", e.conn.Close) })
		}
		within(limit, l.wg.Wait)
	}
	var crash string
	done := within(limit, func() {
		if l.stop != nil {
			crash = caught(l.stop)
		}
	})
	done = done && within(limit, l.wg.Wait)
	d = &diagnosis{fault: hang, where: "stop", transcript: l.log.strings(), pending: l.pending(true)}
	switch {
	case found != nil:
		d = found
	case crash != "":
		d.fault, d.what = panics, "stop panicked: "+crash
	case !done:
		d.what = "stop had not returned after " + l.timeout.String() + ", though both ends had been closed" + l.mayBeSlow()
	case l.crash != nil:
		d.fault, d.where, d.what = l.crash.fault, l.crash.where, l.crash.what
	default:
		return nil
	}
	d.stuck = !done
	return d
}

// within reports whether f returns in time.
func within(d time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
