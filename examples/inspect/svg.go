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
	charW   = 6.3 // of a character of a message, about
	minGap  = 170 // between lifelines
	maxGap  = 380
	manyGap = 260 // at most, if there are many
	noteGap = 26  // between the last lifeline and the notes
	headH   = 46
	rowH    = 30
	turnH   = 12 // more for the first row of a turn
	margin  = 14
	maxName = 24 // characters of a worker's id
)

const svgStyle = `text{font:12px ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.m{text-anchor:middle}.h{font-weight:600}.t,.n{fill:#656d76}.r{fill:#c62828}
.b{fill:#fff}.e{fill:#eef2f7;stroke:#9aa7b5}.l{stroke:#c4ccd6}.s{stroke:#e3e8ee}
.a{stroke:#3b5b7d;stroke-width:1.4;fill:none}.x{stroke:#c62828;stroke-width:1.4;fill:none}.c{fill:#fdecec}`

// drawSVG writes the diagram as an SVG image that needs nothing else.
func drawSVG(w io.Writer, d *diagram) error {
	out := bufio.NewWriter(w)
	gap := minGap
	noteW := 0.0
	for _, r := range d.rows {
		if r.from != r.to {
			gap = max(gap, int(float64(min(r.from+r.to, 1))*(width(r.text)+34)))
		}
		noteW = max(noteW, width(note(r)))
	}
	if gap = min(gap, maxGap); len(d.ends) > 3 {
		gap = min(gap, manyGap)
	}
	last := hostX + gap*(len(d.ends)-1)
	noteX := last + noteGap
	height := headH + margin
	for i, r := range d.rows {
		height += rowH
		if i == 0 || d.rows[i-1].turn != r.turn {
			height += turnH
		}
	}
	if d.dropped > 0 {
		height += rowH
	}
	total := noteX + int(noteW) + margin
	for _, r := range d.rows {
		if r.from == r.to {
			total = max(total, hostX+12+int(width(r.text))+margin)
		}
	}
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="sequence diagram">`+"\n", total, height, total, height)
	fmt.Fprintf(out, "<style>%s</style>\n", svgStyle)
	fmt.Fprintf(out, `<rect class="b" width="%d" height="%d" rx="8"/>`+"\n", total, height)
	for i, end := range d.ends {
		x := hostX + gap*i
		name := shorten(end, maxName)
		half := int(width(name)/2) + 12
		fmt.Fprintf(out, `<path class="l" d="M%d %dV%d"/><rect class="e" x="%d" y="12" width="%d" height="24" rx="5"/><text class="m h" x="%d" y="28">%s</text>`+"\n",
			x, headH-10, height-margin/2, x-half, 2*half, x, xmlText(name))
	}
	y := headH
	for i, r := range d.rows {
		if i == 0 || d.rows[i-1].turn != r.turn {
			y += turnH
			if i > 0 {
				fmt.Fprintf(out, `<path class="s" d="M%d %dH%d"/>`, margin/2, y-turnH/2-1, total-margin/2)
			}
			fmt.Fprintf(out, `<text class="t" x="%d" y="%d">turn %d</text>`+"\n", turnX, y+rowH-11, r.turn)
		}
		y += rowH
		drawRow(out, r, gap, noteX, y-7, total)
	}
	if more := d.missing(); more != "" {
		fmt.Fprintf(out, `<text class="n" x="%d" y="%d">%s</text>`+"\n", hostX+12, y+rowH-10, more)
	}
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
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
		fmt.Fprintf(out, `<circle class="e" cx="%d" cy="%d" r="4"/><text class="%s" x="%d" y="%d">%s</text>`, hostX, y-6, class, hostX+12, y-2, xmlText(shorten(joined(r), 110)))
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
	fmt.Fprintf(out, `<text class="%s" x="%d" y="%d">%s</text>`, textClass, at, y-5, xmlText(shorten(r.text, int(float64(gap-16)/charW))))
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
	return shorten(r.note, 64)
}

func joined(r row) string {
	if r.note == "" {
		return r.text
	}
	return r.text + ": " + r.note
}

// width returns about how wide a text is.
func width(s string) float64 { return charW * float64(utf8.RuneCountInString(safe(s))) }

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
