package driver

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

func TestStopMayBeCalledAgainAndAtTheSameTime(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, second(h.Do(t.Context(), nil)))
		var stops sync.WaitGroup
		for range 10 {
			stops.Go(func() { assert.NoError(t, h.Stop(t.Context())) })
		}
		stops.Wait()
		assert.Zero(t, took(func() { assert.NoError(t, h.Stop(t.Context())) }))
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		assert.NoError(t, h.Stop(ended), "everything had ended before")
	}, WithWorkers(2, play(t, serving(echo))))
}

func second[T any](_ T, err error) error { return err }

func TestStopBeforeAnyWorkerHasStarted(t *testing.T) {
	for name, opts := range map[string][]Option{
		"no workers": nil,
		"starting":   {WithWorkers(3, play(t, serving(echo)))},
		"silent":     {WithWorkers(1, play(t, (*peer).hang)), WithLimits(testLimits)},
	} {
		t.Run(name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				assert.NoError(t, h.Stop(t.Context()))
				assert.Equal(t, ErrStopped, second(h.Do(t.Context(), nil)))
			}, opts...)
		})
	}
}

func TestStopMayBeGivenAShorterTime(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		running := do(h, t.Context(), "")
		synctest.Wait()
		patient := make(chan error, 1)
		go func() { patient <- h.Stop(context.Background()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		assert.Equal(t, 3*time.Second, took(func() { assert.ErrorIs(t, h.Stop(ctx), context.DeadlineExceeded) }))
		assert.ErrorIs(t, <-patient, context.DeadlineExceeded)
		assert.Equal(t, ErrStopped, (<-running).err)
	}, WithWorkers(1, play(t, serving(untilCancelled))))
}

func TestAttachAfterStopClosesTheConnection(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, h.Stop(t.Context()))
		conn, worker := Pipe(0)
		assert.Equal(t, ErrStopped, h.Attach(conn))
		assert.Error(t, second(worker.Recv()))
	})
}

func TestAttachRefusesNoConnection(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) { assert.ErrorIs(t, h.Attach(nil), ErrOptions) })
}

func TestDoWithAnEndedContextRunsNothing(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTest)
		assert.Equal(t, &CancelError{Cause: errTest}, second(h.Do(ctx, nil)))
		assert.Zero(t, h.Stats().Calls)
	}, WithWorkers(1, play(t, serving(echo))))
}

func TestACallAfterALongIdleTimeIsServedAtOnce(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		for range 3 {
			require.NoError(t, second(h.Do(t.Context(), nil)))
			time.Sleep(1000 * time.Hour) // in which no turn passes
			assert.Zero(t, took(func() { require.NoError(t, second(h.Do(t.Context(), nil))) }))
		}
		assert.Equal(t, uint64(1), h.Stats().WorkersStarted)
		for _, w := range workersOf(h) {
			w.mu.Lock()
			assert.Less(t, w.session.c.Turn(), uint64(20))
			w.mu.Unlock()
		}
	}, WithWorkers(1, play(t, serving(echo))))
}

func workersOf(h *Host) (workers []*worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.workers {
		workers = append(workers, w)
	}
	return workers
}

func TestACallAfterALongIdleTimeFindsOutThatTheWorkerHangs(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, second(h.Do(t.Context(), nil)))
		time.Sleep(1000 * time.Hour)
		d := took(func() { require.NoError(t, second(h.Do(t.Context(), nil))) })
		assert.Greater(t, d, 10*time.Second)
		assert.Less(t, d, 17*time.Second)
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		_ = p.half.Complete(p.begin(), wc.OutcomeOk{})
		p.flush()
		p.hang()
	}, serving(echo))))
}

func TestADialThatDoesNotReturnIsEndedWithTheBootLimit(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		d := took(func() {
			err := second(h.Do(t.Context(), nil))
			assert.ErrorIs(t, err, ErrNoWorker)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		})
		assert.Equal(t, 10*time.Second, d)
	}, WithLimits(testLimits), WithAttempts(1), WithWorkers(1, func(ctx context.Context) (Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
}

func TestAConnectionThatIsDialedTooLateIsClosed(t *testing.T) {
	host, worker := Pipe(0)
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_ = h.Stop(ended)
		time.Sleep(2 * time.Hour)
		assert.Error(t, second(worker.Recv()))
	}, WithWorkers(1, func(context.Context) (Conn, error) {
		time.Sleep(time.Hour) // whatever becomes of the context
		return host, nil
	}))
}

func TestAttachedWorkersThatDoNotStartDoNotEndCalls(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		answer := do(h, t.Context(), "in the end")
		for range 20 {
			conn, worker := Pipe(0)
			require.NoError(t, h.Attach(conn))
			require.NoError(t, worker.Close())
			synctest.Wait()
		}
		assert.Empty(t, answer)
		conn, worker := Pipe(0)
		require.NoError(t, h.Attach(conn))
		go serving(echo)(&peer{t, worker, wc.NewWorker("good", 1)})
		assert.Equal(t, result{[]byte("in the end"), nil}, <-answer)
	})
}

// A worker that has shut down keeps its connection for as long as it likes, within the limit.
func TestAWorkerThatHasShutDownIsReplacedAtOnceButOnlyOneAtATimeStays(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		start := time.Now()
		for i := range 5 {
			require.NoError(t, second(h.Do(t.Context(), nil)))
			synctest.Wait()
			assert.LessOrEqual(t, len(h.Stats().Workers), 2)
			switch i {
			case 1:
				assert.Zero(t, time.Since(start))
			case 4:
				assert.Less(t, time.Since(start), 25*time.Second)
			}
		}
		assert.Zero(t, h.Stats().WorkersKilled)
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		_ = p.half.Complete(p.begin(), wc.OutcomeOk{})
		_ = p.half.CompleteShutdown()
		p.flush()
		p.hang()
	})))
}

func TestProgressThatPanicsCancelsTheCall(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		assert.PanicsWithValue(t, "mine", func() {
			_, _ = h.Do(t.Context(), nil, WithProgress(func(string) { panic("mine") }))
		})
		synctest.Wait()
		s := h.Stats()
		assert.Equal(t, uint64(1), s.Cancelled)
		assert.Zero(t, s.Assigned)
	}, WithWorkers(1, play(t, serving(untilCancelled))))
}

func TestDoRefusesARegionOfAnotherHost(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		other, err := NewHost()
		require.NoError(t, err)
		assert.ErrorIs(t, second(h.Do(t.Context(), nil, InRegion(other.NewRegion()))), ErrOptions)
		assert.ErrorIs(t, second(h.Do(t.Context(), nil, nil, InRegion(other.NewRegion()))), ErrOptions)
		require.NoError(t, other.Stop(t.Context()))
	})
}

func TestRegionsEndWithAHostThatStops(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		r := h.NewRegion()
		answer := do(h, t.Context(), "", InRegion(r))
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_ = h.Stop(ended)
		r.Close(nil)
		assert.Equal(t, ErrStopped, (<-answer).err)
		assert.Zero(t, r.Cancel(errors.New("too late")))
	}, WithWorkers(1, play(t, serving(untilCancelled))))
}
