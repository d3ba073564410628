//go:build js

package main

import (
	"context"
	"fmt"
	"log/slog"
	"syscall/js"
	"time"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/browser/port"
	"github.com/workerchannel/workerchannel/examples/driver"
)

const (
	seed   = 42 // all messages carry it
	window = 8  // jobs that the worker has at most
)

// limits are generous, because a machine may be busy.
var limits = driver.Limits{
	Boot: time.Minute, Cancel: 30 * time.Second, Drain: 30 * time.Second, Finalize: 30 * time.Second,
	Answer: 30 * time.Second, Shutdown: 30 * time.Second,
}

// workers has one Web Worker run for the picture. The driver starts it again when it has ended. Nothing here needs a
// lock: Wasm has one thread, and a goroutine gives it up only where it waits.
type workers struct {
	picture  *picture
	kind     string       // of the worker that runs, or starts
	host     *driver.Host // nil: none, since the last one has shut down
	stopping bool
	again    bool         // begin again when the host has stopped
	all      []*webWorker // of this host, by number less 1
	next     *webWorker   // is to take over when it is ready
	killed   bool         // the last worker, by the button
	past     driver.Counters
}

// A webWorker is a connection to a Web Worker.
type webWorker struct {
	*port.Port
	kind   string
	id     string        // its own; empty until it is ready
	gone   func()        // called when nothing more comes
	first  []byte        // its first message, if that has been waited for
	failed error         // why it has none
	warm   chan struct{} // closed when either is set
}

func newWebWorker(kind string) *webWorker {
	script := fmt.Sprintf("worker-%s.js?seed=%d", kind, seed)
	worker := js.Global().Get("Worker").New(script, map[string]any{"type": "module"})
	return &webWorker{Port: port.New(worker, func() { worker.Call("terminate") }), kind: kind, warm: make(chan struct{})}
}

func (w *webWorker) Recv() ([]byte, error) {
	if msg := w.first; msg != nil {
		w.first = nil
		return msg, nil
	}
	msg, err := w.Port.Recv()
	if err != nil {
		w.gone()
	}
	return msg, err
}

// start makes a host, which starts a worker.
func (ws *workers) start() {
	ws.all, ws.again, ws.killed = nil, false, false
	host, err := driver.NewHost(
		driver.WithWorkers(1, ws.dial), driver.WithWindow(window), driver.WithSeed(seed), driver.WithLimits(limits),
		driver.WithTries(1000), // a person kills them
		driver.WithBackoff(100*time.Millisecond, time.Second),
		driver.WithLogger(slog.New(slog.NewTextHandler(ws.picture.page, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: withoutTime}))),
	)
	if err != nil {
		panic(err) // an option is wrong
	}
	ws.host = host
	host.Observe(func(e driver.Event) {
		if e.Kind != driver.EventSent && e.Kind != driver.EventReceived {
			return
		}
		w := ws.all[e.Worker-1]
		if op, ok := e.Envelope.Op.(workerchannel.BootstrapReady); ok {
			w.id, ws.killed = op.WorkerID, false
		}
		ws.picture.message(w, e.Envelope)
	})
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// dial starts a worker for the host, or gives it the one that is to take over.
func (ws *workers) dial(ctx context.Context) (driver.Conn, error) {
	w := ws.next
	if w != nil {
		select {
		case <-w.warm:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		ws.next = nil
		if w.failed != nil {
			return nil, w.failed
		}
	} else {
		w = newWebWorker(ws.kind)
	}
	w.gone = func() { ws.picture.workerGone(w) }
	ws.all = append(ws.all, w)
	ws.picture.page.log("note", "starting a worker: "+ws.kindName())
	ws.picture.page.update()
	return w, nil
}

// current returns the worker that runs or starts; nil if there is none.
func (ws *workers) current() *webWorker {
	if ws.host == nil || len(ws.all) == 0 {
		return nil
	}
	return ws.all[len(ws.all)-1]
}

// ready reports whether a worker is.
func (ws *workers) ready() bool {
	if ws.host == nil {
		return false
	}
	for _, w := range ws.host.Stats().Workers {
		if w.Ready {
			return true
		}
	}
	return false
}

// replace has a worker of a kind take over. While it starts, the old one goes on; then that one is ended, and the host
// asks for another.
func (ws *workers) replace(kind string) {
	before := ws.kind
	ws.kind = kind
	ws.forget()
	old := ws.current()
	if old == nil || !ws.ready() {
		if old != nil {
			_ = old.Close() // it has nothing to go on with
		}
		return
	}
	next := newWebWorker(kind)
	ws.next = next
	go func() {
		defer close(next.warm)
		next.first, next.failed = next.Port.Recv()
		if next.failed == nil {
			_ = old.Close()
			return
		}
		_ = next.Close()
		if ws.next == next {
			ws.next, ws.kind = nil, before
			ws.picture.page.log("error", "the successor: "+clip(next.failed.Error()))
			ws.picture.page.update()
		}
	}()
}

// forget ends the worker that was to take over.
func (ws *workers) forget() {
	if ws.next != nil {
		_ = ws.next.Close()
		ws.next = nil
	}
}

// kill ends the worker at once.
func (ws *workers) kill() {
	ws.killed = true
	_ = ws.current().Close()
}

// shutDown has the worker finish the jobs that it has, and stops the host.
func (ws *workers) shutDown() {
	ws.forget()
	ws.stopping = true
	go func() {
		_ = ws.host.Stop(context.Background()) // the context does not end
		c := ws.host.Stats().Counters
		ws.past.Retries += c.Retries
		ws.past.WorkersStarted += c.WorkersStarted
		ws.host, ws.stopping, ws.killed = nil, false, false
		ws.picture.hostStopped(ws.again)
	}()
}

// stats returns the host's, with the counters of those before it.
func (ws *workers) stats() driver.Stats {
	var s driver.Stats
	if ws.host != nil {
		s = ws.host.Stats()
	}
	s.Retries += ws.past.Retries
	s.WorkersStarted += ws.past.WorkersStarted
	return s
}

func (ws *workers) kindName() string {
	return choose(ws.kind == "go", "Go, compiled to Wasm", "plain JavaScript")
}

// state returns what the worker does, as a word that names a style and as text.
func (ws *workers) state() (state, text string) {
	switch {
	case ws.host == nil:
		return "stopped", "■ shut down"
	case ws.stopping:
		return "stopping", "◐ " + clip(ws.current().id) + " is shutting down"
	case ws.next != nil:
		return "starting", "◌ " + clip(ws.current().id) + ", a successor is starting"
	case ws.ready():
		return "ready", "● " + clip(ws.current().id)
	case ws.killed:
		return "killed", "✕ killed, ◌ starting again"
	}
	return "starting", "◌ starting"
}
