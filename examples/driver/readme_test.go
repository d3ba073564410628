package driver_test

import (
	"bytes"
	"context"
	"log"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// The two halves of the README's program; a test of the root package compares them.

func readmeHost() ([]byte, error) {
	// README: begin
	host, err := driver.NewHost(driver.WithWorkers(4, func(context.Context) (driver.Conn, error) {
		return driver.Start(exec.Command("./worker")) // called again whenever a worker has died or hangs
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	result, err := host.Do(ctx, []byte("shout")) // from any goroutine; it returns exactly once
	// README: end
	return result, err
}

func readmeWorker(ctx context.Context, stdio driver.Conn) {
	// README: begin
	err := driver.Serve(ctx, stdio, "", func(ctx context.Context, job *driver.Job) ([]byte, error) {
		return bytes.ToUpper(job.Payload), nil
	})
	// README: end
	if err != nil {
		log.Print(err)
	}
}

func TestReadmesWorkerShouts(t *testing.T) {
	host, err := driver.NewHost(driver.WithWorkers(1, func(ctx context.Context) (driver.Conn, error) {
		host, worker := driver.Pipe(0)
		go readmeWorker(context.WithoutCancel(ctx), worker)
		return host, nil
	}))
	assert.NoError(t, err)
	result, err := host.Do(t.Context(), []byte("shout"))
	assert.NoError(t, err)
	assert.Equal(t, "SHOUT", string(result))
	assert.NoError(t, host.Stop(t.Context()))
}

// There is no program ./worker, and no need to wait for the deadline.
func TestReadmesHostSaysWhatItLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := readmeHost()
		assert.ErrorIs(t, err, driver.ErrNoWorker)
		assert.ErrorContains(t, err, "./worker")
	})
}
