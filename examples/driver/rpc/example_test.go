package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/rpc"
)

// An Image has no pixels here.
type Image struct{ Width, Height int }

// A Size is what resize is asked for.
type Size struct {
	Image Image
	Width int
}

func resize(ctx context.Context, in Size) (Image, error) {
	if in.Width <= 0 {
		return Image{}, &driver.JobError{Code: "no_size", Message: fmt.Sprintf("a width of %d", in.Width)}
	}
	return Image{in.Width, in.Image.Height * in.Width / in.Image.Width}, nil
}

// methods are what the worker does.
func methods() *rpc.Mux {
	mux := rpc.NewMux()
	rpc.Handle(mux, "resize", resize)
	rpc.Handle(mux, "size of", func(ctx context.Context, data []byte) (int, error) { return len(data), nil }) // not JSON
	return mux
}

// startWorker starts a worker. In a program that is driver.Start(exec.Command("./worker")), and the worker calls Serve
// with driver.Stdio().
func startWorker(context.Context) (driver.Conn, error) {
	host, worker := driver.Pipe(0)
	go driver.Serve(context.Background(), worker, "", methods().Handler())
	return host, nil
}

func Example() {
	host, err := driver.NewHost(driver.WithWorkers(2, startWorker))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the method's context has this deadline
	defer cancel()

	small, err := rpc.Call[Image](ctx, host, "resize", Size{Image{1920, 1080}, 640})
	fmt.Println(small, err)
	size, err := rpc.Call[int](ctx, host, "size of", []byte{0xff, 0xd8, 0xff})
	fmt.Println(size, err)

	_, err = rpc.Call[Image](ctx, host, "resize", Size{Image{1920, 1080}, 0})
	var failed *driver.JobError
	fmt.Println(errors.As(err, &failed) && failed.Code == "no_size", err)
	_, err = rpc.Call[Image](ctx, host, "rotate", nil)
	fmt.Println(err)
	// Output:
	// {640 360} <nil>
	// 3 <nil>
	// true driver: job failed: no_size: a width of 0
	// driver: job failed: unknown_method: there is no method "rotate"
}

// Values that a method reports while it runs.
func ExampleProgress() {
	type step struct{ Done, Of int }
	mux := rpc.NewMux()
	rpc.Handle(mux, "index", func(ctx context.Context, pages int) (struct{}, error) {
		for i := range pages {
			rpc.Progress(ctx, step{i + 1, pages})
		}
		return struct{}{}, nil
	})
	host, err := driver.NewHost(driver.WithWorkers(1, func(context.Context) (driver.Conn, error) {
		host, worker := driver.Pipe(0)
		go driver.Serve(context.Background(), worker, "", mux.Handler())
		return host, nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())

	_, err = rpc.Call[struct{}](context.Background(), host, "index", 2, rpc.OnProgress(func(s step) {
		fmt.Printf("%d of %d\n", s.Done, s.Of)
	}))
	fmt.Println(err)
	// Output:
	// 1 of 2
	// 2 of 2
	// <nil>
}
