package driver

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/workerchannel/workerchannel"
)

// A worker is a host's side of one worker: its coordinator, its connection, and the loop that owns both. Two more
// goroutines wait in Recv and in Send, so that the loop never does.
//
// It ends in this order: the host or the transport has a reason to end it, and the connection is closed; what has
// still arrived is taken in; when the calls of the connection have returned, or do not return within the limit, the
// scheduler decides about the calls that the worker had.
type worker struct {
	host   *Host
	turns  turns
	number uint64
	id     string // host.mu's
	slot   *slot
	conn   Conn
	c      *workerchannel.Coordinator

	in      chan inbound  // closed when Recv has failed, with recvErr set
	out     chan []byte   // to be sent; closed at the end
	sent    chan error    // what Send returned
	closed  chan struct{} // closed when Close has returned
	abandon chan struct{} // closed when the loop ends
	recvErr error

	text         []byte // the message that was last sent; its sender's while sending
	sending      bool
	sendingSince uint64 // the turn
	sentBytes    uint64 // the length of all messages given to Send
	reached      uint64 // how much of that the worker has shown to have received

	booted, left, broken bool
	leftSince            uint64
	heard                uint64 // the turn in which a message last came
	polled               bool   // a sign of life has been asked for and has not come
	ended                int    // calls that it has ended
	why                  error  // why the connection is being closed; nil: it is not
	whySince             uint64
}

type inbound struct {
	verified workerchannel.Verified
	err      error
}

func newWorker(h *Host, conn Conn, number uint64, s *slot) *worker {
	s.wake = make(chan struct{}, 1)
	return &worker{
		host: h, turns: h.turns, number: number, slot: s, conn: conn,
		c:       workerchannel.NewCoordinator(h.config.seed, workerchannel.WithLimits(h.turns.core)),
		in:      make(chan inbound, 4),
		out:     make(chan []byte, 1),
		sent:    make(chan error, 1),
		closed:  make(chan struct{}),
		abandon: make(chan struct{}),
	}
}

// run is the loop.
func (w *worker) run() {
	go w.receiveAll(w.in)
	go w.sendAll()
	w.c.ExpectWorker()
	clock := time.NewTicker(w.turns.length)
	defer clock.Stop()
	ticking, killed := true, w.host.killed
	for !w.gone() {
		w.sendNext()
		if busy := w.busy(); busy != ticking {
			if ticking = busy; busy {
				clock.Reset(w.turns.length)
			} else {
				clock.Stop() // nothing can be late, so turns need not pass
			}
		}
		select {
		case m, ok := <-w.in:
			if ok {
				w.receive(&m)
			} else {
				w.in = nil
				w.end(w.endOfInput())
			}
		case err := <-w.sent:
			w.sending = false
			if err != nil {
				w.end(fmt.Errorf("driver: cannot send: %w", err))
			}
		case <-w.slot.wake:
			w.obey()
		case <-clock.C:
			w.nextTurn()
		case <-w.closed:
			w.closed = nil
		case <-killed:
			killed = nil
			w.kill(errKilled)
		}
		w.settle()
	}
	close(w.out)
	close(w.abandon)
	w.c.WorkerLost()
	w.leave()
	w.host.mu.Lock()
	delete(w.host.workers, w)
	w.host.unlock()
	w.logEnd()
}

// endOfInput returns why nothing more comes.
func (w *worker) endOfInput() error {
	if w.left {
		return errLeft
	}
	return w.recvErr
}

// gone reports whether the connection's calls have returned.
func (w *worker) gone() bool { return w.in == nil && w.closed == nil && !w.sending }

// busy reports whether something that may be late is under way.
func (w *worker) busy() bool {
	_, limited := w.c.NextDeadline()
	return limited || w.sending || w.left || w.why != nil || w.c.InflightCount() > 0
}

func (w *worker) receiveAll(in chan<- inbound) {
	defer close(in)
	for {
		data, err := w.conn.Recv()
		if err != nil {
			w.recvErr = err
			return
		}
		w.host.received.add(len(data))
		var m inbound
		m.verified, m.err = workerchannel.Verify(data)
		select {
		case in <- m:
		case <-w.abandon:
			return
		}
	}
}

func (w *worker) sendAll() {
	for text := range w.out {
		w.sent <- w.conn.Send(text)
	}
}

// sendNext takes the next message from the outbox when the transport has taken the one before.
func (w *worker) sendNext() {
	if w.sending || w.why != nil {
		return
	}
	env, ok := w.c.DrainOutbox()
	if !ok {
		return
	}
	const small = 64 << 10
	if cap(w.text) > small {
		w.text = nil // seldom needed that large, so not kept
	}
	text, err := env.AppendJSON(w.text[:0])
	if err != nil {
		w.kill(err) // the coordinator queues nothing that cannot be written
		return
	}
	w.text, w.sending, w.sendingSince = text, true, w.c.Turn()
	w.sentBytes += uint64(len(text))
	w.host.sent.add(len(text))
	w.host.config.hook(w.number, env)
	if op, ok := env.Op.(workerchannel.SpawnJob); ok {
		if c := w.call(op.JobID); c != nil {
			c.shell.position = w.sentBytes
			w.decide(func(s *scheduler) { s.callGiven(c) })
		}
	}
	w.out <- text
}

// call returns the call that a job of the coordinator is; nil if there is no such job.
func (w *worker) call(jobID uint64) *call {
	job, _ := w.c.Job(jobID)
	c, _ := job.Tag.(*call)
	return c
}

// decide calls the scheduler.
func (w *worker) decide(f func(*scheduler)) {
	w.host.mu.Lock()
	defer w.host.unlock()
	f(&w.host.sched)
}

// obey does what the scheduler orders.
func (w *worker) obey() {
	var orders []order
	w.decide(func(s *scheduler) { orders = s.takeOrders(w.slot) })
	for _, o := range orders {
		switch o.kind {
		case orderSpawn:
			spawn := workerchannel.SpawnJob{JobID: o.call.id, TaskID: o.call.id, ObligationID: o.call.id, Payload: o.call.payload}
			if o.call.region != nil {
				spawn.RegionID = o.call.region.id
			}
			if err := w.c.SpawnTagged(spawn, o.call); err != nil {
				w.end(err) // the session has ended, or else the call would be lost here
			}
		case orderCancel:
			_ = w.c.CancelJob(o.call.id, plain(o.call.cancel.Error(), maxText)) // refused if the job has ended meanwhile
		case orderStop:
			_ = w.c.ShutdownWhenIdle("the host stops") // refused if it has been requested
		}
	}
}

// receive takes a message in. After a refused one nothing of the worker is believed.
func (w *worker) receive(m *inbound) {
	switch {
	case w.broken:
		return
	case m.err != nil:
		w.breakOff(m.err)
		return
	}
	env := m.verified.Envelope()
	w.host.config.hook(w.number, env)
	if w.booted && env.Op.Type() == workerchannel.OpBootstrapReady {
		w.breakOff(errSecondBootstrap) // under whatever id: the channel belongs to one worker
		return
	}
	switch err := w.c.HandleVerified(m.verified); {
	case workerchannel.IsStray(err):
		w.host.strays.Add(1)
		return
	case errors.Is(err, workerchannel.ErrBootstrapFailed):
		w.end(err)
		return
	case err != nil:
		w.breakOff(err)
		return
	}
	w.heard, w.polled = w.c.Turn(), false
	switch op := env.Op.(type) {
	case workerchannel.BootstrapReady:
		w.booted = true
		w.decide(func(s *scheduler) { w.id = op.WorkerID; s.workerReady(w.slot) })
		w.host.events.line(slog.LevelInfo, "worker is ready", w.attrs()...)
	case workerchannel.StatusSnapshot:
		w.observe(op)
	case workerchannel.Diagnostic:
		w.logDiagnostic(op)
	case workerchannel.ShutdownCompleted:
		w.left, w.leftSince = true, w.c.Turn()
		w.leave() // its calls need not wait for the end of the connection
	}
}

func (w *worker) observe(op workerchannel.StatusSnapshot) {
	c := w.call(op.JobID)
	w.reached = max(w.reached, c.shell.position)
	if op.State == workerchannel.StateRunning && !c.begun {
		w.decide(func(s *scheduler) { s.callBegun(c) })
	}
	if op.Detail != nil {
		c.deliver(*op.Detail)
	}
}

// settle tells the scheduler which calls the worker has ended. Those that failed with the session are leave's.
func (w *worker) settle() {
	for _, job := range w.c.Reap() {
		c := job.Tag.(*call)
		w.reached = max(w.reached, c.shell.position)
		if job.State == workerchannel.StateCompleted {
			w.ended++
			w.decide(func(s *scheduler) { s.callEnded(w.slot, c, job.Cause, job.Outcome) })
		}
	}
}

// nextTurn looks for what is late.
func (w *worker) nextTurn() {
	w.c.AdvanceTurn()
	now := w.c.Turn()
	passed := func(since, limit uint64) bool { return limit != 0 && now-since >= limit }
	late, overdue := w.c.Overdue()
	switch {
	case w.why != nil:
		if passed(w.whySince, w.turns.close) {
			w.giveUp()
		}
	case w.left:
		if passed(w.leftSince, w.turns.leave) {
			w.end(errLeft)
		}
	case overdue && passed(late.Deadline, w.allowance()):
		w.kill(late)
	case w.sending && w.turns.send != 0 && passed(w.sendingSince, w.turns.send+w.allowance()):
		w.kill(errSendLate)
	case !w.polled && passed(w.heard, w.turns.silence):
		w.poll()
	}
}

// allowance returns how many turns, in addition to a limit, the worker may need to receive what was sent to it; 1 more,
// in place of 0, does no harm.
func (w *worker) allowance() uint64 {
	return 1 + (w.sentBytes-w.reached)*w.turns.perMiB>>20
}

// poll asks for a sign of life. Any message is one.
func (w *worker) poll() {
	for job := range w.c.Jobs() {
		if w.c.PollStatus(job.JobID) == nil {
			w.polled = true
			return
		}
	}
}

// end closes the connection.
func (w *worker) end(why error) {
	if w.why != nil {
		return
	}
	w.why, w.whySince = why, w.c.Turn()
	w.decide(func(s *scheduler) { s.workerEnding(w.slot) })
	closed := w.closed
	go func() {
		_ = w.conn.Close()
		close(closed)
	}()
}

// kill ends a worker that is late, broken, or not wanted any more.
func (w *worker) kill(why error) {
	if w.why != nil {
		return
	}
	w.decide(func(s *scheduler) {
		s.counts.WorkersKilled++
		w.host.cut = w.host.cut || errors.Is(why, errKilled)
	})
	w.end(why)
}

// breakOff kills a worker whose message was refused.
func (w *worker) breakOff(why error) {
	w.broken = true
	w.kill(why)
}

// giveUp leaves the connection to itself: its calls do not return though it has been closed.
func (w *worker) giveUp() {
	w.decide(func(s *scheduler) { s.counts.Abandoned++ })
	w.host.events.line(levelWarn, "connection does not close", w.attrs()...)
	w.in, w.closed, w.sending = nil, nil, false
}

// leave has the scheduler decide about the calls that the worker still has.
func (w *worker) leave() {
	why := w.why
	if why == nil {
		why = errLeft
	}
	w.decide(func(s *scheduler) { s.workerLeft(w.slot, why) })
}

// traffic counts messages and bytes.
type traffic struct {
	sent, received flow
	strays         atomic.Uint64
}

type flow struct{ messages, bytes atomic.Uint64 }

func (f *flow) add(bytes int) {
	f.messages.Add(1)
	f.bytes.Add(uint64(bytes))
}
