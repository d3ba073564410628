package transporttest

import (
	"bytes"
	"errors"
	"sync"
)

// A channelConn is an end of two Go channels. Closing either end loses what is under way.
type channelConn struct {
	in, out chan []byte
	closed  chan struct{} // shared by both ends
	once    *sync.Once
}

var errClosed = errors.New("closed")

func newChannels(capacity int) (host, worker *channelConn) {
	a, b, closed, once := make(chan []byte, capacity), make(chan []byte, capacity), make(chan struct{}), new(sync.Once)
	return &channelConn{a, b, closed, once}, &channelConn{b, a, closed, once}
}

// channels opens pairs that have room for so many messages in each direction.
func channels(capacity int) Opener {
	return func() (host, worker Conn, stop func(), err error) {
		host, worker = newChannels(capacity)
		return host, worker, nil, nil
	}
}

func (c *channelConn) Send(msg []byte) error { return c.pass(bytes.Clone(msg)) }

// pass sends msg itself, not a copy.
func (c *channelConn) pass(msg []byte) error {
	select {
	case <-c.closed: // select picks any case that is ready
		return errClosed
	default:
	}
	select {
	case c.out <- msg:
		return nil
	case <-c.closed:
		return errClosed
	}
}

func (c *channelConn) Recv() ([]byte, error) {
	select {
	case <-c.closed:
		return nil, errClosed
	default:
	}
	select {
	case msg := <-c.in:
		return msg, nil
	case <-c.closed:
		return nil, errClosed
	}
}

func (c *channelConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// An altered end has other methods in place of some.
type altered struct {
	Conn
	send  func([]byte) error
	recv  func() ([]byte, error)
	close func() error
	out   *backlog // for those who lose a wake-up
}

func (c altered) Send(msg []byte) error {
	if c.send != nil {
		return c.send(msg)
	}
	return c.Conn.Send(msg)
}

func (c altered) Recv() ([]byte, error) {
	if c.recv != nil {
		return c.recv()
	}
	return c.Conn.Recv()
}

func (c altered) Close() error {
	if c.close != nil {
		return c.close()
	}
	return c.Conn.Close()
}
