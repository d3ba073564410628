package workerchannel

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
