package workerchannel

import (
	"slices"
	"strconv"
)

// AppendJSON appends the envelope's canonical JSON (PROTOCOL section 3), which is what goes on the
// wire. It writes the fields as they are: neither Version nor ReplayHash is checked. What no reader
// could accept is refused, and dst comes back unchanged: an ErrInvalidValue or an ErrPayloadTooLarge. Like
// append it uses the capacity of dst, also a few bytes beyond what it returns.
func (e Envelope) AppendJSON(dst []byte) ([]byte, error) {
	f := fieldsOf(e.Op)
	if err := e.checkValues(&f); err != nil {
		return dst, err
	}
	if err := checkPayload(f.payload); err != nil {
		return dst, err
	}
	return e.write(slices.Grow(dst, 512), &f), nil // most messages are shorter
}

// MarshalJSON is AppendJSON for users of encoding/json. Note that json.Marshal rewrites what it is
// given (it escapes <, >, & and two more), so that its text means the same but is not canonical.
func (e Envelope) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil) }

// write appends the members of section 1. The texts are spelled out, not taken from envelopeShape: as
// constants they are written without a call.
func (e *Envelope) write(t jsonText, f *fields) jsonText {
	t = append(t, `{"version":`...).number(uint64(e.Version))
	t = append(t, `,"message_id":`...).number(e.MessageID)
	t = append(t, `,"seq_no":`...).number(e.SeqNo)
	t = append(t, `,"decision_seq":`...).number(e.DecisionSeq)
	t = append(t, `,"seed":`...).number(e.Seed)
	t = append(t, `,"issued_at_turn":`...).number(e.IssuedAtTurn)
	if e.WorkerID != nil { // else absent, not null
		t = writeText(append(t, `,"worker_id":`...), *e.WorkerID)
	}
	t = append(t, `,"replay_hash":`...).number(e.ReplayHash)
	return append(writeOp(append(t, `,"op":`...), f), '}')
}

// A sink takes the pieces of an operation's canonical text: jsonText keeps them, digest hashes them.
type sink[S any] interface {
	literal(text string) S // as it stands
	number(n uint64) S
	bytes(p []byte) S // as an array of numbers
}

// writeOp writes the operation alone, which is what the replay digest is taken over.
func writeOp[S sink[S]](s S, f *fields) S {
	if !f.typ.known() {
		return s
	}
	return writeObject(s, &opTable[f.typ].shape, f)
}

func writeObject[S sink[S]](s S, o *shape, f *fields) S {
	s = s.literal(o.open)
	for i, m := range o.members {
		s = s.literal(o.lead[i])
		switch m {
		case mWorkerID:
			s = writeText(s, f.workerID)
		case mReason:
			s = writeText(s, f.reason)
		case mCode:
			s = writeText(s, f.code)
		case mCategory:
			s = writeText(s, f.category)
		case mMessage:
			s = writeText(s, f.message)
		case mJobID:
			s = s.number(f.jobID)
		case mRegionID:
			s = s.number(f.regionID)
		case mTaskID:
			s = s.number(f.taskID)
		case mObligationID:
			s = s.number(f.obligationID)
		case mPayload:
			s = s.bytes(f.payload)
		case mState:
			s = writeText(s, f.state.wire())
		case mLevel:
			s = writeText(s, f.level.String())
		case mOutcome:
			s = writeObject(s, &outcomeTable[f.status].shape, f)
		case mDetail, mMetadata:
			if f.optional == nil {
				s = s.literal("null")
			} else {
				s = writeText(s, *f.optional)
			}
		}
	}
	return s.literal("}")
}

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
