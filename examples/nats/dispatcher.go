package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/workerchannel/workerchannel/examples/driver"
	natsconn "github.com/workerchannel/workerchannel/examples/driver/nats"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

// tries is how many workers may end while they have a job before it fails, because it may be what kills them.
const tries = 5

// A dispatcher takes jobs from the queue, has workers run them, and acknowledges them when their results are recorded. So
// a job whose dispatcher dies is run again, and if it had a result that remains the only one.
type dispatcher struct {
	queue *queue
	host  *driver.Host
	join  *nats.Subscription
	stop  func()
	ctx   context.Context // of recording; ends with close
	end   context.CancelFunc

	mu    sync.Mutex
	taken map[uint64]jetstream.Msg // jobs, by number
	idle  sync.WaitGroup
}

func startDispatcher(ctx context.Context, nc *nats.Conn, q *queue, beat time.Duration) (*dispatcher, error) {
	host, err := driver.NewHost(driver.WithTries(tries))
	if err != nil {
		return nil, err
	}
	d := &dispatcher{queue: q, host: host, taken: map[uint64]jetstream.Msg{}}
	d.ctx, d.end = context.WithCancel(context.WithoutCancel(ctx))
	if d.join, err = natsconn.Accept(nc, q.prefix, host.Attach, natsconn.WithBeat(beat)); err == nil {
		d.stop, err = q.take(ctx, d.run)
	}
	if err != nil {
		d.end()
		return nil, errors.Join(err, host.Stop(ctx))
	}
	go d.hold()
	return d, nil
}

// run has a worker run a job.
func (d *dispatcher) run(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return // not from a stream
	}
	job := meta.Sequence.Stream
	d.mu.Lock()
	_, again := d.taken[job]
	d.taken[job] = m
	if !again {
		d.idle.Add(1)
	}
	d.mu.Unlock()
	if again {
		return // the server has not heard from this dispatcher for a time, and takes it for dead
	}
	defer d.idle.Done()
	result, err := d.host.Do(d.ctx, m.Data())
	if !errors.Is(err, driver.ErrStopped) && !errors.Is(err, context.Canceled) {
		err = d.queue.record(d.ctx, job, result, err)
	}
	d.mu.Lock()
	m = d.taken[job]
	delete(d.taken, job)
	d.mu.Unlock()
	if err == nil || errors.Is(err, errRecorded) {
		_ = m.DoubleAck(d.ctx) // if it does not arrive, the job comes again
	} else {
		_ = m.Nak() // for another dispatcher, or the next one
	}
}

// hold tells the server from time to time that the jobs are being worked on.
func (d *dispatcher) hold() {
	ticker := time.NewTicker(ackWait / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-d.ctx.Done():
			return
		}
		d.mu.Lock()
		for _, m := range d.taken {
			_ = m.InProgress()
		}
		d.mu.Unlock()
	}
}

// close gives jobs that have not been done back to the queue, and asks the workers to shut down. Those that do not in time
// are told that the dispatcher is gone.
func (d *dispatcher) close() {
	_ = d.join.Unsubscribe()
	d.stop()
	ctx, cancel := context.WithTimeout(d.ctx, 5*time.Second)
	defer cancel()
	_ = d.host.Stop(ctx)
	d.end()
	d.idle.Wait()
}

func (d *dispatcher) String() string {
	s := d.host.Stats()
	return fmt.Sprintf("%s joined, %s ran again", tool.Count(s.WorkersStarted, "worker"), tool.Count(s.Retries, "job"))
}
