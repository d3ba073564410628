package conform

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	wc "github.com/workerchannel/workerchannel"
)

// errUnsupported says that a half has no such command.
var errUnsupported = errors.New("unsupported command")

// A half of the protocol obeys commands.
type half interface {
	do(c *command, message []byte) (text string, err error)
	AppendNext(dst []byte) ([]byte, wc.Envelope, bool)
}

// A Reference is one half of this repository's core behind the command pipe. It is what programs are compared with.
type Reference struct {
	half half
	held bool
}

// NewReference returns the reference of a half, WorkerHalf or CoordinatorHalf.
func NewReference(name string) *Reference {
	if name == WorkerHalf {
		return &Reference{half: &worker{wc.NewWorker("", 0)}}
	}
	return &Reference{half: &coordinator{wc.NewCoordinator(0)}}
}

// Do obeys a command; message is the line that the command receive takes from standard input.
func (r *Reference) Do(line string, message []byte) (Reply, error) {
	c := parseCommand(line)
	reply := Reply{Verdict: "ok"}
	switch c.name {
	case "hold":
		r.held = true
	case "send":
	default:
		if c.name == "new" {
			r.held = false
		}
		text, err := r.half.do(c, message)
		switch {
		case c.err != nil:
			return Reply{}, c.err
		case errors.Is(err, errUnsupported):
			return Reply{Verdict: "unsupported"}, nil
		case err != nil:
			reply.Verdict = "refused " + wc.KindOf(err)
		default:
			reply.Text = text
		}
	}
	if r.held && c.name != "send" {
		return reply, nil
	}
	for text, _, ok := r.half.AppendNext(nil); ok; text, _, ok = r.half.AppendNext(nil) {
		reply.Messages = append(reply.Messages, text)
		if c.name == "send" {
			break
		}
	}
	return reply, nil
}

func received(env wc.Envelope, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return onWire(env.Op), nil
}

// stateName returns the name that a state has on the wire.
func stateName(s wc.JobState, known bool) string {
	if !known {
		return "none"
	}
	name, err := s.MarshalText()
	if err != nil {
		return err.Error()
	}
	return string(name)
}

type worker struct{ *wc.Worker }

func (w *worker) do(c *command, message []byte) (string, error) {
	switch c.name {
	case "new":
		w.Worker = wc.NewWorker(c.text(), c.number())
		return "", nil
	case "receive":
		return received(w.Receive(message))
	case "advance_turn":
		w.AdvanceTurn()
		return "", nil
	case "job":
		return stateName(w.JobState(c.number())), nil
	case "announce":
		return "", w.Announce()
	case "fail":
		return "", w.Fail(c.text())
	case "start":
		return "", w.Start(c.number())
	case "report":
		return "", w.Report(c.number(), c.text())
	case "complete":
		return "", w.Complete(c.number(), c.outcome())
	case "acknowledge_cancel":
		return "", w.AcknowledgeCancel(c.number())
	case "complete_drain":
		return "", w.CompleteDrain(c.number())
	case "complete_finalize":
		return "", w.CompleteFinalize(c.number())
	case "diagnose":
		return "", w.Diagnose(wc.Diagnostic{Level: c.level(), Category: c.text(), Message: c.text(), Metadata: c.optional()})
	case "say_capacity":
		capacity := strconv.FormatUint(c.number(), 10)
		return "", w.Diagnose(wc.Diagnostic{Level: wc.LevelInfo, Category: "workerchannel.capacity", Message: capacity})
	case "complete_shutdown":
		return "", w.CompleteShutdown()
	}
	return "", errUnsupported
}

type coordinator struct{ *wc.Coordinator }

func (h *coordinator) do(c *command, message []byte) (string, error) {
	switch c.name {
	case "new":
		seed := c.number()
		var l wc.Limits
		if len(c.args) > 0 {
			l = wc.Limits{Boot: c.number(), Cancel: c.number(), Drain: c.number(), Finalize: c.number(), Poll: c.number(), Shutdown: c.number()}
		}
		h.Coordinator = wc.NewCoordinator(seed, wc.WithLimits(l))
		return "", nil
	case "receive":
		return received(h.Receive(message))
	case "advance_turn":
		h.AdvanceTurn()
		return "", nil
	case "job":
		return stateName(h.JobState(c.number())), nil
	case "since":
		job, ok := h.Job(c.number())
		if !ok {
			return "none", nil
		}
		return strconv.FormatUint(job.Since, 10), nil
	case "spawn_job":
		return "", h.SpawnJob(wc.SpawnJob{JobID: c.number(), RegionID: c.number(), TaskID: c.number(), ObligationID: c.number(), Payload: c.payload()})
	case "cancel_job":
		return "", h.CancelJob(c.number(), c.text())
	case "cancel_region":
		return count(h.CancelRegion(c.number(), c.text()))
	case "close_region":
		return count(h.CloseRegion(c.number(), c.text()))
	case "poll_status":
		return "", h.PollStatus(c.number())
	case "request_shutdown":
		return "", h.RequestShutdown(c.text())
	case "shutdown_when_idle":
		return "", h.ShutdownWhenIdle(c.text())
	case "expect_worker":
		h.ExpectWorker()
		return "", nil
	case "worker_lost":
		h.WorkerLost()
		return "", nil
	case "retire_worker":
		h.RetireWorker(c.text())
		return "", nil
	case "remove_job":
		state, err := h.RemoveJob(c.number())
		if err != nil {
			return "", err
		}
		return stateName(state, true), nil
	case "reap":
		var ids []string
		for _, job := range h.Reap() {
			ids = append(ids, strconv.FormatUint(job.JobID, 10))
		}
		return strings.Join(ids, " "), nil
	case "ended":
		return h.ended(c.number()), nil
	case "overdue":
		return h.overdue(), nil
	case "next_deadline":
		if turn, ok := h.NextDeadline(); ok {
			return strconv.FormatUint(turn, 10), nil
		}
		return "none", nil
	}
	return "", errUnsupported
}

func count(n int, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return strconv.Itoa(n), nil
}

func (h *coordinator) ended(jobID uint64) string {
	job, ok := h.Job(jobID)
	if !ok || !job.State.Terminal() {
		return "none"
	}
	cause, _ := job.Cause.MarshalText() // the coordinator knows no unknown causes
	if job.Outcome == nil {
		return string(cause) + " -"
	}
	return string(cause) + " " + onWire(job.Outcome)
}

func (h *coordinator) overdue() string {
	late, ok := h.Overdue()
	if !ok {
		return "none"
	}
	request, job := "Bootstrap", "-"
	if late.Request != 0 {
		request = late.Request.String()
		if late.Request != wc.OpShutdownWorker {
			job = strconv.FormatUint(late.JobID, 10)
		}
	}
	return fmt.Sprint(request, " ", job, " ", late.Since)
}
