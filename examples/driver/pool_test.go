package driver

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// takes is a handler that takes as long as its payload says, and returns the payload.
func takes(ctx context.Context, job *Job) ([]byte, error) {
	d, err := time.ParseDuration(string(job.Payload))
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(d):
		return job.Payload, err
	}
}

// slowly has workers start after a time.
func slowly(d time.Duration, dial Dial) Dial {
	return func(ctx context.Context) (Conn, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(d):
			return dial(ctx)
		}
	}
}

// ready returns the numbers of the workers that are ready and take calls.
func ready(h *Host) (numbers []uint64) {
	for _, w := range h.Stats().Workers {
		if w.Ready && !w.Stopping {
			numbers = append(numbers, w.Number)
		}
	}
	return numbers
}

func doAll(t *testing.T, h *Host, payloads ...string) {
	var answers []<-chan result
	for _, p := range payloads {
		answers = append(answers, do(h, t.Context(), p))
	}
	for _, a := range answers {
		assert.NoError(t, (<-a).err)
	}
}

// asked checks that every worker that has ended has been asked to, and has left in order.
func asked(t *testing.T, h *Host) {
	s := h.Stats()
	for _, e := range s.Ended {
		assert.NoError(t, e.Err, e.Number)
		assert.True(t, e.Asked, e.Number)
	}
	assert.Zero(t, s.WorkersKilled+s.DialFailures+s.GivenUp+s.NoWorker+s.Retries)
}

func TestWorkersStartOnDemandAndLeaveWhenIdle(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait()
		assert.Equal(t, []uint64{1}, ready(h), "the least is kept")
		start := time.Now()
		doAll(t, h, "1s")
		assert.Equal(t, []uint64{1}, ready(h), "it could take the call")
		doAll(t, h, "1s", "1s", "1s")
		assert.Equal(t, []uint64{1, 2, 3}, ready(h), "one for each call")
		doAll(t, h, "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s")
		assert.Equal(t, []uint64{1, 2, 3, 4}, ready(h), "not more than those of WithWorkers")
		assert.Equal(t, 4*time.Second, time.Since(start).Truncate(time.Second))
		for range 30 { // one call at a time keeps one worker
			doAll(t, h, "1s")
		}
		assert.Len(t, ready(h), 1)
		time.Sleep(time.Hour)
		assert.Len(t, ready(h), 1)
		asked(t, h)
		assert.Equal(t, uint64(4), h.Stats().WorkersStarted)
	}, WithWorkers(4, locked(play(t, serving(takes, WithConcurrency(1))))), WithOnDemand(1, 10*time.Second), WithTries(3))
}

func TestTheLeastNumberOfWorkersIsReadyWhateverOthersCome(t *testing.T) {
	never := func(t *testing.T, h *Host) {
		for range 200 {
			time.Sleep(100 * time.Millisecond)
			assert.NotEmpty(t, ready(h))
		}
	}
	t.Run("one that does not get ready", func(t *testing.T) {
		withHost(t, func(t *testing.T, h *Host) {
			require.NoError(t, h.WaitReady(t.Context(), 1))
			doAll(t, h, "1s", "1s")
			never(t, h)
			assert.Equal(t, []uint64{1}, ready(h))
		}, WithOnDemand(1, time.Second), WithLimits(testLimits),
			WithWorkers(2, locked(play(t, serving(takes, WithConcurrency(1)), (*peer).hang))))
	})
	t.Run("the one that relieves it", func(t *testing.T) {
		withHost(t, func(t *testing.T, h *Host) {
			require.NoError(t, h.WaitReady(t.Context(), 1))
			never(t, h)
			assert.Equal(t, []uint64{2}, ready(h))
		}, WithOnDemand(1, time.Second), WithRecycle(0, 15*time.Second),
			WithWorkers(2, locked(play(t, serving(takes), slow(3*time.Second, serving(takes))))))
	})
}

func TestWorkersStartForCallsThatAreRefused(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		for n := range 2 {
			assert.Equal(t, ErrBusy, second(h.Do(t.Context(), []byte("1s"))))
			time.Sleep(time.Second)
			assert.Len(t, ready(h), n+1)
			do(h, t.Context(), "1m")
			synctest.Wait()
		}
		assert.Equal(t, ErrBusy, second(h.Do(t.Context(), []byte("1s"))))
		time.Sleep(10 * time.Minute)
		assert.Empty(t, ready(h))
		assert.Equal(t, uint64(2), h.Stats().WorkersStarted)
	}, WithOnDemand(0, time.Minute), WithBacklog(0), WithTries(1), WithWorkers(2, locked(play(t, serving(takes, WithConcurrency(1))))))
}

func TestWorkersOnDemandMayLeaveAtOnce(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		doAll(t, h, "1s", "1s")
		time.Sleep(time.Hour) // which would not end if a worker were looked at each nanosecond
		assert.Len(t, ready(h), 1)
	}, WithOnDemand(1, 1), WithWorkers(2, locked(play(t, serving(takes, WithConcurrency(1))))))
}

func TestAHostOnDemandMayHaveNoWorkersAtAll(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		time.Sleep(time.Minute)
		assert.Zero(t, h.Stats().WorkersStarted)
		assert.Equal(t, 2*time.Second, took(func() { doAll(t, h, "1s") }))
		idle := h.Stats().Workers[0].Idle
		assert.Equal(t, time.Now(), idle)
		time.Sleep(time.Minute)
		assert.Empty(t, h.Stats().Workers)
		assert.Equal(t, idle.Add(10*time.Second), h.Stats().Ended[0].At)
		assert.Equal(t, 2*time.Second, took(func() { doAll(t, h, "1s", "1s") }), "a worker that has left causes no backoff")
		time.Sleep(5 * time.Second)
		doAll(t, h, "1m")
		assert.Len(t, ready(h), 1, "one leaves, and not the one that has had a call")
		doAll(t, h, "1s")
		assert.Equal(t, uint64(3), h.Stats().WorkersStarted)
		asked(t, h)
	}, WithWorkers(2, slowly(time.Second, locked(play(t, serving(takes, WithConcurrency(1)))))), WithOnDemand(0, 10*time.Second))
}

func TestAWorkerThatCanRunSeveralCallsIsEnoughForThem(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait() // until it has said so
		doAll(t, h, "1s", "1s", "1s", "1s")
		assert.Equal(t, []uint64{1}, ready(h))
		doAll(t, h, "1s", "1s", "1s", "1s", "1s")
		assert.Equal(t, []uint64{1, 2}, ready(h))
		time.Sleep(3 * time.Hour)
		doAll(t, h, "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s")
		assert.Equal(t, uint64(4), h.Stats().WorkersStarted, "it knows what a worker can run")
	}, WithWorkers(9, locked(play(t, serving(takes, WithConcurrency(4))))), WithOnDemand(1, time.Hour))
}

func TestAWorkerOnDemandThatCrashesIsStartedAgainForItsCallOnly(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		doAll(t, h, "1s")
		assert.Equal(t, uint64(2), h.Stats().WorkersStarted)
		synctest.Wait()
		assert.Len(t, h.Stats().Workers, 1)
	}, WithWorkers(3, locked(play(t, func(p *peer) { p.begin() }, serving(takes, WithConcurrency(1))))), WithOnDemand(0, time.Hour))
}

func TestWorkersAreRecycledAfterTheirCallsWhenTheNextIsReady(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		least := math.MaxInt
		for i := range 40 {
			doAll(t, h, "1s")
			if i > 0 {
				least = min(least, len(ready(h)))
			}
		}
		assert.Equal(t, 1, least)
		assert.Equal(t, uint64(4), h.Stats().WorkersStarted, "each ends 10 calls, and some while the next one starts")
		asked(t, h)
	}, WithWorkers(1, slowly(2500*time.Millisecond, play(t, serving(takes, WithConcurrency(1))))), WithRecycle(10, 0))
}

func TestWorkersAreRecycledWhenTheyAreOld(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		time.Sleep(59 * time.Minute)
		assert.Equal(t, []uint64{1, 2, 3}, ready(h))
		time.Sleep(7*time.Minute + time.Second)
		assert.Equal(t, []uint64{4, 5, 6}, ready(h))
		at := map[time.Time]bool{}
		for _, e := range h.Stats().Ended {
			at[e.At] = true
		}
		assert.Len(t, at, 3, "not all at once")
		asked(t, h)
	}, WithWorkers(3, locked(play(t, serving(takes, WithConcurrency(1))))), WithRecycle(0, time.Hour))
}

func TestARecycledWorkerStaysWhileNoOtherCanBeStarted(t *testing.T) {
	var failing atomic.Bool
	dial := play(t, serving(takes, WithConcurrency(1)))
	withHost(t, func(t *testing.T, h *Host) {
		doAll(t, h, "1s", "1s")
		failing.Store(true)
		doAll(t, h, "1s")
		time.Sleep(time.Hour)
		assert.Equal(t, []uint64{1}, ready(h))
		doAll(t, h, "1s")
		failing.Store(false)
		time.Sleep(10 * time.Second)
		assert.Equal(t, []uint64{2}, ready(h))
	}, WithRecycle(3, 0), WithWorkers(1, func(ctx context.Context) (Conn, error) {
		if failing.Load() {
			return nil, errTest
		}
		return dial(ctx)
	}))
}

func TestDrainLosesNoCallAndReplacesAWorkerOfTheStaff(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, h.WaitReady(t.Context(), 2))
		long, longer := do(h, t.Context(), "1m"), do(h, t.Context(), "2m")
		synctest.Wait()
		waiting := do(h, t.Context(), "1s")
		synctest.Wait()
		assert.Zero(t, took(func() {
			require.NoError(t, h.Drain(1))
			require.NoError(t, h.Drain(1))
		}))
		assert.Equal(t, time.Second, took(func() { assert.NoError(t, (<-waiting).err) }), "another one is there at once")
		assert.Equal(t, []uint64{2, 3}, ready(h))
		assert.NoError(t, (<-long).err)
		assert.NoError(t, (<-longer).err)
		synctest.Wait()
		assert.ErrorIs(t, h.Drain(1), ErrOptions)
		assert.ErrorIs(t, h.Drain(77), ErrOptions)
		asked(t, h)
		assert.Len(t, h.Stats().Ended, 1)
	}, WithWorkers(2, locked(play(t, serving(takes, WithConcurrency(1))))))
}

func TestDrainDoesNotReplaceAWorkerThatCameByItself(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		conn, _ := play(t, serving(takes, WithConcurrency(1)))(t.Context())
		require.NoError(t, h.Attach(conn))
		doAll(t, h, "1s")
		require.NoError(t, h.Drain(1))
		time.Sleep(time.Minute)
		assert.Empty(t, h.Stats().Workers)
		asked(t, h)
	})
}

func TestDrainEndsAWorkerThatIsNotReady(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait()
		require.NoError(t, h.Drain(1))
		time.Sleep(time.Minute)
		doAll(t, h, "1s")
		assert.Equal(t, []uint64{2}, ready(h))
	}, WithWorkers(1, play(t, (*peer).hang, serving(takes, WithConcurrency(1)))), WithLimits(testLimits))
}

func TestReplaceUnderLoadLosesNoCallAndHasNeverFewerReady(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, h.WaitReady(t.Context(), 3))
		ctx, stop := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for range 5 {
			load.Go(func() {
				for ctx.Err() == nil {
					doAll(t, h, "70ms")
				}
			})
		}
		least, watch := math.MaxInt, time.NewTicker(time.Millisecond)
		load.Go(func() {
			for ctx.Err() == nil {
				<-watch.C
				least = min(least, len(ready(h)))
			}
		})
		replaced := make(chan error, 2)
		for range 2 { // the second joins the first
			go func() { replaced <- h.Replace(ctx) }()
		}
		assert.NoError(t, <-replaced)
		assert.NoError(t, <-replaced)
		assert.Equal(t, []uint64{4, 5, 6}, ready(h))
		var numbers []uint64
		for _, e := range h.Stats().Ended {
			numbers = append(numbers, e.Number)
		}
		assert.Equal(t, []uint64{1, 2, 3}, numbers, "the oldest first")
		stop()
		load.Wait()
		assert.Equal(t, 3, least)
		asked(t, h)
	}, WithWorkers(3, slowly(time.Second, locked(play(t, serving(takes, WithConcurrency(1)))))))
}

func TestReplaceDuringAReplaceReplacesWhatHasBeenStartedSince(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, h.WaitReady(t.Context(), 2))
		first := make(chan error)
		go func() { first <- h.Replace(t.Context()) }()
		time.Sleep(1500 * time.Millisecond)
		require.Equal(t, []uint64{2, 3}, ready(h))
		assert.NoError(t, h.Replace(t.Context()))
		assert.NoError(t, <-first)
		for _, n := range ready(h) {
			assert.Greater(t, n, uint64(3))
		}
		asked(t, h)
	}, WithWorkers(2, slowly(time.Second, locked(play(t, serving(takes, WithConcurrency(1)))))))
}

func TestAWorkerThatIsBeingStartedWhenReplaceIsCalledGetsNoCall(t *testing.T) {
	var version atomic.Int32
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait() // Dial has been called
		version.Store(1)
		assert.NoError(t, h.Replace(t.Context()))
		for range 4 {
			result, err := h.Do(t.Context(), nil)
			assert.NoError(t, err)
			assert.Equal(t, "1", string(result))
		}
		assert.NoError(t, h.WaitReady(t.Context(), 2))
		assert.Equal(t, uint64(2), h.Stats().WorkersStarted)
		asked(t, h)
	}, WithWorkers(2, func(ctx context.Context) (Conn, error) {
		installed := version.Load()
		return slowly(time.Second, play(t, serving(func(context.Context, *Job) ([]byte, error) {
			return fmt.Append(nil, installed), nil
		})))(ctx)
	}))
}

func TestReplaceWaitsForWorkersThatLeaveAlready(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, h.WaitReady(t.Context(), 1))
		long := do(h, t.Context(), "1m")
		synctest.Wait()
		require.NoError(t, h.Drain(1))
		assert.Equal(t, time.Minute, took(func() { assert.NoError(t, h.Replace(t.Context())) }))
		assert.NoError(t, (<-long).err)
	}, WithWorkers(1, play(t, serving(takes, WithConcurrency(1)))))
}

// leaving is a worker that leaves by itself after a time, in order, and finishes what it runs.
func leaving(d time.Duration) func(*peer) {
	return func(p *peer) {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		_ = Serve(ctx, p.conn, p.half.ID(), takes, WithConcurrency(1), WithDrain())
	}
}

func TestAWorkerThatLeavesIsReplacedAtOnce(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, h.WaitReady(t.Context(), 1))
		doAll(t, h, "1s")
		long := do(h, t.Context(), "1m")
		time.Sleep(10 * time.Second)
		assert.Equal(t, time.Second, took(func() { doAll(t, h, "1s") }), "not when it has gone")
		assert.Equal(t, []uint64{2}, ready(h))
		assert.NoError(t, (<-long).err)
		synctest.Wait()
		assert.Len(t, h.Stats().Workers, 1)
		assert.Equal(t, uint64(2), h.Stats().WorkersStarted)
	}, WithWorkers(1, play(t, leaving(5*time.Second), serving(takes))))
}

func TestNoWorkerErrorHasTheEndOfTheLastWorker(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		for _, first := range []Dial{play(t, (*peer).announce), play(t, leaving(time.Second))} { // one dies, the other leaves in order
			conn, _ := first(t.Context())
			require.NoError(t, h.Attach(conn))
			time.Sleep(10 * time.Second)
		}
		none := new(NoWorkerError)
		require.ErrorAs(t, second(h.Do(t.Context(), nil)), &none)
		assert.Equal(t, errLeft, none.Last)
	}, WithNoWorkerAfter(3*time.Second))
}

func TestAWorkerThatLeavesIsNotReady(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		conn, _ := play(t, leaving(5*time.Second))(t.Context())
		require.NoError(t, h.Attach(conn))
		require.NoError(t, h.WaitReady(t.Context(), 1))
		long := do(h, t.Context(), "1m")
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, h.WaitReady(ctx, 1), context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, took(func() { assert.ErrorIs(t, second(h.Do(t.Context(), nil)), ErrNoWorker) }))
		assert.NoError(t, (<-long).err)
	}, WithNoWorkerAfter(3*time.Second))
}

// A worker may say 0 and then another number, again and again.
func TestAWorkerThatHasSaidThatItLeavesIsNotKept(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		doAll(t, h, "")
		time.Sleep(time.Minute)
		assert.LessOrEqual(t, h.Stats().WorkersStarted, uint64(3))
		assert.Len(t, ready(h), 1)
	}, WithWorkers(1, play(t, func(p *peer) {
		job := p.begin()
		_ = p.half.Complete(job, wc.OutcomeOk{})
		for i := range 10 {
			_ = p.half.Diagnose(wc.Diagnostic{Category: "workerchannel.capacity", Message: fmt.Sprint(i % 2 * 4)})
			p.flush()
		}
		for {
			if _, ok := p.receive().(wc.ShutdownWorker); ok {
				_ = p.half.CompleteShutdown()
				p.flush()
			}
		}
	}, serving(takes))))
}

func TestRecyclingHasABoundedNumberOfWorkers(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		var answers []<-chan result
		most := 0
		for range 20 { // none ends before the last has begun
			answers = append(answers, do(h, t.Context(), "1m"))
			time.Sleep(time.Second)
			most = max(most, len(h.Stats().Workers))
		}
		assert.LessOrEqual(t, most, 3*2)
		for _, a := range answers {
			assert.NoError(t, (<-a).err)
		}
		time.Sleep(time.Minute)
		asked(t, h)
		assert.Greater(t, h.Stats().WorkersStarted, uint64(6), "it goes on when some have left")
	}, WithWorkers(2, locked(play(t, serving(takes, WithConcurrency(1))))), WithRecycle(0, 2*time.Second))
}

func TestReplaceReportsThatNoWorkerCanBeStarted(t *testing.T) {
	var failing atomic.Bool
	dial := locked(play(t, serving(takes, WithConcurrency(1))))
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, h.WaitReady(t.Context(), 2))
		failing.Store(true)
		err := h.Replace(t.Context())
		assert.Equal(t, &NoWorkerError{Attempts: 3, Last: errTest}, err)
		assert.Equal(t, []uint64{1, 2}, ready(h), "the rest stays")
		time.Sleep(time.Hour)
		assert.Equal(t, uint64(3), h.Stats().DialFailures, "it is not tried again")
		assert.Zero(t, h.Stats().Starting)
		failing.Store(false)
		assert.NoError(t, h.Replace(t.Context()))
		assert.Equal(t, []uint64{3, 4}, ready(h))
		doAll(t, h, "1s")
	}, WithAttempts(3), WithWorkers(2, func(ctx context.Context) (Conn, error) {
		if failing.Load() {
			return nil, errTest
		}
		return dial(ctx)
	}))
}

func TestReplaceCountsItsOwnAttempts(t *testing.T) {
	var failing atomic.Bool
	dial := locked(play(t, serving(takes, WithConcurrency(1))))
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, h.WaitReady(t.Context(), 2))
		failing.Store(true)
		time.Sleep(10 * time.Minute) // the workers are old
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		load.Go(func() {
			for ctx.Err() == nil {
				doAll(t, h, "10ms")
			}
		})
		failures := h.Stats().DialFailures
		assert.Equal(t, &NoWorkerError{Attempts: 3, Last: errTest}, h.Replace(t.Context()))
		assert.Less(t, failures+2, h.Stats().DialFailures)
		cancel()
		load.Wait()
		failing.Store(false)
		time.Sleep(10 * time.Minute)
		assert.NotContains(t, ready(h), uint64(1), "it is still too old")
	}, WithAttempts(3), WithRecycle(0, 5*time.Minute), WithWorkers(2, func(ctx context.Context) (Conn, error) {
		if failing.Load() {
			return nil, errTest
		}
		return dial(ctx)
	}))
}

func TestReplaceGoesOnThoughWorkersEndOrAreDrainedMeanwhile(t *testing.T) {
	dies := func(p *peer) {
		p.announce()
		p.sleep(1500 * time.Millisecond)
	}
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, h.WaitReady(t.Context(), 2))
		go func() {
			time.Sleep(500 * time.Millisecond) // the first worker is being relieved
			for _, w := range h.Stats().Workers {
				if !w.Ready {
					assert.NoError(t, h.Drain(w.Number))
				}
			}
		}()
		assert.NoError(t, h.Replace(t.Context()))
		time.Sleep(time.Minute)
		assert.Len(t, ready(h), 2)
		for _, n := range ready(h) {
			assert.Greater(t, n, uint64(2))
		}
		assert.Zero(t, h.Stats().Starting)
	}, WithWorkers(2, locked(play(t, dies, dies, slow(time.Second, serving(takes)), serving(takes)))))
}

// slow is a worker that begins after a time.
func slow(d time.Duration, f func(*peer)) func(*peer) {
	return func(p *peer) {
		p.sleep(d)
		f(p)
	}
}

// ends is a worker that is ended a second after its start.
func ends(p *peer) {
	p.announce()
	p.sleep(time.Second)
	p.send([]byte("garbage"))
	p.hang()
}

func TestAWorkerThatIsEndingIsNeitherDrainedNorReplaced(t *testing.T) {
	for name, ask := range map[string]func(*Host) error{
		"drained":  func(h *Host) error { return h.Drain(1) },
		"replaced": func(h *Host) error { return h.Replace(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				time.Sleep(2 * time.Second)
				assert.Len(t, h.Stats().Workers, 2, "the connection of the first still closes, and the second has its place")
				assert.NoError(t, ask(h))
				time.Sleep(time.Hour)
				assert.Len(t, ready(h), 1)
			}, WithLimits(testLimits), WithWorkers(1, closingSlowly(play(t, ends, serving(takes)))))
		})
	}
}

func TestAWorkerThatIsEndingIsNotRecycled(t *testing.T) {
	s := newScheduler(rules{least: 1, most: 1, recycle: 1})
	s.hire()
	p := s.takeEffects().hired[0]
	w := s.join(p)
	s.workerReady(w)
	c := submitted(t, s)
	s.takeOrders(w)
	s.callGiven(w, c)
	s.workerEnding(w)
	require.True(t, s.goOn(p))
	s.callEnded(w, c, 0, wc.CauseOutcome, wc.OutcomeOk{}) // it was under way
	assert.Empty(t, s.takeEffects().hired)
	assert.Equal(t, 1, s.staff.posts)
}

func TestNoWorkerIsStartedWhenTheHostStops(t *testing.T) {
	var started atomic.Int32
	dial := play(t, serving(takes))
	withHost(t, func(t *testing.T, h *Host) {
		long := do(h, t.Context(), "30s")
		synctest.Wait()
		stopped := make(chan error, 1)
		go func() { stopped <- h.Stop(context.Background()) }()
		time.Sleep(20 * time.Second) // the worker is old
		assert.NoError(t, (<-long).err)
		assert.NoError(t, <-stopped)
		assert.Equal(t, int32(1), started.Load())
	}, WithRecycle(0, 10*time.Second), WithWorkers(1, func(ctx context.Context) (Conn, error) {
		started.Add(1)
		return dial(ctx)
	}))
}

func TestReplaceThatIsNotWaitedForEndsWhatHasBegun(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, h.WaitReady(t.Context(), 2))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errTest)
		defer cancel()
		assert.Equal(t, errTest, h.Replace(ctx))
		time.Sleep(time.Minute)
		assert.Equal(t, []uint64{2, 3}, ready(h))
		assert.NoError(t, h.Replace(t.Context()))
		assert.Equal(t, []uint64{4, 5}, ready(h))
		go func() {
			time.Sleep(500 * time.Millisecond)
			_ = h.Stop(t.Context())
		}()
		assert.Equal(t, ErrStopped, h.Replace(t.Context()))
		assert.Equal(t, ErrStopped, h.Replace(t.Context()))
	}, WithWorkers(2, slowly(time.Second, locked(play(t, serving(takes, WithConcurrency(1)))))))
}

func TestReplaceLeavesWorkersThatCameByThemselves(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		conn, _ := play(t, serving(takes, WithConcurrency(1)))(t.Context())
		require.NoError(t, h.Attach(conn))
		require.NoError(t, h.WaitReady(t.Context(), 1))
		assert.NoError(t, h.Replace(t.Context()))
		assert.Equal(t, []uint64{1}, ready(h))
	})
}

func TestWaitReadyStartsWorkersAndReturnsWhenTheyAreReady(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		assert.Zero(t, took(func() { assert.NoError(t, h.WaitReady(t.Context(), 0)) }))
		assert.ErrorIs(t, h.WaitReady(t.Context(), -1), ErrOptions)
		assert.Equal(t, time.Second, took(func() { assert.NoError(t, h.WaitReady(t.Context(), 3)) }))
		assert.Len(t, ready(h), 3)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errTest)
		defer cancel()
		assert.Equal(t, errTest, h.WaitReady(ctx, 5), "there are only 4")
		assert.Len(t, ready(h), 4)
		assert.Equal(t, uint64(4), h.Stats().WorkersStarted, "none leaves while somebody waits for more")
		time.Sleep(time.Minute)
		assert.Len(t, ready(h), 1)
		stopped := make(chan error)
		go func() { stopped <- h.WaitReady(t.Context(), 9) }()
		synctest.Wait()
		go h.Stop(t.Context())
		assert.Equal(t, ErrStopped, <-stopped)
		assert.Equal(t, ErrStopped, h.WaitReady(t.Context(), 1))
	}, WithWorkers(4, slowly(time.Second, locked(play(t, serving(takes, WithConcurrency(1)))))), WithOnDemand(1, 25*time.Second))
}

func TestWaitReadyReportsThatNoWorkerCanBeStarted(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		assert.Equal(t, &NoWorkerError{Attempts: 5, Last: errTest}, h.WaitReady(t.Context(), 1))
	}, WithWorkers(1, func(context.Context) (Conn, error) { return nil, errTest }))
}

func TestCallsAreAnsweredWhenNoWorkerHasBeenReadyForLong(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		want := &NoWorkerError{Waited: 5 * time.Second}
		assert.Equal(t, 5*time.Second, took(func() { assert.Equal(t, want, second(h.Do(t.Context(), nil))) }), "from its beginning")
		assert.EqualError(t, want, "driver: no worker was ready for 5s")

		host, worker := Pipe(0)
		require.NoError(t, h.Attach(host))
		half := wc.NewWorker("w", 1)
		p := &peer{t, worker, half}
		lost := do(h, t.Context(), "")
		start := time.Now()
		go func() {
			defer worker.Close()
			p.begin()
			time.Sleep(10 * time.Second)
		}()
		time.Sleep(time.Second)
		behind := do(h, t.Context(), "")
		time.Sleep(11 * time.Second)
		late := do(h, t.Context(), "")
		for _, c := range []<-chan result{lost, behind} {
			assert.ErrorIs(t, (<-c).err, ErrNoWorker)
			assert.Equal(t, 15*time.Second, time.Since(start), "from when the last worker went")
		}
		assert.ErrorIs(t, (<-late).err, ErrNoWorker)
		assert.Equal(t, 17*time.Second, time.Since(start))

		// Its time begins again when the worker goes that has had it.
		host, worker = Pipe(0)
		p = &peer{t, worker, wc.NewWorker("w-2", 1)}
		again := do(h, t.Context(), "")
		start = time.Now()
		time.Sleep(2 * time.Second)
		require.NoError(t, h.Attach(host))
		go func() {
			defer worker.Close()
			p.begin()
			time.Sleep(time.Second)
		}()
		assert.ErrorIs(t, (<-again).err, ErrNoWorker)
		assert.Equal(t, 8*time.Second, time.Since(start))

		saved := do(h, t.Context(), "1m")
		time.Sleep(4 * time.Second)
		conn, _ := play(t, serving(takes, WithConcurrency(1)))(t.Context())
		require.NoError(t, h.Attach(conn))
		assert.NoError(t, (<-saved).err)
	}, WithNoWorkerAfter(5*time.Second), WithLimits(Limits{Silence: time.Hour}))
}

func TestTheFirstCallHasTheNumberThatIsAskedFor(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		assert.Equal(t, "1000000007", string(first(h.Do(t.Context(), nil))))
		assert.Equal(t, "1000000008", string(first(h.Do(t.Context(), nil))))
	}, WithFirstCall(1_000_000_007), WithWorkers(1, play(t, serving(func(_ context.Context, job *Job) ([]byte, error) {
		return fmt.Append(nil, job.ID), nil
	}))))
}

func first[T any](v T, _ error) T { return v }

func TestStatsTellWhyTheLastWorkersEnded(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		assert.Equal(t, 1, h.Stats().Starting)
		time.Sleep(time.Hour)
		ended := h.Stats().Ended
		assert.Len(t, ended, 8)
		for i, e := range ended {
			assert.ErrorIs(t, e.Err, wc.ErrMalformed)
			assert.False(t, e.Asked)
			if i > 0 {
				assert.Equal(t, ended[i-1].Number+1, e.Number)
			}
		}
	}, WithWorkers(1, play(t, func(p *peer) { p.send([]byte("garbage")); p.hang() })))
}

func TestARefusedMessageIsShownWithTheReason(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait()
		ended := h.Stats().Ended
		require.Len(t, ended, 1)
		assert.EqualError(t, ended[0].Err, "driver: worker broke the protocol: coordinator → ShutdownWorker: \"the host stops\" is refused: operation sent in the wrong direction: ShutdownWorker")
		assert.ErrorIs(t, ended[0].Err, wc.ErrUnexpectedDirection)
	}, WithWorkers(1, play(t, func(p *peer) {
		text, _ := wc.NewEnvelope(wc.Header{SeqNo: 1}, wc.ShutdownWorker{Reason: "the host stops"}).AppendJSON(nil)
		p.send(text)
		p.hang()
	})))
}

func TestAWorkerThatIsStartedWhenReplaceGivesUpLeaves(t *testing.T) {
	s := newScheduler(rules{least: 1, most: 1, attempts: 1})
	s.hire()
	old := s.join(s.takeEffects().hired[0])
	s.workerReady(old)
	var told error
	s.retire(old, func(err error) { told = err })
	p := s.takeEffects().hired[0]
	first := s.join(p)
	s.workerEnding(first)
	require.True(t, s.goOn(p))
	next := s.join(p) // before the connection of the first has ended
	s.workerLeft(first, endedByItself, errDied)
	assert.ErrorIs(t, told, ErrNoWorker)
	assert.True(t, next.dismissed)
	assert.Equal(t, 1, s.staff.posts)
}
