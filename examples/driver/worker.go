package driver

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/workerchannel/workerchannel"
)

// A worker is a host's side of one worker. The goroutine of receiveAll verifies messages and takes them in, that of
// sendAll makes, seals and writes them, and that of run has the clock and ends the worker. What they share is the
// session, under mu; no goroutine holds mu while it waits in Recv, Send or Close.
//
// A worker ends in this order: there is a reason to end it, and the connection is closed; what has still arrived is
// taken in; when the calls of the connection have returned, or do not return within the limit, the scheduler decides
// about the calls that the worker had.
type worker struct {
	host *Host
	conn Conn

	mu sync.Mutex // taken before host.mu, never after it
	session

	wake     chan struct{} // capacity 1: there may be something to send
	notice   chan struct{} // capacity 1: run is to look at why and ticking
	replace  chan struct{} // closed when the worker has left, or is being ended
	silenced chan struct{} // closed when nothing more is to be sent
	received chan struct{} // closed when receiveAll has ended
	sent     chan struct{} // closed when sendAll has ended
	gone     chan struct{} // closed when run has ended
}

func newWorker(h *Host, conn Conn, number uint64, s *slot) *worker {
	w := &worker{
		host: h, conn: conn,
		wake:     make(chan struct{}, 1),
		notice:   make(chan struct{}, 1),
		replace:  make(chan struct{}),
		silenced: make(chan struct{}),
		received: make(chan struct{}),
		sent:     make(chan struct{}),
		gone:     make(chan struct{}),
	}
	s.wake = func() { notify(w.wake) }
	w.session = session{
		host: h, turns: h.turns, number: number, slot: s,
		said:     &limitedLog{log: h.config.log, budgets: []*budget{newWorkerBudget(), h.said}, total: &h.suppressed},
		reports:  &limitedLog{log: h.config.log, budgets: []*budget{newWorkerBudget(), h.reports}, total: &h.suppressed},
		notify:   func() { notify(w.notice) },
		replaced: sync.OnceFunc(func() { close(w.replace) }),
	}
	return w
}

// notify wakes a goroutine, unless it has been woken already.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run is over when nothing of the worker is left.
func (w *worker) run() {
	defer close(w.gone)
	w.mu.Lock()
	w.start()
	w.mu.Unlock()
	go w.receiveAll()
	go w.sendAll()
	w.wait()
	w.mu.Lock()
	w.finish()
	w.mu.Unlock()
	w.host.mu.Lock()
	delete(w.host.workers, w)
	w.host.unlock()
}

// wait has the clock and closes the connection, and returns when its calls have returned or it is given up.
func (w *worker) wait() {
	clock := time.NewTicker(w.turns.length)
	defer clock.Stop()
	running := true
	closed := make(chan struct{})
	closing, killed, received, sent := false, w.host.killed, w.received, w.sent
	for {
		select {
		case <-w.notice:
		case <-clock.C:
			w.mu.Lock()
			w.nextTurn()
			w.mu.Unlock()
		case <-killed:
			killed = nil
			w.mu.Lock()
			w.kill(errKilled)
			w.mu.Unlock()
		case <-received:
			received = nil
		case <-sent:
			sent = nil
		case <-closed:
			closed = nil
		}
		w.mu.Lock()
		ending, cutting, ticking, abandoned := w.why != nil, w.cutting, w.ticking, w.abandoned
		w.mu.Unlock()
		if ending && !closing {
			closing = true
			close(w.silenced)
			end := w.conn.Close
			if c, ok := w.conn.(cutter); ok && cutting {
				end = c.Cut
			}
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
				clock.Reset(w.turns.length)
			} else {
				clock.Stop() // nothing can be late, so turns need not pass
			}
		}
	}
}

func (w *worker) receiveAll() {
	defer close(w.received)
	for {
		data, err := w.conn.Recv()
		if err != nil {
			w.mu.Lock()
			w.endOfInput(err)
			w.mu.Unlock()
			return
		}
		v, err := workerchannel.Verify(data)
		w.mu.Lock()
		if w.over {
			w.mu.Unlock()
			return // Recv goes on after Close
		}
		w.host.received.add(len(data))
		if err != nil {
			w.refuse(data, err)
		} else {
			w.take(v, len(data))
		}
		more, broken := w.c.OutboxLen() > 0, w.broken
		w.mu.Unlock()
		if broken {
			return // nothing of it is believed any more
		}
		if more {
			notify(w.wake)
		}
	}
}

// sendAll takes the next message from the outbox when the transport has taken the one before.
func (w *worker) sendAll() {
	defer close(w.sent)
	err := sendFrom(w.conn, w.wake, w.silenced, func(text []byte) ([]byte, int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.next(text)
	})
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.end(fmt.Errorf("driver: cannot send: %w", err))
	}
}

// Why a host ends a worker, beside a workerchannel.Overdue and the errors of workerchannel.Coordinator.
var (
	errSecondBootstrap = errors.New("driver: worker announced itself twice")
	errEarly           = errors.New("driver: worker answered for a job that it had not been given")
	errSendLate        = errors.New("driver: worker did not read a message within the limit")
	errKilled          = errors.New("driver: host stopped before the worker had")
	errLeft            = errors.New("driver: worker shut down")
	errTakenBack       = errors.New("driver: call was taken back from a worker that was to begin no more, and had begun it")
)
