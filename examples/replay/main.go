// Replay makes the calls of recorded sessions again, on a coordinator or a worker, and compares every result
// and the state after every call. It shows that both are deterministic, and it shows where two versions or two
// implementations differ.
//
//	go run ./examples/replay [-max N] FILE...
//	go run ./examples/quickstart -record session.jsonl && go run ./examples/replay session.jsonl
//
// Without a file, or for the file -, it reads standard input. A file is a journal as journal.Create writes it. With FILE
// go the files FILE.1, FILE.2 and so on into which a journal was divided. Blank lines are skipped. Every divergence is
// printed as one line,
//
//	FILE:LINE: step STEP: CALL: FIELD: wanted JSON, got JSON
//
// with lines counted from 1 and the steps of a session from 0. Wanted is what the journal has. The field crc says that
// the line is not as it was written; what has changed in it is often another divergence, of this step or a later
// one. The session goes on after a divergence, which may cause others; -max limits how many are printed. The last line is
// "N sessions, M steps, D divergences".
//
// The exit status is 0 if there was no divergence, 1 if there was one, and 2 if the input cannot be read
// to its end or a line of it cannot be read; in that case the last line is missing, and standard error says which.
// A last line that a crash has left incomplete is no error.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/workerchannel/workerchannel/examples/journal"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.SetOutput(stderr)
	most := flags.Int("max", 100, "print at most `N` divergences; 0 prints all")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: replay [-max N] [FILE...]\n\nReplays journals and prints each divergence. Without a file it reads standard input.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	files := flags.Args()
	if len(files) == 0 {
		files = []string{"-"}
	}
	r := replayer{out: bufio.NewWriter(stdout), most: *most}
	r.walker = journal.NewWalker(r.step)
	for _, name := range files {
		if err := r.file(name, stdin); err != nil {
			r.out.Flush()
			fmt.Fprintln(stderr, "replay:", err)
			return 2
		}
	}
	r.finish()
	if err := r.out.Flush(); err != nil {
		fmt.Fprintln(stderr, "replay:", err)
		return 2
	}
	if r.walker.Divergences > 0 {
		return 1
	}
	return 0
}

type replayer struct {
	out           *bufio.Writer
	walker        *journal.Walker
	most, printed int
}

func (r *replayer) file(name string, stdin io.Reader) error {
	if name == "-" {
		return r.walker.Read("stdin", stdin)
	}
	for _, part := range journal.Files(name) {
		err := r.walker.Read(part.Name, part)
		part.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *replayer) step(e *journal.Event) error {
	for _, d := range e.Divergences {
		if r.printed++; r.printed <= r.most || r.most == 0 {
			call := d.Call
			if call == "" {
				call = "session"
			}
			fmt.Fprintf(r.out, "%s:%d: step %d: %s: %s: wanted %s, got %s\n", e.File, e.Line, d.Step, call, d.Field, d.Wanted, d.Got)
		}
	}
	return nil
}

func (r *replayer) finish() {
	w := r.walker
	if r.most > 0 && r.printed > r.most {
		fmt.Fprintf(r.out, "and %d more divergences; -max 0 shows them\n", r.printed-r.most)
	}
	if w.Unreplayed > 0 {
		fmt.Fprintf(r.out, "%d steps were not replayed: what comes before them is missing\n", w.Unreplayed)
	}
	if w.Deleted > 0 {
		fmt.Fprintf(r.out, "%d steps were not replayed: the beginning of their sessions has been deleted\n", w.Deleted)
	}
	if w.Torn > 0 {
		fmt.Fprintf(r.out, "%d lines are incomplete, as a crash leaves them\n", w.Torn)
	}
	fmt.Fprintf(r.out, "%d sessions, %d steps, %d divergences\n", w.Sessions, w.Steps, w.Divergences)
}
