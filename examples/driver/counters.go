package driver

import (
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
	WorkersKilled  uint64 // those that the host ended because they were late or broken (see ErrBroken), or did not stop in time
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

// A WorkerEnd is how a worker has ended.
type WorkerEnd struct {
	Number uint64
	ID     string // "": it has not been ready; quote it before it goes to a terminal
	At     time.Time
	Asked  bool  // the host wanted it to leave, see Drain, Replace, WithOnDemand, WithRecycle and Stop
	Err    error // why; nil: it has shut down in order
}

// lastEnds are how the last of some workers have ended.
type lastEnds []WorkerEnd

// The most ends that are kept of the workers of a host, and of those in one place.
const (
	mostEnds         = 8
	mostPredecessors = 3
)

func (e *lastEnds) add(end WorkerEnd, most int) {
	if *e = append(*e, end); len(*e) > most {
		*e = slices.Delete(*e, 0, 1)
	}
}

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
