package workerchannel

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/workerchannel/workerchannel/internal/optext"
)

// What the lines of a scene look like.

func hostLine(c *Coordinator) string {
	line := "no worker"
	if id, ok := c.ActiveWorker(); ok {
		line = "worker " + id
	}
	for _, flag := range []struct {
		name string
		is   bool
	}{{"ready", c.WorkerReady()}, {"closing", c.Closing()}, {"shutdown requested", c.ShutdownRequested()}} {
		if flag.is {
			line += ", " + flag.name
		}
	}
	return line
}

func workerLine(w *Worker) string {
	line := "starting"
	switch {
	case w.Ready():
		line = "ready"
	case w.Closed():
		line = "closed"
	}
	if w.ShutdownRequested() {
		line += ", shutdown requested"
	}
	return line
}

func jobLine(jobs []TrackedJob) string {
	var lines []string
	for _, j := range jobs {
		line := fmt.Sprint(j.JobID, " ", j.State)
		if j.Cause != CauseNone {
			line += " (" + j.Cause.String()
			if j.Outcome != nil {
				line += ": " + outcomeLine(j.Outcome)
			}
			line += ")"
		}
		if j.Since != 0 {
			line += fmt.Sprint(" since turn ", j.Since)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// workerJobLine also tells which jobs wait for the host's next request.
func workerJobLine(w *Worker) string {
	var lines []string
	for j := range w.Jobs() {
		line := fmt.Sprint(j.JobID, " ", j.State)
		if w.jobs.m[j.JobID].state != j.State {
			line += " (answered)"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// regionLine leaves out region 0, in which the jobs are that name no region.
func regionLine(c *Coordinator) string {
	var lines []string
	for r := range c.Regions() {
		if r.RegionID == 0 {
			continue
		}
		line := fmt.Sprintf("%d has %d of %d in flight", r.RegionID, r.Inflight, r.Tracked)
		if r.Closed {
			line += " (closed)"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

func errorLine(err error) string {
	return kindOf(err) + ": " + strings.TrimPrefix(err.Error(), "workerchannel: ")
}

func opLine(op Op) string {
	f := flatten(op)
	return f.String()
}

func outcomeLine(o Outcome) string {
	switch o := o.(type) {
	case OutcomeOk:
		return fmt.Sprintf("Ok %q", o.Payload)
	case OutcomeErr:
		return fmt.Sprintf("Err %q", o.Message)
	case OutcomeCancelled:
		return fmt.Sprintf("Cancelled %q", o.Reason)
	case OutcomePanicked:
		return fmt.Sprintf("Panicked %q", o.Message)
	}
	return "none"
}

// Reading a script.

// readOp reads an operation as package optext describes.
func readOp(sender string, words []string) Op {
	op, err := ParseOp(optext.JSON(sender, words))
	if err != nil {
		panic(err)
	}
	return op
}

type sceneArguments struct {
	arguments
	times int
}

// parseArguments reads what stands behind the name of a call: the job or region, then the rest.
func parseArguments(call string, words []string) (a sceneArguments) {
	rest := words
	if len(words) > 0 && strings.Trim(words[0], "0123456789") == "" {
		n := optext.Number(words[0])
		a.id, a.region, a.times, rest = n, n, 1, words[1:]
	}
	if len(rest) > 0 {
		a.text, _ = strconv.Unquote(rest[len(rest)-1]) // empty if it is not quoted
	}
	switch call {
	case "SpawnJob": // SpawnJob 1 [region 7]
		a.region = 0
		if len(rest) == 2 {
			a.region = optext.Number(rest[1])
		}
	case "AdvanceTurn": // AdvanceTurn [times]
		a.times = int(a.id)
	case "Complete": // Complete 1 Ok ["text"], with what the operation has
		if len(rest) == 1 {
			words = append(words, `""`)
		}
		a.outcome = readOp("", append([]string{"JobCompleted"}, words...)).(JobCompleted).Outcome
	case "Diagnose": // Diagnose Warn "category" "text", with what the operation has
		a.diagnostic = readOp("", append([]string{"Diagnostic"}, words...)).(Diagnostic)
	}
	return a
}

// The calls of both halves by the names that they have in Go.

// The arguments of a call. A call takes those that it knows.
type arguments struct {
	id, region, task, obligation uint64
	payload                      []byte
	text                         string // a reason, a detail or a worker id
	outcome                      Outcome
	diagnostic                   Diagnostic
}

func (a arguments) spawn() SpawnJob { return SpawnJob{a.id, a.region, a.task, a.obligation, a.payload} }

// hostCalls return what the call returns beside its error; nil for nothing.
var hostCalls = map[string]func(*Coordinator, arguments) (any, error){
	"SpawnJob":         func(c *Coordinator, a arguments) (any, error) { return nil, c.SpawnJob(a.spawn()) },
	"CancelJob":        func(c *Coordinator, a arguments) (any, error) { return nil, c.CancelJob(a.id, a.text) },
	"CancelRegion":     func(c *Coordinator, a arguments) (any, error) { return counted(c.CancelRegion(a.region, a.text)) },
	"CloseRegion":      func(c *Coordinator, a arguments) (any, error) { return counted(c.CloseRegion(a.region, a.text)) },
	"PollStatus":       func(c *Coordinator, a arguments) (any, error) { return nil, c.PollStatus(a.id) },
	"RequestShutdown":  func(c *Coordinator, a arguments) (any, error) { return nil, c.RequestShutdown(a.text) },
	"ShutdownWhenIdle": func(c *Coordinator, a arguments) (any, error) { return nil, c.ShutdownWhenIdle(a.text) },
	"ExpectWorker":     func(c *Coordinator, _ arguments) (any, error) { c.ExpectWorker(); return nil, nil },
	"WorkerLost":       func(c *Coordinator, _ arguments) (any, error) { c.WorkerLost(); return nil, nil },
	"RetireWorker":     func(c *Coordinator, a arguments) (any, error) { c.RetireWorker(a.text); return nil, nil },
	"Reap":             func(c *Coordinator, _ arguments) (any, error) { return c.Reap(), nil },
	"AdvanceTurn":      func(c *Coordinator, _ arguments) (any, error) { c.AdvanceTurn(); return nil, nil },
	"RemoveJob": func(c *Coordinator, a arguments) (any, error) {
		state, err := c.RemoveJob(a.id)
		if err != nil {
			return nil, err
		}
		return state, nil
	},
}

func counted(n int, err error) (any, error) {
	if err != nil && n == 0 {
		return nil, err
	}
	return n, err
}

var workerCalls = map[string]func(*Worker, arguments) error{
	"Announce":          func(w *Worker, _ arguments) error { return w.Announce() },
	"Fail":              func(w *Worker, a arguments) error { return w.Fail(a.text) },
	"Start":             func(w *Worker, a arguments) error { return w.Start(a.id) },
	"Report":            func(w *Worker, a arguments) error { return w.Report(a.id, a.text) },
	"Complete":          func(w *Worker, a arguments) error { return w.Complete(a.id, a.outcome) },
	"AcknowledgeCancel": func(w *Worker, a arguments) error { return w.AcknowledgeCancel(a.id) },
	"CompleteDrain":     func(w *Worker, a arguments) error { return w.CompleteDrain(a.id) },
	"CompleteFinalize":  func(w *Worker, a arguments) error { return w.CompleteFinalize(a.id) },
	"Diagnose":          func(w *Worker, a arguments) error { return w.Diagnose(a.diagnostic) },
	"CompleteShutdown":  func(w *Worker, _ arguments) error { return w.CompleteShutdown() },
	"AdvanceTurn":       func(w *Worker, _ arguments) error { w.AdvanceTurn(); return nil },
}

// An endpoint is a Coordinator or a Worker, as far as both are used alike.
type endpoint interface {
	HandleInbound(*Envelope) error
	HandleVerified(Verified) error
	Receive([]byte) (Envelope, error)
	DrainOutbox() (Envelope, bool)
}
