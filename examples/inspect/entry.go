package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// A verdict says what became of an entry.
type verdict string

const (
	valid      verdict = "valid"      // of a capture: passes validation
	invalid    verdict = "invalid"    // of a capture: does not
	unreadable verdict = "unreadable" // is not an envelope
	sent       verdict = "sent"       // of a journal: taken from the outbox
	accepted   verdict = "accepted"   // of a journal: arrived
	called     verdict = "called"     // of a journal: a call of the program
	refused    verdict = "refused"    // of a journal: a message or a call
)

func (v verdict) bad() bool { return v == invalid || v == unreadable || v == refused }

// An entry is a message, or in a journal another call.
type entry struct {
	file          string
	line          int
	session, step uint64    // of a journal
	run           int       // counts the programs that have written the journal, as far as it is whole
	at            time.Time // zero if the journal does not say it
	label         string    // of the job; "" if it has none or it is not known
	ending        journal.Ending
	inOrder       bool // a worker_lost after the worker had left
	journal       bool
	verdict       verdict
	call          string // of a journal

	env    *wc.Envelope // nil if there is none or it is not known
	op     string       // the message's operation; "" if it is no message or unreadable
	jobID  *uint64
	seqNo  uint64
	turn   uint64
	toHost bool
	worker string // the other end; "" if it is not known
	size   int    // of the message; 0 if it is not known

	wrong       string // why it was refused
	err         error  // of a capture
	divergences []journal.Divergence
	text        []byte // the beginning of a message that is unreadable, if it is known; until describe
	says        string // what the message or the call says
	led         string // what it led to
}

// describe fills in what the entry says.
func (e *entry) describe(reason any) {
	switch {
	case e.env != nil && e.env.Op != nil:
		e.says = e.env.String()
	case e.op != "": // a message of a journal that cannot be replayed
		e.says = "coordinator" + arrow + e.op
		if e.toHost {
			e.says = quoteID(e.worker) + arrow + e.op
		}
		if e.jobID != nil {
			e.says += " job " + strconv.FormatUint(*e.jobID, 10)
		}
	case e.call == "end":
		e.says = "the session ends"
		if e.ending.How != "" {
			e.says += ", " + safetext.Cut(string(e.ending.How), 40) + ": " + safetext.Cut(e.ending.Why, 500)
		}
	case e.verdict == unreadable || e.call == "unreadable":
		e.says = fmt.Sprintf("%d bytes that are no message", e.size)
		if shown := e.text[:min(len(e.text), 100)]; len(shown) > 0 {
			e.says += ": " + safetext.Excerpt(shown)
			if len(shown) < e.size {
				e.says += "…"
			}
		}
	default:
		e.says = strings.ReplaceAll(e.call, "_", " ")
		if e.jobID != nil {
			e.says += " " + strconv.FormatUint(*e.jobID, 10)
		}
		if text, ok := reason.(string); ok {
			e.says += ": " + quote(text)
		}
	}
}

// failed reports whether the entry is what -failed shows: something was refused, or a message says that something
// went wrong, or a worker was lost that had not left in order.
func (e *entry) failed() bool {
	switch {
	case e.verdict.bad() || len(e.divergences) > 0:
		return true
	case e.call == "worker_lost":
		return !e.inOrder
	case e.call == "end":
		return e.ending.How != "" && e.ending.How != journal.Left
	}
	if e.env == nil {
		return false
	}
	switch op := e.env.Op.(type) {
	case wc.BootstrapFailed:
		return true
	case wc.JobCompleted:
		_, ok := op.Outcome.(wc.OutcomeOk)
		return !ok
	case wc.Diagnostic:
		return op.Level == wc.LevelError
	}
	return false
}

// describeError returns the text of an error as a journal has it.
func describeError(recorded map[string]any) string {
	kind, _ := recorded["kind"].(string)
	var data []string
	for _, name := range []string{"job_id", "state", "from", "to", "expected", "actual", "last_seen", "worker_id", "region_id", "size", "max", "op", "reason", "offset", "cause"} {
		v, ok := recorded[name]
		if !ok {
			continue
		}
		value, _ := json.Marshal(v)
		data = append(data, strings.ReplaceAll(name, "_", " ")+" "+safetext.Cut(string(value), 80))
	}
	if len(data) == 0 {
		return kind
	}
	return safetext.Cut(kind, 80) + ": " + strings.Join(data, ", ")
}

// quoteID returns a worker's id as Envelope.String shows it.
func quoteID(id string) string {
	if id == "" {
		return "worker"
	}
	shown := wc.Envelope{WorkerID: &id}.String()
	return shown[:strings.LastIndex(shown, arrow)]
}

// arrow stands in Envelope.String between the sender and what it says.
const arrow = " → "

func quote(s string) string { return strconv.Quote(safetext.Cut(s, 60)) }

// safe escapes everything that is not printable, so that no text of a peer commands the terminal.
func safe(s string) string {
	for i, r := range s {
		if !strconv.IsPrint(r) || r == '\ufffd' {
			return s[:i] + safetext.Escape(s[i:])
		}
	}
	return s
}

// brief returns the text of an error of package workerchannel.
func brief(err error) string { return strings.TrimPrefix(err.Error(), "workerchannel: ") }
