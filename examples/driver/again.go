package driver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ServeAgain is a worker that comes by itself, to a host that attaches it: it dials, serves as Serve does, with a new
// id each time, and dials again if the host is gone, has sent what was refused, or cannot be reached. It returns
//
//   - nil when a host has asked it to shut down, as one does that stops to be started again. To wait for the next host,
//     call it again.
//   - the cause of the end of ctx, when Serve has ended for that. See also WithDrain.
//   - a *HandlersLeftError if handlers of a session have not returned within the time of WithGrace. In another session
//     more would run than WithConcurrency allows: let the process end, and have it started again.
//   - ErrOptions for an option that is out of range, a nil dial or handler, or what dial returns as ErrOptions.
//
// Before it dials again it waits for 100 ms, and twice as long each time up to 10 s, less a random part of up to a
// half, so that not all workers of a host come at the same moment. A session in which a handler was called, or that
// lasted for longer than that, has the time begin anew. WithServeLogger tells why it dials again, and how long it waits.
//
// The context of dial ends with ctx, and after 10 s. Then dial must return soon. The connection must not depend on it.
func ServeAgain(ctx context.Context, dial func(context.Context) (Conn, error), handler Handler, opts ...ServeOption) error {
	if dial == nil {
		return fmt.Errorf("%w: ServeAgain: dial is nil", ErrOptions)
	}
	wait := minBackoff
	for ctx.Err() == nil {
		s, err := newServer(ctx, handler, opts)
		if err != nil {
			return err
		}
		conn, err := reach(ctx, dial)
		began := time.Now()
		if err == nil {
			err = s.serve(conn, "")
		}
		var left *HandlersLeftError
		switch {
		case err == nil || errors.Is(err, ErrOptions) || errors.As(err, &left):
			return err
		case ctx.Err() != nil:
			continue
		case s.called || time.Since(began) > maxBackoff:
			wait = minBackoff
		}
		pause := wait - rand.N(wait/2)
		s.log.Warn("worker has no host", reasonAttr(err), "retry_in", pause.Round(time.Millisecond))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		wait = min(2*wait, maxBackoff)
	}
	return context.Cause(ctx)
}

// reach calls dial. When ctx ends, it does not wait for that, and a connection that comes later is closed.
func reach(ctx context.Context, dial func(context.Context) (Conn, error)) (Conn, error) {
	var conn Conn
	var err error
	dialed := make(chan struct{})
	go func() {
		defer close(dialed)
		limited, end := context.WithTimeout(ctx, defaultLimits.Boot)
		defer end()
		if conn, err = dial(limited); conn == nil && err == nil {
			err = fmt.Errorf("%w: dial returned neither a connection nor an error", ErrOptions)
		}
	}()
	discard := func() {
		if <-dialed; conn != nil {
			_ = conn.Close()
		}
	}
	select {
	case <-dialed:
		if err != nil {
			go discard()
			return nil, err
		}
		return conn, nil
	case <-ctx.Done():
		go discard()
		return nil, context.Cause(ctx)
	}
}
