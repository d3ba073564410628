// Subprocess counts primes in a worker process. The program starts itself as the worker; messages are lines on the
// worker's standard input and output, and its standard error is for logs.
//
//	go run ./examples/subprocess          # count the primes below 32 million, in 16 jobs
//	go run ./examples/subprocess -kill    # kill the worker during a job, and still get every result once
//	go run ./examples/subprocess -v       # show every message
//	go run ./examples/subprocess -jobs 1000 -debug localhost:6060    # a page that shows the worker and its jobs
//	go run ./examples/subprocess -journal FILE    # record the session, for examples/replay and examples/inspect
//
// host.go hands out the jobs, primes.go does them, and tally.go shows what comes of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"os/signal"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// workerEnv is the environment variable that makes the program a worker.
const workerEnv = "WORKERCHANNEL_EXAMPLE_WORKER"

const about = `Subprocess counts primes in a worker process: this program, started again. Each job is a range of
numbers; the results are printed as they come, and added up. If the worker dies, another one runs its jobs again.
Ctrl-C cancels the jobs; pressed again it kills the worker.

Usage: subprocess [flags]

`

var (
	jobs    = flag.Uint("jobs", 16, "the `number` of jobs")
	size    = flag.Uint("size", 2_000_000, "how many `numbers` to search in each")
	kill    = flag.Bool("kill", false, "kill the first worker during a job, and say what ran again")
	answer  = flag.Duration("answer", 5*time.Second, "how `long` the worker may take to answer before another takes its place")
	verbose = flag.Bool("v", false, "show every message")
	page    = flag.String("debug", "", "serve a page that shows the worker and its jobs at this `address`, such as localhost:6060")
	record  = flag.String("journal", "", "record the sessions in this `file`")
)

func main() {
	log.SetFlags(0)
	if os.Getenv(workerEnv) != "" {
		signal.Ignore(os.Interrupt) // the terminal sends it to the worker, too, where processes have no groups
		if err := driver.Serve(context.Background(), driver.Stdio(), "", countPrimes); err != nil {
			log.Fatal("worker: ", err)
		}
		return
	}
	parse()
	if err := run(); err != nil {
		log.Print("subprocess: ", err)
		if errors.Is(err, errInterrupted) {
			os.Exit(130) // as shells do
		}
		os.Exit(1)
	}
}

// parse reads the arguments, and ends the program if they are wrong.
func parse() {
	flag.Usage = func() {
		fmt.Fprint(os.Stderr, about)
		flag.PrintDefaults()
	}
	flag.Parse()
	const most = math.MaxUint32
	switch {
	case flag.NArg() > 0:
		log.Printf("unexpected argument %q", flag.Arg(0))
	case *jobs < 1 || *jobs > most:
		log.Printf("-jobs must be from 1 to %d", uint32(most))
	case *answer <= 0:
		log.Print("-answer must be more than 0")
	case *size < 1 || *size > most / *jobs:
		log.Printf("-size must be from 1 to %d for %d jobs: the numbers have 32 bits", most / *jobs, *jobs)
	default:
		return
	}
	os.Exit(2)
}
