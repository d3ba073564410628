package driver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// A batch: many calls, some of them at a time, the first error or all errors, and how far it is.
func Example_batch() {
	host, err := driver.NewHost(driver.WithWorkers(2, startCounter))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())

	texts := [][]byte{[]byte("to be"), []byte("or"), []byte("not to be")}
	progress := func(done int) { fmt.Printf("%d of %d\n", done, len(texts)) }
	counts, err := doAll(context.Background(), host, texts, progress)
	fmt.Printf("%s %v\n", counts, err)

	texts[1] = nil
	_, err = doAll(context.Background(), host, texts, func(int) {})
	fmt.Println(err)
	// Output:
	// 1 of 3
	// 2 of 3
	// 3 of 3
	// [2 1 3] <nil>
	// call 1: driver: job failed: failed: no words
}

// doAll makes a call for each payload, at most 100 at a time; how many of these run is up to the workers. It returns the
// results in the order of the payloads, or the first error.
func doAll(ctx context.Context, host *driver.Host, payloads [][]byte, progress func(done int)) ([][]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type answer struct {
		i      int
		result []byte
		err    error
	}
	answers, running := make(chan answer), make(chan struct{}, 100)
	go func() {
		for i, payload := range payloads {
			running <- struct{}{}
			go func() {
				result, err := host.Do(ctx, payload)
				answers <- answer{i, result, err}
				<-running
			}()
		}
	}()

	results := make([][]byte, len(payloads))
	for done := range payloads {
		a := <-answers
		if a.err != nil {
			cancel(fmt.Errorf("call %d: %w", a.i, a.err)) // the others; to have all errors, collect them for errors.Join instead
		}
		results[a.i] = a.result
		progress(done + 1)
	}
	return results, context.Cause(ctx)
}

// startCounter starts a worker. In a program that is driver.Start(exec.Command("./worker")).
func startCounter(context.Context) (driver.Conn, error) {
	host, worker := driver.Pipe(0)
	go driver.Serve(context.Background(), worker, "", func(ctx context.Context, job *driver.Job) ([]byte, error) {
		words := len(bytes.Fields(job.Payload))
		if words == 0 {
			return nil, errors.New("no words")
		}
		return fmt.Append(nil, words), nil
	})
	return host, nil
}
