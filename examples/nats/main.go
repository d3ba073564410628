// Nats counts primes in worker processes on any number of machines, connected by NATS. The program is the dispatcher
// and starts itself as the workers; more workers may be started by hand, and each may leave at any time.
//
//	go run .                      # a NATS server within the program, and four workers
//	go run . -kill 2 -stats       # kill two of them while they work
//	go run . -url nats://host     # a NATS server or cluster that you have
//	go run . -worker -url URL     # one more worker, on any machine
//
// The event loop of the dispatcher is in dispatcher.go and that of the worker in worker.go; link.go has what they need
// in addition to NATS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
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
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if o.worker {
		err = beWorker(ctx, o)
	} else {
		err = dispatch(ctx, o, os.Stdout)
	}
	if err != nil {
		log.Fatal(err)
	}
}

type options struct {
	worker, child       bool
	url, listen, prefix string
	turn                time.Duration
	workers, kill       int
	jobs, size          int
	stats               bool
}

// parse reads the arguments. It prints what is wrong with them to stderr.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("nats", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.worker, "worker", false, "be a worker")
	flags.BoolVar(&o.child, "child", false, "be a worker that ends when its standard input ends")
	flags.StringVar(&o.url, "url", "", "NATS server; one within this program if empty")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the server within this program")
	flags.StringVar(&o.prefix, "prefix", "primes", "prefix of the subjects; each dispatcher needs its own")
	flags.DurationVar(&o.turn, "turn", 250*time.Millisecond, "length of a turn, in which each side sends a sign of life")
	flags.IntVar(&o.workers, "workers", 4, "worker processes to start")
	flags.IntVar(&o.kill, "kill", 0, "how many of them to kill when a quarter of the jobs is done")
	flags.IntVar(&o.jobs, "jobs", 2000, "number of jobs")
	flags.IntVar(&o.size, "size", 50_000, "numbers to search in each")
	flags.BoolVar(&o.stats, "stats", false, "print the throughput")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	err := o.check()
	if flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return nil, err
	}
	return o, nil
}

func (o *options) check() error {
	for _, c := range []struct {
		bad  bool
		want string
	}{
		{(o.worker || o.child) && o.url == "", "-worker needs the -url of the NATS server that the dispatcher uses"},
		{o.turn < time.Millisecond, "-turn must be 1ms or more"},
		{o.workers < 0, "-workers must not be negative"},
		{o.kill < 0, "-kill must not be negative"},
		{o.kill > 0 && o.kill >= o.workers, "-kill must be less than -workers: the others do the rest"},
		{o.jobs < 1 || o.jobs > maxJobs, fmt.Sprintf("-jobs must be from 1 to %d", maxJobs)},
		{o.size < 1 || o.size > maxSpan, fmt.Sprintf("-size must be from 1 to %d", maxSpan)},
		{int64(o.jobs)*int64(o.size) > math.MaxUint32, "-jobs times -size must be less than 2^32"},
	} {
		if c.bad {
			return errors.New(c.want)
		}
	}
	return nil
}

// maxJobs bounds the memory of the dispatcher, which has a goroutine for each job.
const maxJobs = 1_000_000

func beWorker(ctx context.Context, o *options) error {
	nc, err := connect(o.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	if o.child {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1) // the parent is dead: it closes the pipe only when this process has ended
		}()
	}
	return work(ctx, nc, o.prefix, time.Tick(o.turn), countPrimes)
}

// startWorker starts this program as a worker. When ctx ends it is asked to stop, and killed if it does not. It ends
// with this process, however that ends.
func startWorker(ctx context.Context, o *options) (*exec.Cmd, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, executable, "-worker", "-child", "-url", o.url, "-prefix", o.prefix, "-turn", o.turn.String())
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
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
	employed, dismiss := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		dismiss() // a worker that was lost has not been asked to stop
		for _, w := range workers {
			_ = w.Wait()
		}
	}()
	for range o.workers {
		w, err := startWorker(employed, o)
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
			if done++; done == max(1, o.jobs/4) {
				for _, w := range workers[:o.kill] {
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
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err := errors.Join(append(failures, err)...); err != nil {
		return err
	}
	report := fmt.Sprintf("primes below %d: %d\n", o.jobs*o.size, total)
	if o.stats {
		took := time.Since(began)
		report += fmt.Sprintf("%d jobs in %v: %.0f a second\n", o.jobs, took.Round(time.Millisecond), float64(o.jobs)/took.Seconds())
		report += fmt.Sprintf("workers: %d joined, %d left, %d lost; %d jobs ran again\n", stats.Joined, stats.Left, stats.Lost, stats.Rerun)
	}
	_, err = io.WriteString(out, report)
	return err
}

func primesBetween(ctx context.Context, d *Dispatcher, lo, hi int) (int, error) {
	result, err := d.Do(ctx, fmt.Appendf(nil, "%d %d", lo, hi))
	if err != nil {
		return 0, fmt.Errorf("primes from %d to %d: %w", lo, hi, err)
	}
	return strconv.Atoi(string(result))
}
