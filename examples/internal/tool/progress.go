package tool

import (
	"io"
	"os"
	"sync"

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// A Progress is the last line of a terminal, and shows how far a program is. What is written to the Progress, or through
// it, stands above. Without a terminal there is no such line.
type Progress struct {
	mu   sync.Mutex
	file *os.File // nil without a terminal
	safe io.Writer
	line string
}

// NewProgress returns a Progress on the terminal that f is.
func NewProgress(f *os.File) *Progress {
	p := &Progress{safe: safetext.NewWriter(f)}
	if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" {
		p.file = f
	}
	return p
}

// Show changes the line. An empty one is cleared.
func (p *Progress) Show(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.line = line
	p.draw()
}

// Write writes lines, escaped.
func (p *Progress) Write(lines []byte) (int, error) { return p.write(p.safe, lines) }

// Above returns a writer to w, which may be the same terminal.
func (p *Progress) Above(w io.Writer) io.Writer { return above{p, safetext.NewWriter(w)} }

type above struct {
	p *Progress
	w io.Writer
}

func (a above) Write(lines []byte) (int, error) { return a.p.write(a.w, lines) }

func (p *Progress) write(w io.Writer, lines []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	defer p.draw()
	return w.Write(lines)
}

func (p *Progress) clear() {
	if p.file != nil && p.line != "" {
		_, _ = p.file.WriteString("\r\x1b[K")
	}
}

// draw draws the line, as much of it as fits: it could not be cleared if the terminal had broken it.
func (p *Progress) draw() {
	if p.file == nil || p.line == "" {
		return
	}
	columns := columns(p.file.Fd())
	if columns == 0 {
		columns = 80
	}
	_, _ = p.file.WriteString(Cut(safetext.Escape(p.line), columns-1))
}
