// Quickstart shows what the library is for: a host hands jobs to a worker, and channels of bytes connect the two.
// It runs a story in ten scenes, and prints every message and what it led to, and the jobs after each scene.
//
//	go run ./examples/quickstart [-record FILE]
//
// With -record it also writes a journal of all calls of the coordinator, which examples/replay can replay.
//
// To write a program of your own, begin with the event loop of the host in host.go and that of the worker
// in worker.go. The story is in story.go; transcript.go prints it.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// seed is the seed that all messages carry, for programs whose random numbers must repeat.
const seed = 42

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("record", "", "write the session as a journal to `FILE`")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "quickstart: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	out := bufio.NewWriter(stdout)
	var session bytes.Buffer
	log, err := journal.NewWriter(&session, journal.Options{})
	if err == nil {
		c := log.Record(wc.NewCoordinator(seed, wc.WithLimits(limits)), journal.Setup{Limits: limits})
		perform(out, c)
		err = errors.Join(out.Flush(), c.Close())
	}
	if err == nil && *file != "" {
		err = os.WriteFile(*file, session.Bytes(), 0o666)
	}
	if err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 2
	}
	return 0
}
