package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A link is one connection under test. Its steps run one after the other in one goroutine, the director's; only the
// calls of the transport have goroutines of their own, since they may wait. A step that finds a fault
// panics with its *diagnosis.
type link struct {
	*run
	host, worker *end
	stop         func()
	seed         uint64 // of the plan
	key          uint64 // of the messages' contents, which differ from plan to plan
	log          transcript
	closing      bool          // an end is being closed, or its peer killed
	played       []step        // those that have begun, as they were played
	settled      int           // how many messages had been sent when all had arrived
	parting      time.Duration // the longest that calls of Close took

	mu     sync.Mutex
	cond   *sync.Cond    // for senders and receivers: there is something to do
	wake   chan struct{} // for the director: something has happened
	events int           // how often
	crash  *diagnosis    // what a call of the transport did that no call may do
	over   bool          // senders and receivers shall end
	wg     sync.WaitGroup
}

// An end is one end of a link.
type end struct {
	*link
	name string
	conn Conn
	peer *end
	half half       // of the protocol, if it is spoken
	sent []*message // all that this end sends, in order
	got  int        // how many of the peer's messages have been received and judged
	due  int        // the size of those that have not

	// Guarded by link.mu:
	queued   int      // how many of sent have been taken by the sender
	sending  bool     // Send is pending
	failed   *message // the first for which Send failed
	paused   bool     // no further Recv is called
	waiting  bool     // Recv is pending
	arrived  [][]byte // what Recv returned and is not judged yet
	err      error    // what Recv returned last of all
	closes   int      // how many calls of Close are pending
	results  []result // the latest results of Recv
	retained int      // their size in bytes
}

// A result is what Recv returned, which is the harness's own from then on.
type result struct {
	data []byte
	want []byte // what it must still be
	n    int    // the how manieth it is, from 1
}

// connect opens a link.
func (r *run) connect(p plan) (*link, *diagnosis) {
	l := &link{run: r, seed: p.seed, key: p.key(), wake: make(chan struct{}, 1)}
	l.cond = sync.NewCond(&l.mu)
	var host, worker Conn
	var err error
	var crash string
	limit := max(6*r.timeout, 30*time.Second) // to start a process may take a while
	limit = max(min(limit, time.Until(r.deadline)), time.Second)
	opened := within(limit, func() {
		crash = caught(func() { host, worker, l.stop, err = r.open() })
	})
	switch {
	case !opened:
		return nil, &diagnosis{fault: unopened, what: fmt.Sprintf("open had not returned after %v", limit.Round(time.Second))}
	case crash != "":
		return nil, &diagnosis{fault: panics, where: "open", what: "opening a pair panicked: " + crash}
	case err != nil:
		return nil, r.openFailed(err)
	case host == nil || worker == nil:
		return nil, &diagnosis{fault: unopened, what: "open returned no error, and a nil Conn"}
	}
	l.host = &end{link: l, name: "host", conn: host}
	l.worker = &end{link: l, name: "worker", conn: worker}
	l.host.peer, l.worker.peer = l.worker, l.host
	r.stats.connections++
	for _, e := range l.ends() {
		l.wg.Go(e.send)
		l.wg.Go(e.receive)
	}
	return l, nil
}

// openFailed returns the diagnosis when open has returned an error. Pairs are open one at a time, so if there are too
// many open files after others have been closed, these have left them.
func (r *run) openFailed(err error) *diagnosis {
	if n := r.stats.connections; n > 0 && (errors.Is(err, syscall.EMFILE) || strings.Contains(err.Error(), syscall.EMFILE.Error())) {
		return tooManyFiles(fmt.Sprintf("%s had been opened and closed at both ends, and no further pair could be opened: %v", count(n, "pair"), err))
	}
	return &diagnosis{fault: unopened, what: "a pair could not be opened: " + err.Error()}
}

func (l *link) ends() []*end { return []*end{l.host, l.worker} }

// caught calls f, and returns what it panicked with and where.
func caught(f func()) (crash string) {
	defer func() {
		if v := recover(); v != nil {
			crash = fmt.Sprintf("%v\n%s", v, panicSite())
		}
	}()
	f()
	return ""
}

// panicSite returns the functions that led to the panic that is being recovered from, below the harness.
func panicSite() string {
	var b strings.Builder
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for panicked := false; ; {
		frame, more := frames.Next()
		switch {
		case panicked && harness(frame.Function), !more:
			return strings.TrimSuffix(b.String(), "\n")
		case panicked && !strings.HasPrefix(frame.Function, "runtime."):
			fmt.Fprintf(&b, "      in %s (%s:%d)\n", frame.Function, frame.File[strings.LastIndexByte(frame.File, '/')+1:], frame.Line)
		case frame.Function == "runtime.gopanic":
			panicked = true
		}
	}
}

// harness reports whether a function is one that calls the transport.
func harness(function string) bool {
	_, name, _ := strings.Cut(function, "/transporttest.")
	return name == "caught" || strings.HasPrefix(name, "(*end).") || strings.HasPrefix(name, "(*run).") || strings.HasPrefix(name, "(*link).")
}

var errPanicked = errors.New("it panicked")

// call has the transport do something. If that panics, the director learns of it.
func (e *end) call(name string, f func() error) (err error) {
	crash := caught(func() { err = f() })
	if crash == "" {
		return err
	}
	e.accuse(panics, name, "%s panicked at the %s's end: %s", name, e.name, crash)
	return errPanicked
}

// accuse lets the director know of a fault that another goroutine has found. The first counts.
func (e *end) accuse(f fault, where, format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.crash == nil {
		e.crash = &diagnosis{fault: f, where: where, what: fmt.Sprintf(format, args...)}
	}
	e.happened()
}

// happened counts an event and wakes the director. The caller holds l.mu.
func (l *link) happened() {
	l.events++
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// returns waits until done reports true, which it must. It reports false when that hangs: nothing has happened on the
// link for the timeout, and for as long as what is under way may take.
func (l *link) returns(done func() bool) bool {
	_, bytes := l.underWay()
	ok := l.wait(min(l.hangs+3*l.speed.carry(bytes), max(time.Until(l.deadline), time.Millisecond)), func() bool {
		return done() || !time.Now().Before(l.deadline)
	})
	l.now()
	return ok
}

// wait waits until done reports true, which it asks with l.mu held. It reports false when nothing has happened on the
// link for as long as d.
func (l *link) wait(d time.Duration, done func() bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var timer *time.Timer
	since, events := time.Now(), l.events
	for {
		if l.crash != nil {
			d := l.crash
			l.mu.Unlock()
			defer l.mu.Lock()
			l.failAt(d.fault, d.where, "%s", d.what)
		}
		switch {
		case done():
			return true
		case timer == nil:
			timer = time.NewTimer(d)
			defer timer.Stop()
		case l.events != events:
			events = l.events
			timer.Reset(d)
			l.longest = max(l.longest, time.Since(since))
			since = time.Now()
		}
		l.mu.Unlock()
		expired := false
		select {
		case <-l.wake:
		case <-timer.C:
			expired = true
		}
		l.mu.Lock()
		if expired && l.events == events {
			return done()
		}
	}
}

// send is the goroutine that calls Send.
func (e *end) send() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		for !e.over && e.queued == len(e.sent) {
			e.cond.Wait()
		}
		if e.over {
			return
		}
		m := e.sent[e.queued]
		e.queued++
		e.sending, m.begun = true, true
		e.mu.Unlock()
		err := e.transmit(m)
		e.mu.Lock()
		e.sending, m.done, m.err = false, true, err
		if err != nil && e.failed == nil {
			e.failed = m
		}
		for err != nil && e.queued < len(e.sent) {
			e.sent[e.queued].done = true // nothing is sent after an error
			e.sent[e.queued].err = err
			e.queued++
		}
		e.happened()
	}
}

// transmit sends one message, in a slice that may not be changed, nor kept.
func (e *end) transmit(m *message) error {
	if e.jrpc2 {
		own := bytes.Clone(m.data)
		return e.call("Send", func() error { return e.conn.Send(own[:len(own):len(own)]) })
	}
	const spare = 64
	buf := make([]byte, len(m.data)+spare)
	copy(buf, m.data)
	overwrite(buf[len(m.data):], sentMark)
	want := bytes.Clone(buf[len(m.data):])
	err := e.call("Send", func() error { return e.conn.Send(buf[:len(m.data)]) })
	switch {
	case marked(buf[:len(m.data)], receivedMark) && !marked(m.data, receivedMark):
		e.accuse(kept, "Send", "Send at the %s's end passed the caller's slice of %v itself to the %s: what that wrote into its result of Recv shows in it",
			e.name, m, e.peer.name)
	case !bytes.Equal(buf[:len(m.data)], m.data):
		at := commonPrefix(buf, m.data)
		e.accuse(changed, "message", "Send changed the caller's slice of %v at the %s's end: byte %d, from %s to %s",
			m, e.name, at, excerpt(m.data, at), excerpt(buf[:len(m.data)], at))
	case !bytes.Equal(buf[len(m.data):], want):
		e.accuse(changed, "capacity", "Send wrote into the caller's slice of %v at the %s's end, beyond its length (within its capacity, as append does): %s",
			m, e.name, excerpt(buf[len(m.data):], commonPrefix(buf[len(m.data):], want)))
	}
	overwrite(buf[:len(m.data)], sentMark)
	return err
}

// surplus is how many more messages than have been sent an end receives. It is limited so that a transport that
// invents messages for ever does not fill the memory.
const surplus = 100

// receive is the goroutine that calls Recv, until its first error.
func (e *end) receive() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n := 1; ; n++ {
		for !e.over && (e.paused || n > len(e.peer.sent)+surplus) {
			e.cond.Wait()
		}
		if e.over {
			return
		}
		e.waiting = true
		e.mu.Unlock()
		var data []byte
		err := e.call("Recv", func() (err error) { data, err = e.conn.Recv(); return err })
		arrived := bytes.Clone(data)
		e.mu.Lock()
		e.waiting = false
		if err != nil {
			e.err = err
			e.happened()
			return
		}
		e.retain(data, arrived, n)
		e.arrived = append(e.arrived, arrived)
		e.happened()
	}
}

// retain keeps a result, and overwrites every other one, which its caller may do.
func (e *end) retain(data, arrived []byte, n int) {
	if e.jrpc2 || len(data) == 0 {
		return
	}
	const most, mostBytes = 1024, 8 << 20
	if n%2 == 0 {
		overwrite(data, receivedMark)
		arrived = bytes.Clone(data)
	}
	e.results = append(e.results, result{data, arrived, n})
	e.retained += len(data)
	for len(e.results) > most || e.retained > mostBytes {
		e.retained -= len(e.results[0].data)
		e.results = e.results[1:]
	}
}
