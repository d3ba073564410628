package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// files is the store of Create: the files NAME, NAME.1, NAME.2 and so on. Unless each step is synced, lines are first
// kept in the tail, which is shared memory of the file NAME.tail and so survives a crash of the program without a
// system call for each line.
type files struct {
	base     string
	number   uint64 // of the present file
	oldest   uint64 // of the files that are left
	file     *os.File
	size     int64 // of the present file, with what is in the tail
	maxBytes int64
	maxFiles int
	sync     bool
	tail     *tail // nil if there is none
}

// partName returns the name of one file of a journal.
func partName(base string, number uint64) string {
	if number == 0 {
		return base
	}
	return base + "." + strconv.FormatUint(number, 10)
}

func createFiles(base string, o *Options) (*files, error) {
	f := &files{base: base, maxBytes: o.MaxFileBytes, maxFiles: o.MaxFiles, sync: o.Sync}
	if err := f.recover(); err != nil {
		return nil, err
	}
	if !o.Sync {
		var err error
		if f.tail, err = newTail(base + ".tail"); err != nil {
			f.file.Close()
			return nil, err
		}
		if f.tail != nil {
			if err := f.tail.moved(f.number, f.size); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// recover opens the last file for appending, with what a crash has left in the tail.
func (f *files) recover() error {
	f.oldest, f.number = parts(f.base)
	file, err := os.OpenFile(partName(f.base, f.number), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	f.file = file
	err = f.repair()
	if err != nil {
		file.Close()
	}
	return err
}

func (f *files) repair() error {
	if info, err := f.file.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		_, err := f.file.Seek(0, io.SeekStart)
		return errors.Join(fmt.Errorf("%w: %q is not a regular file", ErrNotJournal, f.base), err)
	}
	p := &Part{Name: f.file.Name(), base: f.base, number: f.number, file: f.file}
	start := make([]byte, len(headPrefix))
	n, err := io.ReadFull(p, start)
	if n > 0 && string(start[:n]) != headPrefix[:n] {
		return fmt.Errorf("%w: %q", ErrNotJournal, f.file.Name())
	}
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	// Append the tail, then cut the file after its last whole line.
	main, err := f.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	p.at = main
	rest, err := io.ReadAll(p)
	if err == nil && len(rest) > 0 {
		_, err = f.file.WriteAt(rest, main)
	}
	if err != nil {
		return err
	}
	if err := os.Remove(f.base + ".tail"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	end, err := lastLine(f.file, main+int64(len(rest)))
	if err != nil {
		return err
	}
	if err := f.file.Truncate(end); err != nil {
		return err
	}
	f.size = end
	_, err = f.file.Seek(end, io.SeekStart)
	return err
}

// lastLine returns the offset after the last line feed in the first size bytes.
func lastLine(f io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, 64<<10)
	for size > 0 {
		from := max(0, size-int64(len(block)))
		n, err := f.ReadAt(block[:size-from], from)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if at := bytes.LastIndexByte(block[:n], '\n'); at >= 0 {
			return from + int64(at) + 1, nil
		}
		size = from
	}
	return 0, nil
}

func (f *files) name() string { return partName(f.base, f.number) }

func (f *files) full(line int) bool {
	return f.maxBytes > 0 && f.size > 0 && f.size+int64(line) > f.maxBytes
}

func (f *files) keep(line []byte) error {
	if f.tail != nil && len(line) > f.tail.room() {
		if err := f.flush(); err != nil {
			return err
		}
	}
	f.size += int64(len(line))
	if f.tail != nil && len(line) <= f.tail.room() {
		return f.tail.add(line)
	}
	if err := writeAll(f.file, line); err != nil {
		return err
	}
	if f.tail != nil {
		return f.tail.moved(f.number, f.size)
	}
	if f.sync {
		return f.file.Sync()
	}
	return nil
}

// flush moves the tail to the file.
func (f *files) flush() error {
	if f.tail == nil {
		return nil
	}
	data := f.tail.data()
	if err := writeAll(f.file, data); err != nil {
		return err
	}
	return f.tail.moved(f.number, f.size)
}

func (f *files) next() error {
	if err := f.flush(); err != nil {
		return err
	}
	file, err := os.OpenFile(partName(f.base, f.number+1), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	err = f.file.Close()
	f.file, f.size, f.number = file, 0, f.number+1
	if f.tail != nil && err == nil {
		err = f.tail.moved(f.number, 0)
	}
	return err
}

func (f *files) present() uint64 { return f.number }

func (f *files) trim(needed uint64) (err error) {
	for f.maxFiles > 0 && f.number-f.oldest >= uint64(f.maxFiles) && f.oldest < needed {
		gone := os.Remove(partName(f.base, f.oldest))
		if gone != nil && !errors.Is(gone, fs.ErrNotExist) && err == nil {
			err = gone
		}
		f.oldest++
	}
	return err
}

func (f *files) close() error {
	err := f.flush()
	if closed := f.file.Close(); err == nil {
		err = closed
	}
	if f.tail != nil && err == nil { // or what is in it would be lost
		err = f.tail.remove()
	}
	return err
}
