package model

import (
	"encoding/json"
	"errors"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// ErrorKinds has every kind of error by its name in PROTOCOL section 8.
var ErrorKinds = map[string]error{
	"VersionMismatch":            wc.ErrVersionMismatch,
	"ReplayHashMismatch":         wc.ErrReplayHashMismatch,
	"InboundSequenceNotFresh":    wc.ErrInboundSequenceNotFresh,
	"MissingWorkerIdentity":      wc.ErrMissingWorkerIdentity,
	"UnexpectedWorkerIdentity":   wc.ErrUnexpectedWorkerIdentity,
	"WorkerIdentityMismatch":     wc.ErrWorkerIdentityMismatch,
	"WorkerSessionMismatch":      wc.ErrWorkerSessionMismatch,
	"RetiredWorker":              wc.ErrRetiredWorker,
	"PayloadTooLarge":            wc.ErrPayloadTooLarge,
	"InvalidTransition":          wc.ErrInvalidTransition,
	"TerminalStatusSnapshot":     wc.ErrTerminalStatusSnapshot,
	"InvalidStatusSnapshotState": wc.ErrInvalidStatusSnapshotState,
	"UnexpectedCompletionPhase":  wc.ErrUnexpectedCompletionPhase,
	"JobNotPollable":             wc.ErrJobNotPollable,
	"JobNotTerminal":             wc.ErrJobNotTerminal,
	"WorkerNotReady":             wc.ErrWorkerNotReady,
	"WorkerClosed":               wc.ErrWorkerClosed,
	"RegionClosed":               wc.ErrRegionClosed,
	"UnknownRegionID":            wc.ErrUnknownRegionID,
	"ShutdownInProgress":         wc.ErrShutdownInProgress,
	"DuplicateJobID":             wc.ErrDuplicateJobID,
	"UnknownJobID":               wc.ErrUnknownJobID,
	"BootstrapFailed":            wc.ErrBootstrapFailed,
	"UnexpectedDirection":        wc.ErrUnexpectedDirection,
	"AlreadyAnnounced":           wc.ErrAlreadyAnnounced,
	"InvalidValue":               wc.ErrInvalidValue,
	"Malformed":                  wc.ErrMalformed,
}

// Describe returns an error in the form of the conformance data: its kind and data, found by errors.Is
// and errors.As alone. The kind of an error that has none, or several, is none of those in the files.
func Describe(err error) any {
	if err == nil {
		return nil
	}
	kind := ""
	for name, sentinel := range ErrorKinds {
		if errors.Is(err, sentinel) {
			kind += name
		}
	}
	data := map[string]any{"kind": kind}
	if e := new(wc.MismatchError); errors.As(err, &e) {
		data["expected"], data["actual"] = e.Expected, e.Actual
	}
	if e := new(wc.SequenceError); errors.As(err, &e) {
		data["last_seen"], data["actual"] = e.LastSeen, e.Actual
	}
	if e := new(wc.WorkerError); errors.As(err, &e) {
		switch kind {
		case "WorkerIdentityMismatch", "WorkerSessionMismatch":
			data["expected"], data["actual"] = e.Expected, e.WorkerID
		case "BootstrapFailed":
			data["worker_id"], data["reason"] = e.WorkerID, e.Reason
		default:
			data["worker_id"] = e.WorkerID
		}
	}
	if e := new(wc.PayloadError); errors.As(err, &e) {
		data["size"], data["max"] = e.Size, e.Max
	}
	if e := new(wc.DirectionError); errors.As(err, &e) {
		data["op"] = e.Op.String()
	}
	if e := new(wc.TransitionError); errors.As(err, &e) {
		data["job_id"], data["from"], data["to"] = e.JobID, e.From, e.To
	}
	if e := new(wc.JobError); errors.As(err, &e) {
		data["job_id"] = e.JobID
		if kind != "DuplicateJobID" && kind != "UnknownJobID" {
			data["state"] = e.State
		}
	}
	if e := new(wc.RegionError); errors.As(err, &e) {
		data["region_id"] = e.RegionID
	}
	text, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return Exact(text)
}

// KindOf returns the name of the one kind that an error has.
func KindOf(err error) string { return Describe(err).(map[string]any)["kind"].(string) }

// RequireError compares an error and its data with those of the model, which does not know what is wrong with a
// value that cannot be sent, or at which byte.
func RequireError(t require.TestingT, want, got error, what ...any) {
	if want == wc.ErrInvalidValue {
		e := new(wc.ValueError)
		require.ErrorAs(t, got, &e, what...)
		return
	}
	if e := new(wc.ParseError); errors.As(got, &e) && e.Err != nil {
		got = e.Err
	}
	require.Equal(t, want, got, what...)
}
