package driver

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// A session is what a host knows about one worker: its coordinator, the clocks beside it, and why it ends. It has no
// goroutine and does not wait. All calls of the coordinator are made by its methods, which are called one at a time, so
// that between two of them its state is whole. This file has what comes and goes, watch.go what may be late,
// runlimit.go the clocks of handlers, and closing.go how it ends.
type session struct {
	hub      *hub
	turns    turns
	slot     *slot
	c        coordinator          // nil before start
	record   func(journal.Ending) // ends the record of c
	said     *limitedLog          // what the worker says
	reports  *limitedLog          // its jobs' progress
	notify   func()               // has the worker's run look at why, ticking and abandoned
	replaced func()               // lets the host start another worker in its place; called again it does nothing

	booted  bool
	leaving []*handed // calls whose messages are about to be sent
	lastEnd time.Time // when the worker ended a call

	watch
	closing
}

// start begins the session: the worker has been started.
func (s *session) start() {
	core := workerchannel.NewCoordinator(s.hub.seed, workerchannel.WithLimits(s.turns.core))
	s.c, s.record = s.hub.record(core, s.turns.core)
	s.c.ExpectWorker()
	s.ticking = true
}

// decide calls the scheduler.
func (s *session) decide(f func(*scheduler)) { s.hub.decide(f) }

// next does what the scheduler orders and takes the next messages. The transport has taken those before.
func (s *session) next(b *batch) {
	s.sending = false
	if s.why == nil {
		s.obey()
	}
	if s.why != nil {
		return
	}
	b.take(s.c)
	for i := range b.messages {
		s.leaves(&b.messages[i])
	}
	if len(b.messages) > 0 {
		s.sending, s.sendingSince = true, s.c.Turn()
		s.keepTime()
		s.given()
	}
}

// leaves is called for each message that is about to be sent.
func (s *session) leaves(m *workerchannel.Outgoing) {
	size := len(m.Text)
	s.hub.sent.add(size)
	if s.watched() {
		sent := m.Envelope
		s.tell(EventSent, &sent, size, nil)
		s.logMessage(&sent, size)
	}
	if op, ok := m.Envelope.Op.(workerchannel.SpawnJob); ok {
		s.sentBytes += uint64(size) // other messages are short
		if h := s.handed(op.JobID); h != nil {
			h.position, h.since = s.sentBytes, time.Now()
			s.leaving = append(s.leaving, h)
		}
	}
}

// given tells the scheduler which calls leave for the worker.
func (s *session) given() {
	if len(s.leaving) == 0 {
		return
	}
	reports := false
	s.decide(func(d *scheduler) {
		for _, h := range s.leaving {
			h.call.reached(s.slot, h.since)
			d.callGiven(s.slot, h.call)
			h.free = s.slot.free() >= 0
		}
		reports = s.slot.said
	})
	if !reports {
		for _, h := range s.leaving {
			s.limitRun(h) // it may never say that it runs the call
		}
	}
	s.leaving = emptied(s.leaving)
}

// handed returns the call that a job of the coordinator is; nil if there is no such job.
func (s *session) handed(jobID uint64) *handed {
	job, _ := s.c.Job(jobID)
	h, _ := job.Tag.(*handed)
	return h
}

// obey does what the scheduler orders.
func (s *session) obey() {
	s.hub.mu.Lock()
	orders, reason := s.hub.sched.takeOrders(s.slot), "the host stops"
	if s.slot.dismissed {
		reason = "the host does not need this worker any more"
	}
	s.hub.unlock()
	for _, o := range orders {
		switch o.kind {
		case orderSpawn:
			s.spawn(o.call, o.attempt)
		case orderCancel:
			_ = s.c.CancelJob(o.call.id, o.call.reason) // refused if the job has ended meanwhile
		case orderReturn:
			_ = s.c.CancelJob(o.call.id, "another worker can run it sooner") // refused if the job has ended meanwhile
		case orderStop:
			_ = s.c.ShutdownWhenIdle(reason) // refused if it has been requested
		}
	}
}

func (s *session) spawn(c *call, attempt uint64) {
	h := &c.first
	if attempt > 1 {
		h = new(handed) // the worker before may still be letting go of it
	}
	h.call, h.attempt = c, attempt
	job := workerchannel.SpawnJob{JobID: c.id, TaskID: c.id, ObligationID: uint64(c.runs) + 1, Payload: c.payload}
	if c.region != nil {
		job.RegionID = c.region.id
	}
	if err := spawnLabeled(s.c, job, h, c.label); err != nil {
		s.end(err) // the session has ended, or else the call would be lost here
	}
}

// take takes a message in, whose text it does not keep. After a refused one nothing of the worker is believed. When as many as
// have arrived together have been taken in, settle is to be called.
func (s *session) take(v workerchannel.Verified, text []byte) {
	if s.broken || s.over {
		return
	}
	op, size := v.Op(), len(text)
	if op.Type() != workerchannel.OpJobCompleted {
		s.settle() // what has come before
	}
	whole := func() *workerchannel.Envelope { env := v.Envelope(); return &env }
	if why := s.refusal(op); why != nil {
		s.tell(EventRefused, whole(), size, refused(s.c, whole(), why))
		s.breakOff(why)
		return
	}
	err := handle(s.c, v, text)
	switch failed := errors.Is(err, workerchannel.ErrBootstrapFailed); {
	case workerchannel.IsStray(err):
		s.hub.strays.Add(1)
		s.tell(EventStray, whole(), size, err)
		return
	case err != nil && !failed:
		err = &refusedError{whole().String() + " is refused: " + strings.TrimPrefix(err.Error(), "workerchannel: "), err}
		s.tell(EventRefused, whole(), size, err)
		s.breakOff(err)
		return
	case s.watched():
		s.tell(EventReceived, whole(), size, nil)
		s.logMessage(whole(), size)
	}
	if err != nil {
		s.end(err)
		return
	}
	s.heard, s.polled = s.c.Turn(), false
	s.observe(op)
}

// refusal returns why a message is refused that the coordinator would accept; nil: it is not.
func (s *session) refusal(op workerchannel.Op) error {
	if s.booted && op.Type() == workerchannel.OpBootstrapReady {
		return errSecondBootstrap // under whatever id: the channel belongs to one worker
	}
	jobID, _ := workerchannel.JobOf(op) // no call has the number 0
	if job, ok := s.c.Job(jobID); ok && !job.State.Terminal() && job.Tag.(*handed).position == 0 {
		return errEarly // the coordinator cannot know which of its messages have left
	}
	return nil
}

// refuse takes in a message that cannot be verified, so that it is recorded, too.
func (s *session) refuse(data []byte, why error) {
	if s.broken || s.over {
		return
	}
	_, _ = s.c.Receive(data) // refused for the same reason, and has changed nothing
	why = &refusedError{safetext.Unreadable(data, why), why}
	s.tell(EventRefused, nil, len(data), why)
	s.breakOff(why)
}

func (s *session) observe(op workerchannel.Op) {
	switch op := op.(type) {
	case workerchannel.BootstrapReady:
		s.booted = true
		s.decide(func(d *scheduler) { s.slot.id = op.WorkerID; d.workerReady(s.slot) })
		s.hub.events.line(slog.LevelInfo, "worker is ready", s.attrs()...)
	case workerchannel.StatusSnapshot:
		h := s.handed(op.JobID)
		s.arrived(h)
		if op.State == workerchannel.StateRunning && !h.begun {
			after := time.Since(h.since)
			h.begun, h.since = true, h.since.Add(after)
			s.decide(func(d *scheduler) {
				if h.free {
					s.slot.answered(after)
				}
				h.call.reached(s.slot, h.since)
				d.callBegun(s.slot, h.call)
			})
			s.limitRun(h)
		}
		if op.Detail != nil {
			h.call.progress.add(*op.Detail)
		}
	case workerchannel.CancelAcknowledged:
		if h := s.handed(op.JobID); h != nil { // it has none if a shutdown is requested
			s.arrived(h)
			s.decide(func(d *scheduler) { d.callAcknowledged(s.slot, h.call) })
		}
	case workerchannel.Diagnostic:
		if n, ok := capacityOf(op.Message); ok && op.Category == categoryCapacity {
			s.capacitySaid(n)
		} else {
			s.logDiagnostic(op)
		}
	case workerchannel.ShutdownCompleted:
		s.left, s.leftSince = true, s.c.Turn()
		s.keepTime()
		s.leave() // its calls need not wait for the end of the connection
		s.replaced()
	}
}

// settle tells the scheduler which calls the worker has ended. Those that failed with the session are leave's, and may be
// another worker's by now.
func (s *session) settle() {
	ended := s.c.Reap()
	ended = slices.DeleteFunc(ended, func(job workerchannel.TrackedJob) bool {
		h := job.Tag.(*handed)
		h.clock.stop()
		if job.State != workerchannel.StateCompleted {
			return true
		}
		s.arrived(h)
		s.logOutcome(&job, h.call.label)
		h.ran = s.ran(h)
		return false
	})
	if len(ended) == 0 {
		return
	}
	s.decide(func(d *scheduler) {
		for i := range ended {
			h := ended[i].Tag.(*handed)
			d.callEnded(s.slot, h.call, h.ran, ended[i].Cause, ended[i].Outcome)
		}
	})
}

// ran returns how long a call that has just ended ran: since the worker said so; if it did not, at most since the call
// before ended, because it may have waited.
func (s *session) ran(h *handed) time.Duration {
	now, since := time.Now(), h.since
	if !h.begun && s.lastEnd.After(since) {
		since = s.lastEnd
	}
	s.lastEnd = now
	return now.Sub(since)
}
