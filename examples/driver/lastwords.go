package driver

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// lastWords is the end of what a process has written to its standard error.
type lastWords struct {
	mu     sync.Mutex
	text   []byte
	line   []byte // the beginning of the line that is being written
	reason string // the last line that says why a Go program ends
	since  int    // how many bytes have been written since
}

const (
	mostWords = 4 << 10 // how much is kept, in bytes
	mostTrace = 1 << 20 // how much a Go program may write after the reason, which is its stacks
	mostLine  = 200     // how much is shown of a line
)

// collect reads until there is nothing more.
func (w *lastWords) collect(r io.Reader) {
	buf := make([]byte, mostWords)
	for {
		n, err := r.Read(buf)
		w.mu.Lock()
		w.findReason(buf[:n])
		w.text = append(w.text, buf[:n]...)
		w.text = slices.Delete(w.text, 0, max(0, len(w.text)-mostWords))
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// findReason keeps the line in which the runtime of Go says why it ends the program. It says so first, and then where,
// which may take more than is kept.
func (w *lastWords) findReason(text []byte) {
	w.since += len(text)
	for line := range bytes.Lines(text) {
		w.line = append(w.line, line[:min(len(line), mostWords-len(w.line))]...)
		if line[len(line)-1] != '\n' {
			return
		}
		if isReason(w.line) {
			w.reason, w.since = shown(string(w.line)), 0
		}
		w.line = w.line[:0]
	}
}

func isReason(line []byte) bool {
	for _, start := range []string{"panic: ", "fatal error: ", "SIG"} { // such as "SIGABRT: abort"
		if bytes.HasPrefix(line, []byte(start)) {
			return bytes.Contains(line, []byte(": "))
		}
	}
	return false
}

// shown returns what is shown of a line: both ends if it is long, as one that is never ended may tell the latest last.
func shown(line string) string {
	if line = strings.TrimSpace(line); len(line) <= mostLine {
		return line
	}
	return strings.ToValidUTF8(line[:mostLine/2], "") + "..." + strings.ToValidUTF8(line[len(line)-mostLine/2:], "")
}

// String returns the last lines, quoted, on one line, and before them why a Go program has ended; "" if nothing was
// written.
func (w *lastWords) String() string {
	const most = 8
	var lines []string
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(string(w.text)) {
		if line = shown(line); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	lines = lines[max(0, len(lines)-most):]
	if w.reason != "" && w.since < mostTrace && !slices.Contains(lines, w.reason) {
		lines = append([]string{w.reason, "..."}, lines...)
	}
	return strconv.Quote(strings.Join(lines, " | "))
}
