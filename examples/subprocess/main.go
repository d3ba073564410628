// Subprocess counts primes in a worker process. The program starts itself as the worker; messages are lines on the
// worker's standard input and output, and its standard error is for logs.
//
//	go run ./examples/subprocess          # count the primes below 32 million, in 16 jobs
//	go run ./examples/subprocess -kill    # kill the worker during a job, and still get every result once
//	go run ./examples/subprocess -h       # what else there is
//
// host.go hands out the jobs, primes.go does them, and tally.go shows what comes of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"os"
	"os/signal"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

// workerEnv is the environment variable that makes the program a worker.
const workerEnv = "WORKERCHANNEL_EXAMPLE_WORKER"

var command = tool.Command{
	Name: "subprocess", Usage: "[flags]",
	About: "Counts primes in a worker process: this program, started again. Each job is a range of numbers; the results " +
		"are printed as they come, and added up. If the worker dies, another one runs its jobs again. Ctrl-C cancels the " +
		"jobs; pressed again it kills the worker.",
	Examples: `go run ./examples/subprocess -kill
go run ./examples/subprocess -v -jobs 2 -size 500
go run ./examples/subprocess -jobs 1000 -debug localhost:6060
go run ./examples/subprocess -journal session.journal
`,
}

var (
	flags   = command.Flags()
	jobs    = flags.Uint("jobs", 16, "the `number` of jobs")
	size    = flags.Uint("size", 2_000_000, "how many `numbers` to search in each")
	kill    = flags.Bool("kill", false, "kill the first worker during a job, and say what ran again")
	answer  = flags.Duration("answer", 5*time.Second, "how `long` the worker may take to answer before another takes its place")
	verbose = flags.Bool("v", false, "show every message")
	page    = flags.String("debug", "", "serve a page that shows the worker and its jobs at this `address`, such as localhost:6060")
	record  = flags.String("journal", "", "record the sessions in this `file`, for examples/replay and examples/inspect")
)

func main() {
	log.SetFlags(0)
	if os.Getenv(workerEnv) != "" {
		signal.Ignore(os.Interrupt) // the terminal sends it to the worker, too, where processes have no groups
		if err := driver.Serve(context.Background(), driver.Stdio(), "", countPrimes); err != nil {
			log.Fatal(err)
		}
		return
	}
	err := command.Parse(flags, os.Args[1:], os.Stdout)
	if err == nil {
		err = check()
	}
	if err == nil {
		err = run()
	}
	os.Exit(command.End(os.Stderr, err))
}

// check says what is wrong with the arguments.
func check() error {
	const most = math.MaxUint32
	switch {
	case *jobs < 1 || *jobs > most:
		return fmt.Errorf("-jobs must be from 1 to %d", uint32(most))
	case *answer <= 0:
		return errors.New("-answer must be more than 0")
	case *size < 1 || *size > most / *jobs:
		return fmt.Errorf("-size must be from 1 to %d for %s: the numbers have 32 bits", most / *jobs, tool.Count(*jobs, "job"))
	}
	return nil
}
