package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/workerchannel/workerchannel"
)

// A Host runs jobs in a worker process, and starts another one when that process ends.
//
// When a worker is lost, all its jobs fail at once. A job that its caller has cancelled then counts as cancelled,
// because nothing of it runs any more. Any other job runs again in the next worker, so a job may run more than
// once. Each call of [Host.Do] returns once.
type Host struct {
	Config
	submitted chan *request
	cancelled chan *request
	stop      chan struct{}
	done      chan struct{} // closed at the end of Run

	// Owned by the loop.
	c        *workerchannel.Coordinator
	worker   *process // nil if there is none
	next     []byte   // the message to be sent next; nil if there is none
	nextFrom uint64   // the turn in which it was taken from the outbox
	procs    sync.WaitGroup
	jobs     map[uint64]*request // not yet settled
	backlog  []*request          // those that the worker has not been given, by ascending id
	lastID   uint64
	losses   int // since a worker last began a job
	stopping bool
	stopBy   uint64 // the turn in which what still runs is given up
	exitBy   uint64 // the turn in which a worker that has shut down must be gone; 0 if none has
}

// NewHost returns a host, which works while Run runs.
func NewHost(config Config) *Host {
	return &Host{
		Config:    config,
		submitted: make(chan *request),
		cancelled: make(chan *request),
		stop:      make(chan struct{}),
		done:      make(chan struct{}),
		c:         workerchannel.NewCoordinator(config.Seed, workerchannel.WithLimits(config.Limits.Worker)),
		jobs:      make(map[uint64]*request),
	}
}

// A request is one call of Do. It is the tag of its job.
type request struct {
	id       uint64
	payload  []byte
	progress func(string)
	result   chan result // holds one

	begun  bool // the present worker has reported that it runs the job
	tries  int  // workers that have died with it
	cancel bool // its caller has cancelled it
}

type result struct {
	payload []byte
	err     error
}

// Do runs a job and returns its result. When the context ends, the job is cancelled, and Do returns when the
// worker has let go of it or is dead: the cause of the context, or the result if that crossed the cancel. An outcome
// that is not a success is returned as an [*OutcomeError]. progress may be nil; it is called in the host's loop and
// must not block.
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

// Stop makes Run end: the jobs that the worker has may end within Limits.Stop turns, the others fail with
// ErrStopped. Stop returns when the loop has received it, and may be called again.
func (h *Host) Stop() {
	select {
	case h.stop <- struct{}{}:
	case <-h.done:
	}
}

// Run is the event loop. It returns nil after Stop, or an error if no worker can be started or none begins a job.
// By then all jobs are settled, and all processes and goroutines have ended.
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
			h.settle(job.Tag.(*request), job)
		}
		if h.stopping && h.worker == nil {
			return nil
		}
		if err := h.employ(); err != nil {
			return err
		}
		h.dispatch()
		var lines <-chan []byte
		var out chan<- []byte
		if h.worker != nil {
			lines = h.worker.lines
			if h.take(); h.next != nil {
				out = h.worker.toWorker
			}
		}
		select {
		case out <- h.next: // sending never keeps the loop from receiving
			h.next = nil
		case line, alive := <-lines: // closed when the worker is gone and all that it wrote has been read
			if alive {
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
			h.check()
		case <-h.stop:
			h.beginStop()
		}
	}
}

// employ starts a worker if there is none and a job waits for one.
func (h *Host) employ() (err error) {
	if h.worker != nil || h.stopping || len(h.backlog) == 0 {
		return nil
	}
	if h.losses >= h.Limits.Losses {
		return ErrNoWorker
	}
	h.c.ExpectWorker()
	h.worker, err = startProcess(h.Command(), &h.procs)
	return err
}

// dispatch gives jobs to the worker up to the window.
func (h *Host) dispatch() {
	for h.c.WorkerReady() && !h.stopping && len(h.backlog) > 0 && h.c.InflightCount() < h.Limits.Window {
		r := h.backlog[0]
		h.backlog = h.backlog[1:]
		job := workerchannel.SpawnJob{JobID: r.id, TaskID: r.id, Payload: r.payload}
		if err := h.c.SpawnTagged(job, r); err != nil {
			h.answer(r, nil, err)
		}
	}
}

// take takes the next message from the outbox if the last one has been sent. It does so only then, because the
// clock of a request starts when its message is taken.
func (h *Host) take() {
	if h.next != nil {
		return
	}
	if env, ok := h.c.DrainOutbox(); ok {
		h.trace(env)
		h.next, _ = appendLine(nil, env) // the coordinator queues nothing that cannot be written
		h.nextFrom = h.c.Turn()
	}
}

func (h *Host) trace(env workerchannel.Envelope) {
	if h.Trace != nil {
		h.Trace(h.c.Turn(), env)
	}
}

// receive applies one line of the worker. A message of a correct worker is never refused, so if one is, unless it
// is stray, the worker is broken and a job may wait for what was in the message.
func (h *Host) receive(line []byte) {
	env, err := h.c.Receive(line)
	switch {
	case workerchannel.IsStray(err):
		h.Log("ignored a stray message: %v", err)
		return
	case err != nil:
		h.lose(err)
		return
	}
	h.trace(env)
	switch op := env.Op.(type) {
	case workerchannel.BootstrapReady:
		if h.worker.announced {
			h.lose(errTwice) // under another id it has ended its own session
			return
		}
		h.worker.announced = true
	case workerchannel.StatusSnapshot:
		r := h.jobs[op.JobID] // it has every job that the coordinator tracks
		if op.State == workerchannel.StateRunning {
			r.begun, h.losses = true, 0
		}
		if op.Detail != nil {
			r.progress(*op.Detail)
		}
	case workerchannel.Diagnostic:
		h.Log("worker: %v: %s: %s", op.Level, op.Category, op.Message)
	case workerchannel.ShutdownCompleted:
		if !h.stopping {
			h.lose(errUnasked)
			return
		}
		h.exitBy = h.c.Turn() + h.Limits.Worker.Shutdown
	}
}

// lose ends the worker, whether it is dead, broken or late, and its session.
func (h *Host) lose(why error) {
	if !h.stopping {
		h.Log("lost the worker: %v", why)
	}
	h.worker.kill()
	h.worker, h.next = nil, nil // the message was for that worker
	h.losses++
	h.c.WorkerLost()
}

// settle decides what becomes of a job that has ended for the coordinator.
func (h *Host) settle(r *request, job workerchannel.TrackedJob) {
	if r.begun {
		r.tries, r.begun = r.tries+1, false
	}
	switch {
	case job.Cause == workerchannel.CauseOutcome:
		payload, err := outcomeResult(job.Outcome)
		h.answer(r, payload, err)
	case job.Cause == workerchannel.CauseCancelled, r.cancel:
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

// enqueue keeps the order of submission, even for jobs that run again.
func (h *Host) enqueue(r *request) {
	i, _ := slices.BinarySearchFunc(h.backlog, r.id, func(r *request, id uint64) int { return int(r.id) - int(id) })
	h.backlog = slices.Insert(h.backlog, i, r)
}

func (h *Host) cancelJob(r *request) {
	if h.jobs[r.id] != r {
		return // it has been settled in the meantime
	}
	if i := slices.Index(h.backlog, r); i >= 0 {
		h.backlog = slices.Delete(h.backlog, i, i+1)
		h.answer(r, nil, errCancelled)
		return
	}
	r.cancel = true
	if err := h.c.CancelJob(r.id, "the caller is gone"); err != nil {
		h.Log("%v", err) // the worker has been asked to stop, which ends the job
	}
}

// check ends a worker that is late, and polls one that may have become silent.
func (h *Host) check() {
	if h.worker == nil {
		return
	}
	turn := h.c.Turn()
	if late, ok := h.c.Overdue(); ok {
		h.lose(late)
		return
	}
	if h.next != nil && turn >= h.nextFrom+h.Limits.Send {
		h.lose(errDeaf)
		return
	}
	if h.exitBy != 0 && turn >= h.exitBy {
		h.lose(errLingers)
		return
	}
	if h.c.Closing() && turn >= h.stopBy {
		_ = h.c.RequestShutdown("the host stops") // refused only if it has been requested
	}
	if turn%h.Limits.Beat == 0 && h.next == nil {
		h.poll()
	}
}

// poll asks about one job that can be polled, if there is one. Any message of the worker is an answer.
func (h *Host) poll() {
	for job := range h.c.Jobs() {
		if h.c.PollStatus(job.JobID) == nil {
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
		h.stopBy = h.c.Turn() + h.Limits.Stop
		_ = h.c.ShutdownWhenIdle("the host stops") // refused only if it has been requested
	}
}

// answer ends the call of a job.
func (h *Host) answer(r *request, payload []byte, err error) {
	delete(h.jobs, r.id)
	r.result <- result{payload, err}
}
