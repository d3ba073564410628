package driver_test

import (
	"bytes"
	"context"
	"errors"
	"expvar"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"time"

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

// echoing is a Dial that starts workers in this process.
func echoing(context.Context) (driver.Conn, error) {
	host, worker := driver.Pipe(0)
	go driver.Serve(context.Background(), worker, "", func(ctx context.Context, job *driver.Job) ([]byte, error) {
		if string(job.Payload) == "sleep" {
			job.Progress("asleep")
			<-ctx.Done()
		}
		return job.Payload, nil
	})
	return host, nil
}

// The worker of a host that uses Start, which is a program of its own.
func ExampleServe() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := driver.Serve(ctx, driver.Stdio(), "", func(ctx context.Context, job *driver.Job) ([]byte, error) {
		job.Progress("half way")
		return append(job.Payload, '!'), nil
	}, driver.WithConcurrency(4))
	if err != nil {
		log.Fatal(err) // to the standard error, as all that the worker prints
	}
}

func ExampleStart() {
	host, err := driver.NewHost(
		driver.WithWorkers(4, func(context.Context) (driver.Conn, error) {
			cmd := exec.Command("./worker")
			cmd.Stderr = os.Stderr
			return driver.Start(cmd)
		}),
		driver.WithLogger(slog.Default()),
		driver.WithLimits(driver.Limits{Boot: time.Minute}), // it has much to load
	)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())
}

func ExampleHost_Do() {
	host, err := driver.NewHost(driver.WithWorkers(1, echoing))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())

	ctx, cancel := context.WithCancel(context.Background())
	_, err = host.Do(ctx, []byte("sleep"), driver.WithProgress(func(detail string) {
		fmt.Println(detail)
		cancel()
	}))
	fmt.Println(errors.Is(err, driver.ErrCancelled), errors.Is(err, context.Canceled))
	// Output:
	// asleep
	// true true
}

func ExampleHost_NewRegion() {
	host, err := driver.NewHost(driver.WithWorkers(2, echoing))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())

	region := host.NewRegion()
	errs := make(chan error)
	for range 3 {
		go func() {
			_, err := host.Do(context.Background(), []byte("sleep"), driver.InRegion(region))
			errs <- err
		}()
	}
	go region.Close(errors.New("no longer needed")) // returns when all three have ended
	for range 3 {
		if err := <-errs; !errors.Is(err, driver.ErrRegionClosed) { // the call came too late
			fmt.Println(err)
		}
	}
}

func ExampleHost_Stats() {
	host, err := driver.NewHost(driver.WithWorkers(1, echoing))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())
	expvar.Publish("jobs", expvar.Func(func() any { return host.Stats() }))

	_, _ = host.Do(context.Background(), nil)
	s := host.Stats()
	fmt.Println(s.Calls, s.Succeeded, s.Waiting, len(s.Workers))
	// Output: 1 1 0 1
}
