//go:build js

package main

import (
	"errors"
	"syscall/js"

	"github.com/workerchannel/workerchannel"
)

// A Host joins a Coordinator to Web Workers. It is the event loop of the package documentation turned
// inside out: the browser has the loop, and calls back for each event, on the page's only thread. So
// every method here is one turn, or the end of one; none may block.
//
// It knows nothing of what the jobs are, nor of the page: copy it.
type Host struct {
	app         Application
	coordinator *workerchannel.Coordinator
	worker      *port // the active worker; nil if there is none
}

// An Application is what a Host tells of events. It may call the coordinator, but neither Do nor any
// other method of the Host: it is called in the middle of a turn.
type Application interface {
	// JobEnded is called once for every job that was spawned. The outcome is nil if there is none:
	// then the state tells whether the job was cancelled, StateCompleted, or lost its worker, StateFailed.
	JobEnded(job workerchannel.TrackedJob, outcome workerchannel.Outcome)
	// TurnEnded is called after each event, before messages are sent: the time to spawn more jobs.
	TurnEnded()
	// WorkerLost is called when a worker has died, before its jobs end.
	WorkerLost(reason string)
	// Sent and Received are called for each message. The envelope of one that could not be read, or
	// was not valid, is zero.
	Sent(env workerchannel.Envelope)
	Received(env workerchannel.Envelope, err error)
}

// NewHost returns a host without a worker.
func NewHost(seed uint64, app Application) *Host {
	return &Host{app: app, coordinator: workerchannel.NewCoordinator(seed)}
}

// Do makes one turn of calls to the coordinator.
func (h *Host) Do(calls func(c *workerchannel.Coordinator)) {
	h.coordinator.AdvanceTurn()
	calls(h.coordinator)
	h.endTurn(workerchannel.JobCompleted{})
}

// Start starts the worker of a script, a module. When it announces itself ready it becomes the active worker, in place of
// another, whose jobs fail: so there is no gap between a worker and its successor.
func (h *Host) Start(url string) {
	p := &port{worker: js.Global().Get("Worker").New(url, map[string]any{"type": "module"})}
	p.on("onmessage", func(event js.Value) { h.receive(p, event.Get("data")) })
	p.on("onmessageerror", func(js.Value) { h.lose(p, "a message could not be read") })
	p.on("onerror", func(event js.Value) { h.lose(p, event.Get("message").String()) })
}

// Kill ends the active worker as a crash would: at once, whatever it does.
func (h *Host) Kill() {
	if h.worker != nil {
		h.lose(h.worker, "killed")
	}
}

// receive is the turn of a message.
func (h *Host) receive(from *port, data js.Value) {
	h.coordinator.AdvanceTurn()
	text := ""
	if data.Type() == js.TypeString { // or else it is no message of the protocol
		text = data.String()
	}
	env, err := h.coordinator.Receive([]byte(text))
	h.app.Received(env, err)
	if err != nil && !errors.Is(err, workerchannel.ErrBootstrapFailed) {
		// Nobody else writes to this port, in order, and a correct worker is never refused: so this one
		// is broken, and no answer of it can be waited for. It is lost in a turn of its own.
		h.lose(from, "broken: "+err.Error())
		return
	}

	var done workerchannel.JobCompleted
	switch op := env.Op.(type) {
	case workerchannel.BootstrapReady:
		if from != h.worker {
			h.stop(h.worker)
			h.worker = from
		}
	case workerchannel.BootstrapFailed, workerchannel.ShutdownCompleted:
		if _, active := h.coordinator.ActiveWorker(); !active { // any more
			h.stop(h.worker)
			h.stop(from)
		}
	case workerchannel.JobCompleted:
		done = op
	}
	h.endTurn(done)
}

// lose is the turn in which a worker turns out to be dead, or is about to be.
func (h *Host) lose(p *port, reason string) {
	h.coordinator.AdvanceTurn()
	h.app.WorkerLost(reason)
	if p == h.worker { // else it died before it was ready, and has no session
		h.coordinator.WorkerLost()
	}
	h.stop(p)
	h.endTurn(workerchannel.JobCompleted{})
}

// endTurn settles the jobs that have ended in this turn, and sends what there is to send. Only the
// job of a JobCompleted message has an outcome.
func (h *Host) endTurn(done workerchannel.JobCompleted) {
	for _, job := range h.coordinator.Reap() {
		var outcome workerchannel.Outcome
		if job.JobID == done.JobID {
			outcome = done.Outcome
		}
		h.app.JobEnded(job, outcome)
	}
	h.app.TurnEnded()
	for env := range h.coordinator.Outbox() {
		if h.worker == nil {
			continue // there is nobody to ask to shut down
		}
		text, err := env.AppendJSON(nil)
		if err != nil { // of an envelope that the coordinator made?
			js.Global().Get("console").Call("error", err.Error())
			continue
		}
		h.worker.worker.Call("postMessage", string(text))
		h.app.Sent(env)
	}
}

// stop makes an end of a worker, if there is one.
func (h *Host) stop(p *port) {
	if p == nil {
		return
	}
	if p == h.worker {
		h.worker = nil
	}
	p.close()
}

// A port is a worker as the browser has it.
type port struct {
	worker   js.Value
	handlers map[string]js.Func
}

func (p *port) on(event string, handle func(event js.Value)) {
	f := js.FuncOf(func(_ js.Value, args []js.Value) any {
		handle(args[0])
		return nil
	})
	if p.handlers == nil {
		p.handlers = make(map[string]js.Func)
	}
	p.handlers[event] = f
	p.worker.Set(event, f)
}

func (p *port) close() {
	p.worker.Call("terminate")
	for event, f := range p.handlers {
		p.worker.Set(event, nil)
		f.Release()
	}
	p.handlers = nil
}
