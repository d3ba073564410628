package workerchannel

// On the wire a payload is an array of numbers, and of a message with a payload that is nearly everything. This file
// has what reads, writes, digests and counts such arrays, and the digits of numbers, written for speed.

import (
	"bytes"
	"math"
	"math/bits"
	"slices"
)

// bytes appends an array, two elements at a time, each with a comma after it; the bracket then replaces the last comma.
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

// bytes takes in what jsonText.bytes appends.
func (d digest) bytes(p []byte) digest {
	d = d.byte('[')
	if last := len(p) - 1; last >= 0 {
		for _, b := range p[:last] {
			e := elementTable[b]
			d = d.byte(byte(e)).byte(byte(e >> 8))
			if b >= 10 {
				d = d.byte(byte(e >> 16))
			}
			if b >= 100 {
				d = d.byte(byte(e >> 24))
			}
		}
		d = d.number(uint64(p[last])) // without a comma
	}
	return d.byte(']')
}

// canonicalPayload reads a canonical array of bytes at text[i:], adds it to the digest, and returns where it ends. It
// refuses everything else.
func canonicalPayload(text []byte, i int, d digest) (payload []byte, end int, _ digest, ok bool) {
	if hasAt(text, i, "[]") {
		return []byte{}, i + 2, chain(d, "[]"), true
	}
	if !hasAt(text, i, "[") || i+1 == len(text) || text[i+1]-'0' > 9 {
		return nil, i, d, false // before it takes memory
	}
	i, d = i+1, d.byte('[')
	for len(payload) == cap(payload) && len(payload) < MaxPayloadBytes {
		payload = moreRoom(payload, len(text)-i)
		i, payload, d = elements(text, i, payload, d, i)
	}
	last := 0
	for end = i; end < min(i+3, len(text)) && text[end]-'0' <= 9; end++ {
		last = 10*last + int(text[end]-'0')
	}
	if end == i || end > i+1 && text[i] == '0' || last > math.MaxUint8 || len(payload) == MaxPayloadBytes || !hasAt(text, end, "]") {
		return nil, i, d, false
	}
	return fitted(append(payload, byte(last))), end + 1, chain(d, text[i:end+1]), true
}

// payload reads an array of bytes.
func (s *scanner) payload() []byte {
	s.expect('[', "expected an array of bytes")
	s.space()
	if s.consume("]") {
		return []byte{}
	}
	input := s.data[s.pos:] // after a failure s.data is empty
	var payload []byte
	for s.err == nil {
		s.space()
		read := len(payload)
		if s.pos, payload, _ = elements(s.data, s.pos, payload, 0, len(s.data)); len(payload) > read {
			continue // there may be white space
		}
		if len(payload) == cap(payload) {
			payload = moreRoom(payload, len(s.data)-s.pos)
		}
		at := s.pos
		b := byte(s.uint(math.MaxUint8))
		if len(payload) == MaxPayloadBytes {
			s.failWith(&ParseError{Offset: at, Err: &PayloadError{countElements(input), MaxPayloadBytes}})
			return nil
		}
		payload = append(payload, b)
		s.space()
		if s.consume("]") {
			return fitted(payload)
		}
		s.expect(',', "expected a comma or the end of the array")
	}
	return nil
}

// elements reads canonical elements from i on, each with the comma after it, until payload is full, and returns where it
// stopped. It adds what it reads from summed on to the digest; with len(text) for summed it computes none. The digest
// follows a few bytes behind in the same loop, since its chain of multiplications leaves most of the processor idle, and
// there is no branch that random bytes could make the processor mispredict.
func elements(text []byte, i int, payload []byte, d digest, summed int) (int, []byte, digest) {
	n, room := len(payload), payload[:min(cap(payload), MaxPayloadBytes)]
	for i+3 < len(text) && n < len(room) {
		q := text[i : i+4 : i+4]
		x := uint32(q[0]) | uint32(q[1])<<8 | uint32(q[2])<<16 | uint32(q[3])<<24
		more := x >> 12 & 1 // digits after the first: a digit has bit 4, a comma has not
		more += x >> 20 & more
		shift := (16 - 8*more) & 31
		x <<= shift // now the last digit and the comma are on top
		b := byte(x & 0x0f0f0f * (100<<16 | 10<<8 | 1) >> 16)
		if x != uint32(elementTable[b])<<shift { // re-encoding b must reproduce the input, which rejects every malformed element
			break
		}
		room[n] = b
		n++
		i += 2 + int(more)
		if summed+3 <= i {
			q := text[summed : summed+3 : summed+3]
			d = d.byte(q[0]).byte(q[1]).byte(q[2])
			summed += 3
		}
	}
	return i, room[:n], chain(d, text[min(summed, i):i])
}

// moreRoom returns a payload, which is not of the largest size, with room for at least one more element, given how many
// bytes of the input have not been read. At first it assumes random elements there, which have 3.57 characters each with
// the comma, and then the shortest: to count them would take another pass.
func moreRoom(payload []byte, input int) []byte {
	most := input / 7 * 2
	if payload != nil {
		most = input / len("0,")
	}
	room := min(most, MaxPayloadBytes-len(payload)-1) + 1
	return append(make([]byte, 0, len(payload)+room), payload...)
}

// fitted returns p, in memory of its own size if it has much more: what follows a short array can be long.
func fitted(p []byte) []byte {
	if cap(p) > 2*len(p)+64 {
		return append(make([]byte, 0, len(p)), p...)
	}
	return p
}

// countElements returns how many elements the array has that begins with text, if all of them are numbers.
func countElements(text []byte) int {
	array, _, _ := bytes.Cut(text, []byte{']'})
	return bytes.Count(array, []byte{','}) + 1
}

// number appends the digits of n.
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
