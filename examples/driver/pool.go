package driver

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// What a Host adds to the staff of its scheduler: time, and those who wait.

// Drain has the worker with that number (see WorkerStats) leave in order: it gets no more calls, those that wait there are
// taken back, and when those that it runs have ended it is asked to shut down. If the host started it, another one is started
// in its place, at once, unless it was one that WithOnDemand does not need any more. Drain does not wait for that. A worker
// that is leaving already goes on to leave. If there is no worker with that number, or it has ended, Drain returns ErrOptions.
func (h *Host) Drain(worker uint64) error {
	h.mu.Lock()
	defer h.unlock()
	for w := range h.workers {
		if s := &w.session; s.slot.number == worker && !s.slot.left {
			h.sched.dismiss(s.slot)
			return nil
		}
	}
	return fmt.Errorf("%w: Drain: there is no worker %d", ErrOptions, worker)
}

// A replacement is what the calls of Replace that are under way wait for.
type replacement struct {
	callers int       // whose contexts have not ended
	old     []*worker // to be replaced, or waited for
	all     map[*worker]bool
	done    chan struct{}
	err     error
}

// add adds the workers of the staff that are there.
func (r *replacement) add(h *Host) {
	old := len(r.old)
	for w := range h.workers {
		if w.session.slot.dialed && !r.all[w] {
			r.all[w] = true
			r.old = append(r.old, w)
		}
	}
	slices.SortFunc(r.old[old:], func(a, b *worker) int { return cmp.Compare(a.session.slot.number, b.session.slot.number) })
}

// Replace replaces the workers that the host has started, one after the other, the oldest first, so that a new version of the
// program is used: one more worker is started, and when it is ready, the old one leaves as by Drain. So there are never fewer
// that are ready than before, and no call is lost or charged; one that begins at the old worker while it is taken back is
// cancelled there and runs again, unless WithTries is 1. Workers that have come by Attach stay.
//
// Replace returns nil when all workers have left that the host had started before, also those that were leaving already; their
// calls may take long. If a new one cannot be started, it is tried again after the backoff; after as many failures as
// WithAttempts allows, Replace returns a *NoWorkerError, and the workers that have not been replaced stay. A worker that ends
// by itself meanwhile is replaced like any other, as soon as the backoff allows. One that Dial was starting when Replace was called
// is closed before it gets a call, and Dial is called again, after the backoff. Replace does not wait for that: if no worker is
// there, it has nothing to do, and returns nil, whether or not the new version starts. WaitReady tells.
//
// When ctx ends, Replace returns the cause: the replacement of one worker that has begun goes on, that of the others does not
// begin. Called while another call is under way, it joins that, which then also replaces the workers that have been started
// since; when the contexts of all have ended, no other replacement begins. When the host stops, it returns ErrStopped.
func (h *Host) Replace(ctx context.Context) error {
	h.mu.Lock()
	if h.sched.stopping {
		h.unlock()
		return ErrStopped
	}
	h.replaces++
	r := h.replacing
	if r == nil {
		r = &replacement{all: map[*worker]bool{}, done: make(chan struct{})}
		h.replacing = r
		h.running.Go(func() {
			r.err = h.replaceAll(r)
			close(r.done)
		})
	}
	r.callers++
	r.add(h)
	h.unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		h.decide(func(*scheduler) { r.callers-- })
		return context.Cause(ctx)
	}
}

func (h *Host) replaceAll(r *replacement) error {
	for i := 0; ; i++ {
		var w *worker
		decided := make(chan error, 1)
		h.decide(func(s *scheduler) {
			switch {
			case i == len(r.old) || r.callers == 0:
				h.replacing = nil // the next call begins another one
			default:
				w = r.old[i]
				s.retire(w.session.slot, func(err error) { decided <- err })
			}
		})
		if w == nil {
			break
		}
		err, stays := <-decided, false
		h.decide(func(*scheduler) {
			slot := w.session.slot
			stays = slot.post != nil && !slot.stopping
			if err != nil {
				h.replacing = nil
			}
		})
		if err != nil {
			return err
		}
		if stays {
			i-- // the one that was to relieve it has been drained
		}
	}
	for w := range r.all {
		<-w.gone
	}
	return nil
}

// awaiting is a call of WaitReady.
type awaiting struct {
	workers int
	done    chan error // capacity 1
}

// WaitReady returns nil when at least n workers are ready, those that have come by Attach included, and those that are leaving
// not. Where workers start on demand, it has them started, up to the number of WithWorkers; those that are not needed leave
// later, as WithOnDemand says. If there are never so many, it waits until ctx ends. It returns the cause when ctx ends,
// ErrStopped when the host stops, a *NoWorkerError when as many attempts in a row as WithAttempts allows were of no use, and
// ErrOptions if n is negative.
func (h *Host) WaitReady(ctx context.Context, n int) error {
	if n < 0 {
		return fmt.Errorf("%w: WaitReady: expected no negative number, got %d", ErrOptions, n)
	}
	a := &awaiting{n, make(chan error, 1)}
	h.mu.Lock()
	if h.sched.stopping {
		h.unlock()
		return ErrStopped
	}
	h.waiting = append(h.waiting, a)
	h.await()
	h.unlock()
	defer func() {
		h.mu.Lock()
		h.waiting = slices.DeleteFunc(h.waiting, func(other *awaiting) bool { return other == a })
		h.await()
		h.unlock()
	}()
	select {
	case err := <-a.done:
		return err
	case <-h.stopping:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await has the scheduler know how many workers are waited for.
func (h *Host) await() {
	most := 0
	for _, a := range h.waiting {
		most = max(most, a.workers)
	}
	h.sched.staff.awaited = most
	h.sched.hire()
}

// tellWaiting answers those who wait for workers, if these are ready, or will not be.
func (h *Host) tellWaiting(barren error) {
	for _, a := range h.waiting {
		err := barren
		if h.sched.ready >= a.workers {
			err = nil
		} else if err == nil {
			continue
		}
		select {
		case a.done <- err:
		default: // it has been answered
		}
	}
}

// noteIdle notes when a worker got idle.
func (h *Host) noteIdle(w *slot) {
	w.since = time.Now()
	idle := h.config.idle
	switch {
	case idle == 0 || w.post == nil:
	case w.idling != nil:
		w.idling.Reset(idle)
	default:
		w.idling = time.AfterFunc(idle, func() {
			h.decide(func(s *scheduler) {
				if time.Since(w.since) >= idle {
					s.idleFor(w)
				}
				if w.post != nil && !w.left {
					w.idling.Reset(max(idle, time.Second)) // there may be more than the least later
				}
			})
		})
	}
}

// retireLater has a worker, which is ready now, replaced when it is old.
func (h *Host) retireLater(w *slot) {
	if age := h.config.age; age > 0 {
		age += min(time.Duration(rand.Int64N(int64(age)/10+1)), math.MaxInt64-age)
		w.aging = time.AfterFunc(age, func() {
			h.decide(func(s *scheduler) {
				w.old = true
				if s.recycleWorker(w); w.post != nil {
					w.aging.Reset(age) // the one that is to relieve it may be given up, or too many may be leaving
				}
			})
		})
	}
}

// giveUpLater has calls answered that wait, or those that are early, if no worker gets ready soon.
func (h *Host) giveUpLater(all bool, early []*call) {
	limit, dry, now := h.config.noWorker, h.sched.dry, time.Now()
	if all && !h.sched.stopping {
		h.dried = now
		if h.expiry != nil {
			h.expiry.Stop()
		}
		h.expiry = time.AfterFunc(limit, func() { h.decide(func(s *scheduler) { s.expireAll(dry, limit) }) })
	}
	for _, c := range early {
		if c.settled {
			continue
		}
		if c.expiry != nil {
			c.expiry.Stop()
		}
		since := c.made
		if since.Before(h.dried) {
			since = h.dried
		}
		c.expiry = time.AfterFunc(limit-now.Sub(since), func() { h.decide(func(s *scheduler) { s.expireCall(c, dry, limit) }) })
	}
}
