package journal

import (
	"encoding/json"
	"hash/crc32"
	"strconv"
)

// A line is a JSON object that is being written.
type line struct{ b []byte }

// key writes the name of a member as it stands in the text, such as `,"job_id":`.
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
		l.key(`,"error":null`)
		return
	}
	l.marshal(`,"error":`, Describe(err))
}

// seal ends the line with a checksum of what stands before it.
func (l *line) seal() []byte {
	sum := crc32.Checksum(l.b, castagnoli)
	end := [...]byte{',', '"', 'c', 'r', 'c', '"', ':', '"', 0, 0, 0, 0, 0, 0, 0, 0, '"', '}', '\n'}
	for i := range 8 {
		end[8+i] = hexDigits[sum>>(28-4*i)&15]
	}
	l.b = append(l.b, end[:]...)
	return l.b
}

const hexDigits = "0123456789abcdef"

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
				b = append(b, hexDigits[c>>4], hexDigits[c&15])
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
