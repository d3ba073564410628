package workerchannel

import (
	"errors"
	"math"
)

// ParseEnvelope reads one envelope from any JSON of the same meaning (PROTOCOL section 3) and validates it
// (section 5). If data is not an envelope, it returns a *ParseError, whose kind is ErrMalformed or
// ErrPayloadTooLarge, but ErrVersionMismatch for one that is malformed and has another version (section 14); otherwise
// it returns the errors of Envelope.Validate. The envelope shares no memory with data. It may be called from several
// goroutines at once.
func ParseEnvelope(data []byte) (env Envelope, err error) {
	err = parse(&env, data, "")
	return env, err
}

// Verify is like ParseEnvelope, and its result is the proof for HandleVerified. It may be called from several
// goroutines at once.
func Verify(data []byte) (v Verified, err error) {
	err = parse(&v.env, data, "")
	return v, err
}

// parse is ParseEnvelope with the worker id that is expected, or an empty one. The envelope must be zero, and is zero
// again after an error.
func parse(env *Envelope, data []byte, known string) error {
	var f flatOp
	hash, err := read(env, &f, data, known)
	if err == nil {
		err = env.validate(&f, hash)
	} else if version := versionAlone(data); version != ProtocolVersion && errors.Is(err, ErrMalformed) {
		err = versionMismatch(version)
	}
	if err == nil {
		env.Op, err = f.op()
	}
	if err != nil {
		*env = Envelope{}
	}
	return err
}

// read reads an envelope, without its Op, and the flat form of that, and returns the recomputed digest.
func read(env *Envelope, f *flatOp, data []byte, known string) (hash uint64, err error) {
	if hash, ok := readCanonical(data, known, env, f); ok {
		return hash, nil
	}
	if err := readAny(data, env, f); err != nil {
		return 0, err
	}
	return replayHash(&env.Header, env.WorkerID, f), nil
}

// versionAlone returns the version of a text that is not an envelope of this one (PROTOCOL section 14). It returns
// ProtocolVersion if the text is not a JSON object that has one version, or the version is not a u32.
func versionAlone(data []byte) uint32 {
	d := decoder{scanner: scanner{data: data}}
	d.object(&versionShape)
	if d.end("envelope"); d.err != nil {
		return ProtocolVersion
	}
	return d.env.Version
}

// UnmarshalJSON reads an envelope from any JSON of the same meaning and does not validate it, so its digest, for
// example, may be wrong. After an error the envelope is unchanged. The error is a *ParseError.
func (e *Envelope) UnmarshalJSON(data []byte) error {
	var env Envelope
	var f flatOp
	if _, ok := readCanonical(data, "", &env, &f); !ok {
		if err := readAny(data, &env, &f); err != nil {
			return err
		}
	}
	var err error
	if env.Op, err = f.op(); err == nil {
		*e = env
	}
	return err
}

// ParseOp reads an operation alone from any JSON of the same meaning (PROTOCOL section 3), as it is read in an envelope:
// an object that is nested deeper than an envelope can hold is refused, too. If data is not an operation, it returns a
// *ParseError, whose kind is ErrMalformed or ErrPayloadTooLarge. The operation shares no memory with data.
func ParseOp(data []byte) (Op, error) {
	d := decoder{scanner: scanner{data: data, depth: 1}}
	d.space()
	d.operation()
	if d.end("operation"); d.err != nil {
		return nil, d.err
	}
	return d.op.op()
}

// readAny reads an envelope, without its Op, and the flat form of that, from any JSON of the same meaning.
func readAny(data []byte, env *Envelope, f *flatOp) error {
	d := decoder{scanner: scanner{data: data}}
	err := d.read()
	*env, *f = d.env, d.op
	return err
}

// A decoder reads one envelope. It takes the members in any order.
type decoder struct {
	scanner
	env Envelope // without Op
	op  flatOp
}

// read reads the envelope.
func (d *decoder) read() error {
	d.object(&envelopeShape)
	d.end("envelope")
	return d.err
}

// end reads what follows the value that data should have.
func (d *decoder) end(value string) {
	d.space()
	if d.pos < len(d.data) {
		d.fail("expected the end of the input after the " + value)
	}
}

// object reads an object of shape o.
func (d *decoder) object(o *shape) {
	start := d.pos
	d.depth++
	var seen uint32 // a bit for each member
	for name, ok := d.member(false); ok; name, ok = d.member(true) {
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
	case mEnvelopeWorker, mDetail, mMetadata:
	default:
		d.failAt(start, "member "+m.String()+" is missing")
	}
}

// tag returns the value of the tag of the object that comes next, wherever in the object it stands, and where it
// is. It does not move pos.
func (d *decoder) tag(m member) (tag []byte, at int) {
	start := d.pos
	for name, ok := d.member(false); ok; name, ok = d.member(true) {
		if string(name) == m.String() {
			d.space()
			at = d.pos
			if tag = d.name(); d.err == nil {
				d.pos = start
			}
			return tag, at
		}
		d.skip()
	}
	d.failAt(start, "member "+m.String()+" is missing")
	return nil, start
}

// value reads the value of a member.
func (d *decoder) value(m member) {
	d.space()
	switch m {
	case mVersion:
		d.env.Version = uint32(d.uint(math.MaxUint32))
	case mMessageID:
		d.env.MessageID = d.uint(math.MaxUint64)
	case mSeqNo:
		d.env.SeqNo = d.uint(math.MaxUint64)
	case mDecisionSeq:
		d.env.DecisionSeq = d.uint(math.MaxUint64)
	case mSeed:
		d.env.Seed = d.uint(math.MaxUint64)
	case mIssuedAtTurn:
		d.env.IssuedAtTurn = d.uint(math.MaxUint64)
	case mEnvelopeWorker:
		d.env.WorkerID = d.optionalString()
	case mReplayHash:
		d.env.ReplayHash = d.uint(math.MaxUint64)
	case mOp:
		d.operation()
	case mType, mStatus:
		d.name() // tag has returned it
	}
	switch m.kind() {
	case kNumber:
		*d.op.number(m) = d.uint(math.MaxUint64)
	case kText:
		*d.op.text(m) = d.string()
	case kOptional:
		d.op.optional = d.optionalString()
	case kPayload:
		d.op.payload = d.payload()
	case kState:
		at := d.pos
		if d.op.state.UnmarshalText(d.name()) != nil {
			d.failAt(at, "unknown job state")
		}
	case kLevel:
		at := d.pos
		if d.op.level.UnmarshalText(d.name()) != nil {
			d.failAt(at, "unknown level")
		}
	case kOutcome:
		d.outcome()
	}
}

func (d *decoder) operation() {
	name, at := d.tag(mType)
	t := opTypeByName(name)
	if t == 0 {
		d.failAt(at, "unknown operation type")
		return
	}
	d.op.typ = t
	d.object(&opShapes[t])
}

func (d *decoder) outcome() {
	name, at := d.tag(mStatus)
	s := outcomeByName(name)
	if s == 0 {
		d.failAt(at, "unknown outcome status")
		return
	}
	d.op.status = s
	d.object(&outcomeShapes[s])
}
