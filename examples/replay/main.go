// Replay makes the calls of recorded sessions again, on a coordinator or a worker, and compares every result
// and the state after every call. It shows that both are deterministic, and it shows where two versions or two
// implementations differ.
//
//	go run ./examples/replay FILE...
//	go run ./examples/quickstart -record session.jsonl && go run ./examples/replay session.jsonl
//
// Without a file, or for the file -, it reads standard input. A journal has one session a line: of a coordinator,
// in the form of testdata/sessions.jsonl, or, if the session has a worker_id, of a worker, in the form of
// testdata/worker_sessions.jsonl. Blank lines are skipped. Every divergence is printed as one line,
//
//	FILE:LINE: step STEP: CALL: FIELD: wanted JSON, got JSON
//
// with lines counted from 1 and steps, which are elements of an array, from 0. The session goes on after a
// divergence, which may cause others. The last line is "N sessions, M steps, D divergences".
//
// The exit status is 0 if there was no divergence, 1 if there was one, and 2 if the input cannot be read
// to its end; in that case the last line is missing, and standard error says where the reading stopped.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/workerchannel/workerchannel/examples/internal/journal"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, "usage: replay [FILE...]") }
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	files := flags.Args()
	if len(files) == 0 {
		files = []string{"-"}
	}
	r := replayer{out: bufio.NewWriter(stdout)}
	for _, name := range files {
		if err := r.file(name, stdin); err != nil {
			r.out.Flush()
			fmt.Fprintln(stderr, "replay:", err)
			return 2
		}
	}
	fmt.Fprintf(r.out, "%d sessions, %d steps, %d divergences\n", r.sessions, r.steps, r.divergences)
	if err := r.out.Flush(); err != nil {
		fmt.Fprintln(stderr, "replay:", err)
		return 2
	}
	if r.divergences > 0 {
		return 1
	}
	return 0
}

type replayer struct {
	out                          *bufio.Writer
	sessions, steps, divergences int
}

func (r *replayer) file(name string, stdin io.Reader) error {
	if name == "-" {
		return r.journal("stdin", stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.journal(name, f)
}

// journal replays one line at a time, so that only one session is in memory.
func (r *replayer) journal(name string, in io.Reader) error {
	lines := bufio.NewReader(in)
	for n := 1; ; n++ {
		line, end := lines.ReadBytes('\n')
		place := fmt.Sprintf("%s:%d", name, n)
		if len(bytes.TrimSpace(line)) > 0 && (end == nil || end == io.EOF) {
			if err := r.session(place, bytes.TrimRight(line, "\r\n")); err != nil {
				return fmt.Errorf("%s: %w", place, err)
			}
		}
		if end == io.EOF {
			return nil
		} else if end != nil {
			return fmt.Errorf("%s: %w", place, end)
		}
	}
}

func (r *replayer) session(place string, line []byte) error {
	steps, err := journal.Replay(line, func(d journal.Divergence) {
		r.divergences++
		fmt.Fprintf(r.out, "%s: step %d: %s: %s: wanted %s, got %s\n", place, d.Step, d.Call, d.Field, d.Wanted, d.Got)
	})
	r.sessions++
	r.steps += steps
	return err
}
