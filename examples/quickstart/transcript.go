package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/journal"
)

func (h *host) title() {
	fmt.Fprint(h.out, `A host hands jobs to a worker. All that joins the two is bytes in channels, one channel each way.
Below is every message, in the order in which the host sends and receives, and what it led to.
`)
}

func (h *host) scene(title, about string) {
	h.scenes++
	fmt.Fprintf(h.out, "\n\n%d. %s\n\n%s\n\n", h.scenes, strings.ToUpper(title), about)
	fmt.Fprintln(h.out, " turn  direction   operation           job  what it led to")
}

func (h *host) end() {
	fmt.Fprintf(h.out, "\n\n%d messages, %d jobs, %d in flight: nobody is left waiting.\n", h.messages, len(h.jobs), h.c.InflightCount())
}

// event prints what happens that is no message.
func (h *host) event(format string, args ...any) {
	fmt.Fprintf(h.out, "%5d  (%s)\n", h.c.Turn(), fmt.Sprintf(format, args...))
}

func (h *host) sent(env wc.Envelope) {
	h.message("→", h.line.worker, env.Op, h.consequence(env.Op))
}

func (h *host) received(env wc.Envelope, err error) {
	switch {
	case env.Op == nil:
		h.event("a text arrives that is no message: %v", err)
	case err != nil:
		h.message("←", *env.WorkerID, env.Op, "REFUSED: "+strings.TrimPrefix(err.Error(), "workerchannel: "))
	default:
		h.message("←", *env.WorkerID, env.Op, h.consequence(env.Op))
	}
}

func (h *host) message(arrow, worker string, op wc.Op, led string) {
	h.messages++
	job := ""
	if id, ok := journal.JobOf(op); ok {
		job = strconv.FormatUint(id, 10)
	}
	fmt.Fprintf(h.out, "%5d  host %s %-3s  %-18s  %3s  %s\n", h.c.Turn(), arrow, worker, op.Type(), job, led)
}

// consequence says what an accepted message has led to.
func (h *host) consequence(op wc.Op) string {
	change := ""
	if id, ok := journal.JobOf(op); ok {
		j := h.jobs[id]
		was := j.state
		switch j.state, _ = h.c.JobState(id); op.(type) { // which by now may have moved on from what these two did
		case wc.SpawnJob:
			j.state = wc.StateQueued
		case wc.CancelJob:
			j.state = wc.StateCancelRequested
		}
		if j.state != was {
			change = was.String() + " → " + j.state.String()
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
			remark = "nothing: it crossed the cancel on its way"
		} else if change == "" {
			remark = "still " + now.String()
		}
	case wc.JobCompleted:
		remark = describe(op.Outcome)
	case wc.CancelJob:
		remark = strconv.Quote(op.Reason)
	case wc.DrainJob:
		remark = "asks it to let go of what it holds"
	case wc.FinalizeJob:
		remark = "asks it to clean up"
	case wc.ShutdownWorker:
		remark = "asks it to stop: " + strconv.Quote(op.Reason)
	case wc.ShutdownCompleted:
		remark = "the session is over"
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
		return "the result " + strconv.Quote(string(outcome.Payload))
	case wc.OutcomeErr:
		return "the error " + strconv.Quote(outcome.Code+": "+outcome.Message)
	case wc.OutcomePanicked:
		return "the panic " + strconv.Quote(outcome.Message)
	case wc.OutcomeCancelled:
		return "given up, " + strconv.Quote(outcome.Reason)
	}
	return ""
}

// table prints what has become of the jobs.
func (h *host) table() {
	fmt.Fprintf(h.out, "\n  job  %-18s  %-9s  %s\n", "task", "state", "its caller has")
	for _, id := range slices.Sorted(maps.Keys(h.jobs)) {
		j := h.jobs[id]
		has := describe(j.outcome)
		switch {
		case j.state == wc.StateFailed:
			has = "the news that its worker is lost"
		case !j.state.Terminal():
			has = "to wait"
		case j.outcome == nil:
			has = "its cancel confirmed"
		}
		fmt.Fprintf(h.out, "%5d  %-18s  %-9s  %s\n", id, j.task, j.state, has)
	}
	if len(h.jobs) == 0 {
		fmt.Fprintln(h.out, "    -  none yet")
	}
}
