package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel"
)

func newServer(t *testing.T) (url string) {
	s, err := startServer("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(s.Shutdown)
	return s.ClientURL()
}

func dial(t *testing.T, url string) *nats.Conn {
	nc, err := connect(url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// subscribe returns when the server has the subscription.
func subscribe(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	sub, err := nc.SubscribeSync(subject)
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return sub
}

func next(t *testing.T, sub *nats.Subscription) *nats.Msg {
	m, err := sub.NextMsgWithContext(t.Context())
	require.NoError(t, err)
	return m
}

// bootstrap waits for a worker to announce itself.
func bootstrap(t *testing.T, up *nats.Subscription) (worker string) {
	for {
		if env, err := workerchannel.ParseEnvelope(next(t, up).Data); err == nil {
			if ready, ok := env.Op.(workerchannel.BootstrapReady); ok {
				return ready.WorkerID
			}
		}
	}
}

// testDispatcher is a dispatcher that runs.
type testDispatcher struct {
	*Dispatcher
	stop func(*testing.T) Stats
}

func newTestDispatcher(t *testing.T, url string, turns <-chan time.Time) testDispatcher {
	nc := dial(t, url)
	d, err := NewDispatcher(nc, prefix)
	require.NoError(t, err)
	require.NoError(t, nc.Flush()) // from now on it receives every announcement
	var run sync.WaitGroup
	var stats Stats
	run.Go(func() { stats, err = d.Run(turns) })
	stop := func(t *testing.T) Stats {
		d.Stop()
		run.Wait()
		assert.NoError(t, err)
		return stats
	}
	t.Cleanup(func() { stop(t) })
	return testDispatcher{d, stop}
}

// A result is what a call returns, in a form that can be compared.
type result struct{ payload, err string }

func (d testDispatcher) do(t *testing.T, payload string) <-chan result {
	c := make(chan result, 1)
	go func() {
		got, err := d.Do(t.Context(), []byte(payload))
		if err != nil {
			c <- result{"", err.Error()}
		} else {
			c <- result{string(got), ""}
		}
	}()
	return c
}

func echo(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }

// runWorker runs a worker within this process, without turns. It ends with ctx, or with the test.
func runWorker(t *testing.T, ctx context.Context, url string, do task) (ended <-chan struct{}) {
	nc := dial(t, url)
	ctx, leave := context.WithCancel(ctx)
	c := make(chan struct{})
	go func() {
		defer close(c)
		assert.NoError(t, work(ctx, nc, prefix, nil, do))
	}()
	t.Cleanup(func() {
		leave()
		<-c
	})
	return c
}

// A handWorker is a worker whose every step the test makes.
type handWorker struct {
	*workerchannel.Worker
	link
	down *nats.Subscription
}

var hands int

func join(t *testing.T, nc *nats.Conn) *handWorker {
	hands++
	id := fmt.Sprintf("hand%d", hands)
	w := &handWorker{
		workerchannel.NewWorker(id, 0),
		link{nc: nc, to: upward(prefix, id)},
		subscribe(t, nc, downward(prefix, id)),
	}
	require.NoError(t, w.Announce())
	w.flush(t)
	return w
}

func (w *handWorker) flush(t *testing.T) {
	for env := range w.Outbox() {
		require.NoError(t, w.send(env))
	}
}

// next waits for a message and skips beats.
func (w *handWorker) next(t *testing.T) workerchannel.Op {
	for {
		v, isMessage, err := w.link.receive(next(t, w.down).Data)
		require.NoError(t, err)
		if isMessage {
			require.NoError(t, w.HandleVerified(v))
			return v.Envelope().Op
		}
	}
}

func (w *handWorker) nextJob(t *testing.T) workerchannel.SpawnJob {
	op := w.next(t)
	require.IsType(t, workerchannel.SpawnJob{}, op)
	return op.(workerchannel.SpawnJob)
}

func (w *handWorker) complete(t *testing.T, jobID uint64, payload string) {
	require.NoError(t, w.Complete(jobID, workerchannel.OutcomeOk{Payload: []byte(payload)}))
	w.flush(t)
}

func (w *handWorker) leave(t *testing.T) {
	require.NoError(t, w.CompleteShutdown())
	w.flush(t)
}
