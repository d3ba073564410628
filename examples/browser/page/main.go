//go:build js

// Command page renders the Mandelbrot set in Web Workers, with the driver's host on the page's own thread. It is
// compiled to Wasm; page.js starts it.
//
// workers.go has the host and its worker; picture.go is the application; dom.go is the page.
package main

import "github.com/workerchannel/workerchannel/examples/browser/mandel"

func main() {
	p := &picture{place: mandel.Views[0].Name}
	p.workers = &workers{picture: p, kind: "go"}
	p.page = newPage(p)
	p.page.listen()
	p.render(mandel.Views[0].View)
	select {} // everything else happens in callbacks
}
