package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

// forPeople prints a line for each entry, and begins with a line that says what is in them whenever that changes.
type forPeople struct {
	out   *tool.Wrapper
	calls bool   // whether to print calls that send nothing and change little
	file  string // the last one
	begun bool
	kind  bool
	dated bool
}

// quiet are the calls of which there are many and whose effect can be seen by others.
var quiet = []string{"advance_turn", "reap", "spawn_job", "cancel_job", "poll_status", "request_shutdown",
	"announce", "fail", "start", "report", "complete", "acknowledge_cancel", "complete_drain", "complete_finalize", "diagnose", "complete_shutdown"}

func (p *forPeople) entry(e *entry) error {
	if e.verdict == called && !p.calls && len(e.divergences) == 0 && slices.Contains(quiet, e.call) {
		return nil
	}
	dated := !e.at.IsZero()
	if !p.begun || p.file != e.file || p.kind != e.journal || p.dated != dated {
		if p.begun {
			fmt.Fprintln(p.out)
		}
		if e.file != "" {
			fmt.Fprintln(p.out, safe(e.file))
		}
		columns := "  line  verdict      turn  bytes   seq  message"
		if e.journal {
			columns = "  line  session  step  verdict      turn   seq  message"
		}
		if dated {
			columns = fmt.Sprintf("%-*s%s", len(timeForm), "time", columns)
		}
		p.out.Indent = strings.Index(columns, "message")
		fmt.Fprintln(p.out, columns)
		p.begun, p.file, p.kind, p.dated = true, e.file, e.journal, dated
	}
	seq := ""
	if e.op != "" {
		seq = fmt.Sprint(e.seqNo)
	}
	what := e.says
	if e.label != "" {
		what += "  " + quote(e.label)
	}
	if dated {
		fmt.Fprint(p.out, e.at.UTC().Format(timeForm))
	}
	switch {
	case e.wrong != "":
		what += "  [" + e.wrong + "]"
	case e.led != "":
		led := e.led
		if e.jobID != nil { // the message says that
			led = strings.TrimPrefix(led, fmt.Sprintf("job %d: ", *e.jobID))
		}
		what += "  (" + led + ")"
	}
	var err error
	if e.journal {
		_, err = fmt.Fprintf(p.out, "%6d  %7d  %4d  %-10s  %5d  %4s  %s\n", e.line, e.session, e.step, e.verdict, e.turn, seq, safe(what))
	} else {
		_, err = fmt.Fprintf(p.out, "%6d  %-10s  %5d  %5d  %4s  %s\n", e.line, e.verdict, e.turn, e.size, seq, safe(what))
	}
	for i, d := range e.divergences {
		if i == maxDivergences {
			fmt.Fprintf(p.out, "        and %s more\n", tool.Count(len(e.divergences)-i, "divergence"))
			break
		}
		fmt.Fprintf(p.out, "        diverges: %s: wanted %s, got %s\n", safe(d.Field), safe(safetext.Cut(d.Wanted, 500)), safe(safetext.Cut(d.Got, 500)))
	}
	return err
}

const maxDivergences = 10

// timeForm is how times are printed, in UTC. The options -since and -until read it.
const timeForm = "2006-01-02T15:04:05.000000Z"

func (p *forPeople) finish() error { return nil }
