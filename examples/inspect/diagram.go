package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A diagram collects what a sequence diagram shows.
type diagram struct {
	out     io.Writer
	draw    func(io.Writer, *diagram) error
	most    int     // rows
	parts   []*part // in the order in which they begin
	drawn   int     // rows
	dropped int
}

// A part is a session: it has a host of its own, with its own turns, and a row for each message and each event.
type part struct {
	session uint64 // 0 for a capture
	ends    []string
	rows    []row
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

// maxEnds is how many lifelines a session has at most, the host's included. What comes from others is not drawn.
const maxEnds = 9

func newDiagram(out io.Writer, most int, draw func(io.Writer, *diagram) error) *diagram {
	return &diagram{out: out, draw: draw, most: most}
}

func (d *diagram) finish() error { return d.draw(d.out, d) }

// drawn are the calls of the host that are drawn although they send nothing.
var drawn = []string{"expect_worker", "worker_lost", "retire_worker", "close_region", "shutdown_when_idle", "end"}

func (d *diagram) entry(e *entry) error {
	r := row{turn: e.turn, text: e.says, note: e.led, refused: e.verdict.bad()}
	if r.refused {
		r.note = "refused: " + e.wrong
	}
	for _, divergence := range e.divergences {
		r.refused, r.note = true, "diverges: "+divergence.Field
	}
	message := e.op != "" || e.verdict == unreadable && e.journal // a capture does not say who sent what cannot be read
	if !message && !r.refused && !slices.Contains(drawn, e.call) {
		return nil
	}
	if d.drawn >= d.most {
		d.dropped++
		return nil
	}
	p := d.part(e.session)
	if message {
		end, ok := p.end(e.worker)
		if !ok {
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
	p.rows = append(p.rows, r)
	d.drawn++
	return nil
}

// part returns the part of a session.
func (d *diagram) part(session uint64) *part {
	for _, p := range slices.Backward(d.parts) {
		if p.session == session {
			return p
		}
	}
	p := &part{session: session, ends: []string{"host"}}
	d.parts = append(d.parts, p)
	return p
}

// end returns the lifeline of a worker.
func (p *part) end(worker string) (int, bool) {
	name := quoteID(worker)
	if i := slices.Index(p.ends[1:], name); i >= 0 {
		return i + 1, true
	}
	if worker == "" && len(p.ends) > 1 { // for the worker that comes, or the last one
		return len(p.ends) - 1, true
	}
	if len(p.ends) == 2 && p.ends[1] == "worker" { // it has a name now
		p.ends[1] = name
		return 1, true
	}
	if len(p.ends) >= maxEnds {
		return 0, false
	}
	p.ends = append(p.ends, name)
	return len(p.ends) - 1, true
}

// missing says what is not drawn.
func (d *diagram) missing() string {
	if d.dropped == 0 {
		return ""
	}
	return fmt.Sprintf("and %d more, not drawn", d.dropped)
}
