//go:build unix

package driver

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// The two are the same interface: what passes the harness plugs into the driver, and the other way round.
var (
	_ Conn               = transporttest.Conn(nil)
	_ transporttest.Conn = Conn(nil)
)

// harnessBudget is for how many messages the harness tests a transport.
func harnessBudget() int {
	if *full && !raceEnabled {
		return 3000
	}
	return 300
}

func TestTransportsPassTheHarness(t *testing.T) {
	lines := func(pair func() (a, b io.ReadWriteCloser, err error)) func() (a, b Conn, err error) {
		return func() (Conn, Conn, error) {
			a, b, err := pair()
			if err != nil {
				return nil, nil, err
			}
			return Lines(a), Lines(b), nil
		}
	}
	text := transporttest.WithText()
	for _, transport := range []struct {
		name string
		open func() (Conn, Conn, error)
		opts []transporttest.Option
	}{
		{"pipe without a buffer", func() (Conn, Conn, error) { a, b := Pipe(0); return a, b, nil }, nil},
		{"pipe with a buffer", func() (Conn, Conn, error) { a, b := Pipe(7); return a, b, nil }, nil},
		{"lines over net.Pipe", lines(func() (a, b io.ReadWriteCloser, err error) { a, b = net.Pipe(); return a, b, nil }), []transporttest.Option{text}},
		{"lines over a socket pair", lines(socketPair), []transporttest.Option{text}},
		{"lines over TCP", lines(tcpPair), []transporttest.Option{text}},
	} {
		t.Run(transport.name, func(t *testing.T) {
			switch transport.name {
			case "lines over TCP":
			case "pipe without a buffer", "lines over a socket pair":
				if testing.Short() {
					t.Skip("-short")
				}
			default:
				if !*full && !raceEnabled {
					t.Skip("needs -full or -race")
				}
			}
			opts := append(transport.opts, transporttest.WithBudget(harnessBudget()))
			if !*full {
				opts = append(opts, transporttest.WithMaxMessage(100_000))
			}
			transporttest.Test(t, func() (host, worker transporttest.Conn, stop func(), err error) {
				a, b, err := transport.open()
				return a, b, nil, err
			}, opts...)
		})
	}
}

func socketPair() (a, b io.ReadWriteCloser, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd) // or a worker would hold the host's end
		err = errors.Join(err, syscall.SetNonblock(fd, true))
	}
	return os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b"), err
}

const relayEnv = "WORKERCHANNEL_DRIVER_TEST_RELAY"

// relay is a process that carries messages between its Stdio and the socket of the test that has started it, at
// which the test has the worker's end.
func relay() {
	host := Stdio()
	socket, err := net.Dial("unix", os.Getenv(relayEnv))
	if err != nil {
		os.Exit(1)
	}
	worker := Lines(socket)
	carry := func(from, to Conn) {
		for {
			msg, err := from.Recv()
			if err != nil || to.Send(msg) != nil {
				os.Exit(0)
			}
		}
	}
	go carry(host, worker)
	carry(worker, host)
}

// relayed is the worker's end of a connection to a process that relays.
type relayed struct {
	Conn
	process *process
}

func TestProcessesPassTheHarness(t *testing.T) {
	if testing.Short() {
		t.Skip("tests a transport with many processes; run it without -short")
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer l.Close()
	transporttest.Test(t, func() (host, worker transporttest.Conn, stop func(), err error) {
		cmd := command(t, "relays")
		cmd.Env = append(cmd.Env, relayEnv+"="+l.Addr().String())
		host, err = Start(cmd)
		if err != nil {
			return nil, nil, nil, err
		}
		socket, err := l.Accept()
		if err != nil {
			return nil, nil, nil, errors.Join(err, host.Close())
		}
		return host, relayed{Lines(socket), host.(*process)}, nil, nil
	}, transporttest.WithText(), transporttest.WithBudget(harnessBudget()/3), transporttest.WithKill(func(_, worker transporttest.Conn) {
		_ = worker.(relayed).process.cmd.Process.Kill()
	}))
}
