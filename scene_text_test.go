package workerchannel

import (
	"fmt"
	"strconv"
	"strings"
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

// splitWords splits a line into words and quoted strings, which keep their quotes.
func splitWords(line string) (words []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if quoted, err := strconv.QuotedPrefix(line); err == nil {
			words, line = append(words, quoted), line[len(quoted):]
			continue
		}
		end := strings.IndexByte(line+" ", ' ')
		words, line = append(words, line[:end]), line[end:]
	}
	return words
}

type sceneArguments struct {
	arguments
	times int
}

// parseArguments reads what stands behind the name of a call: the job or region, then the rest.
func parseArguments(call string, words []string) (a sceneArguments) {
	rest := words
	if len(words) > 0 && strings.Trim(words[0], "0123456789") == "" {
		n := parseNumber(words[0])
		a.id, a.region, a.times, rest = n, n, 1, words[1:]
	}
	if len(rest) > 0 {
		a.text, _ = strconv.Unquote(rest[len(rest)-1]) // empty if it is not quoted
	}
	switch call {
	case "SpawnJob": // SpawnJob 1 [region 7]
		a.region = 0
		if len(rest) == 2 {
			a.region = parseNumber(rest[1])
		}
	case "AdvanceTurn": // AdvanceTurn [times]
		a.times = int(a.id)
	case "Complete": // Complete 1 Ok ["text"]
		a.outcome = map[string]Outcome{
			"Ok": OutcomeOk{[]byte(a.text)}, "Err": OutcomeErr{"E", a.text}, "Cancelled": OutcomeCancelled{a.text}, "Panicked": OutcomePanicked{a.text},
		}[rest[0]]
	case "Diagnose": // Diagnose "text"
		a.diagnostic = Diagnostic{Level: LevelWarn, Message: a.text}
	}
	return a
}

func parseNumber(word string) uint64 {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}
