package benchrpc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/sourcegraph/jsonrpc2"
	"github.com/workerchannel/workerchannel"
)

type caller interface {
	Call(ctx context.Context, payload []byte) ([]byte, error)
	Close() error
}

// overPipes connects a caller and a worker by pipes. Both end with the test.
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
func jsonrpc2AsyncOverPipes(t testing.TB) caller {
	return overPipes(t, newClient, serveEchoJSONRPC2Async)
}

var sizes = []int{64, 1024, 262144}

// payloadOf returns uniformly random bytes, the same for the same seed.
func payloadOf(size int, seed uint64) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	p := make([]byte, size)
	r.Read(p)
	return p
}

var ways = []struct {
	name    string
	connect func(testing.TB) caller
}{
	{"workerchannel", workerchannelOverPipes},
	{"jsonrpc2", jsonrpc2OverPipes},
	{"jsonrpc2 async", jsonrpc2AsyncOverPipes},
}

func TestCallReturnsItsPayload(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := way.connect(t)
			for _, size := range append([]int{0, 1}, sizes...) {
				want := payloadOf(size, 2)
				got, err := c.Call(t.Context(), want)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes: %d came back, error %v", size, len(got), err)
				}
			}
		})
	}
}

// There are more callers than calls in flight may be, and more bytes than the pipes hold, so a deadlock shows.
func TestConcurrentCallsReturnTheirOwnPayloads(t *testing.T) {
	for _, load := range []struct{ size, callers int }{
		{64, maxInflight + 8},
		{1024, maxInflight + 8},
		{262144, 4},
	} {
		for _, way := range ways {
			t.Run(way.name+"/"+strconv.Itoa(load.size), func(t *testing.T) {
				c := way.connect(t)
				var callers sync.WaitGroup
				for i := range load.callers {
					callers.Go(func() {
						want := payloadOf(load.size, uint64(i))
						for range 2 {
							got, err := c.Call(t.Context(), want)
							if err != nil || !bytes.Equal(got, want) {
								t.Errorf("caller %d: %d bytes came back, error %v", i, len(got), err)
								return
							}
						}
					})
				}
				callers.Wait()
			})
		}
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := way.connect(t)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			for range 3 * maxInflight { // more than may be in flight, if they stayed there
				if _, err := c.Call(ctx, []byte("never mind")); err != nil && !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
			}
			if got, err := c.Call(t.Context(), []byte("still there?")); string(got) != "still there?" {
				t.Errorf("%q came back, error %v", got, err)
			}
		})
	}
}

// The worker dies when it gets a call.
func TestCallFailsWhenItsWorkerDies(t *testing.T) {
	dies := func(first string) func(pipe) error {
		return func(p pipe) error {
			defer p.Close()
			if _, err := io.WriteString(p, first); err != nil {
				return err
			}
			_, err := p.Read(make([]byte, 1))
			return err
		}
	}
	t.Run("workerchannel", func(t *testing.T) {
		c := overPipes(t, newHost, dies(announcement(t)))
		if _, err := c.Call(t.Context(), []byte("x")); !errors.Is(err, errWorkerGone) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("jsonrpc2", func(t *testing.T) {
		h, w, err := newPipe()
		if err != nil {
			t.Fatal(err)
		}
		go dies("")(w)
		if _, err := newClient(h).Call(t.Context(), []byte("x")); !errors.Is(err, jsonrpc2.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}

// announcement returns the message with which a worker announces itself.
func announcement(t *testing.T) string {
	w := workerchannel.NewWorker("short-lived", 1)
	if err := w.Announce(); err != nil {
		t.Fatal(err)
	}
	env, _ := w.DrainOutbox()
	text, err := env.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}
