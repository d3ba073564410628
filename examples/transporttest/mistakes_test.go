package transporttest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
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

// A lagging end sends a message when the next one comes, and has its own way to close.
type lagging struct {
	*channelConn
	close func(c *channelConn, held []byte)
	mu    sync.Mutex
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

// meet lets another goroutine go on where two must meet for a fault to show, which takes two idle processors otherwise. It does
// nothing if each fault is to be found several times, as when the harness itself is judged.
func meet() {
	if *repetitions == 1 {
		runtime.Gosched()
	}
}

// slices of the caller, and of the transport.
var memory = []faulty{
	{"Send keeps the slice", kept, "", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return altered{Conn: c, send: c.pass}
	}), nil},
	{"Send keeps the slice until the next", kept, "", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		later := make(chan []byte, 1)
		go func() {
			for {
				select {
				case msg := <-later:
					time.Sleep(time.Millisecond)
					_ = c.Send(msg)
				case <-c.closed:
					return
				}
			}
		}()
		return altered{Conn: c, send: func(msg []byte) error {
			select {
			case later <- msg:
				return nil
			case <-c.closed:
				return errClosed
			}
		}}
	}), nil},
	{"Send masks in place", changed, "Send changed the caller's slice", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return altered{Conn: c, send: func(msg []byte) error {
			err := c.Send(msg)
			for i := range msg {
				msg[i] ^= 0x5a
			}
			return err
		}}
	}), nil},
	{"Send appends within the capacity", changed, "beyond its length", pipes(func(stream net.Conn) Conn {
		c := newFrames(stream)
		return altered{Conn: c, send: func(msg []byte) error { _ = append(msg, '\n'); return c.Send(msg) }}
	}), nil},
	{"Recv has one buffer", reused, "", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		buf := make([]byte, MaxMessage)
		return altered{Conn: c, recv: func() ([]byte, error) { msg, err := c.Recv(); return buf[:copy(buf, msg)], err }}
	}), nil},
	{"Recv has four buffers", reused, "", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		var bufs [4][MaxMessage]byte
		n := 0
		return altered{Conn: c, recv: func() ([]byte, error) {
			msg, err := c.Recv()
			n++
			buf := bufs[n%4][:]
			return buf[:copy(buf, msg)], err
		}}
	}), nil},
	{"Recv's buffer is overwritten later", reused, "", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		ahead := make(chan []byte)
		go func() {
			defer close(ahead)
			buf := make([]byte, MaxMessage)
			for {
				msg, err := c.Recv()
				if err != nil {
					return
				}
				select {
				case ahead <- buf[:copy(buf, msg)]:
				case <-c.closed:
					return
				}
			}
		}()
		return altered{Conn: c, recv: func() ([]byte, error) {
			if msg, ok := <-ahead; ok {
				return msg, nil
			}
			return nil, errClosed
		}}
	}), nil},
	{"Send and Recv share memory", shared, "use the same memory", both(8, func(c *channelConn) Conn {
		scratch := make([]byte, MaxMessage)
		return altered{Conn: c,
			send: func(msg []byte) error {
				n := copy(scratch, msg)
				meet()
				return c.Send(scratch[:n])
			},
			recv: func() ([]byte, error) {
				msg, err := c.Recv()
				return bytes.Clone(scratch[:copy(scratch, msg)]), err
			}}
	}), nil},
}

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

// what goes wrong at a close, or does not end.
var ending = []faulty{
	{"sends a message when the next one comes", hang, "when another message was sent after it", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return &lagging{channelConn: c, close: func(*channelConn, []byte) {}}
	}), nil},
	{"flushes when it closes", hang, "nothing flushed it", hears(100_000, func(c *channelConn) Conn {
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
		return altered{Conn: c, close: func() error {
			for n := len(c.out); n > 0; n-- {
				msg := <-c.out
				if n == 1 {
					msg = msg[:len(msg)/2]
				}
				c.out <- msg
			}
			return c.Close()
		}}
	}), nil},
	{"leaves a gap when it closes", lost, "came", hears(100_000, func(c *channelConn) Conn {
		return altered{Conn: c, close: func() error {
			select {
			case <-c.out:
			default:
			}
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
		return altered{Conn: c, close: func() error {
			select {
			case <-closed:
			default:
				meet()
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
	{"does not open", unopened, "no route", func() (host, worker Conn, stop func(), err error) { return nil, nil, nil, errors.New("no route") }, nil},
}

// what is left behind, or dies.
var living = []faulty{
	{"leaves a goroutine", leak, "goroutines more", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		go func() { <-forever }()
		return c
	}), nil},
	{"leaves a goroutine if Send was blocked", leak, "goroutines more", replaced(0, func(c *channelConn, _ chan struct{}) Conn {
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
	{"leaves a descriptor", leak, "descriptors more", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		r, w, _ := os.Pipe()
		leaked = append(leaked, r, w)
		return c
	}), nil},
	{"does not tell of a killed peer", unnoticed, "the worker's end was killed", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return &killable{altered: altered{Conn: c}}
	}), []Option{WithKill(func(_, worker Conn) { worker.(*killable).dead.Store(true) })}},
}

var (
	forever = make(chan struct{})
	leaked  []*os.File
)

type killable struct {
	altered
	dead atomic.Bool
}

// what streams are made messages of.
var streams = []faulty{
	{"reads lines of at most 64 KiB", broken, "token too long", pipes(func(stream net.Conn) Conn {
		s := bufio.NewScanner(stream)
		return altered{Conn: newLineConn(stream), recv: func() ([]byte, error) {
			if s.Scan() {
				return bytes.Clone(s.Bytes()), nil
			}
			return nil, errors.Join(io.EOF, s.Err())
		}}
	}), []Option{WithText()}},
	{"takes every Read for a message", split, "4,096 bytes", pipes(func(stream net.Conn) Conn {
		return altered{Conn: newLineConn(stream),
			send: func(msg []byte) error { _, err := stream.Write(msg); return err },
			recv: func() ([]byte, error) {
				buf := make([]byte, 4096)
				n, err := stream.Read(buf)
				return buf[:n], err
			}}
	}), []Option{WithText()}},
	{"leaves the line feed", corrupted, "1 byte of white space after it", pipes(func(stream net.Conn) Conn {
		c := newFrames(stream)
		return altered{Conn: c, recv: func() ([]byte, error) { msg, err := c.Recv(); return append(msg, '\n'), err }}
	}), nil},
	{"trims white space", truncated, "", pipes(func(stream net.Conn) Conn {
		c := newFrames(stream)
		return altered{Conn: c, recv: func() ([]byte, error) { msg, err := c.Recv(); return bytes.TrimSpace(msg), err }}
	}), nil},
	{"ends at a NUL", truncated, "", pipes(func(stream net.Conn) Conn {
		c := newFrames(stream)
		return altered{Conn: c, recv: func() ([]byte, error) {
			msg, err := c.Recv()
			msg, _, _ = bytes.Cut(msg, []byte{0})
			return msg, err
		}}
	}), nil},
	{"skips empty messages", lost, "(0 bytes) had not", pipes(func(stream net.Conn) Conn {
		c := newFrames(stream)
		return altered{Conn: c, send: func(msg []byte) error {
			if len(msg) == 0 {
				return nil
			}
			return c.Send(msg)
		}}
	}), nil},
	{"replaces U+2028", corrupted, "", pipes(func(stream net.Conn) Conn {
		c := newFrames(stream)
		return altered{Conn: c, send: func(msg []byte) error { return c.Send(bytes.ReplaceAll(msg, []byte("\u2028"), []byte(`\u2028`))) }}
	}), []Option{WithText()}},
}

func TestMistakesAreCaughtAndNamed(t *testing.T) {
	t.Parallel()
	for kind, list := range map[string][]faulty{"memory": memory, "blocking": blocking, "ending": ending, "living": living, "streams": streams} {
		t.Run(kind, func(t *testing.T) {
			for _, f := range list {
				t.Run(f.name, func(t *testing.T) {
					if raceEnabled && (kind == "memory" || f.name == "panics in a concurrent Close") {
						t.Skip("a data race, which the race detector reports itself")
					}
					f.requireCaught(t)
				})
			}
		})
	}
}

func TestStopThatDoesNotReturnIsReported(t *testing.T) {
	t.Parallel()
	err := Check(func() (host, worker Conn, stop func(), err error) {
		h, w := newChannels(8)
		return h, w, func() { <-forever }, nil
	}, WithTimeout(100*time.Millisecond))
	require.ErrorContains(t, err, "hang: stop had not returned")
}

func TestIdleConnectionThatDiesIsCaught(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := Check(replaced(8, func(c *channelConn, _ chan struct{}) Conn {
			dies := time.AfterFunc(time.Minute, func() { _ = c.Close() })
			return altered{Conn: c, send: func(msg []byte) error { dies.Reset(time.Minute); return c.Send(msg) },
				close: func() error { dies.Stop(); return c.Close() }}
		}), WithIdle(2*time.Minute), WithTimeout(10*time.Second))
		require.ErrorContains(t, err, "Idle: idle: after 2m0s without messages, Recv failed")
		t.Log(err)
	})
}
