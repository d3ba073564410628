package driver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// A host and a worker in one process, connected by a Pipe. With Start in the place of dial, and with Stdio in the
// worker, the worker is a process of its own.
func Example() {
	shout := func(ctx context.Context, job *driver.Job) ([]byte, error) {
		if len(job.Payload) == 0 {
			return nil, errors.New("nothing to shout")
		}
		return bytes.ToUpper(job.Payload), nil
	}
	dial := func(context.Context) (driver.Conn, error) {
		host, worker := driver.Pipe(0)
		go driver.Serve(context.Background(), worker, "", shout)
		return host, nil
	}

	host, err := driver.NewHost(driver.WithWorkers(2, dial))
	if err != nil {
		log.Fatal(err)
	}
	result, err := host.Do(context.Background(), []byte("hello"))
	fmt.Printf("%s %v\n", result, err)
	_, err = host.Do(context.Background(), nil)
	fmt.Println(err)
	fmt.Println(errors.Is(err, driver.ErrJobFailed))
	fmt.Println(host.Stop(context.Background()))
	// Output:
	// HELLO <nil>
	// driver: job failed: failed: nothing to shout
	// true
	// <nil>
}
