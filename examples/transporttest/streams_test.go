package transporttest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
)

// relayEnv makes the test binary the child of openChild.
const relayEnv = "TRANSPORTTEST_RELAY"

// A lineConn sends every message as a line over a stream.
type lineConn struct {
	r *bufio.Reader
	w io.Writer
	io.Closer
}

func newLineConn(stream io.ReadWriteCloser) *lineConn {
	return &lineConn{bufio.NewReader(stream), stream, stream}
}

func (c *lineConn) Send(msg []byte) error {
	_, err := c.w.Write(append(bytes.Clone(msg), '\n'))
	return err
}

func (c *lineConn) Recv() ([]byte, error) {
	line, err := c.r.ReadBytes('\n')
	if err != nil {
		return nil, err // also for half a line
	}
	return line[:len(line)-1], nil
}

// A frameConn sends every message with its length before it.
type frameConn struct {
	r *bufio.Reader
	w io.Writer
	io.Closer
}

func newFrames(stream io.ReadWriteCloser) *frameConn {
	return &frameConn{bufio.NewReader(stream), stream, stream}
}

func (c *frameConn) Send(msg []byte) error {
	_, err := c.w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(msg)), uint32(len(msg))), msg...))
	return err
}

func (c *frameConn) Recv() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(c.r, msg)
	return msg, err
}

func openTCP() (host, worker Conn, stop func(), err error) {
	a, b, err := dialTCP()
	if err != nil {
		return nil, nil, nil, err
	}
	return newFrames(a), newFrames(b), nil, nil
}

func openTCPLines() (host, worker Conn, stop func(), err error) {
	a, b, err := dialTCP()
	if err != nil {
		return nil, nil, nil, err
	}
	return newLineConn(a), newLineConn(b), nil, nil
}

func dialTCP() (a, b net.Conn, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	a, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	b, err = listener.Accept()
	if err != nil {
		return nil, nil, errors.Join(err, a.Close())
	}
	return a, b, nil
}

// A duplex is a stream made of two pipes.
type duplex struct {
	io.ReadCloser
	w io.WriteCloser
}

func (d duplex) Write(p []byte) (int, error) { return d.w.Write(p) }
func (d duplex) Close() error                { return errors.Join(d.ReadCloser.Close(), d.w.Close()) }

// openChild has a child process between the ends: the host's is its standard input and output, the
// worker's are two more pipes.
func openChild() (host, worker Conn, stop func(), err error) {
	var r, w [4]*os.File
	for i := range r {
		if r[i], w[i], err = os.Pipe(); err != nil {
			return nil, nil, nil, err
		}
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), relayEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.ExtraFiles = r[0], w[1], []*os.File{r[2], w[3]}
	err = cmd.Start()
	for _, theirs := range []*os.File{r[0], w[1], r[2], w[3]} {
		err = errors.Join(err, theirs.Close())
	}
	if err != nil {
		return nil, nil, nil, err
	}
	stop = func() { _ = cmd.Wait() }
	return &child{newFrames(duplex{r[1], w[0]}), cmd.Process}, newFrames(duplex{r[3], w[2]}), stop, nil
}

// A child is an end at a child process.
type child struct {
	*frameConn
	process *os.Process
}

func killChild(host, _ Conn) { _ = host.(*child).process.Kill() }

// relay is the child. It ends when either side does, and all its pipes with it.
func relay() {
	ended := make(chan error)
	go func() { _, err := io.Copy(os.NewFile(4, "to worker"), os.Stdin); ended <- err }()
	go func() { _, err := io.Copy(os.Stdout, os.NewFile(3, "from worker")); ended <- err }()
	<-ended
}
