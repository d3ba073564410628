package benchrpc

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// connect returns a caller whose worker does what do says. Both end with the test.
func connect(t testing.TB, c contender, do work) caller {
	host, worker, err := newPipe()
	if err != nil {
		t.Fatal(err)
	}
	caller, err := c.connect(host, worker, do)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caller.Close(); err != nil {
			t.Error(err)
		}
	})
	return caller
}

// echo is the work of the benchmarks.
func echo(payload []byte) ([]byte, error) { return payload, nil }

// flip is a work whose result shows that it was done.
func flip(payload []byte) []byte {
	flipped := make([]byte, len(payload))
	for i, b := range payload {
		flipped[i] = ^b
	}
	return flipped
}

var sizes = []int{64, 1024, 262144}

// payloadOf returns uniformly random bytes, the same for the same seed.
func payloadOf(size int, seed uint64) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	p := make([]byte, size)
	_, _ = r.Read(p)
	return p
}

// Every contender takes each payload to the worker and the worker's result back, whole and to its own caller. There are
// more bytes under way than the pipes hold, so a deadlock shows.
func TestEveryContenderDoesTheSameWork(t *testing.T) {
	for _, c := range contenders {
		for _, load := range []struct{ size, callers, calls int }{
			{0, 1, 2}, {1, 1, 2}, {64, 1, 10}, {64, inFlight + 8, 10}, {1024, inFlight + 8, 10}, {262144, 1, 2}, {262144, 8, 2},
		} {
			t.Run(c.name+"/"+strconv.Itoa(load.size)+"/"+strconv.Itoa(load.callers), func(t *testing.T) {
				var calls, received atomic.Int64
				caller := connect(t, c, func(payload []byte) ([]byte, error) {
					calls.Add(1)
					received.Add(int64(len(payload)))
					return flip(payload), nil
				})
				var all sync.WaitGroup
				for i := range load.callers {
					all.Go(func() {
						for n := range load.calls {
							payload := payloadOf(load.size, uint64(i*load.calls+n))
							got, err := caller.Call(t.Context(), payload)
							if err != nil || !bytes.Equal(got, flip(payload)) {
								t.Errorf("call %d of caller %d: %d bytes came back, error %v", n, i, len(got), err)
								return
							}
						}
					})
				}
				all.Wait()
				want := int64(load.callers * load.calls)
				if calls.Load() != want || received.Load() != want*int64(load.size) {
					t.Errorf("the worker had %d calls and %d bytes, not %d and %d", calls.Load(), received.Load(), want, want*int64(load.size))
				}
			})
		}
	}
}

func TestErrorOfTheWorkReachesTheCaller(t *testing.T) {
	for _, c := range contenders {
		t.Run(c.name, func(t *testing.T) {
			caller := connect(t, c, func([]byte) ([]byte, error) { return nil, errors.New("out of paper") })
			if got, err := caller.Call(t.Context(), []byte("x")); err == nil || !strings.Contains(err.Error(), "out of paper") {
				t.Errorf("%q came back, error %v", got, err)
			}
		})
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	for _, c := range contenders {
		t.Run(c.name, func(t *testing.T) {
			caller := connect(t, c, echo)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for range 3 * inFlight { // more than may be in flight, if they stayed there
				_, _ = caller.Call(ctx, []byte("never mind")) // the result may come first
			}
			if got, err := caller.Call(t.Context(), []byte("still there?")); string(got) != "still there?" {
				t.Errorf("%q came back, error %v", got, err)
			}
		})
	}
}
