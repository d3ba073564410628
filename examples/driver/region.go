package driver

import "errors"

// A Region is a group of calls of one host that are cancelled together, and that have all ended before Close returns.
// Its methods may be called from any goroutine.
type Region struct {
	id     uint64
	calls  map[uint64]*call // those that have not been settled
	line   line
	closed bool
	quiet  chan struct{} // closed by the Host when the region is closed and has no calls

	sched  *scheduler
	decide func(func(*scheduler)) // calls it
}

func newRegion(id uint64) *Region {
	return &Region{id: id, calls: map[uint64]*call{}, quiet: make(chan struct{})}
}

// errRegionCancelled is the cause if none is given.
var errRegionCancelled = errors.New("region cancelled")

// Cancel cancels the calls of the region as if their contexts had ended with the cause, and returns how many it has
// cancelled: those that had not been before. It does not wait for them. The text of the cause goes to the workers; a nil
// cause stands for one that says so.
func (r *Region) Cancel(cause error) (cancelled int) { return r.end(cause, (*scheduler).cancelRegion) }

// Close does what Cancel does, has further calls of the region refused with ErrRegionClosed, and returns when all its
// calls have ended, which takes no longer than the limits allow. Calling it again waits, too.
func (r *Region) Close(cause error) {
	r.end(cause, (*scheduler).closeRegion)
	<-r.quiet
}

func (r *Region) end(cause error, f func(*scheduler, *Region, error, string) int) (cancelled int) {
	if cause == nil {
		cause = errRegionCancelled
	}
	reason := causeText(cause)
	r.decide(func(s *scheduler) { cancelled = f(s, r, cause, reason) })
	return cancelled
}
