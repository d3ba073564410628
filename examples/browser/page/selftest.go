//go:build js

package main

import (
	"slices"
	"strings"
	"syscall/js"

	"github.com/workerchannel/workerchannel/examples/browser/mandel"
)

// A selfTest presses the page's buttons like a user and checks what follows. The Go test of the program opens the page
// with ?test=KIND, the kind of worker to begin with, and receives the report.
type selfTest struct {
	p     *picture
	event chan struct{} // has a value after an event
	steps []any         // of the report
	step  map[string]any
}

func newSelfTest(p *picture) *selfTest {
	s := &selfTest{p: p, event: make(chan struct{}, 1)}
	p.page.changed = func() {
		select {
		case s.event <- struct{}{}:
		default:
		}
	}
	return s
}

const tileCount = mandel.Width / mandel.TileSize * (mandel.Height / mandel.TileSize)

func (s *selfTest) run(kind string) {
	p := s.p
	c := p.host.coordinator
	tally := &p.tally
	worker := func() string { id, _ := c.ActiveWorker(); return id }
	drawn := func(n int) func() bool { return func() bool { return p.draws >= n } }

	s.begin("cancel in mid-job")
	s.choose(kind)
	s.press("render")
	s.until(drawn(12))
	first := worker()
	s.try("a job that had begun was cancelled", func() bool {
		s.press("render")
		s.until(drawn(12))
		s.press("cancel")
		s.until(func() bool { return c.InflightCount() == 0 })
		return slices.ContainsFunc(p.history, func(e entry) bool { return e.ended == "cancelled" && e.detail != "" })
	})
	s.expect(tally.failed == 0, "no job failed")
	s.expect(!p.complete() && len(p.waiting) == 0, "the rest of the picture is abandoned")
	s.expect(worker() == first && strings.HasPrefix(first, kind+"-"), "the worker lives on")

	s.begin("shut down in mid-picture")
	s.try("jobs that the worker had not begun failed", func() bool {
		s.press("render")
		s.until(drawn(12))
		s.press("shutdown")
		s.until(func() bool { return worker() == "" })
		return tally.failed > 0
	})
	s.expect(c.InflightCount() == 0 && len(p.jobs) == 0, "no job waits for the worker that has stopped")
	s.expect(p.draws+len(p.waiting) == tileCount, "the other tiles wait for a successor")

	s.begin("a successor finishes")
	s.press("replace")
	s.until(p.complete)
	s.expect(p.draws == tileCount, "every tile was drawn once")
	s.expect(worker() != first && strings.HasPrefix(worker(), kind+"-"), "by a worker of the same kind")
	s.postPicture("of one kind")

	s.begin("replace in mid-picture, by the other kind")
	other := choose(kind == "go", "js", "go")
	s.choose(other)
	s.try("the jobs of the predecessor failed", func() bool {
		failed, old := tally.failed, worker()
		s.press("render")
		s.until(drawn(12))
		s.press("replace")
		s.until(func() bool { return worker() != old })
		return tally.failed > failed
	})
	s.expect(strings.HasPrefix(worker(), other+"-"), "the successor has taken over")
	s.expect(c.InflightCount() > 0, "it has jobs at once")
	s.expect(p.draws+len(p.waiting)+len(p.jobs) == tileCount, "no tile is missing")

	s.begin("kill in mid-picture")
	s.until(drawn(tileCount - 10))
	failed, inflight := tally.failed, c.InflightCount()
	s.press("kill")
	s.expect(worker() == "", "the worker is gone")
	s.expect(inflight > 0 && tally.failed == failed+inflight, "all its jobs failed at once")
	s.expect(p.draws+len(p.waiting) == tileCount, "their tiles wait for a successor")

	s.begin("the successor of a killed worker finishes")
	s.choose(kind)
	s.press("replace")
	s.until(p.complete)
	s.expect(p.draws == tileCount, "every tile was drawn once")
	byLast := 0
	for _, id := range p.drawnBy {
		if id == worker() {
			byLast++
		}
	}
	s.expect(inflight <= byLast && byLast < tileCount, "the tiles of the killed worker by its successor")
	s.postPicture("of both kinds")

	s.begin("what the page shows")
	p.page.paint()
	s.expect(tally.refused == 0 && tally.erred == 0, "no message was refused and no job had another outcome")
	s.expect(element("progress").Get("value").Int() == tileCount, "all tiles in the progress bar")
	s.expect(element("active").Get("textContent").String() == worker(), "the active worker")
	s.expect(strings.HasPrefix(element("status").Get("textContent").String(), "Done"), "that it is done")
	s.expect(element("log").Get("childElementCount").Int() == logSize, "the latest messages, and no more")
	s.expect(element("jobs").Get("firstElementChild").Get("className").String() == "completed", "how the last job ended")
	s.expect(!element("kill").Get("disabled").Bool(), "that the worker can be killed")
	s.expect(element("cancel").Get("disabled").Bool(), "that there is nothing to cancel")
	post("report", js.Global().Get("JSON").Call("stringify", s.steps))
}

// begin begins a step of the report.
func (s *selfTest) begin(name string) {
	s.step = map[string]any{"name": name, "problems": []any{}}
	s.steps = append(s.steps, s.step)
	post("begun", js.ValueOf(name))
}

func (s *selfTest) expect(ok bool, what string) {
	if !ok {
		s.step["problems"] = append(s.step["problems"].([]any), "expected: "+what)
	}
}

// try repeats an attempt that succeeds only if the worker is in the middle of a job when a message arrives.
func (s *selfTest) try(what string, attempt func() bool) {
	for range 20 {
		if attempt() {
			return
		}
	}
	s.expect(false, what)
}

// until waits for a condition. If it never becomes true, there is no report.
func (s *selfTest) until(cond func() bool) {
	for !cond() {
		<-s.event
	}
}

func (s *selfTest) press(button string) {
	s.p.page.paint()
	s.expect(!element(button).Get("disabled").Bool(), button+" can be pressed")
	element(button).Call("click")
}

func (s *selfTest) choose(kind string) { element("kind").Set("value", kind) }

func (s *selfTest) postPicture(name string) {
	image := s.p.page.context.Call("getImageData", 0, 0, mandel.Width, mandel.Height)
	post("picture "+name, image.Get("data"))
}

func post(name string, body js.Value) {
	url := "/test/" + js.Global().Call("encodeURIComponent", name).String()
	js.Global().Call("fetch", url, map[string]any{"method": "POST", "body": body})
}
