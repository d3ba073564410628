package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/debug"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// run is the host. The first thing that goes wrong cancels the jobs.
func run() error {
	t := newTally()
	var said sync.WaitGroup // on standard errors
	defer said.Wait()
	var worker atomic.Pointer[os.Process]
	start := func(context.Context) (driver.Conn, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), workerEnv+"=1")
		stderr, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		cmd.Stderr = w
		conn, err := driver.Start(cmd)
		_ = w.Close()
		said.Go(func() {
			lines := safetext.NewLines(func(line string) { log.Print("worker: ", line) })
			_, _ = io.Copy(lines, stderr)
			lines.Flush()
			_ = stderr.Close()
		})
		worker.Store(cmd.Process)
		return conn, err
	}
	limits := driver.Limits{ // that suit a worker on the same machine
		Boot: 5 * time.Second, Silence: time.Second, Answer: *answer,
		Cancel: 5 * time.Second, Drain: 5 * time.Second, Shutdown: 5 * time.Second,
	}
	options := []driver.Option{driver.WithWorkers(1, start), driver.WithLimits(limits), driver.WithLogger(slog.Default())}
	if *record != "" {
		w, err := journal.Create(*record, journal.Options{})
		if err != nil {
			return err
		}
		defer w.Close()
		options = append(options, driver.WithJournal(w))
	}
	var listener net.Listener
	if *page != "" {
		var err error
		if listener, err = net.Listen("tcp", *page); err != nil {
			return err
		}
		log.Printf("the page is http://%s/", listener.Addr())
	}
	host, err := driver.NewHost(options...)
	if err != nil {
		return err
	}
	host.Observe(t.message)
	if listener != nil {
		go func() { log.Print("no page: ", http.Serve(listener, debug.Handler(host))) }()
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	atOnce, stopAtOnce := context.WithCancelCause(context.Background())
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupts
		cancel(tool.ErrInterrupted)
		<-interrupts
		stopAtOnce(fmt.Errorf("%w twice, worker killed", tool.ErrInterrupted))
		_ = host.Stop(atOnce)
	}()

	numbers := make(chan uint) // of the jobs
	var callers sync.WaitGroup
	for range min(*jobs, 16) {
		callers.Go(func() {
			for job := range numbers {
				payload := fmt.Sprintf("%d to %d", job**size, (job+1)**size)
				answer, err := host.Do(ctx, []byte(payload), driver.WithProgress(func(detail string) {
					t.progress(payload, detail)
					if *kill && !t.killed.Swap(true) {
						_ = worker.Load().Kill()
					}
				}))
				if err == nil {
					err = t.end(payload, string(answer))
				}
				if err != nil {
					cancel(fmt.Errorf("primes from %s: %w", payload, err))
				}
			}
		})
	}
	for job := uint(0); job < *jobs && ctx.Err() == nil; job++ {
		numbers <- job
	}
	close(numbers)
	callers.Wait()
	stopped := host.Stop(atOnce)
	return t.summary(cmp.Or(context.Cause(atOnce), context.Cause(ctx), stopped))
}
