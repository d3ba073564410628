// Conform checks whether a program does one half of the protocol as PROTOCOL.md says. The program may be written in any
// language. It speaks the protocol over standard input and output, one message a line.
//
//	go run ./examples/conform worker -- python3 examples/peers/python/peer.py worker
//	go run ./examples/conform coordinator -- node examples/peers/javascript/peer.js coordinator
//	go run ./examples/conform -data testdata worker -- ./my-worker
//	go run ./examples/conform pair -- ./my-worker -- ./my-coordinator
//	go run ./examples/conform -list worker
//	go run ./examples/conform -run '^(wire|reading)/' worker -- ./my-worker
//
// What the program is to do, such as to complete a job, it is told by text commands on file descriptor 3, which it
// answers on file descriptor 4. That takes some twenty lines in the program: docs/writing-a-peer.md says how, and
// lists the commands.
//
// A pair is a worker and a coordinator that are run against each other: conform plays the application on both sides,
// with progress, cancels, polls, the loss of the worker and shutdowns, and reports the first message that either
// refuses.
//
// Each check is one line, with the section of PROTOCOL.md; of one that fails, what was sent, wanted and got, to the
// byte: -full and -json print it whole. The exit status is 1 if a check failed, and 2 for wrong usage or a program that
// cannot be started or ends before it has obeyed a command. What cannot be checked this way is listed at the end.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

func main() { tool.MainContext(run) }

var command = tool.Command{
	Name: "conform", Most: tool.Any, Further: true, Found: "if a check failed",
	Usage: `[flags] worker|coordinator -- PROGRAM [ARG...]
       conform [flags] pair -- WORKER [ARG...] -- COORDINATOR [ARG...]
       conform -list worker|coordinator|pair`,
	About: "Checks whether a program, in any language, does one half of the protocol as PROTOCOL.md says, or runs a worker " +
		"and a coordinator against each other. docs/writing-a-peer.md says what the program has to offer for that.",
	Examples: `go run ./examples/conform worker -- python3 peer.py worker
go run ./examples/conform -data testdata coordinator -- ./my-coordinator
go run ./examples/conform -run '^(wire|reading)/' worker -- ./my-worker
go run ./examples/conform -list worker
`,
}

type options struct {
	half    string
	data    string
	list    bool
	json    bool
	full    bool
	filter  *regexp.Regexp
	command conform.Command

	coordinator conform.Command // of a pair, whose worker is command
}

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stdout)
	if err == nil {
		err = check(ctx, o, stdout)
	}
	return command.End(stderr, err)
}

func parse(args []string, stdout io.Writer) (*options, error) {
	o := new(options)
	flags := command.Flags()
	flags.BoolVar(&o.list, "list", false, "list the checks and make none")
	flags.BoolVar(&o.json, "json", false, "print a JSON object a line")
	flags.BoolVar(&o.full, "full", false, "print long messages whole, as -json does")
	flags.StringVar(&o.data, "data", "", "check also with the conformance data in this `directory`, testdata of the repository")
	filter := flags.String("run", "", "make only the checks whose names match this `regexp`")
	flags.DurationVar(&o.command.Timeout, "timeout", conform.DefaultTimeout, "how `long` the program may take for one command")
	flags.BoolVar(&o.command.TCP, "tcp", false, "send the commands through the TCP address in $"+conform.AddrEnv)
	// The flags may stand before the half and after it.
	if err := command.Parse(flags, args, stdout); err != nil {
		return nil, err
	}
	rest := flags.Args()
	if len(rest) == 0 {
		return nil, errors.New("expected worker, coordinator or pair; -h prints the usage")
	}
	o.half = rest[0]
	if conform.Checks(o.half) == nil {
		return nil, fmt.Errorf("expected worker, coordinator or pair, got %q", o.half)
	}
	if err := command.Parse(flags, rest[1:], stdout); err != nil {
		return nil, err
	}
	pair := o.half == conform.PairOfHalves
	o.command.Args, o.coordinator = flags.Args(), o.command
	if at := slices.Index(flags.Args(), "--"); pair && at >= 0 {
		o.command.Args, o.coordinator.Args = flags.Args()[:at], flags.Args()[at+1:]
	}
	if before := len(rest) - flags.NArg() - 1; flags.NArg() > 0 && rest[before] != "--" {
		return nil, fmt.Errorf("expected -- before the program, got %q", flags.Arg(0))
	}
	var err error
	switch o.filter, err = regexp.Compile(*filter); {
	case err != nil:
		return nil, fmt.Errorf("-run: %w", err)
	case o.command.Timeout < time.Millisecond:
		return nil, errors.New("-timeout must be at least 1ms")
	case o.list && flags.NArg() > 0:
		return nil, errors.New("-list takes no program")
	case !o.list && flags.NArg() == 0:
		return nil, errors.New("expected -- and the program to be checked; -h prints the usage")
	case !o.list && pair && (len(o.command.Args) == 0 || len(o.coordinator.Args) == 0):
		return nil, errors.New("expected -- and the worker, -- and the coordinator; -h prints the usage")
	case pair && o.data != "":
		return nil, errors.New("-data is for one half")
	}
	return o, nil
}

// check makes the checks and prints the results.
func check(ctx context.Context, o *options, out io.Writer) error {
	all := conform.Checks(o.half)
	if o.data != "" {
		more, err := conform.DataChecks(o.half, o.data)
		if err != nil {
			return err
		}
		all = append(all, more...)
	}
	var checks []conform.Check
	for _, c := range all {
		if o.filter.MatchString(c.Name) {
			checks = append(checks, c)
		}
	}
	if len(checks) == 0 {
		return errors.New("-run matches no check; -list lists them")
	}
	p := printer{out: out, json: o.json, full: o.full}
	if o.list {
		for _, c := range checks {
			p.listed(c)
		}
		return p.err
	}
	o.command.Context, o.coordinator.Context = ctx, ctx
	var r interface {
		Run(conform.Check) (conform.Result, error)
		Close()
	} = &conform.Runner{Half: o.half, Command: o.command}
	if o.half == conform.PairOfHalves {
		r = conform.NewPair(o.command, o.coordinator)
	}
	defer r.Close()
	start := time.Now()
	const patience = 3 // timeouts
	for i, timeouts := 0, 0; i < len(checks); i++ {
		result, err := r.Run(checks[i])
		if ctx.Err() != nil { // which kills the program
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		p.result(result)
		if result.Failure == nil || !errors.Is(result.Failure.Err, conform.ErrTimeout) {
			continue
		}
		if timeouts++; timeouts == patience {
			for _, c := range checks[i+1:] {
				p.result(conform.Result{Check: c, Missing: fmt.Sprintf("the program did not answer in time %d times", timeouts)})
			}
			break
		}
	}
	p.summary(o.half, time.Since(start))
	if p.err == nil && p.failed > 0 {
		return tool.Finding{}
	}
	return p.err
}

// A printer prints results for people, or as JSON.
type printer struct {
	out                  io.Writer
	json, full           bool
	made, failed, missed int
	err                  error // the first error of out
}

func (p *printer) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.out, format, args...); p.err == nil {
		p.err = err
	}
}

// object prints a JSON object, in which what is not printable is escaped.
func (p *printer) object(o any) {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(o); p.err == nil {
		p.err = err
	}
	p.printf("%s\n", safetext.Escape(strings.TrimSuffix(text.String(), "\n")))
}

// A line is a check in JSON.
type line struct {
	Check   string `json:"check"`
	Section string `json:"section"`
	About   string `json:"about"`
	Result  string `json:"result,omitempty"` // ok, failed or not checked

	Step   int      `json:"step,omitempty"`
	After  []string `json:"after,omitempty"` // this and the next three to the byte: see conform.Exact
	Sent   string   `json:"sent,omitempty"`
	Wanted string   `json:"wanted,omitempty"`
	Got    string   `json:"got,omitempty"`
	Why    string   `json:"why,omitempty"`
}

func (p *printer) listed(c conform.Check) {
	if p.json {
		p.object(line{Check: c.Name, Section: c.Section, About: c.About})
		return
	}
	p.printf("%-30s section %-2s  %s\n", c.Name, c.Section, c.About)
}

func (p *printer) result(r conform.Result) {
	verdict, f := "ok", r.Failure
	l := line{Check: r.Check.Name, Section: r.Check.Section, About: r.Check.About}
	switch {
	case f != nil:
		p.failed++
		verdict = "failed"
		l.Step, l.Why = f.Step, p.exact(f.Why)
		for _, step := range f.After {
			l.After = append(l.After, p.text(step))
		}
		wanted, got := f.Wanted, f.Got
		if f.Err == nil && !p.json && !p.full {
			wanted, got = conform.CutBoth(wanted, got)
		}
		l.Sent, l.Wanted, l.Got = p.text(f.Sent), p.exact(wanted), p.exact(got)
	case r.Missing != "":
		p.missed++
		verdict = "not checked"
		l.Why = r.Missing
	default:
		p.made++
	}
	l.Result = verdict
	if p.json {
		p.object(l)
		return
	}
	p.printf("%-11s %-30s section %-2s  %s\n", verdict, l.Check, l.Section, l.About)
	for _, step := range l.After {
		p.printf("            %-6s  %s\n", "after", step)
	}
	for _, part := range []struct{ name, text string }{{"sent", l.Sent}, {"wanted", l.Wanted}, {"got", l.Got}, {"why", l.Why}} {
		if part.text != "" {
			p.printf("            %-6s  %s\n", part.name, part.text)
		}
	}
	if f != nil {
		p.printf("            in step %d of the check\n", f.Step)
	}
}

// text returns a text as reports have it, cut unless they are to have it whole.
func (p *printer) text(s string) string {
	if !p.json && !p.full {
		s = conform.Cut(s)
	}
	return p.exact(s)
}

func (p *printer) exact(s string) string {
	if p.json {
		return conform.Exact(s, func(rune) bool { return true }) // JSON has all
	}
	return conform.Exact(s, strconv.IsPrint)
}

func (p *printer) summary(half string, took time.Duration) {
	missing := conform.NotChecked(half)
	if p.json {
		p.object(map[string]any{"ok": p.made, "failed": p.failed, "not_checked": p.missed, "cannot_be_checked": missing})
		return
	}
	p.printf("%d ok, %d failed, %d not checked, in %.1f s\n", p.made, p.failed, p.missed, took.Seconds())
	for _, m := range missing {
		p.printf("not checked: %s\n", m)
	}
}
