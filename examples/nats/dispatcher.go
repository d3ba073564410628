package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/workerchannel/workerchannel"
)

// The errors of Do when a job ends without an outcome of a worker.
var (
	ErrStopped = errors.New("the dispatcher has stopped")
	ErrGivenUp = errors.New("every worker that ran the job was lost")
)

const (
	// window is how many jobs a worker has at a time: enough to keep it busy while results travel.
	window = 8

	// maxLosses is how many workers may be lost with a job before it is given up, because it may be what kills them.
	maxLosses = 5

	// maxTurns is how many turns a worker may take for an answer. A worker that is silent is lost sooner.
	maxTurns = 40
)

var limits = workerchannel.Limits{Cancel: maxTurns, Drain: maxTurns, Finalize: maxTurns, Shutdown: maxTurns}

var errTwice = errors.New("it announced itself twice")

// A Dispatcher spreads jobs over all workers that have joined. Any number of goroutines may call [Dispatcher.Do].
// The goroutine of [Dispatcher.Run] owns all state: a coordinator for each worker, and the jobs. The callbacks of
// NATS and the callers only pass things to it.
type Dispatcher struct {
	nc     *nats.Conn
	prefix string
	up     *nats.Subscription // for the messages of all workers

	calls   chan *call
	gone    chan *call // calls whose callers no longer wait
	inbound chan inbound
	stop    func()
	stopped chan struct{} // closed by stop
	done    chan struct{} // closed when Run returns

	// Owned by Run.
	peers    map[string]*peer
	waiting  []*call
	lastID   uint64
	stopping bool
	stats    Stats
}

// Stats counts what has happened to a dispatcher.
type Stats struct {
	Joined, Left, Lost int // workers
	Rerun              int // jobs taken from a worker that ended
}

// A peer is a worker from its announcement to the end of its session.
type peer struct {
	id          string
	coordinator *workerchannel.Coordinator
	link        link
}

// A call is one call of Do. It is the tag of its job.
type call struct {
	id      uint64
	payload []byte
	losses  int         // workers that were lost while they had it
	peer    *peer       // the worker that has it; nil while it waits
	gone    bool        // its caller no longer waits
	answer  chan answer // holds one
}

type answer struct {
	payload []byte
	err     error
}

// inbound is what arrived on the subject of a worker.
type inbound struct {
	worker string
	data   []byte
}

// NewDispatcher returns a dispatcher for the workers that use the same prefix. There must be only one for a prefix.
// It works while Run runs.
func NewDispatcher(nc *nats.Conn, prefix string) (*Dispatcher, error) {
	d := &Dispatcher{
		nc:      nc,
		prefix:  prefix,
		calls:   make(chan *call),
		gone:    make(chan *call),
		inbound: make(chan inbound),
		stopped: make(chan struct{}),
		done:    make(chan struct{}),
		peers:   make(map[string]*peer),
	}
	d.stop = sync.OnceFunc(func() { close(d.stopped) })
	up, err := nc.Subscribe(upward(prefix, "*"), func(m *nats.Msg) {
		worker := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
		select {
		case d.inbound <- inbound{worker, m.Data}:
		case <-d.done:
		}
	})
	if err != nil {
		return nil, err
	}
	d.up = up
	return d, up.SetPendingLimits(-1, -1) // the windows bound what can be pending
}

// Do has a worker do a job and returns the result. If workers are lost, the job may run more than once, on one worker
// after another; Do returns one result. The payload must not be changed before Do returns. When ctx ends, the job is
// cancelled, and Do does not wait for that.
func (d *Dispatcher) Do(ctx context.Context, payload []byte) ([]byte, error) {
	c := &call{payload: payload, answer: make(chan answer, 1)}
	select {
	case d.calls <- c:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.done:
		return nil, ErrStopped
	}
	select {
	case a := <-c.answer:
		return a.payload, a.err
	case <-ctx.Done():
		select {
		case d.gone <- c:
		case <-d.done:
		}
		return nil, ctx.Err()
	}
}

// Stop ends all calls with ErrStopped and asks the workers to stop; Run returns when they have stopped.
func (d *Dispatcher) Stop() { d.stop() }

// Run is the event loop. It returns after Stop, or when the connection to NATS is closed for good.
func (d *Dispatcher) Run(turns <-chan time.Time) (Stats, error) {
	defer close(d.done)
	defer d.answerAll(ErrStopped)
	defer d.up.Unsubscribe()
	stopped := d.stopped
	for !d.stopping || len(d.peers) > 0 {
		select {
		case in := <-d.inbound:
			d.receive(in)
		case c := <-d.calls:
			d.accept(c)
		case c := <-d.gone:
			d.abandon(c)
		case <-turns:
			if d.nc.IsClosed() {
				return d.stats, nats.ErrConnectionClosed
			}
			d.turn()
		case <-stopped:
			stopped = nil
			d.shutDown()
		}
		d.assign()
	}
	return d.stats, nil
}

func (d *Dispatcher) accept(c *call) {
	if d.stopping {
		c.answer <- answer{err: ErrStopped}
		return
	}
	d.lastID++
	c.id = d.lastID
	d.waiting = append(d.waiting, c)
}

// receive applies what a worker has sent. A message of a correct worker is never refused, so if one is, unless it is
// stray, the worker is broken and a job may wait for what was in the message.
func (d *Dispatcher) receive(in inbound) {
	p, known := d.peers[in.worker]
	if !known {
		p = &peer{
			id:          in.worker,
			coordinator: workerchannel.NewCoordinator(0, workerchannel.WithLimits(limits)),
			link:        link{nc: d.nc, to: downward(d.prefix, in.worker)},
		}
	}
	v, isMessage, err := p.link.receive(in.data)
	if err == nil && isMessage {
		err = p.coordinator.HandleVerified(v)
		if _, ready := v.Envelope().Op.(workerchannel.BootstrapReady); ready && known && err == nil {
			err = errTwice
		}
	}
	active, _ := p.coordinator.ActiveWorker()
	switch {
	case workerchannel.IsStray(err):
		log.Printf("ignored a stray message: %v", err)
	case known && err != nil:
		d.lose(p, err)
	case err != nil || !isMessage:
	case known && active != p.id:
		log.Printf("worker %s has left", p.id)
		d.stats.Left++
		d.remove(p)
	case known:
		d.settle(p)
	case active == p.id:
		d.join(p)
	}
}

func (d *Dispatcher) join(p *peer) {
	log.Printf("worker %s has joined", p.id)
	d.stats.Joined++
	d.peers[p.id] = p
	if d.stopping {
		d.request(p)
	}
}

// lose ends the session of a worker that is dead, broken or late. If the worker lives, it receives nothing more, and
// joins again as another instance.
func (d *Dispatcher) lose(p *peer, why error) {
	log.Printf("worker %s is lost: %v", p.id, why)
	d.stats.Lost++
	for job := range p.coordinator.Jobs() {
		job.Tag.(*call).losses++
	}
	p.coordinator.WorkerLost()
	d.remove(p)
}

// remove forgets a worker whose session has ended. Its jobs run on other workers.
func (d *Dispatcher) remove(p *peer) {
	delete(d.peers, p.id)
	d.reap(p)
}

// settle sends what is in the outbox and ends the calls whose jobs have ended. NATS buffers what it sends, so
// sending does not keep the loop from receiving.
func (d *Dispatcher) settle(p *peer) {
	for env := range p.coordinator.Outbox() {
		if err := p.link.send(env); err != nil {
			d.lose(p, err)
			return
		}
	}
	d.reap(p)
}

func (d *Dispatcher) reap(p *peer) {
	for _, job := range p.coordinator.Reap() {
		c := job.Tag.(*call)
		c.peer = nil
		switch {
		case c.gone:
		case job.State == workerchannel.StateCompleted:
			c.answer <- answerOf(job.Outcome)
		case c.losses == maxLosses:
			c.answer <- answer{err: ErrGivenUp}
		default:
			d.stats.Rerun++
			d.waiting = slices.Insert(d.waiting, 0, c)
		}
	}
}

func answerOf(o workerchannel.Outcome) answer {
	switch o := o.(type) {
	case workerchannel.OutcomeOk:
		return answer{payload: o.Payload}
	case workerchannel.OutcomeErr:
		return answer{err: fmt.Errorf("%s: %s", o.Code, o.Message)}
	case workerchannel.OutcomeCancelled:
		return answer{err: fmt.Errorf("cancelled: %s", o.Reason)}
	case workerchannel.OutcomePanicked:
		return answer{err: fmt.Errorf("panic: %s", o.Message)}
	}
	return answer{err: errors.New("the job ended without an outcome")}
}

// abandon cancels the job of a caller that no longer waits.
func (d *Dispatcher) abandon(c *call) {
	if c.gone {
		return // Stop has ended the call
	}
	c.gone = true
	if c.peer == nil {
		return // assign drops it
	}
	if err := c.peer.coordinator.CancelJob(c.id, "nobody waits for it"); err != nil {
		log.Printf("worker %s: %v", c.peer.id, err)
	}
	d.settle(c.peer)
}

func (d *Dispatcher) turn() {
	for _, p := range d.peers {
		p.coordinator.AdvanceTurn()
		if late, ok := p.coordinator.Overdue(); ok {
			d.lose(p, late)
		} else if err := p.link.turn(); err != nil {
			d.lose(p, err)
		}
	}
}

// assign gives the waiting jobs to workers that have fewer than a window of jobs.
func (d *Dispatcher) assign() {
	for len(d.waiting) > 0 {
		c := d.waiting[0]
		p := d.idlest()
		if p == nil && !c.gone {
			return
		}
		d.waiting = d.waiting[1:]
		if c.gone {
			continue
		}
		job := workerchannel.SpawnJob{JobID: c.id, Payload: c.payload}
		if err := p.coordinator.SpawnTagged(job, c); err != nil {
			c.answer <- answer{err: err}
			continue
		}
		c.peer = p
		d.settle(p)
	}
}

// idlest returns the worker with the fewest jobs, if it can take one more.
func (d *Dispatcher) idlest() (idlest *peer) {
	fewest := window
	for _, p := range d.peers {
		if n := p.coordinator.InflightCount(); n < fewest {
			idlest, fewest = p, n
		}
	}
	return idlest
}

func (d *Dispatcher) shutDown() {
	d.stopping = true
	d.answerAll(ErrStopped)
	for _, p := range d.peers {
		d.request(p)
	}
}

// request asks a worker to stop. It need not finish its jobs: nobody waits for them any more.
func (d *Dispatcher) request(p *peer) {
	if err := p.coordinator.RequestShutdown("the dispatcher stops"); err != nil {
		log.Printf("worker %s: %v", p.id, err)
	}
	d.settle(p)
}

// answerAll ends all calls.
func (d *Dispatcher) answerAll(err error) {
	end := func(c *call) {
		if !c.gone {
			c.gone = true
			c.answer <- answer{err: err}
		}
	}
	for _, c := range d.waiting {
		end(c)
	}
	d.waiting = nil
	for _, p := range d.peers {
		for job := range p.coordinator.Jobs() {
			end(job.Tag.(*call))
		}
	}
}
