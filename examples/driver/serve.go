package driver

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/workerchannel/workerchannel"
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

// WithGrace sets how long Serve waits, when it ends by itself, for handlers to return and for its last messages to be
// sent. Without it, 10 seconds.
func WithGrace(d time.Duration) ServeOption {
	return func(s *server) {
		if d < 0 {
			s.err = fmt.Errorf("%w: WithGrace: expected no negative time, got %v", ErrOptions, d)
		}
		s.grace = d
	}
}

// WithServeLogger has Serve log panics with their stacks. Without it they are only reported to the host.
func WithServeLogger(log *slog.Logger) ServeOption { return func(s *server) { s.log = log } }

// maxOutbox is how many messages may wait before handlers have to, with what they report.
const maxOutbox = 64

// A server is the worker's loop.
type server struct {
	handler     Handler
	concurrency int
	finalizer   func(*Job)
	grace       time.Duration
	log         *slog.Logger

	w       *workerchannel.Worker
	conn    Conn
	in      chan inbound // closed when Recv has failed, with recvErr set
	out     chan []byte  // closed at the end
	sent    chan error
	events  chan event
	done    chan struct{} // closed when the loop ends
	recvErr error

	text    []byte // the message that was last sent; its sender's while sending
	sending bool
	jobs    map[uint64]*Job // from their SpawnJob to their end
	queue   []*Job          // not begun
	running int             // handlers that have not returned, and finalizers

	err       error // why Serve ends; nil: it does not, or the host has asked it to shut down
	abandoned bool  // there is nobody to talk to
}

// Serve is a worker: it runs jobs of the host at the other end of the connection until the host asks it to shut down,
// and returns nil then. Otherwise it returns why it ended:
//
//   - the cause of the end of ctx. The handlers' contexts end with the same cause. A handler that still returns a
//     result is heard. The other jobs are left open, so that the host runs them elsewhere.
//   - ErrHostGone, with the error of Recv or Send. The handlers' contexts end with it.
//   - the error of workerchannel.Worker for a message that was refused, which the host hears, too.
//   - ErrOptions for an option that is out of range.
//
// The id must be new for every call; if it is empty, Serve makes one. In every case Serve closes the connection and
// returns when all handlers have, or after the time of WithGrace. When asked to shut down it lets the handlers that
// run return, however long that takes, and leaves the jobs that are queued to other workers.
func Serve(ctx context.Context, conn Conn, id string, handler Handler, opts ...ServeOption) error {
	defer func() { _ = conn.Close() }()
	if id == "" {
		id = fmt.Sprintf("worker-%d-%s", os.Getpid(), rand.Text())
	}
	s := &server{
		handler: handler, conn: conn, w: workerchannel.NewWorker(id, 0),
		concurrency: runtime.GOMAXPROCS(0),
		grace:       10 * time.Second,
		log:         slog.New(slog.DiscardHandler),
		in:          make(chan inbound, 4),
		out:         make(chan []byte, 1),
		sent:        make(chan error, 1),
		events:      make(chan event),
		done:        make(chan struct{}),
		jobs:        map[uint64]*Job{},
	}
	for _, opt := range opts {
		if opt != nil {
			opt(s)
		}
	}
	if s.err == nil && (handler == nil || s.log == nil) {
		s.err = fmt.Errorf("%w: handler or logger is nil", ErrOptions)
	}
	if s.err != nil {
		return s.err
	}
	if err := s.w.Announce(); err != nil {
		return err
	}
	return s.run(ctx)
}

func (s *server) run(ctx context.Context) error {
	go s.receiveAll()
	go s.sendAll()
	defer close(s.done)
	defer close(s.out)
	defer func() {
		for _, job := range s.jobs {
			job.cancel(s.err)
		}
	}()
	var over <-chan time.Time // when the grace is
	ended := ctx.Done()
	for {
		s.begin()
		if s.err != nil && over == nil {
			timer := time.NewTimer(s.grace)
			defer timer.Stop()
			over = timer.C
		}
		if s.running == 0 && !s.w.Closed() && (s.err != nil || s.w.ShutdownRequested()) {
			_ = s.w.CompleteShutdown() // announced and not closed, so it is accepted
		}
		s.sendNext()
		quiet := s.w.Closed() && s.w.OutboxLen() == 0 && !s.sending
		if s.running == 0 && (quiet || s.abandoned) {
			return s.err
		}
		events := s.events
		if s.w.OutboxLen() >= maxOutbox && !s.abandoned {
			events = nil // until the host has read some
		}
		select {
		case m, ok := <-s.in:
			if ok {
				s.receive(ctx, &m)
			} else {
				s.in = nil
				s.hostGone(s.recvErr)
			}
		case err := <-s.sent:
			s.sending = false
			if err != nil {
				s.hostGone(err)
			}
		case e := <-events:
			s.take(&e)
		case <-ended:
			ended = nil
			s.quit(context.Cause(ctx))
		case <-over:
			if s.running > 0 {
				s.err = fmt.Errorf("%w (%d handlers have not returned)", s.err, s.running)
			}
			return s.err
		}
	}
}

// quit makes Serve end, for the first reason that it is called with. Queued jobs stay open.
func (s *server) quit(why error) {
	if s.err != nil {
		return
	}
	s.err = why
	s.queue = nil
	for _, job := range s.jobs {
		job.cancel(why)
	}
}

func (s *server) hostGone(why error) {
	s.abandoned = true
	if !s.w.Closed() { // else it was about to end, and so was the host
		s.quit(fmt.Errorf("%w: %w", ErrHostGone, why))
	}
}

func (s *server) receiveAll() {
	defer close(s.in)
	for {
		data, err := s.conn.Recv()
		if err != nil {
			s.recvErr = err
			return
		}
		var m inbound
		m.verified, m.err = workerchannel.Verify(data)
		select {
		case s.in <- m:
		case <-s.done:
			return
		}
	}
}

func (s *server) sendAll() {
	for text := range s.out {
		s.sent <- s.conn.Send(text)
	}
}

// sendNext takes the next message from the outbox when the transport has taken the one before.
func (s *server) sendNext() {
	if s.sending || s.abandoned {
		return
	}
	env, ok := s.w.DrainOutbox()
	if !ok {
		return
	}
	const small = 64 << 10
	if cap(s.text) > small {
		s.text = nil // seldom needed that large, so not kept
	}
	s.text, _ = env.AppendJSON(s.text[:0]) // the worker queues nothing that cannot be written
	s.sending = true
	s.out <- s.text
}

// begin calls handlers for queued jobs, as many as may run.
func (s *server) begin() {
	if s.w.ShutdownRequested() {
		s.queue = nil // for other workers
	}
	for len(s.queue) > 0 && s.running < s.concurrency {
		job := s.queue[0]
		s.queue = slices.Delete(s.queue, 0, 1)
		_ = s.w.Start(job.ID) // it is queued, so it is accepted
		s.running++
		job.begun = true
		go job.run()
	}
}

// receive does what a message of the host asks for.
func (s *server) receive(ctx context.Context, m *inbound) {
	err := m.err
	if err == nil {
		err = s.w.HandleVerified(m.verified)
	}
	if err != nil {
		if s.w.Fail(plain(err.Error(), maxText)) == nil {
			s.quit(err)
		}
		return
	}
	if s.w.Closed() {
		return
	}
	switch op := m.verified.Envelope().Op.(type) {
	case workerchannel.SpawnJob:
		job := &Job{ID: op.JobID, Region: op.RegionID, Payload: op.Payload, server: s}
		job.ctx, job.cancel = context.WithCancelCause(ctx)
		s.jobs[job.ID] = job
		if s.err == nil {
			s.queue = append(s.queue, job)
		}
	case workerchannel.CancelJob:
		s.cancel(op)
	case workerchannel.DrainJob:
		if job := s.jobs[op.JobID]; job.ended {
			_ = s.w.CompleteDrain(op.JobID)
		}
	case workerchannel.FinalizeJob:
		job := s.jobs[op.JobID]
		if s.finalizer != nil && job.begun {
			s.running++
			go job.finalize()
		} else {
			s.finalized(job)
		}
	}
}

// cancel begins to cancel a job, unless it has ended meanwhile.
func (s *server) cancel(op workerchannel.CancelJob) {
	job, ok := s.jobs[op.JobID]
	if !ok {
		return
	}
	_ = s.w.AcknowledgeCancel(op.JobID)
	job.cancel(&CancelError{Reason: op.Reason})
	if i := slices.Index(s.queue, job); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
		job.ended = true
	}
}

// take does what the goroutine of a job has to say.
func (s *server) take(e *event) {
	state, tracked := s.w.JobState(e.job.ID)
	switch e.kind {
	case eventProgress:
		if tracked && state == workerchannel.StateRunning && s.jobs[e.job.ID] == e.job {
			_ = s.w.Report(e.job.ID, e.detail)
		}
	case eventDiagnostic:
		_ = s.w.Diagnose(e.diagnostic) // lost if the worker is closed
	case eventEnded:
		s.running--
		e.job.ended = true
		switch {
		case !tracked:
			delete(s.jobs, e.job.ID) // a shutdown was requested while it was being cancelled
		case state == workerchannel.StateDraining:
			_ = s.w.CompleteDrain(e.job.ID)
		case state == workerchannel.StateRunning && (s.err == nil || !e.failed):
			_ = s.w.Complete(e.job.ID, e.outcome)
			delete(s.jobs, e.job.ID)
		}
	case eventFinalized:
		s.running--
		s.finalized(e.job)
	}
}

func (s *server) finalized(job *Job) {
	_ = s.w.CompleteFinalize(job.ID) // refused if the session has ended
	delete(s.jobs, job.ID)
}
