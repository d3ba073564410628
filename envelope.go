package workerchannel

import (
	"slices"
	"strings"
)

// ProtocolVersion is the version of the protocol that this package speaks.
const ProtocolVersion uint32 = 1

// An Envelope is one message (PROTOCOL section 1). It is a plain value that its holder may modify, so
// HandleInbound always validates it again.
type Envelope struct {
	Version uint32 // ProtocolVersion
	Header
	WorkerID   *string // the worker instance that sent it; nil on the coordinator's messages
	ReplayHash uint64  // the replay digest (section 4)
	Op         Op      // the operation
}

// NewEnvelope returns a message of a coordinator, with the version and the replay digest filled in. It checks
// nothing (see Validate) and derives nothing: if DecisionSeq is to equal SeqNo, set both.
func NewEnvelope(h Header, op Op) Envelope {
	return Envelope{Version: ProtocolVersion, Header: h, ReplayHash: ReplayHash(h, nil, op), Op: op}
}

// NewWorkerEnvelope is like NewEnvelope for a message of a worker.
func NewWorkerEnvelope(workerID string, h Header, op Op) Envelope {
	return Envelope{Version: ProtocolVersion, Header: h, WorkerID: &workerID, ReplayHash: ReplayHash(h, &workerID, op), Op: op}
}

// String returns a description of one line and bounded length for a log, such as
//
//	w-1 → JobCompleted job 7: ok, 5 bytes
//
// Strings of the peer are quoted; a worker id only if it contains anything but letters, digits and ._:/@-.
func (e Envelope) String() string {
	var f flatOp
	f.set(e.Op)
	sender := f.typ.Sender().String()
	if f.typ == 0 {
		sender = "unknown sender"
	}
	if e.WorkerID != nil {
		sender = *e.WorkerID
		if !plainID(sender) {
			sender = quote(sender)
		}
	}
	return sender + " → " + f.String()
}

// Equal reports whether two envelopes have the same fields, by value: worker ids, details, payloads and the like by
// their content. A nil payload equals an empty one. A nil operation or outcome equals only nil; any other that is not one
// of this package as a plain value equals nothing.
func (e Envelope) Equal(other Envelope) bool {
	return e.Version == other.Version && e.Header == other.Header && e.ReplayHash == other.ReplayHash &&
		equalStrings(e.WorkerID, other.WorkerID) && equalOps(e.Op, other.Op)
}

// plainID reports whether an id can be shown without quotes.
func plainID(id string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@-"
	return 0 < len(id) && len(id) <= 64 && strings.Trim(id, plain) == ""
}

// Validate checks the envelope as PROTOCOL section 5 says. It returns the first that applies of
// ErrVersionMismatch, ErrReplayHashMismatch, ErrUnexpectedWorkerIdentity or ErrMissingWorkerIdentity,
// ErrWorkerIdentityMismatch, and ErrPayloadTooLarge. A value that no peer can send has no digest: instead of
// ErrReplayHashMismatch it returns ErrInvalidValue, as for a nil envelope.
func (e *Envelope) Validate() error {
	if e == nil {
		return &ValueError{"envelope", "is nil"}
	}
	var f flatOp
	f.set(e.Op)
	var hash uint64
	if e.Version == ProtocolVersion { // otherwise that is the first failure
		if err := e.checkValues(&f); err != nil {
			return err
		}
		hash = replayHash(&e.Header, e.WorkerID, &f)
	}
	return e.validate(&f, hash)
}

// validate does what section 5 says, given the flat form of the operation and the recomputed digest, of values that
// can be sent.
func (e *Envelope) validate(f *flatOp, digest uint64) error {
	switch byWorker := f.typ.Sender() == SenderWorker; {
	case e.Version != ProtocolVersion:
		return versionMismatch(e.Version)
	case e.ReplayHash != digest:
		return &MismatchError{ErrReplayHashMismatch, digest, e.ReplayHash}
	case !byWorker && e.WorkerID != nil:
		return &WorkerError{Kind: ErrUnexpectedWorkerIdentity, WorkerID: *e.WorkerID}
	case byWorker && e.WorkerID == nil:
		return ErrMissingWorkerIdentity
	case f.typ.bootstrap() && f.workerID != *e.WorkerID:
		expected := f.workerID // not its address: that would move f to the heap
		return &WorkerError{Kind: ErrWorkerIdentityMismatch, WorkerID: *e.WorkerID, Expected: &expected}
	}
	return checkPayload(f.payload)
}

func versionMismatch(actual uint32) error {
	return &MismatchError{ErrVersionMismatch, uint64(ProtocolVersion), uint64(actual)}
}

// checkValues returns ErrInvalidValue for what cannot be written.
func (e *Envelope) checkValues(f *flatOp) error {
	if e.WorkerID != nil {
		if err := checkString("worker_id", *e.WorkerID); err != nil {
			return err
		}
	}
	return f.checkValues()
}

// AppendJSON appends the envelope's canonical JSON (PROTOCOL section 3), which is what goes on the wire. It writes
// the fields as they are and checks neither Version nor ReplayHash. For what no reader would accept it returns
// dst unchanged and ErrInvalidValue or ErrPayloadTooLarge. Like append it may use the capacity of dst, even a few
// bytes beyond what it returns; so that must not share memory with the payload.
func (e Envelope) AppendJSON(dst []byte) ([]byte, error) {
	var f flatOp
	f.set(e.Op)
	if err := e.checkValues(&f); err != nil {
		return dst, err
	}
	if err := checkPayload(f.payload); err != nil {
		return dst, err
	}
	return e.write(dst, &f), nil
}

// MarshalJSON returns what AppendJSON appends. The result of json.Marshal is not canonical: see Op.
func (e Envelope) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil) }

// seal sets the digest, given the flat form of the operation.
func (e *Envelope) seal(f *flatOp) { e.ReplayHash = replayHash(&e.Header, e.WorkerID, f) }

// write appends the members of section 1.
func (e *Envelope) write(t jsonText, f *flatOp) jsonText {
	t = e.writeNumbers(t).number(e.ReplayHash)
	return append(append(t, beforeOp...).object(&opShapes[f.typ], f), '}')
}

// writeNumbers appends what is before the digest.
func (e *Envelope) writeNumbers(t jsonText) jsonText {
	t = slices.Grow(t, 512) // most messages are shorter
	if e.Version == ProtocolVersion {
		t = append(t, versionAndMessageID...)
	} else {
		t = append(append(t, beforeVersion...).number(uint64(e.Version)), beforeMessageID...)
	}
	start := len(t)
	t = t.number(e.MessageID)
	same := t[start:] // as the next two most likely are
	t = append(t, beforeSeqNo...).numberLike(e.SeqNo, e.MessageID, same)
	t = append(t, beforeDecisionSeq...).numberLike(e.DecisionSeq, e.MessageID, same)
	t = append(t, beforeSeed...).number(e.Seed)
	t = append(t, beforeIssuedAtTurn...).number(e.IssuedAtTurn)
	if e.WorkerID != nil { // else absent, not null
		t = append(t, beforeWorkerID...).str(*e.WorkerID)
	}
	return append(t, beforeReplayHash...)
}

// A Verified is an envelope that Verify has found valid, so that HandleVerified need not check it again. The zero
// Verified is not valid. It may be passed from one goroutine to another.
type Verified struct {
	env Envelope
}

// Envelope returns the envelope. Modifying it does not change v, except for the bytes of a payload, which are not
// copied; HandleVerified does not read them.
func (v Verified) Envelope() Envelope {
	e := v.env
	e.WorkerID, e.Op = cloneString(e.WorkerID), v.Op()
	return e
}

// Op returns the operation of the envelope, under the same conditions as Envelope.
func (v Verified) Op() Op {
	switch op := v.env.Op.(type) {
	case StatusSnapshot:
		op.Detail = cloneString(op.Detail)
		return op
	case Diagnostic:
		op.Metadata = cloneString(op.Metadata)
		return op
	}
	return v.env.Op
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
