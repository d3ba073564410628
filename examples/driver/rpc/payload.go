package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

// A header is the first line of a payload, which the body follows; docs/rpc.md specifies both.
type header struct {
	Method  string            `json:"method"`
	Timeout *int64            `json:"timeout_ms,omitempty"` // nil: the call has no deadline
	Meta    map[string]string `json:"meta,omitempty"`
}

// split returns the parts of a payload.
func split(payload []byte) (h header, body []byte, err error) {
	line, body, ok := bytes.Cut(payload, []byte{'\n'})
	if !ok {
		return h, nil, errors.New("header: expected a line feed after it")
	}
	r := reader{rest: line}
	r.advance(0)
	r.object(func(name string) {
		switch name {
		case "method":
			h.Method = r.text()
		case "timeout_ms":
			h.Timeout = r.number()
		case "meta":
			h.Meta = map[string]string{}
			r.object(func(key string) { h.Meta[key] = r.text() })
		default:
			r.value(new(json.RawMessage))
		}
	})
	if len(r.rest) > 0 {
		r.fail("its end")
	}
	if h.Method == "" {
		r.fail("a method")
	}
	return h, body, r.err
}

// A reader reads a header. With encoding/json that would take as long as the rest of what Call adds to Do, and METHOD
// would be a method.
type reader struct {
	rest []byte
	err  error // what was the first not to be as expected
}

func (r *reader) fail(expected string) {
	if r.err == nil {
		r.err = fmt.Errorf("header: expected %s, got %.32q", expected, r.rest)
	}
}

// advance skips some bytes, and the space behind them.
func (r *reader) advance(n int) { r.rest = bytes.TrimLeft(r.rest[n:], " \t\r") }

func (r *reader) skip(c byte) bool {
	if len(r.rest) == 0 || r.rest[0] != c {
		return false
	}
	r.advance(1)
	return true
}

func (r *reader) expect(c byte) {
	if !r.skip(c) {
		r.fail(strconv.QuoteRune(rune(c)))
	}
}

// object calls member, which is to read the value, with each name.
func (r *reader) object(member func(name string)) {
	r.expect('{')
	for more := !r.skip('}'); more && r.err == nil; {
		name := r.text()
		r.expect(':')
		member(name)
		if more = r.skip(','); !more {
			r.expect('}')
		}
	}
}

func (r *reader) text() string {
	if len(r.rest) == 0 || r.rest[0] != '"' {
		r.fail("a string")
		return ""
	}
	end := 1 + bytes.IndexFunc(r.rest[1:], func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' })
	if end == 0 || r.rest[end] != '"' {
		text := new(string) // it is not plain ASCII
		r.value(text)
		return *text
	}
	text := string(r.rest[1:end])
	r.advance(end + 1)
	return text
}

func (r *reader) number() *int64 {
	digits := r.rest[:len(r.rest)-len(bytes.TrimLeft(r.rest, "0123456789"))]
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || len(digits) > 1 && digits[0] == '0' {
		r.fail("an integer from 0")
	}
	r.advance(len(digits))
	return &n
}

// value reads any JSON.
func (r *reader) value(into any) {
	d := json.NewDecoder(bytes.NewReader(r.rest))
	if d.Decode(into) != nil {
		r.fail("JSON")
		return
	}
	r.advance(int(d.InputOffset()))
}

// appendBody appends a body: nothing for nil, a []byte as it is, and anything else as JSON.
func appendBody(text []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return text, nil
	case []byte:
		return append(text, v...), nil
	}
	body, err := json.Marshal(v)
	return append(text, body...), err
}

// readBody reads a body, which it keeps if T is []byte. Otherwise an empty one is read as null.
func readBody[T any](body []byte) (v T, err error) {
	if raw, ok := any(&v).(*[]byte); ok {
		*raw = body
		return v, nil
	}
	if len(body) == 0 {
		body = []byte("null")
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return *new(T), fmt.Errorf("the body is not a %v: %w", reflect.TypeFor[T](), err)
	}
	return v, nil
}
