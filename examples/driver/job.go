package driver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/workerchannel/workerchannel"
)

// A Handler runs a job and returns its result. It is called on a goroutine of its own. It must return soon when ctx
// ends, with any error; context.Cause(ctx) says why: a *CancelError if the job was cancelled.
//
// A *JobError gives the code and the message of the job's error, any other error the message. With a *CancelError,
// when its job was not cancelled, the handler gives the job up, which the host reports as a *CancelError. A panic is
// reported as a *PanicError.
type Handler func(ctx context.Context, job *Job) ([]byte, error)

// A Job is what a Handler is called with.
type Job struct {
	ID      uint64
	Region  uint64 // the number of its region; 0: none
	Payload []byte // the handler's own

	server *server
	ctx    context.Context
	cancel context.CancelCauseFunc
	begun  bool // the handler has been called; the loop's, as is the next
	ended  bool // the handler has returned, or will not be called
}

// Progress reports how far the job is. It may wait for the host to read what was reported before, but not once the
// job's context has ended. The text is cut to 16 KiB, and what is not well-formed UTF-8 replaced.
func (j *Job) Progress(detail string) {
	j.send(event{job: j, kind: eventProgress, detail: plain(detail, maxText)})
}

// Diagnose sends a line for the host's log. It may wait as Progress does; texts are cut and mended in the same way.
func (j *Job) Diagnose(d workerchannel.Diagnostic) {
	d.Category, d.Message = plain(d.Category, maxText), plain(d.Message, maxText)
	if d.Metadata != nil {
		s := plain(*d.Metadata, maxText)
		d.Metadata = &s
	}
	j.send(event{job: j, kind: eventDiagnostic, diagnostic: d})
}

// send gives an event to the loop, unless the job's context ends first.
func (j *Job) send(e event) {
	select {
	case j.server.events <- e:
	case <-j.ctx.Done():
	case <-j.server.done:
	}
}

// An event is what the goroutine of a job has to tell the loop.
type event struct {
	job        *Job
	kind       eventKind
	detail     string
	diagnostic workerchannel.Diagnostic
	outcome    workerchannel.Outcome // of eventEnded
	failed     bool                  // the handler returned an error or panicked
}

type eventKind uint8

const (
	eventProgress eventKind = iota
	eventDiagnostic
	eventEnded
	eventFinalized
)

// run calls the handler and tells the loop how that ended.
func (j *Job) run() {
	e := event{job: j, kind: eventEnded}
	defer func() {
		j.cancel(nil)
		select {
		case j.server.events <- e:
		case <-j.server.done:
		}
	}()
	j.call(&e)
}

// call calls the handler and sets how that ended, also if the handler calls runtime.Goexit, after which nothing is
// returned. What cannot be sent becomes an error.
func (j *Job) call(e *event) {
	returned := false
	defer func() {
		if p := recover(); p != nil || !returned {
			text := "the handler called runtime.Goexit"
			if p != nil {
				text = fmt.Sprint(p)
			}
			j.server.log.Error("handler panicked", "job", j.ID, "panic", printable(text), "stack", string(debug.Stack()))
			e.outcome, e.failed = workerchannel.OutcomePanicked{Message: plain(text, maxText)}, true
		}
	}()
	result, err := j.server.handler(j.ctx, j)
	returned = true
	e.outcome = outcomeOf(result, err)
	_, ok := e.outcome.(workerchannel.OutcomeOk)
	e.failed = !ok
}

func outcomeOf(result []byte, err error) workerchannel.Outcome {
	var jobErr *JobError
	var cancelErr *CancelError
	switch {
	case errors.As(err, &jobErr):
		return workerchannel.OutcomeErr{Code: plain(jobErr.Code, maxText), Message: plain(jobErr.Message, maxText)}
	case errors.As(err, &cancelErr):
		return workerchannel.OutcomeCancelled{Reason: plain(cancelErr.Reason, maxText)}
	case err != nil:
		return workerchannel.OutcomeErr{Code: CodeFailed, Message: plain(err.Error(), maxText)}
	case len(result) > workerchannel.MaxPayloadBytes:
		text := fmt.Sprintf("the result has %d bytes, the limit is %d", len(result), workerchannel.MaxPayloadBytes)
		return workerchannel.OutcomeErr{Code: CodeTooLarge, Message: text}
	}
	return workerchannel.OutcomeOk{Payload: result}
}

// finalize calls the finalizer.
func (j *Job) finalize() {
	defer func() {
		if p := recover(); p != nil {
			j.server.log.Error("finalizer panicked", "job", j.ID, "panic", printable(fmt.Sprint(p)), "stack", string(debug.Stack()))
		}
		select {
		case j.server.events <- event{job: j, kind: eventFinalized}:
		case <-j.server.done:
		}
	}()
	j.server.finalizer(j)
}
