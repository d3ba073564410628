package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// drawMermaid writes the diagram as Mermaid text, which GitHub and others draw.
func drawMermaid(w io.Writer, d *diagram) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, "sequenceDiagram")
	for _, p := range d.parts {
		if len(d.parts) > 1 {
			fmt.Fprintf(out, "    box session %d\n", p.session)
		}
		for i, end := range p.ends {
			fmt.Fprintf(out, "    participant %s as %s\n", p.lifeline(i), mermaidText(shorten(end, maxName)))
		}
		if len(d.parts) > 1 {
			fmt.Fprintln(out, "    end")
		}
	}
	for _, p := range d.parts {
		p.drawMermaid(out)
	}
	if more := d.missing(); more != "" && len(d.parts) > 0 {
		fmt.Fprintf(out, "    Note over %s: %s\n", d.parts[0].lifeline(0), more)
	}
	return out.Flush()
}

// lifeline returns the name of a lifeline, of which others see nothing.
func (p *part) lifeline(i int) string { return fmt.Sprintf("s%de%d", p.session, i) }

func (p *part) drawMermaid(out io.Writer) {
	host := p.lifeline(0)
	for i, r := range p.rows {
		if i == 0 || p.rows[i-1].turn != r.turn {
			fmt.Fprintf(out, "    Note over %s: turn %d\n", host, r.turn)
		}
		text := mermaidText(r.text)
		arrow := "->>"
		if r.refused {
			fmt.Fprintln(out, "    rect rgb(255, 215, 215)")
			arrow = "-x"
		}
		if r.from == r.to {
			fmt.Fprintf(out, "    Note over %s: %s\n", host, mermaidText(joined(r)))
		} else {
			fmt.Fprintf(out, "    %s%s%s: %s\n", p.lifeline(r.from), arrow, p.lifeline(r.to), text)
		}
		if r.note != "" && r.from != r.to {
			fmt.Fprintf(out, "    Note left of %s: %s\n", host, mermaidText(r.note))
		}
		if r.refused {
			fmt.Fprintln(out, "    end")
		}
	}
}

// mermaidText escapes what has a meaning in Mermaid or in the HTML that it makes.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range safe(safetext.Cut(s, 200)) {
		if strings.ContainsRune("#;:<>&\"'%`{}[]()\\|$_*~", r) {
			fmt.Fprintf(&b, "#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	if b.Len() == 0 {
		return " "
	}
	return b.String()
}
