// Nats counts primes in worker processes on any machine, joined by NATS. The program is the dispatcher
// and starts itself as the workers; more may be started by hand, and any may go at any time.
//
//	go run .                      # a NATS server within the program, and four workers
//	go run . -kill 2 -stats       # kill two of them on the way
//	go run . -url nats://host     # a NATS server or cluster that you have
//	go run . -worker -url URL     # one more worker, on any machine
//
// dispatcher.go holds the dispatcher's event loop, worker.go the worker's, and link.go what they need
// on top of NATS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	// Never stopped: a second signal must not end a program that is about to end well.
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if err := program(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

type options struct {
	url, listen, prefix string
	turn                time.Duration
	workers, kill       int
	jobs, size          int
	stats               bool
}

func program(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("nats", flag.ContinueOnError)
	worker := flags.Bool("worker", false, "be a worker")
	flags.StringVar(&o.url, "url", "", "NATS server; one within this program if empty")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the server within this program")
	flags.StringVar(&o.prefix, "prefix", "primes", "what the subjects begin with: one for each dispatcher")
	flags.DurationVar(&o.turn, "turn", 250*time.Millisecond, "how often both sides give a sign of life")
	flags.IntVar(&o.workers, "workers", 4, "worker processes to start")
	flags.IntVar(&o.kill, "kill", 0, "how many of them to kill when a quarter of the jobs is done")
	flags.IntVar(&o.jobs, "jobs", 2000, "number of jobs")
	flags.IntVar(&o.size, "size", 50_000, "numbers to search in each")
	flags.BoolVar(&o.stats, "stats", false, "print the throughput")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *worker {
		return beWorker(ctx, &o)
	}
	return dispatch(ctx, &o, out)
}

func beWorker(ctx context.Context, o *options) error {
	nc, err := connect(o.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	return work(ctx, nc, o.prefix, time.Tick(o.turn), countPrimes)
}

// startWorker starts this program as a worker.
func startWorker(o *options) (*exec.Cmd, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(executable, "-worker", "-url", o.url, "-prefix", o.prefix, "-turn", o.turn.String())
	cmd.Stderr = os.Stderr
	return cmd, cmd.Start()
}

// dispatch hands out the jobs and adds the results up.
func dispatch(ctx context.Context, o *options, out io.Writer) error {
	if o.url == "" {
		s, err := startServer(o.listen)
		if err != nil {
			return err
		}
		defer s.Shutdown()
		o.url = s.ClientURL()
		log.Printf("more workers join with: go run . -worker -url %s", o.url)
	}
	nc, err := connect(o.url)
	if err != nil {
		return err
	}
	defer nc.Close()

	d, err := NewDispatcher(nc, o.prefix)
	if err != nil {
		return err
	}
	var workers []*exec.Cmd
	defer func() {
		for _, w := range workers {
			_ = w.Process.Signal(syscall.SIGTERM) // one that was lost has not heard that it is over
			_ = w.Wait()
		}
	}()
	for range o.workers {
		w, err := startWorker(o)
		if err != nil {
			return err
		}
		workers = append(workers, w)
	}

	var callers sync.WaitGroup
	var mu sync.Mutex // of what follows
	var total, done int
	var failures []error
	began := time.Now()
	for job := range o.jobs {
		callers.Go(func() {
			n, err := primesBetween(ctx, d, job*o.size, (job+1)*o.size)
			mu.Lock()
			defer mu.Unlock()
			total, failures = total+n, append(failures, err)
			if done++; done == o.jobs/4 {
				for _, w := range workers[:min(o.kill, len(workers))] {
					_ = w.Process.Kill()
				}
			}
		})
	}
	go func() {
		callers.Wait()
		d.Stop()
	}()
	stats, err := d.Run(time.Tick(o.turn))
	callers.Wait()
	if err := errors.Join(append(failures, err)...); err != nil {
		return err
	}
	fmt.Fprintf(out, "primes below %d: %d\n", o.jobs*o.size, total)
	if o.stats {
		took := time.Since(began)
		fmt.Fprintf(out, "%d jobs in %v: %.0f a second\n", o.jobs, took.Round(time.Millisecond), float64(o.jobs)/took.Seconds())
		fmt.Fprintf(out, "workers: %d joined, %d left, %d lost; %d jobs ran again\n", stats.Joined, stats.Left, stats.Lost, stats.Rerun)
	}
	return nil
}

func primesBetween(ctx context.Context, d *Dispatcher, lo, hi int) (int, error) {
	result, err := d.Do(ctx, fmt.Appendf(nil, "%d %d", lo, hi))
	if err != nil {
		return 0, fmt.Errorf("primes from %d to %d: %w", lo, hi, err)
	}
	return strconv.Atoi(string(result))
}
