package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/workerchannel/workerchannel"
)

// A message is one line. Its JSON contains no line feed.

// maxLine is the length of the longest line, which bounds the memory that a broken peer can take. The largest payload
// has 1 MiB of JSON, up to 4 bytes for each of its own; the rest is for strings, which the protocol does not limit and
// this program keeps short.
const maxLine = 2 << 20

var (
	errHalfLine = errors.New("the peer ended in the middle of a line")
	errLongLine = errors.New("the peer wrote a line that is too long")
)

// appendLine appends one message and its line feed.
func appendLine(dst []byte, env workerchannel.Envelope) ([]byte, error) {
	dst, err := env.AppendJSON(dst)
	return append(dst, '\n'), err
}

// readLines calls take with every line until take returns false or the input ends. It returns nil if the input ends after
// a line feed. take may keep the line.
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

// wholeLine is like bufio.ScanLines, but returns an error for what follows the last line feed: a part of a message must
// not be taken for a message.
func wholeLine(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errHalfLine
	}
	return 0, nil, nil
}
