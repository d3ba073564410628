package transporttest

import (
	"bytes"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
)

// what goes wrong at a close, or does not end.
var ending = []faulty{
	{"sends a message when the next one comes", hang, "when another message was sent after it", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return &lagging{channelConn: c, mu: newLock(), close: func(*channelConn, []byte) {}}
	}), nil},
	{"flushes when it closes", hang, "a buffer was not flushed", hears(100_000, func(c *channelConn) Conn {
		var mu sync.Mutex
		var held [][]byte
		return altered{Conn: c,
			send: func(msg []byte) error {
				mu.Lock()
				defer mu.Unlock()
				held = append(held, bytes.Clone(msg))
				return nil
			},
			close: func() error {
				mu.Lock()
				defer mu.Unlock()
				for _, msg := range held {
					c.out <- msg
				}
				held = nil
				return c.Close()
			}}
	}), nil},
	{"does not deliver at all", lost, "nor when the worker's end was closed", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return altered{Conn: c, send: func([]byte) error { return nil }}
	}), nil},
	{"tears a message when it closes", truncated, "only the first", hears(100_000, func(c *channelConn) Conn {
		var once sync.Once
		return altered{Conn: c, close: func() error {
			once.Do(func() {
				for n := len(c.out); n > 0; n-- {
					msg := <-c.out
					if n == 1 {
						msg = msg[:len(msg)/2]
					}
					c.out <- msg
				}
			})
			return c.Close()
		}}
	}), nil},
	{"leaves a gap when it closes", lost, "came", hears(100_000, func(c *channelConn) Conn {
		var once sync.Once
		return altered{Conn: c, close: func() error {
			once.Do(func() {
				select {
				case <-c.out:
				default:
				}
			})
			return c.Close()
		}}
	}), nil},
	{"does not wake Recv", hang, "Recv had not returned", replaced(8, func(c *channelConn, stopped chan struct{}) Conn {
		return altered{Conn: c, recv: func() ([]byte, error) {
			msg, err := c.Recv()
			if err != nil {
				<-stopped
			}
			return msg, err
		}}
	}), nil},
	{"does not wake Send", hang, "Send of", replaced(0, func(c *channelConn, stopped chan struct{}) Conn {
		return altered{Conn: c, send: func(msg []byte) error {
			select {
			case c.out <- bytes.Clone(msg):
				return nil
			case <-stopped:
				return errClosed
			}
		}}
	}), nil},
	{"does not return from Close", hang, "Close of the worker's end had not returned", replaced(8, func(c *channelConn, stopped chan struct{}) Conn {
		return altered{Conn: c, close: func() error { <-stopped; return nil }}
	}), nil},
	{"does not return from the second Close", hang, "Close of the worker's end had not returned", replaced(8, func(c *channelConn, stopped chan struct{}) Conn {
		var closed sync.Mutex
		return altered{Conn: c, close: func() error {
			if !closed.TryLock() {
				<-stopped
			}
			return c.Close()
		}}
	}), nil},
	{"sends after Close", open, "Send of", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return altered{Conn: c, send: func(msg []byte) error {
			if err := c.Send(msg); err != errClosed {
				return err
			}
			return nil
		}}
	}), nil},
	{"returns a message after Recv's error", late, "and then returned a message", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		n := 0
		return altered{Conn: c, recv: func() ([]byte, error) {
			msg, err := c.Recv()
			if err != nil {
				if n++; n == 2 {
					return []byte("one more"), nil
				}
			}
			return msg, err
		}}
	}), nil},
	{"hangs after Recv's error", hang, "the next call had not returned", replaced(8, func(c *channelConn, stopped chan struct{}) Conn {
		failed := false
		return altered{Conn: c, recv: func() ([]byte, error) {
			if failed {
				<-stopped
			}
			msg, err := c.Recv()
			failed = err != nil
			return msg, err
		}}
	}), nil},
	{"returns nothing in place of an error", empty, "empty message and no error", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return altered{Conn: c, recv: func() ([]byte, error) { msg, _ := c.Recv(); return msg, nil }}
	}), nil},
	{"panics in the second Close", panics, "Close panicked", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		closed := make(chan struct{})
		return altered{Conn: c, close: func() error { close(closed); return c.Close() }}
	}), nil},
	{"panics in a concurrent Close", panics, "Close panicked", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		closed := make(chan struct{})
		var closing atomic.Int32
		return altered{Conn: c, close: func() error {
			select {
			case <-closed:
			default:
				closing.Add(1)
				for n := 0; n < 1000 && closing.Load() == 1; n++ { // otherwise it takes two idle processors, or the race detector
					runtime.Gosched()
				}
				close(closed)
			}
			return c.Close()
		}}
	}), nil},
	{"panics in Recv", panics, "Recv panicked", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return altered{Conn: c, recv: func() ([]byte, error) {
			msg, err := c.Recv()
			return msg[: len(msg) : max(len(msg), 1)-min(len(msg), 1)], err
		}}
	}), nil},
	{"panics in open", panics, "opening a pair panicked: boom", func() (host, worker Conn, stop func(), err error) { panic("boom") }, nil},
	{"panics in stop", panics, "stop panicked: boom", func() (host, worker Conn, stop func(), err error) {
		h, w := newChannels(8)
		return h, w, func() { panic("boom") }, nil
	}, nil},
	{"opens nothing", unopened, "nil Conn", func() (host, worker Conn, stop func(), err error) { return nil, nil, nil, nil }, nil},
	{"does not open", unopened, "no route", func() (host, worker Conn, stop func(), err error) { return nil, nil, nil, errors.New("no route") }, nil},
}
