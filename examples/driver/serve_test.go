package driver

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// A fakeHost is a coordinator at the other end of a connection that Serve has.
type fakeHost struct {
	t      *testing.T
	conn   Conn
	c      *wc.Coordinator
	served chan error
}

func serve(t *testing.T, ctx context.Context, handler Handler, opts ...ServeOption) *fakeHost {
	conn, worker := Pipe(100)
	h := &fakeHost{t, conn, wc.NewCoordinator(1), make(chan error, 1)}
	go func() { h.served <- Serve(ctx, worker, "w", handler, opts...) }()
	h.receive() // its announcement
	return h
}

func (h *fakeHost) receive() wc.Op {
	data, err := h.conn.Recv()
	require.NoError(h.t, err)
	env, err := h.c.Receive(data)
	require.NoError(h.t, err)
	h.flush()
	return env.Op
}

func (h *fakeHost) flush() {
	for env := range h.c.Outbox() {
		text, err := env.AppendJSON(nil)
		require.NoError(h.t, err)
		require.NoError(h.t, h.conn.Send(text))
	}
}

func (h *fakeHost) spawn(id uint64) {
	require.NoError(h.t, h.c.SpawnJob(wc.SpawnJob{JobID: id}))
	h.flush()
}

// causes receives until the worker has stopped, and returns how the jobs ended.
func (h *fakeHost) causes() map[uint64]wc.EndCause {
	for h.receive().Type() != wc.OpShutdownCompleted {
	}
	causes := map[uint64]wc.EndCause{}
	for _, job := range h.c.Reap() {
		causes[job.JobID] = job.Cause
	}
	return causes
}

func TestServeLeavesJobsOpenWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		h := serve(t, ctx, func(ctx context.Context, job *Job) ([]byte, error) {
			<-ctx.Done()
			if job.ID == 2 {
				return []byte("in time"), nil
			}
			return nil, context.Cause(ctx)
		}, WithConcurrency(2))
		for id := range uint64(3) {
			h.spawn(id + 1)
		}
		synctest.Wait()
		cancel(errTest)
		assert.Equal(t, map[uint64]wc.EndCause{1: wc.CauseShutdown, 2: wc.CauseOutcome, 3: wc.CauseShutdown}, h.causes())
		assert.Equal(t, errTest, <-h.served)
	})
}

func TestServeLetsRunningJobsFinishWhenAskedToShutDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, t.Context(), func(ctx context.Context, _ *Job) ([]byte, error) {
			time.Sleep(time.Minute)
			return nil, ctx.Err()
		}, WithConcurrency(1))
		h.spawn(1)
		h.spawn(2)
		synctest.Wait()
		require.NoError(t, h.c.RequestShutdown("enough"))
		h.flush()
		assert.Equal(t, map[uint64]wc.EndCause{1: wc.CauseOutcome, 2: wc.CauseShutdown}, h.causes())
		assert.NoError(t, <-h.served)
	})
}

func TestServeEndsWhenTheHostIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		h := serve(t, t.Context(), func(ctx context.Context, _ *Job) ([]byte, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return nil, nil
		})
		h.spawn(1)
		synctest.Wait()
		_ = h.conn.Close()
		err := <-h.served
		assert.ErrorIs(t, err, ErrHostGone)
		assert.ErrorIs(t, err, io.EOF)
		assert.ErrorIs(t, cause, ErrHostGone)
	})
}

func TestServeDoesNotWaitForEverForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, t.Context(), func(context.Context, *Job) ([]byte, error) {
			time.Sleep(time.Hour)
			return nil, nil
		}, WithGrace(3*time.Second))
		h.spawn(1)
		synctest.Wait()
		_ = h.conn.Close()
		assert.Equal(t, 3*time.Second, took(func() {
			err := <-h.served
			assert.EqualError(t, err, "driver: host is gone: EOF (1 handler still running)")
			var left *HandlersLeftError
			require.ErrorAs(t, err, &left)
			assert.Equal(t, 1, left.Running)
			assert.ErrorIs(t, err, ErrHostGone)
		}))
		time.Sleep(2 * time.Hour) // the handler returns, and nothing is left
	})
}

func TestServeTellsTheHostWhyItRefusesAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, t.Context(), echo)
		h.receive() // its capacity
		require.NoError(t, h.conn.Send([]byte("not a message")))
		data, err := h.conn.Recv()
		require.NoError(t, err)
		_, err = h.c.Receive(data)
		assert.ErrorIs(t, err, wc.ErrBootstrapFailed)
		assert.ErrorIs(t, <-h.served, wc.ErrMalformed)
	})
}

func TestServeCancelsAQueuedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, t.Context(), untilCancelled, WithConcurrency(1))
		h.spawn(1)
		h.spawn(2)
		require.NoError(t, h.c.CancelJob(2, "enough"))
		h.flush()
		for h.receive().Type() != wc.OpFinalizeCompleted {
		}
		job, _ := h.c.Job(2)
		assert.Equal(t, wc.CauseCancelled, job.Cause)
		_ = h.conn.Close()
		<-h.served
	})
}

func TestServeRefusesBadOptions(t *testing.T) {
	for _, opt := range []ServeOption{WithConcurrency(0), WithGrace(-1), WithServeLogger(nil)} {
		_, conn := Pipe(0)
		assert.ErrorIs(t, Serve(t.Context(), conn, "w", echo, opt), ErrOptions)
		assert.Equal(t, ErrConnClosed, conn.Send(nil), "the connection is closed in every case")
	}
	_, conn := Pipe(0)
	assert.ErrorIs(t, Serve(t.Context(), conn, "w", nil), ErrOptions)
	assert.ErrorIs(t, Serve(t.Context(), nil, "w", echo), ErrOptions)
	_, conn = Pipe(0)
	assert.ErrorIs(t, Serve(t.Context(), conn, "\xff", echo), wc.ErrInvalidValue)
}
