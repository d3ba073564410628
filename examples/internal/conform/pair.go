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

// A Pair makes checks with a worker and a coordinator that talk to each other. It plays the application on both sides, and
// records and passes on what they send. A check fails with the first message that either refuses, or with a call.
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
	for i, s := range c.steps {
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
	}
	return Result{Check: c}, nil
}

// A talk is what has happened in a check.
type talk struct {
	pair *Pair
	past []string
	way  []sent // what has not arrived
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

// pairChecks are the checks of a worker and a coordinator together. In a script a line of the host is a call of the
// coordinator's application.
func pairChecks() []Check {
	return []Check{
		{"pair/progress", "2", "jobs are spawned, report, are polled and end, with each outcome", script(`
			host new 18446744073709551615
			worker new "w1" 9007199254740993
			worker announce
			worker say_capacity 4
			host spawn_job 18446744073709551615 9007199254740993 2 3 b00ff
			worker start 18446744073709551615
			host job 18446744073709551615 => = Running
			worker report 18446744073709551615 "5 %"
			host poll_status 18446744073709551615
			worker diagnose Warn "c" "\u20ac\x00\"\\" -
			worker complete 18446744073709551615 Ok b0102
			host ended 18446744073709551615 => = Outcome {"status":"Ok","payload":[1,2]}
			host spawn_job 0 0 0 0 b*262144
			worker complete 0 Ok b*262144
			host spawn_job 1 0 0 0 b
			worker complete 1 Err "c" "m"
			host ended 1 => = Outcome {"status":"Err","code":"c","message":"m"}
			host spawn_job 2 0 0 0 b
			worker complete 2 Cancelled "given up"
			host spawn_job 3 0 0 0 b
			worker complete 3 Panicked ` + quoted + `
			host reap => = 0 1 2 3 18446744073709551615`)},
		{"pair/cancel", "2", "jobs are cancelled, queued and running, one by one and by region", script(`
			host new 1
			worker new "w1" 2
			worker announce
			host spawn_job 1 0 0 0 b
			host spawn_job 2 5 0 0 b
			host spawn_job 3 5 0 0 b
			worker start 2
			host cancel_job 2 "why"
			worker job 2 => = CancelRequested
			worker acknowledge_cancel 2
			worker job 2 => = Draining
			worker complete_drain 2
			host job 2 => = Finalizing
			worker complete_finalize 2
			host ended 2 => = Cancelled {"status":"Cancelled","reason":"why"}
			host cancel_job 1 ""
			worker acknowledge_cancel 1
			worker complete_drain 1
			worker complete_finalize 1
			host close_region 5 "together"
			worker acknowledge_cancel 3
			worker complete_drain 3
			worker complete_finalize 3
			host reap => = 1 2 3`)},
		{"pair/crossed", "10", "calls of both sides cross on the wire", script(`
			host new 1
			worker new "w1" 2
			worker announce
			1..4 host spawn_job % 0 0 0 b
			later host cancel_job 1 "crosses the outcome"
			later worker start 1
			worker complete 1 Err "c" "m"
			host ended 1 => = Outcome {"status":"Err","code":"c","message":"m"}
			later host cancel_job 2 "crosses the report"
			worker start 2
			worker acknowledge_cancel 2
			later host poll_status 3
			worker complete 3 Ok b
			later worker start 4
			host poll_status 4
			later host poll_status 4
			later host cancel_job 4 "follows the poll"
			worker complete_drain 2
			worker complete 4 Ok b
			worker complete_finalize 2
			host reap => = 1 2 3 4`)},
		{"pair/lost", "8", "a worker is lost, and what it has sent comes when its successor is there", script(`
			host new 1
			worker new "w1" 2
			worker announce
			host spawn_job 4 0 0 0 b
			worker start 4
			later host spawn_job 5 0 0 0 b
			later worker complete 4 Ok b
			later kill
			later host worker_lost
			later worker new "w2" 7
			worker announce
			host ended 4 => = WorkerLost -
			host reap => = 4 5
			host spawn_job 4 0 0 0 b
			worker complete 4 Ok b
			host spawn_job 7 0 0 0 b
			kill
			worker new "w3" 7
			worker announce
			host ended 7 => = Replaced -
			host spawn_job 6 0 0 0 b
			worker fail "broken"
			host ended 6 => = BootstrapFailed -`)},
		{"pair/shutdown", "7", "a shutdown freezes a cancel, and what has not ended fails with the session", script(`
			host new 1
			worker new "w1" 2
			worker announce
			4..7 host spawn_job % 0 0 0 b
			host cancel_job 5 ""
			host cancel_job 7 ""
			later worker acknowledge_cancel 7
			later worker start 4
			host request_shutdown "stop"
			worker job 7 => = none
			worker acknowledge_cancel 5
			worker job 5 => = none
			worker complete 4 Cancelled ""
			worker say_capacity 0
			worker complete_shutdown
			host ended 4 => = Outcome {"status":"Cancelled","reason":""}
			host ended 5 => = Shutdown -
			host ended 6 => = Shutdown -`)},
		{"pair/shutdown-when-idle", "7", "a shutdown when idle lets jobs end and cancels finish", script(`
			host new 1
			worker new "w1" 2
			worker announce
			host spawn_job 1 0 0 0 b
			host spawn_job 2 0 0 0 b
			host cancel_job 2 "x"
			host shutdown_when_idle "stop"
			worker acknowledge_cancel 2
			worker complete_drain 2
			worker complete 1 Ok b
			worker complete_finalize 2
			worker complete_shutdown
			host ended 1 => = Outcome {"status":"Ok","payload":[]}
			host reap => = 1 2`)},
	}
}
