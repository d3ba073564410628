package transporttest

import (
	"bytes"
	"errors"
	"math/bits"
	"slices"
	"sync"
)

// A spoiler does something else with the nth message (from 1) than to send it.
type spoiler func(n int, msg []byte, send func([]byte) error) error

// when spoils the messages that a condition picks.
func when(pick func(n int, msg []byte) bool, spoil func(msg []byte, send func([]byte) error) error) func() spoiler {
	return func() spoiler {
		return func(n int, msg []byte, send func([]byte) error) error {
			if pick(n, msg) {
				return spoil(msg, send)
			}
			return send(msg)
		}
	}
}

func every(k int) func(int, []byte) bool { return func(n int, _ []byte) bool { return n%k == 0 } }
func only(k int) func(int, []byte) bool  { return func(n int, _ []byte) bool { return n == k } }
func larger(k int) func(int, []byte) bool {
	return func(_ int, msg []byte) bool { return len(msg) > k }
}
func powerOfTwo(_ int, msg []byte) bool { return bits.OnesCount(uint(len(msg))) == 1 }
func pages(_ int, msg []byte) bool      { return len(msg) > 0 && len(msg)%4096 == 0 }

func lose([]byte, func([]byte) error) error { return nil }

func twice(msg []byte, send func([]byte) error) error { return sendBoth(send, msg, msg) }

func flip(msg []byte, send func([]byte) error) error {
	msg = bytes.Clone(msg)
	if len(msg) > 0 {
		msg[len(msg)/2] ^= 4
	}
	return send(msg)
}

// withNext holds every kth message back, and spoils it and the one after it.
func withNext(k int, spoil func(held, msg []byte, send func([]byte) error) error) func() spoiler {
	return func() spoiler {
		var held []byte
		return func(n int, msg []byte, send func([]byte) error) error {
			switch {
			case n%k == 0 && k > 1:
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

func swapped(held, msg []byte, send func([]byte) error) error { return sendBoth(send, msg, held) }

// swapPieces swaps the first two pieces of 64 KiB.
func swapPieces(msg []byte, send func([]byte) error) error {
	const piece = 64 << 10
	return send(slices.Concat(msg[piece:2*piece], msg[:piece], msg[2*piece:]))
}

// reconnects repeats the message before every kth, as one whose acknowledgement was lost.
func reconnects(k int) func() spoiler {
	return func() spoiler {
		var last []byte
		return func(n int, msg []byte, send func([]byte) error) error {
			before := last
			last = bytes.Clone(msg)
			if n%k == 0 && before != nil {
				return sendBoth(send, before, msg)
			}
			return send(msg)
		}
	}
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

// spoils opens channels of which one side's messages are spoiled.
func spoils(side string, spoil func() spoiler) Opener {
	return func() (host, worker Conn, stop func(), err error) {
		h, w := newChannels(8)
		if side == "host" {
			return &spoiled{channelConn: h, spoil: spoil()}, w, func() {}, nil
		}
		return h, &spoiled{channelConn: w, spoil: spoil()}, func() {}, nil
	}
}

// A backlog loses the messages that it is given while more than a number of messages or bytes wait to be received.
type backlog struct {
	mu       sync.Mutex
	waiting  [][]byte
	size     int
	some     chan struct{} // there may be some
	closed   chan struct{}
	ended    bool // get has returned an error
	messages int
	bytes    int
}

func overflowing(messages, bytes int) Opener {
	return func() (host, worker Conn, stop func(), err error) {
		closed := make(chan struct{})
		a := &backlog{some: make(chan struct{}, 1), closed: closed, messages: messages, bytes: bytes}
		b := &backlog{some: make(chan struct{}, 1), closed: closed, messages: messages, bytes: bytes}
		var once sync.Once
		end := func(in, out *backlog) Conn {
			return altered{out: out, send: out.put, recv: in.get, close: func() error { once.Do(func() { close(closed) }); return nil }}
		}
		return end(a, b), end(b, a), nil, nil
	}
}

func (b *backlog) put(msg []byte) error {
	if err := b.add(msg); err != nil {
		return err
	}
	select {
	case b.some <- struct{}{}:
	default:
	}
	return nil
}

// add does not wake Recv.
func (b *backlog) add(msg []byte) error {
	select {
	case <-b.closed:
		return errClosed
	default:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return errClosed
	}
	if len(b.waiting) < b.messages && b.size+len(msg) <= b.bytes {
		b.waiting = append(b.waiting, bytes.Clone(msg))
		b.size += len(msg)
	}
	return nil
}

func (b *backlog) get() ([]byte, error) {
	for {
		b.mu.Lock()
		if len(b.waiting) > 0 {
			msg := b.waiting[0]
			b.waiting = b.waiting[1:]
			b.size -= len(msg)
			b.mu.Unlock()
			return msg, nil
		}
		if b.ended {
			b.mu.Unlock()
			return nil, errClosed
		}
		b.mu.Unlock()
		select {
		case <-b.some:
		case <-b.closed:
			b.mu.Lock()
			b.ended = len(b.waiting) == 0
			b.mu.Unlock()
		}
	}
}
