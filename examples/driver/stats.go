package driver

import (
	"cmp"
	"slices"
	"time"
)

// Stats is what Host.Stats returns. It is a copy, and can be given to expvar as it is.
type Stats struct {
	Counters
	Waiting  int // calls that wait for a worker
	Assigned int // calls that a worker has
	Starting int // workers that the host starts, or will start after the backoff, and that are not ready
	Stopping bool
	Workers  []WorkerStats // in the order in which they joined
	Ended    []WorkerEnd   // the last workers that have ended, at most 8, the latest last
	Waited   Histogram     // of the calls that have ended: until they were begun (as in CallInfo), or ended
	Ran      Histogram     // of those of them that workers may have begun: from then on
}

// WorkerStats is what a host knows about one of its workers.
type WorkerStats struct {
	Number   uint64 // counts the workers of the host from 1
	ID       string // the worker's own, once it is ready; quote it before it goes to a terminal
	Ready    bool
	Stopping bool      // it takes no more calls
	Calls    int       // those that it has
	Idle     time.Time // since when it has had none; zero: it has calls, or takes none

	// The last workers that the host had started in its place and that have ended, at most 3, the latest last.
	Predecessors []WorkerEnd
}

// Stats returns counters and what is where at this moment.
func (h *Host) Stats() Stats {
	h.mu.Lock()
	defer h.unlock()
	s := Stats{Counters: h.sched.counts, Waiting: h.sched.backlog.len, Stopping: h.sched.stopping}
	if !s.Stopping {
		s.Starting = h.sched.staff.unmanned
	}
	s.Ended = slices.Clone(h.ends)
	s.Waited, s.Ran = h.waited.public(), h.ran.public()
	s.MessagesSent, s.BytesSent = h.sent.messages.Load(), h.sent.bytes.Load()
	s.MessagesReceived, s.BytesReceived = h.received.messages.Load(), h.received.bytes.Load()
	s.Strays = h.strays.Load()
	s.LinesSuppressed = h.suppressed.Load()
	for w := range h.workers {
		s.Assigned += len(w.session.slot.calls)
		s.Workers = append(s.Workers, w.session.stats())
	}
	slices.SortFunc(s.Workers, func(a, b WorkerStats) int { return cmp.Compare(a.Number, b.Number) })
	return s
}

// stats returns what the host knows about the worker; host.mu is held.
func (s *session) stats() WorkerStats {
	w := s.slot
	stats := WorkerStats{Number: w.number, ID: w.id, Ready: w.ready && !w.left, Stopping: w.stopping || w.said && w.capacity == 0, Calls: len(w.calls)}
	if w.past != nil {
		stats.Predecessors = slices.Clone(*w.past)
	}
	if w.empty() {
		stats.Idle = w.since
	}
	return stats
}
