package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/workerchannel/workerchannel"
)

// How a job can end without an outcome of the worker.
var (
	ErrStopped  = errors.New("the host has stopped")
	ErrGivenUp  = errors.New("every worker that ran the job died")
	ErrNoWorker = errors.New("no worker lives long enough to begin a job")

	errCancelled = errors.New("cancelled") // Do answers with the cause in its stead
)

// Limits are the host's patience, none of them zero. Turns are ticks of its loop.
type Limits struct {
	Window      int    // jobs that the worker has at a time
	Tries       int    // workers that may die while they run a job before it is given up
	Losses      int    // workers that may die in a row without beginning a job before the host gives up
	BootTurns   uint64 // for a worker to announce itself
	CancelTurns uint64 // for a cancelled job to end
	StopTurns   uint64 // for a worker to stop
}

// DefaultLimits suit ticks of a tenth of a second.
var DefaultLimits = Limits{Window: 4, Tries: 3, Losses: 5, BootTurns: 100, CancelTurns: 20, StopTurns: 50}

// A Config says how a host works.
type Config struct {
	Command func() *exec.Cmd // makes the command that starts a worker
	Limits  Limits
	Seed    uint64                                        // of the coordinator
	Log     func(format string, args ...any)              // of what goes wrong
	Trace   func(turn uint64, env workerchannel.Envelope) // sees every message, both ways, in the loop; may be nil
}

// A Host runs jobs in a worker process, and starts another one when that ends.
//
// When a worker is lost, all its jobs fail at once, and the host decides about each: one that its caller
// has cancelled is settled as cancelled, for nothing of it runs any more; any other runs again in the
// next worker. Jobs must therefore bear to run more than once. The caller hears of each job once.
type Host struct {
	Config
	submitted chan *request
	cancelled chan *request
	stop      chan struct{}
	done      chan struct{} // closed at the end of Run

	// The loop's own.
	c        *workerchannel.Coordinator
	worker   *process
	procs    sync.WaitGroup
	jobs     map[uint64]*request // not yet settled
	backlog  []*request          // those not handed to the worker, by ascending id
	lastID   uint64
	losses   int // since a worker last began a job
	stopping bool
	deadline uint64 // the turn in which the worker must have announced itself, or stopped
}

// NewHost returns a host, which works while Run does.
func NewHost(config Config) *Host {
	return &Host{
		Config:    config,
		submitted: make(chan *request),
		cancelled: make(chan *request),
		stop:      make(chan struct{}),
		done:      make(chan struct{}),
		c:         workerchannel.NewCoordinator(config.Seed),
		jobs:      make(map[uint64]*request),
	}
}

// A request is one call of Do.
type request struct {
	id       uint64
	payload  []byte
	progress func(string)
	result   chan result // holds one

	begun    bool // the present worker says that it runs the job
	tries    int
	cancel   bool
	deadline uint64 // of the cancel
	outcome  workerchannel.Outcome
}

type result struct {
	payload []byte
	err     error
}

// Do runs a job and returns its result. When the context ends, the job is cancelled, and Do returns once
// the worker has let go of it or is dead: with the context's cause, or with the result if that crossed
// the cancel. progress may be nil; it is called in the host's loop and must not wait.
func (h *Host) Do(ctx context.Context, payload []byte, progress func(string)) ([]byte, error) {
	if len(payload) > workerchannel.MaxPayloadBytes {
		return nil, workerchannel.ErrPayloadTooLarge
	}
	if progress == nil {
		progress = func(string) {}
	}
	r := &request{payload: payload, progress: progress, result: make(chan result, 1)}
	select {
	case h.submitted <- r:
	case <-h.done:
		return nil, ErrStopped
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var res result
	select {
	case res = <-r.result:
	case <-ctx.Done():
		select {
		case h.cancelled <- r:
			res = <-r.result
		case res = <-r.result:
		}
	}
	if errors.Is(res.err, errCancelled) {
		res.err = context.Cause(ctx)
	}
	return res.payload, res.err
}

// Stop makes Run end: the job that the worker runs may end, the others fail with ErrStopped. It returns
// when Run has taken notice, and may be called again.
func (h *Host) Stop() {
	select {
	case h.stop <- struct{}{}:
	case <-h.done:
	}
}

// Run is the event loop. It returns after Stop, or with an error when workers are of no use. All jobs
// have been settled by then, and all processes and goroutines are gone.
func (h *Host) Run(ticks <-chan time.Time) (err error) {
	defer func() {
		close(h.done)
		if h.worker != nil {
			h.worker.kill()
		}
		for _, r := range h.jobs {
			h.answer(r, nil, cmp.Or(err, ErrStopped))
		}
		h.procs.Wait()
	}()
	for {
		for _, job := range h.c.Reap() {
			h.settle(h.jobs[job.JobID], job.State)
		}
		if h.stopping && h.worker == nil {
			return nil
		}
		if err := h.employ(); err != nil {
			return err
		}
		h.dispatch()
		for env := range h.c.Outbox() {
			h.send(env)
		}

		var lines <-chan []byte
		if h.worker != nil {
			lines = h.worker.lines
		}
		select {
		case line, ok := <-lines:
			if ok {
				h.receive(line)
			} else {
				h.lose(h.worker.err)
			}
		case r := <-h.submitted:
			h.accept(r)
		case r := <-h.cancelled:
			h.cancelJob(r)
		case <-ticks:
			h.c.AdvanceTurn()
			h.checkDeadlines()
		case <-h.stop:
			h.beginStop()
		}
	}
}

// employ starts a worker if there is something to do and nobody to do it.
func (h *Host) employ() (err error) {
	if h.worker != nil || h.stopping || len(h.backlog) == 0 {
		return nil
	}
	if h.losses >= h.Limits.Losses {
		return ErrNoWorker
	}
	h.deadline = h.c.Turn() + h.Limits.BootTurns
	h.worker, err = startProcess(h.Command(), &h.procs)
	return err
}

func (h *Host) dispatch() {
	for h.c.WorkerReady() && !h.stopping && len(h.backlog) > 0 && h.c.InflightCount() < h.Limits.Window {
		r := h.backlog[0]
		h.backlog = h.backlog[1:]
		if err := h.c.SpawnJob(workerchannel.SpawnJob{JobID: r.id, TaskID: r.id, Payload: r.payload}); err != nil {
			h.answer(r, nil, err)
		}
	}
}

func (h *Host) send(env workerchannel.Envelope) {
	line, err := appendLine(nil, env)
	if err != nil {
		h.lose(err)
		return
	}
	h.trace(env)
	h.worker.send(line)
}

func (h *Host) trace(env workerchannel.Envelope) {
	if h.Trace != nil {
		h.Trace(h.c.Turn(), env)
	}
}

// receive takes in one line of the worker. Nothing but that worker writes to the pipe, in order, and a
// correct one is never refused: so any error means that it is broken, and that no answer of it can be
// waited for.
func (h *Host) receive(line []byte) {
	env, err := h.c.Receive(line)
	if err != nil {
		h.lose(err)
		return
	}
	h.trace(env)
	switch op := env.Op.(type) {
	case workerchannel.StatusSnapshot:
		r := h.jobs[op.JobID] // as every job that the coordinator knows
		if op.State == workerchannel.StateRunning {
			r.begun, h.losses = true, 0
		}
		if op.Detail != nil {
			r.progress(*op.Detail)
		}
	case workerchannel.JobCompleted:
		h.jobs[op.JobID].outcome = op.Outcome
	case workerchannel.Diagnostic:
		h.Log("worker: %v: %s: %s", op.Level, op.Category, op.Message)
	case workerchannel.ShutdownCompleted:
		if !h.stopping { // else it is about to exit
			h.lose(errors.New("the worker stopped unasked"))
		}
	}
}

// lose ends the worker, whether it is dead, broken or late, and its session with it.
func (h *Host) lose(why error) {
	if !h.stopping {
		h.Log("lost the worker: %v", why)
	}
	h.worker.kill()
	h.worker = nil
	h.losses++
	h.c.WorkerLost()
}

// settle decides about a job that has ended for the coordinator.
func (h *Host) settle(r *request, state workerchannel.JobState) {
	if r.begun {
		r.tries, r.begun = r.tries+1, false
	}
	switch {
	case r.outcome != nil:
		payload, err := outcomeResult(r.outcome)
		h.answer(r, payload, err)
	case state == workerchannel.StateCompleted, r.cancel:
		h.answer(r, nil, errCancelled)
	case h.stopping:
		h.answer(r, nil, ErrStopped)
	case r.tries >= h.Limits.Tries:
		h.answer(r, nil, ErrGivenUp)
	default:
		h.enqueue(r)
	}
}

func (h *Host) accept(r *request) {
	h.lastID++
	r.id = h.lastID
	h.jobs[r.id] = r
	if h.stopping {
		h.answer(r, nil, ErrStopped)
		return
	}
	h.enqueue(r)
}

// enqueue keeps the order of submission, also for what runs again.
func (h *Host) enqueue(r *request) {
	i, _ := slices.BinarySearchFunc(h.backlog, r.id, func(r *request, id uint64) int { return int(r.id) - int(id) })
	h.backlog = slices.Insert(h.backlog, i, r)
}

func (h *Host) cancelJob(r *request) {
	if h.jobs[r.id] != r {
		return // it has been settled meanwhile
	}
	if i := slices.Index(h.backlog, r); i >= 0 {
		h.backlog = slices.Delete(h.backlog, i, i+1)
		h.answer(r, nil, errCancelled)
		return
	}
	r.cancel, r.deadline = true, h.c.Turn()+h.Limits.CancelTurns
	if err := h.c.CancelJob(r.id, "the caller has gone"); err != nil {
		h.Log("%v", err) // the worker is being stopped, and the job with it
	}
}

// checkDeadlines kills a worker that is late.
func (h *Host) checkDeadlines() {
	if h.worker == nil {
		return
	}
	turn := h.c.Turn()
	if (h.stopping || !h.c.WorkerReady()) && turn >= h.deadline {
		h.lose(errors.New("it took too long to start or to stop"))
		return
	}
	for _, r := range h.jobs {
		if r.cancel && turn >= r.deadline {
			h.lose(fmt.Errorf("it took too long to cancel job %d", r.id))
			return
		}
	}
}

func (h *Host) beginStop() {
	if h.stopping {
		return
	}
	h.stopping = true
	for _, r := range h.backlog {
		h.answer(r, nil, ErrStopped)
	}
	h.backlog = nil
	if h.worker != nil {
		h.deadline = h.c.Turn() + h.Limits.StopTurns
		_ = h.c.RequestShutdown("the host stops") // refused only when it has been requested
	}
}

// answer settles a job for its caller.
func (h *Host) answer(r *request, payload []byte, err error) {
	delete(h.jobs, r.id)
	r.result <- result{payload, err}
}

// An OutcomeError is an outcome other than success.
type OutcomeError struct{ Outcome workerchannel.Outcome }

func (e *OutcomeError) Error() string {
	switch o := e.Outcome.(type) {
	case workerchannel.OutcomeErr:
		return o.Code + ": " + o.Message
	case workerchannel.OutcomeCancelled:
		return "cancelled: " + o.Reason
	case workerchannel.OutcomePanicked:
		return "panic: " + o.Message
	}
	return fmt.Sprintf("the job ended with %v", e.Outcome)
}

func outcomeResult(o workerchannel.Outcome) ([]byte, error) {
	if ok, is := o.(workerchannel.OutcomeOk); is {
		return ok.Payload, nil
	}
	return nil, &OutcomeError{o}
}
