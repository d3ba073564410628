package driver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// Workers that come by themselves, from this machine or others: the host listens, and a worker connects again when the host
// is gone. TCP notices a machine that is gone without a word after minutes; WebSockets (examples/driver/websocket) are pinged.
// Whoever can connect can be a worker, so beyond one machine use crypto/tls with certificates of the workers.
func Example_workersThatConnect() {
	host, err := driver.NewHost(driver.WithNoWorkerAfter(30 * time.Second)) // then a call gets a *NoWorkerError
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		log.Fatal(err)
	}
	go attachAll(host, listener)
	ended := make(chan error)
	go func() { ended <- connect(context.Background(), listener.Addr().String()) }() // a program of its own

	result, err := host.Do(context.Background(), []byte("hello"))
	fmt.Printf("%s %v\n", result, err)
	_ = listener.Close() // or a worker would connect that the host does not want any more
	fmt.Println(host.Stop(context.Background()))
	fmt.Println("worker:", <-ended)
	// Output:
	// HELLO <nil>
	// <nil>
	// worker: <nil>
}

// attachAll attaches the workers that connect, until the listener is closed.
func attachAll(host *driver.Host, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files
			log.Print(err)
			time.Sleep(time.Second)
			continue
		}
		_ = host.Attach(driver.Lines(conn)) // closes it if the host has stopped
	}
}

// connect is the worker, which dials again when the host is gone. It returns nil when the host has asked it to shut down, or the
// cause when ctx ends.
func connect(ctx context.Context, address string) error {
	return driver.ServeAgain(ctx, func(ctx context.Context) (driver.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return driver.Lines(conn), nil
	}, func(_ context.Context, job *driver.Job) ([]byte, error) {
		return bytes.ToUpper(job.Payload), nil
	}, driver.WithServeLogger(slog.Default())) // tells why it dials again
}
