package workerchannel

import (
	"encoding/json"
	"errors"
)

// errorKinds has every kind of error by its name in PROTOCOL section 8.
var errorKinds = map[string]error{
	"VersionMismatch":            ErrVersionMismatch,
	"ReplayHashMismatch":         ErrReplayHashMismatch,
	"InboundSequenceNotFresh":    ErrInboundSequenceNotFresh,
	"MissingWorkerIdentity":      ErrMissingWorkerIdentity,
	"UnexpectedWorkerIdentity":   ErrUnexpectedWorkerIdentity,
	"WorkerIdentityMismatch":     ErrWorkerIdentityMismatch,
	"WorkerSessionMismatch":      ErrWorkerSessionMismatch,
	"RetiredWorker":              ErrRetiredWorker,
	"PayloadTooLarge":            ErrPayloadTooLarge,
	"InvalidTransition":          ErrInvalidTransition,
	"TerminalStatusSnapshot":     ErrTerminalStatusSnapshot,
	"InvalidStatusSnapshotState": ErrInvalidStatusSnapshotState,
	"UnexpectedCompletionPhase":  ErrUnexpectedCompletionPhase,
	"JobNotPollable":             ErrJobNotPollable,
	"JobNotTerminal":             ErrJobNotTerminal,
	"WorkerNotReady":             ErrWorkerNotReady,
	"WorkerClosed":               ErrWorkerClosed,
	"RegionClosed":               ErrRegionClosed,
	"UnknownRegionID":            ErrUnknownRegionID,
	"ShutdownInProgress":         ErrShutdownInProgress,
	"DuplicateJobID":             ErrDuplicateJobID,
	"UnknownJobID":               ErrUnknownJobID,
	"BootstrapFailed":            ErrBootstrapFailed,
	"UnexpectedDirection":        ErrUnexpectedDirection,
	"AlreadyAnnounced":           ErrAlreadyAnnounced,
	"InvalidValue":               ErrInvalidValue,
	"Malformed":                  ErrMalformed,
}

// describeError returns an error in the form of the conformance data: its kind and data, found by errors.Is
// and errors.As alone. The kind of an error that has none, or several, is none of those in the files.
func describeError(err error) any {
	if err == nil {
		return nil
	}
	kind := ""
	for name, sentinel := range errorKinds {
		if errors.Is(err, sentinel) {
			kind += name
		}
	}
	data := map[string]any{"kind": kind}
	if e := new(MismatchError); errors.As(err, &e) {
		data["expected"], data["actual"] = e.Expected, e.Actual
	}
	if e := new(SequenceError); errors.As(err, &e) {
		data["last_seen"], data["actual"] = e.LastSeen, e.Actual
	}
	if e := new(WorkerError); errors.As(err, &e) {
		switch kind {
		case "WorkerIdentityMismatch", "WorkerSessionMismatch":
			data["expected"], data["actual"] = e.Expected, e.WorkerID
		case "BootstrapFailed":
			data["worker_id"], data["reason"] = e.WorkerID, e.Reason
		default:
			data["worker_id"] = e.WorkerID
		}
	}
	if e := new(PayloadError); errors.As(err, &e) {
		data["size"], data["max"] = e.Size, e.Max
	}
	if e := new(DirectionError); errors.As(err, &e) {
		data["op"] = e.Op.String()
	}
	if e := new(TransitionError); errors.As(err, &e) {
		data["job_id"], data["from"], data["to"] = e.JobID, e.From, e.To
	}
	if e := new(JobError); errors.As(err, &e) {
		data["job_id"] = e.JobID
		if kind != "DuplicateJobID" && kind != "UnknownJobID" {
			data["state"] = e.State
		}
	}
	if e := new(RegionError); errors.As(err, &e) {
		data["region_id"] = e.RegionID
	}
	text, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return plain(text)
}

// kindOf returns the name of the one kind that an error has.
func kindOf(err error) string { return describeError(err).(map[string]any)["kind"].(string) }
