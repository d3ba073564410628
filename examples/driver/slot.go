package driver

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"time"
)

// A slot is a worker as the scheduler sees it.
type slot struct {
	post                  *post // nil: it has been dismissed, or has come by itself
	dialed                bool  // it has had a post
	dismissed             bool  // the host wants it to leave
	relief                *post // whose worker will relieve it; nil: none
	ended                 int   // calls that it has ended
	old                   bool  // it has the age at which it is to be replaced
	index                 int   // in scheduler.slots
	waiting               int   // calls that wait there
	ready, stopping, left bool
	able                  bool // it is ready and takes calls
	untold                bool // it is ready, and it is not known yet how many calls it can run
	said                  bool // it has said its capacity
	capacity              int  // the calls that it can run at a time, no more than the window
	reserved              int  // handlers that are kept for calls that are being taken back from other workers

	calls     map[uint64]*call // assigned to it and not settled
	unbegun   chain[*call]     // those that it is not known to have begun, and that are not being cancelled, in the order in which it got them
	returning int              // those that are being taken back and are not known to have begun
	suspect   *call            // the one that it has to run alone; nil: none
	shared    int              // 1: it is able, and has no suspect; 0: otherwise
	emptying  bool             // it gets no calls until it has none, for a suspect
	rest      map[uint64]bool  // the calls that have been taken back, whose handshake is not over

	progress uint64 // the scheduler's ended when it last ended a call, or when calls began to wait
	stuck    bool   // it ends no calls while others do, so it gets none that would have to wait

	place         link[*slot] // in scheduler.places
	behind        link[*slot] // in scheduler.behind
	vacant        link[*slot] // in scheduler.vacant
	orders, spare []order     // not yet taken by takeOrders; taken before

	// The Host's.
	number  uint64
	id      string    // the worker's own; "": it has not been ready
	past    *lastEnds // of the workers in its place; nil: it has come by itself
	wake    func()
	since   time.Time     // when it last had no calls any more
	idling  *time.Timer   // until it has been idle for long
	aging   *time.Timer   // until it is old
	answers time.Duration // how soon it reports that it runs a call that need not wait there, as a moving average
}

// answered notes how soon the worker has reported that it runs a call that had a handler free.
func (w *slot) answered(after time.Duration) {
	if w.answers == 0 {
		w.answers = after
	}
	w.answers += (after - w.answers) / 8
}

// reservation returns for how long a handler is kept for a call that is being taken back from the worker. If that answers later
// or not at all, others get the handler, and the call waits for the next one.
func (w *slot) reservation() time.Duration {
	return min(2*w.answers+time.Millisecond, 200*time.Millisecond)
}

// free returns how many handlers have nothing to do; if negative, how many calls wait for one.
func (w *slot) free() int { return w.capacity - len(w.calls) - w.reserved }

// takes reports whether the worker is given calls. One that does not let go of very many is not: each event would have to look
// at the calls that only it could take.
func (w *slot) takes() bool {
	return w.able && !w.emptying && w.suspect == nil && len(w.rest) < maxCapacity
}

// empty reports whether the worker can be given a suspect.
func (w *slot) empty() bool { return w.able && len(w.calls) == 0 && w.reserved == 0 }

// excess returns how many calls wait at the worker until one ends.
func (w *slot) excess() int {
	return min(len(w.calls)-w.returning-w.capacity, w.unbegun.len)
}

// sortedCalls returns the calls of a map by ascending id.
func sortedCalls(calls map[uint64]*call) []*call {
	return slices.SortedFunc(maps.Values(calls), func(a, b *call) int { return cmp.Compare(a.id, b.id) })
}

// maxLead is the most calls that may wait at a worker.
const maxLead = 32

// A ranking has the workers that may be given a call, by their free handlers. Of several with the same number the one
// that has had it for the longest time is first; where workers come on demand, it is the last, so that those that are not
// needed get idle. Every operation takes constant time.
type ranking struct {
	onDemand bool
	ranks    [maxLead + maxCapacity + 1]chain[*slot]
	filled   [(maxLead+maxCapacity)/64 + 1]uint64 // a bit for each rank that may have workers
}

func (r *ranking) put(w *slot) {
	w.place.of = w
	rank := w.free() + maxLead
	if r.onDemand {
		r.ranks[rank].prepend(&w.place)
	} else {
		r.ranks[rank].append(&w.place)
	}
	r.filled[rank/64] |= 1 << (rank % 64)
}

// best returns the worker with the most free handlers; nil if there is none.
func (r *ranking) best() *slot {
	for i := len(r.filled) - 1; i >= 0; i-- {
		for r.filled[i] != 0 {
			bit := bits.Len64(r.filled[i]) - 1
			if first := r.ranks[64*i+bit].first; first != nil {
				return first.of
			}
			r.filled[i] &^= 1 << bit
		}
	}
	return nil
}

// stopTimers stops the timers of a worker that has left.
func (w *slot) stopTimers() {
	for _, t := range []*time.Timer{w.idling, w.aging} {
		if t != nil {
			t.Stop()
		}
	}
}
