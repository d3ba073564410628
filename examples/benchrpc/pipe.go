package benchrpc

import (
	"errors"
	"os"
)

// A pipe is one end of a connection of two pipes, one in each direction.
type pipe struct {
	in, out *os.File
}

func newPipe() (host, worker pipe, err error) {
	if host.in, worker.out, err = os.Pipe(); err != nil {
		return
	}
	if worker.in, host.out, err = os.Pipe(); err != nil {
		worker.out.Close()
		host.in.Close()
	}
	return
}

func (p pipe) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p pipe) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p pipe) Close() error                { return errors.Join(p.in.Close(), p.out.Close()) }
