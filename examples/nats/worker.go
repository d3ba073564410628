package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/workerchannel/workerchannel/examples/driver"
	natsconn "github.com/workerchannel/workerchannel/examples/driver/nats"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

// A worker runs jobs of one dispatcher after another.
type worker struct {
	running, done atomic.Int64
	joined        atomic.Bool
}

// work joins a dispatcher, and the next one when that is gone, until ctx ends. With once it also ends when a dispatcher
// asks it to shut down.
func (w *worker) work(ctx context.Context, nc *nats.Conn, prefix string, beat time.Duration, once bool) error {
	for ctx.Err() == nil && !nc.IsClosed() {
		if w.serve(ctx, nc, prefix, beat) && once {
			return nil
		}
		select {
		case <-time.After(beat): // there is no dispatcher at present
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.New("the connection to the NATS server is closed")
}

// serve works for one dispatcher, if there is one, and reports whether it was asked to shut down.
func (w *worker) serve(ctx context.Context, nc *nats.Conn, prefix string, beat time.Duration) bool {
	if !nc.IsConnected() {
		return false // Join would wait, whatever ctx does
	}
	conn, err := natsconn.Join(ctx, nc, prefix, natsconn.WithBeat(beat))
	if err != nil {
		return false
	}
	w.joined.Store(true)
	defer w.joined.Store(false)
	return driver.Serve(ctx, conn, "", w.run) == nil
}

func (w *worker) run(ctx context.Context, job *driver.Job) ([]byte, error) {
	w.running.Add(1)
	defer w.running.Add(-1)
	result, err := countPrimes(ctx, job.Payload)
	if ctx.Err() == nil {
		w.done.Add(1)
	}
	return result, err
}

func (w *worker) String() string {
	if !w.joined.Load() {
		return fmt.Sprintf("%s done; waiting for a dispatcher", tool.Count(w.done.Load(), "job"))
	}
	return fmt.Sprintf("%s done, %d running", tool.Count(w.done.Load(), "job"), w.running.Load())
}
