package transporttest

import (
	"bytes"
	"net"
)

// replaced opens channels of which the worker's end is another. stopped is closed by stop.
func replaced(capacity int, replace func(c *channelConn, stopped chan struct{}) Conn) Opener {
	return func() (host, worker Conn, stop func(), err error) {
		h, w := newChannels(capacity)
		stopped := make(chan struct{})
		return h, replace(w, stopped), func() { close(stopped) }, nil
	}
}

// both opens channels of which both ends are others.
func both(capacity int, replace func(c *channelConn) Conn) Opener {
	return func() (host, worker Conn, stop func(), err error) {
		h, w := newChannels(capacity)
		return replace(h), replace(w), nil, nil
	}
}

// pipes opens a net.Pipe with another end for each side.
func pipes(change func(net.Conn) Conn) Opener {
	return func() (host, worker Conn, stop func(), err error) {
		a, b := net.Pipe()
		return change(a), change(b), func() {}, nil
	}
}

// A lock is a mutex that lets the time of a bubble pass while a goroutine waits for it.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

func (l lock) Lock()   { l <- struct{}{} }
func (l lock) Unlock() { <-l }

// A lagging end sends a message when the next one comes, and has its own way to close.
type lagging struct {
	*channelConn
	close func(c *channelConn, held []byte)
	mu    lock
	held  []byte
}

func (c *lagging) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
		return errClosed
	default:
	}
	held := c.held
	c.held = bytes.Clone(msg)
	if held == nil {
		return nil
	}
	return c.channelConn.Send(held)
}

func (c *lagging) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		c.close(c.channelConn, c.held)
		c.held = nil
	}
	return c.channelConn.Close()
}

// hearing is an end whose Recv returns what is under way after a close.
func hearing(c *channelConn) altered {
	return altered{Conn: c, recv: func() ([]byte, error) {
		select {
		case msg := <-c.in:
			return msg, nil
		default:
		}
		select {
		case msg := <-c.in:
			return msg, nil
		case <-c.closed:
			select {
			case msg := <-c.in:
				return msg, nil
			default:
				return nil, errClosed
			}
		}
	}}
}

// hears opens channels whose host hears what is under way, and whose worker is another end.
func hears(capacity int, replace func(c *channelConn) Conn) Opener {
	return func() (host, worker Conn, stop func(), err error) {
		h, w := newChannels(capacity)
		return hearing(h), replace(w), nil, nil
	}
}
