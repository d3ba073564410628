package driver

import (
	"context"
	"errors"
	"io"
	"sync"
)

// A Conn is one end of a transport that carries messages whole, in order, each once. It is the same interface as
// transporttest.Conn, which documents what it must do to the last detail: a transport that passes that harness can be
// given to a Host and to Serve. One goroutine sends, another receives, and any may close, all at the same time.
//
// Two more methods are used if a connection has them, so one that wraps another has to pass them on:
//
//   - Cut() error does what Close does, but without waiting for the other end. A Host calls it in place of Close to end
//     a worker that is late or broken, and Serve if the host is gone or does not read.
//   - Ping(ctx context.Context) error asks the other end for a sign of life that no program there needs to give, and
//     returns nil when it has come. It returns an error when ctx ends or the connection is closed, which any may do at
//     the same time, as another goroutine sends and another receives. With it, both ends notice that the other is gone
//     though the connection has not ended, as when a machine loses its network: a Host pings a worker that has no
//     calls, see Limits.Silence, and Serve the host, see WithKeepAlive. If Ping fails early, it is called again until
//     the limit.
type Conn interface {
	// Send hands over one message. It may wait for the other end to receive, neither keeps nor changes msg, and
	// returns an error once this end is closed.
	Send(msg []byte) error

	// Recv waits for the next message and returns it; it is the caller's. When either end has been closed it may
	// return what is under way, from the oldest on and without a gap, and then returns an error each time. It must
	// bound the size of what it reads.
	Recv() ([]byte, error)

	// Close ends the connection, and a worker that belongs to it, and makes pending calls of both ends return.
	// Further calls are harmless.
	Close() error
}

// What a Conn may have besides.
type (
	cutter interface{ Cut() error }
	pinger interface {
		Ping(ctx context.Context) error
	}
)

// closerOf returns what closes a connection, without ceremony if it is to be cut and can be.
func closerOf(conn Conn, cut bool) func() error {
	if c, ok := conn.(cutter); ok && cut {
		return c.Cut
	}
	return conn.Close
}

// ErrConnClosed is returned by Send and Recv of the connections of this package once their own end is closed.
var ErrConnClosed = errors.New("driver: connection is closed")

// Pipe returns the two ends of a connection in memory, for a worker in the same process and for tests. Send waits
// while buffer messages are under way in its direction; with 0 it waits until the message is received. When one end
// is closed, the other still receives what is under way and then io.EOF.
func Pipe(buffer int) (host, worker Conn) {
	down, up := make(chan []byte, buffer), make(chan []byte, buffer)
	a := &pipeEnd{out: down, in: up, closed: make(chan struct{})}
	b := &pipeEnd{out: up, in: down, closed: make(chan struct{})}
	a.peer, b.peer = b, a
	return a, b
}

type pipeEnd struct {
	out    chan<- []byte
	in     <-chan []byte
	peer   *pipeEnd
	closed chan struct{}
	once   sync.Once
	ended  error // what Recv has failed with
}

func (p *pipeEnd) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

func (p *pipeEnd) Send(msg []byte) error {
	switch {
	case p.isClosed():
		return ErrConnClosed
	case p.peer.isClosed():
		return io.ErrClosedPipe
	}
	select {
	case p.out <- append([]byte{}, msg...):
		return nil
	case <-p.closed:
		return ErrConnClosed
	case <-p.peer.closed:
		return io.ErrClosedPipe
	}
}

func (p *pipeEnd) Recv() ([]byte, error) {
	if p.ended != nil {
		return nil, p.ended // a Send that raced with Close may have come to a message since
	}
	if p.isClosed() {
		return p.endRecv(ErrConnClosed)
	}
	select {
	case msg := <-p.in:
		return msg, nil
	case <-p.closed:
		return p.endRecv(ErrConnClosed)
	case <-p.peer.closed:
	}
	select {
	case msg := <-p.in: // sent before the peer was closed
		return msg, nil
	default:
		return p.endRecv(io.EOF)
	}
}

func (p *pipeEnd) endRecv(err error) ([]byte, error) {
	p.ended = err
	return nil, err
}

func (p *pipeEnd) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}
