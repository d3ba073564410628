package driver

import "errors"

// A Region is a group of calls of one host that are cancelled together, and that have all ended before Close returns.
// Its methods may be called from any goroutine.
type Region struct {
	host  *Host
	state regionState
	quiet chan struct{} // closed when it is closed and has no calls
}

// errRegionCancelled is the cause if none is given.
var errRegionCancelled = errors.New("region cancelled")

// NewRegion returns a new region. Use InRegion to make calls in it. Workers see its number as region_id.
func (h *Host) NewRegion() *Region {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastRegion++
	r := &Region{host: h, quiet: make(chan struct{})}
	r.state = regionState{id: h.lastRegion, calls: map[uint64]*call{}, quiet: func() { close(r.quiet) }}
	return r
}

// Cancel cancels the calls of the region as if their contexts had ended with the cause, and returns how many were
// not cancelled before. It does not wait for them. The text of the cause goes to the workers; a nil cause stands for one
// that says so.
func (r *Region) Cancel(cause error) (cancelled int) {
	if cause == nil {
		cause = errRegionCancelled
	}
	reason := causeText(cause)
	r.host.mu.Lock()
	defer r.host.unlock()
	return r.host.sched.cancelRegion(&r.state, cause, reason)
}

// Close does what Cancel does, has further calls of the region refused with ErrRegionClosed, and returns when all its
// calls have ended, which takes no longer than the limits allow. Calling it again waits, too.
func (r *Region) Close(cause error) {
	if cause == nil {
		cause = errRegionCancelled
	}
	reason := causeText(cause)
	r.host.mu.Lock()
	r.host.sched.closeRegion(&r.state, cause, reason)
	r.host.unlock()
	<-r.quiet
}
