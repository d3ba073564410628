package benchrpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/workerchannel/workerchannel"
)

const (
	// maxInflight bounds the calls that are under way, and so the messages that wait for the loop: its
	// reader never waits for it, and two ends that both write cannot wait for each other.
	maxInflight = 64

	// maxLine is the longest message: three digits and a comma for each byte of a payload, and what
	// stands around it.
	maxLine = 4*workerchannel.MaxPayloadBytes + 1024

	// flushBytes is how much an end gathers before it writes, while there is always more to do.
	flushBytes = 64 << 10
)

var errWorkerGone = errors.New("benchrpc: the worker is gone")

// A host calls a worker. Any number of goroutines may call; one, run, owns the coordinator.
type host struct {
	calls   chan *call
	cancels chan *call
	inbound chan workerchannel.Verified
	closing chan struct{}
	done    chan struct{}

	// owned by run
	coordinator *workerchannel.Coordinator
	pending     map[uint64]*call
	lastID      uint64
	out         io.WriteCloser
	buf         []byte // not yet written
}

type call struct {
	id      uint64
	payload []byte
	outcome workerchannel.Outcome // nil if the job failed with its worker
	settled chan struct{}
}

func newHost(p pipe) *host {
	h := &host{
		calls:       make(chan *call, maxInflight),
		cancels:     make(chan *call),
		inbound:     make(chan workerchannel.Verified, maxInflight+2), // and a bootstrap and a farewell
		closing:     make(chan struct{}),
		done:        make(chan struct{}),
		coordinator: workerchannel.NewCoordinator(1),
		pending:     make(map[uint64]*call),
		out:         p.out,
	}
	go h.read(p.in)
	go h.run()
	return h
}

// Call sends a payload to the worker and returns what comes back.
func (h *host) Call(ctx context.Context, payload []byte) ([]byte, error) {
	c := &call{payload: payload, settled: make(chan struct{})}
	select {
	case h.calls <- c:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.done:
		return nil, errWorkerGone
	}
	select {
	case <-c.settled:
	case <-ctx.Done():
		select {
		case h.cancels <- c:
		case <-h.done:
		}
		return nil, ctx.Err()
	case <-h.done:
		return nil, errWorkerGone
	}
	if ok, is := c.outcome.(workerchannel.OutcomeOk); is {
		return ok.Payload, nil
	}
	return nil, fmt.Errorf("benchrpc: the job ended with %#v", c.outcome)
}

// Close asks the worker to stop, and waits until it has.
func (h *host) Close() error {
	close(h.closing)
	<-h.done
	return nil
}

// read hands the worker's messages to run, verified: the larger part of the work on a message needs
// no coordinator.
func (h *host) read(in io.ReadCloser) {
	defer in.Close()
	defer close(h.inbound)
	lines := bufio.NewReaderSize(in, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return
		}
		v, err := workerchannel.Verify(line)
		if err != nil {
			return // whoever writes garbage is no worker
		}
		h.inbound <- v
	}
}

func (h *host) run() {
	defer close(h.done)
	defer h.out.Close()
	closing := h.closing
	for alive := true; alive; {
		select {
		case c := <-h.admitted():
			h.spawn(c)
		case v, ok := <-h.inbound:
			alive = ok && h.receive(v)
		case c := <-h.cancels:
			h.coordinator.CancelJob(c.id, "the caller has gone")
		case <-closing:
			closing = nil
			h.coordinator.RequestShutdown("the host closes")
		}
		for env := range h.coordinator.Outbox() {
			h.send(env)
		}
		for _, job := range h.coordinator.Reap() {
			close(h.pending[job.JobID].settled)
			delete(h.pending, job.JobID)
		}
		idle := len(h.inbound) == 0 && len(h.admitted()) == 0
		if idle || len(h.buf) >= flushBytes {
			alive = h.flush() && alive
		}
	}
}

// admitted returns the calls that may begin now: all that come, or none.
func (h *host) admitted() <-chan *call {
	if !h.coordinator.WorkerReady() || len(h.pending) == maxInflight {
		return nil
	}
	return h.calls
}

func (h *host) spawn(c *call) {
	h.lastID++
	c.id = h.lastID
	if err := h.coordinator.SpawnJob(workerchannel.SpawnJob{JobID: c.id, Payload: c.payload}); err != nil {
		c.outcome = workerchannel.OutcomeErr{Code: "refused", Message: err.Error()}
		close(c.settled)
		return
	}
	h.pending[c.id] = c
}

// receive applies a message, and tells whether the worker still lives.
func (h *host) receive(v workerchannel.Verified) bool {
	if h.coordinator.HandleVerified(v) != nil {
		return false
	}
	if done, ok := v.Envelope().Op.(workerchannel.JobCompleted); ok {
		h.pending[done.JobID].outcome = done.Outcome
	}
	_, active := h.coordinator.ActiveWorker()
	return active
}

func (h *host) send(env workerchannel.Envelope) {
	h.buf, _ = env.AppendJSON(h.buf)
	h.buf = append(h.buf, '\n')
}

func (h *host) flush() bool {
	if len(h.buf) == 0 {
		return true
	}
	_, err := h.out.Write(h.buf)
	h.buf = h.buf[:0]
	return err == nil
}

// serveEcho is the worker: it sends back the payloads that it is given.
func serveEcho(p pipe) error {
	defer p.Close()
	w := workerchannel.NewWorker("echo", 1)
	lines := bufio.NewReaderSize(p, maxLine)
	var buf []byte
	if err := w.Announce(); err != nil {
		return err
	}
	for {
		for env := range w.Outbox() {
			var err error
			if buf, err = env.AppendJSON(buf); err != nil {
				return err
			}
			buf = append(buf, '\n')
		}
		if len(buf) > 0 && (lines.Buffered() == 0 || len(buf) >= flushBytes) {
			if _, err := p.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		if w.Closed() {
			return nil
		}
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return err
		}
		env, err := w.Receive(line)
		if err != nil {
			return err
		}
		switch op := env.Op.(type) {
		case workerchannel.SpawnJob:
			err = w.Complete(op.JobID, workerchannel.OutcomeOk{Payload: op.Payload})
		case workerchannel.ShutdownWorker:
			err = w.CompleteShutdown()
		}
		if err != nil {
			return err
		}
	}
}
