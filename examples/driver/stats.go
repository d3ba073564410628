package driver

import (
	"cmp"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// Counters count what has happened since the host was made. They only grow. Every call that was accepted is in Calls,
// and once it has been answered in exactly one of Succeeded to Stopped.
type Counters struct {
	Calls     uint64 // calls that were accepted
	Refused   uint64 // calls that were answered with ErrBusy
	Succeeded uint64
	Failed    uint64 // answered with a *JobError
	Panicked  uint64 // answered with a *PanicError
	Cancelled uint64 // answered with a *CancelError
	GivenUp   uint64 // answered with a *GivenUpError
	NoWorker  uint64 // answered with a *NoWorkerError
	Stopped   uint64 // answered with ErrStopped
	Retries   uint64 // times that a call was taken from a worker that ended, to run again

	WorkersStarted uint64 // connections, whether dialed or attached
	WorkersEnded   uint64 // connections whose worker left, for whatever reason
	WorkersKilled  uint64 // those that the host ended because they were late or broken, or did not stop in time
	DialFailures   uint64 // calls of Dial that returned an error
	Abandoned      uint64 // connections whose calls did not return though they had been closed

	MessagesSent, BytesSent         uint64 // bytes as given to Send
	MessagesReceived, BytesReceived uint64 // bytes as returned by Recv
	Strays                          uint64 // messages of another session, which were ignored
	LinesSuppressed                 uint64 // lines that were not logged because there were too many
}

func (n *Counters) count(err error) {
	switch {
	case err == nil:
		n.Succeeded++
	case errors.Is(err, ErrJobFailed):
		n.Failed++
	case errors.Is(err, ErrPanicked):
		n.Panicked++
	case errors.Is(err, ErrCancelled):
		n.Cancelled++
	case errors.Is(err, ErrGivenUp):
		n.GivenUp++
	case errors.Is(err, ErrNoWorker):
		n.NoWorker++
	default:
		n.Stopped++
	}
}

// Stats is what Host.Stats returns. It is a copy, and can be given to expvar as it is.
type Stats struct {
	Counters
	Waiting  int // calls that wait for a worker
	Assigned int // calls that a worker has
	Starting int // workers that the host starts, or will start after the backoff, and that are not ready
	Stopping bool
	Workers  []WorkerStats // in the order in which they joined
	Ended    []WorkerEnd   // the last workers that have ended, at most 8, the latest last
}

// A WorkerEnd is how a worker has ended.
type WorkerEnd struct {
	Number uint64
	ID     string // "": it has not been ready; quote it before it goes to a terminal
	At     time.Time
	Asked  bool  // the host wanted it to leave, see Drain, Replace, WithOnDemand and WithRecycle
	Err    error // why; nil: it has shut down in order
}

// WorkerStats is what a host knows about one of its workers.
type WorkerStats struct {
	Number   uint64 // counts the workers of the host from 1
	ID       string // the worker's own, once it is ready; quote it before it goes to a terminal
	Ready    bool
	Stopping bool      // it takes no more calls
	Calls    int       // those that it has
	Idle     time.Time // since when it has had none; zero: it has calls, or takes none
}

// Stats returns counters and what is where at this moment.
func (h *Host) Stats() Stats {
	h.mu.Lock()
	defer h.unlock()
	s := Stats{Counters: h.sched.counts, Waiting: h.sched.backlog.len, Starting: h.sched.staff.unmanned, Stopping: h.sched.stopping}
	s.Ended = slices.Clone(h.ends)
	s.MessagesSent, s.BytesSent = h.sent.messages.Load(), h.sent.bytes.Load()
	s.MessagesReceived, s.BytesReceived = h.received.messages.Load(), h.received.bytes.Load()
	s.Strays = h.strays.Load()
	s.LinesSuppressed = h.suppressed.Load()
	for w := range h.workers {
		s.Assigned += len(w.slot.calls)
		s.Workers = append(s.Workers, w.stats())
	}
	slices.SortFunc(s.Workers, func(a, b WorkerStats) int { return cmp.Compare(a.Number, b.Number) })
	return s
}

// stats returns what the host knows about the worker; host.mu is held.
func (s *session) stats() WorkerStats {
	w := s.slot
	stats := WorkerStats{Number: s.number, ID: s.id, Ready: w.ready && !w.left, Stopping: w.stopping || w.said && w.capacity == 0, Calls: len(w.calls)}
	if w.empty() {
		stats.Idle = w.since
	}
	return stats
}

// noteEnd remembers how the worker has ended.
func (s *session) noteEnd() {
	s.host.mu.Lock()
	defer s.host.unlock()
	end := WorkerEnd{Number: s.number, ID: s.id, At: time.Now(), Asked: s.slot.dismissed, Err: s.why}
	if errors.Is(s.why, errLeft) {
		end.Err = nil
	}
	ends := &s.host.ends
	if len(*ends) == mostEnds {
		*ends = slices.Delete(*ends, 0, 1)
	}
	*ends = append(*ends, end)
}

// mostEnds is how many ends of workers a host remembers.
const mostEnds = 8

// traffic counts what is counted without the mutex of the host.
type traffic struct {
	sent, received     flow
	strays, suppressed atomic.Uint64
}

// A flow counts messages and their bytes.
type flow struct{ messages, bytes atomic.Uint64 }

func (f *flow) add(bytes int) {
	f.messages.Add(1)
	f.bytes.Add(uint64(bytes))
}
