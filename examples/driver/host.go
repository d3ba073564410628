package driver

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Host runs jobs in workers. Its methods may be called from any goroutine. Stop it when it is no longer needed.
type Host struct {
	// The scheduler, which is the hub's, decides which worker gets which call. What happens between the host and one worker
	// is its session.
	hub
	config *config

	// What follows, but the channels, is under hub.mu.
	workers    map[*worker]struct{} // those whose connections have not ended
	waited     histogram            // of the calls that have ended
	ran        histogram            // of those of them that may have been begun
	lastNumber uint64
	lastRegion uint64
	waiting    []*awaiting // in WaitReady
	replacing  *replacement
	replaces   int       // calls of Replace
	dried      time.Time // when the last ready worker went
	expiry     *time.Timer
	impatient  error // the cause for which Stop waits no longer

	running  sync.WaitGroup // a worker or a goroutine that starts workers; added to before stopping is closed
	stopping chan struct{}
	killed   chan struct{} // Stop waits no longer
	done     chan struct{} // everything has ended
}

// NewHost returns a host whose workers are being started. It returns ErrOptions, with what is wrong, for an option
// that is out of range.
func NewHost(opts ...Option) (*Host, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	h := &Host{
		hub: hub{
			seed: c.seed, turns: c.limits.turns(), record: c.record, log: c.log,
			said: newHostBudget(), reports: newHostBudget(),
			sched: scheduler{rules: c.rules, lastID: c.first - 1, places: ranking{onDemand: c.least < c.most}},
		},
		config:   c,
		workers:  map[*worker]struct{}{},
		stopping: make(chan struct{}),
		killed:   make(chan struct{}),
		done:     make(chan struct{}),
	}
	h.events = &limitedLog{log: c.log, budgets: []*budget{newHostBudget()}, total: &h.suppressed}
	h.perform = h.obey
	h.decide((*scheduler).hire)
	return h, nil
}

// obey does what the scheduler asks.
func (h *Host) obey(e *effects) {
	for _, c := range e.settled {
		if c.expiry != nil {
			c.expiry.Stop() // or it would keep the result
		}
		info := c.info()
		if h.waited.add(info.Waited); info.Attempts > 0 {
			h.ran.add(info.Ran)
		}
		close(c.done)
	}
	for _, c := range e.left {
		close(c.left)
	}
	for _, r := range e.quiet {
		close(r.quiet)
	}
	for _, w := range e.ordered {
		w.wake()
	}
	if e.balance {
		go h.decide((*scheduler).balance)
	}
	for _, c := range e.taken {
		if c.to == nil {
			continue // it is back
		}
		attempt := c.attempt
		time.AfterFunc(c.slot.reservation(), func() { h.decide(func(s *scheduler) { s.unreserve(c, attempt) }) })
	}
	for _, p := range e.hired {
		h.running.Go(func() { h.fill(p) })
	}
	for _, w := range e.idle {
		h.noteIdle(w)
	}
	if h.config.noWorker > 0 && (e.dry || len(e.early) > 0) {
		h.giveUpLater(e.dry, e.early)
	}
	h.tellWaiting(e.barren)
	for _, w := range e.ready {
		if h.config.window > 1 || h.config.least < h.config.most {
			time.AfterFunc(silence, func() { h.decide(func(s *scheduler) { s.workerSilent(w) }) })
		}
		h.retireLater(w)
	}
}

// silence is how soon after its announcement a worker says its capacity, if it does.
const silence = time.Millisecond

// Attach adds a worker that has come by itself: a process that has connected to the program, or the other end of a
// Pipe. The host closes the connection when the worker has ended or the host stops, and does not start another one.
// If the host has stopped, Attach closes the connection and returns ErrStopped; for a nil conn it returns ErrOptions.
func (h *Host) Attach(conn Conn) error {
	if conn == nil {
		return fmt.Errorf("%w: Attach: conn is nil", ErrOptions)
	}
	if h.newWorker(conn, nil, 0) == nil {
		h.discard(conn)
		return ErrStopped
	}
	return nil
}

// newWorker starts a worker over a connection, for a post if it is one of the staff. It returns nil if the host is stopping, the
// post has been closed, or Replace has been called since Dial was, when the number of its calls was replaces: the worker may be of
// the version before.
func (h *Host) newWorker(conn Conn, p *post, replaces int) *worker {
	h.mu.Lock()
	defer h.unlock()
	if h.sched.stopping || p != nil && (p.closed || replaces != h.replaces) {
		return nil
	}
	h.lastNumber++
	w := newWorker(&h.hub, h.killed, conn, h.lastNumber, h.sched.join(p))
	h.workers[w] = struct{}{}
	h.running.Go(func() {
		w.run()
		h.decide(func(*scheduler) { delete(h.workers, w) })
		close(w.gone)
	})
	return w
}

// Stop stops the host: calls that wait, and those to come, are answered with ErrStopped; those that a worker has may
// end, and then each worker is asked to shut down. When ctx ends, the workers that are left are killed, and their
// calls answered with ErrStopped. In any case Stop returns when everything of the host has ended: with the cause of
// ctx's end if a worker had to be killed, and otherwise nil. It may be called again, also to give a shorter time; the
// first context to end counts, for all.
func (h *Host) Stop(ctx context.Context) error {
	h.mu.Lock()
	if !h.sched.stopping {
		h.sched.stop()
		if h.expiry != nil {
			h.expiry.Stop()
		}
		close(h.stopping)
		go func() {
			h.running.Wait()
			close(h.done)
		}()
	}
	h.unlock()
	select {
	case <-h.done:
	case <-ctx.Done():
		h.mu.Lock()
		if h.impatient == nil {
			h.impatient = context.Cause(ctx)
			close(h.killed)
		}
		h.unlock()
		<-h.done
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut {
		return h.impatient
	}
	return nil
}

// Observe has f called for every event from now on, until stop is called. The events of one worker come in order; for
// several workers f is called at the same time. It must return soon and must not call the host. An event may still come
// while stop is being called. A host that nobody observes makes no events.
func (h *Host) Observe(f func(Event)) (stop func()) {
	if f == nil {
		return func() {}
	}
	return h.observers.add(f)
}

// NewRegion returns a new region. Use InRegion to make calls in it. Workers see its number as region_id.
func (h *Host) NewRegion() *Region {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastRegion++
	r := newRegion(h.lastRegion)
	r.sched, r.decide = &h.sched, h.decide
	return r
}
