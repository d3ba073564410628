package main

import (
	_ "embed"
	"fmt"
	"io"
	"strings"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/journal"
)

//go:embed story.txt
var text string // what is said before each scene, and at last

// A story is all that is around the loop: who wants jobs done, the clock, the network, and the coordinator, whose messages
// it prints. Your program needs nothing like it.
type story struct {
	*journal.Recorder
	said        chan string // by the loop
	workers     int         // which the loop has started
	lines       chan *line  // to them
	line        *line       // the present one
	delayed     [][]byte    // messages of the one before
	requests    chan *request
	calls       chan func()
	turns, done chan struct{}
}

// A line is the network between the host and one worker.
type line struct {
	toWorker, toHost chan []byte
	send             func([]byte)  // for the worker
	ended            chan struct{} // closed when the worker has ended
}

// A step of the story is over when the loop has said a line with the last text, and has nothing to send.
type step struct {
	do   func()
	last string
}

func tell(out io.Writer, c *journal.Recorder) {
	s := &story{c, make(chan string), 0, make(chan *line, 1), nil, nil, make(chan *request), make(chan func()), make(chan struct{}), make(chan struct{})}
	kill := func(why error) { s.say("%4d  (%s: it is killed)", s.Turn(), brief(why)) } // the story cuts its line
	go hostLoop(s, s.start, kill, func(wc.Envelope) {}, s.requests, s.calls, s.turns, s.done)
	s.line = <-s.lines
	for scene, about := range strings.SplitAfter(text, "\nturn\n") {
		fmt.Fprint(out, about)
		for _, step := range s.scenes()[scene] {
			step.do()
			for line, last := "...", false; !last || line != ""; fmt.Fprint(out, line) {
				line = <-s.said
				last = last || strings.Contains(line, step.last)
			}
		}
	}
	s.done <- struct{}{}
}

func (s *story) scenes() [][]step {
	job := func(id, region uint64, task, last string) step {
		return step{func() { s.requests <- s.request(id, region, task) }, last}
	}
	call := func(last string, f func()) step { return step{func() { s.calls <- f }, last} }
	lost := call("cut", func() { s.say("%4d  (the line to the worker is cut)", s.Turn()) })
	turn, door, tide := step{func() { s.turns <- struct{}{} }, ""}, job(6, 2, "watch the door", "Status"), job(7, 2, "watch the tide", "Status")
	late := step{func() { s.line.toHost <- s.delayed[0]; s.delayed = s.delayed[1:] }, "refused"}
	return [][]step{
		{{func() {}, "Ready"}},
		{turn, job(1, 1, "divide 84 by 2", "42"), job(2, 1, "divide 84 by two", "(outcome)"), job(3, 1, "divide 84 by 0", "(outcome)")},
		{turn, job(4, 1, "watch the oven", "Status"), turn, call("Snapshot", func() { _ = s.PollStatus(4) })},
		{turn, call("(cancelled)", func() { _ = s.CancelJob(4, "dinner is ready") })},
		{turn, call("125", func() { s.spawn(5, 1, "divide 1000 by 8"); _ = s.CancelJob(5, "never mind") })},
		{turn, door, tide, turn, lost, {s.cut, "Ready"}, turn, late},
		{turn, door, tide, turn, late, turn, late},
		{turn, job(stuckJob, 1, "hold the rope", "Status"), call("DrainJob", func() { _ = s.CancelJob(stuckJob, "let go") }), turn, turn,
			{turn.do, "killed"}, lost, {s.cut, "Ready"}, door, tide},
		{turn, call("job 7, ", func() { _, _ = s.CloseRegion(2, "the night is over"); s.spawn(9, 2, "watch the moon") })},
		{turn, call("ShutdownC", func() { s.spawn(9, 1, "divide 81 by 9"); _ = s.ShutdownWhenIdle("the day is over") }), job(10, 1, "divide 8 by 2", "refused")},
		{},
	}
}

func (s *story) spawn(id, region uint64, task string) {
	job := s.request(id, region, task)
	if err := s.SpawnTagged(job.spawn, job); err != nil {
		job.refuse(err)
	}
}

func (s *story) request(id, region uint64, task string) *request {
	return &request{
		spawn: wc.SpawnJob{JobID: id, RegionID: region, TaskID: id, ObligationID: id, Payload: []byte(task)},
		settle: func(job wc.TrackedJob) {
			result, _ := job.Outcome.(wc.OutcomeOk)
			s.say("      job %d, %q: %v (%v) %s", id, task, job.State, job.Cause, result.Payload)
		},
		refuse: func(err error) { s.say("      job %d, %q: refused, because %s", id, task, brief(err)) },
	}
}

// start starts a worker at the end of a new line.
func (s *story) start() (<-chan []byte, chan<- []byte) {
	l := &line{make(chan []byte), make(chan []byte), nil, make(chan struct{})}
	l.send = func(data []byte) { l.toHost <- data }
	s.workers++
	id := fmt.Sprint("w-", s.workers)
	go func() {
		work(id, func(data []byte) { l.send(data) }, func() []byte { return <-l.toWorker })
		close(l.ended)
	}()
	s.lines <- l
	return l.toHost, l.toWorker
}

// cut cuts the line. What its worker sends after that is delayed.
func (s *story) cut() {
	s.line.send = func(data []byte) { s.delayed = append(s.delayed, data) }
	s.line.toWorker <- nil
	<-s.line.ended
	close(s.line.toHost)
	s.line = <-s.lines
}

// AppendNext says what is sent; an empty line if nothing is.
func (s *story) AppendNext(dst []byte) (text []byte, env wc.Envelope, ok bool) {
	if text, env, ok = s.Recorder.AppendNext(dst); ok {
		s.say("%4d  %v", s.Turn(), env)
	} else {
		s.said <- ""
	}
	return text, env, ok
}

// Receive says what arrives, and the state in which its job is then.
func (s *story) Receive(data []byte) (wc.Envelope, error) {
	env, err := s.Recorder.Receive(data)
	led := ""
	if id, _ := wc.JobOf(env.Op); err != nil {
		led = "(refused: " + brief(err) + ")"
	} else if now, tracked := s.JobState(id); tracked {
		led = "(now " + now.String() + ")"
	}
	s.say("%4d  %v  %s", s.Turn(), env, led)
	return env, err
}

// say says a line, of at most 80 columns.
func (s *story) say(format string, args ...any) {
	s.said <- tool.Wrap(strings.TrimRight(fmt.Sprintf(format, args...), " "), 80, 6)
}

func brief(err error) string { return strings.TrimPrefix(err.Error(), "workerchannel: ") }
