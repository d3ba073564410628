package driver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/workerchannel/workerchannel"
)

// A Host runs jobs in workers. Its methods may be called from any goroutine. Stop it when it is no longer needed.
//
// The scheduler decides; a Host calls it under a mutex and does what it asks. Each worker has a goroutine of its own
// that owns the worker's coordinator, see worker.
type Host struct {
	config *config
	turns  turns
	events *limitedLog // what happens to workers
	lines  *limitedLog // what workers say
	traffic

	mu         sync.Mutex // of what follows, but the channels
	sched      scheduler
	workers    map[*worker]struct{} // those whose connections have not ended
	lastNumber uint64
	lastRegion uint64
	cut        bool  // a worker had to be killed to stop
	impatient  error // the cause for which Stop waits no longer

	running  sync.WaitGroup // a worker or a goroutine that starts workers; added to before stopping is closed
	stopping chan struct{}
	killed   chan struct{} // Stop waits no longer
	done     chan struct{} // everything has ended
}

// callShell is what a Host adds to a call.
type callShell struct {
	done     chan struct{} // closed when the call is settled
	progress chan string   // nil: nobody wants it
	position uint64        // in the bytes sent to the worker that has it: where its message ends
}

// NewHost returns a host whose workers are being started. It returns ErrOptions, with what is wrong, for an option
// that is out of range.
func NewHost(opts ...Option) (*Host, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	h := &Host{
		config:   c,
		turns:    c.limits.turns(),
		events:   newLimitedLog(c.log),
		lines:    newLimitedLog(c.log),
		sched:    scheduler{rules: c.rules},
		workers:  map[*worker]struct{}{},
		stopping: make(chan struct{}),
		killed:   make(chan struct{}),
		done:     make(chan struct{}),
	}
	for range c.workers {
		h.running.Go(h.keepWorker)
	}
	return h, nil
}

// unlock does what the scheduler asks, and unlocks.
func (h *Host) unlock() {
	effects := h.sched.takeEffects()
	for _, c := range effects.settled {
		close(c.shell.done)
	}
	for _, w := range effects.ordered {
		select {
		case w.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	h.mu.Unlock()
}

// A CallOption configures one call of Do.
type CallOption func(*callOptions)

type callOptions struct {
	progress func(detail string)
	region   *Region
}

// WithProgress has f called with each detail that the job reports, in the goroutine that called Do and before Do
// returns. If f is slow, the oldest of the details that wait are dropped. A job that runs again reports again. The
// text is the worker's: quote it before it goes to a terminal.
func WithProgress(f func(detail string)) CallOption {
	return func(o *callOptions) { o.progress = f }
}

// InRegion makes the call one of a region.
func InRegion(r *Region) CallOption {
	return func(o *callOptions) { o.region = r }
}

// Do has a worker run a job and returns its result, which is the caller's. It waits for a worker if none has room.
// The payload must not be changed before Do returns. A job runs again if its worker ends, so it must bear to run more
// than once, in part or in whole; but see WithTries.
//
// When ctx ends, the job is cancelled: at once if it waits, otherwise Do returns when the worker has let go of it or
// has ended, so that nothing of it runs any more. It still returns the result if that came first.
//
// The error is a *JobError, *PanicError, *CancelError, *GivenUpError, *NoWorkerError, ErrBusy, ErrStopped,
// ErrRegionClosed, or a *workerchannel.PayloadError if the payload is larger than workerchannel.MaxPayloadBytes.
func (h *Host) Do(ctx context.Context, payload []byte, opts ...CallOption) ([]byte, error) {
	if len(payload) > workerchannel.MaxPayloadBytes {
		return nil, &workerchannel.PayloadError{Size: len(payload), Max: workerchannel.MaxPayloadBytes}
	}
	var o callOptions
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	if ctx.Err() != nil {
		return nil, &CancelError{Cause: context.Cause(ctx)}
	}
	c := &call{payload: payload, shell: callShell{done: make(chan struct{})}}
	if o.progress != nil {
		c.shell.progress = make(chan string, 8)
	}
	if err := h.submit(c, o.region); err != nil {
		return nil, err
	}
	ended := ctx.Done()
	for {
		select {
		case detail := <-c.shell.progress:
			o.progress(detail)
		case <-ended:
			ended = nil
			h.mu.Lock()
			h.sched.cancelCall(c, context.Cause(ctx))
			h.unlock()
		case <-c.shell.done:
			for len(c.shell.progress) > 0 {
				o.progress(<-c.shell.progress)
			}
			return c.result.payload, c.result.err
		}
	}
}

func (h *Host) submit(c *call, r *Region) error {
	h.mu.Lock()
	defer h.unlock()
	if r != nil {
		if r.host != h {
			return fmt.Errorf("%w: the region is another host's", ErrOptions)
		}
		c.region = &r.state
	}
	return h.sched.submit(c)
}

// deliver gives a detail to the caller, and makes room for it if the caller is slow.
func (c *call) deliver(detail string) {
	if c.shell.progress == nil {
		return
	}
	for {
		select {
		case c.shell.progress <- detail:
			return
		default:
		}
		select {
		case <-c.shell.progress:
		default:
		}
	}
}

// Attach adds a worker that has come by itself: a process that has connected to the program, or the other end of a
// Pipe. The host closes the connection when the worker has ended or the host stops, and does not start another one.
// If the host has stopped, Attach closes the connection and returns ErrStopped.
func (h *Host) Attach(conn Conn) error {
	w := h.newWorker(conn)
	if w == nil {
		_ = conn.Close()
		return ErrStopped
	}
	go func() {
		defer h.running.Done()
		w.run()
	}()
	return nil
}

// newWorker returns nil if the host is stopping, and otherwise adds to h.running.
func (h *Host) newWorker(conn Conn) *worker {
	h.mu.Lock()
	defer h.unlock()
	if h.sched.stopping {
		return nil
	}
	h.running.Add(1)
	h.lastNumber++
	w := newWorker(h, conn, h.lastNumber, h.sched.join())
	h.workers[w] = struct{}{}
	return w
}

// keepWorker keeps one worker running until the host stops.
func (h *Host) keepWorker() {
	wait := time.Duration(0)
	for {
		if h.runOne() {
			wait = 0
		} else {
			wait = min(max(2*wait, h.config.minBackoff), h.config.maxBackoff)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-h.stopping:
		}
		timer.Stop()
		select {
		case <-h.stopping:
			return
		default:
		}
	}
}

// runOne starts a worker and reports, when it has ended, whether it was of use.
func (h *Host) runOne() (useful bool) {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	conn, err := h.dialOne(ctx, end)
	if err != nil {
		h.mu.Lock()
		if !h.sched.stopping {
			h.sched.counts.DialFailures++
			h.sched.attemptFailed(err)
			h.events.line(levelWarn, "cannot start a worker", reasonAttr(err))
		}
		h.unlock()
		return false
	}
	w := h.newWorker(conn)
	if w == nil {
		_ = conn.Close()
		return false
	}
	defer h.running.Done()
	w.run()
	return w.ended > 0
}

// dialOne calls Dial, whose context ends by end when the host stops. If Stop does not want to wait any longer, neither
// does dialOne; a connection that comes later is closed.
func (h *Host) dialOne(ctx context.Context, end func()) (Conn, error) {
	type dialed struct {
		conn Conn
		err  error
	}
	got := make(chan dialed, 1)
	go func() {
		conn, err := h.config.dial(ctx)
		if conn == nil && err == nil {
			err = fmt.Errorf("%w: dial returned neither a connection nor an error", ErrOptions)
		}
		got <- dialed{conn, err}
	}()
	stopping := h.stopping
	for {
		select {
		case d := <-got:
			return d.conn, d.err
		case <-stopping:
			stopping = nil
			end()
		case <-h.killed:
			go func() {
				if d := <-got; d.err == nil {
					_ = d.conn.Close()
				}
			}()
			return nil, errKilled
		}
	}
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
