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
}

// A Pending is a call that has not ended.
type Pending struct {
	ID       uint64
	RegionID uint64        // 0: none
	Bytes    int           // of the payload
	Lost     int           // workers that have ended while they had it, and that count (see WithTries)
	Age      time.Duration // since Do was called

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
	for c := h.sched.backlog.first; c != nil && len(s.Waiting) < most; c = c.next {
		s.Waiting = append(s.Waiting, c.pending(now))
	}
	h.mu.Unlock()
	for _, w := range workers {
		w.mu.Lock()
		if w.c != nil && !w.over {
			s.Sessions = append(s.Sessions, w.snapshot(now, s.Phases, most))
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
	p := Pending{ID: c.id, Bytes: len(c.payload), Lost: c.charged, Age: now.Sub(c.shell.made)}
	if c.region != nil {
		p.RegionID = c.region.id
	}
	return p
}

// snapshot copies what is known, with at most so many calls.
func (s *session) snapshot(now time.Time, phases map[workerchannel.JobState]int, most int) Session {
	one := Session{Turn: s.c.Turn(), Heard: s.heard, Outbox: s.c.OutboxLen(), Why: s.why}
	states := map[uint64]workerchannel.TrackedJob{}
	for job := range s.c.Jobs() {
		phases[job.State]++
		states[job.JobID] = job
		if c, ok := job.Tag.(*call); ok {
			one.due(s.requested(job, c))
		}
	}
	one.due(s.duties()...)
	slices.SortFunc(one.Due, func(a, b Due) int {
		return cmp.Or(cmp.Compare(a.Deadline, b.Deadline), cmp.Compare(a.JobID, b.JobID))
	})
	one.Due = one.Due[:min(len(one.Due), most)]

	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	one.WorkerStats = s.stats()
	for _, c := range sortedCalls(s.slot.calls) {
		if len(one.Jobs) == most {
			break
		}
		p := c.pending(now)
		p.State, p.Since = states[c.id].State, states[c.id].Since
		one.Jobs = append(one.Jobs, p)
	}
	return one
}

// due adds what has a limit.
func (s *Session) due(list ...Due) {
	for _, d := range list {
		if d.Deadline != d.Since {
			d.Overdue = s.Turn >= d.Deadline
			s.Due = append(s.Due, d)
		}
	}
}

// requested returns what the cancel handshake of a job waits for; nothing if the message has not left.
func (s *session) requested(job workerchannel.TrackedJob, c *call) Due {
	limits := s.turns.core
	d := Due{JobID: job.JobID, Since: c.shell.asked}
	var request workerchannel.OpType
	var limit uint64
	switch job.State {
	case workerchannel.StateCancelRequested:
		d.Limit, limit, request = "Cancel", limits.Cancel, workerchannel.OpCancelJob
	case workerchannel.StateDraining:
		d.Limit, limit, request = "Drain", limits.Drain, workerchannel.OpDrainJob
	case workerchannel.StateFinalizing:
		d.Limit, limit, request = "Finalize", limits.Finalize, workerchannel.OpFinalizeJob
	}
	d.Deadline = d.Since
	if request != 0 && c.shell.request == request {
		d.Deadline += limit
	}
	return d
}

// duties returns what the worker has to do that is not about a cancel.
func (s *session) duties() (list []Due) {
	add := func(on bool, name string, job, since, limit uint64) {
		if on && limit > 0 {
			list = append(list, Due{Limit: name, JobID: job, Since: since, Deadline: since + limit})
		}
	}
	ending := s.why != nil
	add(ending, "Close", 0, s.whySince, s.turns.close)
	add(!ending && s.left, "Shutdown", 0, s.leftSince, s.turns.leave)
	add(!ending && !s.left && s.asking == asksShutdown, "Shutdown", 0, s.askedSince, s.turns.core.Shutdown)
	add(!ending && !s.booted, "Boot", 0, 0, s.turns.core.Boot)
	add(!ending && s.polled && s.asking == asksPoll, "Answer", s.askedJob, s.askedSince, s.turns.core.Poll)
	add(!ending && s.sending, "Send", 0, s.sendingSince, s.turns.send)
	return list
}

// An asked says which request that is about no cancel has been sent.
type asked uint8

const (
	asksNothing asked = iota
	asksPoll
	asksShutdown
)

// noteRequest notes when a request that has a limit is sent.
func (s *session) noteRequest(op workerchannel.Op) {
	switch op := op.(type) {
	case workerchannel.CancelJob:
		s.noteJob(op.JobID, op.Type())
	case workerchannel.DrainJob:
		s.noteJob(op.JobID, op.Type())
	case workerchannel.FinalizeJob:
		s.noteJob(op.JobID, op.Type())
	case workerchannel.PollStatus:
		s.asking, s.askedJob, s.askedSince = asksPoll, op.JobID, s.c.Turn()
	case workerchannel.ShutdownWorker:
		s.asking, s.askedSince = asksShutdown, s.c.Turn()
	}
}

func (s *session) noteJob(jobID uint64, request workerchannel.OpType) {
	if c := s.call(jobID); c != nil {
		c.shell.request, c.shell.asked = request, s.c.Turn()
	}
}

// Silent reports whether a worker that has calls has been asked for a sign of life and has not given one.
func (s *Session) Silent() bool {
	return slices.ContainsFunc(s.Due, func(d Due) bool { return d.Limit == "Answer" })
}
