package driver

import (
	"context"
	"sync"
	"time"
)

// A jobContext is the context of a job. It is made when something is asked of it, as handlers of short jobs seldom do.
type jobContext struct {
	base context.Context

	mu     sync.Mutex
	made   context.Context // nil: nothing has been asked of it
	cancel context.CancelCauseFunc
	ended  bool
	cause  error
}

func (c *jobContext) get() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.made != nil:
	case c.ended: // what has happened to base since does not count
		c.made, c.cancel = context.WithCancelCause(context.WithoutCancel(c.base))
		c.cancel(c.cause)
	default:
		c.made, c.cancel = context.WithCancelCause(c.base)
	}
	return c.made
}

// end cancels the context, unless that has been done already.
func (c *jobContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended, c.cause = true, cause
	switch {
	case c.made != nil:
		c.cancel(cause)
	case c.base.Err() != nil: // it had ended with base
		c.cause = context.Cause(c.base)
	}
}

func (c *jobContext) Deadline() (deadline time.Time, ok bool) { return c.base.Deadline() }
func (c *jobContext) Done() <-chan struct{}                   { return c.get().Done() }
func (c *jobContext) Err() error                              { return c.get().Err() }
func (c *jobContext) Value(key any) any                       { return c.get().Value(key) }
