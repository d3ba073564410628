package driver_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// One process for each call: for jobs that leave something behind, such as memory, global state or threads. Each worker
// takes one job and leaves in order, and the host starts the next one at once. The cost is the start of a process for each
// call, some milliseconds for a small Go program; but a call waits for it only while all workers are busy or starting.
//
// WithRecycle(1, 0) does less: a worker goes on to take calls until its successor is ready.
func Example_processPerCall() {
	host, err := driver.NewHost(
		driver.WithWorkers(2, startOnce), // at most 2 calls at a time
		driver.WithWindow(1),             // what a worker will not take is not given to it in advance
	)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())

	for range 3 {
		result, err := host.Do(context.Background(), nil)
		fmt.Printf("%s %v\n", result, err)
	}
	// Output:
	// job 1 of its process <nil>
	// job 1 of its process <nil>
	// job 1 of its process <nil>
}

// serveOnce is the worker: it returns when it has run one job, and then its process ends.
func serveOnce(conn driver.Conn, handler driver.Handler) error {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	err := driver.Serve(ctx, conn, "", func(ctx context.Context, job *driver.Job) ([]byte, error) {
		leave() // because of WithDrain it takes no other job, and this one goes on
		return handler(ctx, job)
	}, driver.WithConcurrency(1), driver.WithDrain())
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// startOnce starts a worker. In a program that is driver.Start(exec.Command("./worker")), and ./worker calls serveOnce with
// driver.Stdio().
func startOnce(context.Context) (driver.Conn, error) {
	host, worker := driver.Pipe(0)
	jobs := 0
	go serveOnce(worker, func(ctx context.Context, job *driver.Job) ([]byte, error) {
		jobs++
		return fmt.Appendf(nil, "job %d of its process", jobs), ctx.Err()
	})
	return host, nil
}
