package driver

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/workerchannel/workerchannel"
)

// maxOutbox is how many messages may wait before handlers have to, with what they report.
const maxOutbox = 64

// A server is what Serve is while it runs. The goroutine of receiveAll verifies messages and takes them in, that of
// sendAll makes, seals and writes them, each handler has one of its own, and that of wait decides when it is over. What
// they share is under mu. The methods of this file are called with mu held, and do not wait; all calls of the
// workerchannel.Worker are made here.
type server struct {
	ctx         context.Context
	conn        Conn
	handler     Handler
	concurrency int
	finalizer   func(*Job)
	grace       time.Duration
	log         *slog.Logger

	wake   chan struct{} // capacity 1: there may be something to send
	notice chan struct{} // capacity 1: it may be over
	done   chan struct{} // closed when it is
	idle   chan *Job     // to goroutines that have run a handler
	idling atomic.Int32

	mu       sync.Mutex
	w        *workerchannel.Worker
	jobs     map[uint64]*Job // from their SpawnJob to their end
	queue    []*Job          // not begun
	begun    []*Job          // begun since the last message was made; the host is to be told unless they have ended already
	running  int             // handlers that have not returned, and finalizers
	sending  bool            // the transport has a message that it has not taken
	room     chan struct{}   // closed when handlers may report; nil: none waits
	err      error           // why Serve ends; nil: it does not, or the host has asked it to shut down
	hostLost bool            // there is nobody to talk to
}

// next writes the next message into text, if there is one, and returns how many there are. The transport has taken the
// message before.
func (s *server) next(text []byte) ([]byte, int) {
	s.sending = false
	if s.hostLost {
		return text, 0
	}
	for _, job := range s.begun {
		s.reportStart(job)
	}
	s.begun = emptied(s.begun)
	messages := s.w.OutboxLen()
	text, _, ok := s.w.AppendNext(text)
	if s.room != nil && s.w.OutboxLen() < maxOutbox {
		close(s.room)
		s.room = nil
	}
	if !ok {
		s.look()
		return text, 0
	}
	s.sending = true
	return text, messages
}

// look has Serve see whether it is over, if that can be.
func (s *server) look() {
	if s.err != nil || s.hostLost || s.w.ShutdownRequested() || s.w.Closed() {
		notify(s.notice)
	}
}

// finish completes the shutdown when nothing runs any more, and reports whether the worker has ended.
func (s *server) finish() bool {
	if s.running == 0 && !s.w.Closed() && (s.err != nil || s.w.ShutdownRequested()) {
		_ = s.w.CompleteShutdown() // announced and not closed, so it is accepted
		notify(s.wake)
	}
	quiet := s.w.Closed() && s.w.OutboxLen() == 0 && !s.sending
	return s.running == 0 && (quiet || s.hostLost)
}

// checkContext makes Serve end if its context has ended. The handlers' contexts have ended at the same moment, and what
// they come to because of that must not be told to the host.
func (s *server) checkContext() {
	if s.ctx.Err() != nil {
		s.quit(context.Cause(s.ctx))
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
	s.hostLost = true
	if !s.w.Closed() { // else it was about to end, and so was the host
		s.quit(fmt.Errorf("%w: %w", ErrHostGone, why))
	}
	s.look()
}

// take does what a message of the host asks for.
func (s *server) take(v workerchannel.Verified, err error) {
	if err == nil {
		err = s.w.HandleVerified(v)
	}
	switch {
	case err != nil:
		if s.w.Fail(plain(err.Error(), maxText)) == nil {
			s.quit(err)
		}
	case !s.w.Closed():
		s.obey(v.Envelope().Op)
	}
	if s.w.OutboxLen() > 0 {
		notify(s.wake)
	}
	s.begin()
	s.look()
}

func (s *server) obey(op workerchannel.Op) {
	switch op := op.(type) {
	case workerchannel.SpawnJob:
		job := &Job{ID: op.JobID, Region: op.RegionID, Payload: op.Payload, server: s}
		job.ctx, job.cancel = context.WithCancelCause(s.ctx)
		s.jobs[job.ID] = job
		if s.checkContext(); s.err == nil {
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
	case workerchannel.ShutdownWorker:
		s.queue = nil // for other workers
	}
}

// begin calls handlers for queued jobs, as many as may run.
func (s *server) begin() {
	for len(s.queue) > 0 && s.running < s.concurrency {
		job := s.queue[0]
		s.queue = slices.Delete(s.queue, 0, 1)
		s.running++
		job.begun = true
		s.begun = append(s.begun, job)
		notify(s.wake)
		select {
		case s.idle <- job:
		default:
			go s.work(job)
		}
	}
}

// reportStart tells the host that a job runs, unless it has been told, or the job has ended or is being cancelled.
func (s *server) reportStart(job *Job) {
	if !job.reported && !job.ended {
		job.reported = true
		_ = s.w.Start(job.ID)
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

// progress reports how far a job is, if it may still.
func (s *server) progress(job *Job, detail string) {
	s.reportStart(job)
	if state, ok := s.w.JobState(job.ID); ok && state == workerchannel.StateRunning && s.jobs[job.ID] == job {
		_ = s.w.Report(job.ID, detail)
	}
}

// handled notes that a handler has returned. If the job is not being cancelled the host hears of the outcome, unless
// Serve is ending and the handler has failed, perhaps for that reason.
func (s *server) handled(job *Job, outcome workerchannel.Outcome) {
	s.running--
	job.ended = true
	s.checkContext()
	_, succeeded := outcome.(workerchannel.OutcomeOk)
	switch state, tracked := s.w.JobState(job.ID); {
	case !tracked:
		delete(s.jobs, job.ID) // a shutdown was requested while it was being cancelled
	case state == workerchannel.StateDraining:
		_ = s.w.CompleteDrain(job.ID)
	case (state == workerchannel.StateRunning || state == workerchannel.StateQueued) && (s.err == nil || succeeded):
		_ = s.w.Complete(job.ID, outcome)
		delete(s.jobs, job.ID)
	}
	s.goOn()
}

func (s *server) finalized(job *Job) {
	_ = s.w.CompleteFinalize(job.ID) // refused if the session has ended
	delete(s.jobs, job.ID)
}

// goOn does what can be done when a goroutine of a job has ended.
func (s *server) goOn() {
	notify(s.wake)
	s.begin()
	s.look()
}
