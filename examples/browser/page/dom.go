//go:build js

package main

import (
	"strconv"
	"strings"
	"syscall/js"

	"github.com/workerchannel/workerchannel/examples/browser/mandel"
)

// logSize is the number of lines of the log that the page keeps.
const logSize = 200

// A page is the document. It shows the picture and turns clicks into calls of it. What changes often is painted
// once a frame.
type page struct {
	picture *picture
	canvas  js.Value
	context js.Value
	zoomed  js.Value // the option of the select for a view that is not one of the list
	lines   []line   // that are not yet on the page, oldest first
	due     bool     // a frame has been requested
	onFrame js.Func  // paints the page
}

type line struct{ kind, text string }

func newPage(p *picture) *page {
	g := &page{picture: p, canvas: element("picture"), zoomed: text("option", "", "")}
	g.context = g.canvas.Call("getContext", "2d", map[string]any{"willReadFrequently": true})
	g.onFrame = js.FuncOf(func(js.Value, []js.Value) any {
		g.paint()
		return nil
	})
	for _, v := range mandel.Views {
		element("view").Call("append", text("option", "", v.Name))
	}
	element("view").Call("append", g.zoomed)
	for range historySize {
		row := text("tr", "", "")
		for range 5 {
			row.Call("append", text("td", "", ""))
		}
		element("jobs").Call("append", row)
	}
	return g
}

// listen installs the handlers of the controls, which work from now on.
func (g *page) listen() {
	p, ws := g.picture, g.picture.workers
	on("render", "click", func(js.Value) { p.render(p.view) })
	on("cancel", "click", func(js.Value) { p.cancel() })
	on("replace", "click", func(js.Value) {
		ws.replace(ws.kind)
		g.update()
	})
	on("kind", "change", func(js.Value) {
		ws.replace(element("kind").Get("value").String())
		g.update()
	})
	on("kill", "click", func(js.Value) {
		g.log("note", "Kill was pressed")
		ws.kill()
		g.update()
	})
	on("shutdown", "click", func(js.Value) {
		if ws.host == nil {
			p.resume()
			return
		}
		g.log("note", "Shut down was pressed")
		ws.shutDown()
		g.update()
	})
	on("view", "change", func(js.Value) {
		if i := element("view").Get("selectedIndex").Int(); i < len(mandel.Views) {
			p.place = mandel.Views[i].Name
			p.render(mandel.Views[i].View)
		}
	})
	on("picture", "click", func(event js.Value) {
		scale := mandel.Width / g.canvas.Get("clientWidth").Float()
		col, row := event.Get("offsetX").Float()*scale, event.Get("offsetY").Float()*scale
		g.zoom(int(col), int(row), 1/zoomFactor)
	})
	on("zoomin", "click", func(js.Value) { g.zoom(mandel.Width/2, mandel.Height/2, 1/zoomFactor) })
	on("zoomout", "click", func(js.Value) { g.zoom(mandel.Width/2, mandel.Height/2, zoomFactor) })
	for _, id := range []string{"view", "kind", "render"} {
		enable(id, true)
	}
}

// Where floating-point numbers are too coarse for pixels, and where there is nothing more to see, zooming ends.
const (
	zoomFactor = 4.0
	narrowest  = 1e-11
	widest     = 12
)

func (g *page) zoom(col, row int, factor float64) {
	if view := g.picture.view.Zoom(col, row, factor); view.Width >= narrowest && view.Width <= widest {
		g.picture.render(view)
	}
}

// place shows which part of the set the picture has.
func (g *page) place() {
	name := g.picture.placeName()
	g.zoomed.Set("textContent", name)
	g.zoomed.Set("selected", true)
	known := false
	for i, v := range mandel.Views {
		if v.Name == name {
			known = true
			element("view").Set("selectedIndex", i)
		}
	}
	g.zoomed.Set("hidden", known)
	g.zoomed.Set("disabled", known)
	g.canvas.Call("setAttribute", "aria-label", "The Mandelbrot set: "+name)
	enable("zoomin", g.picture.view.Width/zoomFactor >= narrowest)
	enable("zoomout", g.picture.view.Width*zoomFactor <= widest)
}

// draw shows the values of a tile.
func (g *page) draw(t mandel.Tile, values []byte) {
	pixels := js.Global().Get("Uint8ClampedArray").New(2 * len(values))
	js.CopyBytesToJS(pixels, mandel.Paint(values))
	image := js.Global().Get("ImageData").New(pixels, mandel.TileSize, mandel.TileSize)
	g.context.Call("putImageData", image, t.Col, t.Row)
}

// A tileStyle is how a tile looks that has not been drawn. The sign is for those who do not see the colours.
type tileStyle struct{ fill, border, sign string }

var (
	cancelling = tileStyle{"#1d1a10", "#6b5a2a", "–"}
	tileStyles = map[string]tileStyle{
		"queued":           {"#10141f", "#2b3550", "·"},
		"running":          {"#17203a", "#5b8cff", "▸"},
		"cancel requested": cancelling,
		"draining":         cancelling,
		"finalizing":       cancelling,
		"cancelled":        {"#10141f", "#2b2a22", "–"},
		"lost":             {"#3a141c", "#c2414f", "✕"},
		"failed":           {"#3a141c", "#c2414f", "!"},
		"postponed":        {"#10141f", "#454b5c", "Ⅱ"},
	}
)

// mark shows the state of a tile that has not been drawn.
func (g *page) mark(t mandel.Tile, state string) {
	style, ok := tileStyles[state]
	if !ok {
		return
	}
	const border = 2
	for i, colour := range []string{style.border, style.fill} {
		g.context.Set("fillStyle", colour)
		inset := i * border
		g.context.Call("fillRect", t.Col+inset, t.Row+inset, mandel.TileSize-2*inset, mandel.TileSize-2*inset)
	}
	g.context.Set("fillStyle", style.border)
	g.context.Set("font", "32px sans-serif")
	g.context.Set("textAlign", "center")
	g.context.Set("textBaseline", "middle")
	g.context.Call("fillText", style.sign, t.Col+mandel.TileSize/2, t.Row+mandel.TileSize/2)
}

// dim darkens the old picture, which the new one then covers.
func (g *page) dim() {
	g.context.Set("fillStyle", "rgba(9, 12, 20, 0.7)")
	g.context.Call("fillRect", 0, 0, mandel.Width, mandel.Height)
}

// log adds a line of a kind to the log: in, out, note or error.
func (g *page) log(kind, s string) {
	if len(g.lines) == logSize {
		g.lines = g.lines[1:] // it would be removed at once
	}
	g.lines = append(g.lines, line{kind, pad(strconv.FormatFloat(now()/1000, 'f', 2, 64), 8) + s})
}

// Write adds a line of the driver's log.
func (g *page) Write(text []byte) (int, error) {
	g.log("error", strings.TrimSpace(string(text)))
	g.update()
	return len(text), nil
}

// update has the page painted in the next frame.
func (g *page) update() {
	if !g.due {
		g.due = true
		js.Global().Call("requestAnimationFrame", g.onFrame)
	}
}

// paint updates everything except the canvas.
func (g *page) paint() {
	g.due = false
	p, ws := g.picture, g.picture.workers
	state, worker := ws.state()
	stats := ws.stats()

	enable("cancel", p.wanted())
	enable("replace", state == "ready")
	enable("kill", state != "stopped" && state != "killed")
	enable("shutdown", state != "stopping")
	show("shutdown", choose(state == "stopped", "Start worker", "Shut down"))
	if element("kind").Get("value").String() != ws.kind {
		element("kind").Set("value", ws.kind)
	}

	element("progress").Set("value", p.drawn)
	element("progress").Set("max", max(len(p.tiles), 1))
	show("tiles", strconv.Itoa(p.drawn)+" of "+counted(len(p.tiles), "tile"))
	show("time", p.seconds())
	show("active", worker)
	element("active").Set("className", state)
	show("inflight", strconv.Itoa(stats.Assigned))
	show("waiting", strconv.Itoa(stats.Waiting+len(p.waiting)))
	show("cancelled", strconv.Itoa(p.cancelledJobs))
	show("again", utoa(stats.Retries))
	show("workers", utoa(stats.WorkersStarted))
	show("status", p.status())
	g.paintJobs()
	g.paintLog()
}

// paintJobs shows the latest jobs, the newest first.
func (g *page) paintJobs() {
	rows := element("jobs").Get("children")
	for i := range historySize {
		row := rows.Index(i)
		n := len(g.picture.history) - 1 - i
		if n < 0 {
			return
		}
		e := g.picture.history[n]
		for column, s := range []string{utoa(e.job), e.place, clip(e.worker.id), e.state, e.detail} {
			row.Get("children").Index(column).Set("textContent", s)
		}
		row.Set("className", strings.ReplaceAll(e.state, " ", "-"))
	}
}

// paintLog puts new lines above the old ones and removes the oldest.
func (g *page) paintLog() {
	log := element("log")
	for _, l := range g.lines {
		log.Call("prepend", text("li", l.kind, l.text))
	}
	g.lines = nil
	for log.Get("childElementCount").Int() > logSize {
		log.Get("lastElementChild").Call("remove")
	}
}

func element(id string) js.Value { return js.Global().Get("document").Call("getElementById", id) }

func text(tag, class, s string) js.Value {
	e := js.Global().Get("document").Call("createElement", tag)
	e.Set("className", class)
	e.Set("textContent", s)
	return e
}

// show sets a text if it has changed: a screen reader reads some of them when they are set.
func show(id, s string) {
	if e := element(id); e.Get("textContent").String() != s {
		e.Set("textContent", s)
	}
}

func enable(id string, enabled bool) { element(id).Set("disabled", !enabled) }

// on installs a handler that lasts as long as the page.
func on(id, event string, handle func(event js.Value)) {
	element(id).Call("addEventListener", event, js.FuncOf(func(_ js.Value, args []js.Value) any {
		handle(args[0])
		return nil
	}))
}

func choose(cond bool, yes, no string) string {
	if cond {
		return yes
	}
	return no
}

func now() float64 { return js.Global().Get("performance").Call("now").Float() }

func counted(n int, what string) string {
	return strconv.Itoa(n) + " " + what + choose(n == 1, "", "s")
}
