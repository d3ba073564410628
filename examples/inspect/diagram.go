package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A diagram collects what a sequence diagram shows: a row for each message and each event of the host.
type diagram struct {
	out     io.Writer
	draw    func(io.Writer, *diagram) error
	most    int // rows
	ends    []string
	rows    []row
	dropped int
}

// A row is a message or an event.
type row struct {
	turn    uint64
	from    int // the end that sends; both are 0 for an event of the host
	to      int
	text    string
	note    string // what it led to, or why it was refused
	refused bool
}

// maxEnds is how many lifelines a diagram has at most, the host's included. What comes from others is not drawn.
const maxEnds = 9

func newDiagram(out io.Writer, most int, draw func(io.Writer, *diagram) error) *diagram {
	return &diagram{out: out, draw: draw, most: most, ends: []string{"host"}}
}

func (d *diagram) finish() error { return d.draw(d.out, d) }

// drawn are the calls of the host that are drawn although they send nothing.
var drawn = []string{"expect_worker", "worker_lost", "retire_worker", "close_region", "shutdown_when_idle"}

func (d *diagram) entry(e *entry) error {
	r := row{turn: e.turn, text: e.says, note: e.led, refused: e.verdict.bad()}
	if r.refused {
		r.note = "refused: " + e.wrong
	}
	for _, divergence := range e.divergences {
		r.refused, r.note = true, "diverges: "+divergence.Field
	}
	if e.op == "" && (e.verdict != unreadable || !e.journal) { // a capture does not say who sent what cannot be read
		if !r.refused && !slices.Contains(drawn, e.call) {
			return nil
		}
	} else {
		end, ok := d.end(e.worker)
		if !ok || len(d.rows) >= d.most {
			d.dropped++
			return nil
		}
		r.to = end
		if e.toHost {
			r.from, r.to = end, 0
		}
		if _, says, ok := strings.Cut(e.says, arrow); ok { // the arrow says who it is from
			r.text = says
		}
	}
	if len(d.rows) >= d.most {
		d.dropped++
		return nil
	}
	d.rows = append(d.rows, r)
	return nil
}

// end returns the lifeline of a worker.
func (d *diagram) end(worker string) (int, bool) {
	name := quoteID(worker)
	if i := slices.Index(d.ends[1:], name); i >= 0 {
		return i + 1, true
	}
	if worker == "" && len(d.ends) > 1 { // for the worker that comes, or the last one
		return len(d.ends) - 1, true
	}
	if len(d.ends) == 2 && d.ends[1] == "worker" { // it has a name now
		d.ends[1] = name
		return 1, true
	}
	if len(d.ends) >= maxEnds {
		return 0, false
	}
	d.ends = append(d.ends, name)
	return len(d.ends) - 1, true
}

// missing says what is not drawn.
func (d *diagram) missing() string {
	if d.dropped == 0 {
		return ""
	}
	return fmt.Sprintf("and %d more, not drawn", d.dropped)
}
