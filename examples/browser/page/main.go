//go:build js

// Command page renders the Mandelbrot set in Web Workers, with the coordinator on the page's own
// thread. It is compiled to Wasm; page.js starts it.
//
// host.go has the event loop, which can be used in other programs; picture.go is the application; dom.go is the page.
package main

import (
	"syscall/js"

	"github.com/workerchannel/workerchannel/examples/browser/mandel"
)

// seed is the seed that all messages carry. A session with the same seed and the same events has the same messages.
const seed = 42

func main() {
	g := newPage()
	p := &picture{page: g, view: mandel.Views[0].View}
	p.host = NewHost(seed, p)
	g.picture = p
	g.listen()
	query := js.Global().Get("URLSearchParams").New(js.Global().Get("location").Get("search"))
	if kind := query.Call("get", "test"); kind.Type() == js.TypeString {
		go newSelfTest(p).run(kind.String())
	} else {
		element("render").Call("click")
	}
	select {} // everything else happens in callbacks
}
