package workerchannel

import (
	"strings"
	"unicode/utf8"
)

// A shape is the form of one JSON object: its members in wire order, and the canonical JSON around their values. Most
// have a tag before the members, which says which of several shapes it is.
type shape struct {
	tag     member // mNone: there is none
	members []member
	text    []string // text[i] is what stands before the value of members[i]; the last ends the object
}

func newShape(tag member, name string, members ...member) shape {
	s := shape{tag: tag, members: members}
	before, comma := "{", ""
	if tag != mNone {
		before, comma = `{"`+tag.String()+`":"`+name+`"`, ","
	}
	for _, m := range members {
		s.text = append(s.text, before+comma+`"`+m.String()+`":`)
		before, comma = "", ","
	}
	s.text = append(s.text, before+"}")
	return s
}

// memberByName returns the member of a name; mNone if there is none.
func (s *shape) memberByName(name []byte) member {
	if s.tag != mNone && s.tag.String() == string(name) {
		return s.tag
	}
	for _, m := range s.members {
		if m.String() == string(name) {
			return m
		}
	}
	return mNone
}

// A member is a member of any of the protocol's JSON objects. Members of the same name and kind of value are
// the same member.
type member uint8

const (
	mNone member = iota

	mVersion
	mMessageID
	mSeqNo
	mDecisionSeq
	mSeed
	mIssuedAtTurn
	mEnvelopeWorker // the envelope's worker_id, which is optional
	mReplayHash
	mOp

	mType
	mJobID
	mRegionID
	mTaskID
	mObligationID
	mWorkerID
	mReason
	mCode
	mCategory
	mMessage
	mDetail
	mMetadata
	mPayload
	mState
	mLevel
	mOutcome
	mStatus
)

// memberTable has the name of each member, and of an operation's and an outcome's members what their values are.
var memberTable = [...]struct {
	name string
	kind kind
}{
	mVersion: {name: "version"}, mMessageID: {name: "message_id"}, mSeqNo: {name: "seq_no"}, mDecisionSeq: {name: "decision_seq"},
	mSeed: {name: "seed"}, mIssuedAtTurn: {name: "issued_at_turn"}, mEnvelopeWorker: {name: "worker_id"},
	mReplayHash: {name: "replay_hash"}, mOp: {name: "op"}, mType: {name: "type"}, mStatus: {name: "status"},

	mJobID: {"job_id", kNumber}, mRegionID: {"region_id", kNumber}, mTaskID: {"task_id", kNumber},
	mObligationID: {"obligation_id", kNumber}, mWorkerID: {"worker_id", kText}, mReason: {"reason", kText},
	mCode: {"code", kText}, mCategory: {"category", kText}, mMessage: {"message", kText},
	mDetail: {"detail", kOptional}, mMetadata: {"metadata", kOptional}, mPayload: {"payload", kPayload},
	mState: {"state", kState}, mLevel: {"level", kLevel}, mOutcome: {"outcome", kOutcome},
}

func (m member) String() string { return memberTable[m].name }

func (m member) kind() kind { return memberTable[m].kind }

// A kind is what the value of a member is.
type kind uint8

const (
	kNone     kind = iota
	kNumber        // see flatOp.number
	kText          // see flatOp.text
	kOptional      // a text or null
	kPayload
	kState
	kLevel
	kOutcome
)

// envelopeShape has the members of section 1, in wire order.
var envelopeShape = newShape(mNone, "", mVersion, mMessageID, mSeqNo, mDecisionSeq, mSeed, mIssuedAtTurn, mEnvelopeWorker, mReplayHash, mOp)

// opShapes has the members of section 2, in wire order.
var opShapes = [...]shape{
	0:                    newShape(mNone, ""),
	OpBootstrapReady:     opShape(OpBootstrapReady, mWorkerID),
	OpBootstrapFailed:    opShape(OpBootstrapFailed, mWorkerID, mReason),
	OpSpawnJob:           opShape(OpSpawnJob, mJobID, mRegionID, mTaskID, mObligationID, mPayload),
	OpPollStatus:         opShape(OpPollStatus, mJobID),
	OpStatusSnapshot:     opShape(OpStatusSnapshot, mJobID, mState, mDetail),
	OpJobCompleted:       opShape(OpJobCompleted, mJobID, mOutcome),
	OpCancelJob:          opShape(OpCancelJob, mJobID, mReason),
	OpCancelAcknowledged: opShape(OpCancelAcknowledged, mJobID),
	OpDrainJob:           opShape(OpDrainJob, mJobID),
	OpDrainCompleted:     opShape(OpDrainCompleted, mJobID),
	OpFinalizeJob:        opShape(OpFinalizeJob, mJobID),
	OpFinalizeCompleted:  opShape(OpFinalizeCompleted, mJobID),
	OpShutdownWorker:     opShape(OpShutdownWorker, mReason),
	OpShutdownCompleted:  opShape(OpShutdownCompleted),
	OpDiagnostic:         opShape(OpDiagnostic, mLevel, mCategory, mMessage, mMetadata),
}

func opShape(t OpType, members ...member) shape { return newShape(mType, t.String(), members...) }

// An outcomeStatus names an outcome. The zero outcomeStatus names none.
type outcomeStatus uint8

const (
	statusOk outcomeStatus = iota + 1
	statusErr
	statusCancelled
	statusPanicked
)

var outcomeNames = [...]string{0: "no outcome", statusOk: "Ok", statusErr: "Err", statusCancelled: "Cancelled", statusPanicked: "Panicked"}

// outcomeShapes has the members of section 2's outcomes, in wire order.
var outcomeShapes = [...]shape{
	0:               newShape(mNone, ""),
	statusOk:        outcomeShape(statusOk, mPayload),
	statusErr:       outcomeShape(statusErr, mCode, mMessage),
	statusCancelled: outcomeShape(statusCancelled, mReason),
	statusPanicked:  outcomeShape(statusPanicked, mMessage),
}

func outcomeShape(s outcomeStatus, members ...member) shape {
	return newShape(mStatus, outcomeNames[s], members...)
}

// opTypeByName returns the type of an operation's name; 0 if there is none.
func opTypeByName(name []byte) OpType {
	for t := OpType(1); t.known(); t++ {
		if opTable[t].name == string(name) {
			return t
		}
	}
	return 0
}

// outcomeByName returns the status of an outcome's name; 0 if there is none.
func outcomeByName(name []byte) outcomeStatus {
	for s := statusOk; int(s) < len(outcomeNames); s++ {
		if outcomeNames[s] == string(name) {
			return s
		}
	}
	return 0
}

// A flatOp is the flat form of an operation and its outcome. It stands between the Go values and the tables
// above: its members are what is written, read and checked.
type flatOp struct {
	typ                                       OpType        // 0: not an operation
	status                                    outcomeStatus // 0: not an outcome
	state                                     JobState
	level                                     Level
	jobID, regionID, taskID, obligationID     uint64
	workerID, reason, code, category, message string
	optional                                  *string // detail or metadata
	payload                                   []byte
}

// number returns the place of a member of the kind kNumber; nil for any other.
func (f *flatOp) number(m member) *uint64 {
	switch m {
	case mJobID:
		return &f.jobID
	case mRegionID:
		return &f.regionID
	case mTaskID:
		return &f.taskID
	case mObligationID:
		return &f.obligationID
	}
	return nil
}

// text returns the place of a member of the kind kText; nil for any other.
func (f *flatOp) text(m member) *string {
	switch m {
	case mWorkerID:
		return &f.workerID
	case mReason:
		return &f.reason
	case mCode:
		return &f.code
	case mCategory:
		return &f.category
	case mMessage:
		return &f.message
	}
	return nil
}

// flatten returns the flat form of op.
func flatten(op Op) (f flatOp) {
	f.set(op)
	return f
}

// set makes the zero flatOp the flat form of op. It looks at the dynamic type only, so op may be nil, a pointer, or a
// type that embeds an operation; then it has no type.
func (f *flatOp) set(op Op) {
	switch op := op.(type) {
	case BootstrapReady:
		f.typ, f.workerID = OpBootstrapReady, op.WorkerID
	case BootstrapFailed:
		f.typ, f.workerID, f.reason = OpBootstrapFailed, op.WorkerID, op.Reason
	case SpawnJob:
		f.typ, f.jobID, f.regionID, f.taskID, f.obligationID = OpSpawnJob, op.JobID, op.RegionID, op.TaskID, op.ObligationID
		f.payload = op.Payload
	case PollStatus:
		f.typ, f.jobID = OpPollStatus, op.JobID
	case StatusSnapshot:
		f.typ, f.jobID, f.state, f.optional = OpStatusSnapshot, op.JobID, op.State, op.Detail
	case JobCompleted:
		f.typ, f.jobID = OpJobCompleted, op.JobID
		switch out := op.Outcome.(type) {
		case OutcomeOk:
			f.status, f.payload = statusOk, out.Payload
		case OutcomeErr:
			f.status, f.code, f.message = statusErr, out.Code, out.Message
		case OutcomeCancelled:
			f.status, f.reason = statusCancelled, out.Reason
		case OutcomePanicked:
			f.status, f.message = statusPanicked, out.Message
		}
	case CancelJob:
		f.typ, f.jobID, f.reason = OpCancelJob, op.JobID, op.Reason
	case CancelAcknowledged:
		f.typ, f.jobID = OpCancelAcknowledged, op.JobID
	case DrainJob:
		f.typ, f.jobID = OpDrainJob, op.JobID
	case DrainCompleted:
		f.typ, f.jobID = OpDrainCompleted, op.JobID
	case FinalizeJob:
		f.typ, f.jobID = OpFinalizeJob, op.JobID
	case FinalizeCompleted:
		f.typ, f.jobID = OpFinalizeCompleted, op.JobID
	case ShutdownWorker:
		f.typ, f.reason = OpShutdownWorker, op.Reason
	case ShutdownCompleted:
		f.typ = OpShutdownCompleted
	case Diagnostic:
		f.typ, f.level, f.category, f.message, f.optional = OpDiagnostic, op.Level, op.Category, op.Message, op.Metadata
	}
}

// op returns the operation that set took.
func (f *flatOp) op() Op {
	switch f.typ {
	case OpBootstrapReady:
		return BootstrapReady{f.workerID}
	case OpBootstrapFailed:
		return BootstrapFailed{f.workerID, f.reason}
	case OpSpawnJob:
		return SpawnJob{f.jobID, f.regionID, f.taskID, f.obligationID, f.payload}
	case OpPollStatus:
		return PollStatus{f.jobID}
	case OpStatusSnapshot:
		return StatusSnapshot{f.jobID, f.state, f.optional}
	case OpJobCompleted:
		return JobCompleted{f.jobID, f.outcome()}
	case OpCancelJob:
		return CancelJob{f.jobID, f.reason}
	case OpCancelAcknowledged:
		return CancelAcknowledged{f.jobID}
	case OpDrainJob:
		return DrainJob{f.jobID}
	case OpDrainCompleted:
		return DrainCompleted{f.jobID}
	case OpFinalizeJob:
		return FinalizeJob{f.jobID}
	case OpFinalizeCompleted:
		return FinalizeCompleted{f.jobID}
	case OpShutdownWorker:
		return ShutdownWorker{f.reason}
	case OpShutdownCompleted:
		return ShutdownCompleted{}
	case OpDiagnostic:
		return Diagnostic{f.level, f.category, f.message, f.optional}
	}
	return nil
}

func (f *flatOp) outcome() Outcome {
	switch f.status {
	case statusOk:
		return OutcomeOk{f.payload}
	case statusErr:
		return OutcomeErr{f.code, f.message}
	case statusCancelled:
		return OutcomeCancelled{f.reason}
	case statusPanicked:
		return OutcomePanicked{f.message}
	}
	return nil
}

// String describes an operation in one line of bounded length: its name, the job, and then its other members but
// the ids.
func (f *flatOp) String() string {
	if f.typ == 0 {
		return "no operation"
	}
	s := f.typ.String()
	var parts []string
	add := func(members []member) {
		for _, m := range members {
			switch m.kind() {
			case kNumber:
				if m == mJobID {
					s += " job " + utoa(f.jobID)
				}
			case kText:
				if m != mWorkerID {
					parts = append(parts, quote(*f.text(m)))
				}
			case kOptional:
				if f.optional != nil {
					parts = append(parts, quote(*f.optional))
				}
			case kPayload:
				parts = append(parts, utoa(uint64(len(f.payload)))+" bytes")
			case kState:
				parts = append(parts, f.state.String())
			case kLevel:
				parts = append(parts, strings.ToLower(f.level.String()))
			case kOutcome:
				parts = append(parts, strings.ToLower(outcomeNames[f.status]))
			}
		}
	}
	add(opShapes[f.typ].members)
	add(outcomeShapes[f.status].members)
	if len(parts) > 0 {
		s += ": " + strings.Join(parts, ", ")
	}
	return s
}

// check returns ErrInvalidValue for what no peer can send, the first in wire order.
func (f *flatOp) check() error {
	if f.typ == 0 {
		return &ValueError{"op", "is not one of the 15 operations as a plain value"}
	}
	return f.checkMembers(opShapes[f.typ].members)
}

func (f *flatOp) checkMembers(members []member) (err error) {
	for _, m := range members {
		switch m.kind() {
		case kText:
			err = checkString(m.String(), *f.text(m))
		case kOptional:
			if f.optional != nil {
				err = checkString(m.String(), *f.optional)
			}
		case kState:
			err = f.state.check()
		case kLevel:
			if !f.level.known() {
				err = &ValueError{"level", "is not one of the three levels"}
			}
		case kOutcome:
			if f.status == 0 {
				return &ValueError{"outcome", "is not one of the four outcomes as a plain value"}
			}
			err = f.checkMembers(outcomeShapes[f.status].members)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkString returns ErrInvalidValue for a string that is not well-formed UTF-8.
func checkString(name, s string) error {
	if !utf8.ValidString(s) {
		return &ValueError{name, "is not well-formed UTF-8"}
	}
	return nil
}

func checkPayload(payload []byte) error {
	if len(payload) > MaxPayloadBytes {
		return &PayloadError{len(payload), MaxPayloadBytes}
	}
	return nil
}
