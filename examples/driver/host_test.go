package driver

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

func TestDoReturnsTheResult(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		var callers sync.WaitGroup
		for i := range 100 {
			callers.Go(func() {
				data, err := h.Do(t.Context(), fmt.Append(nil, i))
				assert.NoError(t, err)
				assert.Equal(t, fmt.Sprint(i), string(data))
			})
		}
		callers.Wait()
		assert.Equal(t, uint64(100), h.Stats().Succeeded)
	}, WithWorkers(3, play(t, serving(echo))))
}

func TestDoReturnsAnErrorThatSaysWhich(t *testing.T) {
	handler := func(_ context.Context, job *Job) ([]byte, error) {
		switch string(job.Payload) {
		case "coded":
			return nil, fmt.Errorf("wrapped: %w", &JobError{"E42", "no\x1b[31m"})
		case "plain":
			return nil, errors.New("bad \xff text")
		case "long":
			return nil, errors.New(strings.Repeat("x", 10<<20))
		case "large":
			return make([]byte, wc.MaxPayloadBytes+1), nil
		case "panic":
			panic("oh \xff")
		case "goexit":
			runtime.Goexit()
		case "given up":
			return nil, &CancelError{Reason: "tired"}
		}
		return nil, nil
	}
	withHost(t, func(t *testing.T, h *Host) {
		for payload, want := range map[string]error{
			"coded":    &JobError{"E42", "no\x1b[31m"},
			"plain":    &JobError{CodeFailed, "bad \uFFFD text"},
			"long":     &JobError{CodeFailed, strings.Repeat("x", maxText)},
			"large":    &JobError{CodeTooLarge, "the result has 262145 bytes, the limit is 262144: see docs/larger-data.md"},
			"panic":    &PanicError{"oh \uFFFD"},
			"goexit":   &PanicError{"the handler called runtime.Goexit"},
			"given up": &CancelError{Reason: "tired"},
		} {
			_, err := h.Do(t.Context(), []byte(payload))
			assert.Equal(t, want, err, payload)
			assert.NotContains(t, err.Error(), "\x1b")
		}
		_, err := h.Do(t.Context(), make([]byte, wc.MaxPayloadBytes+1))
		assert.ErrorIs(t, err, wc.ErrPayloadTooLarge)
		assert.EqualError(t, err, "workerchannel: payload too large: 262145 bytes, the limit is 262144: see docs/larger-data.md")
		data, err := h.Do(t.Context(), nil)
		assert.NoError(t, err, "the worker lives")
		assert.Empty(t, data)
		assert.Equal(t, uint64(1), h.Stats().WorkersStarted)
	}, WithWorkers(1, play(t, serving(handler))))
}

func TestDoCancelsThroughTheHandshakeAndReturnsWhenTheHandlerHas(t *testing.T) {
	finalized := 0
	handler := func(ctx context.Context, job *Job) ([]byte, error) {
		job.Progress("begun")
		<-ctx.Done()
		time.Sleep(3 * time.Second) // to let go
		return []byte("too late"), nil
	}
	withHost(t, func(t *testing.T, h *Host) {
		ctx, cancel := context.WithCancelCause(t.Context())
		var err error
		d := took(func() {
			_, err = h.Do(ctx, nil, WithProgress(func(string) { cancel(errTest) }))
		})
		assert.Equal(t, &CancelError{Cause: errTest}, err)
		assert.ErrorIs(t, err, ErrCancelled)
		assert.Equal(t, 3*time.Second, d)
		assert.Equal(t, 1, finalized)
		assert.Zero(t, h.Stats().WorkersKilled)
	}, WithWorkers(1, play(t, serving(handler, WithFinalizer(func(*Job) { finalized++ })))))
}

func TestDoReturnsAtOnceWhenAWaitingCallIsCancelled(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := h.Do(ctx, nil)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, ErrCancelled)
		_, err = h.Do(ctx, nil)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestDoDeliversProgressBeforeItReturns(t *testing.T) {
	handler := func(_ context.Context, job *Job) ([]byte, error) {
		for i := range 5 {
			job.Progress(fmt.Sprint(i))
		}
		job.Progress("\xff")
		return nil, nil
	}
	withHost(t, func(t *testing.T, h *Host) {
		var got []string
		_, err := h.Do(t.Context(), nil, WithProgress(func(s string) { got = append(got, s) }))
		require.NoError(t, err)
		assert.Equal(t, []string{"0", "1", "2", "3", "4", "\uFFFD"}, got)
	}, WithWorkers(1, play(t, serving(handler))))
}

func TestSlowProgressDoesNotHoldUpOtherCalls(t *testing.T) {
	handler := func(_ context.Context, job *Job) ([]byte, error) {
		for i := range 10_000 * len(job.Payload) {
			job.Progress(fmt.Sprint(i))
		}
		return nil, nil
	}
	withHost(t, func(t *testing.T, h *Host) {
		release, last := make(chan struct{}), ""
		slow := do(h, t.Context(), "x", WithProgress(func(s string) { <-release; last = s }))
		synctest.Wait()
		_, err := h.Do(t.Context(), nil)
		require.NoError(t, err)
		close(release)
		require.NoError(t, (<-slow).err)
		assert.Equal(t, "9999", last, "the oldest are dropped")
	}, WithWorkers(1, play(t, serving(handler, WithConcurrency(2)))))
}

func TestDoRefusesWhatIsMoreThanTheBacklog(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		waiting := do(h, t.Context(), "")
		synctest.Wait()
		_, err := h.Do(t.Context(), nil)
		assert.ErrorIs(t, err, ErrBusy)
		host, worker := Pipe(0)
		require.NoError(t, h.Attach(host))
		go serving(echo)(&peer{t, worker, wc.NewWorker("late", 1)})
		assert.NoError(t, (<-waiting).err)
	}, WithBacklog(1))
}

func TestRegionCancelsItsCallsAndWaitsForThem(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		r := h.NewRegion()
		var answers []<-chan result
		for range 20 { // more than the window
			answers = append(answers, do(h, t.Context(), "", InRegion(r)))
		}
		synctest.Wait()
		assert.Equal(t, 20, r.Cancel(errTest))
		for _, a := range answers {
			assert.ErrorIs(t, (<-a).err, errTest)
		}
		last := do(h, t.Context(), "", InRegion(r))
		synctest.Wait()
		r.Close(errTest)
		synctest.Wait()
		assert.Len(t, last, 1)
		_, err := h.Do(t.Context(), nil, InRegion(r))
		assert.ErrorIs(t, err, ErrRegionClosed)
	}, WithWorkers(1, play(t, serving(untilCancelled, WithConcurrency(4)))))
}

func TestStopLetsCallsEndAndShutsWorkersDown(t *testing.T) {
	handler := func(context.Context, *Job) ([]byte, error) {
		time.Sleep(20 * time.Second)
		return []byte("done"), nil
	}
	withHost(t, func(t *testing.T, h *Host) {
		running, waiting := do(h, t.Context(), ""), (<-chan result)(nil)
		synctest.Wait()
		waiting = do(h, t.Context(), "")
		synctest.Wait()
		assert.Equal(t, 20*time.Second, took(func() { assert.NoError(t, h.Stop(t.Context())) }))
		assert.Equal(t, result{[]byte("done"), nil}, <-running)
		assert.Equal(t, result{nil, ErrStopped}, <-waiting)
		_, err := h.Do(t.Context(), nil)
		assert.Equal(t, ErrStopped, err)
		conn, _ := Pipe(0)
		assert.Equal(t, ErrStopped, h.Attach(conn))
		assert.Equal(t, ErrConnClosed, conn.Send(nil))
		assert.Zero(t, h.Stats().WorkersKilled)
	}, WithWorkers(1, play(t, serving(handler))), WithWindow(1))
}

func TestStopKillsWhenItsContextEnds(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		running := do(h, t.Context(), "")
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), 7*time.Second, errTest)
		defer cancel()
		assert.Equal(t, 7*time.Second, took(func() { assert.Equal(t, errTest, h.Stop(ctx)) }))
		assert.Equal(t, ErrStopped, (<-running).err)
		assert.Equal(t, uint64(1), h.Stats().WorkersKilled)
		assert.Equal(t, errTest, h.Stop(ctx))
	}, WithWorkers(1, play(t, serving(untilCancelled))))
}

func TestDialErrorsAreReportedAndTriedAgainWithBackoff(t *testing.T) {
	var at []time.Duration
	start := time.Time{}
	failing := func(context.Context) (Conn, error) {
		if start.IsZero() {
			start = time.Now()
		}
		at = append(at, time.Since(start))
		return nil, errTest
	}
	withHost(t, func(t *testing.T, h *Host) {
		_, err := h.Do(t.Context(), nil)
		assert.Equal(t, &NoWorkerError{Attempts: 3, Last: errTest}, err)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		assert.Equal(t, []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 12 * time.Second, 17 * time.Second}, at[:6])
	}, WithWorkers(1, failing), WithBackoff(time.Second, 5*time.Second), WithAttempts(3))
}

func TestStopEndsADialThatWaits(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait()
		assert.Zero(t, took(func() { assert.NoError(t, h.Stop(t.Context())) }))
	}, WithWorkers(1, func(ctx context.Context) (Conn, error) { <-ctx.Done(); return nil, ctx.Err() }))
}

func TestNewHostRefusesBadOptions(t *testing.T) {
	for name, opt := range map[string]Option{
		"workers": WithWorkers(0, play(t, nil)), "dial": WithWorkers(1, nil), "window": WithWindow(0), "tries": WithTries(0),
		"backlog": WithBacklog(-1), "attempts": WithAttempts(-1), "backoff": WithBackoff(2, 1), "logger": WithLogger(nil),
	} {
		_, err := NewHost(opt)
		assert.ErrorIs(t, err, ErrOptions, name)
	}
}
