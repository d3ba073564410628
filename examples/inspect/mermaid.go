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
	for i, end := range d.ends {
		fmt.Fprintf(out, "    participant e%d as %s\n", i, mermaidText(shorten(end, maxName)))
	}
	turn := uint64(0)
	for i, r := range d.rows {
		if i == 0 || r.turn != turn {
			turn = r.turn
			fmt.Fprintf(out, "    Note over e0: turn %d\n", turn)
		}
		text := mermaidText(r.text)
		arrow := "->>"
		if r.refused {
			fmt.Fprintln(out, "    rect rgb(255, 215, 215)")
			arrow = "-x"
		}
		if r.from == r.to {
			fmt.Fprintf(out, "    Note over e0: %s\n", mermaidText(joined(r)))
		} else {
			fmt.Fprintf(out, "    e%d%se%d: %s\n", r.from, arrow, r.to, text)
		}
		if r.note != "" && r.from != r.to {
			fmt.Fprintf(out, "    Note left of e0: %s\n", mermaidText(r.note))
		}
		if r.refused {
			fmt.Fprintln(out, "    end")
		}
	}
	if more := d.missing(); more != "" {
		fmt.Fprintf(out, "    Note over e0: %s\n", more)
	}
	return out.Flush()
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
