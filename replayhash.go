package workerchannel

import "math/bits"

// A Header has the numbers of a message (PROTOCOL section 1).
type Header struct {
	MessageID    uint64 // names the message among those of its sender
	SeqNo        uint64 // strictly increasing per sender, from 1; none follows 2^64−1
	DecisionSeq  uint64 // the deterministic decision order, for replay; usually equal to SeqNo
	Seed         uint64 // the seed of the sender's deterministic random numbers
	IssuedAtTurn uint64 // the sender's turn when it made the message
}

// NewHeader returns a header whose DecisionSeq is seqNo, as in most messages.
func NewHeader(messageID, seqNo, seed, turn uint64) Header {
	return Header{MessageID: messageID, SeqNo: seqNo, DecisionSeq: seqNo, Seed: seed, IssuedAtTurn: turn}
}

// ReplayHash returns the replay digest of a message (PROTOCOL section 4): of its numbers, the worker id if there is
// one, and the canonical JSON of the operation. It detects damage, and divergence between two runs; it
// authenticates nothing. For an operation that Validate refuses with ErrInvalidValue the result has no meaning.
func ReplayHash(h Header, workerID *string, op Op) uint64 {
	var f flatOp
	f.set(op)
	return replayHash(&h, workerID, &f)
}

func replayHash(h *Header, workerID *string, f *flatOp) uint64 {
	return uint64(newDigest(h, workerID).object(&opShapes[f.typ], f))
}

// A digest is a replay digest in progress. It takes in an operation without writing its JSON.
type digest uint64

const digestPrime = 0x100000001B3

// newDigest returns the digest of everything before the operation.
func newDigest(h *Header, workerID *string) digest {
	d := h.MessageID*0x9E3779B185EBCA87 + bits.RotateLeft64(h.SeqNo, 13)
	d ^= bits.RotateLeft64(h.DecisionSeq, 23) ^ bits.RotateLeft64(h.Seed, 29) ^ bits.RotateLeft64(h.IssuedAtTurn, 47)
	if workerID != nil {
		for i := range len(*workerID) {
			d = (bits.RotateLeft64(d, 7) ^ uint64((*workerID)[i])) * digestPrime
		}
	}
	return digest(d)
}

// byte adds one byte of the operation's JSON.
func (d digest) byte(b byte) digest {
	return digest((bits.RotateLeft64(uint64(d), 5) ^ uint64(b)) * digestPrime)
}

// chain adds bytes of the operation's JSON.
func chain[T ~string | ~[]byte](d digest, text T) digest {
	for i := range len(text) {
		d = d.byte(text[i])
	}
	return d
}

// object takes in what jsonText.object writes.
func (d digest) object(o *shape, f *flatOp) digest {
	for i, m := range o.members {
		d = chain(d, o.text[i])
		switch m.kind() {
		case kNumber:
			d = d.number(*f.number(m))
		case kText:
			d = d.str(*f.text(m))
		case kOptional:
			if f.optional == nil {
				d = chain(d, "null")
			} else {
				d = d.str(*f.optional)
			}
		case kPayload:
			d = d.bytes(f.payload)
		case kState:
			d = d.str(f.state.wire())
		case kLevel:
			d = d.str(f.level.String())
		case kOutcome:
			d = d.object(&outcomeShapes[f.status], f)
		}
	}
	return chain(d, o.text[len(o.members)])
}

func (d digest) str(text string) digest {
	d = d.byte('"')
	for i := range len(text) {
		if e := escape(text[i]); e != "" {
			d = chain(d, e)
		} else {
			d = d.byte(text[i])
		}
	}
	return d.byte('"')
}

func (d digest) number(n uint64) digest {
	if n < 10 {
		return d.byte('0' + byte(n))
	}
	var room [20]byte
	return chain(d, jsonText(room[:0]).number(n))
}
