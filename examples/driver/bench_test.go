package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// benchSizes are the lengths of payloads, which the worker returns as they are.
var benchSizes = []int{64, 1 << 10, wc.MaxPayloadBytes}

func eachBench(b *testing.B, run func(b *testing.B, payload []byte, inFlight int)) {
	for _, size := range benchSizes {
		for _, inFlight := range []int{1, 64} {
			b.Run(fmt.Sprintf("size=%d/inflight=%d", size, inFlight), func(b *testing.B) {
				b.ReportAllocs()
				run(b, bytes.Repeat([]byte{0xa5}, size), inFlight)
			})
		}
	}
}

// BenchmarkCall is a call through a host and Serve over an in-memory pipe.
func BenchmarkCall(b *testing.B) {
	benchCalls(b, func() (host, worker Conn) { return Pipe(64) })
}

// BenchmarkRecordedCall is BenchmarkCall with a journal that is written nowhere.
func BenchmarkRecordedCall(b *testing.B) {
	w, err := journal.NewWriter(io.Discard, journal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	benchCalls(b, func() (host, worker Conn) { return Pipe(64) }, WithJournal(w))
}

// BenchmarkCallOverTCP is the same over lines on a loopback connection.
func BenchmarkCallOverTCP(b *testing.B) {
	benchCalls(b, func() (host, worker Conn) {
		x, y, err := tcpPair()
		if err != nil {
			b.Fatal(err)
		}
		return Lines(x), Lines(y)
	})
}

func benchCalls(b *testing.B, pair func() (host, worker Conn), opts ...Option) {
	eachBench(b, func(b *testing.B, payload []byte, inFlight int) {
		h, err := NewHost(append(opts, WithWindow(64), WithWorkers(1, func(context.Context) (Conn, error) {
			host, worker := pair()
			go func() { _ = Serve(context.Background(), worker, "", echo, WithConcurrency(64)) }()
			return host, nil
		}))...)
		if err != nil {
			b.Fatal(err)
		}
		defer h.Stop(context.Background())
		call := func() {
			if _, err := h.Do(context.Background(), payload); err != nil {
				b.Error(err)
			}
		}
		call()
		before := h.Stats()
		b.ResetTimer()
		calls := make(chan struct{})
		var callers sync.WaitGroup
		for range inFlight {
			callers.Go(func() {
				for range calls {
					call()
				}
			})
		}
		for range b.N {
			calls <- struct{}{}
		}
		close(calls)
		callers.Wait()
		after := h.Stats()
		b.ReportMetric(float64(after.MessagesSent+after.MessagesReceived-before.MessagesSent-before.MessagesReceived)/float64(b.N), "msgs/op")
	})
}

// BenchmarkCore is the same call by the core alone, in one goroutine: two messages, a SpawnJob and a
// JobCompleted, each sealed, written, read, verified and applied. With several in flight it does the same work in another order.
func BenchmarkCore(b *testing.B) {
	eachBench(b, func(b *testing.B, payload []byte, inFlight int) {
		c, w := wc.NewCoordinator(1), wc.NewWorker("w", 1)
		var text []byte
		toWorker := func() {
			for env := range c.Outbox() {
				text, _ = env.AppendJSON(text[:0])
				got, err := w.Receive(text)
				if err != nil {
					b.Fatal(err)
				}
				if spawn, ok := got.Op.(wc.SpawnJob); ok {
					_ = w.Complete(spawn.JobID, wc.OutcomeOk{Payload: spawn.Payload})
				}
			}
		}
		toHost := func() {
			for env := range w.Outbox() {
				text, _ = env.AppendJSON(text[:0])
				if _, err := c.Receive(text); err != nil {
					b.Fatal(err)
				}
			}
			c.Reap()
		}
		_ = w.Announce()
		toHost()
		id := uint64(0)
		for n := 0; n < b.N; n += inFlight {
			for range inFlight {
				id++
				_ = c.SpawnJob(wc.SpawnJob{JobID: id, Payload: payload})
			}
			toWorker()
			toHost()
		}
	})
}

func tcpPair() (a, b io.ReadWriteCloser, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	return dialAccept(l)
}

func dialAccept(l net.Listener) (a, b io.ReadWriteCloser, err error) {
	dialed := make(chan error, 1)
	go func() {
		var err error
		a, err = net.Dial(l.Addr().Network(), l.Addr().String())
		dialed <- err
	}()
	b, err = l.Accept()
	return a, b, errors.Join(err, <-dialed)
}
