package transporttest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// README: begin

// lines carries a message in each line.
type lines struct {
	net.Conn
	r *bufio.Reader
}

func (l lines) Send(msg []byte) error {
	_, err := l.Write(append(bytes.Clone(msg), '\n'))
	return err
}

func (l lines) Recv() ([]byte, error) { return l.r.ReadBytes('\n') }

func openLines() (host, worker transporttest.Conn, stop func(), err error) {
	a, b := net.Pipe()
	return lines{a, bufio.NewReader(a)}, lines{b, bufio.NewReader(b)}, nil, nil
}

func TestLines(t *testing.T) { transporttest.Test(t, openLines, transporttest.WithText()) }

// README: end

func ExampleTest() {
	// func TestLines(t *testing.T) { transporttest.Test(t, openLines, transporttest.WithText()) }
}

func ExampleCheck() {
	err := transporttest.Check(openLines, transporttest.WithText(), transporttest.WithBudget(1_000))
	fmt.Println(err)
	// Output: <nil>
}
