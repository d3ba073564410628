package driver_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// A lane carries messages in one direction, with a delay and a bandwidth, in order. Send does not wait.
type lane struct {
	delay   time.Duration
	perByte time.Duration
	clock   *latency

	mu    sync.Mutex
	queue []parcel
	busy  time.Time // until when messages in front take the line
	ended time.Time // when the receiver learns that nothing more comes; zero: it has not ended
	woken chan struct{}
}

// A parcel is a message under way.
type parcel struct {
	msg []byte
	at  time.Time // it arrives
}

func newLane(w workerPlan, clock *latency) *lane {
	l := &lane{delay: w.Delay, clock: clock, woken: make(chan struct{}, 1)}
	if w.BytesPerSecond > 0 {
		l.perByte = time.Second / time.Duration(w.BytesPerSecond)
	}
	return l
}

func (l *lane) send(msg []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended.IsZero() {
		return
	}
	now := time.Now()
	if l.busy.Before(now) {
		l.busy = now
	}
	l.busy = l.busy.Add(1 + time.Duration(len(msg))*l.perByte) // no two arrive at the same moment
	at := l.busy.Add(l.delay)
	l.queue = append(l.queue, parcel{append([]byte{}, msg...), at})
	l.clock.note(at.Sub(now))
	l.wake()
}

func (l *lane) wake() {
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

// cut ends the lane. Of the messages under way the first few still arrive.
func (l *lane) cut(kept int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended.IsZero() {
		return
	}
	now := time.Now()
	l.ended = now.Add(l.delay)
	for i, p := range l.queue {
		if p.at.After(now) {
			if kept--; kept < 0 {
				clear(l.queue[i:])
				l.queue = l.queue[:i]
				break
			}
		}
		if p.at.After(l.ended) {
			l.ended = p.at
		}
	}
	l.wake()
}

// all is more messages than are ever under way.
const all = 1 << 30

// recv returns the next message when it has arrived. Once stop is closed it returns only what has.
func (l *lane) recv(stop <-chan struct{}) ([]byte, error) {
	for {
		l.mu.Lock()
		next := l.ended
		if len(l.queue) > 0 {
			next = l.queue[0].at
		}
		wait := time.Until(next)
		switch {
		case next.IsZero():
			wait = -1
		case wait > 0:
		case len(l.queue) == 0:
			l.mu.Unlock()
			return nil, io.EOF
		default:
			p := l.queue[0]
			l.queue = l.queue[1:]
			l.mu.Unlock()
			return p.msg, nil
		}
		l.mu.Unlock()
		var timer *time.Timer
		var due <-chan time.Time
		if wait > 0 {
			timer = time.NewTimer(wait)
			due = timer.C
		}
		select {
		case <-l.woken:
		case <-due:
		case <-stop:
			return nil, driver.ErrConnClosed
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// latency is the longest time that a message takes, whether or not it arrives.
type latency struct {
	mu   sync.Mutex
	most time.Duration
}

func (l *latency) note(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = max(l.most, d)
}

// A hostEnd is the host's end of the connection to a worker. To close it is to kill the worker.
type hostEnd struct {
	worker *simWorker
	closed chan struct{}
	once   sync.Once
}

func (h *hostEnd) Send(msg []byte) error {
	select {
	case <-h.closed:
		return driver.ErrConnClosed
	default:
		h.worker.down.send(msg)
		return nil
	}
}

func (h *hostEnd) Recv() ([]byte, error) {
	msg, err := h.worker.up.recv(h.closed)
	if err != nil {
		h.worker.noticed()
	}
	return msg, err
}

func (h *hostEnd) Close() error {
	h.once.Do(func() {
		close(h.closed)
		h.worker.noticed()
		h.worker.die(0)
	})
	return nil
}

// A workerEnd is the worker's end. A worker that is frozen neither sends nor receives.
type workerEnd struct{ worker *simWorker }

var errDead = errors.New("the worker is dead")

func (e workerEnd) Send(msg []byte) error {
	e.worker.thaw()
	select {
	case <-e.worker.dead:
		return errDead
	default:
		if e.worker.plan.Silent && bytes.Contains(msg, []byte("workerchannel.capacity")) {
			return nil // the host accepts what follows
		}
		e.worker.up.send(msg)
		return nil
	}
}

func (e workerEnd) Recv() ([]byte, error) {
	e.worker.thaw()
	msg, err := e.worker.down.recv(e.worker.dead)
	e.worker.thaw()
	return msg, err
}

// Close ends the connection in order: what is under way arrives.
func (e workerEnd) Close() error {
	e.worker.up.cut(all)
	return nil
}
