package transporttest

import (
	"bytes"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// what is left behind, or dies.
var living = []faulty{
	{"leaves a goroutine", leak, "more goroutines", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		go func() { <-forever }()
		return c
	}), nil},
	{"leaves a goroutine if Send was blocked", leak, "more goroutines", replaced(0, func(c *channelConn, _ chan struct{}) Conn {
		return altered{Conn: c, send: func(msg []byte) error {
			sent := make(chan struct{})
			go func() { c.out <- bytes.Clone(msg); close(sent) }()
			select {
			case <-sent:
				return nil
			case <-c.closed:
				return errClosed
			}
		}}
	}), nil},
	{"leaves a goroutine that hands over a message", leak, "more goroutines", pipes(func(stream net.Conn) Conn {
		c := newFrames(stream)
		ahead, closed := make(chan []byte), make(chan struct{})
		go func() {
			defer close(ahead)
			for {
				msg, err := c.Recv()
				if err != nil {
					return
				}
				ahead <- msg
			}
		}()
		var once sync.Once
		return altered{Conn: c,
			recv: func() ([]byte, error) {
				select {
				case <-closed:
					return nil, errClosed
				default:
				}
				select {
				case <-closed:
					return nil, errClosed
				case msg, ok := <-ahead:
					if !ok {
						return nil, errClosed
					}
					return msg, nil
				}
			},
			close: func() error { once.Do(func() { close(closed) }); return c.Close() }}
	}), nil},
	{"does not tell of a killed peer", unnoticed, "the worker's end was killed", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return &killable{altered: altered{Conn: c}}
	}), []Option{WithKill(func(_, worker Conn) { worker.(*killable).dead.Store(true) })}},
}

// what goes wrong over sockets.
var sockets = []faulty{
	{"Send and Recv share a frame", sharedOrDamage, "", func() (host, worker Conn, stop func(), err error) {
		a, b, err := dialTCP()
		if err != nil {
			return nil, nil, nil, err
		}
		return newSharedFrames(a), newSharedFrames(b), nil, nil
	}, nil},
	{"Close waits for a blocked Send, TCP", hang, "while a Send of the same end is blocked", func() (host, worker Conn, stop func(), err error) {
		host, worker, stop, err = openTCP()
		if err != nil {
			return nil, nil, nil, err
		}
		return locked(host), locked(worker), stop, nil
	}, nil},
}

var (
	forever = make(chan struct{})
	leaked  []*os.File // kept, or the garbage collector would close them
)

type killable struct {
	altered
	dead atomic.Bool
}

// leavesPipes opens pairs that leave two descriptors each.
func leavesPipes() (host, worker Conn, stop func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	leaked = append(leaked, r, w)
	host, worker = newChannels(8)
	return host, worker, nil, nil
}

func TestTooManyOpenFilesAreALeak(t *testing.T) {
	failing := func(good int) Opener {
		return func() (host, worker Conn, stop func(), err error) {
			if good--; good < 0 {
				return nil, nil, nil, os.NewSyscallError("pipe2", syscall.EMFILE)
			}
			return channels(8)()
		}
	}
	assert.ErrorContains(t, Check(failing(7)), "Messages: leak: 7 pairs had been opened and closed")
	assert.ErrorContains(t, Check(failing(0)), "Messages: unopened: a pair could not be opened: pipe2: too many open files", "nothing has been closed")
}
