package journal

import (
	"encoding/base64"
	"encoding/json"
	"hash/crc32"
	"strconv"
	"strings"
)

// A line is a JSON object that is being written. Its methods write a member, whose name is given as it stands in the
// text, such as `,"job_id":`.
type line struct{ b []byte }

func (l *line) key(name string) { l.b = append(l.b, name...) }

func (l *line) number(name string, n uint64) *line {
	l.key(name)
	l.b = strconv.AppendUint(l.b, n, 10)
	return l
}

// name writes a string that needs no escapes.
func (l *line) name(name, s string) *line {
	l.key(name)
	l.b = append(append(append(l.b, '"'), s...), '"')
	return l
}

// lossy writes a string that may be ill-formed.
func (l *line) lossy(name, s string) *line { return l.text(name, strings.ToValidUTF8(s, "\ufffd")) }

// text writes a string of well-formed UTF-8, on one line and without control characters.
func (l *line) text(name, s string) *line {
	l.key(name)
	b := append(l.b, '"')
	from := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			b = append(b, s[from:i]...)
			from = i + 1
			if c >= ' ' {
				b = append(b, '\\', c)
			} else {
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
	}
	l.b = append(append(b, s[from:]...), '"')
	return l
}

func (l *line) base64(name string, p []byte) *line {
	l.key(name)
	l.b = append(base64.StdEncoding.AppendEncode(append(l.b, '"'), p), '"')
	return l
}

func (l *line) raw(name string, value []byte) *line {
	l.key(name)
	l.b = append(l.b, value...)
	return l
}

// marshal writes what encoding/json makes of a value, for what is rare.
func (l *line) marshal(name string, value any) *line {
	data, err := json.Marshal(value)
	if err != nil { // cannot be: only this package's types come here
		data = []byte("null")
	}
	return l.raw(name, data)
}

// seal ends the line with a checksum of what stands before it.
func (l *line) seal() []byte {
	sum := crc32.Checksum(l.b, castagnoli)
	l.key(`,"crc":"`)
	for shift := 28; shift >= 0; shift -= 4 {
		l.b = append(l.b, hexDigits[sum>>shift&15])
	}
	l.b = append(l.b, '"', '}', '\n')
	return l.b
}

const hexDigits = "0123456789abcdef"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
