package conform

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	wc "github.com/workerchannel/workerchannel"
)

// PairOfHalves stands for a half where a worker and a coordinator are checked together.
const PairOfHalves = "pair"

// A Pair makes checks with a worker and a coordinator that talk to each other. It plays the application on both sides,
// and records and passes on what they send. A check fails with the first message that either refuses, or with a call.
type Pair struct{ worker, coordinator Runner }

// NewPair returns a pair of programs, which are started when they are needed.
func NewPair(worker, coordinator Command) *Pair {
	return &Pair{Runner{Half: WorkerHalf, Command: worker}, Runner{Half: CoordinatorHalf, Command: coordinator}}
}

// Close ends both programs.
func (p *Pair) Close() {
	p.worker.Close()
	p.coordinator.Close()
}

// Run makes one of the checks of PairOfHalves. An error means that a program cannot be started, or has ended before it
// obeyed any command.
func (p *Pair) Run(c Check) (Result, error) {
	t := talk{pair: p}
	for i, s := range c.steps() {
		failure, err := t.step(s)
		if failure != nil || err != nil {
			p.Close()
		}
		if err != nil {
			return Result{}, err
		}
		if failure != nil {
			failure.Step, failure.After = i+1, t.past
			return Result{Check: c, Failure: failure}, nil
		}
		if t.missing != "" {
			return Result{Check: c, Missing: t.missing}, nil
		}
	}
	return Result{Check: c}, nil
}

// A talk is what has happened in a check.
type talk struct {
	pair    *Pair
	past    []string
	way     []sent // what has not arrived
	missing string // why the check cannot go on, if a program lacks a command
}

// A sent message is on its way.
type sent struct {
	to   *Runner
	text []byte
	late bool // its worker has been killed
}

// step carries out a line of a check. Then everything arrives, unless the line begins with "later".
func (t *talk) step(s step) (*Failure, error) {
	line, later := strings.CutPrefix(s.command, "later ")
	who, command, _ := strings.Cut(line, " ")
	r := map[string]*Runner{"host": &t.pair.coordinator, "worker": &t.pair.worker}[who]
	if r == nil {
		t.kill()
	} else if failure, err := t.tell(r, step{command: command, want: s.want}); failure != nil || err != nil {
		return failure, err
	}
	for most := maxMessages; !later && len(t.way) > 0; most-- {
		m := t.way[0]
		t.way = t.way[1:]
		v, err := wc.Verify(m.text)
		if err != nil {
			return &Failure{Sent: "message to the " + m.to.Half + " " + string(m.text), Wanted: "a valid message", Got: err.Error()}, nil
		}
		arrives := step{command: "receive", message: m.text}
		switch {
		case m.late: // a stray, as section 8 says
			arrives.want = "refused WorkerSessionMismatch"
		case v.Envelope().Op.Type() == wc.OpBootstrapFailed:
			arrives.want = "refused BootstrapFailed"
		}
		failure, err := t.tell(m.to, arrives)
		if failure != nil || err != nil {
			return failure, err
		}
		if most == 0 {
			return &Failure{Sent: string(m.text), Wanted: "an end", Got: "messages that are answered by messages"}, nil
		}
	}
	return nil, nil
}

// kill ends the worker: what was sent to it is lost, and what it has sent comes late.
func (t *talk) kill() {
	t.pair.worker.Close()
	t.past = append(t.past, "the worker is killed")
	t.way = slices.DeleteFunc(t.way, func(m sent) bool { return m.to == &t.pair.worker })
	for i := range t.way {
		t.way[i].late = true
	}
}

// dispensable are the optional commands on which nothing depends that comes later in a check of a pair.
var dispensable = []string{"job", "ended", "reap", "report", "diagnose", "say_capacity"}

// tell sends a command to a program, and what the program then sends on its way. The reply must be ok, but for what s
// wants: an error, or the text behind a =.
func (t *talk) tell(r *Runner, s step) (*Failure, error) {
	to := &t.pair.worker
	if r == to {
		to = &t.pair.coordinator
	}
	now := "command to the " + r.Half + " " + s.command
	if s.message != nil {
		now = "message to the " + r.Half + " " + string(s.message)
	}
	reply, err := r.do(&s)
	if errors.As(err, new(startError)) {
		return nil, fmt.Errorf("%s: %w", r.Half, err)
	}
	if err != nil {
		return &Failure{Sent: now, Wanted: "a reply", Got: err.Error(), Err: err}, nil
	}
	name, _, _ := strings.Cut(s.command, " ")
	if reply.Verdict == "unsupported" && slices.Contains(Optional, name) {
		if !slices.Contains(dispensable, name) {
			t.missing = "the " + r.Half + " does not support the command " + name
		}
		return nil, nil
	}
	verdict, text := cmp.Or(s.want, "ok"), reply.Text
	if wanted, ok := strings.CutPrefix(s.want, "= "); ok {
		verdict, text = "ok", wanted
	}
	if reply.Verdict != verdict || reply.Text != text {
		failure := &Failure{Sent: now, Wanted: strings.TrimSpace(verdict + " " + text), Got: describe(&reply)}
		if s.message != nil {
			failure.Why = "the message itself is valid: it does not fit what the " + r.Half + " has been told before"
		}
		return failure, nil
	}
	t.past = append(t.past, now)
	for _, m := range reply.Messages {
		t.way = append(t.way, sent{to: to, text: m})
	}
	return nil, nil
}
