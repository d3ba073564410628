package benchrpc

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

type caller interface {
	Call(ctx context.Context, payload []byte) ([]byte, error)
	Close() error
}

// overPipes joins a caller and a worker by pipes. Both have ended when the test has.
func overPipes[C caller](t testing.TB, call func(pipe) C, serve func(pipe) error) caller {
	h, w, err := newPipe()
	if err != nil {
		t.Fatal(err)
	}
	var worker sync.WaitGroup
	worker.Go(func() { serve(w) })
	c := call(h)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		worker.Wait()
	})
	return c
}

func workerchannelOverPipes(t testing.TB) caller { return overPipes(t, newHost, serveEcho) }
func jsonrpc2OverPipes(t testing.TB) caller      { return overPipes(t, newClient, serveEchoJSONRPC2) }

var sizes = []int{64, 1024, 262144}

// payloadOf returns uniformly random bytes, the same for the same seed.
func payloadOf(size int, seed uint64) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	p := make([]byte, size)
	r.Read(p)
	return p
}

func BenchmarkWorkerchannel(b *testing.B) { benchmark(b, workerchannelOverPipes) }
func BenchmarkJSONRPC2(b *testing.B)      { benchmark(b, jsonrpc2OverPipes) }

func benchmark(b *testing.B, connect func(testing.TB) caller) {
	for _, size := range sizes {
		payload := payloadOf(size, 1)
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.Run("serial", func(b *testing.B) { run(b, connect(b), payload, 1) })
			b.Run("inflight64", func(b *testing.B) { run(b, connect(b), payload, 64) })
		})
	}
}

// run makes b.N calls, so many at a time.
func run(b *testing.B, c caller, payload []byte, inflight int) {
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var callers sync.WaitGroup
	for range inflight {
		callers.Go(func() {
			for left.Add(-1) >= 0 {
				got, err := c.Call(b.Context(), payload)
				if err != nil || !bytes.Equal(got, payload) {
					b.Errorf("call: %d bytes and error %v", len(got), err)
					return
				}
			}
		})
	}
	callers.Wait()
	b.StopTimer()
}
