package workerchannel

import (
	"errors"
	"strconv"
	"strings"
)

// Every error that a call returns is of exactly one of these kinds; compare with errors.Is. They are those of
// PROTOCOL section 8, the last two of which are local to this implementation. A kind that carries data comes
// as the struct type in its comment; get it with errors.As. The text of every error is one line of bounded length, with
// the peer's strings quoted.
var (
	// Validation of an envelope (section 5).

	ErrVersionMismatch          = errors.New("workerchannel: protocol version mismatch")                             // *MismatchError
	ErrReplayHashMismatch       = errors.New("workerchannel: replay digest mismatch")                                // *MismatchError
	ErrMissingWorkerIdentity    = errors.New("workerchannel: envelope of a worker's operation has no worker id")     // no data
	ErrUnexpectedWorkerIdentity = errors.New("workerchannel: envelope of a coordinator's operation has a worker id") // *WorkerError
	ErrWorkerIdentityMismatch   = errors.New("workerchannel: worker identity mismatch")                              // *WorkerError
	ErrPayloadTooLarge          = errors.New("workerchannel: payload too large")                                     // *PayloadError

	// Sessions (section 7, Inbound, steps 2 and 3).

	ErrUnexpectedDirection     = errors.New("workerchannel: operation sent in the wrong direction")     // *DirectionError
	ErrInboundSequenceNotFresh = errors.New("workerchannel: inbound sequence number is not fresh")      // *SequenceError
	ErrWorkerSessionMismatch   = errors.New("workerchannel: message is not of the active worker")       // *WorkerError
	ErrRetiredWorker           = errors.New("workerchannel: bootstrap of a worker whose session ended") // *WorkerError
	ErrBootstrapFailed         = errors.New("workerchannel: worker bootstrap failed")                   // *WorkerError

	// Jobs and regions (sections 6, 7 and 10).

	ErrInvalidTransition          = errors.New("workerchannel: invalid job state transition")                     // *TransitionError
	ErrTerminalStatusSnapshot     = errors.New("workerchannel: status snapshot has a terminal state")             // *JobError
	ErrInvalidStatusSnapshotState = errors.New("workerchannel: status snapshot is neither queued nor running")    // *JobError
	ErrUnexpectedCompletionPhase  = errors.New("workerchannel: job completed in a phase that allows no outcome")  // *JobError
	ErrJobNotPollable             = errors.New("workerchannel: job is neither queued nor running, so not polled") // *JobError
	ErrJobNotTerminal             = errors.New("workerchannel: job has not ended")                                // *JobError
	ErrDuplicateJobID             = errors.New("workerchannel: job id is already tracked")                        // *JobError
	ErrUnknownJobID               = errors.New("workerchannel: job id is not tracked")                            // *JobError
	ErrRegionClosed               = errors.New("workerchannel: region is closed")                                 // *RegionError
	ErrUnknownRegionID            = errors.New("workerchannel: no job of the region is tracked")                  // *RegionError
	ErrWorkerNotReady             = errors.New("workerchannel: worker is not ready")                              // no data
	ErrWorkerClosed               = errors.New("workerchannel: worker has failed or shut down")                   // no data
	ErrAlreadyAnnounced           = errors.New("workerchannel: worker has already announced itself")              // no data
	ErrShutdownInProgress         = errors.New("workerchannel: shutdown is in progress")                          // no data

	// A value that no peer can send, and input that cannot be read.

	ErrInvalidValue = errors.New("workerchannel: value cannot be sent") // *ValueError
	ErrMalformed    = errors.New("workerchannel: malformed message")    // *ParseError
)

// kinds names the kinds as section 8 does.
var kinds = [...]struct {
	kind error
	name string
}{
	{ErrVersionMismatch, "VersionMismatch"},
	{ErrReplayHashMismatch, "ReplayHashMismatch"},
	{ErrMissingWorkerIdentity, "MissingWorkerIdentity"},
	{ErrUnexpectedWorkerIdentity, "UnexpectedWorkerIdentity"},
	{ErrWorkerIdentityMismatch, "WorkerIdentityMismatch"},
	{ErrPayloadTooLarge, "PayloadTooLarge"},
	{ErrUnexpectedDirection, "UnexpectedDirection"},
	{ErrInboundSequenceNotFresh, "InboundSequenceNotFresh"},
	{ErrWorkerSessionMismatch, "WorkerSessionMismatch"},
	{ErrRetiredWorker, "RetiredWorker"},
	{ErrBootstrapFailed, "BootstrapFailed"},
	{ErrInvalidTransition, "InvalidTransition"},
	{ErrTerminalStatusSnapshot, "TerminalStatusSnapshot"},
	{ErrInvalidStatusSnapshotState, "InvalidStatusSnapshotState"},
	{ErrUnexpectedCompletionPhase, "UnexpectedCompletionPhase"},
	{ErrJobNotPollable, "JobNotPollable"},
	{ErrJobNotTerminal, "JobNotTerminal"},
	{ErrDuplicateJobID, "DuplicateJobID"},
	{ErrUnknownJobID, "UnknownJobID"},
	{ErrRegionClosed, "RegionClosed"},
	{ErrUnknownRegionID, "UnknownRegionID"},
	{ErrWorkerNotReady, "WorkerNotReady"},
	{ErrWorkerClosed, "WorkerClosed"},
	{ErrAlreadyAnnounced, "AlreadyAnnounced"},
	{ErrShutdownInProgress, "ShutdownInProgress"},
	{ErrInvalidValue, "InvalidValue"},
	{ErrMalformed, "Malformed"},
}

// KindOf returns the name that PROTOCOL section 8 gives to the kind of err, such as "WorkerNotReady"; "Malformed" for
// ErrMalformed and "InvalidValue" for ErrInvalidValue; "" for any other error and for nil. If err wraps several kinds, it
// is the first of the list above.
func KindOf(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.name
		}
	}
	return ""
}

// IsStray reports whether err, from Receive or HandleInbound, says that the message belongs to another session:
// ErrWorkerSessionMismatch or ErrRetiredWorker. Such a message is harmless; ignore it. Every other error but
// ErrBootstrapFailed means that the worker is broken (PROTOCOL section 8).
func IsStray(err error) bool {
	return errors.Is(err, ErrWorkerSessionMismatch) || errors.Is(err, ErrRetiredWorker)
}

// MismatchError has the data of ErrVersionMismatch and ErrReplayHashMismatch.
type MismatchError struct {
	Kind     error  // the sentinel
	Expected uint64 // the version of this package, or the recomputed digest
	Actual   uint64 // the envelope's
}

// Error gives both numbers.
func (e *MismatchError) Error() string {
	return describe(e.Kind, ": expected ", utoa(e.Expected), ", got ", utoa(e.Actual))
}

// Unwrap returns Kind.
func (e *MismatchError) Unwrap() error { return e.Kind }

// SequenceError has the data of ErrInboundSequenceNotFresh: a sender's sequence number that did not rise.
type SequenceError struct {
	LastSeen uint64 // the highest number accepted so far
	Actual   uint64 // the number refused
}

// Error gives both numbers.
func (e *SequenceError) Error() string {
	return describe(ErrInboundSequenceNotFresh, ": expected more than ", utoa(e.LastSeen), ", got ", utoa(e.Actual))
}

// Unwrap returns ErrInboundSequenceNotFresh.
func (e *SequenceError) Unwrap() error { return ErrInboundSequenceNotFresh }

// WorkerError has the data of ErrUnexpectedWorkerIdentity, ErrWorkerIdentityMismatch, ErrWorkerSessionMismatch,
// ErrRetiredWorker and ErrBootstrapFailed.
type WorkerError struct {
	Kind     error   // the sentinel
	WorkerID string  // the id in the envelope
	Expected *string // for the two mismatches: the id expected; nil if no worker is active
	Reason   string  // for ErrBootstrapFailed: the reason that the worker gives
}

// Error quotes the ids, and the reason if there is one.
func (e *WorkerError) Error() string {
	s := describe(e.Kind, ": worker ", quote(e.WorkerID))
	switch e.Kind {
	case ErrBootstrapFailed:
		s += ": " + quote(e.Reason)
	case ErrWorkerIdentityMismatch, ErrWorkerSessionMismatch:
		if e.Expected == nil {
			return s + ", expected none"
		}
		s += ", expected " + quote(*e.Expected)
	}
	return s
}

// Unwrap returns Kind.
func (e *WorkerError) Unwrap() error { return e.Kind }

// PayloadError has the data of ErrPayloadTooLarge.
type PayloadError struct {
	Size int // in bytes; when decoding stopped at the limit, the number of commas plus 1
	Max  int // MaxPayloadBytes
}

// Error gives both sizes.
func (e *PayloadError) Error() string {
	return describe(ErrPayloadTooLarge, ": ", strconv.Itoa(e.Size), " bytes, the limit is ", strconv.Itoa(e.Max))
}

// Unwrap returns ErrPayloadTooLarge.
func (e *PayloadError) Unwrap() error { return ErrPayloadTooLarge }

// DirectionError has the data of ErrUnexpectedDirection.
type DirectionError struct {
	Op OpType // the operation that this side should have sent
}

// Error names the operation.
func (e *DirectionError) Error() string { return describe(ErrUnexpectedDirection, ": ", e.Op.String()) }

// Unwrap returns ErrUnexpectedDirection.
func (e *DirectionError) Unwrap() error { return ErrUnexpectedDirection }

// TransitionError has the data of ErrInvalidTransition: the table of section 6 does not have the transition, or
// the message or call is not the one that makes it, or it has been made already.
type TransitionError struct {
	JobID uint64
	From  JobState // the state of the job
	To    JobState // the state that it cannot get to from there
}

// Error names the job and both states.
func (e *TransitionError) Error() string {
	return describe(ErrInvalidTransition, ": job ", utoa(e.JobID), " from ", e.From.String(), " to ", e.To.String())
}

// Unwrap returns ErrInvalidTransition.
func (e *TransitionError) Unwrap() error { return ErrInvalidTransition }

// JobError has the data of ErrDuplicateJobID and ErrUnknownJobID, for which State is not set, and of
// ErrTerminalStatusSnapshot, ErrInvalidStatusSnapshotState, ErrUnexpectedCompletionPhase, ErrJobNotPollable and
// ErrJobNotTerminal.
type JobError struct {
	Kind  error // the sentinel
	JobID uint64
	State JobState // for the two snapshot errors the state reported, otherwise the state of the job
}

// Error names the job, and its state if that matters.
func (e *JobError) Error() string {
	s := describe(e.Kind, ": job ", utoa(e.JobID))
	if e.Kind != ErrDuplicateJobID && e.Kind != ErrUnknownJobID {
		s += ", state " + e.State.String()
	}
	return s
}

// Unwrap returns Kind.
func (e *JobError) Unwrap() error { return e.Kind }

// RegionError has the data of ErrRegionClosed and ErrUnknownRegionID.
type RegionError struct {
	Kind     error // the sentinel
	RegionID uint64
}

// Error names the region.
func (e *RegionError) Error() string { return describe(e.Kind, ": region ", utoa(e.RegionID)) }

// Unwrap returns Kind.
func (e *RegionError) Unwrap() error { return e.Kind }

// ValueError has the data of ErrInvalidValue: an operation or outcome that is nil or not a plain value of this
// package, an unknown state or level, a string that is not well-formed UTF-8, a nil envelope or the zero Verified.
type ValueError struct {
	Field string // the member, by its name on the wire; or "envelope"
	Cause string // what is wrong with it
}

// Error names the member and what is wrong with it.
func (e *ValueError) Error() string { return describe(ErrInvalidValue, ": ", e.Field, " ", e.Cause) }

// Unwrap returns ErrInvalidValue.
func (e *ValueError) Unwrap() error { return ErrInvalidValue }

// ParseError says where and why a message cannot be read (section 3). Its kind is ErrMalformed; or, if decoding
// stopped at a payload over the limit, ErrPayloadTooLarge, and then Err is the *PayloadError.
type ParseError struct {
	Offset int    // in bytes, from 0
	Cause  string // what is wrong there; "" if Err is set
	Err    error  // nil or a *PayloadError
}

// Error gives the place and the cause.
func (e *ParseError) Error() string {
	if e.Err != nil {
		return describe(e.Err, " (at byte ", strconv.Itoa(e.Offset), ")")
	}
	return describe(ErrMalformed, ": at byte ", strconv.Itoa(e.Offset), ": ", e.Cause)
}

// Unwrap returns ErrMalformed or Err.
func (e *ParseError) Unwrap() error {
	if e.Err != nil {
		return e.Err
	}
	return ErrMalformed
}

// describe returns the description of an error of a kind; kind may be nil in an error that a caller made.
func describe(kind error, more ...string) string {
	s := "workerchannel: unknown error"
	if kind != nil {
		s = kind.Error()
	}
	return s + strings.Join(more, "")
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// quote quotes a peer's string for a log: one line, bounded.
func quote[T string | []byte](s T) string {
	const most = 64
	if len(s) > most {
		return strconv.Quote(string(s[:most])) + "... (" + strconv.Itoa(len(s)) + " bytes)"
	}
	return strconv.Quote(string(s))
}
