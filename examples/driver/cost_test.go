//go:build unix

package driver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/journal"
)

// BenchmarkRecordingCost tells how much more CPU time a call over pipes takes if its host records it, in percent. Two
// hosts take turns, as others use the machine, too; host and worker are both in this process.
func BenchmarkRecordingCost(b *testing.B) {
	for _, size := range benchSizes[:2] {
		for _, inFlight := range []int{1, 64} {
			b.Run(fmt.Sprintf("size=%d/inflight=%d", size, inFlight), func(b *testing.B) {
				w, err := journal.Create(filepath.Join(b.TempDir(), "journal"), journal.Options{MaxFileBytes: 1 << 30})
				require.NoError(b, err)
				bare, recorded := pipedHost(b), pipedHost(b, WithJournal(w))
				payload := bytes.Repeat([]byte{0xa5}, size)
				var costs []float64
				for b.Loop() {
					off := cpuTimeOf(func() { callMany(b, bare, payload, inFlight) })
					costs = append(costs, 100*(cpuTimeOf(func() { callMany(b, recorded, payload, inFlight) })/off-1))
				}
				slices.Sort(costs)
				b.ReportMetric(costs[len(costs)/2], "%cost")
				b.ReportMetric(0, "ns/op")
				require.NoError(b, bare.Stop(context.Background()))
				require.NoError(b, recorded.Stop(context.Background()))
				require.NoError(b, w.Close())
			})
		}
	}
}

// BenchmarkCallCost tells the CPU time of a call of 64 bytes over pipes with 64 at once, of host and worker together. Other work
// on the machine changes that less than the time from its beginning to its end.
func BenchmarkCallCost(b *testing.B) {
	h := pipedHost(b)
	payload := bytes.Repeat([]byte{0xa5}, 64)
	costs := []float64{}
	for b.Loop() {
		costs = append(costs, cpuTimeOf(func() { callMany(b, h, payload, 64) })/1000)
	}
	b.ReportMetric(slices.Min(costs), "ns/op")
	require.NoError(b, h.Stop(context.Background()))
}

// pipedHost is a host whose worker is in this process, at the other end of two pipes.
func pipedHost(b *testing.B, opts ...Option) *Host {
	h, err := NewHost(append(opts, WithWindow(64), WithWorkers(1, func(context.Context) (Conn, error) {
		fromHost, toWorker, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		fromWorker, toHost, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		go func() {
			_ = Serve(context.Background(), Lines(pipes{fromHost, toHost}), "", echo, WithConcurrency(64))
		}()
		return Lines(pipes{fromWorker, toWorker}), nil
	}))...)
	require.NoError(b, err)
	return h
}

type pipes struct{ in, out *os.File }

func (p pipes) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p pipes) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p pipes) Close() error {
	p.in.Close()
	return p.out.Close()
}

// callMany makes a thousand calls.
func callMany(b *testing.B, h *Host, payload []byte, inFlight int) {
	calls := make(chan struct{}, 1000)
	for range cap(calls) {
		calls <- struct{}{}
	}
	close(calls)
	var callers sync.WaitGroup
	for range inFlight {
		callers.Go(func() {
			for range calls {
				if _, err := h.Do(context.Background(), payload); err != nil {
					b.Error(err)
				}
			}
		})
	}
	callers.Wait()
}

func cpuTimeOf(f func()) float64 {
	now := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		return float64(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.GC()
	start := now()
	f()
	return now() - start
}
