//go:build js

// Package port carries messages by postMessage, between a page and a Web Worker or over any MessagePort. A Port is a
// driver.Conn.
package port

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall/js"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// A Port is one end of a connection. Each message is a string; null says that the sender has closed its end.
//
// Send never waits, because postMessage does not: the browser keeps the messages that the other end has not taken. So
// the number of messages under way is bounded by what the programs send, for a host by the window.
type Port struct {
	target   js.Value
	end      func()
	handlers map[string]js.Func

	mu      sync.Mutex
	queue   [][]byte
	ended   error         // why nothing more comes
	closed  bool          // by this end
	arrived chan struct{} // capacity 1
}

// New returns the end whose messages target carries: a Worker, a MessagePort, or a Web Worker's global scope. Close
// calls end, once, when it has told the other end.
func New(target js.Value, end func()) *Port {
	p := &Port{target: target, end: end, handlers: make(map[string]js.Func), arrived: make(chan struct{}, 1)}
	p.on("onmessage", func(event js.Value) {
		switch data := event.Get("data"); data.Type() {
		case js.TypeString:
			p.arrive([]byte(data.String()), nil)
		case js.TypeNull:
			p.arrive(nil, io.EOF)
		default:
			p.arrive(nil, fmt.Errorf("port: expected a string, got a value of type %v", data.Type()))
		}
	})
	p.on("onmessageerror", func(js.Value) { p.arrive(nil, errors.New("port: a message could not be read")) })
	p.on("onerror", func(event js.Value) {
		reason := "script cannot be loaded"
		if message := event.Get("message"); message.Type() == js.TypeString {
			reason = message.String()
		}
		p.arrive(nil, fmt.Errorf("port: worker failed: %.200q", reason))
	})
	return p
}

func (p *Port) on(event string, handle func(event js.Value)) {
	f := js.FuncOf(func(_ js.Value, args []js.Value) any {
		if len(args) > 0 && args[0].Type() == js.TypeObject {
			handle(args[0])
		} else { // a global scope's onerror gets a string
			handle(js.Global().Get("Object").New())
		}
		return nil
	})
	p.handlers[event] = f
	p.target.Set(event, f)
}

func (p *Port) arrive(msg []byte, ended error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended != nil {
		return
	}
	if ended == nil {
		p.queue = append(p.queue, msg)
	}
	p.ended = ended
	p.wake()
}

func (p *Port) wake() {
	select {
	case p.arrived <- struct{}{}:
	default:
	}
}

// Send posts a message.
func (p *Port) Send(msg []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return driver.ErrConnClosed
	}
	p.target.Call("postMessage", string(msg))
	return nil
}

// Recv waits for the next message. When the other end has been closed it returns what has arrived and then io.EOF;
// if a Web Worker fails it returns an error with the reason.
func (p *Port) Recv() ([]byte, error) {
	for {
		p.mu.Lock()
		if len(p.queue) > 0 {
			msg := p.queue[0]
			p.queue = p.queue[1:]
			p.mu.Unlock()
			return msg, nil
		}
		ended := p.ended
		p.mu.Unlock()
		if ended != nil {
			p.wake() // for the next call
			return nil, ended
		}
		<-p.arrived
	}
}

// Close ends the connection.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if p.ended == nil {
		p.ended = driver.ErrConnClosed
	}
	p.wake()
	p.target.Call("postMessage", js.Null())
	for event, f := range p.handlers {
		p.target.Set(event, js.Null())
		f.Release()
	}
	p.end()
	return nil
}
