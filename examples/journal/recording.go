package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	wc "github.com/workerchannel/workerchannel"
)

// A head is what a session begins with.
type head struct {
	Seed     uint64
	Setup    *Setup  // of a coordinator
	WorkerID *string // of a worker
}

// write writes the members of a head.
func (h *head) write(l *line) {
	l.number(`"seed":`, h.Seed)
	if h.WorkerID != nil {
		l.text(`,"worker_id":`, string(bytes.ToValidUTF8([]byte(*h.WorkerID), []byte("\ufffd")))) // such a worker cannot announce itself
		return
	}
	first := uint64(1)
	if h.Setup.FirstDecisionSeq != nil {
		first = *h.Setup.FirstDecisionSeq
	}
	l.number(`,"first_decision_seq":`, first).marshal(`,"limits":`, Limits(h.Setup.Limits))
}

// A sink takes the lines of sessions.
type sink interface {
	begin(h head, l *line) (session uint64)
	step(session uint64, l *line)
	end(session uint64, l *line)
	Err() error
}

// A recording writes the steps of one session. Its methods build a step in line, and write hands it to the sink.
type recording struct {
	to         sink
	session    uint64
	prefix     []byte // of a step
	steps      uint64
	last       after
	closed     bool
	full       bool // in the form of the conformance data
	digestOver int  // payloads longer than this are replaced by digests; 0 if none is
	at         func() (at int64, ok bool)
	line       line
	scratch    []byte
}

func (r *recording) begin(h head) { r.number(r.to.begin(h, &r.line)) }

// number gives the session its number in the journal.
func (r *recording) number(session uint64) {
	r.session = session
	r.prefix = fmt.Appendf(nil, `{"session":%d,"step":`, session)
}

func (r *recording) err() error { return r.to.Err() }

// end ends the session. Whole sessions do not say why: other implementations would not know it.
func (r *recording) end(e Ending) error {
	if !r.closed {
		r.closed = true
		l := &r.line
		l.b = l.b[:0]
		l.number(`{"session":`, r.session).number(`,"end":`, r.steps)
		r.time()
		if e.How != "" {
			l.text(`,"how":`, strings.ToValidUTF8(string(e.How), "\ufffd")).text(`,"why":`, strings.ToValidUTF8(e.Why, "\ufffd"))
		}
		r.to.end(r.session, l)
	}
	return r.to.Err()
}

// time writes when it is.
func (r *recording) time() {
	if at, ok := r.at(); ok {
		r.line.number(`,"at":`, uint64(at))
	}
}

func now() (int64, bool) { return max(0, time.Now().UnixMicro()), true }

func never() (int64, bool) { return 0, false }

// step begins a step; it returns nil if none is to be recorded.
func (r *recording) step(call string) *line {
	if r.closed {
		return nil
	}
	l := &r.line
	if r.full {
		l.b = append(l.b[:0], `{"call":"`...)
	} else {
		l.b = strconv.AppendUint(append(l.b[:0], r.prefix...), r.steps, 10)
		l.b = append(l.b, `,"call":"`...)
	}
	l.b = append(append(l.b, call...), '"')
	return l
}

// call is step for a call that may have been refused because JSON cannot hold its arguments.
func (r *recording) call(name string, err error) *line {
	if invalid(err) {
		return nil
	}
	return r.step(name)
}

func (r *recording) write() {
	r.time()
	r.to.step(r.session, &r.line)
	r.steps++
}

// An after is the state after a step in a stream.
type after struct {
	turn             uint64
	state            string
	inflight, outbox int
	due              uint64 // the next deadline
	hasDue           bool
}

// after writes what has changed since the step before.
func (r *recording) after(now after) {
	if now == r.last {
		return
	}
	l, last := &r.line, &r.last
	l.key(`,"after":{`)
	if now.turn != last.turn {
		l.number(`"turn":`, now.turn).key(`,`)
	}
	if now.state != last.state {
		l.name(`"state":`, now.state).key(`,`)
	}
	if now.inflight != last.inflight {
		l.number(`"inflight":`, uint64(now.inflight)).key(`,`)
	}
	if now.outbox != last.outbox {
		l.number(`"outbox":`, uint64(now.outbox)).key(`,`)
	}
	if now.hasDue && (!last.hasDue || now.due != last.due) {
		l.number(`"due":`, now.due).key(`,`)
	} else if !now.hasDue && last.hasDue {
		l.key(`"due":null,`)
	}
	l.b[len(l.b)-1] = '}'
	r.last = now
}

// maxUnreadable is how much is kept of a message that cannot be read.
const maxUnreadable = 1024

// received writes the step of a message that arrived; it returns false if none is to be recorded.
func (r *recording) received(data []byte, env *wc.Envelope, err error) bool {
	if err != nil {
		tooLarge := errors.Is(err, wc.ErrPayloadTooLarge)
		switch {
		case r.full && tooLarge:
			r.step("handle_inbound").text(`,"wire":`, string(bytes.ToValidUTF8(data, []byte("\ufffd"))))
			return true
		case r.full && errors.Is(err, wc.ErrMalformed):
			return false
		case tooLarge || errors.Is(err, wc.ErrMalformed):
			return r.unreadable(uint64(len(data)), data[:min(len(data), maxUnreadable)])
		}
	}
	if r.closed {
		return false
	}
	r.step("handle_inbound")
	r.wire(data, env, err == nil)
	return true
}

// wire writes a message that arrived, with its payload packed if that may be and is worth it. It leaves out the end of
// the message's line.
func (r *recording) wire(data []byte, env *wc.Envelope, pack bool) {
	l := &r.line
	if !r.full {
		data = bytes.TrimRight(data, "\r\n")
	}
	switch {
	case r.full:
		l.text(`,"wire":`, string(data))
	case pack && len(data) > packOver && r.packed(env):
	case bytes.IndexByte(data, '\n') >= 0 || bytes.IndexByte(data, '\r') >= 0:
		l.text(`,"wire":`, string(data))
	default:
		l.raw(`,"wire":`, data)
	}
}

// refused writes the step of a message that the program did not give to its half. Whole sessions have no such steps:
// other implementations would not know them.
func (r *recording) refused(env *wc.Envelope, reason string) bool {
	if r.closed || r.full {
		return false
	}
	data, err := env.AppendJSON(r.scratch[:0])
	r.scratch = data
	if err != nil {
		return false
	}
	r.step("refuse")
	r.wire(data, env, true)
	r.line.text(`,"reason":`, strings.ToValidUTF8(reason, "\ufffd"))
	return true
}

func (r *recording) unreadable(size uint64, head []byte) bool {
	l := r.step("unreadable")
	if l == nil {
		return false
	}
	l.number(`,"bytes":`, size).key(`,"head":`)
	r.base64(head)
	return true
}

// handled writes the step of a message that arrived and was read elsewhere.
func (r *recording) handled(env *wc.Envelope, err error) bool {
	if r.closed || invalid(err) {
		return false
	}
	data, cannot := env.AppendJSON(r.scratch[:0])
	r.scratch = data
	if cannot != nil {
		return false // only HandleInbound can be given such a message, and has refused it
	}
	return r.received(data, env, err)
}

// packOver is the size of a payload, and so of a message, that is worth packing.
const packOver = 256

// packed writes a message with its payload in base64 or as a digest, in place of the numbers that it has on the wire;
// false if the payload is short. The message keeps its replay digest. One that was refused is not packed: it may differ
// from its canonical text, and that may be the reason.
func (r *recording) packed(env *wc.Envelope) bool {
	short, payload := *env, []byte(nil)
	switch op := env.Op.(type) {
	case wc.SpawnJob:
		payload, op.Payload = op.Payload, nil
		short.Op = op
	case wc.JobCompleted:
		if ok, is := op.Outcome.(wc.OutcomeOk); is {
			payload, op.Outcome = ok.Payload, wc.OutcomeOk{}
			short.Op = op
		}
	}
	if len(payload) <= packOver && (r.digestOver == 0 || len(payload) <= r.digestOver) {
		return false
	}
	data, err := short.AppendJSON(r.scratch[:0])
	r.scratch = data
	if err != nil {
		return false
	}
	before, after, _ := cutLast(data, `,"payload":[]`)
	l := &r.line
	l.raw(`,"wire":`, before)
	r.payload(payload)
	l.b = append(l.b, after...)
	l.key(`,"packed":true`)
	return true
}

func cutLast(data []byte, part string) (before, after []byte, ok bool) {
	at := bytes.LastIndex(data, []byte(part))
	if at < 0 {
		return data, nil, false
	}
	return data[:at:at], data[at+len(part):], true
}

// payload writes the member payload.
func (r *recording) payload(p []byte) {
	l := &r.line
	l.key(`,"payload":`)
	switch {
	case r.full:
		l.b = appendNumbers(l.b, p)
	case r.digestOver > 0 && len(p) > r.digestOver:
		sum := sha256.Sum256(p)
		l.number(`{"bytes":`, uint64(len(p))).name(`,"sha256":`, hex.EncodeToString(sum[:]))
		l.b = append(l.b, '}')
	default:
		r.base64(p)
	}
}

func (r *recording) base64(p []byte) {
	r.line.b = append(r.line.b, '"')
	r.line.b = base64.StdEncoding.AppendEncode(r.line.b, p)
	r.line.b = append(r.line.b, '"')
}

// outcome writes the member outcome.
func (r *recording) outcome(o wc.Outcome) {
	ok, is := o.(wc.OutcomeOk)
	if !is {
		r.line.marshal(`,"outcome":`, o)
		return
	}
	r.line.key(`,"outcome":{"status":"Ok"`)
	r.payload(ok.Payload)
	r.line.b = append(r.line.b, '}')
}

// A sender is a Coordinator or a Worker.
type sender interface {
	DrainOutbox() (wc.Envelope, bool)
	AppendNext(dst []byte) ([]byte, wc.Envelope, bool)
}

// drain takes a message from the outbox, with its text if that is recorded, and writes the step.
func (r *recording) drain(from sender) (env wc.Envelope, ok, recorded bool) {
	r.scratch = r.scratch[:0]
	if r.full {
		r.scratch, env, ok = from.AppendNext(r.scratch)
	} else {
		env, ok = from.DrainOutbox()
	}
	return env, ok, r.drained(&env, r.scratch, ok)
}

// drained writes the step of a message that was taken from the outbox. The text is of whole sessions.
func (r *recording) drained(env *wc.Envelope, text []byte, ok bool) bool {
	if r.closed || !ok && !r.full {
		return false
	}
	l := r.step("drain_outbox")
	switch {
	case !ok:
		l.key(`,"wire":null`)
	case r.full:
		l.text(`,"wire":`, string(text))
	default:
		op := env.Op.Type()
		l.name(`,"op":`, op.String())
		if id, about := wc.JobOf(env.Op); about {
			l.number(`,"job_id":`, id)
		}
		l.number(`,"seq_no":`, env.SeqNo).number(`,"replay_hash":`, env.ReplayHash)
		if r.digestOver > 0 && payloadSize(env.Op) > r.digestOver {
			l.key(`,"digested":true`)
		}
	}
	return true
}

func payloadSize(op wc.Op) int {
	switch op := op.(type) {
	case wc.SpawnJob:
		return len(op.Payload)
	case wc.JobCompleted:
		if ok, is := op.Outcome.(wc.OutcomeOk); is {
			return len(ok.Payload)
		}
	}
	return 0
}

// reaped writes the member reaped. A line of a stream has the outcome's status and size only: the message that
// brought it has been recorded.
func (r *recording) reaped(jobs []wc.TrackedJob) {
	l := &r.line
	if r.full {
		all := []Job{}
		for _, j := range jobs {
			all = append(all, newJob(j))
		}
		l.marshal(`,"reaped":`, all)
		return
	}
	l.key(`,"reaped":[`)
	for i := range jobs {
		j := &jobs[i]
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.number(`{"job_id":`, j.JobID).name(`,"state":`, nameOf(j.State)).name(`,"cause":`, nameOf(j.Cause))
		switch o := j.Outcome.(type) {
		case wc.OutcomeOk:
			l.name(`,"outcome":`, "Ok").number(`,"bytes":`, uint64(len(o.Payload)))
		case wc.OutcomeErr:
			l.name(`,"outcome":`, "Err")
		case wc.OutcomeCancelled:
			l.name(`,"outcome":`, "Cancelled")
		case wc.OutcomePanicked:
			l.name(`,"outcome":`, "Panicked")
		}
		l.b = append(l.b, '}')
	}
	l.b = append(l.b, ']')
}

// appendNumbers appends a payload as it stands on the wire.
func appendNumbers(b, p []byte) []byte {
	b = append(b, '[')
	for i, n := range p {
		if i > 0 {
			b = append(b, ',')
		}
		if n >= 100 {
			b = append(b, '0'+n/100)
		}
		if n >= 10 {
			b = append(b, '0'+n/10%10)
		}
		b = append(b, '0'+n%10)
	}
	return append(b, ']')
}

// nameOf returns the name of a state or a cause as it stands in journals.
func nameOf(v encoding.TextMarshaler) string {
	name, _ := v.MarshalText() // the core returns known ones
	return string(name)
}
