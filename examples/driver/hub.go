package driver

import (
	"log/slog"
	"sync"
)

// A hub is what the sessions of a host share.
type hub struct {
	seed    uint64
	turns   turns
	record  recordFunc
	log     *slog.Logger
	events  *limitedLog // what happens to workers
	said    *budget     // what workers say
	reports *budget     // what their jobs report
	traffic
	observers observers

	mu      sync.Mutex // of what follows
	sched   scheduler
	perform func(*effects) // does what the scheduler asks; mu is held
	ends    lastEnds       // of all workers
	cut     bool           // a worker had to be killed to stop
}

// decide calls the scheduler.
func (h *hub) decide(f func(*scheduler)) {
	h.mu.Lock()
	defer h.unlock()
	f(&h.sched)
}

// unlock has done what the scheduler asks, and unlocks.
func (h *hub) unlock() {
	h.perform(&h.sched.effects)
	h.sched.effects.reset()
	h.mu.Unlock()
}
