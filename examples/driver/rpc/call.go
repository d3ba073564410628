package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// Call has a worker run a method and returns its result. It waits, cancels and runs again as [driver.Host.Do] does, and
// takes the same options; the label of the call is the method, unless they set another. The input nil is an empty body,
// a []byte is the body as it is, and any other value goes as JSON. The result is read as the inputs of [Handle] are.
//
// The error is one of those of Do, or says that the input has no JSON or the result is not an Out. If the deadline of
// ctx has ended the call it is a *driver.CancelError that wraps context.DeadlineExceeded, whichever side has noticed it
// first, and also if the deadline has a cause of its own.
func Call[Out any](ctx context.Context, h *driver.Host, method string, in any, opts ...driver.CallOption) (out Out, err error) {
	first := header{Method: method, Meta: scopeOf(ctx).meta}
	if deadline, ok := ctx.Deadline(); ok {
		// Rounded up, so that the worker does not end a call for which the host still waits.
		ms := max(0, int64((time.Until(deadline)-1)/time.Millisecond)+1)
		first.Timeout = &ms
	}
	payload, err := json.Marshal(&first)
	if err == nil {
		payload, err = appendBody(append(payload, '\n'), in)
	}
	if err != nil {
		return out, fmt.Errorf("rpc: input of %q: %w", method, err)
	}
	result, err := h.Do(ctx, payload, append([]driver.CallOption{driver.WithLabel(method)}, opts...)...)
	if err != nil {
		return out, endOf(ctx, err)
	}
	if out, err = readBody[Out](result); err != nil {
		return out, fmt.Errorf("rpc: result of %q: %w", method, err)
	}
	return out, nil
}

// endOf returns the error of a call, in which an end by the deadline can be recognized.
func endOf(ctx context.Context, err error) error {
	switch e := err.(type) {
	case *driver.JobError:
		if e.Code == CodeDeadline {
			return &driver.CancelError{Cause: context.DeadlineExceeded}
		}
	case *driver.CancelError: // of this context or of another
		if ctx.Err() == context.DeadlineExceeded && errors.Is(e.Cause, context.Cause(ctx)) && !errors.Is(e, ctx.Err()) {
			return &driver.CancelError{Cause: fmt.Errorf("%w: %w", ctx.Err(), e.Cause)}
		}
	}
	return err
}

// OnProgress is [driver.WithProgress] for the values of [Progress]. What is not JSON of a T is dropped.
func OnProgress[T any](f func(T)) driver.CallOption {
	return driver.WithProgress(func(detail string) {
		var v T
		if json.Unmarshal([]byte(detail), &v) == nil {
			f(v)
		}
	})
}

// A scope is what a context carries.
type scope struct {
	job  *driver.Job       // whose method has the context; nil: none
	meta map[string]string // is not changed
}

type scopeKey struct{}

func scopeOf(ctx context.Context) scope {
	s, _ := ctx.Value(scopeKey{}).(scope)
	return s
}

// WithMeta returns a context whose calls carry a pair of metadata, such as a traceparent, beside those of ctx. It
// replaces a value that the key has. What is not well-formed UTF-8 arrives as U+FFFD.
func WithMeta(ctx context.Context, key, value string) context.Context {
	s := scope{scopeOf(ctx).job, map[string]string{}}
	maps.Copy(s.meta, scopeOf(ctx).meta)
	s.meta[key] = value
	return context.WithValue(ctx, scopeKey{}, s)
}

// Meta returns a copy of the metadata of ctx; nil if there is none. In a method it is what the caller has sent, and
// calls that the method makes with its context carry it on.
func Meta(ctx context.Context) map[string]string { return maps.Clone(scopeOf(ctx).meta) }
