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
	if c.made == nil {
		if c.made, c.cancel = context.WithCancelCause(c.base); c.ended {
			c.cancel(c.cause)
		}
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
	if c.ended, c.cause = true, cause; c.made != nil {
		c.cancel(cause)
	}
}

func (c *jobContext) Deadline() (deadline time.Time, ok bool) { return c.base.Deadline() }
func (c *jobContext) Done() <-chan struct{}                   { return c.get().Done() }
func (c *jobContext) Err() error                              { return c.get().Err() }
func (c *jobContext) Value(key any) any                       { return c.get().Value(key) }
