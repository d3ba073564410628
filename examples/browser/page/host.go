//go:build js

package main

import (
	"errors"
	"syscall/js"

	"github.com/workerchannel/workerchannel"
)

// A Host connects a Coordinator to Web Workers. The browser has the event loop and calls back for each event on
// the page's only thread, so no method may block. A timer makes the turns.
//
// The Host knows neither what the jobs are nor the page, so it can be copied into another program.
type Host struct {
	app         Application
	coordinator *workerchannel.Coordinator
	worker      *port // the active worker; nil if there is none
	starting    *port // the worker that has not announced itself; nil if there is none
}

const (
	turnMilliseconds = 250
	turnsToPoll      = 8 // turns between two polls of a worker that has jobs
)

// limits are generous, because a machine may be busy.
var limits = workerchannel.Limits{Boot: 240, Cancel: 120, Drain: 120, Finalize: 120, Poll: 120, Shutdown: 120}

// An Application is what a Host reports events to. It may call the coordinator, but not the Host.
type Application interface {
	// JobEnded is called once for every job that was spawned.
	JobEnded(job workerchannel.TrackedJob)
	// EventEnded is called after each event, before messages are sent: the time to spawn more jobs.
	EventEnded()
	// WorkerLost is called when a worker is dead, broken or late, before its jobs end.
	WorkerLost(reason string)
	// Sent and Received are called for each message. The envelope is zero if the message was malformed or invalid.
	Sent(env workerchannel.Envelope)
	Received(env workerchannel.Envelope, err error)
}

// NewHost returns a host without a worker.
func NewHost(seed uint64, app Application) *Host {
	h := &Host{app: app, coordinator: workerchannel.NewCoordinator(seed, workerchannel.WithLimits(limits))}
	js.Global().Call("setInterval", js.FuncOf(func(js.Value, []js.Value) any {
		h.turn()
		return nil
	}), turnMilliseconds)
	return h
}

// Do makes calls to the coordinator and sends what follows from them.
func (h *Host) Do(calls func(c *workerchannel.Coordinator)) {
	calls(h.coordinator)
	h.endEvent()
}

// Start starts the worker of a script, a module. When it announces itself it becomes the active worker. If it
// replaces another, the jobs of that one fail, and there is no time without a worker.
func (h *Host) Start(url string) {
	p := &port{worker: js.Global().Get("Worker").New(url, map[string]any{"type": "module"})}
	p.on("onmessage", func(event js.Value) { h.receive(p, event.Get("data")) })
	p.on("onmessageerror", func(js.Value) { h.lose(p, "a message could not be read") })
	p.on("onerror", func(event js.Value) { h.lose(p, event.Get("message").String()) })
	h.stop(h.starting)
	h.starting = p
	if h.worker == nil { // otherwise the old worker goes on until then
		h.coordinator.ExpectWorker()
	}
}

// Kill ends the active worker at once, whatever it does.
func (h *Host) Kill() {
	if h.worker != nil {
		h.lose(h.worker, "killed")
	}
}

// receive applies a message. A message of a correct worker is never refused, so if one is, unless it is stray, the
// worker is broken and a job may wait for what was in the message.
func (h *Host) receive(from *port, data js.Value) {
	text := ""
	if data.Type() == js.TypeString { // otherwise it is malformed
		text = data.String()
	}
	env, err := h.coordinator.Receive([]byte(text))
	h.app.Received(env, err)
	_, ready := env.Op.(workerchannel.BootstrapReady)
	switch {
	case workerchannel.IsStray(err):
		return
	case errors.Is(err, workerchannel.ErrBootstrapFailed):
		if _, active := h.coordinator.ActiveWorker(); !active { // the session has ended, whosever it was
			h.stop(h.worker)
		}
		h.stop(from)
	case err != nil:
		h.lose(from, "broken: "+err.Error())
		return
	case ready && from.announced:
		h.lose(from, "broken: it announced itself twice")
		return
	case ready:
		h.stop(h.worker)
		h.worker, h.starting, from.announced = from, nil, true
	case env.Op.Type() == workerchannel.OpShutdownCompleted:
		h.stop(from)
	}
	h.endEvent()
}

// turn begins a turn. It ends a worker that is late, and now and then polls one that has jobs.
func (h *Host) turn() {
	h.coordinator.AdvanceTurn()
	if late, ok := h.coordinator.Overdue(); ok {
		p := h.worker
		if late.Request == 0 {
			p = h.starting
		}
		h.lose(p, late.Error())
		return
	}
	if h.coordinator.Turn()%turnsToPoll == 0 {
		for job := range h.coordinator.Jobs() {
			if h.coordinator.PollStatus(job.JobID) == nil {
				break // any message of the worker is an answer
			}
		}
	}
	h.endEvent()
}

// lose ends a worker that is dead, broken or late, and its session.
func (h *Host) lose(p *port, reason string) {
	h.app.WorkerLost(reason)
	if p == h.worker || h.worker == nil { // otherwise it has no session, and nobody expects it
		h.coordinator.WorkerLost()
	}
	h.stop(p)
	h.endEvent()
}

// endEvent settles the jobs that have ended, and sends what is in the outbox. Posting a message does not block.
func (h *Host) endEvent() {
	for _, job := range h.coordinator.Reap() {
		h.app.JobEnded(job)
	}
	h.app.EventEnded()
	for h.worker != nil {
		env, ok := h.coordinator.DrainOutbox()
		if !ok {
			break
		}
		text, _ := env.AppendJSON(nil) // the coordinator queues nothing that cannot be written
		h.worker.worker.Call("postMessage", string(text))
		h.app.Sent(env)
	}
}

// stop terminates a worker, if there is one.
func (h *Host) stop(p *port) {
	if p == nil {
		return
	}
	if p == h.worker {
		h.worker = nil
	}
	if p == h.starting {
		h.starting = nil
	}
	p.close()
}

// A port is a Web Worker.
type port struct {
	worker    js.Value
	handlers  map[string]js.Func
	announced bool
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
