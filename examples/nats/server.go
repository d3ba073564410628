package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// connect connects to a NATS server, and again whenever the connection breaks.
func connect(url string) (*nats.Conn, error) {
	nc, err := nats.Connect(url, nats.Name("workerchannel example"), nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("connecting to the NATS server: %w", err)
	}
	return nc, nil
}

// startServer runs a NATS server within this process, which keeps its streams in a directory; in a temporary one if the
// name is empty.
func startServer(listen, dir string) (s *server.Server, stop func(), err error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, nil, fmt.Errorf("-listen: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, nil, fmt.Errorf("-listen: %w", err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	remove := func() {}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "nats-example-"); err != nil {
			return nil, nil, err
		}
		remove = func() { _ = os.RemoveAll(dir) }
	}
	s, err = server.NewServer(&server.Options{Host: host, Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		remove()
		return nil, nil, err
	}
	stop = func() { s.Shutdown(); s.WaitForShutdown(); remove() }
	failed, ready := make(failures, 1), make(chan bool, 1)
	s.SetLogger(failed, false, false)
	go func() {
		s.Start()
		ready <- s.ReadyForConnections(10 * time.Second)
	}()
	select {
	case err = <-failed:
	case ok := <-ready:
		if !ok {
			err = errors.New("it does not listen on " + listen)
		}
	}
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("the NATS server within this program: %w", err)
	}
	return s, stop, nil
}

// failures takes the first reason for which a NATS server cannot start. What else it logs is nobody's business here.
type failures chan error

func (f failures) Fatalf(format string, v ...any) {
	select {
	case f <- fmt.Errorf(format, v...):
	default:
	}
}

func (failures) Noticef(string, ...any) {}
func (failures) Warnf(string, ...any)   {}
func (failures) Errorf(string, ...any)  {}
func (failures) Debugf(string, ...any)  {}
func (failures) Tracef(string, ...any)  {}
