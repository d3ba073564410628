package workerchannel

import (
	"bytes"
	"math"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep objects and arrays may nest, the envelope being the first level.
const maxDepth = 127

// A scanner reads JSON tokens one after another. After the first failure it is at the end of an empty input,
// so every loop over it ends.
type scanner struct {
	data  []byte
	pos   int
	depth int   // of the object or array at pos
	err   error // the first failure

	scratch []byte // see name
}

func (s *scanner) fail(cause string) { s.failAt(s.pos, cause) }

func (s *scanner) failAt(offset int, cause string) {
	s.failWith(&ParseError{Offset: offset, Cause: cause})
}

// failWith keeps the first failure and ends the input, so that all reading comes to a stop.
func (s *scanner) failWith(err error) {
	if s.err == nil {
		s.err, s.data, s.pos = err, nil, 0
	}
}

// peek returns the next byte; at the end 0, which begins no JSON token.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// consume skips literal if it comes next, and reports whether it did.
func (s *scanner) consume(literal string) bool {
	if hasAt(s.data, s.pos, literal) {
		s.pos += len(literal)
		return true
	}
	return false
}

// hasAt reports whether literal comes next in text after i bytes.
func hasAt(text []byte, i int, literal string) bool {
	end := i + len(literal)
	return end <= len(text) && string(text[i:end]) == literal
}

func (s *scanner) expect(c byte, cause string) {
	if s.peek() == c {
		s.pos++
	} else {
		s.fail(cause)
	}
}

func (s *scanner) space() {
	for isSpace(s.peek()) {
		s.pos++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// member reads what stands between two values of an object, and returns the name of the next member; false if there
// is none. If open is false the brace that opens the object comes first.
func (s *scanner) member(open bool) (name []byte, ok bool) {
	s.space()
	if !open {
		s.expect('{', "expected an object")
		s.space()
	}
	switch {
	case s.consume("}"):
		return nil, false
	case open:
		s.expect(',', "expected a comma or the end of the object")
		s.space()
	}
	name = s.name()
	s.space()
	s.expect(':', "expected a colon")
	return name, s.err == nil
}

// uint reads an integer up to a limit.
func (s *scanner) uint(limit uint64) (n uint64) {
	const most, last = math.MaxUint64 / 10, math.MaxUint64 % 10
	start, i := s.pos, s.pos
	for ; i < len(s.data); i++ {
		d := uint64(s.data[i] - '0')
		if d > 9 {
			break
		}
		if n > most || n == most && d > last {
			s.failAt(start, "number is out of range")
			return 0
		}
		n = n*10 + d
	}
	s.pos = i
	switch c := s.peek(); {
	case s.pos == start:
		s.fail("expected an integer")
	case s.pos > start+1 && s.data[start] == '0':
		s.failAt(start, "number has a leading zero")
	case c == '.' || c == 'e' || c == 'E':
		s.failAt(start, "expected an integer without fraction or exponent")
	case n > limit:
		s.failAt(start, "number is out of range")
	}
	return n
}

// string reads a string.
func (s *scanner) string() string { return decoded(s.scanString()) }

func (s *scanner) optionalString() *string {
	if s.consume("null") {
		return nil
	}
	str := s.string()
	return &str
}

// name reads a string that is compared with the names of the protocol. The result may share memory with data, and is
// overwritten by the next. A string that is too long for such a name keeps its escapes, and equals none.
func (s *scanner) name() []byte {
	const longest = 20
	raw, escaped := s.scanString()
	if !escaped || len(raw) > longest*len(`\u0000`) {
		return raw
	}
	s.scratch = s.scratch[:0]
	for len(raw) > 0 {
		plain, c, rest := cutEscape(raw)
		if s.scratch, raw = append(s.scratch, plain...), rest; c >= 0 {
			s.scratch = utf8.AppendRune(s.scratch, c)
		}
	}
	return s.scratch
}

// decoded returns the string that has raw between its quotes, where escapes are valid.
func decoded(raw []byte, escaped bool) string {
	if !escaped {
		return string(raw)
	}
	return unescaped(raw)
}

func unescaped(raw []byte) string {
	var b strings.Builder
	b.Grow(len(raw))
	for len(raw) > 0 {
		plain, c, rest := cutEscape(raw)
		b.Write(plain)
		if c >= 0 {
			b.WriteRune(c)
		}
		raw = rest
	}
	if b.Len() <= b.Cap()/2 { // an escape is up to six times as long as its character
		return strings.Clone(b.String())
	}
	return b.String()
}

// cutEscape returns what stands before the first escape, the character of that, and what comes after it; c is negative
// if there is none.
func cutEscape(raw []byte) (plain []byte, c rune, rest []byte) {
	i := bytes.IndexByte(raw, '\\')
	if i < 0 {
		return raw, -1, nil
	}
	c, n := unescape(raw[i:])
	return raw[:i], c, raw[i+n:]
}

// scanString reads a string and returns what stands between its quotes, and whether that has escapes. Whatever is
// to be refused in a string is refused here.
func (s *scanner) scanString() (raw []byte, escaped bool) {
	s.expect('"', "expected a string")
	start, ascii := s.pos, true
	for i := start; i < len(s.data); {
		switch c := s.data[i]; {
		case c == '"':
			s.pos = i + 1
			if raw = s.data[start:i]; !ascii && !utf8.Valid(raw) {
				s.failAt(start, "string is not well-formed UTF-8")
				return nil, false
			}
			return raw, escaped
		case c == '\\':
			_, n := unescape(s.data[i:])
			if n == 0 {
				s.failAt(i, "invalid escape or unpaired surrogate")
				return nil, false
			}
			escaped = true
			i += n
		case c < ' ':
			s.failAt(i, "control character in a string")
			return nil, false
		default:
			ascii = ascii && c < utf8.RuneSelf
			i++
		}
	}
	s.failAt(len(s.data), "string does not end")
	return nil, false
}

// unescape decodes the escape at the beginning of text and returns its length; 0 if it is not one.
func unescape(text []byte) (c rune, n int) {
	if len(text) < 2 {
		return 0, 0
	}
	switch e := text[1]; e {
	case '"', '\\', '/':
		return rune(e), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	unit, ok := codeUnit(text)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(unit):
		return unit, 6
	}
	low, _ := codeUnit(text[6:])
	if c = utf16.DecodeRune(unit, low); c == utf8.RuneError {
		return 0, 0
	}
	return c, 12
}

// codeUnit decodes the \uXXXX at the beginning of text.
func codeUnit(text []byte) (u rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		u = u<<4 | rune(c)
	}
	return u, true
}

// skip reads any JSON value.
func (s *scanner) skip() {
	s.space()
	switch c := s.peek(); {
	case c == '"':
		s.scanString()
	case c == '{' || c == '[':
		if s.depth++; s.depth > maxDepth {
			s.fail("objects and arrays are nested too deep")
		}
		if c == '{' {
			s.skipObject()
		} else {
			s.skipArray()
		}
		s.depth--
	case c == '-' || '0' <= c && c <= '9':
		s.skipNumber()
	case s.consume("true"), s.consume("false"), s.consume("null"):
	default:
		s.fail("expected a value")
	}
}

func (s *scanner) skipObject() {
	for _, ok := s.member(false); ok; _, ok = s.member(true) {
		s.skip()
	}
}

func (s *scanner) skipArray() {
	s.expect('[', "expected an array")
	s.space()
	if s.consume("]") {
		return
	}
	for s.err == nil {
		s.skip()
		s.space()
		if s.consume("]") {
			return
		}
		s.expect(',', "expected a comma or the end of the array")
	}
}

func (s *scanner) skipNumber() {
	s.consume("-")
	if !s.consume("0") {
		s.skipDigits()
	}
	if s.consume(".") {
		s.skipDigits()
	}
	if s.consume("e") || s.consume("E") {
		if !s.consume("+") {
			s.consume("-")
		}
		s.skipDigits()
	}
}

func (s *scanner) skipDigits() {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	if s.pos == start {
		s.fail("expected a digit")
	}
}
