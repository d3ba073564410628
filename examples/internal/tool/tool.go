// Package tool is what the programs of this repository do alike: how they are asked for help, what they say about wrong
// arguments, how they end, and that nothing which a peer or a file chose commands the terminal.
package tool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// What programs exit with.
const (
	Fine        = 0
	Found       = 1   // it did what it was to do, and found something wrong
	Unable      = 2   // it could not: wrong arguments, a file that cannot be read or written, an address in use
	Interrupted = 130 // as shells say it
)

// ErrInterrupted is in the error of a program that an interrupt has ended.
var ErrInterrupted = errors.New("interrupted")

// A Finding is an error for which a program exits with Found.
type Finding struct{ Err error } // nil if it has been printed

func (f Finding) Error() string {
	if f.Err == nil {
		return ""
	}
	return f.Err.Error()
}

// Unwrap returns the error.
func (f Finding) Unwrap() error { return f.Err }

// A Command is what a program says about itself.
type Command struct {
	Name     string
	About    string // what it does, in a sentence or more
	Usage    string // what stands behind its name
	Examples string // a command a line
	Found    string // what it may find, for which it exits with Found: "if a check failed"; "" if nothing
	Most     int    // how many arguments it takes, besides flags
	Further  bool   // it takes flags behind arguments, too
}

// Any is for a Command that takes any number of arguments.
const Any = int(^uint(0) >> 1)

// Flags returns an empty set of flags.
func (c *Command) Flags() *flag.FlagSet {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // Parse and End say what there is to say
	flags.Usage = func() {}
	return flags
}

// Parse parses the arguments. If they ask for help it prints that on stdout and returns flag.ErrHelp.
func (c *Command) Parse(flags *flag.FlagSet, args []string, stdout io.Writer) error {
	err := flags.Parse(args)
	late := ""
	if !c.Further {
		late = lateFlag(flags, args)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		if _, err := io.WriteString(stdout, c.help(flags)); err != nil {
			return err
		}
		return flag.ErrHelp
	case err != nil:
		return fmt.Errorf("%w; -h prints the usage", err)
	case late != "":
		return fmt.Errorf("flags stand before other arguments: %q; -h prints the usage", late)
	case flags.NArg() > c.Most:
		return fmt.Errorf("unexpected argument %q; -h prints the usage", flags.Arg(c.Most))
	}
	return nil
}

// lateFlag returns a flag that stands behind an argument, and so would be taken for one; "" if there is none.
func lateFlag(flags *flag.FlagSet, args []string) string {
	if slices.Contains(args, "--") { // what is behind it may look like a flag
		return ""
	}
	for _, arg := range flags.Args() {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && flags.Lookup(name) != nil {
			return arg
		}
	}
	return ""
}

const helpWidth = 80

func (c *Command) help(flags *flag.FlagSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nUsage: %s\n\nExamples:\n", Wrap(c.About, helpWidth, 0), strings.TrimSpace(c.Name+" "+c.Usage))
	for line := range strings.Lines(c.Examples) {
		b.WriteString("  " + line)
	}
	b.WriteString("\nFlags:\n")
	flags.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		switch f.DefValue {
		case "", "0", "0s", "false":
		default:
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&b, "  %s\n%s", strings.TrimSpace("-"+f.Name+" "+value), Wrap("        "+usage, helpWidth, 8))
	})
	found := ""
	if c.Found != "" {
		found = fmt.Sprintf("%d %s; ", Found, c.Found)
	}
	exit := fmt.Sprintf("Exit status: %d; %s%d if it cannot do what it is told; %d if it is interrupted.", Fine, found, Unable, Interrupted)
	b.WriteString("\n" + Wrap(exit, helpWidth, 0))
	return b.String()
}

// End says on stderr why the program ends, and returns what it exits with.
func (c *Command) End(stderr io.Writer, err error) int {
	status := Unable
	var finding Finding
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return Fine
	case errors.Is(err, ErrInterrupted):
		status = Interrupted
	case errors.As(err, &finding):
		status = Found
	}
	if why := err.Error(); why != "" {
		fmt.Fprintf(stderr, "%s: %s\n", c.Name, safetext.Escape(safetext.Cut(strings.ReplaceAll(why, "\n", "; "), 4000)))
	}
	return status
}

// Main runs a program and exits with what it returns. An interrupt ends it at once.
func Main(run func(args []string, stdin io.Reader, stdout, stderr io.Writer) int) {
	MainContext(func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
		defer AtOnce(ctx)()
		return run(args, stdin, stdout, stderr)
	})
}

// MainContext runs a program that ends by itself after an interrupt, which ends ctx with the cause ErrInterrupted. The
// second interrupt ends it at once.
func MainContext(run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int) {
	ctx, cancel := context.WithCancelCause(context.Background())
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupts
		cancel(ErrInterrupted)
		<-interrupts
		os.Exit(Interrupted)
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, safetext.NewWriter(os.Stdout), safetext.NewWriter(os.Stderr)))
}

// AtOnce ends the process as soon as an interrupt has ended ctx, until stop is called.
func AtOnce(ctx context.Context) (stop func()) {
	end := context.AfterFunc(ctx, func() { os.Exit(Interrupted) })
	return func() { end() }
}

// Count returns a number of things: "1 step", "2 steps".
func Count[T int | uint64 | int64 | uint](n T, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// Number is a flag.Value for a number that may be absent.
type Number struct{ To **uint64 }

func (n Number) String() string { return "" }

// Set is called by package flag.
func (n Number) Set(s string) error {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return errors.New("expected a number from 0 to 2^64-1")
	}
	*n.To = &v
	return nil
}
