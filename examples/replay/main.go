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
// "N sessions, M steps, D divergences"; if there was no step, standard error says so.
//
// The exit status is 0 if there was no divergence, 1 if there was one, and 2 if the input cannot be read
// to its end or a line of it cannot be read; in that case the last line is missing, and standard error says which.
// A last line that a crash has left incomplete is no error.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/journal"
)

func main() { tool.Main(run) }

var command = tool.Command{
	Name: "replay", Usage: "[flags] [FILE...]", Most: tool.Any, Found: "if there was a divergence, or nothing to replay",
	About: "Makes the calls of recorded sessions again and prints each difference, and how many there were. " +
		"Without a file, or for the file -, it reads standard input.",
	Examples: `go run ./examples/replay session.journal
go run ./examples/replay -max 5 examples/quickstart/testdata/session.jsonl
`,
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return command.End(stderr, replay(args, stdin, stdout, stderr))
}

func replay(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := command.Flags()
	most := flags.Int("max", 100, "print at most `N` divergences; 0 prints all")
	if err := command.Parse(flags, args, stdout); err != nil {
		return err
	}
	if *most < 0 {
		return errors.New("-max must not be negative")
	}
	files := flags.Args()
	if len(files) == 0 {
		files = []string{"-"}
	}
	r := replayer{out: bufio.NewWriter(stdout), most: *most}
	r.walker = journal.NewWalker(r.step)
	for _, name := range files {
		if err := r.file(name, stdin); err != nil {
			_ = r.out.Flush()
			return err
		}
	}
	r.finish()
	if err := r.out.Flush(); err != nil {
		return err
	}
	if r.walker.Steps == 0 {
		return tool.Finding{Err: errors.New("nothing was replayed: the input has no step of a session")}
	}
	if r.walker.Divergences > 0 {
		return tool.Finding{}
	}
	return nil
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
		_, err := part.Read(nil) // opens it
		if err == nil {
			err = r.walker.Read(part.Name, part)
		}
		part.Close()
		var unread *fs.PathError
		if errors.As(err, &unread) {
			return unread // which has the name, so that it needs no place
		} else if err != nil {
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
			fmt.Fprintf(r.out, "%s:%d: step %d: %s: %s: wanted %s, got %s\n", text(e.File), e.Line, d.Step, text(call), text(d.Field),
				safetext.Escape(d.Wanted), safetext.Escape(d.Got))
		}
	}
	return nil
}

// text returns a text of a file, escaped and cut.
func text(s string) string { return safetext.Printable(s, 1000) }

func (r *replayer) finish() {
	w := r.walker
	if more := r.printed - r.most; r.most > 0 && more > 0 {
		fmt.Fprintf(r.out, "and %d more; -max 0 shows all\n", more)
	}
	if w.Unreplayed > 0 {
		fmt.Fprintf(r.out, "not replayed, because what comes before is missing: %s\n", tool.Count(w.Unreplayed, "step"))
	}
	if w.Deleted > 0 {
		fmt.Fprintf(r.out, "not replayed, because the beginning of the session has been deleted: %s\n", tool.Count(w.Deleted, "step"))
	}
	if w.Torn > 0 {
		fmt.Fprintf(r.out, "incomplete, as a crash leaves it: %s\n", tool.Count(w.Torn, "line"))
	}
	fmt.Fprintf(r.out, "%s, %s, %s\n", tool.Count(w.Sessions, "session"), tool.Count(w.Steps, "step"), tool.Count(w.Divergences, "divergence"))
}
