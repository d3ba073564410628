package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	wc "github.com/workerchannel/workerchannel"
)

func (h *host) title() {
	fmt.Fprint(h.out, `A host hands jobs to a worker. They are connected by two channels of bytes, one in each direction.
Below is every message, in the order in which the host sends and receives them, and what it led to.

Each job ends once, in one of two states. It is "completed" if the worker has said how it ended: with a
result, with an error, with a panic, or by being cancelled. It is "failed" if its worker was gone before
that; then nobody knows how far it got, and the host may run it again.

The host counts time in turns. Here a turn begins with each new request of the story; in a real program it
would begin every second, say. A worker that takes too many turns for an answer is late.
`)
}

func (h *host) scene(title, about string) {
	h.scenes++
	fmt.Fprintf(h.out, "\n\n%d. %s\n\n%s\n\n", h.scenes, strings.ToUpper(title), about)
	fmt.Fprintln(h.out, " turn  direction   operation           job  what it led to")
}

func (h *host) end() {
	count := map[string]int{}
	for _, j := range h.jobs {
		count[j.stands()]++
	}
	fmt.Fprintf(h.out, "\n\n%d messages, %d jobs: %d completed, %d cancelled, %d failed and not run again. None is in flight: nobody waits.\n",
		h.messages, len(h.jobs), count["completed"], count["cancelled"], count["failed"])
}

// event prints what happens other than a message.
func (h *host) event(format string, args ...any) {
	fmt.Fprintf(h.out, "%5d  (%s)\n", h.c.Turn(), fmt.Sprintf(format, args...))
}

func (h *host) sent(env wc.Envelope) {
	h.message("→", h.line.worker, env.Op, h.consequence(env.Op))
}

func (h *host) received(env wc.Envelope, err error) {
	switch {
	case env.Op == nil:
		h.event("REFUSED: %s", describeError(err))
	case wc.IsStray(err):
		h.message("←", *env.WorkerID, env.Op, "refused, as it should be: "+describeError(err))
	case err != nil:
		h.message("←", *env.WorkerID, env.Op, "REFUSED: "+describeError(err))
	default:
		h.message("←", *env.WorkerID, env.Op, h.consequence(env.Op))
	}
}

func (h *host) message(arrow, worker string, op wc.Op, led string) {
	h.messages++
	job := ""
	if id, ok := wc.JobOf(op); ok {
		job = strconv.FormatUint(id, 10)
	}
	fmt.Fprintf(h.out, "%5d  host %s %-3s  %-18s  %3s  %s\n", h.c.Turn(), arrow, worker, op.Type(), job, led)
}

// consequence says what an accepted message has led to.
func (h *host) consequence(op wc.Op) string {
	change := ""
	if id, ok := wc.JobOf(op); ok {
		j := h.jobs[id]
		was := j.state
		switch j.state, _ = h.c.JobState(id); op.(type) { // which may have moved on since these two were queued
		case wc.SpawnJob:
			j.state = wc.StateQueued
		case wc.CancelJob:
			j.state = wc.StateCancelRequested
		}
		if j.state != was {
			change, j.scene = was.String()+" → "+j.state.String(), h.scenes
		}
	}
	remark := ""
	switch op := op.(type) {
	case wc.BootstrapReady:
		remark = op.WorkerID + " is ready for jobs"
	case wc.SpawnJob:
		remark = strconv.Quote(string(op.Payload))
	case wc.PollStatus:
		remark = "asks how it is going"
	case wc.StatusSnapshot:
		if now := h.jobs[op.JobID].state; now != op.State {
			remark = "ignored: it crossed the cancel on its way"
		} else if change == "" {
			remark = "still " + now.String()
		}
	case wc.JobCompleted:
		remark = describe(op.Outcome)
	case wc.CancelJob:
		remark = strconv.Quote(op.Reason)
	case wc.DrainJob:
		remark = "asks the worker to let go of what the job holds"
	case wc.FinalizeJob:
		remark = "asks the worker to clean up"
	case wc.FinalizeCompleted:
		remark = "the job is cancelled"
	case wc.ShutdownWorker:
		remark = "asks the worker to stop: " + strconv.Quote(op.Reason)
	case wc.ShutdownCompleted:
		remark = "the session has ended"
	case wc.Diagnostic:
		remark = op.Level.String() + ": " + strconv.Quote(op.Message)
	}
	if change != "" && remark != "" {
		change += ": "
	}
	return change + remark
}

func describe(outcome wc.Outcome) string {
	switch outcome := outcome.(type) {
	case wc.OutcomeOk:
		return "result " + strconv.Quote(string(outcome.Payload))
	case wc.OutcomeErr:
		return "error " + strconv.Quote(outcome.Code+": "+outcome.Message)
	case wc.OutcomePanicked:
		return "panic " + strconv.Quote(outcome.Message)
	case wc.OutcomeCancelled:
		return "cancelled, " + strconv.Quote(outcome.Reason)
	}
	return ""
}

func describeError(err error) string {
	var other *wc.WorkerError
	switch {
	case errors.As(err, &other) && other.Kind == wc.ErrWorkerSessionMismatch:
		return other.WorkerID + " is not the active worker"
	case errors.As(err, &other) && other.Kind == wc.ErrRetiredWorker:
		return "the session of " + other.WorkerID + " has ended"
	}
	return strings.TrimPrefix(err.Error(), "workerchannel: ")
}

// table prints the jobs to which something has happened in this scene.
func (h *host) table() {
	fmt.Fprintf(h.out, "\n  job  %-18s  %-9s  %s\n", "task", "state", "its caller has")
	for _, id := range slices.Sorted(maps.Keys(h.jobs)) {
		if j := h.jobs[id]; j.scene == h.scenes {
			fmt.Fprintf(h.out, "%5d  %-18s  %-9s  %s\n", id, j.task, j.stands(), j.news())
		}
	}
}

// stands returns the state of a job. A job that completed by being cancelled is called cancelled.
func (j *job) stands() string {
	if j.state == wc.StateCompleted && j.cause == wc.CauseCancelled {
		return "cancelled"
	}
	return j.state.String()
}

// news returns what the caller of a job knows.
func (j *job) news() string {
	switch {
	case j.cause == wc.CauseCancelled:
		return "the confirmation that it is cancelled"
	case j.state == wc.StateFailed:
		return "the news that its worker is gone"
	case !j.state.Terminal():
		return "to wait"
	}
	return describe(j.outcome)
}
