package workerchannel

import (
	"math"
	"unicode/utf8"
)

// A canonicalReader reads what AppendJSON writes for this version, followed by optional white space, and computes the
// digest in the same pass. It refuses everything else without a reason; the decoder then reads the message again from
// the start. So it affects speed only.
type canonicalReader struct {
	text    []byte
	pos     int
	refused bool
}

// readCanonical reads an envelope, without its Op, and the flat form of that, and returns the digest. If the worker id
// equals known, it is not copied. If readCanonical returns false, env and f have no meaning.
func readCanonical(text []byte, known string, env *Envelope, f *flatOp) (hash uint64, ok bool) {
	r := canonicalReader{text: text}
	r.literal(`{"version":1,"message_id":`)
	env.Version = ProtocolVersion
	env.MessageID = r.number()
	r.literal(`,"seq_no":`)
	env.SeqNo = r.number()
	r.literal(`,"decision_seq":`)
	env.DecisionSeq = r.number()
	r.literal(`,"seed":`)
	env.Seed = r.number()
	r.literal(`,"issued_at_turn":`)
	env.IssuedAtTurn = r.number()
	if r.next(`,"worker_id":`) {
		id, _ := r.str(0)
		env.WorkerID = newID(id, known)
	}
	r.literal(`,"replay_hash":`)
	env.ReplayHash = r.number()
	r.literal(`,"op":`)
	d := r.operation(f, newDigest(&env.Header, env.WorkerID))
	r.literal(`}`)
	for !r.refused && r.pos < len(text) {
		if !isSpace(text[r.pos]) {
			return 0, false
		}
		r.pos++
	}
	return uint64(d), !r.refused
}

// newID returns a pointer to a new variable with the id. If the id equals known, its bytes are not copied.
func newID(id []byte, known string) *string {
	if string(id) != known {
		known = string(id)
	}
	return &known
}

func (r *canonicalReader) refuse() { r.text, r.pos, r.refused = nil, 0, true }

// next passes literal if it comes next, and reports whether it did.
func (r *canonicalReader) next(literal string) bool {
	if hasAt(r.text, r.pos, literal) {
		r.pos += len(literal)
		return true
	}
	return false
}

func (r *canonicalReader) literal(literal string) {
	if !r.next(literal) {
		r.refuse()
	}
}

// number reads an integer.
func (r *canonicalReader) number() (n uint64) {
	text, i := r.text, r.pos
	for ; i < len(text); i++ {
		digit := text[i] - '0'
		if digit > 9 {
			break
		}
		n = n*10 + uint64(digit)
	}
	start, digits := r.pos, i-r.pos
	r.pos = i
	switch {
	case digits == 1:
	case digits == 0 || digits > 20 || text[start] == '0':
		r.refuse()
	case digits == 20 && (text[start] != '1' || n < 1e19):
		// The number exceeds 2^64−1: it is 2·10^19 or more, or n is what is left of it, less than 2·10^19 − 2^64.
		r.refuse()
	}
	return n
}

// The methods below extend the digest by what they read.

func (r *canonicalReader) operation(f *flatOp, d digest) digest {
	f.typ = opTypeByName(r.tag(len(`{"type":"`)))
	if f.typ == 0 {
		r.refuse()
		return d
	}
	return r.object(&opShapes[f.typ], f, d)
}

func (r *canonicalReader) outcome(f *flatOp, d digest) digest {
	f.status = outcomeByName(r.tag(len(`{"status":"`)))
	if f.status == 0 {
		r.refuse()
		return d
	}
	return r.object(&outcomeShapes[f.status], f, d)
}

// tag returns what is between pos+behind and the next quote: the value of the tag, if the object begins with one. It
// does not move pos; object checks what it has passed over.
func (r *canonicalReader) tag(behind int) []byte {
	text := r.text[min(r.pos+behind, len(r.text)):]
	for i, c := range text {
		if c == '"' {
			return text[:i]
		}
	}
	return nil
}

// object reads what jsonText.object writes.
func (r *canonicalReader) object(o *shape, f *flatOp, d digest) digest {
	for i, m := range o.members {
		d = r.summed(o.text[i], d)
		switch m.kind() {
		case kNumber:
			*f.number(m), d = r.summedNumber(d)
		case kText:
			var text []byte
			text, d = r.str(d)
			*f.text(m) = string(text)
		case kOptional:
			if r.next("null") {
				d = chain(d, "null")
			} else {
				var text []byte
				text, d = r.str(d)
				optional := string(text)
				f.optional = &optional
			}
		case kPayload:
			f.payload, d = r.payload(d)
		case kState:
			var name []byte
			if name, d = r.str(d); f.state.UnmarshalText(name) != nil {
				r.refuse()
			}
		case kLevel:
			var name []byte
			if name, d = r.str(d); !f.level.setName(name) {
				r.refuse()
			}
		case kOutcome:
			d = r.outcome(f, d)
		}
	}
	return r.summed(o.text[len(o.members)], d)
}

// summed is like literal, and adds it to the digest.
func (r *canonicalReader) summed(literal string, d digest) digest {
	r.literal(literal)
	return chain(d, literal)
}

// summedNumber is like number, and adds the digits to the digest.
func (r *canonicalReader) summedNumber(d digest) (uint64, digest) {
	text, start := r.text, r.pos
	n := r.number()
	if r.refused {
		return 0, d
	}
	return n, chain(d, text[start:r.pos])
}

// str reads a string. The result may share memory with text.
func (r *canonicalReader) str(d digest) ([]byte, digest) {
	text, start := r.text, r.pos+1
	if start > len(text) || text[r.pos] != '"' {
		r.refuse()
		return nil, d
	}
	d = d.byte('"')
	ascii, escaped := true, false
	for i := start; i < len(text); i++ {
		c := text[i]
		d = d.byte(c)
		switch {
		case c == '"':
			raw := text[start:i]
			if !ascii && !utf8.Valid(raw) {
				r.refuse()
				return nil, d
			}
			if r.pos = i + 1; escaped {
				raw = unescaped(raw)
			}
			return raw, d
		case c == '\\':
			char, n := unescape(text[i:])
			if n == 0 || !isCanonicalEscape(char, text[i:i+n]) {
				r.refuse()
				return nil, d
			}
			d = chain(d, text[i+1:i+n])
			i += n - 1
			escaped = true
		case c < ' ':
			r.refuse()
			return nil, d
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.refuse()
	return nil, d
}

func isCanonicalEscape(c rune, text []byte) bool {
	return c < rune(len(escapes)) && escapes[c] == string(text)
}

// payload reads an array of bytes.
func (r *canonicalReader) payload(d digest) ([]byte, digest) {
	if r.next("[]") {
		return []byte{}, chain(d, "[]")
	}
	d = r.summed("[", d)
	if r.pos == len(r.text) || r.text[r.pos]-'0' > 9 {
		r.refuse() // before it takes memory
		return nil, d
	}
	var payload []byte
	for len(payload) == cap(payload) && len(payload) < MaxPayloadBytes {
		payload = moreRoom(payload, len(r.text)-r.pos)
		r.pos, payload, d = elements(r.text, r.pos, payload, d, r.pos)
	}
	last, d := r.summedNumber(d)
	if r.refused || last > math.MaxUint8 || len(payload) == MaxPayloadBytes {
		r.refuse()
		return nil, d
	}
	return append(payload, byte(last)), r.summed("]", d)
}
