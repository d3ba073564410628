package driver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// Data that is larger than a payload: a directory that host and workers share, with a file for what a worker gets and
// one for what it makes of it. docs/larger-data.md says what becomes of them, and what else can be done.
func Example_largerData() {
	dir, err := os.MkdirTemp("", "spool") // a program has the same directory whenever it starts
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	spool, err := openSpool(dir)
	if err != nil {
		log.Fatal(err)
	}
	host, err := driver.NewHost(driver.WithWorkers(2, startLoud))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())

	result, err := spool.do(context.Background(), host, bytes.Repeat([]byte("hello "), 1<<20))
	fmt.Printf("%d bytes: %s... %v\n", len(result), result[:11], err)
	// Output: 6291456 bytes: HELLO HELLO... <nil>
}

// README: begin

// A spool is a directory of one host, in which each call has a directory of its own.
type spool string

// openSpool removes what a host that died has left.
func openSpool(dir string) (spool, error) {
	left, err := filepath.Glob(filepath.Join(dir, "call-*"))
	for _, call := range left {
		err = errors.Join(err, os.RemoveAll(call))
	}
	return spool(dir), err
}

func (s spool) do(ctx context.Context, host *driver.Host, in []byte) (out []byte, err error) {
	dir, err := os.MkdirTemp(string(s), "call-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // when Do has returned, no worker of Start has anything of the job any more
	if err := os.WriteFile(filepath.Join(dir, "in"), in, 0o600); err != nil {
		return nil, err
	}
	if _, err := host.Do(ctx, []byte(dir)); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "out"))
}

// shoutFile is the handler. It may find half a file "out" of a worker that has died, and begins again.
func shoutFile(ctx context.Context, job *driver.Job) ([]byte, error) {
	dir := string(job.Payload)
	in, err := os.ReadFile(filepath.Join(dir, "in"))
	if err != nil {
		return nil, err
	}
	return nil, os.WriteFile(filepath.Join(dir, "out"), bytes.ToUpper(in), 0o600)
}

// README: end

// startLoud starts a worker. In a program that is driver.Start(exec.Command("./worker")).
func startLoud(context.Context) (driver.Conn, error) {
	host, worker := driver.Pipe(0)
	go driver.Serve(context.Background(), worker, "", shoutFile)
	return host, nil
}
