// Subprocess counts primes in a worker process: the program starts itself as the worker, and the two
// speak newline-delimited envelopes over the worker's standard input and output. Standard error is
// free for logs.
//
//	go run ./examples/subprocess          # count the primes below 32 million, in 16 jobs
//	go run ./examples/subprocess -kill    # kill the worker in mid-job, and still get the answer
//	go run ./examples/subprocess -v       # show every message
//
// host.go holds the host's event loop, worker.go the worker's; process.go and lines.go are the transport.
package main

import (
	"bytes"
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
	"strings"
	"sync"
	"time"

	"github.com/workerchannel/workerchannel"
)

// workerEnv makes the program a worker.
const workerEnv = "WORKERCHANNEL_EXAMPLE_WORKER"

func main() {
	log.SetFlags(0)
	if os.Getenv(workerEnv) != "" {
		signal.Ignore(os.Interrupt) // it goes to both processes, and is for the host
		if err := serve(instanceID(), os.Stdin, os.Stdout, countPrimes); err != nil {
			log.Fatal("worker: ", err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

// run is the host: it hands out the jobs, and adds the results up.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("subprocess", flag.ContinueOnError)
	jobs := flags.Uint("jobs", 16, "number of jobs")
	size := flags.Uint("size", 2_000_000, "numbers to search in each")
	kill := flags.Bool("kill", false, "kill the first worker in mid-job")
	verbose := flags.Bool("v", false, "show every message")
	if err := flags.Parse(args); err != nil {
		return err
	}

	executable, err := os.Executable()
	if err != nil {
		return err
	}
	var worker *exec.Cmd // the present one; the loop's, as are the callbacks
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
	if *verbose {
		config.Trace = func(turn uint64, env workerchannel.Envelope) {
			text, _ := env.AppendJSON(nil)
			_, op, _ := bytes.Cut(text, []byte(`"op":`))
			log.Printf("turn %-3d %-11v %.100s", turn, env.Op.Type().Sender(), op)
		}
	}
	host := NewHost(config)

	var callers sync.WaitGroup
	var mu sync.Mutex // of what follows, and out
	var total int
	var failures []error
	for job := range *jobs {
		lo, hi := job**size, (job+1)**size
		progress := func(string) {
			if *kill {
				*kill = false
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
			fmt.Fprintf(out, "primes from %d to %d: %s\n", lo, hi, answer)
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
	if err := errors.Join(append(failures, err)...); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\nprimes below %d: %d\n", strings.Repeat("-", 40), *jobs**size, total)
	return nil
}
