package transporttest

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A spoiler does something else with the nth message (from 1) than to send it.
type spoiler func(n int, msg []byte, send func([]byte) error) error

// fifth spoils every fifth message; held is what an earlier call has held back.
func fifth(spoil func(msg []byte, send func([]byte) error) error) func() spoiler {
	return func() spoiler {
		return func(n int, msg []byte, send func([]byte) error) error {
			if n%5 == 0 {
				return spoil(msg, send)
			}
			return send(msg)
		}
	}
}

// fifthWithNext holds every fifth message back, and spoils it and the one after it.
func fifthWithNext(spoil func(held, msg []byte, send func([]byte) error) error) func() spoiler {
	return func() spoiler {
		var held []byte
		return func(n int, msg []byte, send func([]byte) error) error {
			switch {
			case n%5 == 0:
				held = bytes.Clone(msg)
				return nil
			case held != nil:
				defer func() { held = nil }()
				return spoil(held, msg, send)
			}
			return send(msg)
		}
	}
}

func sendBoth(send func([]byte) error, a, b []byte) error { return errors.Join(send(a), send(b)) }

var spoilers = map[string]struct {
	spoiler func() spoiler
	fault   fault
}{
	"loses":   {fifth(func([]byte, func([]byte) error) error { return nil }), lost},
	"repeats": {fifth(func(msg []byte, send func([]byte) error) error { return sendBoth(send, msg, msg) }), repeated},
	"repeats late": {func() spoiler {
		var old []byte
		return func(n int, msg []byte, send func([]byte) error) error {
			switch n % 5 {
			case 0:
				old = bytes.Clone(msg)
			case 2:
				if old != nil {
					return sendBoth(send, msg, old)
				}
			}
			return send(msg)
		}
	}, repeated},
	"reorders":       {fifthWithNext(func(held, msg []byte, send func([]byte) error) error { return sendBoth(send, msg, held) }), reordered},
	"cuts the end":   {fifth(func(msg []byte, send func([]byte) error) error { return send(msg[:len(msg)-1]) }), truncated},
	"cuts the start": {fifth(func(msg []byte, send func([]byte) error) error { return send(msg[40:]) }), truncated},
	"cuts all":       {fifth(func(msg []byte, send func([]byte) error) error { return send(nil) }), truncated},
	"cuts the large": {func() spoiler {
		return func(_ int, msg []byte, send func([]byte) error) error { return send(msg[:min(len(msg), 64<<10)]) }
	}, truncated},
	"splits": {fifth(func(msg []byte, send func([]byte) error) error {
		return sendBoth(send, msg[:len(msg)/2], msg[len(msg)/2:])
	}), truncated},
	"flips a bit": {fifth(func(msg []byte, send func([]byte) error) error {
		msg = bytes.Clone(msg)
		msg[len(msg)/2] ^= 4
		return send(msg)
	}), corrupted},
	"drops a byte": {fifth(func(msg []byte, send func([]byte) error) error {
		return send(slices.Delete(bytes.Clone(msg), 50, 51))
	}), corrupted},
	"replaces U+2028": {func() spoiler {
		return func(_ int, msg []byte, send func([]byte) error) error {
			return send(bytes.ReplaceAll(msg, []byte("\u2028"), []byte(`\u2028`)))
		}
	}, corrupted},
	"merges": {fifthWithNext(func(held, msg []byte, send func([]byte) error) error { return send(slices.Concat(held, msg)) }), merged},
	"merges with line": {fifthWithNext(func(held, msg []byte, send func([]byte) error) error {
		return send(slices.Concat(held, []byte("\n"), msg))
	}), merged},
	"invents": {fifth(func(msg []byte, send func([]byte) error) error { return sendBoth(send, []byte("ping"), msg) }), invented},
	"fails":   {fifth(func([]byte, func([]byte) error) error { return errors.New("no") }), broken},
}

// A spoiled is an end whose messages are spoiled.
type spoiled struct {
	*channelConn
	spoil spoiler
	n     int
}

func (c *spoiled) Send(msg []byte) error {
	select {
	case <-c.closed:
		return errClosed
	default:
	}
	c.n++
	return c.spoil(c.n, msg, c.channelConn.Send)
}

// openSpoiled opens channels of which one side's messages are spoiled.
func openSpoiled(side string, spoil func() spoiler) opener {
	return func() (host, worker Conn, stop func(), err error) {
		h, w := newChannels(8)
		if side == "host" {
			return &spoiled{channelConn: h, spoil: spoil()}, w, func() {}, nil
		}
		return h, &spoiled{channelConn: w, spoil: spoil()}, func() {}, nil
	}
}

func TestEveryFaultOfEitherDirectionIsCaughtAndNamed(t *testing.T) {
	if testing.Short() {
		t.Skip("-short makes a fifth of the checks, in which a rare fault does not always show")
	}
	for name, c := range spoilers {
		for _, side := range []string{"host", "worker"} {
			t.Run(name+"/"+side, func(t *testing.T) {
				t.Parallel()
				f := faulty{name, playConversation, c.fault, "", openSpoiled(side, c.spoiler)}
				f.requireCaught(t, f.find(t, 5*time.Second))
			})
		}
	}
}

// A faulty is a transport that is at fault, and what is to be said about it.
type faulty struct {
	name  string
	play  play
	fault fault
	says  string
	open  opener
}

// A finding is what was found, and the report for the user.
type finding struct {
	*diagnosis
	report string
}

func (f faulty) find(t *testing.T, timeout time.Duration) finding {
	h := newHarness(f.open, WithTimeout(timeout))
	report := h.checkMany(t, f.play)
	return finding{h.found, report}
}

func (f faulty) requireCaught(t *testing.T, found finding) {
	require.NotNil(t, found.diagnosis, "no fault was found; %s", found.report)
	assert.Equal(t, f.fault, found.fault, found.report)
	assert.Contains(t, found.what, f.says)
	assert.Contains(t, found.report, "-rapid.seed=", "how to reproduce it")
}

// An opener opens a pair, as Test wants it.
type opener = func() (host, worker Conn, stop func(), err error)

// changed opens channels of which the worker's end is another. stopped is closed by stop.
func changed(capacity int, change func(c *channelConn, stopped chan struct{}) Conn) opener {
	return func() (host, worker Conn, stop func(), err error) {
		h, w := newChannels(capacity)
		stopped := make(chan struct{})
		return h, change(w, stopped), func() { close(stopped) }, nil
	}
}

// A lagging end sends a message when the next one comes, and has its own way to close.
type lagging struct {
	*channelConn
	copy  func([]byte) []byte
	close func(c *channelConn, held []byte)
	mu    *sync.Mutex
	held  *[]byte
}

func newLagging(c *channelConn, copy func([]byte) []byte, close func(*channelConn, []byte)) Conn {
	return lagging{c, copy, close, new(sync.Mutex), new([]byte)}
}

func (c lagging) Send(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
		return errClosed
	default:
	}
	held := *c.held
	*c.held = c.copy(msg)
	if held == nil {
		return nil
	}
	return c.channelConn.Send(held)
}

func (c lagging) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *c.held != nil {
		c.close(c.channelConn, *c.held)
		*c.held = nil
	}
	return c.channelConn.Close()
}

// An altered end has other methods in place of some.
type altered struct {
	Conn
	send  func([]byte) error
	recv  func() ([]byte, error)
	close func() error
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

// pipes opens a net.Pipe with another end for each side.
func pipes(change func(net.Conn) Conn) opener {
	return func() (host, worker Conn, stop func(), err error) {
		a, b := net.Pipe()
		return change(a), change(b), func() {}, nil
	}
}

func TestMistakesOfRealTransportsAreCaughtAndNamed(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	cases := []faulty{
		{"keeps the caller's buffer", playConversation, corrupted, `"\x00\x00`, changed(8, func(c *channelConn, _ chan struct{}) Conn {
			return newLagging(c, func(msg []byte) []byte { return msg }, func(*channelConn, []byte) {})
		})},
		{"sends a message when the next one comes", playConversation, hang, "when another message was sent after it", changed(8, func(c *channelConn, _ chan struct{}) Conn {
			return newLagging(c, bytes.Clone, func(*channelConn, []byte) {})
		})},
		{"flushes when it closes", playConversation, hang, "nothing flushed it", changed(1000, func(c *channelConn, _ chan struct{}) Conn {
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
		})},
		{"does not deliver at all", playConversation, lost, "nor when the worker's end was closed", changed(8, func(c *channelConn, _ chan struct{}) Conn {
			return altered{Conn: c, send: func([]byte) error { return nil }}
		})},
		{"tears a message when it closes", playClose, truncated, "only the first", changed(100, func(c *channelConn, _ chan struct{}) Conn {
			return newLagging(c, bytes.Clone, func(c *channelConn, held []byte) { c.out <- held[:len(held)/2] })
		})},
		{"leaves a gap when it closes", playClose, lost, "came before", changed(100, func(c *channelConn, _ chan struct{}) Conn {
			return altered{Conn: c, close: func() error {
				select {
				case <-c.out:
				default:
				}
				return c.Close()
			}}
		})},
		{"has one lock for Send and Recv", playConversation, hang, "Send had not returned", changed(8, func(c *channelConn, _ chan struct{}) Conn {
			var mu sync.Mutex
			return altered{Conn: c,
				send: func(msg []byte) error { mu.Lock(); defer mu.Unlock(); return c.Send(msg) },
				recv: func() ([]byte, error) { mu.Lock(); defer mu.Unlock(); return c.Recv() },
			}
		})},
		{"does not wake Recv when it closes", playClose, hang, "Recv had not returned", changed(8, func(c *channelConn, stopped chan struct{}) Conn {
			return altered{Conn: c, recv: func() ([]byte, error) {
				msg, err := c.Recv()
				if err != nil {
					<-stopped
				}
				return msg, err
			}}
		})},
		{"does not wake Send when it closes", playClose, hang, "Send had not returned", changed(0, func(c *channelConn, stopped chan struct{}) Conn {
			return altered{Conn: c, send: func(msg []byte) error {
				select {
				case c.out <- bytes.Clone(msg):
					return nil
				case <-stopped:
					return errClosed
				}
			}}
		})},
		{"does not return from Close", playClose, hang, "Close of the worker's end had not returned", changed(8, func(c *channelConn, stopped chan struct{}) Conn {
			return altered{Conn: c, close: func() error { <-stopped; return nil }}
		})},
		{"does not return from the second Close", playClose, hang, "second Close", changed(8, func(c *channelConn, stopped chan struct{}) Conn {
			var closed sync.Mutex
			return altered{Conn: c, close: func() error {
				if !closed.TryLock() {
					<-stopped
				}
				return c.Close()
			}}
		})},
		{"does not return from stop", playClose, hang, "stop had not returned", func() (host, worker Conn, stop func(), err error) {
			h, w := newChannels(8)
			return h, w, func() { <-never }, nil
		}},
		{"sends after Close", playClose, open, "Send returned no error", changed(8, func(c *channelConn, _ chan struct{}) Conn {
			return altered{Conn: c, send: func(msg []byte) error {
				if err := c.Send(msg); err != errClosed {
					return err
				}
				return nil
			}}
		})},
		{"reads lines of at most 64 KiB", playConversation, broken, "token too long", pipes(func(stream net.Conn) Conn {
			s := bufio.NewScanner(stream)
			return altered{Conn: newLineConn(stream), recv: func() ([]byte, error) {
				if s.Scan() {
					return s.Bytes(), nil
				}
				return nil, errors.Join(io.EOF, s.Err())
			}}
		})},
		{"takes every Read for a message", playConversation, truncated, "only the first 4096 bytes", pipes(func(stream net.Conn) Conn {
			return altered{Conn: newLineConn(stream),
				send: func(msg []byte) error { _, err := stream.Write(msg); return err },
				recv: func() ([]byte, error) {
					buf := make([]byte, 4096)
					n, err := stream.Read(buf)
					return buf[:n], err
				}}
		})},
	}
	if testing.Short() { // rapid then makes a fifth of its checks, in which a rare fault does not always show
		checks := flag.Lookup("rapid.checks").Value
		full := checks.String()
		require.NoError(t, checks.Set("500"))
		defer func() { _ = checks.Set(full) }()
	}
	// All at the same time, for a hang is nothing but waiting.
	findings := make([]chan finding, len(cases))
	for i, c := range cases {
		findings[i] = make(chan finding, 1)
		go func() { findings[i] <- c.find(t, 3*time.Second) }()
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.requireCaught(t, <-findings[i]) })
	}
}

func TestLargestMessagesAreTested(t *testing.T) {
	h := newHarness(openSpoiled("host", func() spoiler {
		return func(_ int, msg []byte, send func([]byte) error) error { return send(msg[:min(len(msg), 1<<20)]) }
	}))
	report := h.checkOne(t, playLargest)
	assert.Contains(t, report, "truncated: at the worker's end, only the first 1048576 bytes of h1 (SpawnJob, ")
}

func TestTransportThatDoesNotOpenIsReported(t *testing.T) {
	h := newHarness(func() (host, worker Conn, stop func(), err error) { return nil, nil, nil, errors.New("no route") })
	for _, s := range subtests {
		assert.Contains(t, s.check(h, t, s.play), "open: no route")
	}
}

// lossyEnv has TestOfALossyTransport run.
const lossyEnv = "TRANSPORTTEST_LOSSY"

func TestOfALossyTransport(t *testing.T) {
	if os.Getenv(lossyEnv) == "" {
		t.Skip("it fails; TestFailureReadsWell runs it")
	}
	Test(t, openSpoiled("host", func() spoiler {
		return func(_ int, msg []byte, send func([]byte) error) error {
			if len(msg) > 1000 {
				return nil // as a datagram that is too large
			}
			return send(msg)
		}
	}))
}

func TestFailureReadsWell(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestOfALossyTransport$/^Conversation$", "-rapid.nofailfile", "-rapid.steps=15", "-rapid.seed=5")
	cmd.Env = append(os.Environ(), lossyEnv+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	text := string(out)
	t.Log(text)
	for _, want := range []string{
		"--- FAIL: TestOfALossyTransport/Conversation",
		"lost: at the worker's end, h",
		") came before h",
		"   1  the worker sends w1 (BootstrapReady, ",
		"To reproduce, specify -run=\"TestOfALossyTransport/Conversation\" -rapid.seed=",
	} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "draw", "rapid's own log")
	assert.Less(t, strings.Count(text, "\n"), 30, "it has been shrunk")
}
