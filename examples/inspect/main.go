// Inspect shows what is in captures and journals: what each message says, what it led to, what is wrong and where. It
// also draws it as a sequence diagram, and counts.
//
//	go run ./examples/inspect [flags] [FILE...]
//
// Without a file, or for the file -, it reads standard input. A capture has one message a line, as JSON or with -hex in
// hexadecimal; nothing is known of it but the messages. A journal has the calls of a program, as package journal writes
// them; it is replayed while it is read, so a divergence is shown, too. With FILE go the files FILE.1, FILE.2 and so on
// into which a journal was divided.
//
//	line  verdict      turn  bytes   seq  message
//	   1  valid          0     213     1  w-1 → JobCompleted job 7: ok, 5 bytes  (running → completed)
//	   2  invalid        0     213     2  w-1 → JobCompleted job 8: ok, 5 bytes  [replay digest mismatch: expected 5, got 6]
//	   3  unreadable     0      18        18 bytes that are no message: "listening on :8080"  [malformed message: at byte 0: expected an object]
//
// A message of a capture is valid if it passes validation (PROTOCOL section 5), invalid if it can be read but does not
// pass, and unreadable if it is not an envelope (section 3) or its line is longer than 8 MiB. A message of a journal was
// sent, accepted or refused. The turn is the host's. What a message led to stands in round brackets, as far as
// the messages before it tell; why it was refused, in square ones. Strings of the peer are cut and escaped. A journal
// of steps also has the time, which stands before each line, in UTC. The label of a job follows its message.
//
// A call of a driver.Host that was lost with a worker, or taken back from it, is given to another as a job of the same
// task: -stats counts it once, by how it ended at last. Jobs of task 0 are calls of their own.
//
//	-job N       only what is about job N
//	-worker ID   only what was sent by that worker, or to it
//	-session N   only session N of a journal, counted from 1
//	-turns A:B   only turns A to B of the host
//	-since T     only what happened from then on: a time such as 2026-01-02T15:04:05Z, or how long ago, such as 10m
//	-until T     only what happened before then
//	-label L     only what is about jobs with that label
//	-failed      only what was refused, messages that say that something went wrong, workers that were lost without having
//	             left in order, and why
//	-calls       also the calls of a journal whose messages are shown anyway
//	-follow      go on as the files grow, until interrupted
//	-q           print nothing: only the exit status counts
//	-w N         break lines at column N, by default that of the terminal; 0 breaks none
//
//	-json        print a JSON object for each line
//	-mermaid     draw a sequence diagram as Mermaid text
//	-svg         draw a sequence diagram as an SVG image; of several sessions, one below the other
//	-stats       count messages by kind, calls by outcome, turns in each phase of a job, and the slowest jobs
//	-max N       draw at most N messages; 200 unless told
//
// With -json, a line of a capture is {"accept":false} for an unreadable message, and otherwise
//
//	{"accept":true,"wire":"...","digest":N,"error":null}
//
// with the canonical JSON, the right digest (whatever the message says), and null or the kind and data of
// the error, as in testdata/envelopes.jsonl. For a message whose payload is over the limit it is
// {"accept":false,"error":{"kind":"PayloadTooLarge","max":N,"size":N}}. If the line is bad and not the message (too long,
// or not hexadecimal), the reason goes to standard error.
//
// The exit status is 0; 1 if something of what was shown, or would be without -q, was refused, invalid, unreadable or
// diverged; 2 if the input cannot be read to its end, a line of a journal is damaged, or the output fails; and 130 if it
// was interrupted. Standard error says if nothing matched.
//
// The diagram in the README of package journal is made by
//
//	go run ./examples/inspect -svg -turns 4:8 examples/quickstart/testdata/session.jsonl > docs/session.svg
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

func main() { tool.MainContext(run) }

var command = tool.Command{
	Name: "inspect", Usage: "[flags] [FILE...]", Most: tool.Any, Found: "if something was refused, unreadable or diverged",
	About: "Shows what is in captures of messages, one a line, and in journals: what each message says, what it led to, what " +
		"is wrong and where. It also draws it as a sequence diagram, and counts. Without a file, or for the file -, it reads " +
		"standard input.",
	Examples: `go run ./examples/inspect -job 4 session.journal
go run ./examples/inspect -failed -since 10m service.journal
go run ./examples/inspect -svg -turns 4:8 session.journal >session.svg
go run ./examples/inspect -follow service.journal
`,
}

// A sink takes entries.
type sink interface {
	entry(*entry) error
	finish() error
}

// silent is the sink for -q.
type silent struct{}

func (silent) entry(*entry) error { return nil }
func (silent) finish() error      { return nil }

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	if err == nil {
		err = inspect(ctx, o, stdin, stdout, stderr)
	}
	return command.End(stderr, err)
}

func inspect(ctx context.Context, o *options, stdin io.Reader, stdout, stderr io.Writer) error {
	if !o.follow {
		defer tool.AtOnce(ctx)()
	}
	out := bufio.NewWriter(stdout)
	text := &tool.Wrapper{To: out, Columns: o.columns}
	if o.columns < 0 {
		text.Columns = tool.Columns(stdout)
	}
	counted := newStats(text)
	var to sink = &forPeople{out: text, calls: o.calls}
	switch {
	case o.quiet:
		to = silent{}
	case o.json:
		to = newForPrograms(out, stderr)
	case o.mermaid:
		to = newDiagram(out, o.most, drawMermaid)
	case o.svg:
		to = newDiagram(out, o.most, drawSVG)
	case o.stats:
		to = counted
	}
	bad, all, shown, unread := false, 0, 0, 0
	var last *entry // that was followed
	track := newTracker(func(j *job) {
		if o.shows(last, j.id) {
			counted.jobBegan(j)
		}
	}, func(j *job) {
		if o.shows(last, j.id) {
			counted.jobEnded(j)
		}
	})
	take := func(e *entry) error {
		last = e
		track.follow(e)
		if all++; e.verdict == unreadable && !e.journal {
			unread++
		}
		if !o.wants(e) {
			return nil
		}
		shown++
		bad = bad || e.verdict.bad() || len(e.divergences) > 0
		return to.entry(e)
	}
	var err error
	r := newReader(o.hex, take, out.Flush)
	var follow context.Context
	if o.follow {
		follow = ctx
	}
	for _, name := range o.files {
		if name == "-" {
			err = r.stream("", stdin)
		} else {
			err = r.file(name, follow)
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = to.finish()
	}
	if err == nil {
		err = r.damage
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	switch {
	case err != nil:
		return err
	case all == 0:
		fmt.Fprintln(stderr, "inspect: the input has no whole line")
	case unread == all:
		bad = true
		fmt.Fprintln(stderr, "inspect: no line is a message; expected a message a line, as JSON or with -hex in hexadecimal, or a journal")
	case shown == 0:
		fmt.Fprintln(stderr, "inspect: nothing matched")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if bad {
		return tool.Finding{}
	}
	return nil
}

type options struct {
	hex, json, mermaid, svg, stats, quiet, follow, failed, calls bool

	job      *uint64
	worker   *string
	label    *string
	since    time.Time // zero: no limit, as for until
	until    time.Time
	session  uint64
	from, to uint64
	most     int
	columns  int // negative: those of the terminal
	files    []string
}

func parse(args []string, stdout io.Writer) (*options, error) {
	o := &options{to: math.MaxUint64, columns: -1}
	flags := command.Flags()
	flags.BoolVar(&o.hex, "hex", false, "the lines are in hexadecimal")
	flags.BoolVar(&o.json, "json", false, "print a JSON object for each line")
	flags.BoolVar(&o.mermaid, "mermaid", false, "draw a sequence diagram as Mermaid text")
	flags.BoolVar(&o.svg, "svg", false, "draw a sequence diagram as an SVG image")
	flags.BoolVar(&o.stats, "stats", false, "count messages, turns in each phase, and the slowest jobs")
	flags.BoolVar(&o.quiet, "q", false, "print nothing: the exit status is 1 if something was refused")
	flags.BoolVar(&o.follow, "follow", false, "go on as the files grow")
	flags.BoolVar(&o.failed, "failed", false, "show only what was refused, and messages that say that something went wrong")
	flags.BoolVar(&o.calls, "calls", false, "show also the calls whose messages are shown anyway")
	flags.IntVar(&o.most, "max", 200, "draw at most `N` messages")
	flags.Func("w", "break lines at column `N`, by default that of the terminal; 0 breaks none", func(s string) (err error) {
		if o.columns, err = strconv.Atoi(s); err != nil || o.columns < 0 {
			err = errors.New("expected a number of columns")
		}
		return err
	})
	flags.Uint64Var(&o.session, "session", 0, "show only session `N` of a journal, counted from 1")
	flags.Var(tool.Number{To: &o.job}, "job", "show only what is about job `N`")
	flags.Func("worker", "show only what was sent by worker `ID`, or to it", func(s string) error {
		o.worker = &s
		return nil
	})
	flags.Func("label", "show only what is about jobs with label `L`", func(s string) error {
		o.label = &s
		return nil
	})
	flags.Func("since", "show only what happened from time `T` on, or in so long until now", func(s string) (err error) {
		o.since, err = parseTime(s)
		return err
	})
	flags.Func("until", "show only what happened before time `T`, or longer ago", func(s string) (err error) {
		o.until, err = parseTime(s)
		return err
	})
	flags.Func("turns", "show only turns `A:B` of the host", func(s string) error {
		a, b, ok := strings.Cut(s, ":")
		var err, err2 error
		if a != "" {
			o.from, err = strconv.ParseUint(a, 10, 64)
		}
		if b != "" {
			o.to, err2 = strconv.ParseUint(b, 10, 64)
		}
		if !ok || err != nil || err2 != nil || o.from > o.to {
			return errors.New("expected two numbers A:B, the smaller one first")
		}
		return nil
	})
	if err := command.Parse(flags, args, stdout); err != nil {
		return nil, err
	}
	o.files = flags.Args()
	if len(o.files) == 0 {
		o.files = []string{"-"}
	}
	forms := 0
	for _, is := range []bool{o.json, o.mermaid, o.svg, o.stats, o.quiet} {
		if is {
			forms++
		}
	}
	var err error
	switch {
	case forms > 1:
		err = errors.New("-json, -mermaid, -svg, -stats and -q exclude one another")
	case o.most < 1:
		err = errors.New("-max must be at least 1")
	case o.follow && len(o.files) > 1:
		err = errors.New("-follow follows one file")
	}
	return o, err
}

// parseTime reads a time, or how long ago it is.
func parseTime(s string) (time.Time, error) {
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		err = errors.New("expected a time such as 2026-01-02T15:04:05Z, or a duration such as 10m")
	}
	return t, err
}

// when reports whether an entry is in the turns and the time that are to be shown.
func (o *options) when(e *entry) bool {
	return (o.session == 0 || e.session == o.session) && o.from <= e.turn && e.turn <= o.to &&
		(o.since.IsZero() || !e.at.IsZero() && !e.at.Before(o.since)) && (o.until.IsZero() || !e.at.IsZero() && e.at.Before(o.until))
}

// wants reports whether an entry is to be shown.
func (o *options) wants(e *entry) bool {
	switch {
	case o.job != nil && (e.jobID == nil || *e.jobID != *o.job):
		return false
	case o.worker != nil && (e.worker != *o.worker || e.op == "" && e.verdict != unreadable && e.call != "worker_lost" && e.call != "retire_worker" && e.call != "end"):
		return false
	case o.label != nil && e.label != *o.label:
		return false
	case o.failed && !e.failed():
		return false
	}
	return o.when(e)
}

// shows reports whether a job that has ended at an entry is to be counted.
func (o *options) shows(e *entry, jobID uint64) bool {
	return (o.job == nil || jobID == *o.job) && (o.worker == nil || e.worker == *o.worker) &&
		(o.label == nil || e.label == *o.label) && o.when(e)
}
