package benchrpc

import (
	"errors"
	"net"
	"os"
	"time"
)

// A pipe is one end of a connection of two pipes of the operating system, one in each direction, as a child process has
// them. It is a net.Conn, because gRPC needs one.
type pipe struct {
	in, out *os.File
}

var _ net.Conn = pipe{}

func newPipe() (host, worker pipe, err error) {
	if host.in, worker.out, err = os.Pipe(); err != nil {
		return
	}
	if worker.in, host.out, err = os.Pipe(); err != nil {
		_ = worker.out.Close()
		_ = host.in.Close()
	}
	return
}

func (p pipe) Read(b []byte) (int, error)         { return p.in.Read(b) }
func (p pipe) Write(b []byte) (int, error)        { return p.out.Write(b) }
func (p pipe) Close() error                       { return errors.Join(p.in.Close(), p.out.Close()) }
func (p pipe) SetReadDeadline(t time.Time) error  { return p.in.SetReadDeadline(t) }
func (p pipe) SetWriteDeadline(t time.Time) error { return p.out.SetWriteDeadline(t) }
func (p pipe) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}
func (p pipe) LocalAddr() net.Addr  { return pipeAddr{} }
func (p pipe) RemoteAddr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
