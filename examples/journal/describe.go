package journal

import (
	"errors"

	wc "github.com/workerchannel/workerchannel"
)

// kinds has the names of all kinds of errors, as in PROTOCOL section 8.
var kinds = []struct {
	name string
	err  error
}{
	{"VersionMismatch", wc.ErrVersionMismatch},
	{"ReplayHashMismatch", wc.ErrReplayHashMismatch},
	{"InboundSequenceNotFresh", wc.ErrInboundSequenceNotFresh},
	{"MissingWorkerIdentity", wc.ErrMissingWorkerIdentity},
	{"UnexpectedWorkerIdentity", wc.ErrUnexpectedWorkerIdentity},
	{"WorkerIdentityMismatch", wc.ErrWorkerIdentityMismatch},
	{"WorkerSessionMismatch", wc.ErrWorkerSessionMismatch},
	{"RetiredWorker", wc.ErrRetiredWorker},
	{"PayloadTooLarge", wc.ErrPayloadTooLarge},
	{"InvalidTransition", wc.ErrInvalidTransition},
	{"TerminalStatusSnapshot", wc.ErrTerminalStatusSnapshot},
	{"InvalidStatusSnapshotState", wc.ErrInvalidStatusSnapshotState},
	{"UnexpectedCompletionPhase", wc.ErrUnexpectedCompletionPhase},
	{"JobNotPollable", wc.ErrJobNotPollable},
	{"JobNotTerminal", wc.ErrJobNotTerminal},
	{"WorkerNotReady", wc.ErrWorkerNotReady},
	{"WorkerClosed", wc.ErrWorkerClosed},
	{"RegionClosed", wc.ErrRegionClosed},
	{"UnknownRegionID", wc.ErrUnknownRegionID},
	{"ShutdownInProgress", wc.ErrShutdownInProgress},
	{"DuplicateJobID", wc.ErrDuplicateJobID},
	{"UnknownJobID", wc.ErrUnknownJobID},
	{"BootstrapFailed", wc.ErrBootstrapFailed},
	{"UnexpectedDirection", wc.ErrUnexpectedDirection},
	{"AlreadyAnnounced", wc.ErrAlreadyAnnounced},
	{"InvalidValue", wc.ErrInvalidValue},
	{"Malformed", wc.ErrMalformed},
}

// Describe returns an error of package workerchannel in the form that it has in a journal: an object with the
// kind and its data. It returns nil for nil.
func Describe(err error) any {
	if err == nil {
		return nil
	}
	if recorded, ok := err.(recordedError); ok {
		return recorded.RawMessage
	}
	var (
		kind       = Kind(err)
		mismatch   *wc.MismatchError
		sequence   *wc.SequenceError
		worker     *wc.WorkerError
		payload    *wc.PayloadError
		direction  *wc.DirectionError
		transition *wc.TransitionError
		job        *wc.JobError
		region     *wc.RegionError
		value      *wc.ValueError
		parse      *wc.ParseError
	)
	d := map[string]any{"kind": kind}
	switch {
	case errors.As(err, &mismatch):
		d["expected"], d["actual"] = mismatch.Expected, mismatch.Actual
	case errors.As(err, &sequence):
		d["last_seen"], d["actual"] = sequence.LastSeen, sequence.Actual
	case errors.As(err, &worker):
		describeWorker(d, worker)
	case errors.As(err, &payload): // even one in a *ParseError
		d["size"], d["max"] = payload.Size, payload.Max
	case errors.As(err, &direction):
		d["op"] = direction.Op.String()
	case errors.As(err, &transition):
		d["job_id"], d["from"], d["to"] = transition.JobID, transition.From, transition.To
	case errors.As(err, &job):
		d["job_id"] = job.JobID
		if kind != "DuplicateJobID" && kind != "UnknownJobID" {
			d["state"] = job.State
		}
	case errors.As(err, &region):
		d["region_id"] = region.RegionID
	case errors.As(err, &value):
		d["field"], d["cause"] = value.Field, value.Cause
	case errors.As(err, &parse):
		d["offset"], d["cause"] = parse.Offset, parse.Cause
	}
	return d
}

func describeWorker(d map[string]any, e *wc.WorkerError) {
	switch e.Kind {
	case wc.ErrWorkerIdentityMismatch, wc.ErrWorkerSessionMismatch:
		d["expected"], d["actual"] = e.Expected, e.WorkerID
	case wc.ErrBootstrapFailed:
		d["worker_id"], d["reason"] = e.WorkerID, e.Reason
	default:
		d["worker_id"] = e.WorkerID
	}
}

// Kind returns the name of the kind of an error of package workerchannel; "" for any other error.
func Kind(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	return ""
}

// JobOf returns the id of the job that an operation is about; false if it is about none.
func JobOf(op wc.Op) (jobID uint64, ok bool) {
	switch op := op.(type) {
	case wc.SpawnJob:
		return op.JobID, true
	case wc.PollStatus:
		return op.JobID, true
	case wc.StatusSnapshot:
		return op.JobID, true
	case wc.JobCompleted:
		return op.JobID, true
	case wc.CancelJob:
		return op.JobID, true
	case wc.CancelAcknowledged:
		return op.JobID, true
	case wc.DrainJob:
		return op.JobID, true
	case wc.DrainCompleted:
		return op.JobID, true
	case wc.FinalizeJob:
		return op.JobID, true
	case wc.FinalizeCompleted:
		return op.JobID, true
	}
	return 0, false
}
