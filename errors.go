package workerchannel

import (
	"errors"
	"strconv"
	"strings"
)

// Every error of the package is of exactly one of these kinds, which errors.Is tells: those of PROTOCOL
// section 8, and the last three, which are Go's own. The kinds that carry data come as one of the struct
// types below, which errors.As gives.
var (
	// Validation of an envelope (section 5).

	ErrVersionMismatch          = errors.New("workerchannel: protocol version mismatch")                                      // *MismatchError
	ErrReplayHashMismatch       = errors.New("workerchannel: replay digest mismatch")                                         // *MismatchError
	ErrMissingWorkerIdentity    = errors.New("workerchannel: a worker's operation came in an envelope without worker id")     // bare
	ErrUnexpectedWorkerIdentity = errors.New("workerchannel: a coordinator's operation came in an envelope with a worker id") // *WorkerError
	ErrWorkerIdentityMismatch   = errors.New("workerchannel: worker identity mismatch")                                       // *WorkerError
	ErrPayloadTooLarge          = errors.New("workerchannel: payload too large")                                              // *PayloadError

	// Sessions (section 7, inbound steps 2 and 3).

	ErrUnexpectedDirection     = errors.New("workerchannel: operation sent in the wrong direction")          // *DirectionError
	ErrInboundSequenceNotFresh = errors.New("workerchannel: inbound sequence number is not fresh")           // *SequenceError
	ErrWorkerSessionMismatch   = errors.New("workerchannel: message of a worker that is not the active one") // *WorkerError
	ErrRetiredWorker           = errors.New("workerchannel: bootstrap of a worker whose session ended")      // *WorkerError
	ErrBootstrapFailed         = errors.New("workerchannel: worker bootstrap failed")                        // *WorkerError

	// Jobs (sections 6 and 7).

	ErrInvalidTransition          = errors.New("workerchannel: invalid job state transition")                    // *TransitionError
	ErrTerminalStatusSnapshot     = errors.New("workerchannel: status snapshot with a terminal state")           // *JobError
	ErrInvalidStatusSnapshotState = errors.New("workerchannel: status snapshot neither queued nor running")      // *JobError
	ErrUnexpectedCompletionPhase  = errors.New("workerchannel: job completed in a phase that allows no outcome") // *JobError
	ErrJobNotInFlight             = errors.New("workerchannel: job is not in flight")                            // *JobError
	ErrJobNotTerminal             = errors.New("workerchannel: job is not in a terminal state")                  // *JobError
	ErrDuplicateJobID             = errors.New("workerchannel: job id is already tracked")                       // *JobError
	ErrUnknownJobID               = errors.New("workerchannel: job id is not tracked")                           // *JobError
	ErrWorkerNotReady             = errors.New("workerchannel: worker is not ready")                             // bare
	ErrShutdownInProgress         = errors.New("workerchannel: shutdown is in progress")                         // bare

	// Go's own: a worker that announces itself twice, a value that no peer could send, a text that cannot be
	// read.

	ErrAlreadyAnnounced = errors.New("workerchannel: worker has already announced itself ready") // bare
	ErrInvalidValue     = errors.New("workerchannel: value that no peer can send")               // *ValueError
	ErrMalformed        = errors.New("workerchannel: text that is no message")                   // *ParseError
)

// MismatchError carries two numbers of which the second should have been the first:
// ErrVersionMismatch and ErrReplayHashMismatch.
type MismatchError struct {
	Kind     error  // the sentinel
	Expected uint64 // the version supported, or the digest recomputed
	Actual   uint64 // what the envelope says
}

// Error returns the text, one line of bounded length.
func (e *MismatchError) Error() string {
	return text(e.Kind, ": expected ", utoa(e.Expected), ", got ", utoa(e.Actual))
}

// Unwrap returns Kind.
func (e *MismatchError) Unwrap() error { return e.Kind }

// SequenceError says that a sender's sequence number did not rise: ErrInboundSequenceNotFresh.
type SequenceError struct {
	LastSeen uint64 // the highest number accepted so far
	Actual   uint64 // the number refused
}

// Error returns the text, one line of bounded length.
func (e *SequenceError) Error() string {
	return text(ErrInboundSequenceNotFresh, ": got ", utoa(e.Actual), " where more than ", utoa(e.LastSeen), " is needed")
}

// Unwrap returns ErrInboundSequenceNotFresh.
func (e *SequenceError) Unwrap() error { return ErrInboundSequenceNotFresh }

// WorkerError is about a worker's identity or session: ErrUnexpectedWorkerIdentity,
// ErrWorkerIdentityMismatch, ErrWorkerSessionMismatch, ErrRetiredWorker and ErrBootstrapFailed.
type WorkerError struct {
	Kind     error   // the sentinel
	WorkerID string  // the id that the message carries
	Expected *string // of the two mismatches: the id expected; nil if no worker is active
	Reason   string  // of ErrBootstrapFailed: what the worker says
}

// Error returns the text, one line of bounded length.
func (e *WorkerError) Error() string {
	s := text(e.Kind, ": worker ", quote(e.WorkerID))
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

// PayloadError says that a payload is over the limit: ErrPayloadTooLarge.
type PayloadError struct {
	Size int // bytes; of a text that was refused while it was read, as many as it has commas, and one
	Max  int // MaxPayloadBytes
}

// Error returns the text, one line of bounded length.
func (e *PayloadError) Error() string {
	return text(ErrPayloadTooLarge, ": ", strconv.Itoa(e.Size), " bytes, at most ", strconv.Itoa(e.Max))
}

// Unwrap returns ErrPayloadTooLarge.
func (e *PayloadError) Unwrap() error { return ErrPayloadTooLarge }

// DirectionError names an operation that came from the side that never sends it:
// ErrUnexpectedDirection.
type DirectionError struct {
	Op OpType // what was sent
}

// Error returns the text, one line of bounded length.
func (e *DirectionError) Error() string { return text(ErrUnexpectedDirection, ": ", e.Op.String()) }

// Unwrap returns ErrUnexpectedDirection.
func (e *DirectionError) Unwrap() error { return ErrUnexpectedDirection }

// TransitionError says that a job cannot take this step: the table of section 6 has none, or the step takes
// another message or call, or has been taken (a cancel is acknowledged once): ErrInvalidTransition.
type TransitionError struct {
	JobID uint64
	From  JobState // where the job stands
	To    JobState // where it cannot go
}

// Error returns the text, one line of bounded length.
func (e *TransitionError) Error() string {
	return text(ErrInvalidTransition, ": job ", utoa(e.JobID), " from ", e.From.String(), " to ", e.To.String())
}

// Unwrap returns ErrInvalidTransition.
func (e *TransitionError) Unwrap() error { return ErrInvalidTransition }

// JobError is about one job: ErrDuplicateJobID and ErrUnknownJobID, which carry no state, and
// ErrTerminalStatusSnapshot, ErrInvalidStatusSnapshotState, ErrUnexpectedCompletionPhase,
// ErrJobNotInFlight and ErrJobNotTerminal.
type JobError struct {
	Kind  error    // the sentinel
	JobID uint64   // the job
	State JobState // the state reported by the snapshot, or else the one that the job is in
}

// Error returns the text, one line of bounded length.
func (e *JobError) Error() string {
	s := text(e.Kind, ": job ", utoa(e.JobID))
	if e.Kind != ErrDuplicateJobID && e.Kind != ErrUnknownJobID {
		s += ", state " + e.State.String()
	}
	return s
}

// Unwrap returns Kind.
func (e *JobError) Unwrap() error { return e.Kind }

// ValueError describes a Go value that has no place on the wire: no operation or one that is not a
// plain value of this package, no outcome, an unknown state or level, text that is not well-formed
// UTF-8, the zero Verified: ErrInvalidValue.
type ValueError struct {
	Field string // what is at fault: a member by its wire name, or "envelope"
	Cause string // what is wrong with it
}

// Error returns the text, one line of bounded length.
func (e *ValueError) Error() string { return text(ErrInvalidValue, ": ", e.Field, " ", e.Cause) }

// Unwrap returns ErrInvalidValue.
func (e *ValueError) Unwrap() error { return ErrInvalidValue }

// ParseError says where a text stops being an envelope and why (section 3). Its kind is ErrMalformed,
// or ErrPayloadTooLarge where reading stopped at a payload over the limit; then Err is the
// *PayloadError.
type ParseError struct {
	Offset int    // in bytes, from 0
	Cause  string // what is wrong there; empty if Err is set
	Err    error  // nil or a *PayloadError
}

// Error returns the text, one line of bounded length.
func (e *ParseError) Error() string {
	if e.Err != nil {
		return text(e.Err, " (at byte ", strconv.Itoa(e.Offset), ")")
	}
	return text(ErrMalformed, ": at byte ", strconv.Itoa(e.Offset), ": ", e.Cause)
}

// Unwrap returns ErrMalformed or Err.
func (e *ParseError) Unwrap() error {
	if e.Err != nil {
		return e.Err
	}
	return ErrMalformed
}

func text(kind error, more ...string) string {
	s := "workerchannel: unknown error"
	if kind != nil {
		s = kind.Error()
	}
	return s + strings.Join(more, "")
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// quote makes a peer's text fit for a log: one line, bounded.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.Quote(s[:most]) + "... (" + strconv.Itoa(len(s)) + " bytes)"
	}
	return strconv.Quote(s)
}
