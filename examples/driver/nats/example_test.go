package natsconn_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/workerchannel/workerchannel/examples/driver"
	natsconn "github.com/workerchannel/workerchannel/examples/driver/nats"
)

func Example() {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	defer s.Shutdown()
	connect := func() *nats.Conn {
		nc, err := nats.Connect(s.ClientURL(), nats.RetryOnFailedConnect(true))
		if err != nil {
			log.Fatal(err)
		}
		return nc
	}

	host, err := driver.NewHost()
	if err != nil {
		log.Fatal(err)
	}
	nc := connect()
	defer nc.Close()
	if _, err := natsconn.Accept(nc, "jobs", host.Attach); err != nil {
		log.Fatal(err)
	}

	go func() { // the worker, which may be anywhere
		conn, err := natsconn.Join(context.Background(), connect(), "jobs")
		if err != nil {
			log.Fatal(err)
		}
		_ = driver.Serve(context.Background(), conn, "", func(_ context.Context, job *driver.Job) ([]byte, error) {
			return bytes.ToUpper(job.Payload), nil
		})
	}()

	result, err := host.Do(context.Background(), []byte("hello"))
	fmt.Printf("%s %v\n", result, err)
	fmt.Println(host.Stop(context.Background()))
	// Output:
	// HELLO <nil>
	// <nil>
}
