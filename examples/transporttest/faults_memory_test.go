package transporttest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"time"
)

// meet lets another goroutine go on where two must meet for a fault to show, which takes two idle processors otherwise.
// It does nothing if each fault is to be found several times, as when the harness itself is judged.
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
	{"keeps large slices", kept, "", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
		return altered{Conn: c, send: func(msg []byte) error {
			if len(msg) > 64<<10 {
				return c.pass(msg)
			}
			return c.Send(msg)
		}}
	}), nil},
	{"Send and Recv share memory", shared, "use the same memory", replaced(8, func(c *channelConn, _ chan struct{}) Conn {
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

// newSharedFrames has one buffer for the frames of both directions.
func newSharedFrames(stream net.Conn) Conn {
	frame := make([]byte, 4+MaxMessage)
	return altered{
		send: func(msg []byte) error {
			binary.BigEndian.PutUint32(frame, uint32(len(msg)))
			n := 4 + copy(frame[4:], msg)
			meet()
			_, err := stream.Write(frame[:n])
			return err
		},
		recv: func() ([]byte, error) {
			if _, err := io.ReadFull(stream, frame[:4]); err != nil {
				return nil, err
			}
			n := binary.BigEndian.Uint32(frame)
			if n > MaxMessage {
				return nil, errors.New("frame is too large")
			}
			_, err := io.ReadFull(stream, frame[:n])
			return bytes.Clone(frame[:n]), err
		},
		close: stream.Close}
}
