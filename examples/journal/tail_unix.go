//go:build unix

package journal

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// A tail is the shared memory of the file NAME.tail.
type tail struct {
	file string
	mem  []byte
	used int
}

// newTail makes the file. If memory cannot be shared with it, it returns nil: then each line is written to the
// journal itself.
func newTail(name string) (*tail, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, tailSize)); err != nil { // so that the disk has room for it
		os.Remove(name)
		return nil, err
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, tailSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 { // the header is written by whole words
		return nil, os.Remove(name)
	}
	t := &tail{file: name, mem: mem}
	return t, t.guard(func() { clear(mem) }) // has the memory mapped before it is needed
}

func (t *tail) word(i int) *uint64 { return (*uint64)(unsafe.Pointer(&t.mem[8*i])) }

func (t *tail) room() int { return len(t.mem) - tailHeader - t.used }

func (t *tail) data() []byte { return t.mem[tailHeader : tailHeader+t.used] }

func (t *tail) add(line []byte) error {
	return t.guard(func() {
		copy(t.mem[tailHeader+t.used:], line)
		t.used += len(line)
		atomic.StoreUint64(t.word(2), uint64(t.used))
	})
}

// moved empties the tail; what comes next stands at this offset of the file.
func (t *tail) moved(number uint64, offset int64) error {
	t.used = 0
	return t.guard(func() {
		atomic.StoreUint64(t.word(2), 0)
		atomic.StoreUint64(t.word(0), number)
		atomic.StoreUint64(t.word(1), uint64(offset))
	})
}

// guard returns an error if the memory is gone because someone has made the file shorter, or the disk has failed.
func (t *tail) guard(change func()) (err error) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v", t.file, r)
		}
	}()
	change()
	return nil
}

func (t *tail) remove() error {
	if err := syscall.Munmap(t.mem); err != nil {
		return err
	}
	return os.Remove(t.file)
}
