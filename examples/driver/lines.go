package driver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
)

// MaxLine is the length of the longest line that Lines reads, in bytes. A message with the largest payload has less
// than 1.1 MiB.
const MaxLine = 2 << 20

// Errors of Recv of the connections that Lines, Start and Stdio return.
var (
	ErrLineTooLong = errors.New("driver: peer wrote a line that is longer than MaxLine")
	ErrHalfLine    = errors.New("driver: peer stopped in the middle of a line")
)

// Lines returns a connection that carries each message as a line over rw: a pipe, a socket, a serial line. Reading,
// writing and closing rw must be possible at the same time, and closing must make a pending Read and Write return, as
// it does for those of the net package. Close closes rw.
func Lines(rw io.ReadWriteCloser) Conn { return newLines(rw, rw, rw.Close) }

// lines is a connection over a reader and a writer.
type lines struct {
	r     *bufio.Reader
	line  []byte // if it is longer than the buffer of r
	w     io.Writer
	out   []byte
	close func() error
}

const lineBuffer = 64 << 10

func newLines(r io.Reader, w io.Writer, closeBoth func() error) *lines {
	return &lines{r: bufio.NewReaderSize(r, lineBuffer), w: w, close: sync.OnceValue(closeBoth)}
}

// Send writes a line by one call of Write.
func (l *lines) Send(msg []byte) error {
	if cap(l.out) > lineBuffer {
		l.out = nil // seldom needed that large, so not kept
	}
	l.out = append(append(l.out[:0], msg...), '\n')
	_, err := l.w.Write(l.out)
	return err
}

// Recv reads a line. The rest of the stream after its last line feed is not a message.
func (l *lines) Recv() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	if cap(l.line) > lineBuffer {
		l.line = nil
	}
	l.line = append(l.line[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.r.ReadSlice('\n')
		if len(l.line)+len(line) > MaxLine {
			return nil, ErrLineTooLong
		}
		l.line = append(l.line, line...)
	}
	switch {
	case err == nil:
		return l.line[:len(l.line)-1], nil
	case len(l.line) > 0:
		return nil, fmt.Errorf("%w: %w", ErrHalfLine, err)
	}
	return nil, err
}

func (l *lines) Close() error { return l.close() }
