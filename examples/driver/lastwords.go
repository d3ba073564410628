package driver

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// lastWords is the end of what a process has written to its standard error.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

// mostWords is how much is kept, in bytes.
const mostWords = 4 << 10

// collect reads until there is nothing more.
func (w *lastWords) collect(r io.Reader) {
	buf := make([]byte, mostWords)
	for {
		n, err := r.Read(buf)
		w.mu.Lock()
		w.text = append(w.text, buf[:n]...)
		w.text = slices.Delete(w.text, 0, max(0, len(w.text)-mostWords))
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// String returns the last lines, quoted, on one line; "" if nothing was written. A Go program says first why it ends,
// and then where, so that the line that does is shown as well.
func (w *lastWords) String() string {
	const most = 8
	var lines []string
	w.mu.Lock()
	for line := range strings.Lines(string(w.text)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, safetext.Cut(line, 200))
		}
	}
	w.mu.Unlock()
	if from := len(lines) - most; from > 0 {
		last := lines[from:]
		if i := slices.IndexFunc(lines[:from], isReason); i >= 0 {
			last = append([]string{lines[i], "..."}, last...)
		}
		lines = last
	}
	if len(lines) == 0 {
		return ""
	}
	return strconv.Quote(strings.Join(lines, " | "))
}

// isReason reports whether a line is the one in which the runtime of Go says why it ends the program.
func isReason(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")
}
