package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/workerchannel/workerchannel"
)

// A message goes over a pipe as one line. Its JSON never holds a raw line feed, so none needs escaping.

// maxLine bounds a line, and so the memory that a broken peer can make us spend. The largest payload
// takes 4 bytes of text for each of its own, 1 MiB; the rest is for the texts, which the protocol does
// not bound and this program keeps short. A longer line is the mark of a broken peer.
const maxLine = 2 << 20

var (
	errHalfLine = errors.New("the peer stopped in the middle of a line")
	errLongLine = errors.New("the peer wrote a line that is too long")
)

// appendLine appends one message and its line feed.
func appendLine(dst []byte, env workerchannel.Envelope) ([]byte, error) {
	dst, err := env.AppendJSON(dst)
	return append(dst, '\n'), err
}

// readLines hands every line to take until take answers false, or the stream ends. It answers nil for
// an end between two lines. The line is take's to keep.
func readLines(r io.Reader, take func(line []byte) bool) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	s.Split(wholeLine)
	for s.Scan() {
		if !take(bytes.Clone(s.Bytes())) {
			return nil
		}
	}
	if errors.Is(s.Err(), bufio.ErrTooLong) {
		return errLongLine
	}
	return s.Err()
}

// wholeLine is bufio.ScanLines, but for the rest of a stream after its last line feed: half a message
// must not pass for a whole one.
func wholeLine(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errHalfLine
	}
	return 0, nil, nil
}
