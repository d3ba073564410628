package transporttest

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// relayEnv makes the test binary the child of openChild.
const relayEnv = "TRANSPORTTEST_RELAY"

func TestMain(m *testing.M) {
	if os.Getenv(relayEnv) != "" {
		relay()
		return
	}
	flag.Parse()
	_ = flag.Set("rapid.nofailfile", "true") // most failures here are what the test wants
	if os.Getenv(lossyEnv) == "" {
		_ = flag.Set("rapid.shrinktime", "100ms") // the diagnosis is enough
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or the race detector has each child linger for a second
	os.Exit(m.Run())
}

func TestGoChannelsPass(t *testing.T)   { Test(t, openChannels) }
func TestLinesOverTCPPass(t *testing.T) { Test(t, openTCP) }

func TestPipesOfAChildProcessPass(t *testing.T) {
	checks := flag.Lookup("rapid.checks").Value
	n := checks.String()
	require.NoError(t, checks.Set("30")) // each starts a process
	defer func() { _ = checks.Set(n) }()
	Test(t, openChild)
}

// A channelConn is an end of two Go channels.
type channelConn struct {
	in, out chan []byte
	closed  chan struct{} // shared by both ends
	once    *sync.Once
}

var errClosed = errors.New("closed")

func newChannels(capacity int) (host, worker *channelConn) {
	a, b, closed, once := make(chan []byte, capacity), make(chan []byte, capacity), make(chan struct{}), new(sync.Once)
	return &channelConn{a, b, closed, once}, &channelConn{b, a, closed, once}
}

func openChannels() (host, worker Conn, stop func(), err error) {
	host, worker = newChannels(8)
	return host, worker, func() {}, nil
}

func (c *channelConn) Send(msg []byte) error {
	select {
	case <-c.closed: // select picks any case that is ready
		return errClosed
	default:
	}
	select {
	case c.out <- bytes.Clone(msg):
		return nil
	case <-c.closed:
		return errClosed
	}
}

func (c *channelConn) Recv() ([]byte, error) {
	select {
	case msg := <-c.in:
		return msg, nil
	case <-c.closed:
		return nil, errClosed
	}
}

func (c *channelConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

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

func openTCP() (host, worker Conn, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	defer listener.Close()
	a, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, nil, nil, err
	}
	b, err := listener.Accept()
	if err != nil {
		return nil, nil, nil, errors.Join(err, a.Close())
	}
	return newLineConn(a), newLineConn(b), func() {}, nil
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
	return newLineConn(duplex{r[1], w[0]}), newLineConn(duplex{r[3], w[2]}), stop, nil
}

// relay is the child. It ends when either side does, and all its pipes with it.
func relay() {
	ended := make(chan error)
	go func() { _, err := io.Copy(os.NewFile(4, "to worker"), os.Stdin); ended <- err }()
	go func() { _, err := io.Copy(os.Stdout, os.NewFile(3, "from worker")); ended <- err }()
	<-ended
}
