package transporttest

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	goodRuns = flag.Int("transporttest.good", 1, "how often each good transport is tested")
	full     = flag.Bool("full", false, "test transports as those of programs are tested: with messages of any size, and more of them; takes about a minute")
	kernel   = flag.Bool("kernel", false, "test a transport that waits for timers of the kernel, too; takes four minutes more")
)

// affordable returns the options with which a good transport is tested, unless all are to be tested in full: a tenth of
// the budget, and no messages that are longer than given, nor with -short than 20,000 bytes.
func affordable(longest int, opts []Option) []Option {
	if *full {
		return opts
	}
	if testing.Short() {
		longest = min(longest, affordableInMemory)
	}
	return append([]Option{WithBudget(1_000), WithMaxMessage(longest)}, opts...)
}

const (
	affordableMessage  = 100_000         // longer than the buffers of sockets and pipes
	affordableInMemory = 20_000          // where a message is passed on as a whole
	affordableTimeout  = 3 * time.Second // for transports that hang
)

func TestGoChannelsPass(t *testing.T) {
	t.Parallel()
	for range *goodRuns {
		Test(t, channels(8), affordable(affordableMessage, nil)...)
	}
}

// good are transports that do what is allowed, and seldom seen.
var good = []struct {
	name string
	open Opener
	opts []Option
}{
	{"no buffer", channels(0), nil},
	{"large buffer", channels(100_000), nil},
	{"unlimited buffer", overflowing(1<<40, 1<<40), nil},
	{"small messages only", channels(4), []Option{WithMaxMessage(100)}},
	{"text", channels(4), []Option{WithText()}},
	{"Close loses nothing", both(8, func(c *channelConn) Conn { return hearing(c) }), nil},
	{"data together with the error", both(8, func(c *channelConn) Conn {
		return altered{Conn: c, recv: func() ([]byte, error) {
			msg, err := c.Recv()
			if err != nil {
				msg = []byte("half a mess")
			}
			return msg, err
		}}
	}), nil},
	{"acknowledged at the next Recv", openAcknowledged, nil},
	{"Close returns errors", both(8, func(c *channelConn) Conn {
		return altered{Conn: c, close: func() error { return errors.Join(c.Close(), errClosed) }}
	}), nil},
	{"a goroutine for all pairs", func() Opener {
		var start sync.Once
		return func() (host, worker Conn, stop func(), err error) {
			start.Do(func() { go func() { <-forever }() })
			return channels(8)()
		}
	}(), nil},
	{"lines over net.Pipe", pipes(func(stream net.Conn) Conn { return newLineConn(stream) }), []Option{WithText()}},
	{"frames over net.Pipe", pipes(func(stream net.Conn) Conn { return newFrames(stream) }), nil},
}

func TestLegalTransportsPass(t *testing.T) {
	t.Parallel()
	for i, g := range good {
		t.Run(g.name, func(t *testing.T) {
			if testing.Short() && i%4 != 0 {
				t.Skip("-short: one in four")
			}
			t.Parallel()
			for range *goodRuns {
				require.NoError(t, Check(g.open, affordable(affordableInMemory, g.opts)...))
			}
		})
	}
}

// throttled opens channels over which so many bytes go in a second, each way.
func throttled(rate int) Opener {
	return both(4, func(c *channelConn) Conn {
		return altered{Conn: hearing(c), send: func(msg []byte) error {
			select {
			case <-time.After(time.Duration(len(msg)) * time.Second / time.Duration(rate)):
			case <-c.closed:
				return errClosed
			}
			return c.Send(msg)
		}}
	})
}

// delayed opens channels whose Send takes a while, and Close another.
func delayed(capacity int, send, closing time.Duration) Opener {
	return both(capacity, func(c *channelConn) Conn {
		return altered{Conn: c,
			send:  func(msg []byte) error { time.Sleep(send); return c.Send(msg) },
			close: func() error { time.Sleep(closing); return c.Close() }}
	})
}

// patient are transports that take their time, which a bubble passes at once, and the longest that a test of them may
// take.
var patient = []struct {
	name string
	open Opener
	most time.Duration
	opts []Option
}{
	{"50 ms a message", delayed(8, 50*time.Millisecond, 0), 2 * time.Minute, nil},
	{"1 s a message", delayed(8, time.Second, 0), 5 * time.Minute, nil},
	{"1 s a message, no buffer", delayed(0, time.Second, 0), 5 * time.Minute, nil},
	{"100 KB/s", throttled(100_000), 3 * time.Minute, nil},
	{"100 KB/s, messages of any size", throttled(100_000), 6 * time.Minute, []Option{WithMaxMessage(MaxMessage), WithBudget(10_000)}},
	{"20 KB/s", throttled(20_000), 6 * time.Minute, []Option{WithMaxMessage(400_000)}},
	{"Close lingers for 2.5 s", both(8, func(c *channelConn) Conn {
		return altered{Conn: hearing(c), close: func() error {
			for range 25 {
				if len(c.out) == 0 {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			return c.Close()
		}}
	}), 3 * time.Minute, nil},
	{"Close always takes 2.5 s", delayed(0, 0, 2500*time.Millisecond), 3 * time.Minute, nil},
	{"Close waits for the peer", openGraceful, 3 * time.Minute, nil},
	{"Close waits for the peer's Close", openMutual, 3 * time.Minute, nil},
	{"Close takes 7 s", delayed(8, 0, 7*time.Second), 6 * time.Minute, []Option{WithTimeout(20 * time.Second)}},
	{"every call takes 2 s", delayed(8, 2*time.Second, 2*time.Second), 10 * time.Minute, []Option{WithTimeout(20 * time.Second)}},
	{"batches", openBatching, 3 * time.Minute, nil},
}

func TestLegalTransportsPassThoughTheyTakeTheirTime(t *testing.T) {
	t.Parallel()
	for _, p := range patient {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				require.NoError(t, Check(p.open, affordable(affordableInMemory, p.opts)...))
				took := time.Since(began)
				t.Log("took", took, "of the bubble's time")
				require.Less(t, took, p.most)
			})
		})
	}
}

// A graceful end waits in Close until the peer has received everything and the news of the close, or closes as well.
type graceful struct {
	in, out chan []byte
	peer    *graceful
	closing chan struct{}
	heard   chan struct{} // the peer's Recv has returned an error
	once    sync.Once     // to close closing
	tell    sync.Once     // to close heard
}

func openGraceful() (host, worker Conn, stop func(), err error) {
	a, b := make(chan []byte, 8), make(chan []byte, 8)
	end := func(in, out chan []byte) *graceful {
		return &graceful{in: in, out: out, heard: make(chan struct{}), closing: make(chan struct{})}
	}
	h, w := end(a, b), end(b, a)
	h.peer, w.peer = w, h
	return h, w, nil, nil
}

func (g *graceful) Send(msg []byte) error {
	select {
	case <-g.closing:
		return errClosed
	case <-g.peer.closing:
		return errClosed
	default:
	}
	select {
	case g.out <- bytes.Clone(msg):
		return nil
	case <-g.closing:
		return errClosed
	case <-g.peer.closing:
		return errClosed
	}
}

func (g *graceful) Recv() ([]byte, error) {
	select {
	case <-g.closing:
		return nil, errClosed
	default:
	}
	select {
	case <-g.closing:
		return nil, errClosed
	case msg := <-g.in:
		return msg, nil
	case <-g.peer.closing:
	}
	select {
	case msg := <-g.in:
		return msg, nil
	default:
		g.peer.tell.Do(func() { close(g.peer.heard) })
		return nil, io.EOF
	}
}

func (g *graceful) Close() error {
	g.once.Do(func() { close(g.closing) })
	select {
	case <-g.heard:
	case <-g.peer.closing:
	}
	return nil
}

// openMutual opens pairs whose Close returns when that of the peer has been called.
func openMutual() (host, worker Conn, stop func(), err error) {
	h, w := newChannels(8)
	end := func(c *channelConn, own, peer chan struct{}) Conn {
		var once sync.Once
		return altered{Conn: c, close: func() error {
			once.Do(func() { close(own) })
			_ = c.Close()
			<-peer
			return nil
		}}
	}
	a, b := make(chan struct{}), make(chan struct{})
	return end(h, a, b), end(w, b, a), nil, nil
}

// openTCPWithSmallBuffers opens TCP connections that carry little at a time.
func openTCPWithSmallBuffers() (host, worker Conn, stop func(), err error) {
	a, b, err := dialTCP()
	if err != nil {
		return nil, nil, nil, err
	}
	for _, c := range []net.Conn{a, b} {
		tcp := c.(*net.TCPConn)
		err = errors.Join(err, tcp.SetReadBuffer(2048), tcp.SetWriteBuffer(2048))
	}
	return newFrames(a), newFrames(b), nil, err
}

// openAcknowledged opens pairs whose Send returns when the peer calls Recv the next time.
func openAcknowledged() (host, worker Conn, stop func(), err error) {
	h, w := newChannels(0)
	end := func(c *channelConn, mine, theirs chan struct{}) Conn {
		received := false
		return altered{Conn: c,
			send: func(msg []byte) error {
				if err := c.Send(msg); err != nil {
					return err
				}
				select {
				case <-theirs:
					return nil
				case <-c.closed:
					return errClosed
				}
			},
			recv: func() ([]byte, error) {
				if received {
					select {
					case mine <- struct{}{}:
					case <-c.closed:
						return nil, errClosed
					}
				}
				msg, err := c.Recv()
				received = err == nil
				return msg, err
			}}
	}
	a, b := make(chan struct{}), make(chan struct{})
	return end(h, a, b), end(w, b, a), nil, nil
}

// openBatching opens pairs that send what has been gathered in 10 ms.
func openBatching() (host, worker Conn, stop func(), err error) {
	h, w := newChannels(1000)
	end := func(c *channelConn) Conn {
		gathered := make(chan []byte, 50)
		go func() {
			for {
				select {
				case <-time.After(10 * time.Millisecond):
				case <-c.closed:
					return
				}
				for n := len(gathered); n > 0; n-- {
					if c.pass(<-gathered) != nil {
						return
					}
				}
			}
		}()
		return altered{Conn: c, send: func(msg []byte) error {
			select {
			case <-c.closed:
				return errClosed
			default:
			}
			select {
			case gathered <- bytes.Clone(msg):
				return nil
			case <-c.closed:
				return errClosed
			}
		}}
	}
	return end(h), end(w), nil, nil
}

func TestStreamsPass(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]struct {
		open Opener
		opts []Option
	}{
		"TCP":            {openTCP, nil},
		"lines over TCP": {openTCPLines, []Option{WithText()}},
		"TCP, 2 KB":      {openTCPWithSmallBuffers, []Option{WithIdle(0), WithMaxMessage(20_000), WithBudget(1000), WithTimeout(time.Minute)}},
		"child process":  {openChild, []Option{WithBudget(1000), WithKill(killChild)}},
		"Unix SEQPACKET": {openSeqpacket, []Option{WithMaxMessage(32 << 10)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			switch {
			case testing.Short() && (name == "lines over TCP" || name == "Unix SEQPACKET"):
				t.Skip("-short: the example has lines over TCP, and TCP is a socket as well")
			case name == "TCP, 2 KB" && !*kernel:
				t.Skip("takes four minutes: needs -kernel")
			case name == "Unix SEQPACKET" && runtime.GOOS != "linux":
				t.Skip("net has no SEQPACKET sockets there")
			case name == "child process" && runtime.GOOS == "windows":
				t.Skip("a child inherits no further pipes there")
			}
			for range *goodRuns {
				Test(t, s.open, affordable(affordableMessage, s.opts)...)
			}
		})
	}
}
