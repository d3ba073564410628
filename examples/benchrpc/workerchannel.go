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
	// maxInflight bounds the calls in flight, and so the messages that wait for the loop. The reader therefore never
	// waits for the loop, and two ends that both write do not wait for each other.
	maxInflight = 64

	// maxLine is the length of the longest message: up to three digits and a comma for each byte of the payload, and the
	// other members.
	maxLine = 4*workerchannel.MaxPayloadBytes + 1024

	// flushBytes is how many bytes an end collects before it writes, if it always has something else to do.
	flushBytes = 64 << 10
)

var errWorkerGone = errors.New("benchrpc: the worker is gone")

// A host calls a worker. Any number of goroutines may call; the goroutine of run owns the coordinator.
type host struct {
	calls   chan *call
	cancels chan *call
	inbound chan workerchannel.Verified
	closing chan struct{}
	done    chan struct{}

	// owned by run
	coordinator *workerchannel.Coordinator
	pending     int // calls whose jobs have not ended
	lastID      uint64
	out         io.WriteCloser
	buf         []byte // not yet written
}

// A call is the tag of its job.
type call struct {
	id      uint64
	payload []byte
	outcome workerchannel.Outcome // nil if the job has failed
	settled chan struct{}
}

func newHost(p pipe) *host {
	h := &host{
		calls:       make(chan *call, maxInflight),
		cancels:     make(chan *call),
		inbound:     make(chan workerchannel.Verified, maxInflight+2), // and the first and the last message
		closing:     make(chan struct{}),
		done:        make(chan struct{}),
		coordinator: workerchannel.NewCoordinator(1),
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

// Close asks the worker to stop and waits until it has stopped.
func (h *host) Close() error {
	close(h.closing)
	<-h.done
	return nil
}

// read verifies the worker's messages and passes them to run: most of the work on a message needs no coordinator.
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
			return // the worker is broken
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
			h.coordinator.CancelJob(c.id, "the caller is gone")
		case <-closing:
			closing = nil
			h.coordinator.RequestShutdown("the host closes")
		}
		for env := range h.coordinator.Outbox() {
			h.send(env)
		}
		for _, job := range h.coordinator.Reap() {
			c := job.Tag.(*call)
			c.outcome = job.Outcome
			close(c.settled)
			h.pending--
		}
		idle := len(h.inbound) == 0 && len(h.admitted()) == 0
		if idle || len(h.buf) >= flushBytes {
			alive = h.flush() && alive
		}
	}
}

// admitted returns the channel of the calls, or nil if no call may begin now.
func (h *host) admitted() <-chan *call {
	if !h.coordinator.WorkerReady() || h.pending == maxInflight {
		return nil
	}
	return h.calls
}

func (h *host) spawn(c *call) {
	h.lastID++
	c.id = h.lastID
	if err := h.coordinator.SpawnTagged(workerchannel.SpawnJob{JobID: c.id, Payload: c.payload}, c); err != nil {
		c.outcome = workerchannel.OutcomeErr{Code: "refused", Message: err.Error()}
		close(c.settled)
		return
	}
	h.pending++
}

// receive applies a message and reports whether the worker is still active.
func (h *host) receive(v workerchannel.Verified) bool {
	if h.coordinator.HandleVerified(v) != nil {
		return false
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

// serveEcho is the worker. It returns the payloads of its jobs.
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
