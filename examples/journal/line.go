package journal

import (
	"encoding/json"
	"hash/crc32"
	"strconv"
)

// A line is a JSON object that is being written.
type line struct{ b []byte }

func (l *line) open() *line {
	l.b = append(l.b[:0], '{')
	return l
}

func (l *line) key(name string) {
	if l.b[len(l.b)-1] != '{' {
		l.b = append(l.b, ',')
	}
	l.b = append(l.b, '"')
	l.b = append(l.b, name...)
	l.b = append(l.b, '"', ':')
}

func (l *line) number(name string, n uint64) *line {
	l.key(name)
	l.b = strconv.AppendUint(l.b, n, 10)
	return l
}

// name writes a string that needs no escapes.
func (l *line) name(name, s string) *line {
	l.key(name)
	l.b = append(l.b, '"')
	l.b = append(l.b, s...)
	l.b = append(l.b, '"')
	return l
}

func (l *line) text(name, s string) *line {
	l.key(name)
	l.b = appendText(l.b, s)
	return l
}

func (l *line) raw(name string, value []byte) *line {
	l.key(name)
	l.b = append(l.b, value...)
	return l
}

// marshal writes what encoding/json makes of a value, for what is rare.
func (l *line) marshal(name string, value any) *line {
	l.key(name)
	l.b = appendJSON(l.b, value)
	return l
}

func (l *line) error(err error) {
	if err == nil {
		l.raw("error", null)
		return
	}
	l.marshal("error", Describe(err))
}

var null = []byte("null")

// seal ends the line with a checksum of what stands before it.
func (l *line) seal() []byte {
	sum := crc32.Checksum(l.b, castagnoli)
	l.b = append(l.b, `,"crc":"`...)
	for shift := 28; shift >= 0; shift -= 4 {
		l.b = append(l.b, "0123456789abcdef"[sum>>shift&15])
	}
	l.b = append(l.b, '"', '}', '\n')
	return l.b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendText appends a string of well-formed UTF-8 as JSON, on one line and without control characters.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			b = append(b, s[from:i]...)
			from = i + 1
			if c >= ' ' {
				b = append(b, '\\', c)
			} else {
				b = append(b, `\u00`...)
				b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
			}
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

func appendJSON(b []byte, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil { // cannot be: only this package's types come here
		return append(b, "null"...)
	}
	return append(b, data...)
}
