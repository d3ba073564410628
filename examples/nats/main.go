// Nats counts primes in worker processes on any number of machines, connected by NATS. Jobs and results are kept in
// streams of the NATS server, so that every job gets exactly one result though workers and the dispatcher die.
//
// The queue is in queue.go, what a dispatcher does with it in dispatcher.go, the worker in worker.go.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

var command = tool.Command{
	Name: "nats", Usage: "[flags]", Found: "if a job failed",
	About: "Counts primes in worker processes, connected by NATS. Every job gets one result, though workers and dispatchers " +
		"die: run the same command again and it goes on where it was. Without -url it runs a NATS server within the program, " +
		"without -worker it is a dispatcher and starts four workers.",
	Examples: `go run . -kill 2 -stats         # kill two of them while they work
go run . -store DIR             # keep jobs and results, to go on after a crash
go run . -url nats://host:4222  # a NATS server that you have (nats-server -js)
go run . -worker -url URL       # one more worker, until it is interrupted
`,
}

func main() { tool.MainContext(run) }

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	if err != nil {
		return command.End(stderr, err)
	}
	shown := tool.NewProgress(os.Stderr)
	log.SetFlags(0)
	log.SetOutput(shown)
	if o.worker || o.child {
		err = beWorker(ctx, o, shown)
	} else {
		err = dispatch(ctx, o, shown, shown.Above(os.Stdout))
	}
	return command.End(stderr, err)
}

type options struct {
	worker, child       bool
	url, listen, prefix string
	store               string
	fresh, stats        bool
	beat                time.Duration
	workers, kill       int
	jobs, size          int
}

func parse(args []string, stdout io.Writer) (*options, error) {
	o := new(options)
	flags := command.Flags()
	flags.BoolVar(&o.worker, "worker", false, "be a worker")
	flags.BoolVar(&o.child, "child", false, "be a worker that ends with the dispatcher or when standard input ends")
	flags.StringVar(&o.url, "url", "", "NATS server at this `URL`; one within this program if empty")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` of the server within this program")
	flags.StringVar(&o.store, "store", "", "`directory` of the server within this program; a temporary one if empty")
	flags.StringVar(&o.prefix, "prefix", defaultPrefix, "`prefix` of the subjects and streams, a name of its own for each set of jobs")
	flags.DurationVar(&o.beat, "beat", defaultBeat, "how `often` each side sends a sign of life; must be the same everywhere")
	flags.IntVar(&o.workers, "workers", 4, "how `many` worker processes to start")
	flags.IntVar(&o.kill, "kill", 0, "how `many` of them to kill when a quarter of the jobs is done")
	flags.IntVar(&o.jobs, "jobs", 2000, "the `number` of jobs")
	flags.IntVar(&o.size, "size", 50_000, "how many `numbers` to search in each")
	flags.BoolVar(&o.fresh, "new", false, "delete the jobs and results of an earlier run first")
	flags.BoolVar(&o.stats, "stats", false, "print the throughput")
	if err := command.Parse(flags, args, stdout); err != nil {
		return nil, err
	}
	return o, o.check()
}

const (
	defaultPrefix = "primes"
	defaultBeat   = time.Second
	maxJobs       = 1_000_000
)

var isPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString

func (o *options) check() error {
	for _, c := range []struct {
		bad  bool
		want string
	}{
		{(o.worker || o.child) && o.url == "", "-worker needs the -url of the NATS server that the dispatcher uses"},
		{o.url != "" && o.store != "", "-store is for the server within this program, so it does not go with -url"},
		{!isPrefix(o.prefix), "-prefix must be 1 to 64 letters, digits, - and _"},
		{o.beat < 10*time.Millisecond, "-beat must be 10ms or more"},
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

func beWorker(ctx context.Context, o *options, shown *tool.Progress) error {
	nc, err := connect(o.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	w := new(worker)
	if o.child {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(tool.Unable) // the parent is dead: it closes the pipe only when this process has ended
		}()
		return w.work(ctx, nc, o.prefix, o.beat, true)
	}
	stop := showProgress(shown, w.String)
	err = w.work(ctx, nc, o.prefix, o.beat, false)
	stop()
	return fmt.Errorf("%w; %s done", cmp.Or(err, context.Cause(ctx)), tool.Count(w.done.Load(), "job"))
}

// hint returns the command with which a worker joins.
func hint(o *options, serverURL string) string {
	s := "go run . -worker -url " + serverURL
	if o.prefix != defaultPrefix {
		s += " -prefix " + o.prefix
	}
	if o.beat != defaultBeat {
		s += " -beat " + o.beat.String()
	}
	return s
}

// joinURL returns the URL for others: without a password, and with a host name that they can use.
func joinURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	if name, err := os.Hostname(); err == nil && (u.Hostname() == "0.0.0.0" || u.Hostname() == "::") {
		u.Host = strings.Join([]string{name, u.Port()}, ":")
	}
	return u.Redacted()
}
