package driver_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"sync/atomic"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// A rolling update under load: the workers are replaced by those of a new version, one after the other. There are never
// fewer that are ready, and no call is lost. A version that does not start changes nothing.
func Example_rollingUpdate() {
	host, err := driver.NewHost(
		driver.WithWorkers(2, startVersion),
		driver.WithAttempts(1), // for this example; without it a worker that does not start is tried 5 times
	)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())

	ctx, stop := context.WithCancel(context.Background())
	var load sync.WaitGroup // calls all the time
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				if _, err := host.Do(context.Background(), nil); err != nil {
					fmt.Println("lost:", err)
				}
			}
		})
	}
	for _, version := range []int32{1, 2} {
		installed.Store(version)                  // a program puts the new file in the place of the old one, by os.Rename
		err := host.Replace(context.Background()) // after an error put the old file back, for workers that crash later
		fmt.Println(version, "is installed:", err)
		result, err := host.Do(context.Background(), nil)
		fmt.Printf("%s runs: %v\n", result, err)
	}
	stop()
	load.Wait()
	// Output:
	// 1 is installed: <nil>
	// 1 runs: <nil>
	// 2 is installed: driver: no worker can be started: 1 attempt came to nothing, the last because: exit status 2
	// 1 runs: <nil>
}

var installed atomic.Int32 // the version of ./worker

// startVersion starts a worker. In a program that is driver.Start(exec.Command("./worker")).
func startVersion(context.Context) (driver.Conn, error) {
	version := installed.Load()
	if version == 2 {
		return nil, errors.New("exit status 2")
	}
	host, worker := driver.Pipe(0)
	go driver.Serve(context.Background(), worker, "", func(context.Context, *driver.Job) ([]byte, error) {
		return fmt.Append(nil, version), nil
	})
	return host, nil
}
