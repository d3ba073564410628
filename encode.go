package workerchannel

import (
	"slices"
	"strconv"
)

// AppendJSON appends the envelope's canonical JSON (PROTOCOL section 3), which is what goes on the
// wire. It writes the fields as they are: neither Version nor ReplayHash is checked. What no reader
// could accept is refused, and dst comes back unchanged: an ErrInvalidValue or an ErrPayloadTooLarge.
func (e Envelope) AppendJSON(dst []byte) ([]byte, error) {
	f := fieldsOf(e.Op)
	if err := e.checkValues(&f); err != nil {
		return dst, err
	}
	if err := checkPayload(f.payload); err != nil {
		return dst, err
	}
	return writeEnvelope(jsonText(dst), &e, &f), nil
}

// MarshalJSON is AppendJSON for users of encoding/json. Mind that json.Marshal rewrites what it is
// given (it escapes <, >, & and two more), so that its text means the same but is not canonical.
func (e Envelope) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil) }

// A sink takes the pieces of a canonical JSON text: jsonText keeps them, digest hashes them.
type sink[S any] interface {
	literal(text string) S // as it stands
	number(n uint64) S
	bytes(p []byte) S // as an array of numbers
}

func writeEnvelope[S sink[S]](s S, e *Envelope, f *fields) S {
	for i, m := range envelopeShape.members {
		if m == mSender && e.WorkerID == nil {
			continue // absent, not null
		}
		s = s.literal(envelopeShape.lead[i])
		switch m {
		case mVersion:
			s = s.number(uint64(e.Version))
		case mSender:
			s = writeText(s, *e.WorkerID)
		case mReplayHash:
			s = s.number(e.ReplayHash)
		case mOp:
			s = writeOp(s, f)
		default:
			s = s.number(*e.Header.number(m))
		}
	}
	return s.literal("}")
}

// writeOp writes the operation alone, which is what the replay digest is taken over.
func writeOp[S sink[S]](s S, f *fields) S {
	if !f.typ.known() {
		return s
	}
	return writeObject(s, &opTable[f.typ].shape, f)
}

func writeObject[S sink[S]](s S, o *shape, f *fields) S {
	for i, m := range o.members {
		s = s.literal(o.lead[i])
		if n := f.number(m); n != nil {
			s = s.number(*n)
		} else if t := f.text(m); t != nil {
			s = writeText(s, *t)
		} else {
			s = writeSpecial(s, m, f)
		}
	}
	return s.literal("}")
}

func writeSpecial[S sink[S]](s S, m member, f *fields) S {
	switch m {
	case mType:
		return writeName(s, opTable[f.typ].name)
	case mStatus:
		return writeName(s, outcomeTable[f.status].name)
	case mPayload:
		return s.bytes(f.payload)
	case mState:
		return writeName(s, f.state.wire())
	case mLevel:
		return writeName(s, f.level.String())
	case mOutcome:
		return writeObject(s, &outcomeTable[f.status].shape, f)
	case mDetail, mMetadata:
		if f.optional == nil {
			return s.literal("null")
		}
		return writeText(s, *f.optional)
	}
	return s
}

func writeName[S sink[S]](s S, name string) S { return s.literal(`"`).literal(name).literal(`"`) }

func writeText[S sink[S]](s S, text string) S {
	s = s.literal(`"`)
	start := 0
	for i := range len(text) {
		if c := text[i]; int(c) < len(escapes) && escapes[c] != "" {
			s = s.literal(text[start:i]).literal(escapes[c])
			start = i + 1
		}
	}
	return s.literal(text[start:]).literal(`"`)
}

// escapes has the characters that canonical text never shows as themselves.
var escapes = func() (t ['\\' + 1]string) {
	const hex = "0123456789abcdef"
	for c := range ' ' {
		t[c] = `\u00` + hex[c>>4:c>>4+1] + hex[c&15:c&15+1]
	}
	t['\b'], t['\t'], t['\n'], t['\f'], t['\r'] = `\b`, `\t`, `\n`, `\f`, `\r`
	t['"'], t['\\'] = `\"`, `\\`
	return t
}()

type jsonText []byte

func (t jsonText) literal(text string) jsonText { return append(t, text...) }

func (t jsonText) number(n uint64) jsonText { return strconv.AppendUint(t, n, 10) }

// bytes writes two elements at a time, each with a comma behind it, of which the last then gives way to
// the bracket.
func (t jsonText) bytes(p []byte) jsonText {
	t = append(slices.Grow(t, 4*len(p)+9), '[') // an element takes up to 4 bytes, and 8 are written at once
	n, text := len(t), t[:cap(t)]
	for i := 0; i < len(p)-1; i += 2 {
		a, b := p[i], p[i+1]
		pair := uint64(elements[a]) | uint64(elements[b])<<(8*widths[a]&63)
		to := (*[8]byte)(text[n:])
		to[0], to[1], to[2], to[3] = byte(pair), byte(pair>>8), byte(pair>>16), byte(pair>>24)
		to[4], to[5], to[6], to[7] = byte(pair>>32), byte(pair>>40), byte(pair>>48), byte(pair>>56)
		n += int(widths[a] + widths[b])
	}
	t = text[:n]
	if len(p)%2 == 1 {
		t = append(strconv.AppendUint(t, uint64(p[len(p)-1]), 10), ',')
	}
	if len(p) > 0 {
		t = t[:len(t)-1]
	}
	return append(t, ']')
}

// elements has each byte's text as an element of an array with the comma behind it, "7," to "255,", the
// first character in the lowest byte; widths has the length of that.
var elements, widths = func() (text [256]uint32, width [256]uint8) {
	for b := range text {
		for i, c := range append(strconv.AppendUint(nil, uint64(b), 10), ',') {
			text[b] |= uint32(c) << (8 * i)
			width[b]++
		}
	}
	return text, width
}()
