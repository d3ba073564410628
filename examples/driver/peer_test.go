package driver

import (
	"context"
	"crypto/rand"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// A peer is the other end of a host's connection, for workers that Serve would not be: it sends what a test wants. Its
// methods end its goroutine when the connection has ended.
type peer struct {
	t    *testing.T
	conn Conn
	half *wc.Worker
}

// flush sends what the worker half has to say.
func (p *peer) flush() {
	for env := range p.half.Outbox() {
		text, err := env.AppendJSON(nil)
		require.NoError(p.t, err)
		p.send(text)
	}
}

func (p *peer) send(text []byte) {
	if p.conn.Send(text) != nil {
		runtime.Goexit()
	}
}

func (p *peer) announce() {
	require.NoError(p.t, p.half.Announce())
	p.flush()
}

// sayCapacity sends a diagnostic of PROTOCOL.md, section 13.
func (p *peer) sayCapacity(message string) {
	require.NoError(p.t, p.half.Diagnose(wc.Diagnostic{Level: wc.LevelInfo, Category: categoryCapacity, Message: message}))
	p.flush()
}

// receive takes in the next message of the host.
func (p *peer) receive() wc.Op {
	data, err := p.conn.Recv()
	if err != nil {
		runtime.Goexit()
	}
	env, err := p.half.Receive(data)
	require.NoError(p.t, err)
	p.flush()
	return env.Op
}

// spawned takes in the next message, and ends the worker unless that is a job: a shutdown may come first.
func (p *peer) spawned() wc.SpawnJob {
	spawn, ok := p.receive().(wc.SpawnJob)
	if !ok {
		runtime.Goexit()
	}
	return spawn
}

// begin announces the worker, and begins the first job that comes.
func (p *peer) begin() (jobID uint64) {
	p.announce()
	spawn := p.spawned()
	require.NoError(p.t, p.half.Start(spawn.JobID))
	p.flush()
	return spawn.JobID
}

// hang does nothing until the connection is closed. It reads, if anything comes.
func (p *peer) hang() {
	for {
		if _, err := p.conn.Recv(); err != nil {
			runtime.Goexit()
		}
	}
}

// sleep does nothing for a time, and does not read.
func (p *peer) sleep(d time.Duration) {
	select {
	case <-p.conn.(*pipeEnd).peer.closed:
		runtime.Goexit()
	case <-time.After(d):
	}
}

// deaf does nothing until the connection is closed, and does not read.
func (p *peer) deaf() { p.sleep(time.Hour) }

// play returns a Dial whose first workers are the given ones, one after the other; the last of them plays all that
// follow, too.
func play(t *testing.T, workers ...func(*peer)) Dial {
	return func(context.Context) (Conn, error) {
		host, worker := Pipe(0)
		p := &peer{t, worker, wc.NewWorker("worker-"+rand.Text(), 1)}
		f := workers[0]
		if len(workers) > 1 {
			workers = workers[1:]
		}
		go func() {
			defer worker.Close()
			f(p)
		}()
		return host, nil
	}
}

// serving is a worker that runs Serve.
func serving(handler Handler, opts ...ServeOption) func(*peer) {
	return func(p *peer) { _ = Serve(context.Background(), p.conn, p.half.ID(), handler, opts...) }
}

func echo(_ context.Context, job *Job) ([]byte, error) { return job.Payload, nil }

// untilCancelled is a handler that reports that it has begun, and returns when its context ends.
func untilCancelled(ctx context.Context, job *Job) ([]byte, error) {
	job.Progress("begun")
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// withHost runs f with a host in a bubble of synctest, in which time passes when everybody waits, and which fails if a
// goroutine is left.
func withHost(t *testing.T, f func(t *testing.T, h *Host), opts ...Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, err := NewHost(opts...)
		require.NoError(t, err)
		f(t, h)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = h.Stop(ctx)
		s := h.Stats()
		require.Empty(t, s.Workers)
		require.Zero(t, s.Waiting+s.Assigned)
		require.Equal(t, s.Calls, s.Succeeded+s.Failed+s.Panicked+s.Cancelled+s.GivenUp+s.NoWorker+s.Stopped)
		require.Equal(t, s.Calls, s.Waited.Count)
		require.Equal(t, s.WorkersStarted, s.WorkersEnded)
	})
}

// testLimits are all 10 s, but for Silence.
var testLimits = Limits{
	Boot: 10 * time.Second, Cancel: 10 * time.Second, Drain: 10 * time.Second, Finalize: 10 * time.Second,
	Silence: 5 * time.Second, Answer: 10 * time.Second, Send: 10 * time.Second, Shutdown: 10 * time.Second, Close: 10 * time.Second,
}

// given is the time from now until f returns.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// do runs a call in a goroutine of its own.
func do(h *Host, ctx context.Context, payload string, opts ...CallOption) <-chan result {
	answer := make(chan result, 1)
	go func() {
		data, err := h.Do(ctx, []byte(payload), opts...)
		answer <- result{data, err}
	}()
	return answer
}

var errTest = errors.New("the test's own reason")
