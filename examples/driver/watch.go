package driver

import "github.com/workerchannel/workerchannel"

// A watch is what a session knows of what its worker does, and how fast. What is late is looked for in each turn; turns pass
// only while something can be late.
type watch struct {
	ticking bool   // turns pass
	heard   uint64 // the turn in which a message last came
	polled  bool   // a sign of life has been asked for and has not come

	sending      bool   // the transport has a message that it has not taken
	sendingSince uint64 // the turn, or a later one in which the worker has shown that it reads
	sentBytes    uint64 // the length of all jobs given to Send
	reached      uint64 // how much of that the worker has shown to have received
}

// arrived notes that the worker has shown to have received a job. If messages were written together, it may read them one
// by one, and has the time for each.
func (s *session) arrived(h *handed) {
	if h.position > s.reached {
		s.reached, s.sendingSince = h.position, s.c.Turn()
	}
}

// keepTime lets turns pass, until nothing can be late any more.
func (s *session) keepTime() {
	if !s.ticking {
		s.ticking = true
		s.notify()
	}
}

// busy reports whether something that may be late is under way.
func (s *session) busy() bool {
	_, limited := s.c.NextDeadline()
	return limited || s.sending || s.left || s.why != nil || s.c.InflightCount() > 0
}

// nextTurn looks for what is late.
func (s *session) nextTurn() {
	s.c.AdvanceTurn()
	now := s.c.Turn()
	passed := func(since, limit uint64) bool { return limit != 0 && now-since >= limit }
	late, overdue := s.c.Overdue()
	switch {
	case s.why != nil:
		if passed(s.whySince, s.turns.close) {
			s.abandon()
		}
	case s.left:
		if passed(s.leftSince, s.turns.leave) {
			s.end(errLeft)
		}
	case overdue && passed(late.Deadline, s.allowance()):
		s.forOne = s.oneCall(late)
		why := s.turns.limits.late(limitNames[late.Request], late.JobID, late)
		if h := s.handed(late.JobID); h != nil {
			why.label = h.call.label
		}
		s.kill(why)
	case s.sending && s.turns.send != 0 && passed(s.sendingSince, s.turns.send+s.allowance()):
		s.kill(s.turns.limits.late("Send", 0, nil))
	case !s.polled && passed(s.heard, s.turns.silence):
		s.poll()
	}
	if s.why == nil {
		s.limitUnreported()
	}
	s.ticking = s.busy()
}

// oneCall reports whether a worker that is late is so because of one call, as it does not let go of it. If it only does not
// answer when one is taken back, it may be any.
func (s *session) oneCall(late workerchannel.Overdue) (one bool) {
	switch late.Request {
	case workerchannel.OpDrainJob, workerchannel.OpFinalizeJob:
		return true
	case workerchannel.OpCancelJob:
		c := s.handed(late.JobID).call
		s.decide(func(*scheduler) { one = c.cancel != nil })
	}
	return one
}

// allowance returns how many turns, in addition to a limit, the worker may need to receive what was sent to it; 1 more,
// in place of 0, does no harm.
func (s *session) allowance() uint64 {
	return 1 + (s.sentBytes-min(s.reached, s.sentBytes))*s.turns.perMiB>>20
}

// poll asks for a sign of life. Any message is one.
func (s *session) poll() {
	for job := range s.c.Jobs() {
		if s.c.PollStatus(job.JobID) == nil {
			s.polled = true
			s.slot.wake()
			return
		}
	}
}
