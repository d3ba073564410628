package conform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Check is one thing that a half promises.
type Check struct {
	Name    string        // topic/name
	Section string        // of PROTOCOL.md
	About   string        // the promise, in a sentence
	steps   func() []step // read when the check is made: some are long
}

func fixed(steps []step) func() []step { return func() []step { return steps } }

// A step is a command to the program.
type step struct {
	command string
	message []byte // for the command receive
	want    string // what the script says must happen; the reference says it to the byte
	silent  bool   // a text in the reply may be missing

	optional bool // if the program does not support the command, the check goes on
}

// Checks returns the checks of a half, or of PairOfHalves, in the order in which they are made: what the others need
// comes first.
func Checks(half string) []Check {
	switch half {
	case WorkerHalf, CoordinatorHalf:
		return slices.Concat(scripted(half+"_wire"), readingChecks(half), scripted(half))
	case PairOfHalves:
		return scripted(half)
	}
	return nil
}

// NotChecked lists what a half cannot be asked to show over the command pipe.
func NotChecked(half string) []string {
	all := []string{
		"that memory and time are in proportion to the input (3)",
		"the byte offset and the cause of a refusal (3), and the data of errors (8)",
		"the duties of the transport: frames are bounded, death is reported after everything that arrived, sending never blocks receiving (11)",
	}
	switch half {
	case PairOfHalves:
		return []string{"what each half does with messages that the other does not send: check each alone"}
	case WorkerHalf:
		return append(all,
			"that a restarted worker takes a new id (1): the checks choose the id",
			"that a worker that says its capacity begins jobs in their order, and reports them before it lets go of one or leaves (13)",
			"that a job really stops and lets go of what it has before the application answers (2)",
			"that a worker that refuses a message fails and stops (8): that is up to the program around the half")
	}
	return append(all,
		"that the host stops a worker whose message was refused, and gives each worker a channel of its own (8, 11)",
		"when the clocks of limits start if the program does not support hold (7)")
}

// A Result is the result of a check.
type Result struct {
	Check   Check
	Failure *Failure // nil if the program does what it must
	Missing string   // why the check was not made to the end, such as an optional command that is not supported
}

// A Failure says what went wrong. After, Sent, Wanted and Got have commands, messages and replies to the byte, so that
// they may be long and need not be printable: see Cut, CutBoth and Exact.
type Failure struct {
	Step              int      // from 1; 0 is the command new
	After             []string // the steps before it; of one program alone at most 8
	Sent, Wanted, Got string
	Why               string // in what they differ, if it is known
	Err               error  // if the program did not reply: why; ErrTimeout if it took too long
}

// A Runner makes checks with a program. It starts the program when it is needed, again after a failure.
type Runner struct {
	Half     string
	Command  Command
	process  *Process
	answered bool // the program has obeyed a command
}

// Close ends the program.
func (r *Runner) Close() {
	if r.process != nil {
		r.process.Close()
		r.process = nil
	}
}

// Run makes one check. An error means that the program cannot be started, or has ended before it obeyed any command.
func (r *Runner) Run(c Check) (Result, error) {
	result := Result{Check: c}
	reference := NewReference(r.Half)
	steps := append([]step{{command: firstCommand(r.Half)}}, c.steps()...)
	for i, s := range steps {
		want, err := reference.Do(s.command, s.message)
		if err != nil {
			return Result{}, fmt.Errorf("check %s, step %d: %w", c.Name, i, err)
		}
		got, err := r.do(&s)
		if errors.As(err, new(startError)) {
			return Result{}, err
		}
		if err != nil {
			result.Failure = &Failure{i, before(steps[:i]), s.sent(), describe(&want), err.Error(), "", err}
			break
		}
		name, _, _ := strings.Cut(s.command, " ")
		if got.Verdict == "unsupported" && s.optional {
			continue
		}
		if got.Verdict == "unsupported" && slices.Contains(Optional, name) {
			result.Missing = "the program does not support the command " + name
			break
		}
		if s.silent && got.Text == "" {
			got.Text = want.Text
		}
		if why, equal := r.compare(&want, &got); !equal {
			result.Failure = &Failure{i, before(steps[:i]), s.sent(), describe(&want), describe(&got), why, nil}
			r.Close() // it may be in any state
			break
		}
	}
	return result, nil
}

// A startError says that the program cannot be started, or has ended before it obeyed any command.
type startError struct{ error }

// do sends a command to the program, which it starts if it does not run, and ends after an error.
func (r *Runner) do(s *step) (Reply, error) {
	if r.process == nil {
		p, err := r.Command.Start()
		if err != nil {
			return Reply{}, startError{err}
		}
		r.process = p
	}
	reply, err := r.process.Do(s.command, s.message)
	if err != nil {
		r.Close()
		if !r.answered && errors.Is(err, errEnded) {
			err = startError{err}
		}
		return Reply{}, err
	}
	r.answered = true
	return reply, nil
}

// compare compares a reply with the one wanted, and looks for messages that the program has written beyond those
// announced.
func (r *Runner) compare(want, got *Reply) (why string, equal bool) {
	why, equal = compare(want, got)
	more, ok := r.process.stdout.come()
	if !equal && !ok {
		more, ok = r.process.unannounced()
	}
	if ok {
		why = strings.TrimPrefix(why+"; it has written a message that no reply announced: "+printable(more), "; ")
	}
	return why, equal && !ok
}

func firstCommand(half string) string {
	if half == WorkerHalf {
		return "new s77 42"
	}
	return "new 42"
}

// before shows the last of the steps.
func before(steps []step) (shown []string) {
	const most = 8
	for _, s := range steps[max(0, len(steps)-most):] {
		shown = append(shown, s.sent())
	}
	return shown
}

// sent shows a step.
func (s *step) sent() string {
	if s.command == "receive" {
		return "message " + string(s.message)
	}
	return "command " + s.command
}
