package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
)

// The codes of a *driver.JobError that a Mux adds to those of the driver.
const (
	CodeUnknownMethod = "unknown_method"    // the worker has no such method
	CodeBadInput      = "bad_input"         // the body is not the input's type, or the header is malformed
	CodeDeadline      = "deadline_exceeded" // the worker has noticed the end of the deadline; Call makes a *driver.CancelError of it
)

// A Mux holds the methods of a worker.
type Mux struct {
	mu      sync.RWMutex
	methods map[string]func(ctx context.Context, body []byte) ([]byte, error)
}

// NewMux returns a Mux without methods.
func NewMux() *Mux {
	return &Mux{methods: map[string]func(context.Context, []byte) ([]byte, error){}}
}

// Handle registers a method, also while calls are made. It panics if the name is empty, not well-formed UTF-8 or taken,
// or if f is nil.
//
// The body of a call is JSON of an In, and an empty one is read as null. But if In is []byte, it is the body as it is,
// and the function's own. The body of the result is made of an Out as [Call] makes that of an input.
//
// The context of f has the metadata of the call, and its deadline: see [Mux.Handler]. If f returns an error that has,
// or wraps one that has, a method Code() string, the caller gets a *driver.JobError with this code and the text of the
// whole error. [driver.Handler] says what becomes of other errors and of a panic.
func Handle[In, Out any](m *Mux, method string, f func(ctx context.Context, in In) (Out, error)) {
	if method == "" || !utf8.ValidString(method) || f == nil {
		panic(fmt.Sprintf("rpc: Handle: the method %q has no name that is UTF-8, or its function is nil", method))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.methods[method] != nil {
		panic(fmt.Sprintf("rpc: Handle: the method %q is registered already", method))
	}
	m.methods[method] = func(ctx context.Context, body []byte) ([]byte, error) {
		in, err := readBody[In](body)
		if err != nil {
			return nil, &driver.JobError{Code: CodeBadInput, Message: fmt.Sprintf("method %q: %v", method, err)}
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		return appendBody(nil, out)
	}
}

// Handler returns the handler for [driver.Serve].
//
// The context of a method ends when the host cancels the job, and when the time is over that the caller had. Clocks of
// two machines differ, so that time is sent, and counted from when the method begins: the context's deadline is later
// than the caller's by as long as the call has waited. The host's cancel is not.
func (m *Mux) Handler() driver.Handler {
	return func(ctx context.Context, job *driver.Job) ([]byte, error) {
		h, body, err := split(job.Payload)
		if err != nil {
			return nil, &driver.JobError{Code: CodeBadInput, Message: err.Error()}
		}
		m.mu.RLock()
		f := m.methods[h.Method]
		m.mu.RUnlock()
		if f == nil {
			return nil, &driver.JobError{Code: CodeUnknownMethod, Message: fmt.Sprintf("there is no method %.64q", h.Method)}
		}
		ctx = context.WithValue(ctx, scopeKey{}, scope{job, h.Meta})
		if h.Timeout != nil {
			ms := min(*h.Timeout, math.MaxInt64/int64(time.Millisecond))
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
			defer cancel()
		}
		result, err := f(ctx, body)
		if err != nil {
			return nil, withCode(ctx, err)
		}
		return result, nil
	}
}

// withCode gives an error of a method the code that the caller is to see.
func withCode(ctx context.Context, err error) error {
	var coded interface{ Code() string }
	switch {
	case ctx.Err() == context.DeadlineExceeded: // whatever the method has made of it
		return &driver.JobError{Code: CodeDeadline, Message: err.Error()}
	case errors.As(err, &coded) && coded.Code() != "":
		return &driver.JobError{Code: coded.Code(), Message: err.Error()}
	}
	return err
}

// Progress reports to [OnProgress] how far a method is, by the context that the method was given. It may wait as
// driver.Job.Progress does. The value goes as JSON of at most 16 KiB; if that cannot be, the host's log says so.
func Progress(ctx context.Context, v any) {
	job := scopeOf(ctx).job
	if job == nil {
		return
	}
	detail, err := json.Marshal(v)
	if err == nil && len(detail) > maxDetail {
		err = fmt.Errorf("%d bytes of JSON, the limit is %d", len(detail), maxDetail)
	}
	if err == nil {
		job.Progress(string(detail))
		return
	}
	text := fmt.Sprintf("job %d: progress is not reported: %v", job.ID, err)
	job.Diagnose(workerchannel.Diagnostic{Level: workerchannel.LevelWarn, Category: "rpc", Message: text})
}

const maxDetail = 16 << 10 // Job.Progress cuts what is longer
