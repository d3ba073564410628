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
		conn, err := natsconn.Join(ctx, nc, prefix, natsconn.WithBeat(beat))
		if err == nil {
			w.joined.Store(true)
			err = driver.Serve(ctx, conn, "", w.run)
			w.joined.Store(false)
			if err == nil && once {
				return nil
			}
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
		return fmt.Sprintf("%d jobs done; waiting for a dispatcher", w.done.Load())
	}
	return fmt.Sprintf("%d jobs done, %d running", w.done.Load(), w.running.Load())
}
