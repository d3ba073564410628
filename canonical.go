package workerchannel

import "unicode/utf8"

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
	r.literal(versionAndMessageID)
	env.Version = ProtocolVersion
	env.MessageID = r.number()
	r.literal(beforeSeqNo)
	env.SeqNo = r.number()
	r.literal(beforeDecisionSeq)
	env.DecisionSeq = r.number()
	r.literal(beforeSeed)
	env.Seed = r.number()
	r.literal(beforeIssuedAtTurn)
	env.IssuedAtTurn = r.number()
	if r.consume(beforeWorkerID) {
		env.WorkerID = r.id(known)
	}
	r.literal(beforeReplayHash)
	env.ReplayHash = r.number()
	r.literal(beforeOp)
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

// id reads a worker id, and leaves one with escapes to the decoder. If it is known, its bytes are not copied.
func (r *canonicalReader) id(known string) *string {
	raw := r.name()
	plain, ascii := true, true
	for _, c := range raw {
		plain = plain && c >= ' ' && c != '\\'
		ascii = ascii && c < utf8.RuneSelf
	}
	if !plain || !ascii && !utf8.Valid(raw) {
		r.refuse()
		return nil
	}
	if string(raw) != known {
		known = string(raw)
	}
	return &known
}

func (r *canonicalReader) refuse() { r.text, r.pos, r.refused = nil, 0, true }

// consume passes literal if it comes next, and reports whether it did.
func (r *canonicalReader) consume(literal string) bool {
	if hasAt(r.text, r.pos, literal) {
		r.pos += len(literal)
		return true
	}
	return false
}

func (r *canonicalReader) literal(literal string) {
	if !r.consume(literal) {
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

// name returns what stands between the quotes of a string that has no escapes. It shares memory with text.
func (r *canonicalReader) name() []byte {
	name := r.tag(len(`"`))
	r.literal(`"`)
	r.pos += len(name)
	r.literal(`"`)
	return name
}

// str reads a string and adds it to the digest in the same loop, since the chain of multiplications leaves most of the
// processor idle.
func (r *canonicalReader) str(d digest) (string, digest) {
	r.literal(`"`)
	d = d.byte('"')
	text, start, ascii, escaped := r.text, r.pos, true, false
	for i := start; i < len(text); i++ {
		c := text[i]
		d = d.byte(c)
		switch {
		case c == '"':
			raw := text[start:i]
			if !ascii && !utf8.Valid(raw) {
				r.refuse()
				return "", d
			}
			r.pos = i + 1
			return decoded(raw, escaped), d
		case c == '\\':
			char, n := unescape(text[i:])
			if n == 0 || !isCanonicalEscape(char, text[i:i+n]) {
				r.refuse()
				return "", d
			}
			d = chain(d, text[i+1:i+n])
			i += n - 1
			escaped = true
		case c < ' ':
			r.refuse()
			return "", d
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.refuse()
	return "", d
}

func isCanonicalEscape(c rune, text []byte) bool {
	return c < rune(len(escapes)) && escapes[c] == string(text)
}

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

// object reads what jsonText.object writes, and adds it to the digest member by member, so that the processor computes
// the digest of one while it reads the next.
func (r *canonicalReader) object(o *shape, f *flatOp, d digest) digest {
	for i, m := range o.members {
		start := r.pos
		r.literal(o.text[i])
		switch m.kind() {
		case kNumber:
			*f.number(m) = r.number()
		case kText:
			*f.text(m), d = r.str(r.summed(d, start))
			continue
		case kOptional:
			if !r.consume("null") {
				f.optional = new(string)
				*f.optional, d = r.str(r.summed(d, start))
				continue
			}
		case kPayload:
			d = r.summed(d, start)
			f.payload, d = r.payload(d)
			continue
		case kState:
			if f.state.UnmarshalText(r.name()) != nil {
				r.refuse()
			}
		case kLevel:
			if f.level.UnmarshalText(r.name()) != nil {
				r.refuse()
			}
		case kOutcome:
			d = r.outcome(f, r.summed(d, start))
			continue
		}
		d = r.summed(d, start)
	}
	start := r.pos
	r.literal(o.text[len(o.members)])
	return r.summed(d, start)
}

// payload reads an array of bytes and adds it to the digest.
func (r *canonicalReader) payload(d digest) ([]byte, digest) {
	payload, end, d, ok := canonicalPayload(r.text, r.pos, d)
	if r.pos = end; !ok {
		r.refuse()
	}
	return payload, d
}

// summed adds what has been read since start to the digest.
func (r *canonicalReader) summed(d digest, start int) digest {
	if r.refused {
		return d
	}
	return chain(d, r.text[start:r.pos])
}
