package transporttest

import (
	"bytes"
	"sync"
	"time"
)

// what blocks what it must not.
var blocking = []faulty{
	{"one lock for Send and Recv", hang, "share a lock", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		mu := newLock()
		return altered{Conn: c,
			send: func(msg []byte) error { mu.Lock(); defer mu.Unlock(); return c.Send(msg) },
			recv: func() ([]byte, error) { mu.Lock(); defer mu.Unlock(); return c.Recv() },
		}
	}), nil},
	{"half duplex", halfDuplex, "cannot send at the same time", both(0, func(c *channelConn) Conn {
		busy := make(chan struct{}, 1) // a message is taken only while none is being sent
		return altered{Conn: c,
			send: func(msg []byte) error { busy <- struct{}{}; defer func() { <-busy }(); return c.Send(msg) },
			recv: func() ([]byte, error) {
				for {
					select {
					case <-c.closed:
						return nil, errClosed
					case busy <- struct{}{}:
					}
					select {
					case msg := <-c.in:
						<-busy
						return msg, nil
					case <-time.After(time.Millisecond):
					}
					<-busy
					time.Sleep(time.Millisecond)
				}
			}}
	}), nil},
	{"half duplex by a lock", halfDuplex, "cannot send at the same time", both(0, func(c *channelConn) Conn {
		mu := newLock()
		return altered{Conn: c,
			send: func(msg []byte) error { mu.Lock(); defer mu.Unlock(); return c.Send(msg) },
			recv: func() ([]byte, error) {
				msg, err := c.Recv()
				mu.Lock()
				defer mu.Unlock()
				return msg, err
			}}
	}), nil},
	{"Close does not end a blocked Send", hang, "after its own end was closed", func() (host, worker Conn, stop func(), err error) {
		a, b := make(chan []byte, 3), make(chan []byte, 3)
		closed := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		end := func(in, out chan []byte, own, peer chan struct{}) Conn {
			var once sync.Once
			ended := false
			return altered{
				send: func(msg []byte) error {
					select {
					case <-own:
						return errClosed
					default:
					}
					select {
					case out <- bytes.Clone(msg):
						return nil
					case <-peer:
						return errClosed
					}
				},
				recv: func() ([]byte, error) {
					if !ended {
						select {
						case <-own:
						case msg := <-in:
							return msg, nil
						case <-peer:
						}
						ended = true
					}
					return nil, errClosed
				},
				close: func() error { once.Do(func() { close(own) }); return nil }}
		}
		return end(a, b, closed[0], closed[1]), end(b, a, closed[1], closed[0]), nil, nil
	}, nil},
	{"Close waits for a blocked Send", hang, "while a Send of the same end is blocked", replaced(8, closeWaitsForSend), nil},
	{"Close waits for a blocked Send, rendezvous", hang, "while a Send of the same end is blocked", replaced(0, closeWaitsForSend), nil},
}

func closeWaitsForSend(c *channelConn, _ chan struct{}) Conn { return locked(c) }

func locked(c Conn) Conn {
	mu := newLock()
	return altered{Conn: c,
		send:  func(msg []byte) error { mu.Lock(); defer mu.Unlock(); return c.Send(msg) },
		close: func() error { mu.Lock(); defer mu.Unlock(); return c.Close() },
	}
}
