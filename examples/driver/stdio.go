package driver

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// original are the standard files of this process. Without a reference the garbage collector would close them.
var original = [...]*os.File{os.Stdin, os.Stdout}

// Stdio returns a connection that carries messages as lines over the standard input and output of this process, for the
// worker that Start has started. Call it once, and early: from then on the standard input is empty, and what the
// program, a library, C code or a child prints to the standard output goes to the standard error, so that it does not
// come between the messages. No child inherits the connection.
//
// If a program, such as a test of a worker, has put pipes or sockets in the place of both os.Stdin and os.Stdout, the
// connection is over these, and the standard files of the process stay what they are.
//
// If the standard files cannot be moved, Recv and Send of the connection return the reason.
func Stdio() Conn {
	var in, out *os.File
	var err error
	switch {
	case os.Stdin != original[0] && os.Stdout != original[1] && os.Stdout != os.Stderr && isStream(os.Stdin) && isStream(os.Stdout):
		in, out = os.Stdin, os.Stdout
		os.Stdin, os.Stdout = original[0], os.Stderr
	case taken.Swap(true):
		err = errors.New("Stdio was called before")
	default:
		in, out, err = takeStdio()
	}
	survivePipe()
	if err != nil {
		none := noStdio{fmt.Errorf("driver: no connection over the standard files: %w", err)}
		return newLines(none, none, func() error { return nil })
	}
	return newLines(in, out, func() error { return errors.Join(in.Close(), out.Close()) })
}

// taken says that the standard files have been moved.
var taken atomic.Bool

// isStream reports whether a file is a pipe or a socket, and so may be a connection.
func isStream(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}

// noStdio is read and written in place of standard files that could not be moved.
type noStdio struct{ why error }

func (n noStdio) Read([]byte) (int, error)  { return 0, n.why }
func (n noStdio) Write([]byte) (int, error) { return 0, n.why }
