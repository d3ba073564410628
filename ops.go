package workerchannel

import "slices"

// MaxPayloadBytes is the largest payload of a SpawnJob or an OutcomeOk, in bytes.
const MaxPayloadBytes = 256 << 10

// An Op is an operation, the content of a message (PROTOCOL section 2). The operations of this package, as plain values,
// are the only ones: for an envelope with a pointer to one, or with nil, whatever checks or writes it returns
// ErrInvalidValue.
//
// An operation marshals to the canonical JSON that it has on the wire (section 3). To read it, use ParseOp: json.Unmarshal
// does not know the names on the wire, and leaves members out without an error. For what no reader would accept
// MarshalJSON returns ErrInvalidValue or ErrPayloadTooLarge. What json.Marshal makes of the JSON of an operation, an
// outcome or an envelope has the same meaning, but is not canonical: it escapes <, >, & and two more characters.
type Op interface {
	Type() OpType
	sealedOp()
}

// The operations. A payload has at most MaxPayloadBytes; nil is the empty payload, and one that was decoded is
// never nil. All strings must be well-formed UTF-8.
type (
	// BootstrapReady says that the worker runs and takes jobs. WorkerID names this runtime instance; a restarted
	// worker has a new one.
	BootstrapReady struct{ WorkerID string }

	// BootstrapFailed says that the worker could not start or cannot go on. It is its last message.
	BootstrapFailed struct{ WorkerID, Reason string }

	// SpawnJob asks the worker to run a job. RegionID is the structured-concurrency region that owns the job,
	// TaskID the task within the region, ObligationID the job's commit-or-abort obligation.
	SpawnJob struct {
		JobID, RegionID, TaskID, ObligationID uint64
		Payload                               []byte
	}

	// PollStatus asks for a StatusSnapshot of a job that is queued or running.
	PollStatus struct{ JobID uint64 }

	// StatusSnapshot says that the job is StateQueued or StateRunning. Detail is for people; a nil Detail and an
	// empty one are different.
	StatusSnapshot struct {
		JobID  uint64
		State  JobState
		Detail *string
	}

	// JobCompleted says that the job has ended, and with which outcome.
	JobCompleted struct {
		JobID   uint64
		Outcome Outcome
	}

	// CancelJob asks the worker to stop the job, by the handshake of acknowledge, drain and finalize.
	CancelJob struct {
		JobID  uint64
		Reason string
	}

	// CancelAcknowledged answers a CancelJob: the job will report no outcome.
	CancelAcknowledged struct{ JobID uint64 }

	// DrainJob asks the worker to let go of what the job has under way.
	DrainJob struct{ JobID uint64 }

	// DrainCompleted answers a DrainJob: the job has nothing under way.
	DrainCompleted struct{ JobID uint64 }

	// FinalizeJob asks the worker to clean up after the job.
	FinalizeJob struct{ JobID uint64 }

	// FinalizeCompleted answers a FinalizeJob: nothing is left of the cancelled job.
	FinalizeCompleted struct{ JobID uint64 }

	// ShutdownWorker asks the worker to finish or abandon its jobs and to stop.
	ShutdownWorker struct{ Reason string }

	// ShutdownCompleted says that the worker has stopped. It is its last message.
	ShutdownCompleted struct{}

	// Diagnostic is a line for the log. The worker chooses Category and Metadata; a nil Metadata and an empty one
	// are different.
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

// An Outcome says how a job ended: it is an OutcomeOk, OutcomeErr, OutcomeCancelled or OutcomePanicked, as a plain
// value (PROTOCOL section 2). It marshals to the JSON that it has on the wire, which only ParseOp reads, as part of a
// JobCompleted: see Op.
type Outcome interface {
	// PayloadTransferMode returns how the outcome's payload is transferred; false if it has none.
	PayloadTransferMode() (PayloadTransferMode, bool)
	sealedOutcome()
}

// The four outcomes. A payload has at most MaxPayloadBytes; all strings must be well-formed UTF-8.
type (
	// OutcomeOk says that the job succeeded. The payload is its result.
	OutcomeOk struct{ Payload []byte }

	// OutcomeErr says that the job ended with an error of its own: Code is for programs, Message for people.
	OutcomeErr struct{ Code, Message string }

	// OutcomeCancelled says that the worker gave the job up.
	OutcomeCancelled struct{ Reason string }

	// OutcomePanicked says that the job crashed and the worker did not.
	OutcomePanicked struct{ Message string }
)

func (OutcomeOk) sealedOutcome()        {}
func (OutcomeErr) sealedOutcome()       {}
func (OutcomeCancelled) sealedOutcome() {}
func (OutcomePanicked) sealedOutcome()  {}

// A PayloadTransferMode says how a payload gets to the other side. It is metadata and not on the wire; version 1
// uses only structured clone.
type PayloadTransferMode uint8

// The payload transfer modes.
const (
	TransferStructuredClone PayloadTransferMode = iota // the other side gets a copy
	TransferArrayBuffer                                // the bytes move to the other side
)

var transferModes = [...]string{TransferStructuredClone: "structured_clone", TransferArrayBuffer: "transfer_array_buffer"}

// String returns the mode's JSON string, such as "structured_clone".
func (m PayloadTransferMode) String() string {
	if int(m) >= len(transferModes) {
		return "unknown_transfer_mode_" + utoa(uint64(m))
	}
	return transferModes[m]
}

// MarshalText returns the mode's JSON string. For an unknown mode it returns ErrInvalidValue.
func (m PayloadTransferMode) MarshalText() ([]byte, error) {
	if int(m) >= len(transferModes) {
		return nil, &ValueError{"transfer_mode", "is not a transfer mode"}
	}
	return []byte(transferModes[m]), nil
}

// UnmarshalText reads the mode's JSON string. For any other string it returns ErrInvalidValue.
func (m *PayloadTransferMode) UnmarshalText(name []byte) error {
	for i, n := range transferModes {
		if n == string(name) {
			*m = PayloadTransferMode(i)
			return nil
		}
	}
	return &ValueError{"transfer_mode", "has the unknown name " + quote(name)}
}

// PayloadTransferMode returns TransferStructuredClone.
func (SpawnJob) PayloadTransferMode() PayloadTransferMode { return TransferStructuredClone }

// OwnsPayload reports whether the request owns its payload; it always does.
func (SpawnJob) OwnsPayload() bool { return true }

// PayloadTransferMode returns TransferStructuredClone.
func (OutcomeOk) PayloadTransferMode() (PayloadTransferMode, bool) {
	return TransferStructuredClone, true
}

// PayloadTransferMode returns false: there is no payload.
func (OutcomeErr) PayloadTransferMode() (PayloadTransferMode, bool) { return 0, false }

// PayloadTransferMode returns false: there is no payload.
func (OutcomeCancelled) PayloadTransferMode() (PayloadTransferMode, bool) { return 0, false }

// PayloadTransferMode returns false: there is no payload.
func (OutcomePanicked) PayloadTransferMode() (PayloadTransferMode, bool) { return 0, false }

// A Level is the severity of a Diagnostic.
type Level uint8

// The levels, by rising severity.
const (
	LevelInfo  Level = iota // for information
	LevelWarn               // something may be wrong
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

// MarshalText returns the level's name on the wire, such as "Warn". For an unknown level it returns ErrInvalidValue.
func (l Level) MarshalText() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	return []byte(levels[l]), nil
}

// UnmarshalText reads the level's name on the wire. For any other name it returns ErrInvalidValue.
func (l *Level) UnmarshalText(name []byte) error {
	i := slices.Index(levels[:], string(name))
	if i < 0 {
		return &ValueError{"level", "has the unknown name " + quote(name)}
	}
	*l = Level(i)
	return nil
}

func (l Level) check() error {
	if !l.known() {
		return &ValueError{"level", "is not a level"}
	}
	return nil
}

// A Sender is the side that sends an operation.
type Sender uint8

// The two sides.
const (
	SenderCoordinator Sender = iota + 1 // the host
	SenderWorker                        // the worker
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

// opTable has the names and senders of section 2.
var opTable = [...]struct {
	name   string
	sender Sender
}{
	OpBootstrapReady:     {"BootstrapReady", SenderWorker},
	OpBootstrapFailed:    {"BootstrapFailed", SenderWorker},
	OpSpawnJob:           {"SpawnJob", SenderCoordinator},
	OpPollStatus:         {"PollStatus", SenderCoordinator},
	OpStatusSnapshot:     {"StatusSnapshot", SenderWorker},
	OpJobCompleted:       {"JobCompleted", SenderWorker},
	OpCancelJob:          {"CancelJob", SenderCoordinator},
	OpCancelAcknowledged: {"CancelAcknowledged", SenderWorker},
	OpDrainJob:           {"DrainJob", SenderCoordinator},
	OpDrainCompleted:     {"DrainCompleted", SenderWorker},
	OpFinalizeJob:        {"FinalizeJob", SenderCoordinator},
	OpFinalizeCompleted:  {"FinalizeCompleted", SenderWorker},
	OpShutdownWorker:     {"ShutdownWorker", SenderCoordinator},
	OpShutdownCompleted:  {"ShutdownCompleted", SenderWorker},
	OpDiagnostic:         {"Diagnostic", SenderWorker},
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
