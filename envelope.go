package workerchannel

import "slices"

// ProtocolVersion is the version of the protocol that this package speaks.
const ProtocolVersion uint32 = 1

// MaxPayloadBytes is the largest payload of a SpawnJob or an OutcomeOk, in bytes.
const MaxPayloadBytes = 256 << 10

// An Envelope is one message (PROTOCOL section 1). It is a plain value: its holder may change it,
// and nothing is believed of it that Validate has not just recomputed.
type Envelope struct {
	Version uint32 // ProtocolVersion
	Header
	WorkerID   *string // the worker instance that sent it; nil on the coordinator's messages
	ReplayHash uint64  // the replay digest (section 4)
	Op         Op      // what it says
}

// NewEnvelope makes a message of the coordinator, with the version and the replay digest filled in.
// Nothing is checked (see Validate), and nothing is derived: a DecisionSeq equal to SeqNo must be given.
func NewEnvelope(h Header, op Op) Envelope {
	return Envelope{Version: ProtocolVersion, Header: h, ReplayHash: ReplayHash(h, nil, op), Op: op}
}

// NewWorkerEnvelope is NewEnvelope for a message of a worker.
func NewWorkerEnvelope(workerID string, h Header, op Op) Envelope {
	return Envelope{Version: ProtocolVersion, Header: h, WorkerID: &workerID, ReplayHash: ReplayHash(h, &workerID, op), Op: op}
}

// Validate checks the envelope as section 5 says, and answers with the first failure:
// ErrVersionMismatch, ErrReplayHashMismatch, ErrUnexpectedWorkerIdentity, ErrMissingWorkerIdentity,
// ErrWorkerIdentityMismatch, ErrPayloadTooLarge. A value that no peer could send has no digest; it is
// an ErrInvalidValue in the digest's place. A nil envelope is one, too.
func (e *Envelope) Validate() error {
	if e == nil {
		return &ValueError{"envelope", "is nil"}
	}
	f := flatten(e.Op)
	if err := e.checkVersion(); err != nil {
		return err
	}
	if err := e.checkValues(&f); err != nil {
		return err
	}
	return e.checkDigest(&f, replayHash(&e.Header, e.WorkerID, &f))
}

func (e *Envelope) checkVersion() error {
	if e.Version != ProtocolVersion {
		return &MismatchError{ErrVersionMismatch, uint64(ProtocolVersion), uint64(e.Version)}
	}
	return nil
}

// checkValues refuses what cannot be written.
func (e *Envelope) checkValues(f *flatOp) error {
	if e.WorkerID != nil {
		if err := checkString("worker_id", *e.WorkerID); err != nil {
			return err
		}
	}
	return f.check()
}

// checkDigest is steps 2 to 4 of section 5.
func (e *Envelope) checkDigest(f *flatOp, digest uint64) error {
	if e.ReplayHash != digest {
		return &MismatchError{ErrReplayHashMismatch, digest, e.ReplayHash}
	}
	switch {
	case f.typ.Sender() == SenderCoordinator:
		if e.WorkerID != nil {
			return &WorkerError{Kind: ErrUnexpectedWorkerIdentity, WorkerID: *e.WorkerID}
		}
	case e.WorkerID == nil:
		return ErrMissingWorkerIdentity
	case f.typ.bootstrap() && f.workerID != *e.WorkerID:
		expected := f.workerID // not its address: that would move f to the heap
		return &WorkerError{Kind: ErrWorkerIdentityMismatch, WorkerID: *e.WorkerID, Expected: &expected}
	}
	return checkPayload(f.payload)
}

// AppendJSON appends the envelope's canonical JSON (PROTOCOL section 3), which is what goes on the
// wire. It writes the fields as they are: neither Version nor ReplayHash is checked. What no reader
// could accept is refused, and dst comes back unchanged: an ErrInvalidValue or an ErrPayloadTooLarge. Like
// append it uses the capacity of dst, also a few bytes beyond what it returns.
func (e Envelope) AppendJSON(dst []byte) ([]byte, error) {
	f := flatten(e.Op)
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
func (e *Envelope) write(t jsonText, f *flatOp) jsonText {
	t = append(t, `{"version":`...).number(uint64(e.Version))
	t = append(t, `,"message_id":`...).number(e.MessageID)
	t = append(t, `,"seq_no":`...).number(e.SeqNo)
	t = append(t, `,"decision_seq":`...).number(e.DecisionSeq)
	t = append(t, `,"seed":`...).number(e.Seed)
	t = append(t, `,"issued_at_turn":`...).number(e.IssuedAtTurn)
	if e.WorkerID != nil { // else absent, not null
		t = writeString(append(t, `,"worker_id":`...), *e.WorkerID)
	}
	t = append(t, `,"replay_hash":`...).number(e.ReplayHash)
	return append(writeOp(append(t, `,"op":`...), f), '}')
}

// A Verified is an envelope that has been read from its text and found valid. Only Verify makes one,
// so that HandleVerified need not check again; the zero Verified is refused there. It may be handed from
// goroutine to goroutine.
type Verified struct {
	env Envelope
}

// Envelope returns the envelope. Changing it does not change v, but for the bytes of a payload: they are
// not copied, and HandleVerified does not look at them again.
func (v Verified) Envelope() Envelope {
	e := v.env
	e.WorkerID = cloneString(e.WorkerID)
	switch op := e.Op.(type) {
	case StatusSnapshot:
		op.Detail = cloneString(op.Detail)
		e.Op = op
	case Diagnostic:
		op.Metadata = cloneString(op.Metadata)
		e.Op = op
	}
	return e
}

func (v Verified) check() error {
	if v.env.Op == nil {
		return &ValueError{"envelope", "was not made by Verify"}
	}
	return nil
}

func cloneString(s *string) *string {
	if s == nil {
		return nil
	}
	c := *s
	return &c
}
