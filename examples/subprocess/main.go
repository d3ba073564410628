// Subprocess counts primes in a worker process. The program starts itself as the worker. Messages are lines on the
// standard input and output of the worker; its standard error is for logs.
//
//	go run ./examples/subprocess          # count the primes below 32 million, in 16 jobs
//	go run ./examples/subprocess -kill    # kill the worker during a job, and still get the result
//	go run ./examples/subprocess -v       # show every message
//
// The event loop of the host is in host.go, that of the worker in worker.go; process.go and lines.go are the transport.
package main

import (
	"bytes"
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
	"strings"
	"sync"
	"time"

	"github.com/workerchannel/workerchannel"
)

// workerEnv is the environment variable that makes the program a worker.
const workerEnv = "WORKERCHANNEL_EXAMPLE_WORKER"

func main() {
	log.SetFlags(0)
	if os.Getenv(workerEnv) != "" {
		signal.Ignore(os.Interrupt) // the terminal sends it to both processes; the host handles it
		if err := serve(instanceID(), os.Stdin, os.Stdout, countPrimes); err != nil {
			log.Fatal("worker: ", err)
		}
		return
	}
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

type options struct {
	jobs, size    uint
	kill, verbose bool
}

// maxJobs bounds the memory of the host, which has a goroutine for each job.
const maxJobs = 1_000_000

// parse reads the arguments. It prints what is wrong with them to stderr.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("subprocess", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.UintVar(&o.jobs, "jobs", 16, "number of jobs")
	flags.UintVar(&o.size, "size", 2_000_000, "numbers to search in each")
	flags.BoolVar(&o.kill, "kill", false, "kill the first worker during a job")
	flags.BoolVar(&o.verbose, "v", false, "show every message")
	err := flags.Parse(args)
	if err != nil {
		return nil, err
	}
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.jobs < 1 || o.jobs > maxJobs:
		err = fmt.Errorf("-jobs must be from 1 to %d", maxJobs)
	case o.size < 1 || o.size > math.MaxUint32/o.jobs:
		err = fmt.Errorf("-size must be from 1 to %d for %d jobs: the numbers have 32 bits", math.MaxUint32/o.jobs, o.jobs)
	default:
		return o, nil
	}
	fmt.Fprintln(stderr, err)
	return nil, err
}

// run is the host. It hands out the jobs and adds up the results.
func run(ctx context.Context, o *options, out io.Writer) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	var worker *exec.Cmd // the present one; only the loop uses it, which makes the callbacks
	config := Config{
		Command: func() *exec.Cmd {
			worker = exec.Command(executable)
			worker.Env = append(os.Environ(), workerEnv+"=1")
			worker.Stderr = os.Stderr
			return worker
		},
		Limits: DefaultLimits,
		Log:    log.Printf,
	}
	if o.verbose {
		config.Trace = func(turn uint64, env workerchannel.Envelope) {
			text, _ := env.AppendJSON(nil)
			_, op, _ := bytes.Cut(text, []byte(`"op":`))
			log.Printf("turn %-3d %-11v %.100s", turn, env.Op.Type().Sender(), op)
		}
	}
	host := NewHost(config)

	var callers sync.WaitGroup
	var mu sync.Mutex // guards out and the variables that follow
	var total int
	var failures []error
	var unwritten error
	kill := o.kill // only the loop uses it
	for job := range o.jobs {
		lo, hi := job*o.size, (job+1)*o.size
		progress := func(string) {
			if kill {
				kill = false
				_ = worker.Process.Kill()
			}
		}
		callers.Go(func() {
			answer, err := host.Do(ctx, fmt.Appendf(nil, "%d %d", lo, hi), progress)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, fmt.Errorf("primes from %d to %d: %w", lo, hi, err))
				return
			}
			if _, err := fmt.Fprintf(out, "primes from %d to %d: %s\n", lo, hi, answer); err != nil {
				unwritten = err // one of them is enough
			}
			count, err := strconv.Atoi(string(answer))
			total, failures = total+count, append(failures, err)
		})
	}
	go func() {
		callers.Wait()
		host.Stop()
	}()

	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	err = host.Run(ticker.C)
	callers.Wait()
	if err := errors.Join(append(failures, unwritten, err)...); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\nprimes below %d: %d\n", strings.Repeat("-", 40), o.jobs*o.size, total)
	return err
}
