package transporttest

import (
	"sync"
	"time"
)

// close has a goroutine call Close.
func (l *link) close(e *end) {
	l.closing = true
	l.stats.closes.Add(1)
	l.mu.Lock()
	e.closes++
	l.mu.Unlock()
	l.wg.Go(func() {
		_ = e.call("Close", e.conn.Close)
		l.mu.Lock()
		defer l.mu.Unlock()
		e.closes--
		l.happened()
	})
}

// closeAll has goroutines call Close of several ends at once.
func (l *link) closeAll(ends ...*end) {
	for _, e := range ends {
		l.log.say("the %s closes its end", e.name)
		l.close(e)
	}
}

// closed waits until all calls of Close have returned. A paused end goes on to receive after a while, since
// Close may wait for that.
func (l *link) closed(ends ...*end) {
	done := func() bool {
		for _, e := range ends {
			if e.closes > 0 {
				return false
			}
		}
		return true
	}
	l.wait(patience, done)
	for _, e := range l.ends() {
		l.resume(e)
	}
	if l.wait(l.hangs, done) {
		return
	}
	names := ""
	l.mu.Lock()
	for _, e := range ends {
		if e.closes > 0 && names == "" {
			names = e.name
		}
	}
	l.mu.Unlock()
	l.failAt(hang, "Close", "Close of the %s's end had not returned after %v", names, l.timeout)
}

// part closes what is open, the first end before the other unless both are being closed, and checks that all calls come to
// an end, as they must.
func (l *link) part(first *end) {
	if l.jrpc2 {
		l.partByJRPC2Rules(first)
		return
	}
	other := first.peer
	l.closeAll(first)
	l.closed(first)
	l.sendInVain(first, true)
	l.hearOut(first)
	l.hearOut(other)
	l.sendInVain(other, false)
	l.finish()
}

// finish closes both ends again, or for the first time, and checks what is left to be checked then.
func (l *link) finish() {
	l.closeAll(l.host, l.worker)
	l.closed(l.host, l.worker)
	for _, e := range l.ends() {
		l.hearOut(e)
		l.sendInVain(e, true)
	}
	for _, e := range l.ends() {
		l.hearMore(e)
	}
	l.closeAll(l.host, l.worker)
	l.closed(l.host, l.worker)
	for _, e := range l.ends() {
		l.checkResults(e)
	}
}

// partByJRPC2Rules closes each end once.
func (l *link) partByJRPC2Rules(first *end) {
	l.resume(l.host)
	l.resume(l.worker)
	l.returned(first)
	l.returned(first.peer)
	l.closeAll(first)
	l.closed(first)
	l.sendInVain(first, true)
	l.hearOut(first.peer)
	l.closeAll(first.peer)
	l.closed(first.peer)
	l.hearOut(first)
}

// returned waits until all that an end sends has been sent.
func (l *link) returned(e *end) {
	if !l.wait(l.hangs, func() bool { return e.queued == len(e.sent) && !e.sending }) {
		l.mu.Lock()
		m := e.sent[e.queued-1]
		l.mu.Unlock()
		l.failAt(hang, "Send", "Send of %v at the %s's end had not returned after %v, %s", m, e.name, l.timeout, l.since())
	}
}

// since says what a hang has lasted since.
func (l *link) since() string {
	if l.closing {
		return "though an end was closed"
	}
	return "though the other end was receiving"
}

// sendInVain has an end send one more message after an end was closed, which must return, and must fail if it is this
// end that was closed.
func (l *link) sendInVain(e *end, mustFail bool) {
	l.returned(e)
	m := l.probe(e)
	l.returned(e)
	if mustFail && m.err == nil {
		l.failAt(open, "Send", "Send of %v returned no error at the %s's end, which had been closed", m, e.name)
	}
}

// hearOut has an end receive what there is after an end was closed, until the error that must come.
func (l *link) hearOut(e *end) {
	for {
		if !l.wait(l.hangs, func() bool { return len(e.arrived) > 0 || e.err != nil }) {
			l.failAt(hang, "Recv", "Recv had not returned at the %s's end after %v, though an end was closed", e.name, l.timeout)
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
	var data []byte
	var err error
	for range 3 {
		returned := false
		l.wg.Go(func() {
			d, failure := e.recv()
			l.mu.Lock()
			defer l.mu.Unlock()
			returned, data, err = true, d, failure
			l.happened()
		})
		if !l.wait(l.hangs, func() bool { return returned }) {
			l.failAt(hang, "late", "Recv had returned an error at the %s's end (%v), and the next call had not returned after %v", e.name, e.err, l.timeout)
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

func (e *end) recv() (data []byte, err error) {
	err = e.call("Recv", func() (err error) { data, err = e.conn.Recv(); return err })
	return data, err
}

// abandon frees everything, at whatever point the play has stopped. It reports what hangs or panics then, which counts
// only if nothing else was wrong.
func (l *link) abandon(failed bool) *diagnosis {
	l.mu.Lock()
	l.over = true
	l.cond.Broadcast()
	l.mu.Unlock()
	limit := l.hangs
	if failed {
		limit = patience // something may be pending for ever
	}
	var closes sync.WaitGroup
	if !l.jrpc2 || !l.closing {
		for _, e := range l.ends() {
			closes.Go(func() { _ = e.call("Close", e.conn.Close) })
		}
	}
	done := within(limit, closes.Wait)
	var crash string
	done = within(limit, func() {
		if l.stop != nil {
			crash = caught(l.stop)
		}
	}) && done
	if failed {
		return nil
	}
	if done && crash == "" {
		done = within(limit, l.wg.Wait)
	}
	d := &diagnosis{fault: hang, where: "stop", transcript: l.log.lines, pending: l.pending(true)}
	switch {
	case !done:
		d.what = "stop had not returned after " + l.timeout.String() + ", though both ends had been closed"
	case crash != "":
		d.fault, d.what = panics, "stop panicked: "+crash
	case l.crash != nil:
		d.fault, d.where, d.what = l.crash.fault, l.crash.where, l.crash.what
	default:
		return nil
	}
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
