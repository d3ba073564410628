//go:build js

package main

import (
	"strconv"
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
	lines   []line  // that are not yet on the page, oldest first
	due     bool    // a frame has been requested
	onFrame js.Func // paints the page
	changed func()  // called after every event, for the self-test
}

type line struct{ kind, text string }

func newPage() *page {
	g := &page{canvas: element("picture"), changed: func() {}}
	g.canvas.Set("width", mandel.Width)
	g.canvas.Set("height", mandel.Height)
	g.context = g.canvas.Call("getContext", "2d", map[string]any{"willReadFrequently": true})
	g.onFrame = js.FuncOf(func(js.Value, []js.Value) any {
		g.paint()
		return nil
	})
	for _, v := range mandel.Views {
		element("view").Call("append", text("option", "", v.Name))
	}
	for range historySize {
		row := text("tr", "", "")
		for range 5 {
			row.Call("append", text("td", "", ""))
		}
		element("jobs").Call("append", row)
	}
	return g
}

// listen installs the handlers of the controls.
func (g *page) listen() {
	p := g.picture
	on("render", "click", func(js.Value) {
		if _, active := p.host.coordinator.ActiveWorker(); !active {
			g.startWorker()
		}
		p.render(p.view)
	})
	on("cancel", "click", func(js.Value) { p.cancel() })
	on("kill", "click", func(js.Value) { p.host.Kill() })
	on("replace", "click", func(js.Value) { g.startWorker() })
	on("shutdown", "click", func(js.Value) { p.shutDown() })
	on("view", "change", func(js.Value) {
		p.render(mandel.Views[element("view").Get("selectedIndex").Int()].View)
	})
	on("picture", "click", func(event js.Value) {
		scale := mandel.Width / g.canvas.Get("clientWidth").Float()
		col, row := event.Get("offsetX").Float()*scale, event.Get("offsetY").Float()*scale
		factor := 0.25
		if event.Get("shiftKey").Bool() {
			factor = 4
		}
		p.render(p.view.Zoom(int(col), int(row), factor))
	})
}

// startWorker starts a worker of the selected kind.
func (g *page) startWorker() {
	script := "worker-" + element("kind").Get("value").String() + ".js"
	g.log("note", "starting "+script)
	seed := g.picture.host.coordinator.Seed()
	g.picture.host.Start(script + "?seed=" + utoa(seed))
}

// draw shows the values of a tile.
func (g *page) draw(t mandel.Tile, values []byte) {
	pixels := js.Global().Get("Uint8ClampedArray").New(2 * len(values))
	js.CopyBytesToJS(pixels, mandel.Paint(values))
	image := js.Global().Get("ImageData").New(pixels, mandel.TileSize, mandel.TileSize)
	g.context.Call("putImageData", image, t.Col, t.Row)
}

// tileColours are the fill and the border of a tile that has not been drawn.
var tileColours = map[string][2]string{
	"queued":    {"#10141f", "#2b3550"},
	"running":   {"#17203a", "#5b8cff"},
	"cancelled": {"#10141f", "#10141f"},
	"failed":    {"#3a141c", "#c2414f"},
}

// mark shows the state of a tile that has not been drawn.
func (g *page) mark(t mandel.Tile, state string) {
	const border = 2
	for i, colour := range []string{tileColours[state][1], tileColours[state][0]} {
		g.context.Set("fillStyle", colour)
		inset := i * border
		g.context.Call("fillRect", t.Col+inset, t.Row+inset, mandel.TileSize-2*inset, mandel.TileSize-2*inset)
	}
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
	turn := "turn " + utoa(g.picture.host.coordinator.Turn())
	g.lines = append(g.lines, line{kind, pad(turn, 11) + s})
}

// update has the page painted in the next frame.
func (g *page) update() {
	if !g.due {
		g.due = true
		js.Global().Call("requestAnimationFrame", g.onFrame)
	}
	g.changed()
}

// paint updates everything except the canvas.
func (g *page) paint() {
	g.due = false
	p := g.picture
	c := p.host.coordinator
	worker, active := c.ActiveWorker()

	enable("cancel", p.wanted())
	enable("kill", active)
	enable("shutdown", active && !c.ShutdownRequested())
	show("replace", choose(active, "Replace", "Start worker"))

	element("progress").Set("value", len(p.drawnBy))
	element("progress").Set("max", max(len(p.tiles), 1))
	show("tiles", strconv.Itoa(len(p.drawnBy))+" of "+strconv.Itoa(len(p.tiles))+" tiles")
	show("time", p.seconds())
	show("active", choose(active, worker, "none"))
	show("inflight", strconv.Itoa(c.InflightCount()))
	show("turn", utoa(c.Turn()))
	show("cancelled", strconv.Itoa(p.tally.cancelled))
	show("failed", strconv.Itoa(p.tally.failed+p.tally.erred))
	show("refused", strconv.Itoa(p.tally.refused))
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
		state := e.ended
		if s, ok := g.picture.host.coordinator.JobState(e.job); state == "" && ok {
			state = s.String()
		}
		place := strconv.Itoa(e.tile.Col/mandel.TileSize) + ", " + strconv.Itoa(e.tile.Row/mandel.TileSize)
		for column, s := range []string{utoa(e.job), place, e.worker, state, e.detail} {
			row.Get("children").Index(column).Set("textContent", s)
		}
		row.Set("className", state)
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

func show(id, s string) { element(id).Set("textContent", s) }

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
