package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/workerchannel/workerchannel"
)

// A CallOption configures one call of Do.
type CallOption func(*call)

// WithProgress has f called with each detail that the job reports, in the goroutine that called Do and before Do
// returns. A detail is cut to 16 KiB, as Job.Progress does. If f is slow, details wait: the last 8 at least, and more
// if they are short, up to 129 KiB for the call, where each counts 32 bytes beside its text. The oldest of more are
// dropped; the last one always comes, unless Do returns at once. A job that runs again reports again. The text is the
// worker's: quote it before it goes to a terminal.
func WithProgress(f func(detail string)) CallOption {
	return func(c *call) { c.onProgress = f }
}

// WithRunLimit bounds the time that a handler may run, in place of Limits.Run. Then the job is cancelled, and not run again:
// Do returns a *CancelError with the cause ErrRunLimit, as soon as it would if its context had ended. Each worker that runs
// the job has that time. 0 and negative times are no limit.
//
// The time begins when the worker reports that it runs the job. If it reports nothing, the time begins when the job is sent,
// for a worker that has not said its capacity. One that has said it begins jobs in the order in which they come; if it has
// had a handler for the job for the time of Limits.Answer and is alive, the time begins then.
func WithRunLimit(d time.Duration) CallOption {
	return func(c *call) { c.runLimit = d }
}

// ReturnAtOnce has Do return when its context ends, or the call is cancelled by its region or a run limit, and not only when the
// worker has let go of the job. The payload is copied, so it may be changed then. The call counts as cancelled, whatever
// becomes of the job; until its worker has let go of it, it keeps its place there, and Host.Stop and Region.Close wait for it.
func ReturnAtOnce() CallOption {
	return func(c *call) { c.atOnce = true }
}

// InRegion makes the call one of a region.
func InRegion(r *Region) CallOption {
	return func(c *call) { c.region = r }
}

// WithInfo has the variable filled when Do returns, whatever that returns, and not written afterwards: with
// ReturnAtOnce it says what is known at that moment. A call that was refused, for its arguments or its context, or with
// ErrBusy, ErrRegionClosed or ErrStopped, has no number: the variable is the zero CallInfo then.
func WithInfo(into *CallInfo) CallOption {
	return func(c *call) { c.into = into }
}

// WithLabel gives the call a name of the program's own, such as the id of a request, that stands beside its number in
// log lines, in Event and Pending, on the live page and in the journal. It need not be unique, and does not go to the worker. It is
// cut to 256 bytes, and what is not well-formed UTF-8 replaced.
func WithLabel(label string) CallOption {
	return func(c *call) { c.label = plain(label, maxLabel) }
}

// maxLabel is the length to which a label is cut.
const maxLabel = 256

// Do has a worker run a job and returns its result, which is the caller's. It waits for a worker if none has room, and
// for the job as long as its worker shows signs of life: to bound that, give ctx a deadline. The payload must not be
// changed before Do returns. A job runs again if its worker ends, so it must bear to run more than once, in part or in
// whole; but see WithTries.
//
// When ctx ends, the job is cancelled: at once if it waits, otherwise Do returns when the worker has let go of it or
// its connection has ended. With [Limits] that takes at most
//
//	Send × (messages that wait to be sent to the worker + 1) + Cancel + Drain + Finalize + Term + Close
//	+ 1 s for each MiB that is under way to it + 5 turns (a turn is a tenth of the shortest limit)
//
// where Term is the time of WithTerm, by default 0. That is 87.5 s by default if nothing else waits to be sent, and as
// long as the handler takes to return if worker and transport are well. A worker whose handler does not return although
// its context has ended is ended after Limits.Drain. When Do returns, nothing of the job runs any more if the worker is
// a process of Start; elsewhere a handler that ignores its context may still run when the connection has ended. With
// ReturnAtOnce Do returns when ctx ends. The text of ctx's cause goes to the worker as the reason. Do still returns the
// result if that came first.
//
// The error is a *JobError, *PanicError, *CancelError, *GivenUpError, *NoWorkerError, ErrBusy, ErrStopped,
// ErrRegionClosed, ErrOptions for a region of another host, or wraps a *workerchannel.PayloadError if the payload is
// larger than workerchannel.MaxPayloadBytes. Look for these before context.DeadlineExceeded and other causes, which the
// reason in a *GivenUpError or *NoWorkerError may wrap, too.
func (h *Host) Do(ctx context.Context, payload []byte, opts ...CallOption) ([]byte, error) {
	c := &call{payload: payload, done: make(chan struct{}), made: time.Now(), runLimit: h.config.limits.Run}
	for _, opt := range opts {
		if opt != nil {
			opt(c)
		}
	}
	if c.into != nil {
		*c.into = CallInfo{} // the call may be refused
	}
	if len(payload) > workerchannel.MaxPayloadBytes {
		return nil, fmt.Errorf("%w: see docs/larger-data.md", &workerchannel.PayloadError{Size: len(payload), Max: workerchannel.MaxPayloadBytes})
	}
	if ctx.Err() != nil {
		return nil, &CancelError{Cause: context.Cause(ctx)}
	}
	if c.atOnce {
		c.payload, c.left = slices.Clone(payload), make(chan struct{})
	}
	var progress chan struct{} // nil: nobody wants it
	if c.onProgress != nil {
		progress = make(chan struct{}, 1)
		c.progress = &details{some: progress}
	}
	if err := h.submit(c); err != nil {
		return nil, err
	}
	if c.into != nil {
		defer h.decide(func(*scheduler) { *c.into = c.info() })
	}
	ended := ctx.Done()
	if c.onProgress != nil {
		defer h.cancel(c, errForsaken)                                             // if it panics
		stop := context.AfterFunc(ctx, func() { h.cancel(c, context.Cause(ctx)) }) // even while it takes its time
		defer stop()
		ended = nil
	}
	for {
		select {
		case <-ended:
			ended = nil
			h.cancel(c, context.Cause(ctx))
		case <-progress:
			if detail, ok := c.progress.take(); ok {
				c.onProgress(detail)
			}
		case <-c.left:
			return nil, &CancelError{Cause: c.cancel}
		case <-c.done:
			for detail, ok := c.progress.take(); ok; detail, ok = c.progress.take() {
				c.onProgress(detail)
			}
			return c.result.payload, c.result.err
		}
	}
}

// cancel cancels a call. The text of the cause is made before, since the cause is the caller's.
func (h *Host) cancel(c *call, cause error) {
	if cause == nil {
		cause = errNoCause
	}
	reason := causeText(cause)
	h.mu.Lock()
	defer h.unlock()
	h.sched.cancelCall(c, cause, reason)
}

var errNoCause = errors.New("cancelled")

var errForsaken = errors.New("the function given to WithProgress did not return")

func (h *Host) submit(c *call) error {
	h.mu.Lock()
	defer h.unlock()
	if c.region != nil && c.region.sched != &h.sched {
		return fmt.Errorf("%w: the region is another host's", ErrOptions)
	}
	return h.sched.submit(c)
}
