package driver

import (
	"cmp"
	"slices"
	"time"

	"github.com/workerchannel/workerchannel"
)

// A Snapshot is what a host knows at a moment, in detail. It is a copy.
type Snapshot struct {
	Stats    Stats
	Turn     time.Duration                  // the length of a turn
	Limits   Limits                         // in force
	Phases   map[workerchannel.JobState]int // how many jobs workers have, by state
	Sessions []Session                      // those whose workers are due first, and then by number
	Waiting  []Pending                      // calls that wait for a worker, oldest first
	Longest  []Pending                      // calls that workers say they run, the one that has run longest first, at most 5
}

// A Session is what a host knows about one of its workers. Turns are those of the session: they pass while something
// can be late.
type Session struct {
	WorkerStats
	Turn   uint64
	Heard  uint64    // the turn in which a message last came
	Outbox int       // messages that wait to be sent
	Why    error     // why its connection is being closed; nil: it is not
	Due    []Due     // what the worker has to do, the first first
	Jobs   []Pending // by ascending id
}

// A Due is something that a worker has to do within a limit.
type Due struct {
	Limit    string // the field of Limits, such as "Cancel"
	JobID    uint64 // 0 if it is about no job
	Since    uint64 // the turn of the session in which the time began
	Deadline uint64 // the turn from which it is late; the host ends the worker some turns later if it has much to read
	Overdue  bool
	Waited   time.Duration // since then, to within a turn
	Allowed  time.Duration // the limit
}

// A Pending is a call that has not ended.
type Pending struct {
	ID       uint64
	Label    string        // see WithLabel; quote it before it goes to a terminal if it is not the program's own text
	RegionID uint64        // 0: none
	Attempt  int           // 1 + the earlier workers that may have begun it
	Bytes    int           // of the payload
	Lost     int           // workers that have ended while they had it alone (see WithTries)
	Age      time.Duration // since Do was called
	Worker   uint64        // the number of the worker that has it; 0: it waits
	Ran      time.Duration // since the worker said that it runs it; 0: it has not

	// Of a call that a worker has.
	State workerchannel.JobState // 0 if its message has not been made
	Since uint64                 // the turn of the session in which it entered State
}

// Snapshot returns what is where at this moment, with at most so many sessions, and so many calls, in all, that workers
// have, and that wait. It takes the time of a message for each worker, and does not wait for transports. Workers are
// looked at one after the other, so what they have need not fit together.
func (h *Host) Snapshot(most int) Snapshot {
	s := Snapshot{Stats: h.Stats(), Turn: h.turns.length, Limits: h.config.limits, Phases: map[workerchannel.JobState]int{}}
	most = max(most, 0)
	now := time.Now()
	h.mu.Lock()
	workers := make([]*worker, 0, len(h.workers))
	for w := range h.workers {
		workers = append(workers, w)
	}
	h.sched.backlog.each(most, func(c *call) { s.Waiting = append(s.Waiting, c.pending(now)) })
	h.mu.Unlock()
	slices.SortFunc(s.Waiting, func(a, b Pending) int { return cmp.Compare(a.ID, b.ID) })
	s.Waiting = s.Waiting[:min(len(s.Waiting), most)]
	for _, w := range workers {
		w.mu.Lock()
		if w.session.c != nil && !w.session.over {
			s.Sessions = append(s.Sessions, w.session.snapshot(now, &s, most))
		}
		w.mu.Unlock()
	}
	slices.SortFunc(s.Sessions, func(a, b Session) int {
		return cmp.Or(cmp.Compare(a.remaining(), b.remaining()), cmp.Compare(a.Number, b.Number))
	})
	s.Sessions = s.Sessions[:min(len(s.Sessions), most)]
	for i := range s.Sessions {
		jobs := &s.Sessions[i].Jobs
		*jobs = (*jobs)[:min(len(*jobs), most)]
		most -= len(*jobs)
	}
	return s
}

// remaining returns the turns until something is late.
func (s *Session) remaining() int64 {
	if len(s.Due) == 0 {
		return 1 << 62
	}
	return int64(s.Due[0].Deadline - s.Turn)
}

func (c *call) pending(now time.Time) Pending {
	p := Pending{ID: c.id, Label: c.label, Attempt: c.runs + 1, Bytes: len(c.payload), Lost: c.charged, Age: now.Sub(c.made)}
	if c.region != nil {
		p.RegionID = c.region.id
	}
	return p
}

// snapshot copies what is known, with at most so many calls.
func (s *session) snapshot(now time.Time, all *Snapshot, most int) Session {
	one := Session{Turn: s.c.Turn(), Heard: s.heard, Outbox: s.c.OutboxLen(), Why: s.why}
	states := map[uint64]workerchannel.TrackedJob{}
	began := map[uint64]time.Time{}
	for job := range s.c.Jobs() {
		all.Phases[job.State]++
		if h := job.Tag.(*handed); h.begun {
			began[job.JobID] = h.since
		}
		states[job.JobID] = job
	}
	s.duties(func(limit string, r workerchannel.Overdue) {
		waited, allowed := time.Duration(one.Turn-r.Since)*s.turns.length, s.turns.limits.named(limit)
		one.Due = append(one.Due, Due{limit, r.JobID, r.Since, r.Deadline, one.Turn >= r.Deadline, waited, allowed})
	})
	slices.SortFunc(one.Due, func(a, b Due) int {
		return cmp.Or(cmp.Compare(a.Deadline, b.Deadline), cmp.Compare(a.JobID, b.JobID))
	})
	one.Due = one.Due[:min(len(one.Due), most)]

	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	one.WorkerStats = s.stats()
	for _, c := range sortedCalls(s.slot.calls) {
		p := c.pending(now)
		p.Worker, p.State, p.Since = s.slot.number, states[c.id].State, states[c.id].Since
		if t, ok := began[c.id]; ok {
			p.Ran = now.Sub(t)
			all.Longest = append(all.Longest, p)
		}
		if len(one.Jobs) < most {
			one.Jobs = append(one.Jobs, p)
		}
	}
	slices.SortStableFunc(all.Longest, func(a, b Pending) int { return cmp.Compare(b.Ran, a.Ran) })
	all.Longest = all.Longest[:min(len(all.Longest), most, 5)]
	return one
}

// duties calls add with everything that the worker has to do within a limit. While its connection is being closed, that
// is to let go of it, and of the jobs that are being cancelled.
func (s *session) duties(add func(limit string, r workerchannel.Overdue)) {
	for r := range s.c.Requests() {
		ofJob := r.JobID != 0 && r.Request != workerchannel.OpPollStatus // no call has the number 0
		if s.why == nil || ofJob {
			add(limitNames[r.Request], r)
		}
	}
	own := func(on bool, limit string, since, turns uint64) {
		if on && turns > 0 {
			add(limit, workerchannel.Overdue{Since: since, Deadline: since + turns})
		}
	}
	own(s.why != nil, "Close", s.whySince, s.turns.close)
	own(s.why == nil && s.left, "Shutdown", s.leftSince, s.turns.leave)
	own(s.why == nil && s.sending, "Send", s.sendingSince, s.turns.send)
}

// Silent reports whether a worker that has calls has been asked for a sign of life and has not given one.
func (s *Session) Silent() bool {
	return slices.ContainsFunc(s.Due, func(d Due) bool { return d.Limit == "Answer" })
}
