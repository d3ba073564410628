package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/rpc"
)

// within is a context with a deadline that its own host does not notice.
type within struct {
	context.Context
	deadline time.Time
}

func (w within) Deadline() (time.Time, bool) { return w.deadline, true }

// untilItEnds is a method that returns when its context has ended, and a second later.
func untilItEnds(ctx context.Context, _ any) (any, error) {
	<-ctx.Done()
	time.Sleep(time.Second)
	return nil, errors.New("interrupted")
}

func TestAnEndByTheDeadlineIsDeadlineExceededWhicheverSideNoticesIt(t *testing.T) {
	own := errors.New("the cause that the deadline has")
	for name, with := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"both": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 10*time.Second)
		},
		"host": func(ctx context.Context) (context.Context, context.CancelFunc) { // a millisecond before the worker
			return context.WithTimeout(ctx, 10*time.Second-time.Microsecond)
		},
		"worker": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return within{ctx, time.Now().Add(10 * time.Second)}, func() {}
		},
		"cause": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, 10*time.Second-time.Microsecond, own)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				host := newHost(t, one(untilItEnds))
				ctx, cancel := with(t.Context())
				defer cancel()
				start := time.Now()
				_, err := rpc.Call[any](ctx, host, "f", nil)
				assert.IsType(t, &driver.CancelError{}, err)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, name == "cause", errors.Is(err, own))
				assert.Equal(t, 11*time.Second, time.Since(start).Round(time.Millisecond))
			})
		})
	}
}

func TestOtherCancelsAreNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost(t, one(untilItEnds))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := rpc.Call[any](ctx, host, "f", nil, driver.WithRunLimit(time.Second))
		assert.ErrorIs(t, err, driver.ErrRunLimit)
		assert.NotErrorIs(t, err, context.DeadlineExceeded)

		own, region := errors.New("the cause that the region has"), host.NewRegion()
		time.AfterFunc(9500*time.Millisecond-2*time.Second, func() { region.Cancel(own) }) // and the deadline passes while the method lets go
		_, err = rpc.Call[any](ctx, host, "f", nil, driver.InRegion(region))
		assert.Error(t, ctx.Err())
		assert.Equal(t, &driver.CancelError{Cause: own}, err)
	})
}

// left is a method that returns how much time its context has, and -1 if that has no end.
func left(ctx context.Context, _ any) (time.Duration, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return -1, nil
	}
	return time.Until(deadline), nil
}

func TestTheMethodKnowsTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost(t, one(left))
		require.NoError(t, host.WaitReady(t.Context(), 1))
		for given, want := range map[time.Duration]time.Duration{
			time.Minute:                        time.Minute,
			time.Nanosecond:                    time.Millisecond, // rounded up
			time.Millisecond:                   time.Millisecond,
			time.Millisecond + time.Nanosecond: 2 * time.Millisecond,
			-time.Second:                       0, // nobody has noticed yet
		} {
			got, err := rpc.Call[time.Duration](within{t.Context(), time.Now().Add(given)}, host, "f", nil)
			assert.NoError(t, err)
			assert.Equal(t, want, got, given)
		}
		got, err := rpc.Call[time.Duration](t.Context(), host, "f", nil)
		assert.NoError(t, err)
		assert.Equal(t, time.Duration(-1), got)
		for ms, least := range map[string]time.Duration{"0": 0, "86400000": 24 * time.Hour, "9223372036854775807": 100 * 365 * 24 * time.Hour} {
			result, err := host.Do(t.Context(), []byte(`{"timeout_ms":`+ms+",\"method\":\"f\"}\n"))
			assert.NoError(t, err)
			assert.NoError(t, json.Unmarshal(result, &got))
			assert.GreaterOrEqual(t, got, least)
		}
	})
}

// The time of a call that has waited is counted from when its method begins; the host's cancel comes on time.
func TestACallThatHasWaitedEndsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began []time.Duration
		host := newHost(t, one(func(ctx context.Context, _ any) (any, error) {
			d, _ := left(ctx, nil)
			began = append(began, d)
			<-ctx.Done()
			return nil, ctx.Err()
		}), driver.WithWindow(1))
		require.NoError(t, host.WaitReady(t.Context(), 1))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		first, free := context.WithCancel(t.Context())
		time.AfterFunc(4*time.Second, free)
		go func() { _, _ = rpc.Call[any](first, host, "f", nil) }()
		synctest.Wait()
		start := time.Now()
		_, err := rpc.Call[any](ctx, host, "f", nil)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.Equal(t, []time.Duration{-1, 10 * time.Second}, began)
	})
}

func TestAResultAfterTheDeadlineIsAResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := newHost(t, one(func(ctx context.Context, _ any) (string, error) {
			<-ctx.Done()
			return "as good as ready", nil
		}))
		result, err := rpc.Call[string](within{t.Context(), time.Now().Add(time.Second)}, host, "f", nil)
		assert.NoError(t, err)
		assert.Equal(t, "as good as ready", result)
	})
}
