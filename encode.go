package workerchannel

import (
	"math/bits"
	"slices"
)

// A jsonText is canonical JSON being written. A digest has methods that hash the same text without writing it, and a
// canonicalReader reads it.
type jsonText []byte

// object appends an object of a shape.
func (t jsonText) object(o *shape, f *flatOp) jsonText {
	for i, m := range o.members {
		t = append(t, o.text[i]...)
		switch m.kind() {
		case kNumber:
			t = t.number(*f.number(m))
		case kText:
			t = t.str(*f.text(m))
		case kOptional:
			if f.optional == nil {
				t = append(t, "null"...)
			} else {
				t = t.str(*f.optional)
			}
		case kPayload:
			t = t.bytes(f.payload)
		case kState:
			t = t.str(f.state.wire())
		case kLevel:
			t = t.str(f.level.String())
		case kOutcome:
			t = t.object(&outcomeShapes[f.status], f)
		}
	}
	return append(t, o.text[len(o.members)]...)
}

// str appends a string.
func (t jsonText) str(text string) jsonText {
	t = append(t, '"')
	start := 0
	for i := range len(text) {
		if e := escape(text[i]); e != "" {
			t = append(append(t, text[start:i]...), e...)
			start = i + 1
		}
	}
	return append(append(t, text[start:]...), '"')
}

// escape returns the escape of a character that canonical JSON escapes; "" for any other.
func escape(c byte) string {
	if int(c) < len(escapes) {
		return escapes[c]
	}
	return ""
}

// escapes has the escape of each character that canonical JSON escapes.
var escapes = func() (t ['\\' + 1]string) {
	const hex = "0123456789abcdef"
	for c := range ' ' {
		t[c] = `\u00` + hex[c>>4:c>>4+1] + hex[c&15:c&15+1]
	}
	t['\b'], t['\t'], t['\n'], t['\f'], t['\r'] = `\b`, `\t`, `\n`, `\f`, `\r`
	t['"'], t['\\'] = `\"`, `\\`
	return t
}()

func (t jsonText) number(n uint64) jsonText {
	if n < 10 {
		return append(t, '0'+byte(n))
	}
	digits := bits.Len64(n) * 1233 >> 12 // n has that many, or one more
	if n >= powers[digits] {
		digits++
	}
	t = slices.Grow(t, digits)[:len(t)+digits]
	putDigits(t, n)
	return t
}

// numberLike appends n. If n equals other, it copies text, the digits of other.
func (t jsonText) numberLike(n, other uint64, text []byte) jsonText {
	if n == other {
		return append(t, text...)
	}
	return t.number(n)
}

// putDigits writes the digits of a number at the end of text, from the last to the first.
func putDigits(text []byte, n uint64) {
	i := len(text)
	for n >= 1e8 {
		q := n / 1e8
		i -= 8
		putEight((*[8]byte)(text[i:]), uint32(n-q*1e8))
		n = q
	}
	rest := uint32(n)
	for rest >= 10 {
		q := rest / 100
		two := twoDigits[(rest-q*100)&127]
		i -= 2
		text[i], text[i+1] = two[0], two[1]
		rest = q
	}
	if rest > 0 {
		text[i-1] = '0' + byte(rest)
	}
}

// putEight writes the eight digits of n. No pair depends on another, so that the processor computes them at once.
func putEight(to *[8]byte, n uint32) {
	high := n / 1e4
	low := n - high*1e4
	a, c := high/100, low/100
	p, q, r, s := twoDigits[a&127], twoDigits[(high-a*100)&127], twoDigits[c&127], twoDigits[(low-c*100)&127]
	to[0], to[1], to[2], to[3], to[4], to[5], to[6], to[7] = p[0], p[1], q[0], q[1], r[0], r[1], s[0], s[1]
}

// powers are the powers of ten, from 1.
var powers = func() (p [20]uint64) {
	p[0] = 1
	for i := range p[1:] {
		p[i+1] = 10 * p[i]
	}
	return p
}()

// twoDigits has the numbers 00 to 99.
var twoDigits = func() (d [128][2]byte) { // of 128, so that seven bits are an index
	for n := range 100 {
		d[n] = [2]byte{'0' + byte(n/10), '0' + byte(n%10)}
	}
	return d
}()

// bytes writes two elements at a time, each with a comma after it; the bracket then replaces the last comma.
func (t jsonText) bytes(p []byte) jsonText {
	t = append(slices.Grow(t, 4*len(p)+9), '[') // an element takes up to 4 bytes, and 8 are written at once
	n, text := len(t), t[:cap(t)]
	for i := 0; i < len(p)-1; i += 2 {
		a, b := p[i], p[i+1]
		x, y := elementTable[a], elementTable[b]
		w := x >> 32
		pair := x&0xffffffff | y<<(8*w&63)
		to := (*[8]byte)(text[n:])
		to[0], to[1], to[2], to[3] = byte(pair), byte(pair>>8), byte(pair>>16), byte(pair>>24)
		to[4], to[5], to[6], to[7] = byte(pair>>32), byte(pair>>40), byte(pair>>48), byte(pair>>56)
		n += int(w + y>>32)
	}
	t = text[:n]
	if len(p)%2 == 1 {
		t = append(t.number(uint64(p[len(p)-1])), ',')
	}
	if len(p) > 0 {
		t = t[:len(t)-1]
	}
	return append(t, ']')
}

// elementTable has each byte as an element of a JSON array with the comma after it, "0," to "255,", the first
// character in the lowest byte, and its length in the upper half.
var elementTable = func() (table [256]uint64) {
	for b := range table {
		for i, c := range append(jsonText(nil).number(uint64(b)), ',') {
			table[b] += 1<<32 | uint64(c)<<(8*i)
		}
	}
	return table
}()
