package transporttest

import (
	"bytes"
	"errors"
	"math"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// replacing has one end send other text in place of some, as encodings do that take it for something of their own.
func replacing(old, text string) Opener {
	return spoils("worker", func() spoiler {
		return func(_ int, msg []byte, send func([]byte) error) error {
			return send(bytes.ReplaceAll(msg, []byte(old), []byte(text)))
		}
	})
}

// in has one end change the messages of some sizes.
func in(sizes func(n int) bool) Opener {
	return spoils("host", when(func(_ int, msg []byte) bool { return sizes(len(msg)) }, flip))
}

// what needs something particular to show: content, a size, a number, a pause, a message with none after it.
var hidden = []faulty{
	// Content.
	{"takes a plus for a space", corrupted, "", replacing("+", " "), []Option{WithText()}},
	{"composes characters", corrupted, "", replacing("e\u0301", "é"), []Option{WithText()}},
	{"ends CDATA", corrupted, "", replacing("]]>", "]]]]><![CDATA[>"), []Option{WithText()}},
	{"escapes HTML", corrupted, "", replacing("&", "&amp;"), []Option{WithText()}},
	{"takes +++ for an escape", corrupted, "", replacing("+++", "++"), []Option{WithText()}},
	{"drops a leading byte-order mark", truncated, "", spoils("worker", func() spoiler {
		return func(_ int, msg []byte, send func([]byte) error) error {
			return send(bytes.TrimPrefix(msg, []byte("\uFEFF")))
		}
	}), nil},
	{"ends at an empty chunk", truncated, "", spoils("worker", func() spoiler {
		return func(_ int, msg []byte, send func([]byte) error) error {
			msg, _, _ = bytes.Cut(msg, []byte("0\r\n\r\n"))
			return send(msg)
		}
	}), nil},
	{"turns LF into CR LF", corrupted, "", both(8, func(c *channelConn) Conn {
		return altered{Conn: c, send: func(msg []byte) error { return c.Send(bytes.ReplaceAll(msg, []byte("\n"), []byte("\r\n"))) }}
	}), nil},
	// Sizes.
	{"fragments of 1,432 bytes", corrupted, "", in(func(n int) bool { return n > 0 && n%1432 == 0 }), nil},
	{"fragments of 48,000 bytes", corrupted, "", in(func(n int) bool { return n > 0 && n%48_000 == 0 }), nil},
	{"records of 16 KiB and a tag", corrupted, "", in(func(n int) bool { return n == 16<<10-17 }), nil},
	// Numbers.
	{"loses when 4,096 wait", lost, "", overflowing(4096, math.MaxInt), nil},
	{"a sequence number of 16 bits", lost, "", spoils("host", when(only(1<<16+1), lose)), nil},
	{"flips bits at random", corrupted, "", at(97, flip), nil},
	{"loses messages at random", lost, "", at(97, lose), nil},
	// A message with none after it.
	{"flushes every other message", hang, "arrived when another message was sent after it", hears(100_000, func(c *channelConn) Conn {
		held := [][]byte{}
		return altered{Conn: c, send: func(msg []byte) error {
			if held = append(held, bytes.Clone(msg)); len(held) < 2 {
				return nil
			}
			for _, msg := range held {
				if err := c.Send(msg); err != nil {
					return err
				}
			}
			held = nil
			return nil
		}}
	}), nil},
	{"flushes no large message", hang, "arrived when another message was sent after it", hears(100_000, func(c *channelConn) Conn {
		var held []byte
		return altered{Conn: c, send: func(msg []byte) error {
			before := held
			held = nil
			if before != nil {
				if err := c.Send(before); err != nil {
					return err
				}
			}
			if len(msg) > 4096 {
				held = bytes.Clone(msg)
				return nil
			}
			return c.Send(msg)
		}}
	}), nil},
	{"loses a wake-up once in a thousand", hang, "arrived when another message was sent after it", func() (host, worker Conn, stop func(), err error) {
		host, worker, stop, err = overflowing(math.MaxInt, math.MaxInt)()
		end, n := worker.(altered), 0
		send := end.send
		end.send = func(msg []byte) error {
			if n++; n%1000 == 0 {
				return end.out.add(msg)
			}
			return send(msg)
		}
		return host, end, stop, err
	}, nil},
	// Late ones.
	{"2 ms late", reordered, "", late20(2 * time.Millisecond), nil},
	{"20 ms late", reordered, "", late20(20 * time.Millisecond), nil},
	// Pauses.
	{"a read deadline of 250 ms", idle, "after 2.25s", deadlines(0, 250*time.Millisecond), nil},
	{"a read deadline of 2 s", idle, "after 2.25s", deadlines(0, 2*time.Second), nil},
	{"a write deadline of 200 ms", idle, "after 2.25s", deadlines(200*time.Millisecond, 0), nil},
	{"a write deadline of 2 s", idle, "after 2.25s", deadlines(2*time.Second, 0), nil},
	// Connections before.
	{"a message of an earlier connection", invented, "of an earlier connection", func() Opener {
		var last []byte
		return func() (host, worker Conn, stop func(), err error) {
			h, w := newChannels(8)
			first := true
			return h, altered{Conn: w, send: func(msg []byte) error {
				before := last
				last = bytes.Clone(msg)
				if first && before != nil {
					first = false
					if err := w.Send(before); err != nil {
						return err
					}
				}
				first = false
				return w.Send(msg)
			}}, nil, nil
		}
	}(), nil},
	{"descriptors run out", leak, "no further pair could be opened", func() Opener {
		pairs := 0
		return func() (host, worker Conn, stop func(), err error) {
			if pairs++; pairs > 150 {
				pairs = 0
				return nil, nil, nil, errors.New("socket: " + syscall.EMFILE.Error()) // it does not tell what it wraps
			}
			return channels(8)()
		}
	}(), nil},
	// Closing.
	{"Close waits until that of the peer has returned", hang, "Close of the", func() (host, worker Conn, stop func(), err error) {
		h, w := newChannels(8)
		stopped := make(chan struct{})
		ended := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		end := func(c *channelConn, own, peer chan struct{}) Conn {
			var once sync.Once
			return altered{Conn: c, close: func() error {
				_ = c.Close()
				select {
				case <-peer:
				case <-stopped:
				}
				once.Do(func() { close(own) })
				return nil
			}}
		}
		return end(h, ended[0], ended[1]), end(w, ended[1], ended[0]), func() { close(stopped) }, nil
	}, nil},
}

// at spoils messages that only seem to be picked at random, about one in n.
func at(n uint64, spoil func([]byte, func([]byte) error) error) Opener {
	x := uint64(1)
	return spoils("host", when(func(int, []byte) bool {
		x = x*6364136223846793005 + 1442695040888963407
		return x>>33%n == 0
	}, spoil))
}

// late20 has every 20th message arrive late, after others.
func late20(by time.Duration) Opener {
	return replaced(1000, func(c *channelConn, _ chan struct{}) Conn {
		n := 0
		return altered{Conn: c, send: func(msg []byte) error {
			if n++; n%20 == 0 {
				msg = bytes.Clone(msg)
				time.AfterFunc(by, func() { _ = c.Send(msg) })
				return nil
			}
			return c.Send(msg)
		}}
	})
}

// deadlines opens channels of which a Send or a Recv at the worker's end fails that lasts longer; 0 is no limit.
func deadlines(send, recv time.Duration) Opener {
	after := func(d time.Duration) <-chan time.Time {
		if d == 0 {
			return nil
		}
		return time.After(d)
	}
	return replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return altered{Conn: c,
			send: func(msg []byte) error {
				select {
				case <-c.closed:
					return errClosed
				default:
				}
				select {
				case c.out <- slices.Clone(msg):
					return nil
				case <-c.closed:
					return errClosed
				case <-after(send):
					return os.ErrDeadlineExceeded
				}
			},
			recv: func() ([]byte, error) {
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
				case <-after(recv):
					return nil, os.ErrDeadlineExceeded
				}
			}}
	})
}
