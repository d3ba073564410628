package tool

import (
	"bytes"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// Columns returns how many columns the terminal has that w writes to; 0 if that is no terminal.
func Columns(w io.Writer) int {
	if safe, ok := w.(*safetext.Writer); ok {
		w = safe.To
	}
	if f, ok := w.(*os.File); ok {
		return columns(f.Fd())
	}
	return 0
}

// width returns how many columns a character takes.
func width(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana),
		0x3000 <= r && r <= 0x303e, 0xff01 <= r && r <= 0xff60, 0x1f300 <= r && r <= 0x1faff:
		return 2
	}
	return 1
}

// Cut cuts a line to so many columns; not at all to 0.
func Cut(line string, columns int) string {
	at := 0
	for i, r := range line {
		if at += width(r); at > columns && columns > 0 {
			return line[:i]
		}
	}
	return line
}

// Wrap breaks lines that have more columns than that, at a space if there is one, and indents what goes on in the next
// line. It does not break lines for 0 columns. The text it returns ends with a line feed.
func Wrap(text string, columns, indent int) string {
	if columns > 0 && indent > columns/2 {
		indent = min(4, columns/4)
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		begin := len(line) - len(strings.TrimLeft(line, " "))
		for head := Cut(line, columns); len(head) < len(line) && len(head) > begin; head = Cut(line, columns) {
			rest := line[len(head):]
			if space := strings.LastIndexByte(head[begin:], ' '); rest[0] != ' ' && space > 0 {
				head, rest = head[:begin+space], line[begin+space:]
			}
			b.WriteString(strings.TrimRight(head, " ") + "\n")
			line, begin = strings.Repeat(" ", indent)+strings.TrimLeft(rest, " "), indent
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// A Wrapper breaks the lines that are written to it as Wrap does.
type Wrapper struct {
	To      io.Writer
	Columns int
	Indent  int // of what goes on in the next line
	line    []byte
}

func (w *Wrapper) Write(text []byte) (int, error) {
	w.line = append(w.line, text...)
	end := bytes.LastIndexByte(w.line, '\n') + 1
	if _, err := io.WriteString(w.To, Wrap(string(w.line[:end]), w.Columns, w.Indent)); err != nil {
		return 0, err
	}
	w.line = append(w.line[:0], w.line[end:]...)
	return len(text), nil
}
