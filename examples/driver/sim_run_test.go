package driver_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
)

// A simulation is a plan that is carried out, by a host and workers that know nothing of it, on virtual time. It watches
// the host through Observe, the connections, the handlers and what Do returns.
type simulation struct {
	plan    plan
	host    *driver.Host
	latency latency
	running sync.WaitGroup // workers
	calls   []*simCall

	mu         sync.Mutex
	started    time.Time
	stopped    time.Time // when Stop was called; zero: it was not
	workers    []*simWorker
	byNumber   map[uint64]*simWorker // the host's
	byJob      map[uint64]*simCall
	firstSends []*simCall // as they were first sent to a worker
	queued     int        // suspects that wait
	queuedLog  []sample
	violations []violation
	trace      *[]string // what happens, in a line each; nil: it is not kept
}

// A simCall is a call and what has become of it.
type simCall struct {
	plan  callPlan
	index int

	submitted, returned, deadline time.Time // zero: not yet, or none
	ahead                         int       // calls that waited at the host when it was made
	data                          []byte
	err                           error

	waits     spans // when it waited for a handler
	gifts     []*gift
	firstSent time.Time
	firstRun  time.Time // zero: it was never begun
	suspect   bool      // it was with a worker that ended by itself, and has not been answered
	suspected time.Time
	doubtful  bool  // or it is none, as the host has ended the worker for another call, which was being cancelled
	queued    bool  // it is a suspect and waits
	ends      []end // of the workers that had it
	begun     int   // handlers that were called
	attempt   uint64
	info      driver.CallInfo
	ended     int // workers that it has ended
	successes int
	moves     int // times that the host took it back from a worker that stayed
}

// A gift is a call that was sent to a worker.
type gift struct {
	worker   *simWorker
	sent     time.Time
	begun    time.Time // in truth; zero: not
	over     time.Time // the host has no reason to believe any more that the worker has it
	returned time.Time // when its handler returned, or the process ended
	reported time.Time // when the host was told that it has begun; zero: it was not
	recalled time.Time // when the host cancelled it, for whatever reason; zero: it has not
	inVain   time.Time // when it turned out that it has begun; zero: it did not
	taken    bool      // the host has taken it back
	letGo    time.Time // the end of the handshake after that, until which the worker cannot be given the call
	suspect  bool      // the call was one
	moved    bool      // the host sent it as soon as it had taken it back from another worker
}

// An end is that of a worker that had a call.
type end struct {
	*gift
	orderly, alone bool
	frozen         bool
	why            string
}

// A sample is a number from a moment on.
type sample struct {
	at time.Time
	n  int
}

// A violation is a promise that was broken.
type violation struct {
	promise int    // its number
	kind    string // the same for all of its kind
	detail  string
}

func (v violation) String() string { return fmt.Sprintf("promise %d: %s", v.promise, v.kind) }

// horizon is longer than any plan takes if promises are kept.
const horizon = 24 * time.Hour

// simulate carries a plan out.
func simulate(t *testing.T, p plan, trace *[]string) (s *simulation) {
	s = &simulation{plan: p, byNumber: map[uint64]*simWorker{}, byJob: map[uint64]*simCall{}, trace: trace}
	defer func() {
		if r := recover(); r != nil {
			s.report(6, "something is left", "%v", r)
		}
	}()
	synctest.Test(t, func(*testing.T) { s.run() })
	s.check()
	return s
}

// longest returns the longest time until one of some calls was answered; nil stands for all that end no worker.
func (s *simulation) longest(of func(callPlan) bool) (most time.Duration) {
	for _, c := range s.calls {
		if of == nil && !c.plan.Does.guilty() || of != nil && of(c.plan) {
			most = max(most, c.returned.Sub(c.submitted))
		}
	}
	return most
}

func (s *simulation) run() {
	s.started = time.Now()
	opts := []driver.Option{driver.WithWorkers(s.plan.Places, s.dial)}
	if s.plan.Tries > 0 {
		opts = append(opts, driver.WithTries(s.plan.Tries))
	}
	if s.plan.Window > 0 {
		opts = append(opts, driver.WithWindow(s.plan.Window))
	}
	if s.plan.Bounded {
		opts = append(opts, driver.WithBacklog(s.plan.Backlog))
	}
	opts = append(opts, s.plan.Staff.options()...)
	for i, c := range s.plan.Calls {
		s.calls = append(s.calls, &simCall{plan: c, index: i})
	}
	s.mu.Lock()
	host, err := driver.NewHost(opts...)
	if err != nil {
		s.mu.Unlock()
		s.report(1, "no host", "%v", err)
		return
	}
	s.host = host
	defer host.Observe(s.observe)()
	s.mu.Unlock() // no worker starts before
	inRegion := [regions]*driver.Region{}
	for i := range regions {
		inRegion[i] = host.NewRegion()
	}
	over, callers := make(chan struct{}), sync.WaitGroup{}
	for _, c := range s.calls {
		callers.Go(func() { s.call(c, inRegion[c.plan.Region]) })
	}
	go func() {
		callers.Wait()
		close(over)
	}()
	defer s.manage()()
	if at := s.plan.Cancel.At; at > 0 {
		defer time.AfterFunc(at, func() { inRegion[s.plan.Cancel.Region].Cancel(errCancelled) }).Stop()
	}
	stopAt := horizon
	if s.plan.Stop > 0 {
		stopAt = s.plan.Stop
	}
	patience := time.Hour
	select {
	case <-over:
	case <-time.After(stopAt):
		if patience = s.plan.Patience; s.plan.Stop == 0 {
			for _, c := range s.open() {
				s.report(1, "no answer", "call %d", c.index)
			}
		}
	}
	s.stop(patience)
	<-over
	s.running.Wait()
	s.checkKinds()
}

var errCancelled = errors.New("the region is not needed any more")

func (s *simulation) open() (calls []*simCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.returned.IsZero() {
			calls = append(calls, c)
		}
	}
	return calls
}

func (s *simulation) stop(patience time.Duration) {
	s.mu.Lock()
	s.stopped = time.Now()
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = s.host.Stop(ctx)
	stats := s.host.Stats()
	if n := stats.Waiting + stats.Assigned + len(stats.Workers); n > 0 || stats.WorkersStarted != stats.WorkersEnded {
		s.report(6, "something is left", "%+v", stats)
	}
	s.checkCounters()
}

// call makes a call and notes the answer.
func (s *simulation) call(c *simCall, r *driver.Region) {
	time.Sleep(c.plan.At + time.Duration(c.index)*7) // so that the order is that of the plan
	opts := []driver.CallOption{driver.WithInfo(&c.info)}
	if c.plan.Region > 0 {
		opts = append(opts, driver.InRegion(r))
	}
	if c.plan.RunLimit > 0 {
		opts = append(opts, driver.WithRunLimit(c.plan.RunLimit))
	}
	if c.plan.AtOnce {
		opts = append(opts, driver.ReturnAtOnce())
	}
	payload := make([]byte, 4+c.plan.Bytes)
	binary.BigEndian.PutUint32(payload, uint32(c.index))
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	s.mu.Lock()
	c.ahead = s.waiting()
	c.submitted = time.Now()
	c.waits.begin(c.submitted)
	if c.plan.Limit > 0 {
		c.deadline = c.submitted.Add(c.plan.Limit)
		ctx, cancel = context.WithDeadline(ctx, c.deadline)
	}
	s.mu.Unlock()
	defer cancel()
	data, err := s.host.Do(ctx, payload, opts...)
	s.mu.Lock()
	c.returned, c.data, c.err = time.Now(), data, err
	s.tell("call %d is answered: %v", c.index, err)
	s.settled(c)
	s.mu.Unlock()
	s.checkCounters()
}

// waiting returns how many calls no worker has.
func (s *simulation) waiting() (n int) {
	for _, c := range s.calls {
		n += btoi(!c.submitted.IsZero() && c.returned.IsZero() && !s.cancelled(c) && !c.given())
	}
	return n
}

// given reports whether a worker has the call.
func (c *simCall) given() bool {
	return slices.ContainsFunc(c.gifts, func(g *gift) bool { return g.over.IsZero() })
}

// checkCounters checks that no call is counted twice or forgotten at this moment.
func (s *simulation) checkCounters() {
	n := s.host.Stats()
	answered := n.Succeeded + n.Failed + n.Panicked + n.Cancelled + n.GivenUp + n.NoWorker + n.Stopped
	if n.Calls != answered+uint64(n.Waiting+n.Assigned) || n.Waited.Count != answered || n.Ran.Count > answered {
		s.report(1, "counters", "%d calls, %d answered, %d wait, %d assigned; times of %d and %d",
			n.Calls, answered, n.Waiting, n.Assigned, n.Waited.Count, n.Ran.Count)
	}
}

func (s *simulation) report(promise int, kind, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(promise, kind, format, args...)
}

// note is report for those who hold mu.
func (s *simulation) note(promise int, kind, format string, args ...any) {
	if len(s.violations) < 100 {
		s.violations = append(s.violations, violation{promise, kind, fmt.Sprintf(format, args...)})
	}
}

// tell adds a line to the trace. It is called with mu held.
func (s *simulation) tell(format string, args ...any) {
	if s.trace != nil {
		*s.trace = append(*s.trace, fmt.Sprintf("%12v ", time.Since(s.started))+fmt.Sprintf(format, args...))
	}
}

// observe sees what the host sends and accepts, in the order in which the host learns of it.
func (s *simulation) observe(e driver.Event) {
	if e.Kind != driver.EventSent && e.Kind != driver.EventReceived {
		return
	}
	number, env := e.Worker, e.Envelope
	s.mu.Lock()
	defer s.mu.Unlock()
	if ready, ok := env.Op.(wc.BootstrapReady); ok {
		for _, w := range s.workers {
			if w.String() == ready.WorkerID {
				s.byNumber[number] = w
				w.ready, w.began = true, time.Now()
				s.tell("%v is ready", w)
				w.look()
			}
		}
		return
	}
	w := s.byNumber[number]
	if w == nil {
		return
	}
	defer w.look()
	s.tell("%v %v", w, &env)
	if op, ok := env.Op.(wc.SpawnJob); ok {
		c := s.calls[binary.BigEndian.Uint32(op.Payload)]
		s.byJob[op.JobID] = c
		s.tell("call %d is job %d", c.index, op.JobID)
		w.give(c)
		return
	}
	if _, ok := env.Op.(wc.ShutdownWorker); ok {
		w.dismissed()
	}
	if _, ok := env.Op.(wc.ShutdownCompleted); ok {
		w.gone(true)
		return
	}
	if d, ok := env.Op.(wc.Diagnostic); ok && d.Category == "workerchannel.capacity" && d.Message == "0" {
		w.told0 = true
		w.startAgain()
	}
	id, ok := wc.JobOf(env.Op)
	if !ok {
		return
	}
	c := s.byJob[id]
	switch op := env.Op.(type) {
	case wc.StatusSnapshot:
		if g := w.given[c]; g != nil && op.State == wc.StateRunning && g.reported.IsZero() {
			g.reported = time.Now()
			w.begunAfterAll(g)
		}
	case wc.CancelJob:
		if g := w.given[c]; g != nil {
			w.undoing[c] = g
			g.recalled = time.Now()
		}
	case wc.CancelAcknowledged:
		if g := w.given[c]; g != nil && g.reported.IsZero() {
			g.taken = !s.cancelled(c)
			w.take(c, g.taken) // the host may give it elsewhere
			c.moves += btoi(g.taken && !w.leaving)
		}
	case wc.JobCompleted:
		delete(w.undoing, c)
		if g := w.given[c]; g != nil {
			w.begunAfterAll(g)
		}
		w.take(c, false)
	case wc.FinalizeCompleted:
		delete(w.undoing, c)
		for _, g := range c.gifts {
			if g.worker == w && g.taken && g.letGo.IsZero() {
				g.letGo = time.Now()
			}
		}
		w.take(c, !s.cancelled(c))
	}
}
