package transporttest_test

import (
	"bufio"
	"bytes"
	"net"
	"testing"

	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// A lines is a transport: one message a line.
type lines struct {
	net.Conn
	r *bufio.Reader
}

func (l lines) Send(msg []byte) error {
	_, err := l.Write(append(msg[:len(msg):len(msg)], '\n'))
	return err
}

func (l lines) Recv() ([]byte, error) {
	line, err := l.r.ReadBytes('\n')
	return bytes.TrimSuffix(line, []byte("\n")), err
}

func openLines() (host, worker transporttest.Conn, stop func(), err error) {
	a, b := net.Pipe()
	return lines{a, bufio.NewReader(a)}, lines{b, bufio.NewReader(b)}, nil, nil
}

// In a test file of yours this is func TestLines(t *testing.T).
var t *testing.T

func ExampleTest() {
	transporttest.Test(t, openLines)
}
