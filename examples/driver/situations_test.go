package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Situations that every operator meets, in virtual time. situations_process_test.go has those that need no clock.

// sleeper is a handler that takes the time that the payload says, unless its context ends.
func sleeper(ctx context.Context, job *Job) ([]byte, error) {
	d, err := time.ParseDuration(strings.Fields(string(job.Payload))[0])
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(d):
		return job.Payload, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// oneHandler starts workers with one handler each, and each time that much later than it is asked to.
func oneHandler(t *testing.T, handler Handler, after ...time.Duration) Dial {
	var n atomic.Int32
	dial := locked(play(t, serving(handler, WithConcurrency(1))))
	return func(ctx context.Context) (Conn, error) {
		if i := int(n.Add(1)) - 1; i < len(after) {
			time.Sleep(after[i])
		}
		return dial(ctx)
	}
}

// each makes calls at once and returns how long each took.
func each(h *Host, ctx context.Context, payloads ...string) []time.Duration {
	times := make([]time.Duration, len(payloads))
	done := make(chan int)
	start := time.Now()
	for i, p := range payloads {
		go func() {
			_, err := h.Do(ctx, []byte(p))
			if times[i] = time.Since(start); err != nil {
				times[i] = -1
			}
			done <- i
		}()
		synctest.Wait() // so that they come in order
	}
	for range payloads {
		<-done
	}
	return times
}

func repeated(n int, payload string) (all []string) {
	for range n {
		all = append(all, payload)
	}
	return all
}

func TestCallsAtTheStartOfTheProgramUseEveryWorker(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		assert.Equal(t, 2*time.Second, took(func() { each(h, t.Context(), repeated(8, "1s")...) }))
	}, WithWorkers(4, oneHandler(t, sleeper)))
}

func TestWorkersThatGetReadyLateTakeLoadAtOnce(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		// One worker has done two by then and begins the third; the others have three each to do with it.
		times := each(h, t.Context(), repeated(10, "1s")...)
		assert.Equal(t, 4*time.Second, times[9], "%v", times)
		for _, w := range h.Stats().Workers {
			assert.Zero(t, w.Calls)
		}
	}, WithWorkers(4, oneHandler(t, sleeper, 0, 2*time.Second, 2*time.Second, 2*time.Second)))
}

func TestShortCallsDoNotWaitForALongOne(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait()
		times := each(h, t.Context(), append([]string{"6s"}, repeated(15, "20ms")...)...)
		for _, d := range times[1:] {
			assert.LessOrEqual(t, d, 15*20*time.Millisecond, "%v", times)
		}
	}, WithWorkers(2, oneHandler(t, sleeper)))
}

func TestShortCallsDoNotWaitForOneThatNeverReturns(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		hangs := do(h, ctx, "1000h")
		synctest.Wait()
		for _, d := range each(h, t.Context(), repeated(30, "1ms")...) {
			assert.LessOrEqual(t, d, 30*time.Millisecond)
			assert.Positive(t, d)
		}
		assert.ErrorIs(t, (<-hangs).err, context.DeadlineExceeded)
	}, WithWorkers(2, oneHandler(t, sleeper)))
}

func TestARegionWithManyCallsDoesNotHoldUpAnother(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		many := h.NewRegion()
		for range 4000 {
			_ = do(h, t.Context(), "1ms", InRegion(many))
		}
		synctest.Wait()
		assert.LessOrEqual(t, took(func() { require.NoError(t, second(h.Do(t.Context(), []byte("1ms")))) }), 10*time.Millisecond)
	}, WithWorkers(1, oneHandler(t, sleeper)))
}

func TestWhoIsBesideACallThatIgnoresItsContextIsNotCharged(t *testing.T) {
	handler := func(ctx context.Context, job *Job) ([]byte, error) {
		if strings.HasPrefix(string(job.Payload), "ignores") {
			select {
			case <-job.server.conn.(*pipeEnd).peer.closed:
			case <-time.After(1000 * time.Hour):
			}
			return nil, nil
		}
		return sleeper(ctx, job)
	}
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ignores, one, two := do(h, ctx, "ignores"), do(h, t.Context(), "20s"), do(h, t.Context(), "20s")
		assert.Less(t, took(func() {
			assert.ErrorIs(t, (<-ignores).err, context.DeadlineExceeded)
			assert.NoError(t, (<-one).err)
			assert.NoError(t, (<-two).err)
		}), 40*time.Second, "they run again at the same time, and not alone")
		s := h.Stats()
		assert.Equal(t, []uint64{1, 2, 0}, []uint64{s.WorkersKilled, s.Retries, s.GivenUp})
	}, WithTries(2), WithLimits(testLimits), WithWorkers(1, play(t, serving(handler, WithConcurrency(4)))))
}

func TestGoodCallsDoNotWaitLongerAndLongerForABadOne(t *testing.T) {
	handler := func(ctx context.Context, job *Job) ([]byte, error) {
		_, _ = sleeper(ctx, job)
		if strings.HasSuffix(string(job.Payload), "exits") {
			_ = job.server.conn.Close()
		}
		return nil, nil
	}
	withHost(t, func(t *testing.T, h *Host) {
		const ms = time.Millisecond
		alone, together := 4*300*ms, 3*300*ms // those beside the bad one, and the other 11 with 4 handlers
		times := each(h, t.Context(), append([]string{"50ms exits"}, repeated(15, "300ms")...)...)
		assert.Equal(t, time.Duration(-1), times[0])
		assert.Equal(t, 4*(50*ms+100*ms)+alone+together, slices.Max(times))
	}, WithWorkers(1, play(t, serving(handler, WithConcurrency(4)))))
}

func TestNoGoodCallIsGivenUpForTheSakeOfBadOnes(t *testing.T) {
	for _, handlers := range []int{1, 4} {
		for _, workers := range []int{1, 2, 4} {
			t.Run(fmt.Sprint(workers, " workers with ", handlers), func(t *testing.T) {
				handler := func(ctx context.Context, job *Job) ([]byte, error) {
					if strings.HasSuffix(string(job.Payload), "exits") {
						_, _ = sleeper(ctx, job)
						_ = job.server.conn.Close()
						return nil, nil
					}
					return sleeper(ctx, job)
				}
				withHost(t, func(t *testing.T, h *Host) {
					var good, bad []<-chan result
					for i := range 200 {
						if i%20 == 7 {
							bad = append(bad, do(h, t.Context(), fmt.Sprint(i%3*20, "ms exits")))
						} else {
							good = append(good, do(h, t.Context(), fmt.Sprint(i%4, "ms")))
						}
					}
					for _, c := range good {
						require.NoError(t, (<-c).err)
					}
					for _, c := range bad {
						var e *GivenUpError
						require.ErrorAs(t, (<-c).err, &e)
						assert.Equal(t, 3, e.Workers)
					}
				}, WithBackoff(time.Millisecond, time.Second), WithWorkers(workers, locked(play(t, serving(handler, WithConcurrency(handlers))))))
			})
		}
	}
}
