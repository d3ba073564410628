package workerchannel

import "unicode/utf8"

// An Op is what a message says (PROTOCOL section 2). The 15 operations of this package, as plain
// values, are the only ones; a pointer to one, or nil, is an ErrInvalidValue wherever it is checked or written.
type Op interface {
	Type() OpType // which of the operations it is
	sealedOp()
}

// The operations. A payload is owned bytes, at most MaxPayloadBytes; nil is the empty one, and one that was
// read is never nil. All text must be well-formed UTF-8.
type (
	// BootstrapReady: the worker runs and takes jobs. WorkerID names this runtime instance; a
	// restarted worker has a new one.
	BootstrapReady struct{ WorkerID string }

	// BootstrapFailed: the worker could not start, or can go on no longer.
	BootstrapFailed struct{ WorkerID, Reason string }

	// SpawnJob: run a job. RegionID is the structured-concurrency region that owns it, TaskID the
	// task within the region, ObligationID the job's commit/abort obligation.
	SpawnJob struct {
		JobID, RegionID, TaskID, ObligationID uint64
		Payload                               []byte
	}

	// PollStatus: answer with a StatusSnapshot.
	PollStatus struct{ JobID uint64 }

	// StatusSnapshot: the job is in this state, StateQueued or StateRunning. Detail is for people;
	// nil and empty are different things.
	StatusSnapshot struct {
		JobID  uint64
		State  JobState
		Detail *string
	}

	// JobCompleted: the job has ended, with this outcome.
	JobCompleted struct {
		JobID   uint64
		Outcome Outcome
	}

	// CancelJob: stop the job, by the handshake of acknowledge, drain and finalize.
	CancelJob struct {
		JobID  uint64
		Reason string
	}

	// CancelAcknowledged: the worker has seen the CancelJob, and the job will not complete by itself.
	CancelAcknowledged struct{ JobID uint64 }

	// DrainJob: let go of what the job has under way.
	DrainJob struct{ JobID uint64 }

	// DrainCompleted: the job has nothing under way.
	DrainCompleted struct{ JobID uint64 }

	// FinalizeJob: clean up behind the job.
	FinalizeJob struct{ JobID uint64 }

	// FinalizeCompleted: nothing is left of the cancelled job.
	FinalizeCompleted struct{ JobID uint64 }

	// ShutdownWorker: stop.
	ShutdownWorker struct{ Reason string }

	// ShutdownCompleted: the worker has stopped, and this is its last message.
	ShutdownCompleted struct{}

	// Diagnostic: a line for the log. Category and Metadata are the worker's to choose; nil Metadata and empty
	// are different things.
	Diagnostic struct {
		Level             Level
		Category, Message string
		Metadata          *string
	}
)

// An OpType names an operation. The zero OpType names none.
type OpType uint8

// The types of the operations of the same names.
const (
	OpBootstrapReady OpType = iota + 1
	OpBootstrapFailed
	OpSpawnJob
	OpPollStatus
	OpStatusSnapshot
	OpJobCompleted
	OpCancelJob
	OpCancelAcknowledged
	OpDrainJob
	OpDrainCompleted
	OpFinalizeJob
	OpFinalizeCompleted
	OpShutdownWorker
	OpShutdownCompleted
	OpDiagnostic
)

// Type returns OpBootstrapReady.
func (BootstrapReady) Type() OpType { return OpBootstrapReady }

// Type returns OpBootstrapFailed.
func (BootstrapFailed) Type() OpType { return OpBootstrapFailed }

// Type returns OpSpawnJob.
func (SpawnJob) Type() OpType { return OpSpawnJob }

// Type returns OpPollStatus.
func (PollStatus) Type() OpType { return OpPollStatus }

// Type returns OpStatusSnapshot.
func (StatusSnapshot) Type() OpType { return OpStatusSnapshot }

// Type returns OpJobCompleted.
func (JobCompleted) Type() OpType { return OpJobCompleted }

// Type returns OpCancelJob.
func (CancelJob) Type() OpType { return OpCancelJob }

// Type returns OpCancelAcknowledged.
func (CancelAcknowledged) Type() OpType { return OpCancelAcknowledged }

// Type returns OpDrainJob.
func (DrainJob) Type() OpType { return OpDrainJob }

// Type returns OpDrainCompleted.
func (DrainCompleted) Type() OpType { return OpDrainCompleted }

// Type returns OpFinalizeJob.
func (FinalizeJob) Type() OpType { return OpFinalizeJob }

// Type returns OpFinalizeCompleted.
func (FinalizeCompleted) Type() OpType { return OpFinalizeCompleted }

// Type returns OpShutdownWorker.
func (ShutdownWorker) Type() OpType { return OpShutdownWorker }

// Type returns OpShutdownCompleted.
func (ShutdownCompleted) Type() OpType { return OpShutdownCompleted }

// Type returns OpDiagnostic.
func (Diagnostic) Type() OpType { return OpDiagnostic }

func (BootstrapReady) sealedOp()     {}
func (BootstrapFailed) sealedOp()    {}
func (SpawnJob) sealedOp()           {}
func (PollStatus) sealedOp()         {}
func (StatusSnapshot) sealedOp()     {}
func (JobCompleted) sealedOp()       {}
func (CancelJob) sealedOp()          {}
func (CancelAcknowledged) sealedOp() {}
func (DrainJob) sealedOp()           {}
func (DrainCompleted) sealedOp()     {}
func (FinalizeJob) sealedOp()        {}
func (FinalizeCompleted) sealedOp()  {}
func (ShutdownWorker) sealedOp()     {}
func (ShutdownCompleted) sealedOp()  {}
func (Diagnostic) sealedOp()         {}

// An Outcome is how a job ended: OutcomeOk, OutcomeErr, OutcomeCancelled or OutcomePanicked, as a
// plain value.
type Outcome interface {
	// PayloadTransferMode reports how the outcome's payload travels; false if it has none.
	PayloadTransferMode() (PayloadTransferMode, bool)
	sealedOutcome()
}

// The four outcomes. A payload is owned bytes, at most MaxPayloadBytes; all text must be well-formed
// UTF-8.
type (
	// OutcomeOk: the job did what it was to do, and this is the result.
	OutcomeOk struct{ Payload []byte }

	// OutcomeErr: the job ended with an error of its own, Code for programs and Message for people.
	OutcomeErr struct{ Code, Message string }

	// OutcomeCancelled: the job was given up.
	OutcomeCancelled struct{ Reason string }

	// OutcomePanicked: the job crashed, and the worker lived on.
	OutcomePanicked struct{ Message string }
)

func (OutcomeOk) sealedOutcome()        {}
func (OutcomeErr) sealedOutcome()       {}
func (OutcomeCancelled) sealedOutcome() {}
func (OutcomePanicked) sealedOutcome()  {}

// A PayloadTransferMode says how a payload crosses to the other side. It describes the transport
// and is on the wire of no operation; version 1 knows only structured clone.
type PayloadTransferMode uint8

// The payload transfer modes.
const (
	TransferStructuredClone PayloadTransferMode = iota // the other side gets a copy
	TransferArrayBuffer                                // the bytes move to the other side
)

var transferModes = [...]string{TransferStructuredClone: "structured_clone", TransferArrayBuffer: "transfer_array_buffer"}

// String returns the mode's JSON text, such as "structured_clone".
func (m PayloadTransferMode) String() string {
	if int(m) >= len(transferModes) {
		return "unknown_transfer_mode_" + utoa(uint64(m))
	}
	return transferModes[m]
}

// MarshalText returns the mode's JSON text. An unknown mode is an ErrInvalidValue.
func (m PayloadTransferMode) MarshalText() ([]byte, error) {
	if int(m) >= len(transferModes) {
		return nil, &ValueError{"transfer_mode", "is not one of the two"}
	}
	return []byte(transferModes[m]), nil
}

// UnmarshalText reads the mode's JSON text. Any other text is an ErrInvalidValue.
func (m *PayloadTransferMode) UnmarshalText(name []byte) error {
	for i, n := range transferModes {
		if n == string(name) {
			*m = PayloadTransferMode(i)
			return nil
		}
	}
	return &ValueError{"transfer_mode", "has the unknown name " + quote(string(name))}
}

// PayloadTransferMode reports how the payload travels: structured clone.
func (SpawnJob) PayloadTransferMode() PayloadTransferMode { return TransferStructuredClone }

// OwnsPayload reports whether the request owns its payload, rather than borrowing it: always.
func (SpawnJob) OwnsPayload() bool { return true }

// PayloadTransferMode reports structured clone.
func (OutcomeOk) PayloadTransferMode() (PayloadTransferMode, bool) {
	return TransferStructuredClone, true
}

// PayloadTransferMode reports that there is no payload.
func (OutcomeErr) PayloadTransferMode() (PayloadTransferMode, bool) { return 0, false }

// PayloadTransferMode reports that there is no payload.
func (OutcomeCancelled) PayloadTransferMode() (PayloadTransferMode, bool) { return 0, false }

// PayloadTransferMode reports that there is no payload.
func (OutcomePanicked) PayloadTransferMode() (PayloadTransferMode, bool) { return 0, false }

// A Level is the weight of a Diagnostic.
type Level uint8

// The levels, from the least.
const (
	LevelInfo  Level = iota // good to know
	LevelWarn               // not as it should be
	LevelError              // something failed
)

var levels = [...]string{LevelInfo: "Info", LevelWarn: "Warn", LevelError: "Error"}

func (l Level) known() bool { return int(l) < len(levels) }

// String returns the level's name on the wire, such as "Warn".
func (l Level) String() string {
	if !l.known() {
		return "UnknownLevel" + utoa(uint64(l))
	}
	return levels[l]
}

// A Sender is the side that sends an operation.
type Sender uint8

// The two sides.
const (
	SenderCoordinator Sender = iota + 1 // the host's side
	SenderWorker                        // the worker's
)

// String returns "coordinator" or "worker".
func (s Sender) String() string {
	switch s {
	case SenderCoordinator:
		return "coordinator"
	case SenderWorker:
		return "worker"
	}
	return "unknown_sender_" + utoa(uint64(s))
}

// A shape is the form of one JSON object: its members in wire order, and in most the tag before them,
// the member that tells which of several shapes it is.
type shape struct {
	tag     member // mNone: there is none
	open    string // the canonical text of the brace and the tag, `{"type":"PollStatus"`
	members []member
	lead    []string // lead[i]: the canonical text before the value of members[i], `,"job_id":`
}

func newShape(tag member, name string, members ...member) shape {
	s := shape{tag: tag, members: members}
	before := "{"
	if tag != mNone {
		s.open = `{"` + tag.String() + `":"` + name + `"`
		before = ","
	}
	for _, m := range members {
		s.lead = append(s.lead, before+`"`+m.String()+`":`)
		before = ","
	}
	return s
}

// find returns the member of a name; mNone if there is none.
func (s *shape) find(name []byte) member {
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

// A member is a member of any of the protocol's JSON objects. Equal names are one member where the
// kind of value is the same.
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
	mWorkerID
	mReason
	mJobID
	mRegionID
	mTaskID
	mObligationID
	mPayload
	mState
	mDetail
	mOutcome
	mLevel
	mCategory
	mMessage
	mMetadata

	mStatus
	mCode
)

var memberNames = [...]string{
	mVersion: "version", mMessageID: "message_id", mSeqNo: "seq_no", mDecisionSeq: "decision_seq", mSeed: "seed",
	mIssuedAtTurn: "issued_at_turn", mEnvelopeWorker: "worker_id", mReplayHash: "replay_hash", mOp: "op",

	mType: "type", mWorkerID: "worker_id", mReason: "reason", mJobID: "job_id", mRegionID: "region_id",
	mTaskID: "task_id", mObligationID: "obligation_id", mPayload: "payload", mState: "state", mDetail: "detail",
	mOutcome: "outcome", mLevel: "level", mCategory: "category", mMessage: "message", mMetadata: "metadata",

	mStatus: "status", mCode: "code",
}

func (m member) String() string { return memberNames[m] }

// envelopeShape is the table of section 1.
var envelopeShape = newShape(mNone, "", mVersion, mMessageID, mSeqNo, mDecisionSeq, mSeed, mIssuedAtTurn, mEnvelopeWorker, mReplayHash, mOp)

// opTable is the table of section 2: who sends an operation, and its members in wire order.
var opTable = [...]opRow{
	OpBootstrapReady:     newOp("BootstrapReady", SenderWorker, mWorkerID),
	OpBootstrapFailed:    newOp("BootstrapFailed", SenderWorker, mWorkerID, mReason),
	OpSpawnJob:           newOp("SpawnJob", SenderCoordinator, mJobID, mRegionID, mTaskID, mObligationID, mPayload),
	OpPollStatus:         newOp("PollStatus", SenderCoordinator, mJobID),
	OpStatusSnapshot:     newOp("StatusSnapshot", SenderWorker, mJobID, mState, mDetail),
	OpJobCompleted:       newOp("JobCompleted", SenderWorker, mJobID, mOutcome),
	OpCancelJob:          newOp("CancelJob", SenderCoordinator, mJobID, mReason),
	OpCancelAcknowledged: newOp("CancelAcknowledged", SenderWorker, mJobID),
	OpDrainJob:           newOp("DrainJob", SenderCoordinator, mJobID),
	OpDrainCompleted:     newOp("DrainCompleted", SenderWorker, mJobID),
	OpFinalizeJob:        newOp("FinalizeJob", SenderCoordinator, mJobID),
	OpFinalizeCompleted:  newOp("FinalizeCompleted", SenderWorker, mJobID),
	OpShutdownWorker:     newOp("ShutdownWorker", SenderCoordinator, mReason),
	OpShutdownCompleted:  newOp("ShutdownCompleted", SenderWorker),
	OpDiagnostic:         newOp("Diagnostic", SenderWorker, mLevel, mCategory, mMessage, mMetadata),
}

type opRow struct {
	name   string
	sender Sender
	shape  shape
}

func newOp(name string, sender Sender, members ...member) opRow {
	return opRow{name, sender, newShape(mType, name, members...)}
}

// outcomeTable is the same for outcomes.
var outcomeTable = [...]outcomeRow{
	statusOk:        newOutcome("Ok", mPayload),
	statusErr:       newOutcome("Err", mCode, mMessage),
	statusCancelled: newOutcome("Cancelled", mReason),
	statusPanicked:  newOutcome("Panicked", mMessage),
}

type outcomeStatus uint8

const (
	statusOk outcomeStatus = iota + 1
	statusErr
	statusCancelled
	statusPanicked
)

type outcomeRow struct {
	name  string
	shape shape
}

func newOutcome(name string, members ...member) outcomeRow {
	return outcomeRow{name, newShape(mStatus, name, members...)}
}

// opNamed returns the operation's type by its name; 0 if there is none.
func opNamed(name []byte) OpType {
	for t := OpType(1); t.known(); t++ {
		if opTable[t].name == string(name) {
			return t
		}
	}
	return 0
}

// outcomeNamed is the same for outcomes.
func outcomeNamed(name []byte) outcomeStatus {
	for s := statusOk; int(s) < len(outcomeTable); s++ {
		if outcomeTable[s].name == string(name) {
			return s
		}
	}
	return 0
}

func (t OpType) known() bool { return t != 0 && int(t) < len(opTable) }

// String returns the operation's name on the wire, such as "SpawnJob".
func (t OpType) String() string {
	if !t.known() {
		return "UnknownOp" + utoa(uint64(t))
	}
	return opTable[t].name
}

// Sender returns the side that sends such operations; 0 for an unknown type.
func (t OpType) Sender() Sender {
	if !t.known() {
		return 0
	}
	return opTable[t].sender
}

func (t OpType) bootstrap() bool { return t == OpBootstrapReady || t == OpBootstrapFailed }

// fields is the flat form of an operation and its outcome, which stands between the Go values and
// the tables above: what is written, read and checked are its members.
type fields struct {
	typ                                       OpType        // 0: not an operation
	status                                    outcomeStatus // 0: not an outcome
	state                                     JobState
	level                                     Level
	jobID, regionID, taskID, obligationID     uint64
	workerID, reason, code, category, message string
	optional                                  *string // detail or metadata
	payload                                   []byte
}

// fieldsOf flattens an operation. It looks at the dynamic type only, and so is safe for a nil
// operation or outcome, for pointers, and for types that embed an operation.
func fieldsOf(op Op) (f fields) {
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
	return f
}

// op is the inverse of fieldsOf.
func (f *fields) op() Op {
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

func (f *fields) outcome() Outcome {
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

// check refuses what no peer could send, in wire order.
func (f *fields) check() error {
	switch {
	case f.typ == 0:
		return &ValueError{"op", "is none of the 15 operations, as a plain value"}
	case f.typ == OpJobCompleted && f.status == 0:
		return &ValueError{"outcome", "is none of the four outcomes, as a plain value"}
	}
	if err := f.checkMembers(opTable[f.typ].shape.members); err != nil {
		return err
	}
	return f.checkMembers(outcomeTable[f.status].shape.members)
}

func (f *fields) checkMembers(members []member) (err error) {
	for _, m := range members {
		switch m {
		case mWorkerID:
			err = checkText("worker_id", f.workerID)
		case mReason:
			err = checkText("reason", f.reason)
		case mCode:
			err = checkText("code", f.code)
		case mCategory:
			err = checkText("category", f.category)
		case mMessage:
			err = checkText("message", f.message)
		case mDetail, mMetadata:
			if f.optional != nil {
				err = checkText(m.String(), *f.optional)
			}
		case mState:
			err = f.state.check()
		case mLevel:
			if !f.level.known() {
				err = &ValueError{"level", "is not one of the three"}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkText refuses text that is not well-formed UTF-8.
func checkText(name, text string) error {
	if !utf8.ValidString(text) {
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
