package transporttest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
)

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
	{"skips empty messages", lost, "(0 bytes)", pipes(func(stream net.Conn) Conn {
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
