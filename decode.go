package workerchannel

import (
	"bytes"
	"math"
	"slices"
)

// ParseEnvelope reads one envelope from any JSON of the same meaning (PROTOCOL section 3) and validates it
// (section 5). If data is not an envelope, it returns a *ParseError, whose kind is ErrMalformed or
// ErrPayloadTooLarge; otherwise it returns the errors of Envelope.Validate. The envelope shares no memory with
// data. It may be called from several goroutines at once.
func ParseEnvelope(data []byte) (Envelope, error) {
	d := decoder{scanner: scanner{data: data}, verifying: true}
	if err := d.verify(); err != nil {
		return Envelope{}, err
	}
	return d.env, nil
}

// Verify is like ParseEnvelope, and its result is the proof for HandleVerified. It may be called from several
// goroutines at once.
func Verify(data []byte) (Verified, error) {
	env, err := ParseEnvelope(data)
	return Verified{env}, err
}

// UnmarshalJSON reads an envelope from any JSON of the same meaning and does not validate it, so its digest, for
// example, may be wrong. After an error the envelope is unchanged. The error is a *ParseError.
func (e *Envelope) UnmarshalJSON(data []byte) error {
	d := decoder{scanner: scanner{data: data}}
	if err := d.read(); err != nil {
		return err
	}
	*e = d.env
	return nil
}

// A decoder reads one envelope. It takes the members in any order, and is fast when they come as canonical
// JSON has them: then it passes what stands before each value in one step, and takes the digest from the very
// bytes of the operation. What is not canonical only turns that off.
type decoder struct {
	scanner
	env     Envelope // without Op until everything has been read
	op      flatOp
	headers int // how many numbers of the Header have been read

	verifying bool // the digest is needed
	digested  bool // digest is that of the whole message
}

// read reads the envelope.
func (d *decoder) read() error {
	d.object(&envelopeShape)
	d.space()
	if d.pos < len(d.data) {
		d.fail("expected the end of the input after the envelope")
	}
	if d.err == nil {
		d.env.Op = d.op.op()
	}
	return d.err
}

// verify reads the envelope and validates it.
func (d *decoder) verify() error {
	if err := d.read(); err != nil {
		return err
	}
	if err := d.env.checkVersion(); err != nil {
		return err
	}
	hash := uint64(d.digest)
	if !d.digested {
		hash = replayHash(&d.env.Header, d.env.WorkerID, &d.op)
	}
	return d.env.checkDigest(&d.op, hash)
}

// object reads an object of shape o.
func (d *decoder) object(o *shape) {
	start := d.pos
	d.depth++
	var seen uint32 // a bit for each member
	if d.consume(o.open) {
		seen = 1 << o.tag
		for i, m := range o.members {
			if d.consume(o.lead[i]) {
				seen |= 1 << m
				d.value(m)
				d.sum()
			} else if m != mEnvelopeWorker { // canonical JSON omits it when it is absent
				break
			}
		}
	}
	seen &^= 1 << mNone
	for name, ok := d.name(seen != 0); ok; name, ok = d.name(true) {
		m := o.memberByName(name)
		switch {
		case m == mNone:
			d.skip()
		case seen&(1<<m) != 0:
			d.fail("member " + m.String() + " is given twice")
		default:
			seen |= 1 << m
			d.value(m)
		}
	}
	for _, m := range o.members {
		if seen&(1<<m) == 0 {
			d.absent(m, start)
		}
	}
	d.depth--
}

// absent records that the object at start ended without m.
func (d *decoder) absent(m member, start int) {
	switch m {
	case mEnvelopeWorker:
	case mDetail, mMetadata:
		d.canonical = false // canonical JSON has a null
	default:
		d.failAt(start, "member "+m.String()+" is missing")
	}
}

// tag returns the value of the tag of the object that comes next, wherever in the object it stands, and where it
// is. It does not move pos.
func (d *decoder) tag(m member) (tag []byte, at int) {
	start, canonical := d.pos, d.canonical
	for name, ok := d.name(false); ok; name, ok = d.name(true) {
		if string(name) == m.String() {
			d.space()
			at = d.pos
			if tag = d.stringBytes(); d.err == nil {
				d.pos, d.canonical = start, canonical
			}
			return tag, at
		}
		d.skip()
	}
	d.failAt(start, "member "+m.String()+" is missing")
	return nil, start
}

// likelyTag returns the same as tag if the object begins with the tag and the tag has no escapes. It checks nothing
// else: if the result is not a name that the caller knows, call tag.
func (d *decoder) likelyTag(m member) []byte {
	start := d.pos
	var tag []byte
	if d.consume(`{"`) && d.consume(m.String()) && d.consume(`":"`) {
		tag, _, _ = bytes.Cut(d.data[d.pos:], []byte{'"'})
	}
	d.pos = start
	return tag
}

// value reads the value of a member.
func (d *decoder) value(m member) {
	d.space()
	switch m {
	case mVersion:
		d.env.Version = uint32(d.uint(math.MaxUint32))
	case mMessageID:
		d.env.MessageID = d.header()
	case mSeqNo:
		d.env.SeqNo = d.header()
	case mDecisionSeq:
		d.env.DecisionSeq = d.header()
	case mSeed:
		d.env.Seed = d.header()
	case mIssuedAtTurn:
		d.env.IssuedAtTurn = d.header()
	case mEnvelopeWorker:
		d.env.WorkerID = d.optionalString()
		d.digested = false // if the operation came first, its digest began without the id
	case mReplayHash:
		d.env.ReplayHash = d.uint(math.MaxUint64)
	case mOp:
		d.operation()
	case mType, mStatus:
		d.stringBytes() // tag has returned it
	case mWorkerID:
		d.op.workerID = d.str()
	case mReason:
		d.op.reason = d.str()
	case mCode:
		d.op.code = d.str()
	case mCategory:
		d.op.category = d.str()
	case mMessage:
		d.op.message = d.str()
	case mJobID:
		d.op.jobID = d.uint(math.MaxUint64)
	case mRegionID:
		d.op.regionID = d.uint(math.MaxUint64)
	case mTaskID:
		d.op.taskID = d.uint(math.MaxUint64)
	case mObligationID:
		d.op.obligationID = d.uint(math.MaxUint64)
	case mPayload:
		d.op.payload = d.payload()
	case mState:
		at := d.pos
		if d.op.state.UnmarshalText(d.stringBytes()) != nil {
			d.failAt(at, "unknown job state")
		}
	case mDetail, mMetadata:
		d.op.optional = d.optionalString()
	case mOutcome:
		d.outcome()
	case mLevel:
		at := d.pos
		l := slices.Index(levels[:], string(d.stringBytes()))
		if l < 0 {
			d.failAt(at, "unknown level")
		}
		d.op.level = Level(l)
	}
}

// header reads one of the numbers that the digest begins with.
func (d *decoder) header() uint64 {
	d.headers++
	return d.uint(math.MaxUint64)
}

func (d *decoder) operation() {
	if d.verifying && d.headers == 5 {
		d.canonical = true
		d.digest, d.summed = newDigest(&d.env.Header, d.env.WorkerID), d.pos
	}
	t := opTypeByName(d.likelyTag(mType))
	if t == 0 {
		name, at := d.tag(mType)
		if t = opTypeByName(name); t == 0 {
			d.failAt(at, "unknown operation type")
			return
		}
	}
	d.op.typ = t
	d.object(&opShapes[t])
	d.sum()
	d.digested, d.canonical = d.canonical, false
}

func (d *decoder) outcome() {
	s := outcomeByName(d.likelyTag(mStatus))
	if s == 0 {
		name, at := d.tag(mStatus)
		if s = outcomeByName(name); s == 0 {
			d.failAt(at, "unknown outcome status")
			return
		}
	}
	d.op.status = s
	d.object(&outcomeShapes[s])
}
