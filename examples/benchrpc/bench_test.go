package benchrpc

import (
	"bytes"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

func BenchmarkCall(b *testing.B) {
	for _, c := range contenders {
		for _, size := range sizes {
			payload := payloadOf(size, 1)
			for _, callers := range []int{1, inFlight} {
				b.Run(c.name+"/"+strconv.Itoa(size)+"/"+strconv.Itoa(callers), func(b *testing.B) {
					caller := connect(b, c, echo)
					b.ReportAllocs()
					b.ResetTimer()
					var left atomic.Int64
					left.Store(int64(b.N))
					callAtOnce(b, caller, payload, callers, func() bool { return left.Add(-1) >= 0 })
				})
			}
		}
	}
}

// callAtOnce makes calls on so many goroutines, each of them while more reports true.
func callAtOnce(t testing.TB, c caller, payload []byte, callers int, more func() bool) {
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for more() {
				got, err := c.Call(t.Context(), payload)
				if err != nil || !bytes.Equal(got, payload) {
					t.Errorf("call: %d bytes and error %v", len(got), err)
					return
				}
			}
		})
	}
	all.Wait()
}
