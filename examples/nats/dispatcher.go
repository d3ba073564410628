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

// How a call can end without an outcome of a worker.
var (
	ErrStopped = errors.New("the dispatcher has stopped")
	ErrGivenUp = errors.New("every worker that ran the job was lost")
)

const (
	// window is how many jobs a worker has at a time: enough to keep it busy while results travel.
	window = 8

	// maxLosses is how many workers may be lost with a job before it is given up: perhaps it kills them.
	maxLosses = 5
)

// A Dispatcher spreads jobs over all workers there are. Any number of goroutines may call Do; one, Run,
// owns all the state: a coordinator for each worker, and the jobs. NATS's callbacks and the callers
// only hand things over.
type Dispatcher struct {
	nc     *nats.Conn
	prefix string
	up     *nats.Subscription // to what all workers send

	calls   chan *call
	gone    chan *call // calls whose callers do not wait any longer
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

// Stats are what a dispatcher has seen.
type Stats struct {
	Joined, Left, Lost int // workers
	Rerun              int // jobs taken from a worker that ended
}

// A peer is a worker in session, which begins when it announces itself.
type peer struct {
	id          string
	coordinator *workerchannel.Coordinator
	link        link
	calls       map[uint64]*call // the jobs it has
}

// A call is a job on its way, from worker to worker if need be.
type call struct {
	id      uint64
	payload []byte
	losses  int                   // of workers that had it
	peer    *peer                 // that has it; nil while it waits
	gone    bool                  // its caller does not wait any longer
	outcome workerchannel.Outcome // once reported
	answer  chan answer           // takes one
}

type answer struct {
	payload []byte
	err     error
}

// inbound is what came on the subject of a worker.
type inbound struct {
	worker string
	data   []byte
}

// NewDispatcher makes a dispatcher for the workers that use the same prefix. It must be the only one,
// and its Run be called.
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

// Do has a worker do a job and returns the result. A job may run more than once, on one worker after
// another, if workers are lost; its result comes once. The payload must not be changed before Do
// returns. When ctx ends, the job is cancelled, and Do does not wait for that.
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

// Stop ends all calls with ErrStopped and asks the workers to stop; Run returns when they have.
func (d *Dispatcher) Stop() { d.stop() }

// Run is the loop. It returns after Stop, or when the connection to NATS is closed for good.
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

// receive applies what a worker has sent.
func (d *Dispatcher) receive(in inbound) {
	p, known := d.peers[in.worker]
	if !known {
		p = &peer{
			id:          in.worker,
			coordinator: workerchannel.NewCoordinator(0),
			link:        link{nc: d.nc, to: downward(d.prefix, in.worker)},
			calls:       make(map[uint64]*call),
		}
	}
	v, isMessage, err := p.link.receive(in.data)
	if err != nil && known {
		d.lose(p, err)
	}
	if err != nil || !isMessage {
		return
	}
	op := v.Envelope().Op
	if err := p.coordinator.HandleVerified(v); err != nil {
		log.Printf("worker %s: %v", p.id, err)
	} else if done, ok := op.(workerchannel.JobCompleted); ok {
		p.calls[done.JobID].outcome = done.Outcome
	}
	switch active, _ := p.coordinator.ActiveWorker(); {
	case !known && active == p.id:
		d.join(p)
	case known && active != p.id:
		log.Printf("worker %s has left", p.id)
		d.stats.Left++
		d.remove(p)
	case known:
		d.settle(p)
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

// lose ends a worker's session because something is wrong with it. If the worker lives, it will hear
// nothing more, and join anew as another instance.
func (d *Dispatcher) lose(p *peer, why error) {
	log.Printf("worker %s is lost: %v", p.id, why)
	d.stats.Lost++
	p.coordinator.WorkerLost()
	for _, c := range p.calls {
		c.losses++
	}
	d.remove(p)
}

// remove forgets a worker whose session has ended. Its jobs run elsewhere.
func (d *Dispatcher) remove(p *peer) {
	delete(d.peers, p.id)
	d.reap(p)
}

// settle sends what is to be sent, and answers the calls that have ended.
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
		c := p.calls[job.JobID]
		delete(p.calls, job.JobID)
		c.peer = nil
		switch {
		case c.gone:
		case job.State == workerchannel.StateCompleted:
			c.answer <- answerOf(c.outcome)
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

// abandon cancels the job of a caller who does not wait any longer.
func (d *Dispatcher) abandon(c *call) {
	if c.gone {
		return // Stop was faster
	}
	c.gone = true
	if c.peer == nil {
		return // assign drops it, if it still waits
	}
	if err := c.peer.coordinator.CancelJob(c.id, "nobody waits for it"); err != nil {
		log.Printf("worker %s: %v", c.peer.id, err)
	}
	d.settle(c.peer)
}

func (d *Dispatcher) turn() {
	for _, p := range d.peers {
		p.coordinator.AdvanceTurn()
		if err := p.link.turn(); err != nil {
			d.lose(p, err)
		}
	}
}

// assign gives the waiting jobs to workers with room.
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
		if err := p.coordinator.SpawnJob(job); err != nil {
			c.answer <- answer{err: err}
			continue
		}
		c.peer = p
		p.calls[c.id] = c
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

// request asks a worker to stop.
func (d *Dispatcher) request(p *peer) {
	if err := p.coordinator.RequestShutdown("the dispatcher stops"); err != nil {
		log.Printf("worker %s: %v", p.id, err)
	}
	d.settle(p)
}

// answerAll ends all calls there are.
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
		for _, c := range p.calls {
			end(c)
		}
	}
}
