package workerchannel

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

// memberTable names each member; for members of operations and outcomes it also gives the kind of value.
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

// versionShape has the member that every version has.
var versionShape = newShape(mNone, "", mVersion)

// What stands before the values of an envelope of this version, as envelopeShape has it. These are constants because a
// constant is appended and compared without a call.
const (
	beforeVersion      = `{"version":`
	beforeMessageID    = `,"message_id":`
	beforeSeqNo        = `,"seq_no":`
	beforeDecisionSeq  = `,"decision_seq":`
	beforeSeed         = `,"seed":`
	beforeIssuedAtTurn = `,"issued_at_turn":`
	beforeWorkerID     = `,"worker_id":`
	beforeReplayHash   = `,"replay_hash":`
	beforeOp           = `,"op":`

	versionAndMessageID = beforeVersion + "1" + beforeMessageID
)

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

// Each operation and each outcome has a name and a shape; otherwise this does not compile.
var (
	_ = [len(opTable)]shape(opShapes)
	_ = [len(outcomeNames)]shape(outcomeShapes)
)

// opTypeByName returns the type of an operation's name; 0 if there is none.
func opTypeByName(name []byte) OpType {
	for t := OpType(1); t.known(); t++ {
		if opTable[t].name == string(name) && len(name) > 0 {
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
