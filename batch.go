package workerchannel

// An Outgoing is a message that AppendBatch has taken from an outbox.
type Outgoing struct {
	Envelope Envelope
	Text     []byte // its canonical JSON, a part of what AppendBatch has returned

	start, end int // of Text
}

// A sealer writes messages and seals several at once: the digest of a message is a serial chain, which leaves most of
// the processor idle.
type sealer struct {
	text     jsonText
	unsealed [4]unsealed
	lanes    [4]lane // of the digests of unsealed[:n]
	n        int
}

// An unsealed message has room for the longest digest in its text.
type unsealed struct {
	message        *Outgoing
	start, op, end int // in the text: the message, what follows its digest, and what follows it
}

const longestNumber = "18446744073709551615"

// add writes a message, whose envelope has no digest yet.
func (s *sealer) add(m *Outgoing, f *flatOp) {
	if s.n == len(s.unsealed) {
		s.seal()
	}
	u, e := &s.unsealed[s.n], &m.Envelope
	*u = unsealed{message: m, start: len(s.text)}
	t := append(e.writeNumbers(s.text), longestNumber...)
	u.op = len(t)
	t = append(t, beforeOp...).object(&opShapes[f.typ], f)
	s.lanes[s.n] = lane{newDigest(&e.Header, e.WorkerID), t[u.op+len(beforeOp):]}
	s.text = append(t, '}')
	u.end = len(s.text)
	s.n++
}

// seal gives the messages their digests. What stands before a digest moves up to it.
func (s *sealer) seal() {
	sumTogether(&s.lanes)
	for i := range s.unsealed[:s.n] {
		u, hash := &s.unsealed[i], uint64(s.lanes[i].d)
		var room [len(longestNumber)]byte
		digits := jsonText(room[:0]).number(hash)
		start := u.start + len(longestNumber) - len(digits)
		copy(s.text[start:], s.text[u.start:u.op-len(longestNumber)])
		copy(s.text[u.op-len(digits):], digits)
		u.message.Envelope.ReplayHash = hash
		u.message.start, u.message.end = start, u.end
	}
	s.n, s.lanes = 0, [4]lane{}
}

// finish seals the rest of a batch, and returns the text with those of its messages.
func (s *sealer) finish(batch []Outgoing) []byte {
	s.seal()
	for i := range batch { // only now, since the text is not moved any more
		m := &batch[i]
		m.Text = s.text[m.start:m.end:m.end]
	}
	return s.text
}

// A lane is a digest and what it still has to take in.
type lane struct {
	d    digest
	text []byte
}

// sumTogether computes four digests in the time of one.
func sumTogether(lanes *[4]lane) {
	for {
		var shortest []byte
		left := 0
		for _, l := range lanes {
			if len(l.text) == 0 {
				continue
			}
			if left++; left == 1 || len(l.text) < len(shortest) {
				shortest = l.text
			}
		}
		if left == 0 {
			return
		}
		var texts [len(lanes)][]byte
		for i := range lanes {
			l := &lanes[i]
			switch {
			case len(l.text) == 0:
				texts[i] = shortest // what is computed here is not used
			case left == 1:
				l.d = chain(l.d, l.text)
				return
			default:
				texts[i] = l.text[:len(shortest)]
			}
		}
		a, b, c, d := lanes[0].d, lanes[1].d, lanes[2].d, lanes[3].d
		t, u, v, w := texts[0], texts[1], texts[2], texts[3]
		u, v, w = u[:len(t)], v[:len(t)], w[:len(t)]
		for i := range t {
			a, b, c, d = a.byte(t[i]), b.byte(u[i]), c.byte(v[i]), d.byte(w[i])
		}
		for i, d := range [...]digest{a, b, c, d} {
			if l := &lanes[i]; len(l.text) > 0 {
				l.d, l.text = d, l.text[len(shortest):]
			}
		}
	}
}
