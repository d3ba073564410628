// Quickstart shows what the library is for: a host hands jobs to a worker, and channels of bytes connect the two.
// It tells a story in ten scenes, and prints every message and what it led to.
//
// To write a program of your own, begin with the host's event loop in host.go, which is that of the README, and the
// worker's in worker.go. The story is in story.go.
package main

import (
	"bufio"
	"errors"
	"io"
	"os"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/journal"
)

const seed = 42 // in all messages, for programs whose random numbers must repeat

// limits are how many turns a worker may take for each kind of request.
var limits = wc.Limits{Boot: 3, Cancel: 3, Drain: 3, Finalize: 3, Poll: 3, Shutdown: 3}

var command = tool.Command{
	Name: "quickstart", Usage: "[flags]",
	About:    "Tells the protocol as a story in ten scenes: every message between a host and its workers, and what it led to.",
	Examples: "go run ./examples/quickstart\ngo run ./examples/quickstart -record session.jsonl\n",
}

func main() { tool.Main(run) }

func run(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	flags := command.Flags()
	name := flags.String("record", os.DevNull, "write all calls of the coordinator to this `file`, a journal for examples/replay, in place of what is there")
	err := command.Parse(flags, args, stdout)
	var file *os.File
	if err == nil {
		file, err = os.Create(*name)
	}
	if err == nil {
		out := bufio.NewWriter(stdout)
		log, _ := journal.NewWriter(file, journal.Options{}) // fails only if options are wrong
		tell(out, log.Record(wc.NewCoordinator(seed, wc.WithLimits(limits)), journal.Setup{Limits: limits}))
		err = errors.Join(log.Close(), file.Close(), out.Flush())
	}
	return command.End(stderr, err)
}
