package workerchannel

import (
	"slices"
	"strconv"
)

// A sink takes the pieces of an operation's canonical JSON: jsonText appends them, digest hashes them.
type sink[S any] interface {
	literal(json string) S
	number(n uint64) S
	bytes(p []byte) S // as an array of numbers
}

// writeOp writes the operation alone, which is what the replay digest covers.
func writeOp[S sink[S]](s S, f *flatOp) S {
	if !f.typ.known() {
		return s
	}
	return writeObject(s, &opShapes[f.typ], f)
}

func writeObject[S sink[S]](s S, o *shape, f *flatOp) S {
	s = s.literal(o.open)
	for i, m := range o.members {
		s = s.literal(o.lead[i])
		switch m {
		case mWorkerID:
			s = writeString(s, f.workerID)
		case mReason:
			s = writeString(s, f.reason)
		case mCode:
			s = writeString(s, f.code)
		case mCategory:
			s = writeString(s, f.category)
		case mMessage:
			s = writeString(s, f.message)
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
			s = writeString(s, f.state.wire())
		case mLevel:
			s = writeString(s, f.level.String())
		case mOutcome:
			s = writeObject(s, &outcomeShapes[f.status], f)
		case mDetail, mMetadata:
			if f.optional == nil {
				s = s.literal("null")
			} else {
				s = writeString(s, *f.optional)
			}
		}
	}
	return s.literal("}")
}

func writeString[S sink[S]](s S, text string) S {
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

type jsonText []byte

func (t jsonText) literal(text string) jsonText { return append(t, text...) }

func (t jsonText) number(n uint64) jsonText { return strconv.AppendUint(t, n, 10) }

// bytes writes two elements at a time, each with a comma after it; the bracket then replaces the last comma.
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

// elements has each byte as an element of a JSON array with the comma after it, "0," to "255,", the first
// character in the lowest byte. widths has their lengths.
var elements, widths = func() (text [256]uint32, width [256]uint8) {
	for b := range text {
		for i, c := range append(strconv.AppendUint(nil, uint64(b), 10), ',') {
			text[b] |= uint32(c) << (8 * i)
			width[b]++
		}
	}
	return text, width
}()
