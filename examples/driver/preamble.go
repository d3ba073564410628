package driver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// How much a process may print before its first message.
const (
	mostPreamble  = 100 // lines
	bytesPreamble = 64 << 10
)

// ErrPreamble is why a Host ends a worker of Start, with the last line, that prints too much before its first message.
var ErrPreamble = errors.New("driver: process printed more than 100 lines or 64 KiB before its first message")

// A preamble is what a process prints before its first message: a banner, the lines of a logger, a byte-order mark.
type preamble struct {
	over  bool // the first message has come
	lines int
	bytes int
	log   func(line []byte) // the host's; nil: there is none, and all lines are messages
}

// message returns what is a message of a line, if anything is. After the first message all lines are that are not
// blank.
func (p *preamble) message(line []byte) (msg []byte, ok bool, err error) {
	blank := len(bytes.TrimSpace(line)) == 0
	if p.over {
		return line, !blank, nil
	}
	line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	if p.over = hasVersion(line); p.over {
		return line, true, nil
	}
	line, msg = split(line)
	p.over = msg != nil
	p.lines++
	p.bytes += len(line) + 1
	switch {
	case p.lines > mostPreamble || p.bytes > bytesPreamble:
		return nil, false, fmt.Errorf("%w: %s", ErrPreamble, safetext.Excerpt(line))
	case !blank:
		p.log(line)
	}
	return msg, p.over, nil
}

// split returns what stands before a message on its line, as after a print without a line feed, and the message; nil if
// there is none.
func split(line []byte) (before, msg []byte) {
	at := bytes.LastIndex(line, []byte(`{"version"`))
	if at < 0 {
		return line, nil
	}
	if _, err := workerchannel.Verify(line[at:]); err != nil {
		return line, nil // a logger has written it
	}
	return line[:at], line[at:]
}

// hasVersion reports whether a line is a JSON object with an integer as its version. A logger may have a version, too,
// but that is a string.
func hasVersion(line []byte) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(line, &members) != nil {
		return false
	}
	digits := bytes.TrimPrefix(members["version"], []byte("-"))
	return len(digits) > 0 && len(bytes.Trim(digits, "0123456789")) == 0
}
