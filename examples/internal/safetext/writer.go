package safetext

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// A Writer writes text to another writer, and escapes what could command a terminal: all that is not printable but line
// feeds and tabs, as JSON does, and bytes that are not UTF-8, as Go does. So JSON stays the same JSON. What stands in a
// line of its own is up to the caller, who quotes strings that could have a line feed.
//
// It keeps the beginning of a character back until the rest comes.
type Writer struct {
	To io.Writer

	mu   sync.Mutex
	text []byte // what is to be written
	rest []byte // the beginning of a character
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{To: w} }

// Write writes text.
func (w *Writer) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) == 0 && !slices.ContainsFunc(text, special) {
		return w.To.Write(text)
	}
	b := append(w.rest, text...)
	w.text = w.text[:0]
	for len(b) > 0 && utf8.FullRune(b) {
		r, size := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && size == 1:
			w.text = fmt.Appendf(w.text, `\x%02x`, b[0])
		case r == '\n' || r == '\t' || strconv.IsPrint(r):
			w.text = append(w.text, b[:size]...)
		default:
			w.text = append(w.text, Escape(string(r))...)
		}
		b = b[size:]
	}
	w.rest = append([]byte(nil), b...)
	if _, err := w.To.Write(w.text); err != nil {
		return 0, err
	}
	return len(text), nil
}

// special reports whether a byte is other than printable ASCII, a line feed and a tab.
func special(b byte) bool { return b < ' ' && b != '\n' && b != '\t' || b >= 0x7f }

// Lines passes on what a process writes, such as its standard error, line by line to print: escaped, and of each line no
// more than the beginning.
type Lines struct {
	print func(line string)

	mu   sync.Mutex
	line []byte // that has not ended
	more bool   // it was longer, and has been printed
}

// mostLine is how much is shown of a line, in bytes.
const mostLine = 1000

// NewLines returns a Lines that calls print for each line, without its line feed.
func NewLines(print func(line string)) *Lines { return &Lines{print: print} }

// Write takes a part of the text. It never fails.
func (l *Lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range text {
		switch {
		case b == '\n':
			l.end()
			l.more = false
		case l.more:
		case len(l.line) == mostLine:
			l.line = append(l.line, "…"...)
			l.end()
			l.more = true
		default:
			l.line = append(l.line, b)
		}
	}
	return len(text), nil
}

// Flush prints the beginning of a line whose end does not come.
func (l *Lines) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.end()
	}
	l.more = false
}

func (l *Lines) end() {
	if !l.more {
		line := strings.ReplaceAll(string(l.line), "\t", "    ") // as in the stacks of a panic
		l.print(Printable(line, len(line)))
	}
	l.line = l.line[:0]
}
