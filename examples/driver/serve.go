package driver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// A ServeOption configures Serve.
type ServeOption func(*server)

// WithConcurrency sets how many handlers run at a time; further jobs are queued. Without it, as many as the Go runtime
// uses processors.
func WithConcurrency(n int) ServeOption {
	return func(s *server) {
		if n < 1 {
			s.err = fmt.Errorf("%w: WithConcurrency: expected at least 1, got %d", ErrOptions, n)
		}
		s.concurrency = n
	}
}

// WithFinalizer has f called, on a goroutine of its own, for each job that was cancelled after its handler had been
// called: when the handler has returned and the host asks to clean up.
func WithFinalizer(f func(*Job)) ServeOption { return func(s *server) { s.finalizer = f } }

// WithGrace sets how long Serve waits, when it ends by itself, for handlers to return, for its last messages to be sent
// and for the connection to close; when the host has asked it to shut down, for the latter two once handlers have
// returned. Without it, 10 seconds.
func WithGrace(d time.Duration) ServeOption {
	return func(s *server) {
		if d < 0 {
			s.err = fmt.Errorf("%w: WithGrace: expected no negative time, got %v", ErrOptions, d)
		}
		s.grace = d
	}
}

// WithDrain has Serve leave in order when its context ends: it takes nothing more, and lets the handlers that run
// finish, however long that takes, whose contexts do not end with Serve's. The jobs that wait are left to other
// workers. Serve still returns the cause of the context's end. To bound the time, end the process.
func WithDrain() ServeOption { return func(s *server) { s.drain = true } }

// WithKeepAlive sets when Serve pings the host, if the connection has a method Ping (see Conn): when nothing has come
// for the time silence. If nothing comes for the time answer then, no pong either, Serve returns ErrHostGone. 0 stands
// for the default, which is that of Limits, 5 and 10 seconds; if one is negative, Serve does not ping.
func WithKeepAlive(silence, answer time.Duration) ServeOption {
	return func(s *server) {
		s.silence = cmp.Or(silence, defaultLimits.Silence)
		s.answer = cmp.Or(answer, defaultLimits.Answer)
	}
}

// WithGroupKill has Serve kill the process group of this process, and so itself, where it would return ErrHostGone: when
// all handlers have returned, or after the time of WithGrace. It does so if the process leads its group, as one that
// Start has started does. Then nothing stays that a handler has started and whose host was killed. Serve logs why first.
// It does not return, so that nothing that is deferred runs; with ServeAgain the worker does not dial again.
func WithGroupKill() ServeOption { return func(s *server) { s.groupKill = true } }

// WithServeLogger has Serve log panics with their stacks, and ServeAgain why it dials again. Without it panics are only
// reported to the host.
func WithServeLogger(log *slog.Logger) ServeOption { return func(s *server) { s.log = log } }

// WithServeJournal has Serve record what happens between it and the host in a journal, as one session, which ends when
// Serve returns and says why. ServeAgain has one for each connection. Close the journal afterwards. What WithJournal says
// of a host is true here, too.
func WithServeJournal(w *journal.Writer) ServeOption {
	return func(s *server) {
		if w == nil {
			s.err = fmt.Errorf("%w: WithServeJournal: writer is nil", ErrOptions)
		}
		s.record = w
	}
}

// Serve is a worker: it runs jobs of the host at the other end of the connection until the host asks it to shut down,
// and returns nil then. Otherwise it returns why it ended:
//
//   - the cause of the end of ctx. The handlers' contexts end with the same cause. A handler that still returns a
//     result is heard. The other jobs are left open, so that the host runs them elsewhere. See also WithDrain.
//   - ErrHostGone, with the error of Recv or Send, or if the host has not answered a ping (see WithKeepAlive) or, when
//     it has asked for the shutdown, does not read the last messages. The handlers' contexts end with it.
//   - the error of workerchannel.Worker for a message that was refused, which the host hears, too.
//   - ErrTooManyJobs if the host sends more than 16,384 that wait for a handler, or more than 256 MiB of
//     payload for them, or lets 65,536 answers wait. Serve always reads, so that it hears of a cancel, and does not
//     hold up a host that waits to send, until it has refused a message or failed. But it calls no handler while 1,024
//     messages wait for the host to read them, so that results take at most 256 MiB, and 256 KiB for each handler.
//   - ErrOptions for an option that is out of range, or a nil connection or handler; nothing else is done then.
//
// Serve tells the host how many handlers may run at a time, and which have begun, as section 13 of PROTOCOL.md says.
//
// The id must be new for every call; if it is empty, Serve makes one. In every case Serve closes the connection and
// returns when all handlers have, or after the time of WithGrace: then, if some have not, with a *HandlersLeftError
// that wraps the reason. When asked to shut down, or to leave by WithDrain, it lets the handlers that run return,
// however long that takes, and leaves the jobs that are queued to other workers.
func Serve(ctx context.Context, conn Conn, id string, handler Handler, opts ...ServeOption) error {
	if conn == nil {
		return fmt.Errorf("%w: Serve: connection is nil", ErrOptions)
	}
	s, err := newServer(ctx, handler, opts)
	if err != nil {
		_ = conn.Close()
		return err
	}
	return s.serve(conn, id)
}

func newServer(ctx context.Context, handler Handler, opts []ServeOption) (*server, error) {
	s := &server{
		ctx: ctx, base: ctx, handler: handler,
		concurrency: runtime.GOMAXPROCS(0),
		grace:       10 * time.Second,
		silence:     defaultLimits.Silence,
		answer:      defaultLimits.Answer,
		log:         slog.New(slog.DiscardHandler),
		jobs:        map[uint64]*Job{},
		wake:        make(chan struct{}, 1),
		notice:      make(chan struct{}, 1),
		done:        make(chan struct{}),
		over:        make(chan struct{}),
		idle:        make(chan *Job),
	}
	for _, opt := range opts {
		if opt != nil {
			opt(s)
		}
	}
	if s.err == nil && (handler == nil || s.log == nil) {
		s.err = fmt.Errorf("%w: Serve: handler or logger is nil", ErrOptions)
	}
	if s.drain {
		s.base = context.WithoutCancel(ctx)
	}
	return s, s.err
}

// serve is a session of the worker. When nothing more is to be done but that handlers return, messages are sent and the
// connection closes, it waits for that no longer than the grace.
func (s *server) serve(conn Conn, id string) (err error) {
	if id == "" {
		id = fmt.Sprintf("worker-%d-%s", os.Getpid(), rand.Text())
	}
	w := workerchannel.NewWorker(id, 0)
	s.conn, s.w = conn, w
	if s.record != nil {
		r := s.record.RecordWorker(w)
		s.w = r
		defer func() { // the Writer has the error, too
			s.mu.Lock()
			defer s.mu.Unlock()
			_ = r.End(s.ending(err))
		}()
	}
	if err := s.w.Announce(); err != nil {
		_ = conn.Close()
		return err
	}
	s.sayCapacity(s.concurrency)
	s.pings = watchOver(conn, s.silence, s.answer, func() bool { return true }, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hostGone(fmt.Errorf("it has not answered a ping within %v", s.answer))
	})
	go s.receiveAll()
	go s.sendAll()
	err = s.wait()
	s.pings.stop()
	s.close()
	if s.groupKill && errors.Is(err, ErrHostGone) {
		s.log.Error("host is gone, so the process group ends", "reason", err.Error())
		killOwnGroup()
	}
	return err
}

// wait returns when the worker has ended, with the reason.
func (s *server) wait() error {
	defer close(s.done)
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, job := range s.jobs {
			job.ctx.end(s.why())
		}
	}()
	ended := s.ctx.Done()
	for {
		select {
		case <-s.notice:
		case <-ended:
			ended = nil
			s.mu.Lock()
			s.checkContext()
			s.mu.Unlock()
		case <-s.over:
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.giveUp()
		}
		s.mu.Lock()
		finished := s.finish()
		err, ending := s.why(), s.err != nil || s.w.Closed()
		s.mu.Unlock()
		if ending && s.limit == nil {
			s.limit = time.AfterFunc(s.grace, func() { close(s.over) })
		}
		if finished {
			return err
		}
	}
}

// close closes the connection, without ceremony if nobody is there or the grace is over.
func (s *server) close() {
	defer s.limit.Stop()
	s.mu.Lock()
	end := closerOf(s.conn, s.hostLost)
	s.mu.Unlock()
	closed := make(chan struct{})
	go func() {
		_ = end()
		close(closed)
	}()
	select {
	case <-closed:
	case <-s.over:
	}
}

// receiveAll reads always, so that a host that polls or waits to send is not held up, until a message is refused.
func (s *server) receiveAll() {
	err := receiveFrom(s.conn, s.pings, func(together []arrival) (more bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		more = true
		for i := 0; i < len(together) && more; i++ {
			more = s.take(&together[i])
		}
		if s.w.OutboxLen() > 0 {
			notify(s.wake)
		}
		s.begin()
		s.look()
		return more
	})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hostGone(err)
	}
}

// sendAll takes the next messages from the outbox when the transport has taken those before.
func (s *server) sendAll() {
	err := sendFrom(s.conn, s.wake, s.done, func(b *batch) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.next(b)
	})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hostGone(err)
	}
}
