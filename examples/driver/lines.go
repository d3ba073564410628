package driver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// MaxLine is the length of the longest line that Lines reads, in bytes. A message with the largest payload has less
// than 1.1 MiB.
const MaxLine = 2 << 20

// Errors of Recv of the connections that Lines, Start and Stdio return. Their texts have the first bytes of the line.
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
	long  []byte // room for a line that is longer than the buffer of r
	ended error  // what Recv has failed with
	w     io.Writer
	out   []byte // lines that are to be written
	close func() error
}

const lineBuffer = 64 << 10

func newLines(r io.Reader, w io.Writer, closeBoth func() error) *lines {
	return &lines{r: bufio.NewReaderSize(r, lineBuffer), w: w, close: sync.OnceValue(closeBoth)}
}

// Send writes a line, by one call of Write unless it is long.
func (l *lines) Send(msg []byte) error {
	if len(l.out)+len(msg) < lineBuffer {
		l.out = append(append(l.out, msg...), '\n')
		return l.flush()
	}
	if err := l.flush(); err != nil {
		return err
	}
	if _, err := l.w.Write(msg); err != nil {
		return err
	}
	_, err := l.w.Write([]byte{'\n'})
	return err
}

// sendLater is like Send, but may leave it to the next call to write the line.
func (l *lines) sendLater(msg []byte) error {
	if len(l.out)+len(msg) >= lineBuffer {
		return l.Send(msg)
	}
	l.out = append(append(l.out, msg...), '\n')
	return nil
}

// more reports whether Recv has a message without waiting.
func (l *lines) more() bool {
	buffered, _ := l.r.Peek(l.r.Buffered())
	return len(buffered) > 0 && buffered[0] == '{' && bytes.IndexByte(buffered, '\n') >= 0
}

func (l *lines) flush() error {
	if len(l.out) == 0 {
		return nil
	}
	_, err := l.w.Write(l.out)
	l.out = l.out[:0]
	return err
}

// Recv reads a line. The rest of the stream after its last line feed is not a message.
func (l *lines) Recv() ([]byte, error) {
	line, err := l.recvShared()
	return bytes.Clone(line), err
}

func (l *lines) recvShared() ([]byte, error) {
	if l.ended != nil {
		return nil, l.ended
	}
	line, err := l.read()
	l.ended = err
	return line, err
}

func (l *lines) read() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	whole := l.long[:0]
	if whole == nil && errors.Is(err, bufio.ErrBufferFull) {
		whole = make([]byte, 0, 18*lineBuffer) // enough for the largest payload
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		whole = append(whole, line...)
		if line, err = l.r.ReadSlice('\n'); len(whole)+len(line) > MaxLine+1 {
			return nil, fmt.Errorf("%w: %s", ErrLineTooLong, safetext.Excerpt(append(whole, line...)))
		}
	}
	whole = append(whole, line...)
	switch {
	case err == nil:
		if l.long = whole; l.r.Buffered() == 0 {
			l.long = nil // no other may follow soon
		}
		return whole[:len(whole)-1], nil
	case len(whole) > 0:
		return nil, fmt.Errorf("%w: %s: %w", ErrHalfLine, safetext.Excerpt(whole), err)
	}
	return nil, err
}

func (l *lines) Close() error { return l.close() }
