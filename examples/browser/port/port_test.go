//go:build js

package port

import (
	"errors"
	"io"
	"syscall/js"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// openChannel returns the two ends of a MessageChannel.
func openChannel() (a, b *Port) {
	channel := js.Global().Get("MessageChannel").New()
	end := func(name string) *Port {
		port := channel.Get(name)
		return New(port, func() { port.Call("close") })
	}
	return end("port1"), end("port2")
}

// With -short the messages are smaller and fewer, because Wasm takes 10 seconds for all.
func TestPortIsATransport(t *testing.T) {
	opts := []transporttest.Option{transporttest.WithText()}
	if testing.Short() {
		opts = append(opts, transporttest.WithMaxMessage(64<<10), transporttest.WithBudget(1000))
	}
	transporttest.Test(t, func() (host, worker transporttest.Conn, stop func(), err error) {
		a, b := openChannel()
		return a, b, nil, nil
	}, opts...)
}

func TestWhatIsNotAMessageEndsTheConnection(t *testing.T) {
	target := js.Global().Get("EventTarget").New()
	p := New(target, func() {})
	deliver := func(handler, member string, value any) {
		target.Call(handler, map[string]any{member: value})
	}
	deliver("onmessage", "data", "first")
	deliver("onmessage", "data", 3)
	deliver("onmessage", "data", "too late")
	msg, err := p.Recv()
	require.NoError(t, err)
	assert.Equal(t, "first", string(msg))
	for range 2 {
		_, err = p.Recv()
		assert.EqualError(t, err, "port: expected a string, got a value of type number")
	}
}

func TestFailureOfAWorkerEndsTheConnectionWithTheReason(t *testing.T) {
	target := js.Global().Get("EventTarget").New()
	p := New(target, func() {})
	target.Call("onerror", map[string]any{"message": "no such\x1b[31m variable"})
	_, err := p.Recv()
	assert.EqualError(t, err, `port: worker failed: "no such\x1b[31m variable"`)
}

func TestCloseTellsTheOtherEndAndCallsEndOnce(t *testing.T) {
	a, b := openChannel()
	require.NoError(t, a.Send([]byte("last")))
	require.NoError(t, a.Close())
	require.NoError(t, a.Close())
	assert.True(t, errors.Is(a.Send(nil), driver.ErrConnClosed))
	msg, err := b.Recv()
	require.NoError(t, err)
	assert.Equal(t, "last", string(msg))
	_, err = b.Recv()
	assert.Equal(t, io.EOF, err)
	require.NoError(t, b.Close())
}
