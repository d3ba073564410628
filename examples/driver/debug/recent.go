package debug

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

const (
	maxKept   = 16 << 20 // bytes in all
	eventCost = 512      // bytes that an event takes beside its texts and payload, at most
	maxText   = 1 << 10  // bytes that are kept of a text
	maxLine   = 500      // bytes of a text on the page
)

// recent keeps the last events of a host.
type recent struct {
	most     int
	payloads bool

	mu   sync.Mutex
	list []*event // oldest first
	last uint64   // the number of the last event
	size int      // of all events
}

// An event is what is kept of a driver.Event, and how it goes to the page.
type event struct {
	Number  uint64    `json:"n"`
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"`
	Worker  uint64    `json:"worker"`
	Turn    uint64    `json:"turn"`
	Op      string    `json:"op,omitempty"`
	Job     uint64    `json:"job,omitempty"`   // that it is about
	Label   string    `json:"label,omitempty"` // of the job
	Text    string    `json:"text"`
	Bytes   int       `json:"bytes"` // of the message
	Error   string    `json:"error,omitempty"`
	Payload string    `json:"payload,omitempty"`
	Bad     bool      `json:"bad,omitempty"` // it says that something went wrong

	envelope wc.Envelope // shortened
	blank    int         // the size of a payload that was left out
	kept     int         // the memory that it takes
}

// add is called by the host.
func (r *recent) add(e driver.Event) {
	one := &event{Time: time.Now(), Kind: e.Kind.String(), Worker: e.Worker, Turn: e.Turn, Job: e.Job, Label: printedLabel(e.Label), Bytes: e.Size}
	if e.Err != nil {
		one.Error = safetext.Escape(safetext.Cut(e.Err.Error(), maxLine))
	}
	switch e.Kind {
	case driver.EventRefused:
		one.Bad = true
	case driver.EventEnded:
		if one.Text, one.Bad = "the worker has shut down", e.Err != nil; one.Bad {
			one.Text = "the worker has ended"
		}
	}
	if op := e.Envelope.Op; op != nil {
		one.Op, one.Text = op.Type().String(), e.Envelope.String()
		one.Bad = one.Bad || bad(op)
		r.shorten(one, e.Envelope)
	} else if e.Kind == driver.EventRefused {
		one.Text = strconv.Itoa(e.Size) + " bytes that are no message"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	one.Number = r.last
	one.kept += eventCost + taken(one.Text) + taken(one.Label) + taken(one.Error) + taken(one.Payload)
	r.list = append(r.list, one)
	r.size += one.kept
	for len(r.list) > r.most || r.size > maxKept && len(r.list) > 1 {
		r.size -= r.list[0].kept
		r.list[0] = nil
		r.list = r.list[1:]
	}
}

// printedLabel returns the label of a call as the page shows it.
func printedLabel(label string) string { return safetext.Printable(label, 64) }

// taken returns the memory that a text takes, at most: the runtime rounds up.
func taken(text string) int { return len(text) + len(text)/8 }

// bad reports whether a message says that something went wrong.
func bad(op wc.Op) bool {
	switch op := op.(type) {
	case wc.BootstrapFailed:
		return true
	case wc.JobCompleted:
		switch op.Outcome.(type) {
		case wc.OutcomeErr, wc.OutcomePanicked:
			return true
		}
	case wc.Diagnostic:
		return op.Level == wc.LevelError
	}
	return false
}

// shorten keeps an envelope without its payload, unless that is shown, and with texts of bounded length.
func (r *recent) shorten(one *event, env wc.Envelope) {
	text := func(s string) string {
		if len(s) > maxText {
			s = strings.ToValidUTF8(s[:maxText], "") + fmt.Sprintf("… (%d bytes)", len(s))
		} else {
			s = strings.Clone(s) // it may be a part of a long message
		}
		one.kept += taken(s)
		return s
	}
	optional := func(s *string) *string {
		if s == nil {
			return nil
		}
		short := text(*s)
		return &short
	}
	payload := func(p []byte) []byte {
		if !r.payloads {
			one.blank = len(p)
			return nil
		}
		const shown = 80
		one.Payload = strconv.QuoteToASCII(string(p[:min(len(p), shown)]))
		if len(p) > shown {
			one.Payload += "…"
		}
		p = append([]byte{}, p...)
		one.kept += cap(p)
		return p
	}
	env.WorkerID = optional(env.WorkerID)
	switch op := env.Op.(type) {
	case wc.BootstrapReady:
		op.WorkerID = text(op.WorkerID)
		env.Op = op
	case wc.BootstrapFailed:
		op.WorkerID, op.Reason = text(op.WorkerID), text(op.Reason)
		env.Op = op
	case wc.SpawnJob:
		op.Payload = payload(op.Payload)
		env.Op = op
	case wc.StatusSnapshot:
		op.Detail = optional(op.Detail)
		env.Op = op
	case wc.CancelJob:
		op.Reason = text(op.Reason)
		env.Op = op
	case wc.ShutdownWorker:
		op.Reason = text(op.Reason)
		env.Op = op
	case wc.Diagnostic:
		op.Category, op.Message, op.Metadata = text(op.Category), text(op.Message), optional(op.Metadata)
		env.Op = op
	case wc.JobCompleted:
		switch o := op.Outcome.(type) {
		case wc.OutcomeOk:
			op.Outcome = wc.OutcomeOk{Payload: payload(o.Payload)}
		case wc.OutcomeErr:
			op.Outcome = wc.OutcomeErr{Code: text(o.Code), Message: text(o.Message)}
		case wc.OutcomeCancelled:
			op.Outcome = wc.OutcomeCancelled{Reason: text(o.Reason)}
		case wc.OutcomePanicked:
			op.Outcome = wc.OutcomePanicked{Message: text(o.Message)}
		}
		env.Op = op
	}
	one.envelope = env
}

// after returns the events since one, the last ones if there are too many, and the number of the last.
func (r *recent) after(n uint64, most int) (list []*event, last uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.last {
		n = 0 // it was of another run of the program
	}
	list = r.list[len(r.list)-int(min(r.last-n, uint64(len(r.list)), uint64(most))):]
	return append([]*event{}, list...), r.last
}

func (r *recent) name() string {
	if r.payloads {
		return "messages.jsonl"
	}
	return "messages-without-payloads.jsonl"
}

// export writes the messages of a worker and about a job, 0 standing for all, one a line. A message that is not as it was
// sent gets the digest of what it is. What is not printable is escaped, because people look at the file in a terminal; it can
// only stand in a string, where JSON allows that.
func (r *recent) export(w io.Writer, worker, job uint64) {
	list, _ := r.after(0, r.most)
	var line []byte
	for _, one := range list {
		env := one.envelope
		if env.Op == nil || worker != 0 && one.Worker != worker || job != 0 && one.Job != job {
			continue
		}
		switch op := env.Op.(type) {
		case wc.SpawnJob:
			if one.blank > 0 {
				op.Payload = make([]byte, one.blank)
				env.Op = op
			}
		case wc.JobCompleted:
			if one.blank > 0 {
				op.Outcome = wc.OutcomeOk{Payload: make([]byte, one.blank)}
				env.Op = op
			}
		}
		env.ReplayHash = wc.ReplayHash(env.Header, env.WorkerID, env.Op)
		var err error
		if line, err = env.AppendJSON(line[:0]); err != nil {
			continue // only what was accepted, or read and refused, is kept
		}
		if _, err = io.WriteString(w, safetext.Escape(string(line))+"\n"); err != nil {
			return
		}
	}
}
