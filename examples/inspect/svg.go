package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The sizes of a diagram, in pixels.
const (
	turnX   = 14  // where the turns stand
	hostX   = 96  // the host's lifeline
	minGap  = 170 // between lifelines
	maxGap  = 520
	manyGap = 300 // at most, if there are many
	noteGap = 26  // between the last lifeline and the notes
	noteMax = 520 // of a note
	headH   = 46
	rowH    = 30
	turnH   = 12 // more for the first row of a turn
	margin  = 14
	maxName = 42 // characters of a worker's id: one that driver.Serve has made has at most 41
)

const svgStyle = `text{font:12px ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.m{text-anchor:middle}.h{font-weight:600}.t,.n{fill:#656d76}.r{fill:#c62828}
.b{fill:#fff}.e{fill:#eef2f7;stroke:#9aa7b5}.l{stroke:#c4ccd6}.s{stroke:#e3e8ee}
.a{stroke:#3b5b7d;stroke-width:1.4;fill:none}.x{stroke:#c62828;stroke-width:1.4;fill:none}.c{fill:#fdecec}`

// drawSVG writes the diagram as an SVG image that needs nothing else: a part for each session, one below the other.
func drawSVG(w io.Writer, d *diagram) error {
	out := bufio.NewWriter(w)
	parts := d.parts
	if len(parts) == 0 {
		parts = []*part{{ends: []string{"host"}}}
	}
	layouts := make([]layout, len(parts))
	total, height := 0, 0
	for i, p := range parts {
		l := newLayout(p, len(parts) > 1)
		l.top = height
		layouts[i] = l
		total, height = max(total, l.width), height+l.height
	}
	more := d.missing()
	if more != "" {
		total, height = max(total, hostX+12+int(width(more))+margin), height+rowH
	}
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="sequence diagram">`+"\n", total, height, total, height)
	fmt.Fprintf(out, "<style>%s</style>\n", svgStyle)
	fmt.Fprintf(out, `<rect class="b" width="%d" height="%d" rx="8"/>`+"\n", total, height)
	for i, p := range parts {
		p.drawSVG(out, layouts[i], total)
	}
	if more != "" {
		fmt.Fprintf(out, `<text class="n" x="%d" y="%d">%s</text>`+"\n", hostX+12, height-margin, more)
	}
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
}

// A layout is where a part stands and how large it is.
type layout struct {
	titled             bool
	top, width, height int
	gap, noteX         int
}

func newLayout(p *part, titled bool) layout {
	l := layout{titled: titled, gap: minGap, height: headH + margin}
	noteW := 0.0
	for i, r := range p.rows {
		if r.from != r.to {
			l.gap = max(l.gap, int(width(r.text))+34)
		}
		noteW = max(noteW, width(note(r)))
		l.height += rowH
		if i == 0 || p.rows[i-1].turn != r.turn {
			l.height += turnH
		}
	}
	if l.gap = min(l.gap, maxGap); len(p.ends) > 3 {
		l.gap = min(l.gap, manyGap)
	}
	for i := range p.ends[1:] { // or their boxes would overlap
		l.gap = max(l.gap, half(p.ends[i])+half(p.ends[i+1])+margin)
	}
	if titled {
		l.height += rowH
	}
	last := hostX + l.gap*(len(p.ends)-1)
	l.noteX = last + noteGap
	l.width = max(l.noteX+int(noteW), last+half(p.ends[len(p.ends)-1])) + margin
	for _, r := range p.rows {
		if r.from == r.to {
			l.width = max(l.width, hostX+12+int(width(event(r)))+margin)
		}
	}
	return l
}

// half is half the width of the box with the name of a lifeline.
func half(end string) int { return int(width(shorten(end, maxName))*boldness/2) + 12 }

// boldness is how much wider bold letters are.
const boldness = 1.1

func (p *part) drawSVG(out io.Writer, l layout, total int) {
	top := l.top
	if l.titled {
		if top > 0 {
			fmt.Fprintf(out, `<path class="l" d="M0 %dH%d"/>`, top, total)
		}
		fmt.Fprintf(out, `<text class="h" x="%d" y="%d">session %d</text>`+"\n", turnX, top+22, p.session)
		top += rowH
	}
	for i, end := range p.ends {
		x := hostX + l.gap*i
		fmt.Fprintf(out, `<path class="l" d="M%d %dV%d"/><rect class="e" x="%d" y="%d" width="%d" height="24" rx="5"/><text class="m h" x="%d" y="%d">%s</text>`+"\n",
			x, top+headH-10, l.top+l.height-margin/2, x-half(end), top+12, 2*half(end), x, top+28, xmlText(shorten(end, maxName)))
	}
	y := top + headH
	for i, r := range p.rows {
		if i == 0 || p.rows[i-1].turn != r.turn {
			y += turnH
			if i > 0 {
				fmt.Fprintf(out, `<path class="s" d="M%d %dH%d"/>`, margin/2, y-turnH/2-1, total-margin/2)
			}
			fmt.Fprintf(out, `<text class="t" x="%d" y="%d">turn %d</text>`+"\n", turnX, y+rowH-11, r.turn)
		}
		y += rowH
		drawRow(out, r, l.gap, l.noteX, y-7, total)
	}
}

// drawRow draws a message as an arrow at height y with its text above it, and an event as a mark on the host's
// lifeline.
func drawRow(out io.Writer, r row, gap, noteX, y, total int) {
	noteClass, arrow, textClass := "n", "a", "m"
	if r.refused {
		noteClass, arrow, textClass = "r", "x", "m r"
		fmt.Fprintf(out, `<rect class="c" x="%d" y="%d" width="%d" height="%d" rx="4"/>`, hostX-16, y-rowH+9, total-hostX+16-margin/2, rowH-3)
	}
	if r.from == r.to {
		class := "n"
		if r.refused {
			class = "r"
		}
		fmt.Fprintf(out, `<circle class="e" cx="%d" cy="%d" r="4"/><text class="%s" x="%d" y="%d">%s</text>`, hostX, y-6, class, hostX+12, y-2, xmlText(event(r)))
		fmt.Fprintln(out)
		return
	}
	from, to := hostX+gap*r.from, hostX+gap*r.to
	side := 1 // of the arrow's end
	if to > from {
		side = -1
	}
	end := to + 2*side
	if r.refused {
		end = to + 9*side
		fmt.Fprintf(out, `<path class="x" d="M%d %dH%dm-4-4 8 8m0-8-8 8"/>`, from, y, end)
	} else {
		fmt.Fprintf(out, `<path class="%s" d="M%d %dH%dm%d-4 %d 4 %d 4"/>`, arrow, from, y, end, 7*side, -7*side, 7*side)
	}
	at := (from + to) / 2
	if r.from > 1 || r.to > 1 { // beside the worker, or it would cross the lifelines between
		at = hostX + gap*max(r.from, r.to) - gap/2
	}
	fmt.Fprintf(out, `<text class="%s" x="%d" y="%d">%s</text>`, textClass, at, y-5, xmlText(fit(r.text, gap-16)))
	if n := note(r); n != "" {
		fmt.Fprintf(out, `<text class="%s" x="%d" y="%d">%s</text>`, noteClass, noteX, y+3, xmlText(n))
	}
	fmt.Fprintln(out)
}

// note returns what stands beside a message.
func note(r row) string {
	if r.from == r.to {
		return ""
	}
	return fit(r.note, noteMax)
}

// event returns what stands beside an event of the host.
func event(r row) string { return fit(joined(r), maxGap+noteMax) }

func joined(r row) string {
	if r.note == "" {
		return r.text
	}
	return r.text + ": " + r.note
}

// width returns how wide a text may be, in the widest of the usual fonts.
func width(s string) (w float64) {
	for _, r := range safe(s) {
		w += runeWidth(r)
	}
	return w
}

func runeWidth(r rune) float64 {
	switch {
	case strings.ContainsRune(" !'(),.:;[]ijl|", r):
		return 4.6
	case r >= utf8.RuneSelf || strings.ContainsRune("%@MWmw", r):
		return 12
	case 'A' <= r && r <= 'Z':
		return 8.8
	}
	return 7.6
}

// fit shortens a text to a width.
func fit(s string, most int) string {
	s = safe(s)
	if width(s) <= float64(most) {
		return s
	}
	rest := float64(most) - runeWidth('…')
	for i, r := range s {
		if rest -= runeWidth(r); rest < 0 {
			return s[:i] + "…"
		}
	}
	return s
}

// shorten shortens a text to so many characters.
func shorten(s string, most int) string {
	s = safe(s)
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	runes := []rune(s)
	return string(runes[:max(0, most-1)]) + "…"
}

func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder has no errors
	return strings.NewReplacer("&#34;", `"`, "&#39;", "'").Replace(b.String())
}
