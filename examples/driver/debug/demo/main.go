// Demo runs a host whose workers are busy, slow, wrong, and sometimes hang, so that there is something to see on the page
// of package debug.
//
//	go run ./examples/driver/debug/demo [-debug localhost:6060] [-journal FILE]
//
// Then open http://localhost:6060/. The workers run in this process, over driver.Pipe. With -journal all sessions are
// recorded, for examples/replay and examples/inspect.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/debug"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/journal"
)

func main() { tool.MainContext(run) }

var command = tool.Command{
	Name: "demo", Usage: "[flags]",
	About: "Runs a host whose workers are busy, slow, wrong, and sometimes hang, and serves the page of package debug, " +
		"which shows them, until it is interrupted.",
	Examples: `go run ./examples/driver/debug/demo
go run ./examples/driver/debug/demo -debug localhost:0 -journal demo.journal
`,
}

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return command.End(stderr, demo(ctx, args, stdout))
}

func demo(ctx context.Context, args []string, stdout io.Writer) error {
	flags := command.Flags()
	address := flags.String("debug", "localhost:6060", "serve the page at this `address`")
	file := flags.String("journal", "", "record all sessions in this `file`")
	if err := command.Parse(flags, args, stdout); err != nil {
		return err
	}
	if *address == "" {
		return errors.New("-debug needs an address, such as localhost:0")
	}
	var opts []driver.Option
	if *file != "" {
		w, err := journal.Create(*file, journal.Options{})
		if err != nil {
			return err
		}
		defer w.Close()
		opts = append(opts, driver.WithJournal(w))
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintf(stdout, "open http://%s/\n", listener.Addr()); err != nil {
		return errors.Join(err, listener.Close())
	}
	var started atomic.Int64
	opts = append(opts,
		driver.WithLimits(driver.Limits{Silence: 3 * time.Second, Answer: 15 * time.Second}),
		driver.WithWorkers(4, func(ctx context.Context) (driver.Conn, error) {
			host, worker := driver.Pipe(8)
			id, conn := fmt.Sprint("w-", started.Add(1)), &sleepy{Conn: worker, ended: make(chan struct{})}
			go func() { _ = driver.Serve(context.WithoutCancel(ctx), conn, id, work(conn), driver.WithConcurrency(2)) }()
			return host, nil
		}))
	host, err := driver.NewHost(opts...)
	if err != nil {
		return err
	}
	defer func() {
		soon, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = host.Stop(soon) // one that hangs is killed
	}()
	for range 12 {
		go func() {
			for ctx.Err() == nil {
				call(ctx, host)
			}
		}()
	}
	server := &http.Server{Handler: debug.Handler(host), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err = server.Serve(listener); errors.Is(err, http.ErrServerClosed) {
		err = context.Cause(ctx)
	}
	return err
}

// call makes one call. Some callers lose patience.
func call(ctx context.Context, host *driver.Host) {
	if rand.IntN(10) == 0 {
		var end func()
		ctx, end = context.WithTimeout(ctx, 300*time.Millisecond)
		defer end()
	}
	_, _ = host.Do(ctx, make([]byte, rand.IntN(20_000)))
}

// work returns the handler of a worker. One job of 300 is such that the worker hangs: it sends nothing any more.
func work(conn *sleepy) driver.Handler {
	return func(ctx context.Context, job *driver.Job) ([]byte, error) {
		job.Progress("begun")
		switch n := rand.IntN(300); {
		case n == 0:
			conn.asleep.Store(true)
			<-ctx.Done()
		case n < 6:
			return nil, errors.New("no such file")
		case n < 8:
			time.Sleep(2 * time.Second) // and does not look at ctx
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Duration(rand.IntN(700)) * time.Millisecond):
		}
		return job.Payload[:len(job.Payload)/2], nil
	}
}

// A sleepy connection sends nothing once it is asleep, until it has ended.
type sleepy struct {
	driver.Conn
	asleep atomic.Bool
	ended  chan struct{}
	once   sync.Once
}

func (s *sleepy) Send(msg []byte) error {
	if s.asleep.Load() {
		<-s.ended
	}
	return s.Conn.Send(msg)
}

func (s *sleepy) Recv() ([]byte, error) {
	msg, err := s.Conn.Recv()
	if err != nil {
		s.once.Do(func() { close(s.ended) })
	}
	return msg, err
}
