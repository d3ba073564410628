package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	wc "github.com/workerchannel/workerchannel"
)

// A session is the record of one half, from its first call to its end. Its methods build a step in line and give it to
// the Writer. Once the session has ended, they write nothing.
type session struct {
	w       *Writer
	head    head
	number  uint64
	prefix  []byte       // of a step
	steps   uint64       // changes with w.mu held, as the Writer begins files with it
	file    uint64       // in which it began
	state   func() after // of the half
	last    after        // the state after the last step
	called  string       // what the step records
	mixed   bool         // the outbox may have messages that start a clock when they are taken
	ahead   int          // how many messages have been taken whose steps come later
	clock   clock
	made    uint64                     // when the last step was made
	same    bool                       // this one is made at the same time
	at      func() (at int64, ok bool) // in place of the clock, when replaying
	closed  bool
	line    line
	scratch []byte
}

// A head is what a session begins with.
type head struct {
	seed     uint64
	setup    *Setup  // of a coordinator
	workerID *string // of a worker
}

func newSession(w *Writer, number uint64, h head) *session {
	return &session{w: w, head: h, number: number, prefix: fmt.Appendf(nil, `{"session":%d,"step":`, number)}
}

// headPrefix is what each file of a journal begins with.
const headPrefix = `{"journal":1,`

// begin writes the line with which the session begins, or goes on in another file.
func (s *session) begin(l *line) []byte {
	l.b = strconv.AppendUint(append(append(l.b[:0], headPrefix...), s.prefix[1:]...), s.steps, 10)
	l.number(`,"seed":`, s.head.seed)
	if id := s.head.workerID; id != nil {
		l.lossy(`,"worker_id":`, *id) // one that is not well-formed cannot announce itself
		return l.seal()
	}
	first := uint64(1)
	if s.head.setup.FirstDecisionSeq != nil {
		first = *s.head.setup.FirstDecisionSeq
	}
	return l.number(`,"first_decision_seq":`, first).marshal(`,"limits":`, limits(s.head.setup.Limits)).seal()
}

// limits are a coordinator's limits, in turns.
type limits struct {
	Boot     uint64 `json:"boot"`
	Cancel   uint64 `json:"cancel"`
	Drain    uint64 `json:"drain"`
	Finalize uint64 `json:"finalize"`
	Poll     uint64 `json:"poll"`
	Shutdown uint64 `json:"shutdown"`
}

// end ends the session.
func (s *session) end(e Ending) error {
	if !s.closed {
		s.closed = true
		s.line.b = s.line.b[:0]
		s.line.number(`{"session":`, s.number).number(`,"end":`, s.steps)
		s.time()
		if e.How != "" {
			s.line.lossy(`,"how":`, string(e.How)).lossy(`,"why":`, e.Why)
		}
		s.w.end(s)
	}
	return s.w.Err()
}

// step begins a step; it returns nil if none is to be recorded.
func (s *session) step(call string) *line {
	if s.closed {
		return nil
	}
	s.called = call
	s.line.b = strconv.AppendUint(append(s.line.b[:0], s.prefix...), s.steps, 10)
	return s.line.name(`,"call":`, call)
}

// call is step for a call that may have been refused because JSON cannot hold its arguments.
func (s *session) call(name string, err error) *line {
	if invalid(err) {
		return nil
	}
	return s.step(name)
}

func invalid(err error) bool { return err != nil && errors.Is(err, wc.ErrInvalidValue) }

// plain writes the step of a call that has neither arguments nor results.
func (s *session) plain(call string) {
	if s.step(call) != nil {
		s.finish()
	}
}

// about writes the step of a call whose only argument is a job.
func (s *session) about(call string, jobID uint64, err error) error {
	if l := s.step(call); l != nil {
		l.number(`,"job_id":`, jobID)
		s.result(err)
	}
	return err
}

// says writes the step of a call whose only argument is a text.
func (s *session) says(call, name, text string, err error) error {
	if l := s.call(call, err); l != nil {
		l.text(name, text)
		s.result(err)
	}
	return err
}

// result completes the step of a call that may be refused.
func (s *session) result(err error) {
	if err == nil {
		s.line.key(`,"error":null`)
	} else {
		s.line.marshal(`,"error":`, Describe(err))
	}
	s.finish()
}

// time writes when it is.
func (s *session) time() {
	if s.at == nil {
		if !s.same {
			s.made = s.clock.now()
		}
		s.line.number(`,"at":`, s.made)
	} else if at, ok := s.at(); ok {
		s.line.number(`,"at":`, uint64(at))
	}
}

// A clock tells the microseconds since 1970. It looks at the wall clock once a second, as that takes twice the time of a
// look at the monotonic clock.
type clock struct{ read time.Time }

func (c *clock) now() uint64 {
	since := time.Since(c.read)
	if since >= time.Second {
		c.read, since = time.Now(), 0
	}
	return uint64(max(0, c.read.UnixMicro()) + since.Microseconds())
}

// An after is the state of a half after a step.
type after struct {
	turn             uint64
	state            string
	inflight, outbox int
	due              uint64 // the next deadline
	hasDue           bool
}

// finish completes the step.
func (s *session) finish() {
	s.after()
	s.time()
	s.w.step(s)
}

// after writes what has changed since the step before.
func (s *session) after() {
	now, last := s.state(), &s.last
	now.outbox += s.ahead
	if s.called != "spawn_job" && s.called != "drain_outbox" && (now.outbox != last.outbox || now.state != last.state) {
		s.mixed = true
	}
	s.mixed = s.mixed && now.outbox > 0
	if now != *last {
		l := &s.line
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
		*last = now
	}
}

// maxUnreadable is how much is kept of a message that cannot be read.
const maxUnreadable = 1024

// received writes the step of a message that arrived. It calls env only if the message is large.
func (s *session) received(data []byte, env func() wc.Envelope, err error) {
	if err != nil && (errors.Is(err, wc.ErrMalformed) || errors.Is(err, wc.ErrPayloadTooLarge)) {
		s.unreadable(uint64(len(data)), data[:min(len(data), maxUnreadable)], err)
	} else if s.call("handle_inbound", err) != nil {
		s.wire(data, env, err == nil)
		s.result(err)
	}
}

// handled writes the step of a message that arrived and was read elsewhere.
func (s *session) handled(env *wc.Envelope, err error) {
	if data, ok := s.text(env); ok { // only HandleInbound can be given one that has no text, and has refused it
		s.received(data, func() wc.Envelope { return *env }, err)
	}
}

// refused writes the step of a message that the program did not give to its half.
func (s *session) refused(env *wc.Envelope, reason string) {
	if data, ok := s.text(env); ok && s.step("refuse") != nil {
		s.wire(data, func() wc.Envelope { return *env }, true)
		s.line.lossy(`,"reason":`, reason)
		s.finish()
	}
}

// text returns the canonical text of a message, until the next one.
func (s *session) text(env *wc.Envelope) (data []byte, ok bool) {
	if s.closed {
		return nil, false
	}
	data, err := env.AppendJSON(s.scratch[:0])
	s.scratch = data
	return data, err == nil
}

func (s *session) unreadable(size uint64, head []byte, err error) {
	if l := s.step("unreadable"); l != nil {
		l.number(`,"bytes":`, size).base64(`,"head":`, head)
		s.result(err)
	}
}

// wire writes a message that arrived, with its payload packed if that may be and is worth it. It leaves out the end of
// the message's line.
func (s *session) wire(data []byte, env func() wc.Envelope, pack bool) {
	for n := len(data); n > 0 && (data[n-1] == '\n' || data[n-1] == '\r'); n-- {
		data = data[:n-1]
	}
	switch {
	case pack && s.large(len(data)/2) && s.packed(env()): // a byte takes two at least
	case bytes.IndexByte(data, '\n') >= 0 || bytes.IndexByte(data, '\r') >= 0:
		s.line.text(`,"wire":`, string(data))
	default:
		s.line.raw(`,"wire":`, data)
	}
}

// packOver is the size of a payload that is worth packing.
const packOver = 256

// large reports whether a payload of this size is packed.
func (s *session) large(size int) bool {
	return size > packOver || s.w.digestOver > 0 && size > s.w.digestOver
}

// packed writes a message with its payload in base64 or as a digest, in place of the numbers that it has on the wire;
// false if the payload is short. The message keeps its replay digest. One that was refused is not packed: it may differ
// from its canonical text, and that may be the reason.
func (s *session) packed(env wc.Envelope) bool {
	payload := payloadOf(env.Op)
	if !s.large(len(payload)) {
		return false
	}
	setPayload(&env, nil)
	data, ok := s.text(&env)
	if !ok {
		return false
	}
	const empty = `,"payload":[]`
	at := bytes.LastIndex(data, []byte(empty))
	s.line.raw(`,"wire":`, data[:at])
	s.payload(payload)
	s.line.raw("", data[at+len(empty):]).key(`,"packed":true`)
	return true
}

// digests reports whether a payload is replaced by its digest.
func (s *session) digests(payload []byte) bool {
	return s.w.digestOver > 0 && len(payload) > s.w.digestOver
}

// payload writes the member payload.
func (s *session) payload(p []byte) {
	if !s.digests(p) {
		s.line.base64(`,"payload":`, p)
		return
	}
	sum := sha256.Sum256(p)
	s.line.number(`,"payload":{"bytes":`, uint64(len(p))).name(`,"sha256":`, hex.EncodeToString(sum[:])).key("}")
}

// payloadOf returns the payload of a message; nil if it has none.
func payloadOf(op wc.Op) []byte {
	switch op := op.(type) {
	case wc.SpawnJob:
		return op.Payload
	case wc.JobCompleted:
		if ok, is := op.Outcome.(wc.OutcomeOk); is {
			return ok.Payload
		}
	}
	return nil
}

// setPayload gives a message that has a payload another one.
func setPayload(env *wc.Envelope, payload []byte) {
	switch op := env.Op.(type) {
	case wc.SpawnJob:
		op.Payload = payload
		env.Op = op
	case wc.JobCompleted:
		op.Outcome = wc.OutcomeOk{Payload: payload}
		env.Op = op
	}
}

// outcome writes the member outcome.
func (s *session) outcome(o wc.Outcome) {
	ok, is := o.(wc.OutcomeOk)
	if !is {
		s.line.marshal(`,"outcome":`, o)
		return
	}
	s.line.key(`,"outcome":{"status":"Ok"`)
	s.payload(ok.Payload)
	s.line.key("}")
}

// drained writes the step of a message that was taken from the outbox.
func (s *session) drained(env *wc.Envelope, ok bool) {
	if !ok || s.step("drain_outbox") == nil {
		return
	}
	l := s.line.name(`,"op":`, env.Op.Type().String())
	if id, about := wc.JobOf(env.Op); about {
		l.number(`,"job_id":`, id)
	}
	l.number(`,"seq_no":`, env.SeqNo).number(`,"replay_hash":`, env.ReplayHash)
	if s.digests(payloadOf(env.Op)) {
		l.key(`,"digested":true`)
	}
	s.finish()
}

// batch writes the steps of messages that were taken together.
func (s *session) batch(messages []wc.Outgoing) {
	for i := range messages {
		s.ahead, s.same = len(messages)-1-i, i > 0
		s.drained(&messages[i].Envelope, true)
	}
	s.same = false
}

// reaped writes the step of jobs that were reaped, with the status and size of each outcome: the message that brought
// it has been recorded.
func (s *session) reaped(jobs []wc.TrackedJob) {
	if len(jobs) == 0 || s.step("reap") == nil {
		return
	}
	l := &s.line
	l.key(`,"reaped":`)
	for i := range jobs {
		j := &jobs[i]
		l.key("[,"[min(i, 1):][:1])
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
		l.key("}")
	}
	l.key("]")
	if s.at != nil { // else it is done when the step before was, and needs no time
		s.time()
	}
	s.w.step(s) // reaping changes no state
}

// nameOf returns the name of a state or a cause as it stands in journals.
func nameOf(v encoding.TextMarshaler) string {
	name, _ := v.MarshalText() // the core returns known ones
	return string(name)
}
