package transporttest

import (
	"sync"
	"time"
)

// what blocks what it must not.
var blocking = []faulty{
	{"one lock for Send and Recv", hang, "share a lock", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		var mu sync.Mutex
		return altered{Conn: c,
			send: func(msg []byte) error { mu.Lock(); defer mu.Unlock(); return c.Send(msg) },
			recv: func() ([]byte, error) { mu.Lock(); defer mu.Unlock(); return c.Recv() },
		}
	}), nil},
	{"half duplex", halfDuplex, "both cannot send at the same time", both(0, func(c *channelConn) Conn {
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
	{"Close waits for a blocked Send", hang, "while a Send of the same end was blocked", replaced(8, closeWaitsForSend), nil},
	{"Close waits for a blocked Send, rendezvous", hang, "while a Send of the same end was blocked", replaced(0, closeWaitsForSend), nil},
	{"Close waits for a blocked Send, TCP", hang, "while a Send of the same end was blocked", func() (host, worker Conn, stop func(), err error) {
		host, worker, stop, err = openTCP()
		if err != nil {
			return nil, nil, nil, err
		}
		return locked(host), locked(worker), stop, nil
	}, nil},
}

func closeWaitsForSend(c *channelConn, _ chan struct{}) Conn { return locked(c) }

func locked(c Conn) Conn {
	var mu sync.Mutex
	return altered{Conn: c,
		send:  func(msg []byte) error { mu.Lock(); defer mu.Unlock(); return c.Send(msg) },
		close: func() error { mu.Lock(); defer mu.Unlock(); return c.Close() },
	}
}
