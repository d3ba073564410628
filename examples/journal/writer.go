package journal

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
)

// Options are how a Writer keeps a journal. The zero value keeps everything in one file.
type Options struct {
	// Sync has every step on the disk before its call returns, so that it survives a crash of the machine. It takes
	// as long as the disk takes, often milliseconds.
	Sync bool

	// MaxFileBytes begins a new file when the next line would make the present one larger: after NAME come NAME.1,
	// NAME.2 and so on. A line is never divided, so a line that is longer has a file of its own. 0 is no limit.
	MaxFileBytes int64

	// MaxFiles deletes the oldest files so that at most so many are left, the present one included, but no file in
	// which a session began that still goes on: so every session that goes on can be replayed. A journal is bounded
	// only if its sessions are short: a host has driver.WithRecycle for that, with an age, as there may be workers
	// without calls. What is left in later files of a session whose beginning has been deleted can be looked at, but
	// not replayed. 0 keeps all.
	MaxFiles int

	// DigestOver replaces payloads of more bytes by their size and SHA-256. 0 keeps all payloads. See the package
	// comment for what replaying can then still check.
	DigestOver int

	// OnError is called once, with the first error, by the call that could not be recorded. It must not call the
	// Writer or a Recorder. Nil is allowed.
	OnError func(*WriteError)
}

// ErrOptions is the kind of the error of Create and NewWriter for options that are out of range.
var ErrOptions = errors.New("journal: options out of range")

// ErrNotJournal is the kind of the error of Create for an existing file that is not a journal.
var ErrNotJournal = errors.New("journal: the file exists and is not a journal")

// A WriteError says that a journal could not be written. The session that it records is not disturbed. Nothing is
// recorded after it, as a journal with a gap cannot be replayed. Unwrap gives the cause, such as syscall.ENOSPC, or
// os.ErrClosed for a call after Close.
type WriteError struct {
	File string // "" for a Writer that NewWriter made
	Err  error
}

// Error returns a description of one line.
func (e *WriteError) Error() string {
	if e.File == "" {
		return "journal: cannot write: " + e.Err.Error()
	}
	return fmt.Sprintf("journal: cannot write %q: %v", e.File, e.Err)
}

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }

// A Writer writes a journal of steps, one line each. Its methods may be called from any goroutine.
type Writer struct {
	digestOver int
	onError    func(*WriteError)

	mu       sync.Mutex
	store    store
	err      *WriteError
	sessions uint64
	open     map[uint64]*session // the next file has to begin with their heads
}

// A store keeps lines. When keep returns, a line survives a crash of the program.
type store interface {
	full(line int) bool // whether a new file has to begin before a line of this length
	next() error        // begins a new file
	present() uint64    // its number
	keep(line []byte) error
	trim(needed uint64) error // deletes files that are too many, of those before this number
	close() error
	name() string
}

// NewWriter returns a Writer that writes to w, in one call of Write for each line. Sync calls w's method Sync, if it
// has one. There are no files, so MaxFileBytes and MaxFiles must be 0.
func NewWriter(w io.Writer, o Options) (*Writer, error) {
	if o.MaxFileBytes != 0 || o.MaxFiles != 0 {
		return nil, fmt.Errorf("%w: there are no files to limit", ErrOptions)
	}
	return newWriter(&stream{w: w, sync: o.Sync}, o)
}

// Create returns a Writer to the file of that name, which is made if there is none. To an existing journal it
// appends; of what a crash has left there, a line that is not complete is removed. Close it when the last session
// has ended. Beside the file there is one with the name NAME.tail until then, which belongs to the journal (see
// Files). Two Writers must not write to the same journal.
//
// It returns ErrOptions, ErrNotJournal, or the error of the file system.
func Create(name string, o Options) (*Writer, error) {
	if o.MaxFileBytes < 0 || o.MaxFiles < 0 || o.MaxFiles > 0 && o.MaxFileBytes == 0 {
		return nil, fmt.Errorf("%w: MaxFileBytes %d and MaxFiles %d", ErrOptions, o.MaxFileBytes, o.MaxFiles)
	}
	if o.DigestOver < 0 {
		return newWriter(nil, o)
	}
	files, err := createFiles(name, &o)
	if err != nil {
		return nil, err
	}
	return newWriter(files, o)
}

func newWriter(s store, o Options) (*Writer, error) {
	if o.DigestOver < 0 {
		return nil, fmt.Errorf("%w: DigestOver is %d", ErrOptions, o.DigestOver)
	}
	return &Writer{digestOver: o.DigestOver, onError: o.OnError, store: s, open: map[uint64]*session{}}, nil
}

// Err returns a *WriteError if the journal could not be written, and nil otherwise.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	return nil
}

// Close completes the journal and closes its file. A step that comes later makes Err return os.ErrClosed. Calling
// Close again does nothing. It returns Err.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.store != nil {
		w.fail(w.store.close())
		w.store = closed{w.store.name()}
	}
	if w.err != nil {
		return w.err
	}
	return nil
}

// fail keeps the first error.
func (w *Writer) fail(err error) {
	if err == nil || w.err != nil {
		return
	}
	w.err = &WriteError{w.store.name(), err}
	if w.onError != nil {
		w.onError(w.err)
	}
}

func (w *Writer) begin(h head, state func() after) *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions++
	s := newSession(w, w.sessions, h)
	s.state = state
	w.keep(s.begin(&s.line))
	s.file = w.store.present()
	w.open[s.number] = s
	return s
}

func (w *Writer) step(s *session) {
	sealed := s.line.seal()
	w.mu.Lock()
	w.keep(sealed)
	s.steps++
	w.mu.Unlock()
}

func (w *Writer) end(s *session) {
	sealed := s.line.seal()
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, is := w.store.(closed); !is {
		w.keep(sealed)
	}
	delete(w.open, s.number) // after the end, which may begin a file: the beginning may be deleted
	w.trim()
}

// trim deletes the oldest files, up to that in which a session began that goes on.
func (w *Writer) trim() {
	needed := w.store.present()
	for _, s := range w.open {
		needed = min(needed, s.file)
	}
	if w.err == nil {
		w.fail(w.store.trim(needed))
	}
}

// keep keeps a line, in a new file if the present one is full. That begins with the sessions that are open.
func (w *Writer) keep(sealed []byte) {
	if w.err != nil {
		return
	}
	if w.store.full(len(sealed)) {
		err := w.store.next()
		var l line
		for _, number := range slices.Sorted(maps.Keys(w.open)) {
			if err == nil {
				err = w.store.keep(w.open[number].begin(&l))
			}
		}
		if w.fail(err); err != nil {
			return
		}
		w.trim()
	}
	w.fail(w.store.keep(sealed))
}

// closed is the store of a Writer that has been closed.
type closed struct{ file string }

func (closed) full(int) bool     { return false }
func (closed) present() uint64   { return 0 }
func (closed) trim(uint64) error { return nil }
func (closed) next() error       { return os.ErrClosed }
func (closed) keep([]byte) error { return os.ErrClosed }
func (closed) close() error      { return nil }
func (c closed) name() string    { return c.file }

// A stream is the store of NewWriter.
type stream struct {
	w    io.Writer
	sync bool
}

func (*stream) full(int) bool     { return false }
func (*stream) present() uint64   { return 0 }
func (*stream) trim(uint64) error { return nil }
func (*stream) next() error       { return nil }
func (*stream) close() error      { return nil }
func (*stream) name() string      { return "" }

func (s *stream) keep(line []byte) error {
	if err := writeAll(s.w, line); err != nil {
		return err
	}
	if f, ok := s.w.(interface{ Sync() error }); ok && s.sync {
		return f.Sync()
	}
	return nil
}

func writeAll(w io.Writer, data []byte) error {
	n, err := w.Write(data)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	return err
}
