package driver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/jobname"
)

// A Handler runs a job and returns its result, which must not be changed afterwards. Handlers of several jobs run at the
// same time, see WithConcurrency. A handler must return soon when ctx ends, with any error; context.Cause(ctx) says why:
// a *CancelError if the job was cancelled. In a browser, where goroutines share one thread, a handler that computes for
// seconds must yield (runtime.Gosched) from time to time, or the host takes the worker for hung.
//
// A *JobError gives the code and the message of the job's error, any other error the message. With a *CancelError,
// when its job was not cancelled, the handler gives the job up, which the host reports as a *CancelError. A panic is
// reported as a *PanicError.
type Handler func(ctx context.Context, job *Job) ([]byte, error)

// A Job is what a Handler is called with.
type Job struct {
	ID      uint64 // the number of its call, see CallInfo
	Region  uint64 // the number of its region; 0: none
	Attempt uint64 // 1 + the earlier workers that may have begun it, if the host counts them, as a Host does
	Payload []byte // the handler's own

	server *server
	size   int         // of Payload, as it came
	ctx    *jobContext // not a part of the job, which whoever keeps it would keep

	// under server.mu
	place    link[*Job] // in server.queue
	begun    bool       // the handler has been called
	reported bool       // the host has been told that it runs
	ended    bool       // the handler has returned, or will not be called
}

// Progress reports how far the job is. It may wait for the host to read what was reported before, but not once the
// job's context has ended. The text is cut to 16 KiB, and what is not well-formed UTF-8 replaced.
func (j *Job) Progress(detail string) {
	detail = plain(detail, maxText)
	j.report(func(s *server) { s.progress(j, detail) })
}

// Diagnose sends a line for the host's log. It names the job in front of the metadata (PROTOCOL.md, section 13). It may
// wait as Progress does; texts are cut and mended in the same way, and an unknown level is taken for
// workerchannel.LevelInfo.
func (j *Job) Diagnose(d workerchannel.Diagnostic) {
	d.Category, d.Message = plain(d.Category, maxText), plain(d.Message, maxText)
	metadata := plain(jobname.Metadata(j.ID, d.Metadata), maxText)
	d.Metadata = &metadata
	j.report(func(s *server) {
		if errors.Is(s.w.Diagnose(d), workerchannel.ErrInvalidValue) {
			d.Level = workerchannel.LevelInfo
			_ = s.w.Diagnose(d) // lost if the worker is closed
		}
	})
}

// report calls f when there is room in the outbox, unless the job's context ends first.
func (j *Job) report(f func(*server)) {
	s := j.server
	for {
		s.mu.Lock()
		if s.w.OutboxLen() < maxOutbox {
			f(s)
			s.mu.Unlock()
			notify(s.wake)
			return
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-j.ctx.Done():
			return
		case <-s.done:
			return
		}
	}
}

// work runs a job, and then others, until Serve ends: a new goroutine would have to grow a new stack for each.
func (s *server) work(job *Job) {
	for {
		if job = job.run(); job != nil {
			continue
		}
		select {
		case job = <-s.idle:
		case <-s.done:
			return
		}
	}
}

// run calls the handler and tells the host how that ended, also if the handler panics or calls runtime.Goexit. It returns the
// next job for this goroutine, if there is one.
func (j *Job) run() (next *Job) {
	s := j.server
	outcome := workerchannel.Outcome(nil)
	defer func() {
		p := recover()
		exits := p == nil && outcome == nil
		if p != nil || exits {
			text := "the handler called runtime.Goexit"
			if p != nil {
				text = fmt.Sprint(p)
			}
			s.log.Error("handler panicked", "job", j.ID, "panic", printable(text), "stack", string(debug.Stack()))
			outcome = workerchannel.OutcomePanicked{Message: plain(text, maxText)}
		}
		j.ctx.end(nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.handled(j, outcome); !exits {
			next = s.pop()
		}
		s.goOn()
	}()
	outcome = outcomeOf(s.handler(j.ctx, j))
	return nil
}

// outcomeOf returns what the host hears of what a handler has returned. What cannot be sent becomes an error.
func outcomeOf(result []byte, err error) workerchannel.Outcome {
	if err != nil {
		return outcomeOfError(err)
	}
	if len(result) > workerchannel.MaxPayloadBytes {
		text := fmt.Sprintf("the result has %d bytes, the limit is %d: see docs/larger-data.md", len(result), workerchannel.MaxPayloadBytes)
		return workerchannel.OutcomeErr{Code: CodeTooLarge, Message: text}
	}
	return workerchannel.OutcomeOk{Payload: result}
}

func outcomeOfError(err error) workerchannel.Outcome {
	var jobErr *JobError
	var cancelErr *CancelError
	switch {
	case errors.As(err, &jobErr):
		return workerchannel.OutcomeErr{Code: plain(jobErr.Code, maxText), Message: plain(jobErr.Message, maxText)}
	case errors.As(err, &cancelErr):
		reason := cancelErr.Reason
		if cancelErr.Cause != nil {
			reason = cancelErr.Cause.Error()
		}
		return workerchannel.OutcomeCancelled{Reason: plain(reason, maxText)}
	}
	return workerchannel.OutcomeErr{Code: CodeFailed, Message: plain(err.Error(), maxText)}
}

// finalize calls the finalizer and tells the host when it has returned, or panicked.
func (j *Job) finalize() {
	s := j.server
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("finalizer panicked", "job", j.ID, "panic", printable(fmt.Sprint(p)), "stack", string(debug.Stack()))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running--
		s.finalized(j)
		s.goOn()
	}()
	s.finalizer(j)
}
