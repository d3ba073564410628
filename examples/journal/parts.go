package journal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Part is one file of a journal, to be read from its beginning. Read may be called again after it has returned
// io.EOF: if the file has grown meanwhile, it goes on.
type Part struct {
	Name   string
	base   string
	number uint64
	file   *os.File
	at     int64
}

// Files returns the files of a journal in their order: NAME, NAME.1 and so on, as far as they have not been deleted.
// A Part also reads what is still in NAME.tail, so a journal can be read while it is being written, and after a
// crash. For any other file it returns that one. A file is opened when it is first read; one that has been deleted by
// then (Options.MaxFiles) is empty.
func Files(name string) []*Part {
	first, last := parts(name)
	var all []*Part
	for n := first; n <= last; n++ {
		all = append(all, &Part{Name: partName(name, n), base: name, number: n})
	}
	return all
}

// Next returns the file after p; nil if there is none yet.
func (p *Part) Next() *Part {
	next := &Part{Name: partName(p.base, p.number+1), base: p.base, number: p.number + 1}
	if _, err := os.Stat(next.Name); err != nil {
		return nil
	}
	return next
}

// parts returns the numbers of the first and last file that there are; 0 if there are none.
func parts(base string) (first, last uint64) {
	dir, name := filepath.Split(base)
	if dir == "" {
		dir = "."
	}
	_, err := os.Stat(base)
	found := err == nil
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), name+".")
		n, err := strconv.ParseUint(suffix, 10, 64)
		if !ok || err != nil || partName(base, n) != base+"."+suffix {
			continue
		}
		last = max(last, n)
		if !found || first > n {
			found, first = true, n
		}
	}
	if _, err := os.Stat(base); err == nil {
		first = 0
	}
	return first, last
}

// Read reads the file and then its tail. It opens the file, even to read no bytes.
func (p *Part) Read(b []byte) (int, error) {
	if p.file == nil {
		f, err := os.Open(p.Name)
		if errors.Is(err, fs.ErrNotExist) {
			if _, last := parts(p.base); last > p.number {
				return 0, io.EOF
			}
		}
		if err != nil {
			return 0, err
		}
		p.file = f
	}
	if len(b) == 0 {
		return 0, nil
	}
	for range 2 { // between the first look at the file and that at the tail, the tail may have been written to the file
		n, err := p.read(b)
		if n == 0 && (err == nil || err == io.EOF) {
			n, err = readTail(p.base+".tail", p.number, p.at, b)
		}
		if n > 0 {
			p.at += int64(n)
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

// read reads what has no offsets, such as a pipe, from where it is.
func (p *Part) read(b []byte) (int, error) {
	n, err := p.file.ReadAt(b, p.at)
	if n == 0 && err != nil && err != io.EOF {
		if info, cannot := p.file.Stat(); cannot == nil && !info.Mode().IsRegular() {
			return p.file.Read(b)
		}
	}
	return n, err
}

// Close closes the file.
func (p *Part) Close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}
