package journal

import (
	"encoding/binary"
	"io"
	"os"
)

// The file NAME.tail begins with three numbers of 64 bits, little end first: the number of the file whose
// continuation it has, the offset at which that stands in the file, and its length. The continuation follows.
//
// They are changed in an order that leaves the journal whole wherever the program crashes: a line is copied before
// the length says so; when the tail has been written to the file, its length becomes 0 before the offset moves, and
// until then a reader sees by the size of the file which part of the tail it has already.
const (
	tailHeader = 24
	tailSize   = 64 << 10
)

// readTail reads what a tail has beyond an offset of a file. With none, n is 0.
func readTail(name string, number uint64, at int64, p []byte) (n int, err error) {
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	defer f.Close()
	for {
		before, ok := readTailHeader(f)
		if !ok || before.number != number || at < before.offset || at >= before.offset+before.length {
			return 0, nil
		}
		want := min(int64(len(p)), before.offset+before.length-at)
		n, err = f.ReadAt(p[:want], tailHeader+at-before.offset)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if after, ok := readTailHeader(f); !ok || after.number == before.number && after.offset == before.offset && after.length >= before.length {
			return n, nil
		} // or else the tail has been written to the file meanwhile
	}
}

type tailState struct {
	number         uint64
	offset, length int64
}

func readTailHeader(f io.ReaderAt) (s tailState, ok bool) {
	var h [tailHeader]byte
	if _, err := f.ReadAt(h[:], 0); err != nil {
		return s, false
	}
	s.number = binary.LittleEndian.Uint64(h[:])
	s.offset = int64(binary.LittleEndian.Uint64(h[8:]))
	s.length = int64(binary.LittleEndian.Uint64(h[16:]))
	return s, s.offset >= 0 && 0 <= s.length && s.length <= tailSize-tailHeader
}
