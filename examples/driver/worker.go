package driver

import (
	"fmt"
	"sync"
	"time"
)

// A worker is a host's side of one worker. The goroutine of receiveAll verifies messages and takes them in, that of
// sendAll makes, seals and writes them, and that of run has the clock and ends the worker. What they share is the
// session, under mu; no goroutine holds mu while it waits in Recv, Send or Close.
//
// A worker ends in this order: there is a reason to end it, and the connection is closed; what has still arrived is
// taken in; when the calls of the connection have returned, or do not return within the limit, the scheduler decides
// about the calls that the worker had.
type worker struct {
	hub    *hub
	killed <-chan struct{} // closed when the host does not wait for it any longer
	conn   Conn

	mu      sync.Mutex // of session; taken before hub.mu, never after it
	session session
	pings   *watchdog // while it has no calls; when it has, the session polls

	wake     chan struct{} // capacity 1: there may be something to send
	notice   chan struct{} // capacity 1: run is to look at why and ticking
	replace  chan struct{} // closed when the worker has left, or is being ended
	silenced chan struct{} // closed when nothing more is to be sent
	received chan struct{} // closed when receiveAll has ended
	sent     chan struct{} // closed when sendAll has ended
	gone     chan struct{} // closed by the Host when run has ended
}

func newWorker(h *hub, killed <-chan struct{}, conn Conn, number uint64, s *slot) *worker {
	w := &worker{
		hub: h, killed: killed, conn: conn,
		wake:     make(chan struct{}, 1),
		notice:   make(chan struct{}, 1),
		replace:  make(chan struct{}),
		silenced: make(chan struct{}),
		received: make(chan struct{}),
		sent:     make(chan struct{}),
		gone:     make(chan struct{}),
	}
	s.number, s.wake = number, func() { notify(w.wake) }
	turns := h.turns
	if p, ok := conn.(*process); ok && turns.close > 0 {
		turns.close += uint64((p.term + turns.length - 1) / turns.length)
	}
	w.session = session{
		hub: h, turns: turns, slot: s,
		said:     &limitedLog{log: h.log, budgets: []*budget{newWorkerBudget(), h.said}, total: &h.suppressed},
		reports:  &limitedLog{log: h.log, budgets: []*budget{newWorkerBudget(), h.reports}, total: &h.suppressed},
		notify:   func() { notify(w.notice) },
		replaced: sync.OnceFunc(func() { close(w.replace) }),
	}
	return w
}

// run is over when nothing of the worker is left.
func (w *worker) run() {
	w.mu.Lock()
	w.session.start()
	w.mu.Unlock()
	w.watchOver()
	p, isProcess := w.conn.(*process)
	if isProcess {
		p.preamble.log = w.session.logPreamble
	}
	go w.receiveAll()
	go w.sendAll()
	w.wait()
	how := ""
	if isProcess {
		how = p.ending()
	}
	w.mu.Lock()
	w.session.explain(how)
	w.session.finish()
	w.mu.Unlock()
}

// watchOver has a worker pinged that has no calls.
func (w *worker) watchOver() {
	limits := w.session.turns.limits
	w.pings = watchOver(w.conn, limits.Silence, limits.Answer, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.session.busy()
	}, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.session.kill(&lateError{what: "worker has not answered a ping", limit: "Answer", within: limits.Answer})
	})
}

// wait has the clock and closes the connection, and returns when its calls have returned or it is given up.
func (w *worker) wait() {
	clock := time.NewTicker(w.session.turns.length)
	defer clock.Stop()
	running := true
	closed := make(chan struct{})
	closing, killed, received, sent := false, w.killed, w.received, w.sent
	for {
		select {
		case <-w.notice:
		case <-clock.C:
			w.mu.Lock()
			w.session.nextTurn()
			w.mu.Unlock()
		case <-killed:
			killed = nil
			w.mu.Lock()
			w.session.kill(errKilled)
			w.mu.Unlock()
		case <-received:
			received = nil
		case <-sent:
			sent = nil
		case <-closed:
			closed = nil
		}
		w.mu.Lock()
		ending, cutting, ticking, abandoned := w.session.why != nil, w.session.cutting, w.session.ticking, w.session.abandoned
		w.mu.Unlock()
		if ending && !closing {
			closing = true
			w.pings.stop()
			close(w.silenced)
			end := closerOf(w.conn, cutting)
			go func(done chan<- struct{}) {
				_ = end()
				close(done)
			}(closed)
		}
		if abandoned || closed == nil && received == nil && sent == nil {
			return
		}
		if ticking != running {
			if running = ticking; running {
				clock.Reset(w.session.turns.length)
			} else {
				clock.Stop() // nothing can be late, so turns need not pass
			}
		}
	}
}

func (w *worker) receiveAll() {
	defer close(w.received)
	err := receiveFrom(w.conn, w.pings, func(together []arrival) (more bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range together {
			a := &together[i]
			switch {
			case w.session.over:
				return false // Recv goes on after Close
			case w.session.broken:
				return false // nothing of it is believed any more
			}
			w.hub.received.add(len(a.text))
			if a.err != nil {
				w.session.refuse(a.text, a.err)
			} else {
				w.session.take(a.v, a.text)
			}
		}
		w.session.settle()
		if w.session.c.OutboxLen() > 0 {
			notify(w.wake)
		}
		return !w.session.broken
	})
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.session.endOfInput(err)
	}
}

// sendAll takes the next messages from the outbox when the transport has taken those before.
func (w *worker) sendAll() {
	defer close(w.sent)
	err := sendFrom(w.conn, w.wake, w.silenced, func(b *batch) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.session.next(b)
	})
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.session.end(fmt.Errorf("driver: cannot send: %w", err))
	}
}
