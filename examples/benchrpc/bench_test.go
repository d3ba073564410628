//go:build unix

package benchrpc

import (
	"bytes"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

func BenchmarkWorkerchannel(b *testing.B) { benchmark(b, workerchannelOverPipes) }
func BenchmarkJSONRPC2(b *testing.B)      { benchmark(b, jsonrpc2OverPipes) }
func BenchmarkJSONRPC2Async(b *testing.B) { benchmark(b, jsonrpc2AsyncOverPipes) }

func benchmark(b *testing.B, connect func(testing.TB) caller) {
	for _, size := range sizes {
		payload := payloadOf(size, 1)
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.Run("serial", func(b *testing.B) { run(b, connect(b), payload, 1) })
			b.Run("inflight64", func(b *testing.B) { run(b, connect(b), payload, 64) })
		})
	}
}

// run makes b.N calls, inflight of them at a time.
func run(b *testing.B, c caller, payload []byte, inflight int) {
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
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
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// cpuTime returns the processor time of both sides so far, in nanoseconds. It can be compared even if the machine has
// other work.
func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
