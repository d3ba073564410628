package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// How many messages may wait for a host that does not read. Results take at most 256 MiB, and 256 KiB for each handler;
// other messages take less than 16 MiB.
const (
	maxOutbox  = 64             // before handlers have to wait, with what they report
	maxResults = 1024           // before no other handler is called
	maxUnread  = 4 * maxWaiting // before Serve fails: answers, of which a job has one at a time
)

// A server is what Serve is while it runs. The goroutine of receiveAll verifies messages and takes them in, that of
// sendAll makes, seals and writes them, each handler has one of its own, and that of wait decides when it is over. What
// they share is under mu. The methods of this file are called with mu held, and do not wait; all calls of the
// workerchannel.Worker are made here.
type server struct {
	ctx         context.Context
	base        context.Context // the handlers'; it ends with ctx unless drain is set
	conn        Conn
	handler     Handler
	concurrency int
	finalizer   func(*Job)
	grace       time.Duration
	silence     time.Duration // of WithKeepAlive
	answer      time.Duration
	drain       bool
	groupKill   bool
	log         *slog.Logger

	wake   chan struct{} // capacity 1: there may be something to send
	notice chan struct{} // capacity 1: it may be over
	done   chan struct{} // closed when it is
	over   chan struct{} // closed when the grace is
	limit  *time.Timer   // which closes it; wait's
	idle   chan *Job     // to goroutines that have run a handler
	pings  *watchdog
	record *journal.Writer // nil: nowhere

	mu       sync.Mutex
	w        half
	jobs     map[uint64]*Job // from their SpawnJob to their end
	queue    chain[*Job]     // those whose handlers are to be called, oldest first
	waiting  int             // the bytes of the payloads of jobs that no handler has
	begun    []*Job          // begun since the last message was made; the host is to be told unless they have ended already
	running  int             // handlers that have not returned, and finalizers
	open     int             // of jobs, those that have been begun
	called   bool            // a handler has been
	seen     uint64          // the number of the last message of the host
	taken    uint64          // the number of the last message that was taken to be sent
	sending  bool            // the transport has a message that it has not taken
	room     chan struct{}   // closed when handlers may report; nil: none waits
	err      error           // why Serve ends; nil: it does not, or the host has asked it to shut down
	leaving  error           // why Serve drains; nil: it does not
	failed   bool            // the host has sent what it must not
	hostLost bool            // there is nobody to talk to
}

// next takes the next messages. The transport has taken those before.
func (s *server) next(b *batch) {
	s.sending = false
	if s.hostLost {
		return
	}
	s.reportBegun()
	b.take(s.w)
	if n := len(b.messages); n > 0 {
		s.sending, s.taken = true, b.messages[n-1].Envelope.SeqNo
	}
	if s.room != nil && s.w.OutboxLen() < maxOutbox {
		close(s.room)
		s.room = nil
	}
	s.begin() // if there were too many messages
	if !s.sending {
		s.look()
	}
}

// look has Serve see whether it is over, if that can be.
func (s *server) look() {
	if s.why() != nil || s.hostLost || s.w.ShutdownRequested() || s.w.Closed() {
		notify(s.notice)
	}
}

// why returns why Serve ends; nil if it does not, or the host has asked it to shut down.
func (s *server) why() error {
	if s.err != nil {
		return s.err
	}
	return s.leaving
}

// finish completes the shutdown when nothing runs any more, and reports whether the worker has ended. What has begun is
// reported before, or the host would take it for a job that can run elsewhere without being run twice.
func (s *server) finish() bool {
	if s.running == 0 && !s.w.Closed() && (s.err != nil || s.w.ShutdownRequested() || s.leaving != nil && s.open == 0) {
		s.reportBegun()
		_ = s.w.CompleteShutdown() // announced and not closed, so it is accepted
		notify(s.wake)
	}
	quiet := s.w.Closed() && s.w.OutboxLen() == 0 && !s.sending
	return s.running == 0 && (quiet || s.hostLost)
}

// giveUp returns why Serve ends though something is left to be done.
func (s *server) giveUp() error {
	s.hostLost = true // nothing more is sent
	err := s.why()
	if err == nil {
		err = fmt.Errorf("%w: it has not read the last messages within %v", ErrHostGone, s.grace)
	}
	if s.running > 0 {
		err = &HandlersLeftError{Running: s.running, Err: err}
	}
	return err
}

// checkContext makes Serve end if its context has ended. The handlers' contexts have ended at the same moment, and what
// they come to because of that must not be told to the host.
func (s *server) checkContext() {
	switch {
	case s.ctx.Err() == nil || s.why() != nil:
	case s.drain:
		s.leaving = context.Cause(s.ctx)
		s.leave()
	default:
		s.leave()
		s.quit(context.Cause(s.ctx))
	}
}

// leave has the host give nothing more and take back what has not begun. What has begun is reported first, so that the
// host can tell.
func (s *server) leave() {
	s.giveUpQueue()
	s.reportBegun()
	s.sayCapacity(0)
}

// sayCapacity tells the host how many handlers may run at a time (PROTOCOL.md, section 13).
func (s *server) sayCapacity(handlers int) {
	_ = s.w.Diagnose(workerchannel.Diagnostic{Level: workerchannel.LevelInfo, Category: categoryCapacity, Message: strconv.Itoa(handlers)}) // lost if the worker is closed
	notify(s.wake)
}

// quit makes Serve end, for the first reason that it is called with. Queued jobs stay open.
func (s *server) quit(why error) {
	if s.err != nil {
		return
	}
	s.err = why
	s.giveUpQueue()
	for _, job := range s.jobs {
		job.ctx.end(why)
	}
}

// fail makes Serve end and tells the host why, unless it has ended already. Nothing more is read.
func (s *server) fail(why error) {
	s.failed = true
	if s.w.Fail(plain(strings.TrimPrefix(why.Error(), "driver: "), maxText)) == nil {
		s.quit(why)
	}
}

var errUnread = fmt.Errorf("%w: the host does not read the answers", ErrTooManyJobs)

func (s *server) hostGone(why error) {
	s.hostLost = true
	if !s.w.Closed() { // else it was about to end, and so was the host
		s.quit(fmt.Errorf("%w: %w", ErrHostGone, why))
	}
	s.look()
}

// take does what a message of the host asks for, and reports whether more can be taken in. When as many as have arrived together
// have been taken in, begin and look are to be called.
func (s *server) take(a *arrival) (more bool) {
	err := a.err
	if err == nil {
		err = s.handle(a.v)
	} else {
		_, _ = s.w.Receive(a.text) // refused for the same reason, so that it is recorded, and has changed nothing
	}
	switch {
	case err != nil:
		s.fail(err)
	case s.w.OutboxLen() >= maxUnread:
		s.fail(errUnread)
	case !s.w.Closed():
		s.obey(a.v.Op())
	}
	select {
	case <-s.done:
		return false // Recv goes on after Close
	default:
		return !s.failed
	}
}

// handle gives a message to the worker, but not a poll whose answer has not been sent yet: a host may poll any number
// of times and not read.
func (s *server) handle(v workerchannel.Verified) error {
	if n := v.Envelope().SeqNo; n > s.seen {
		s.seen = n
	} else {
		env := v.Envelope()
		return refused(s.w, &env, &workerchannel.SequenceError{LastSeen: s.seen, Actual: n})
	}
	switch op := v.Op().(type) {
	case workerchannel.CancelJob:
		s.reportBegun() // the host is to learn that the job has begun, which cannot be reported afterwards
	case workerchannel.PollStatus:
		if job, _ := s.w.Job(op.JobID); job.LastSeqNo > s.taken {
			return nil
		}
	}
	return s.w.HandleVerified(v)
}

func (s *server) obey(op workerchannel.Op) {
	switch op := op.(type) {
	case workerchannel.SpawnJob:
		s.accept(op)
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
		s.giveUpQueue()
	}
}

// accept takes a job in. One that comes when Serve is leaving is not begun.
func (s *server) accept(op workerchannel.SpawnJob) {
	job := &Job{ID: op.JobID, Region: op.RegionID, Attempt: op.ObligationID, Payload: op.Payload, server: s, size: len(op.Payload)}
	job.ctx, job.place.of = &jobContext{base: s.base}, job
	if len(s.jobs)-s.running >= maxWaiting || s.waiting+job.size > maxWaitingBytes {
		s.fail(ErrTooManyJobs)
		return
	}
	s.jobs[job.ID] = job
	s.waiting += job.size
	if s.checkContext(); s.why() == nil {
		s.queue.append(&job.place)
	}
}

// The most that may wait for a handler: jobs, and bytes of their payloads.
const (
	maxWaiting      = 16_384
	maxWaitingBytes = 256 << 20
)

// begin calls handlers for queued jobs, as many as may run.
func (s *server) begin() {
	for job := s.pop(); job != nil; job = s.pop() {
		select {
		case s.idle <- job:
		default:
			go s.work(job)
		}
	}
}

// pop returns the queued job whose handler is to be called next; nil if none may be.
func (s *server) pop() *Job {
	if s.queue.len == 0 || s.running >= s.concurrency || s.w.OutboxLen() >= maxResults {
		return nil
	}
	job := s.queue.first.of
	job.place.remove()
	s.running++
	s.waiting -= job.size
	job.begun = true
	s.open++
	s.called = true
	s.begun = append(s.begun, job)
	notify(s.wake)
	return job
}

// giveUpQueue leaves the queued jobs to other workers.
func (s *server) giveUpQueue() {
	for s.queue.len > 0 {
		s.queue.first.remove()
	}
}

// reportBegun tells the host which jobs run, but those that have ended already.
func (s *server) reportBegun() {
	for _, job := range s.begun {
		if !job.ended {
			s.reportStart(job)
		}
	}
	s.begun = emptied(s.begun)
}

// reportStart tells the host that a job runs, unless it has been told or the job is being cancelled.
func (s *server) reportStart(job *Job) {
	if !job.reported {
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
	job.ctx.end(&CancelError{Reason: op.Reason})
	if !job.begun {
		job.ended = true
		job.place.remove()
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
	s.waiting += job.size // until the host lets go of it
	s.checkContext()
	_, succeeded := outcome.(workerchannel.OutcomeOk)
	switch state, tracked := s.w.JobState(job.ID); {
	case !tracked:
		s.forget(job) // a shutdown was requested while it was being cancelled
	case state == workerchannel.StateDraining:
		_ = s.w.CompleteDrain(job.ID)
	case (state == workerchannel.StateRunning || state == workerchannel.StateQueued) && (s.err == nil || succeeded):
		_ = s.w.Complete(job.ID, outcome)
		s.forget(job)
	case state == workerchannel.StateQueued:
		s.reportStart(job) // it is left open, and has been begun
	}
	job.ended = true
}

func (s *server) finalized(job *Job) {
	_ = s.w.CompleteFinalize(job.ID) // refused if the session has ended
	s.forget(job)
}

func (s *server) forget(job *Job) {
	delete(s.jobs, job.ID)
	if job.begun {
		s.open--
	}
	s.waiting -= job.size
}

// ending returns why Serve has ended, for the journal.
func (s *server) ending(err error) journal.Ending {
	how, why := journal.Stopped, "the host has asked for it"
	switch {
	case s.failed:
		how = journal.Broken
	case errors.Is(err, ErrHostGone):
		how = journal.Lost
	case s.w.Closed():
		how = journal.Left
	}
	if err != nil {
		why = err.Error()
	}
	return journal.Ending{How: how, Why: printable(why)}
}

// goOn does what can be done when a goroutine of a job has ended.
func (s *server) goOn() {
	notify(s.wake)
	s.begin()
	s.look()
}
