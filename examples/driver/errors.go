package driver

import (
	"errors"
	"fmt"
	"time"
)

// How a call can end other than by its result. Compare with errors.Is.
var (
	ErrJobFailed    = errors.New("driver: job failed")                       // *JobError: the handler returned an error
	ErrPanicked     = errors.New("driver: job panicked")                     // *PanicError: the handler panicked
	ErrCancelled    = errors.New("driver: job was cancelled")                // *CancelError: see Do for what may still run
	ErrGivenUp      = errors.New("driver: job was given up")                 // *GivenUpError: too many workers ended while they had it
	ErrNoWorker     = errors.New("driver: no worker can be started")         // *NoWorkerError; a worker that ended may have begun the job
	ErrBusy         = errors.New("driver: too many calls wait for a worker") // see WithBacklog; the job was not run
	ErrStopped      = errors.New("driver: host has stopped")                 // the job may have been begun
	ErrRegionClosed = errors.New("driver: region is closed")                 // the job was not run

	// ErrRunLimit is the cause of a *CancelError if the handler ran longer than Limits.Run or WithRunLimit allows.
	ErrRunLimit = errors.New("driver: job ran longer than its limit")

	// ErrHostGone is returned by Serve, with the reason, when the connection ends without a shutdown.
	ErrHostGone = errors.New("driver: host is gone")

	// ErrBroken is in an error of Recv if the connection ends because of what the peer has sent: a message that is
	// too long, or a frame that the transport does not allow. A Host cuts the connection, and counts the worker in
	// Counters.WorkersKilled. It takes ErrLineTooLong and ErrPreamble for one, too.
	ErrBroken = errors.New("driver: peer broke the transport")

	// ErrTooManyJobs is returned by Serve, and told to the host, when too many jobs wait for a handler, or too many answers for
	// the host to read them.
	ErrTooManyJobs = errors.New("driver: too many jobs")

	// ErrOptions is returned, with what is wrong, for an option or argument that is out of range. Nothing has happened.
	ErrOptions = errors.New("driver: bad option")
)

// A JobError is the error of the job itself. A handler may return one to choose the code; for any other error the
// code is CodeFailed. Code and Message come from the worker: quote them before they go to a terminal.
type JobError struct{ Code, Message string }

// The codes of the errors that Serve makes.
const (
	CodeFailed   = "failed"    // the handler returned an error that is not a *JobError
	CodeTooLarge = "too_large" // the result is larger than workerchannel.MaxPayloadBytes
)

// Error returns a description of one line and bounded length, with the worker's text quoted.
func (e *JobError) Error() string {
	return ErrJobFailed.Error() + ": " + printable(e.Code) + ": " + printable(e.Message)
}

// Is reports whether target is ErrJobFailed.
func (e *JobError) Is(target error) bool { return target == ErrJobFailed }

// A PanicError says that the handler panicked, and with what.
type PanicError struct{ Message string }

// Error returns a description of one line and bounded length, with the worker's text quoted.
func (e *PanicError) Error() string { return ErrPanicked.Error() + ": " + printable(e.Message) }

// Is reports whether target is ErrPanicked.
func (e *PanicError) Is(target error) bool { return target == ErrPanicked }

// A CancelError says that the job was cancelled. Exactly one of the fields is set.
type CancelError struct {
	Cause  error  // the cause of the context's end, ErrRunLimit, or what was given to Region.Cancel or Region.Close
	Reason string // the worker's own, if it gave the job up unasked; in a handler's context, the host's
}

// Error returns a description of one line, with the worker's text quoted.
func (e *CancelError) Error() string {
	if e.Cause == nil {
		return ErrCancelled.Error() + ": " + printable(e.Reason)
	}
	return ErrCancelled.Error() + ": " + e.Cause.Error()
}

// Is reports whether target is ErrCancelled.
func (e *CancelError) Is(target error) bool { return target == ErrCancelled }

// Unwrap returns Cause, so that errors.Is finds context.Canceled or context.DeadlineExceeded.
func (e *CancelError) Unwrap() error { return e.Cause }

// A GivenUpError says that as many workers as WithTries allows ended while they had the job.
type GivenUpError struct {
	Workers int   // how many
	Last    error // why the last of them ended
}

// Error returns a description of one line.
func (e *GivenUpError) Error() string {
	return fmt.Sprintf("%v: %s ended that had it, the last because: %v", ErrGivenUp, plural(e.Workers, "worker"), e.Last)
}

// Is reports whether target is ErrGivenUp.
func (e *GivenUpError) Is(target error) bool { return target == ErrGivenUp }

// Unwrap returns Last.
func (e *GivenUpError) Unwrap() error { return e.Last }

// A refusedError says what a worker sent that is not a message, or is refused.
type refusedError struct {
	text string
	err  error // of package workerchannel
}

func (e *refusedError) Error() string { return "driver: worker broke the protocol: " + e.text }
func (e *refusedError) Unwrap() error { return e.err }

// A NoWorkerError says that as many attempts in a row as WithAttempts allows were of no use, or that no worker was ready for
// the time of WithNoWorkerAfter.
type NoWorkerError struct {
	Attempts int           // in a row that were of no use
	Last     error         // why the last of them failed, or, without any, the last worker ended; nil: there was none
	Waited   time.Duration // the time of WithNoWorkerAfter, if that was the reason; otherwise 0
}

// Error returns a description of one line.
func (e *NoWorkerError) Error() string {
	text := ErrNoWorker.Error()
	if e.Waited > 0 {
		text = fmt.Sprintf("driver: no worker was ready for %v", e.Waited)
	}
	switch {
	case e.Last == nil:
	case e.Attempts == 0:
		text += fmt.Sprintf(", the last ended because: %v", e.Last)
	default:
		text += fmt.Sprintf(": %s came to nothing, the last because: %v", plural(e.Attempts, "attempt"), e.Last)
	}
	return text
}

// Is reports whether target is ErrNoWorker.
func (e *NoWorkerError) Is(target error) bool { return target == ErrNoWorker }

// Unwrap returns Last.
func (e *NoWorkerError) Unwrap() error { return e.Last }

// A HandlersLeftError is returned by Serve if handlers have not returned within the time of WithGrace. They go on.
type HandlersLeftError struct {
	Running int   // how many, finalizers included
	Err     error // why Serve ends
}

// Error returns a description of one line.
func (e *HandlersLeftError) Error() string {
	return fmt.Sprintf("%v (%s still running)", e.Err, plural(e.Running, "handler"))
}

// Unwrap returns Err.
func (e *HandlersLeftError) Unwrap() error { return e.Err }
