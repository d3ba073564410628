package journal

import (
	"errors"

	wc "github.com/workerchannel/workerchannel"
)

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
		kind       = wc.KindOf(err)
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
