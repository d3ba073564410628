package driver_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// A simWorker is one worker: a Serve, the process in which it would be, and what the simulation knows about it.
// What follows mu in simulation is under that.
type simWorker struct {
	*simulation
	plan     workerPlan
	index    int
	up, down *lane
	dead     chan struct{} // closed when the process is gone
	frozen   chan struct{} // closed when it has stopped
	ask      context.CancelCauseFunc

	ready, leaving bool
	asked          bool      // the host has asked it to shut down, though it does not stop itself
	dialed         time.Time // when Dial was called
	told0          bool      // it has told the host that it has no handlers any more
	over           time.Time // when the host noticed that it is gone, or leaves
	why            string
	whyAt          time.Time // since then
	culprit        *simCall  // that ends it; nil: none does
	frozenAt       time.Time
	began          time.Time // when the host learned that it is ready
	done           int       // jobs whose handlers have returned

	given   map[*simCall]*gift // what the host has sent it and not heard the end of
	running map[*simCall]bool  // whose handlers have not returned
	undoing map[*simCall]*gift // whose cancel handshakes are under way
	sends   []*gift            // all that the host has sent it
	able    spans              // when it could be given calls
	free    spans              // when it had a handler free, as far as the host knows
	empty   spans              // when it had nothing at all
	kept    []span             // when handlers may have been kept for calls that were being taken back
}

func (w *simWorker) String() string { return fmt.Sprintf("w-%d", w.index) }

var (
	errLeaving = errors.New("the worker has done its jobs")
	errAsked   = errors.New("the worker was asked to end")
)

// mostWorkers is more than a plan needs if calls that end workers are given up in time.
const mostWorkers = 500

// dial starts the next worker of the fleet.
func (s *simulation) dial(ctx context.Context) (driver.Conn, error) {
	s.mu.Lock()
	if len(s.workers) == mostWorkers {
		s.mu.Unlock()
		s.report(6, "too many workers", "more than %d", mostWorkers)
		return nil, errors.New("there are too many")
	}
	w := &simWorker{
		simulation: s, index: len(s.workers), plan: s.plan.Fleet[len(s.workers)%len(s.plan.Fleet)],
		dead: make(chan struct{}), frozen: make(chan struct{}),
		given: map[*simCall]*gift{}, running: map[*simCall]bool{}, undoing: map[*simCall]*gift{},
	}
	w.dialed = time.Now()
	s.workers = append(s.workers, w)
	s.mu.Unlock()
	w.plan.Delay += time.Duration(w.index) * 13 // so that no two things happen at the same moment
	w.plan.Start += time.Duration(w.index) * 17
	w.up, w.down = newLane(w.plan, &s.latency), newLane(w.plan, &s.latency)
	if w.plan.Boot == noDial {
		select {
		case <-time.After(w.plan.Start):
			return nil, errors.New("cannot be started")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.running.Go(w.live)
	return &hostEnd{worker: w, closed: make(chan struct{})}, nil
}

// live is the life of the process.
func (w *simWorker) live() {
	if w.plan.Boot == hangs {
		<-w.dead
		return
	}
	select {
	case <-time.After(w.plan.Start):
	case <-w.dead:
		return
	}
	if w.plan.Boot == diesEarly {
		w.end("died before it was ready", nil)
		return
	}
	ctx, ask := context.WithCancelCause(context.Background())
	defer ask(nil)
	w.ask = ask
	if d := w.plan.AskedAfter; d > 0 {
		defer time.AfterFunc(d, func() { w.leave(errAsked) }).Stop()
	}
	if d := w.plan.DieAfter; d > 0 {
		defer time.AfterFunc(d, func() { w.end("died by itself", nil) }).Stop()
	}
	opts := []driver.ServeOption{driver.WithConcurrency(w.plan.Handlers)}
	if w.plan.LeaveAfter > 0 {
		opts = append(opts, driver.WithDrain())
	}
	_ = driver.Serve(ctx, workerEnd{w}, w.String(), w.handle, opts...)
	w.thaw()
	w.die(all)
}

// handle is the handler of all jobs.
func (w *simWorker) handle(ctx context.Context, job *driver.Job) (result []byte, err error) {
	c := w.calls[binary.BigEndian.Uint32(job.Payload)]
	if !w.begin(c, job.Attempt) {
		return nil, errDead
	}
	defer func() { w.returned(c, result != nil) }()
	run := c.plan.Run
	if run > 0 || c.plan.Does.guilty() { // a worker ends when what it has to say is under way, at the earliest
		run += time.Duration(c.index+1) * 11 // so that no two handlers return at the same moment
	}
	if err := w.pause(ctx, run, c.plan.Does == ignores); err != nil {
		return nil, err
	}
	switch c.plan.Does {
	case fails:
		return nil, &driver.JobError{Code: "failed", Message: "as planned"}
	case panics:
		panic("as planned")
	case exits:
		w.end(fmt.Sprintf("ended by call %d", c.index), c)
		return nil, errDead
	case freezes:
		w.freeze(fmt.Sprintf("frozen by call %d", c.index), c)
		<-w.dead
		return nil, errDead
	}
	return job.Payload[:4], nil
}

// pause lets time pass. It returns an error if the job or the process ends before.
func (w *simWorker) pause(ctx context.Context, d time.Duration, ignore bool) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	ended := ctx.Done()
	if ignore || d == 0 {
		ended = nil
	}
	select {
	case <-timer.C:
	case <-ended:
	case <-w.dead:
	}
	if w.thaw(); !w.alive() {
		return errDead
	}
	select {
	case <-ended:
		return context.Cause(ctx)
	default:
		return nil
	}
}

// thaw returns at once unless the worker is frozen: then when it is dead.
func (w *simWorker) thaw() {
	select {
	case <-w.frozen:
		<-w.dead
	default:
	}
}

// alive reports whether the process does anything.
func (w *simWorker) alive() bool {
	select {
	case <-w.dead:
		return false
	case <-w.frozen:
		return false
	default:
		return true
	}
}

// die ends the process: of the messages under way to the host only the first few arrive.
func (w *simWorker) die(kept int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.dead:
		return
	default:
		close(w.dead)
	}
	w.up.cut(kept)
	w.down.cut(0)
	w.look()
}

// end is how a process dies for a reason of the plan.
func (w *simWorker) end(why string, culprit *simCall) {
	w.mu.Lock()
	if w.alive() {
		w.blame(why)
		w.culprit = culprit
	}
	w.mu.Unlock()
	w.die(w.plan.Kept)
}

func (w *simWorker) freeze(why string, culprit *simCall) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.alive() {
		w.blame(why)
		w.culprit, w.frozenAt = culprit, time.Now()
		close(w.frozen)
		w.look()
	}
}

// blame notes why the worker ends, and since when it does not do well.
func (w *simWorker) blame(why string) {
	w.why = why
	if w.whyAt.IsZero() {
		w.whyAt = time.Now()
	}
}

// leave has the worker leave in order.
func (w *simWorker) leave(why error) {
	w.mu.Lock()
	first := w.alive() && !w.leaving
	if first {
		w.blame(why.Error())
		w.leaving = true
		w.look()
	}
	w.mu.Unlock()
	if first {
		w.ask(why)
	}
}

// returned notes that the handler of a call returns. If it was the last job of the worker, that takes no other.
func (w *simWorker) returned(c *simCall, well bool) {
	w.mu.Lock()
	delete(w.running, c)
	for _, g := range c.gifts {
		if g.worker == w && !g.begun.IsZero() {
			g.returned = time.Now()
		}
	}
	w.done++
	last := w.done == w.plan.LeaveAfter
	c.successes += btoi(well)
	w.look()
	w.mu.Unlock()
	if last {
		w.leave(errLeaving)
	}
	w.checkCounters()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
