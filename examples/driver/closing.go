package driver

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// A closing is how a session ends: the worker leaves in order, or there is a reason to close the connection, or both.
type closing struct {
	left      bool // the worker has completed its shutdown
	leftSince uint64

	why       error // why the connection is being closed; nil: it is not
	whySince  uint64
	cutting   bool // the worker is late, broken or not wanted
	broken    bool // a message of it was refused
	forOne    bool // it is late because of one call
	abandoned bool // the connection does not close
	over      bool // nothing more comes
}

// endOfInput notes why nothing more comes.
func (s *session) endOfInput(err error) {
	switch {
	case s.left:
		s.end(errLeft)
	case errors.Is(err, ErrBroken) || errors.Is(err, ErrLineTooLong) || errors.Is(err, ErrPreamble):
		s.breakOff(err)
	case !strings.HasPrefix(err.Error(), "driver: "): // but the words of a transport, such as "EOF"
		s.end(fmt.Errorf("driver: worker is gone: %w", err))
	default:
		s.end(err)
	}
}

// end has the connection closed.
func (s *session) end(why error) {
	if s.why != nil {
		return
	}
	s.why, s.whySince = why, s.c.Turn()
	s.decide(func(d *scheduler) { d.workerEnding(s.slot) })
	s.stopClocks(func(*handed) bool { return true })
	s.ticking = true
	s.notify()
	s.replaced()
}

// kill ends a worker that is late, broken, or not wanted any more.
func (s *session) kill(why error) {
	if s.why != nil {
		return
	}
	s.cutting = true
	s.decide(func(d *scheduler) {
		d.counts.WorkersKilled++
		s.hub.cut = s.hub.cut || errors.Is(why, errKilled)
	})
	s.end(why)
}

// breakOff kills a worker whose message was refused.
func (s *session) breakOff(why error) {
	s.settle() // what has come before
	s.broken = true
	s.kill(why)
}

// abandon leaves the connection to itself: its calls do not return though it has been closed.
func (s *session) abandon() {
	s.abandoned = true
	s.decide(func(d *scheduler) { d.counts.Abandoned++ })
	late := s.turns.limits.late("Close", 0, nil)
	s.hub.events.line(slog.LevelWarn, "connection does not close", append(s.attrs(), reasonAttr(late))...)
}

// leave has the scheduler decide about the calls that the worker still has.
func (s *session) leave() {
	why := s.why
	if why == nil {
		why = errLeft
	}
	how := endedByItself
	switch {
	case s.left:
		how = endedInOrder
	case s.forOne:
		how = endedForOne
	}
	s.decide(func(d *scheduler) {
		d.workerLeft(s.slot, how, why)
		s.slot.stopTimers()
	})
}

// finish ends the session: nothing more comes.
func (s *session) finish() {
	s.over = true
	s.c.WorkerLost()
	s.leave()
	s.settle() // for the clocks of its calls
	s.record(s.ending())
	s.noteEnd()
	s.tellEnd()
	s.logEnd()
}

// explain adds to why the worker has ended how its process did, unless it left in order or why says so already.
func (s *session) explain(how string) {
	if how != "" && !errors.Is(s.why, errLeft) && !errors.As(s.why, new(exitError)) {
		s.why = fmt.Errorf("%w; %s", s.why, how)
	}
}

// Why a host ends a worker, beside a lateError and the errors of workerchannel.Coordinator.
var (
	errSecondBootstrap = errors.New("driver: worker announced itself twice")
	errEarly           = errors.New("driver: worker answered for a job that it had not been given")
	errKilled          = errors.New("driver: worker had not ended when the context of Host.Stop did")
	errLeft            = errors.New("driver: worker shut down")
)
