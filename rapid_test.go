package workerchannel

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Properties of all messages and of all orders of calls. The rules are written out here a second time,
// plainly and straight from the specification: nothing that states a rule calls the code that it judges.

// Generators of arbitrary values.

var (
	anyNumber = rapid.OneOf(
		rapid.SampledFrom([]uint64{0, 1, 9, 10, 99, 100, 1<<32 - 1, 1 << 32, 1<<53 + 1, 1 << 63, math.MaxUint64/10 + 1, math.MaxUint64 - 1, math.MaxUint64}),
		rapid.Uint64(),
	)
	oddRunes    = []rune("\"\\/<>&{}[]:,\b\t\n\f\r\x00\x01\x1f \x7f\u0080\u2028\u2029\ufeff\ufffd\uffff\ud7ff\ue000\U00010000\U0001f600\U0010ffffau0")
	anyText     = rapid.OneOf(rapid.StringOf(rapid.RuneFrom(oddRunes)), rapid.String())
	anyDetail   = rapid.Ptr(anyText, true)
	anyJobState = rapid.Map(rapid.IntRange(int(StateCreated), int(StateFailed)), func(s int) JobState { return JobState(s) })
	anyLevel    = rapid.SampledFrom([]Level{LevelInfo, LevelWarn, LevelError})

	smallPayload = rapid.SliceOfN(rapid.Byte(), 0, 40)
	anyPayload   = rapid.OneOf(smallPayload, rapid.Map(rapid.IntRange(41, 5000), randomPayload))
)

// randomPayload returns so many bytes: too many to draw one by one.
func randomPayload(size int) []byte {
	r := rand.New(rand.NewPCG(uint64(size), 0))
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(r.Uint32())
	}
	return payload
}

// drawOp draws any of the 15 operations.
func drawOp(t *rapid.T, jobID *rapid.Generator[uint64], payload *rapid.Generator[[]byte]) Op {
	job := func() uint64 { return jobID.Draw(t, "job id") }
	number := func(label string) uint64 { return anyNumber.Draw(t, label) }
	text := func(label string) string { return anyText.Draw(t, label) }
	switch op := OpType(rapid.IntRange(1, 15).Draw(t, "op")); op {
	case OpBootstrapReady:
		return BootstrapReady{text("worker id")}
	case OpBootstrapFailed:
		return BootstrapFailed{text("worker id"), text("reason")}
	case OpSpawnJob:
		return SpawnJob{job(), number("region"), number("task"), number("obligation"), payload.Draw(t, "payload")}
	case OpPollStatus:
		return PollStatus{job()}
	case OpStatusSnapshot:
		return StatusSnapshot{job(), anyJobState.Draw(t, "state"), anyDetail.Draw(t, "detail")}
	case OpJobCompleted:
		return JobCompleted{job(), drawOutcome(t, payload)}
	case OpCancelJob:
		return CancelJob{job(), text("reason")}
	case OpCancelAcknowledged:
		return CancelAcknowledged{job()}
	case OpDrainJob:
		return DrainJob{job()}
	case OpDrainCompleted:
		return DrainCompleted{job()}
	case OpFinalizeJob:
		return FinalizeJob{job()}
	case OpFinalizeCompleted:
		return FinalizeCompleted{job()}
	case OpShutdownWorker:
		return ShutdownWorker{text("reason")}
	case OpShutdownCompleted:
		return ShutdownCompleted{}
	default:
		return Diagnostic{anyLevel.Draw(t, "level"), text("category"), text("message"), anyDetail.Draw(t, "metadata")}
	}
}

func drawOutcome(t *rapid.T, payload *rapid.Generator[[]byte]) Outcome {
	switch rapid.IntRange(1, 4).Draw(t, "outcome") {
	case 1:
		return OutcomeOk{payload.Draw(t, "payload")}
	case 2:
		return OutcomeErr{anyText.Draw(t, "code"), anyText.Draw(t, "message")}
	case 3:
		return OutcomeCancelled{anyText.Draw(t, "reason")}
	default:
		return OutcomePanicked{anyText.Draw(t, "message")}
	}
}

// drawEnvelope draws a valid envelope, sealed by the plain rule.
func drawEnvelope(t *rapid.T, payload *rapid.Generator[[]byte]) Envelope {
	env := Envelope{
		Version: 1,
		Header: Header{
			anyNumber.Draw(t, "message id"), anyNumber.Draw(t, "seq no"), anyNumber.Draw(t, "decision seq"),
			anyNumber.Draw(t, "seed"), anyNumber.Draw(t, "turn"),
		},
		Op: drawOp(t, anyNumber, payload),
	}
	switch op := env.Op.(type) {
	case BootstrapReady:
		env.WorkerID = &op.WorkerID
	case BootstrapFailed:
		env.WorkerID = &op.WorkerID
	default:
		if !fromCoordinator(op) {
			env.WorkerID = ptr(anyText.Draw(t, "worker id"))
		}
	}
	return plainSeal(env)
}

// drawDamage changes an envelope so that it may be valid no longer, though it can still be written.
func drawDamage(t *rapid.T, env Envelope) Envelope {
	switch rapid.SampledFrom([]string{"digest", "version", "number", "worker id", "forged worker id", "no worker id", "forged no worker id"}).Draw(t, "damage") {
	case "digest":
		env.ReplayHash ^= 1 << rapid.IntRange(0, 63).Draw(t, "bit")
	case "version":
		env.Version = rapid.Uint32().Draw(t, "version")
	case "number":
		env.SeqNo = anyNumber.Draw(t, "seq no")
	case "worker id":
		env.WorkerID = ptr(anyText.Draw(t, "worker id"))
	case "forged worker id":
		env.WorkerID = ptr(anyText.Draw(t, "worker id"))
		env = plainSeal(env)
	case "no worker id":
		env.WorkerID = nil
	case "forged no worker id":
		env.WorkerID = nil
		env = plainSeal(env)
	}
	return env
}

func ptr(s string) *string { return &s }

// Sections 3 to 6, plainly.

func plainText(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch c {
		case '"', '\\':
			b.WriteString(`\` + string(c))
		case '\b':
			b.WriteString(`\b`)
		case '\t':
			b.WriteString(`\t`)
		case '\n':
			b.WriteString(`\n`)
		case '\f':
			b.WriteString(`\f`)
		case '\r':
			b.WriteString(`\r`)
		default:
			if c < ' ' {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteRune(c)
			}
		}
	}
	return `"` + b.String() + `"`
}

func plainOptional(s *string) string {
	if s == nil {
		return "null"
	}
	return plainText(*s)
}

func plainPayload(p []byte) string {
	text := []byte("[")
	for i, b := range p {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendUint(text, uint64(b), 10)
	}
	return string(append(text, ']'))
}

var plainStates = []string{"Created", "Queued", "Running", "CancelRequested", "Draining", "Finalizing", "Completed", "Failed"}

func plainOp(op Op) string {
	switch op := op.(type) {
	case BootstrapReady:
		return fmt.Sprintf(`{"type":"BootstrapReady","worker_id":%s}`, plainText(op.WorkerID))
	case BootstrapFailed:
		return fmt.Sprintf(`{"type":"BootstrapFailed","worker_id":%s,"reason":%s}`, plainText(op.WorkerID), plainText(op.Reason))
	case SpawnJob:
		return fmt.Sprintf(`{"type":"SpawnJob","job_id":%d,"region_id":%d,"task_id":%d,"obligation_id":%d,"payload":%s}`,
			op.JobID, op.RegionID, op.TaskID, op.ObligationID, plainPayload(op.Payload))
	case PollStatus:
		return fmt.Sprintf(`{"type":"PollStatus","job_id":%d}`, op.JobID)
	case StatusSnapshot:
		return fmt.Sprintf(`{"type":"StatusSnapshot","job_id":%d,"state":"%s","detail":%s}`, op.JobID, plainStates[op.State], plainOptional(op.Detail))
	case JobCompleted:
		return fmt.Sprintf(`{"type":"JobCompleted","job_id":%d,"outcome":%s}`, op.JobID, plainOutcome(op.Outcome))
	case CancelJob:
		return fmt.Sprintf(`{"type":"CancelJob","job_id":%d,"reason":%s}`, op.JobID, plainText(op.Reason))
	case CancelAcknowledged:
		return fmt.Sprintf(`{"type":"CancelAcknowledged","job_id":%d}`, op.JobID)
	case DrainJob:
		return fmt.Sprintf(`{"type":"DrainJob","job_id":%d}`, op.JobID)
	case DrainCompleted:
		return fmt.Sprintf(`{"type":"DrainCompleted","job_id":%d}`, op.JobID)
	case FinalizeJob:
		return fmt.Sprintf(`{"type":"FinalizeJob","job_id":%d}`, op.JobID)
	case FinalizeCompleted:
		return fmt.Sprintf(`{"type":"FinalizeCompleted","job_id":%d}`, op.JobID)
	case ShutdownWorker:
		return fmt.Sprintf(`{"type":"ShutdownWorker","reason":%s}`, plainText(op.Reason))
	case ShutdownCompleted:
		return `{"type":"ShutdownCompleted"}`
	case Diagnostic:
		return fmt.Sprintf(`{"type":"Diagnostic","level":"%s","category":%s,"message":%s,"metadata":%s}`,
			[]string{"Info", "Warn", "Error"}[op.Level], plainText(op.Category), plainText(op.Message), plainOptional(op.Metadata))
	}
	return ""
}

func plainOutcome(outcome Outcome) string {
	switch o := outcome.(type) {
	case OutcomeOk:
		return fmt.Sprintf(`{"status":"Ok","payload":%s}`, plainPayload(o.Payload))
	case OutcomeErr:
		return fmt.Sprintf(`{"status":"Err","code":%s,"message":%s}`, plainText(o.Code), plainText(o.Message))
	case OutcomeCancelled:
		return fmt.Sprintf(`{"status":"Cancelled","reason":%s}`, plainText(o.Reason))
	case OutcomePanicked:
		return fmt.Sprintf(`{"status":"Panicked","message":%s}`, plainText(o.Message))
	}
	return ""
}

func plainWire(e Envelope) string {
	worker := ""
	if e.WorkerID != nil {
		worker = `"worker_id":` + plainText(*e.WorkerID) + `,`
	}
	return fmt.Sprintf(`{"version":%d,"message_id":%d,"seq_no":%d,"decision_seq":%d,"seed":%d,"issued_at_turn":%d,%s"replay_hash":%d,"op":%s}`,
		e.Version, e.MessageID, e.SeqNo, e.DecisionSeq, e.Seed, e.IssuedAtTurn, worker, e.ReplayHash, plainOp(e.Op))
}

func plainDigest(e Envelope) uint64 {
	h := e.MessageID*0x9E3779B185EBCA87 + rotl(e.SeqNo, 13)
	h = h ^ rotl(e.DecisionSeq, 23) ^ rotl(e.Seed, 29) ^ rotl(e.IssuedAtTurn, 47)
	if e.WorkerID != nil {
		for _, b := range []byte(*e.WorkerID) {
			h = (rotl(h, 7) ^ uint64(b)) * 0x100000001B3
		}
	}
	for _, b := range []byte(plainOp(e.Op)) {
		h = (rotl(h, 5) ^ uint64(b)) * 0x100000001B3
	}
	return h
}

func rotl(n uint64, by int) uint64 { return n<<by | n>>(64-by) }

func plainSeal(e Envelope) Envelope {
	e.ReplayHash = plainDigest(e)
	return e
}

func fromCoordinator(op Op) bool {
	switch op.(type) {
	case SpawnJob, PollStatus, CancelJob, DrainJob, FinalizeJob, ShutdownWorker:
		return true
	}
	return false
}

// plainVerdict is section 5.
func plainVerdict(e Envelope) error {
	if e.Version != 1 {
		return &MismatchError{ErrVersionMismatch, 1, uint64(e.Version)}
	}
	if !plainSendable(e) {
		return ErrInvalidValue
	}
	if digest := plainDigest(e); e.ReplayHash != digest {
		return &MismatchError{ErrReplayHashMismatch, digest, e.ReplayHash}
	}
	if fromCoordinator(e.Op) && e.WorkerID != nil {
		return &WorkerError{Kind: ErrUnexpectedWorkerIdentity, WorkerID: *e.WorkerID}
	}
	if !fromCoordinator(e.Op) && e.WorkerID == nil {
		return ErrMissingWorkerIdentity
	}
	if op, ok := e.Op.(BootstrapReady); ok && op.WorkerID != *e.WorkerID {
		return &WorkerError{Kind: ErrWorkerIdentityMismatch, Expected: &op.WorkerID, WorkerID: *e.WorkerID}
	}
	if op, ok := e.Op.(BootstrapFailed); ok && op.WorkerID != *e.WorkerID {
		return &WorkerError{Kind: ErrWorkerIdentityMismatch, Expected: &op.WorkerID, WorkerID: *e.WorkerID}
	}
	var payload []byte
	switch op := e.Op.(type) {
	case SpawnJob:
		payload = op.Payload
	case JobCompleted:
		if ok, is := op.Outcome.(OutcomeOk); is {
			payload = ok.Payload
		}
	}
	if len(payload) > 262144 {
		return &PayloadError{len(payload), 262144}
	}
	return nil
}

// plainSendable tells whether a peer could send the envelope: section 8, Go's own.
func plainSendable(e Envelope) bool {
	texts := []string{}
	if e.WorkerID != nil {
		texts = append(texts, *e.WorkerID)
	}
	switch op := e.Op.(type) {
	case SpawnJob, PollStatus, CancelAcknowledged, DrainJob, DrainCompleted, FinalizeJob, FinalizeCompleted, ShutdownCompleted:
	case BootstrapReady:
		texts = append(texts, op.WorkerID)
	case BootstrapFailed:
		texts = append(texts, op.WorkerID, op.Reason)
	case StatusSnapshot:
		if op.Detail != nil {
			texts = append(texts, *op.Detail)
		}
		if op.State > StateFailed {
			return false
		}
	case JobCompleted:
		switch o := op.Outcome.(type) {
		case OutcomeOk:
		case OutcomeErr:
			texts = append(texts, o.Code, o.Message)
		case OutcomeCancelled:
			texts = append(texts, o.Reason)
		case OutcomePanicked:
			texts = append(texts, o.Message)
		default:
			return false
		}
	case CancelJob:
		texts = append(texts, op.Reason)
	case ShutdownWorker:
		texts = append(texts, op.Reason)
	case Diagnostic:
		texts = append(texts, op.Category, op.Message)
		if op.Metadata != nil {
			texts = append(texts, *op.Metadata)
		}
		if op.Level > LevelError {
			return false
		}
	default:
		return false
	}
	return !slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) })
}

// plainNext is the table of section 6.
var plainNext = map[JobState][]JobState{
	StateCreated:         {StateQueued, StateFailed},
	StateQueued:          {StateRunning, StateCancelRequested, StateCompleted, StateFailed},
	StateRunning:         {StateCancelRequested, StateCompleted, StateFailed},
	StateCancelRequested: {StateDraining, StateCompleted, StateFailed},
	StateDraining:        {StateFinalizing, StateFailed},
	StateFinalizing:      {StateCompleted, StateFailed},
}

func plainEnded(s JobState) bool { return s == StateCompleted || s == StateFailed }

// Messages.

func TestEveryEnvelopeSurvivesItsText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { survives(t, drawEnvelope(t, anyPayload)) })
}

func TestPayloadsOfEverySizeSurvive(t *testing.T) {
	for _, size := range []int{0, 1, 2, 3, 63, 64, 65, 255, 256, 4095, 4096, 65536, MaxPayloadBytes - 1, MaxPayloadBytes} {
		p := randomPayload(size)
		survives(t, plainSeal(Envelope{Version: 1, Op: SpawnJob{1, 2, 3, 4, p}}))
		survives(t, plainSeal(Envelope{Version: 1, WorkerID: ptr("w"), Op: JobCompleted{1, OutcomeOk{p}}}))
	}
}

// survives checks that a valid envelope has canonical text, and is read back from it.
func survives(t require.TestingT, env Envelope) {
	text, err := env.AppendJSON([]byte("before"))
	require.NoError(t, err)
	require.Equal(t, "before"+plainWire(env), string(text), "the text is canonical and is appended")
	text = text[len("before"):]

	read, err := ParseEnvelope(text)
	require.NoError(t, err)
	require.Equal(t, env, read)
	again, err := read.AppendJSON(nil)
	require.NoError(t, err)
	require.Equal(t, string(text), string(again), "canonical text is a fixed point")

	v, err := Verify(text)
	require.NoError(t, err)
	clear(text)
	require.Equal(t, env, v.Envelope(), "what is read has no part of the buffer")
	require.Equal(t, env, read, "what is read has no part of the buffer")
}

func TestEveryEnvelopeSurvivesEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := map[string]Envelope{"valid": drawEnvelope(t, smallPayload)}
		sent["damaged"] = drawDamage(t, sent["valid"])
		text, err := json.Marshal(sent)
		require.NoError(t, err)
		received := map[string]Envelope{}
		require.NoError(t, json.Unmarshal(text, &received))
		require.Equal(t, sent, received)
		indented, err := json.MarshalIndent(sent, "", "\t")
		require.NoError(t, err)
		received = map[string]Envelope{}
		require.NoError(t, json.Unmarshal(indented, &received))
		require.Equal(t, sent, received)
	})
}

func TestDigestIsThePlainRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		env := drawEnvelope(t, anyPayload)
		require.Equal(t, plainDigest(env), ReplayHash(env.Header, env.WorkerID, env.Op))
		sealed := NewEnvelope(env.Header, env.Op)
		if env.WorkerID != nil {
			sealed = NewWorkerEnvelope(*env.WorkerID, env.Header, env.Op)
		}
		require.Equal(t, env, sealed)
		require.NoError(t, env.Validate())
	})
}

// However a text is written, it is read as the same and judged the same: with the digest that Verify
// takes along with the scan of a canonical text, or with the one that it computes afterwards.
func TestRewrittenTextMeansTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		env := drawEnvelope(t, smallPayload)
		if rapid.Bool().Draw(t, "damaged") {
			env = drawDamage(t, env)
		}
		meansTheSame(t, env, []byte(plainWire(env)))
		seed := rapid.Uint64().Draw(t, "seed of the rewriter")
		for ways := range 1 << 5 {
			w := newRewriter(seed, ways, rapid.SampledFrom([]int{3, 50, 100}).Draw(t, "percent"))
			meansTheSame(t, env, w.rewrite([]byte(plainWire(env))))
		}
	})
}

// meansTheSame checks that a text is read as the envelope, and judged like it.
func meansTheSame(t *rapid.T, env Envelope, text []byte) {
	verdict := describeError(plainVerdict(env))
	var read Envelope
	require.NoError(t, read.UnmarshalJSON(text), "%s", text)
	require.Equal(t, env, read, "%s", text)
	require.Equal(t, verdict, describeError(read.Validate()), "%s", text)
	parsed, err := ParseEnvelope(text)
	require.Equal(t, verdict, describeError(err), "%s", text)
	if err == nil {
		require.Equal(t, env, parsed, "%s", text)
	} else {
		require.Zero(t, parsed)
	}
}

// A rewriter writes a text anew in another form that means the same (section 3, Reading). The numbers
// tell how often, in percent.
type rewriter struct {
	rand                             *rand.Rand
	order, spaces, escapes, optional int
	strangers                        int // unknown members
}

// newRewriter returns a rewriter that uses some of its ways, a set of bits: so each is also used alone.
func newRewriter(seed uint64, ways, percent int) *rewriter {
	w := &rewriter{rand: rand.New(rand.NewPCG(seed, 0))}
	for i, way := range []*int{&w.order, &w.spaces, &w.escapes, &w.optional, &w.strangers} {
		if ways&(1<<i) != 0 {
			*way = percent
		}
	}
	return w
}

func (w *rewriter) sometimes(percent int) bool { return w.rand.IntN(100) < percent }

func (w *rewriter) rewrite(text []byte) []byte {
	tree, err := parseTree(text)
	if err != nil {
		panic(err)
	}
	return w.space(w.value(w.space(nil), tree, 0))
}

func (w *rewriter) space(b []byte) []byte {
	for w.sometimes(w.spaces) && w.sometimes(60) {
		b = append(b, " \t\r\n"[w.rand.IntN(4)])
	}
	return b
}

func (w *rewriter) value(b []byte, value any, depth int) []byte {
	switch v := value.(type) {
	case treeObject:
		b = append(b, '{')
		for i, m := range w.members(v, depth) {
			if i > 0 {
				b = append(b, ',')
			}
			b = w.space(w.text(w.space(b), m.name))
			b = append(b, ':')
			b = w.space(w.value(w.space(b), m.value, depth+1))
		}
		return append(b, '}')
	case []any:
		b = w.space(append(b, '['))
		for i, element := range v {
			if i > 0 {
				b = w.space(append(b, ','))
			}
			b = w.space(w.value(b, element, depth+1))
		}
		return append(b, ']')
	case string:
		return w.text(b, v)
	case rawText:
		return append(b, v...)
	case nil:
		return append(b, "null"...)
	default:
		return fmt.Append(b, v)
	}
}

// rawText is a value that stands in the text as it is.
type rawText string

// members are the members of an object with others that must be ignored, in another order.
func (w *rewriter) members(o treeObject, depth int) treeObject {
	var members treeObject
	for _, m := range o {
		if m.value == nil && w.sometimes(w.optional) {
			continue // absent, where canonical text has a null
		}
		members = append(members, m)
	}
	if depth == 0 && !slices.ContainsFunc(o, func(m treeMember) bool { return m.name == "worker_id" }) && w.sometimes(w.optional) {
		members = append(members, treeMember{"worker_id", nil})
	}
	for w.sometimes(w.strangers) && w.sometimes(70) {
		at := w.rand.IntN(len(members) + 1)
		members = slices.Insert(members, at, w.stranger(depth))
	}
	if n := len(members); n > 1 && w.sometimes(w.order) {
		if w.sometimes(50) { // one that is late is easily overlooked
			late := w.rand.IntN(n)
			members = append(slices.Delete(slices.Clone(members), late, late+1), members[late])
		} else {
			w.rand.Shuffle(n, func(i, j int) { members[i], members[j] = members[j], members[i] })
		}
	}
	return members
}

func (w *rewriter) stranger(depth int) treeMember {
	names := []string{"", "x", "Version", "OP", "Type", "STATUS", "Worker_ID", "job_id ", " payload", "op\x00", "\u2028", "version_"}
	if depth == 0 {
		names = append(names, "type", "job_id", "payload", "detail", "outcome", "status")
	} else {
		names = append(names, "version", "op", "seq_no", "replay_hash")
	}
	values := []rawText{
		`null`, `true`, `false`, `-0`, `1.50`, `-1e+999`, `0E-1`, `18446744073709551616`, `""`, `"\u0000\/\ud83d\ude00"`, `[]`, `{}`, `[ ]`, `{ }`,
		`[[],{},[1, -2.5e3 ,"]"]]`, `{"op":{"type":"None"},"op":1,"version":2}`, `{"a" : { "}" : [ null ]}}`,
		rawText(strings.Repeat("[", 100) + strings.Repeat("]", 100)),
	}
	return treeMember{names[w.rand.IntN(len(names))], values[w.rand.IntN(len(values))]}
}

func (w *rewriter) text(b []byte, text string) []byte {
	b = append(b, '"')
	for _, c := range text {
		b = append(b, w.char(c)...)
	}
	return append(b, '"')
}

func (w *rewriter) char(c rune) string {
	if !w.sometimes(w.escapes) {
		quoted := plainText(string(c))
		return quoted[1 : len(quoted)-1]
	}
	if short := strings.IndexRune("\"\\/\b\f\n\r\t", c); short >= 0 && w.sometimes(50) {
		return `\` + `"\/bfnrt`[short:short+1]
	}
	form := []string{`\u%04x`, `\u%04X`}[w.rand.IntN(2)]
	if c < 0x10000 {
		return fmt.Sprintf(form, c)
	}
	c -= 0x10000
	return fmt.Sprintf(form+form, 0xd800+c>>10, 0xdc00+c&0x3ff)
}

func TestAnyChangedByteIsRefusedOrMeansTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		env := drawEnvelope(t, smallPayload)
		text := []byte(plainWire(env))
		changed := slices.Clone(text)
		flips := rapid.SliceOfN(rapid.ByteMin(1), 1, 8).Draw(t, "flips")
		for i := range text {
			for _, flip := range append(flips, 1, 0x20) {
				changed[i] = text[i] ^ flip
				if read, err := ParseEnvelope(changed); err == nil {
					require.Equal(t, env, read, "byte %d, flipped by %d", i, flip)
				}
			}
			changed[i] = text[i]
		}
	})
}

// The coordinator.

// plainCoordinator is section 7.
type plainCoordinator struct {
	outbox                 []string // canonical texts
	message, seq, decision uint64   // the next ones
	seed, turn, highest    uint64
	active                 *string
	ended                  []string
	ready, shutdown        bool
	jobs                   map[uint64]TrackedJob
}

func newPlainCoordinator(seed, decision uint64) *plainCoordinator {
	return &plainCoordinator{message: 1, seq: 1, decision: decision, seed: seed, jobs: map[uint64]TrackedJob{}}
}

func (p *plainCoordinator) send(op Op) (seq uint64) {
	env := Envelope{Version: 1, Header: Header{p.message, p.seq, p.decision, p.seed, p.turn}, Op: op}
	p.outbox = append(p.outbox, plainWire(plainSeal(env)))
	p.message, p.seq, p.decision = p.message+1, p.seq+1, p.decision+1
	return env.SeqNo
}

func (p *plainCoordinator) endSession() {
	for id, j := range p.jobs {
		if !plainEnded(j.State) {
			j.State = StateFailed
			p.jobs[id] = j
		}
	}
	p.outbox = nil
	if p.active != nil {
		p.ended = append(p.ended, *p.active)
	}
	p.active, p.ready, p.shutdown = nil, false, false
}

func (p *plainCoordinator) spawn(s SpawnJob) error {
	if !p.ready {
		return ErrWorkerNotReady
	}
	if p.shutdown {
		return ErrShutdownInProgress
	}
	if len(s.Payload) > 262144 {
		return &PayloadError{len(s.Payload), 262144}
	}
	if _, tracked := p.jobs[s.JobID]; tracked {
		return &JobError{Kind: ErrDuplicateJobID, JobID: s.JobID}
	}
	p.jobs[s.JobID] = TrackedJob{JobID: s.JobID, RegionID: s.RegionID, State: StateQueued, LastSeqNo: p.send(s)}
	return nil
}

// move takes a job to a state and, unless op is nil, sends op about it.
func (p *plainCoordinator) move(jobID uint64, to JobState, op Op) error {
	j := p.jobs[jobID]
	if !slices.Contains(plainNext[j.State], to) {
		return &TransitionError{jobID, j.State, to}
	}
	j.State = to
	if op != nil {
		j.LastSeqNo = p.send(op)
	}
	p.jobs[jobID] = j
	return nil
}

func (p *plainCoordinator) cancel(jobID uint64, reason string) error {
	if !utf8.ValidString(reason) {
		return ErrInvalidValue
	}
	if p.shutdown {
		return ErrShutdownInProgress
	}
	if _, tracked := p.jobs[jobID]; !tracked {
		return &JobError{Kind: ErrUnknownJobID, JobID: jobID}
	}
	return p.move(jobID, StateCancelRequested, CancelJob{jobID, reason})
}

func (p *plainCoordinator) poll(jobID uint64) error {
	if p.shutdown {
		return ErrShutdownInProgress
	}
	j, tracked := p.jobs[jobID]
	if !tracked {
		return &JobError{Kind: ErrUnknownJobID, JobID: jobID}
	}
	if plainEnded(j.State) {
		return &JobError{ErrJobNotPollable, jobID, j.State}
	}
	j.LastSeqNo = p.send(PollStatus{jobID})
	p.jobs[jobID] = j
	return nil
}

func (p *plainCoordinator) requestShutdown(reason string) error {
	if !utf8.ValidString(reason) {
		return ErrInvalidValue
	}
	if p.shutdown {
		return ErrShutdownInProgress
	}
	p.shutdown = true
	p.outbox = nil
	p.send(ShutdownWorker{reason})
	return nil
}

func (p *plainCoordinator) remove(jobID uint64) (JobState, error) {
	j, tracked := p.jobs[jobID]
	if !tracked {
		return 0, &JobError{Kind: ErrUnknownJobID, JobID: jobID}
	}
	if !plainEnded(j.State) {
		return 0, &JobError{ErrJobNotTerminal, jobID, j.State}
	}
	delete(p.jobs, jobID)
	return j.State, nil
}

func (p *plainCoordinator) reap() (reaped []TrackedJob) {
	for _, j := range p.all() {
		if plainEnded(j.State) {
			reaped = append(reaped, j)
			delete(p.jobs, j.JobID)
		}
	}
	return reaped
}

func (p *plainCoordinator) all() (jobs []TrackedJob) {
	for _, j := range p.jobs {
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b TrackedJob) int {
		if a.JobID < b.JobID {
			return -1
		}
		return 1
	})
	return jobs
}

func (p *plainCoordinator) inflight() (n int) {
	for _, j := range p.jobs {
		if !plainEnded(j.State) {
			n++
		}
	}
	return n
}

// inbound is section 7, Inbound. An error of the first three steps is a refusal.
func (p *plainCoordinator) inbound(e Envelope) (refusal, answer error) {
	if err := plainVerdict(e); err != nil { // step 1
		return err, nil
	}
	if fromCoordinator(e.Op) { // step 2
		return &DirectionError{e.Op.Type()}, nil
	}
	sender := *e.WorkerID
	if p.active != nil && *p.active == sender { // step 3
		if e.SeqNo <= p.highest {
			return &SequenceError{p.highest, e.SeqNo}, nil
		}
	} else {
		_, isReady := e.Op.(BootstrapReady)
		_, isFailed := e.Op.(BootstrapFailed)
		if !isReady && !isFailed {
			return &WorkerError{Kind: ErrWorkerSessionMismatch, Expected: p.active, WorkerID: sender}, nil
		}
		if slices.Contains(p.ended, sender) {
			return &WorkerError{Kind: ErrRetiredWorker, WorkerID: sender}, nil
		}
		if e.SeqNo == 0 {
			return &SequenceError{0, 0}, nil
		}
		p.endSession()
		p.active = &sender
		p.highest = 0
	}
	p.highest = e.SeqNo // step 4
	return nil, p.operation(e.Op)
}

// operation is step 5.
func (p *plainCoordinator) operation(op Op) error {
	unknown := func(jobID uint64) error {
		if _, tracked := p.jobs[jobID]; !tracked {
			return &JobError{Kind: ErrUnknownJobID, JobID: jobID}
		}
		return nil
	}
	switch op := op.(type) {
	case BootstrapReady:
		p.ready, p.shutdown = true, false
	case BootstrapFailed:
		p.endSession()
		return &WorkerError{Kind: ErrBootstrapFailed, WorkerID: op.WorkerID, Reason: op.Reason}
	case StatusSnapshot:
		if plainEnded(op.State) {
			return &JobError{ErrTerminalStatusSnapshot, op.JobID, op.State}
		}
		if op.State != StateQueued && op.State != StateRunning {
			return &JobError{ErrInvalidStatusSnapshotState, op.JobID, op.State}
		}
		if err := unknown(op.JobID); err != nil {
			return err
		}
		if was := p.jobs[op.JobID].State; was == StateCancelRequested || was == op.State {
			return nil
		}
		return p.move(op.JobID, op.State, nil)
	case JobCompleted:
		if err := unknown(op.JobID); err != nil {
			return err
		}
		switch was := p.jobs[op.JobID].State; was {
		case StateQueued, StateRunning, StateCancelRequested:
			return p.move(op.JobID, StateCompleted, nil)
		default:
			return &JobError{ErrUnexpectedCompletionPhase, op.JobID, was}
		}
	case CancelAcknowledged:
		if err := unknown(op.JobID); err != nil || p.shutdown {
			return err
		}
		return p.move(op.JobID, StateDraining, DrainJob(op))
	case DrainCompleted:
		if err := unknown(op.JobID); err != nil || p.shutdown {
			return err
		}
		return p.move(op.JobID, StateFinalizing, FinalizeJob(op))
	case FinalizeCompleted:
		if err := unknown(op.JobID); err != nil {
			return err
		}
		if was := p.jobs[op.JobID].State; was != StateFinalizing {
			return &TransitionError{op.JobID, was, StateCompleted}
		}
		return p.move(op.JobID, StateCompleted, nil)
	case ShutdownCompleted:
		p.endSession()
	}
	return nil
}

// A coordinatorTrial holds three coordinators, one for each way in, against the model. A fourth never
// sees what is refused, and yet must stay equal to them: a refusal changes nothing.
type coordinatorTrial struct {
	model   *plainCoordinator
	three   [3]*Coordinator
	witness *Coordinator
}

// The ids are few, so that they meet often.
var (
	fewJobs  = rapid.SampledFrom([]uint64{1, 2, 3, math.MaxUint64})
	fewTexts = rapid.SampledFrom([]string{"", "why", "\u2028\"", "ill-formed \xff"})
	tooLarge = make([]byte, MaxPayloadBytes+1)
	payloads = rapid.SampledFrom([][]byte{nil, {}, {0, 9, 10, 99, 100, 255}})
)

func TestCoordinatorDoesWhatSection7Says(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed, decision := anyNumber.Draw(t, "seed"), anyNumber.Draw(t, "first decision seq")
		fresh := func() *Coordinator { return NewCoordinator(seed, WithFirstDecisionSeq(decision)) }
		s := &coordinatorTrial{newPlainCoordinator(seed, decision), [3]*Coordinator{fresh(), fresh(), fresh()}, fresh()}
		s.repeat(t)
	})
}

// repeat makes calls in any order; what leads into the depth comes more often, what ends a session seldom.
func (s *coordinatorTrial) repeat(t *rapid.T) {
	calls := map[string]func(*rapid.T){
		"":           s.compare,
		"go on 1":    s.goOn,
		"go on 2":    s.goOn,
		"go on 3":    s.goOn,
		"go on 4":    s.goOn,
		"spawn":      s.spawn,
		"cancel":     s.cancel,
		"poll":       s.poll,
		"shutdown":   seldom(s.requestShutdown, s.goOn),
		"lost":       seldom(s.workerLost, s.goOn),
		"remove":     s.remove,
		"reap":       seldom(s.reap, s.goOn),
		"turn":       s.advanceTurn,
		"drain":      s.drain,
		"bootstrap":  seldom(s.bootstrap, s.goOn),
		"unfitting":  s.unfitting,
		"stray":      s.stray,
		"damaged":    s.damaged,
		"unwritable": s.unwritable,
	}
	for range 3 {
		t.Repeat(calls)
	}
}

// seldom makes the one call now and then, and mostly the other.
func seldom(now, mostly func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		if rapid.IntRange(0, 7).Draw(t, "seldom") == 6 {
			now(t)
		} else {
			mostly(t)
		}
	}
}

// call makes a call of the host, which the model answers with want.
func (s *coordinatorTrial) call(t *rapid.T, want error, call func(*Coordinator) error) {
	for _, c := range s.three {
		require.Equal(t, describeError(want), describeError(call(c)))
	}
	if want == nil {
		require.NoError(t, call(s.witness))
	}
}

func (s *coordinatorTrial) spawn(t *rapid.T) {
	job := SpawnJob{fewJobs.Draw(t, "job id"), anyNumber.Draw(t, "region"), anyNumber.Draw(t, "task"), anyNumber.Draw(t, "obligation"), payloads.Draw(t, "payload")}
	if rapid.IntRange(0, 9).Draw(t, "too large") == 9 {
		job.Payload = tooLarge
	}
	s.call(t, s.model.spawn(job), func(c *Coordinator) error { return c.SpawnJob(job) })
}

func (s *coordinatorTrial) cancel(t *rapid.T) {
	s.cancelJob(t, fewJobs.Draw(t, "job id"), fewTexts.Draw(t, "reason"))
}

func (s *coordinatorTrial) cancelJob(t *rapid.T, id uint64, reason string) {
	s.call(t, s.model.cancel(id, reason), func(c *Coordinator) error { return c.CancelJob(id, reason) })
}

func (s *coordinatorTrial) poll(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
	s.call(t, s.model.poll(id), func(c *Coordinator) error { return c.PollStatus(id) })
}

func (s *coordinatorTrial) requestShutdown(t *rapid.T) {
	reason := fewTexts.Draw(t, "reason")
	s.call(t, s.model.requestShutdown(reason), func(c *Coordinator) error { return c.RequestShutdown(reason) })
}

func (s *coordinatorTrial) workerLost(t *rapid.T) {
	s.model.endSession()
	s.call(t, nil, func(c *Coordinator) error { c.WorkerLost(); return nil })
}

func (s *coordinatorTrial) remove(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
	state, want := s.model.remove(id)
	s.call(t, want, func(c *Coordinator) error {
		removed, err := c.RemoveJob(id)
		require.Equal(t, state, removed)
		return err
	})
}

func (s *coordinatorTrial) reap(t *rapid.T) {
	want := s.model.reap()
	s.call(t, nil, func(c *Coordinator) error {
		require.Equal(t, want, c.Reap())
		return nil
	})
}

func (s *coordinatorTrial) advanceTurn(t *rapid.T) {
	s.model.turn++
	s.call(t, nil, func(c *Coordinator) error { c.AdvanceTurn(); return nil })
}

func (s *coordinatorTrial) drain(t *rapid.T) {
	n := rapid.IntRange(1, 3).Draw(t, "envelopes")
	want := s.model.outbox[:min(n, len(s.model.outbox))]
	s.model.outbox = s.model.outbox[len(want):]
	s.call(t, nil, func(c *Coordinator) error {
		require.Equal(t, strings.Join(want, "\n"), drainTexts(t, n, c.DrainOutbox))
		return nil
	})
}

// drained takes up to n envelopes from an outbox, and returns their texts.
func drainTexts(t *rapid.T, n int, drain func() (Envelope, bool)) string {
	var texts []string
	for range n {
		env, ok := drain()
		if !ok {
			require.Zero(t, env)
			break
		}
		text, err := env.AppendJSON(nil)
		require.NoError(t, err)
		texts = append(texts, string(text))
	}
	return strings.Join(texts, "\n")
}

// bootstrap delivers a bootstrap of a new worker, or else of a former one.
func (s *coordinatorTrial) bootstrap(t *rapid.T) {
	known := slices.Clone(s.model.ended)
	if s.model.active != nil {
		known = append(known, *s.model.active)
	}
	id := fmt.Sprint("worker ", len(known))
	if len(known) > 0 && rapid.IntRange(0, 3).Draw(t, "known") == 3 {
		id = rapid.SampledFrom(known).Draw(t, "worker")
	}
	var op Op = BootstrapReady{id}
	if rapid.IntRange(0, 3).Draw(t, "failed") == 3 {
		op = BootstrapFailed{id, "why"}
	}
	s.deliver(t, s.drawSeq(t), &id, op)
}

// drawSeq draws a sequence number about the highest that was accepted.
func (s *coordinatorTrial) drawSeq(t *rapid.T) uint64 {
	return rapid.SampledFrom([]uint64{s.model.highest + 1, s.model.highest + 3, s.model.highest, 1, 0}).Draw(t, "seq no")
}

// goOn takes the next step in the life of a session and its jobs.
func (s *coordinatorTrial) goOn(t *rapid.T) {
	p := s.model
	inflight := slices.DeleteFunc(p.all(), func(j TrackedJob) bool { return plainEnded(j.State) })
	switch {
	case !p.ready && rapid.IntRange(0, 2).Draw(t, "not yet") == 1:
		s.requestShutdown(t)
		s.spawn(t)
		return
	case !p.ready:
		id := fmt.Sprint("worker ", len(p.ended))
		if p.active != nil {
			id = *p.active
		}
		s.deliver(t, p.highest+1, &id, BootstrapReady{id})
		return
	case len(inflight) == 0:
		s.reap(t)
		s.spawn(t)
		return
	}
	job := rapid.SampledFrom(inflight).Draw(t, "job")
	switch cancel := rapid.Bool().Draw(t, "cancel"); job.State {
	case StateQueued, StateRunning:
		if cancel {
			s.cancelJob(t, job.JobID, "why")
		} else if job.State == StateQueued {
			s.deliver(t, p.highest+1, p.active, StatusSnapshot{JobID: job.JobID, State: StateRunning})
		} else {
			s.deliver(t, p.highest+1, p.active, JobCompleted{job.JobID, OutcomeErr{"code", "message"}})
		}
	case StateCancelRequested:
		s.deliver(t, p.highest+1, p.active, CancelAcknowledged{job.JobID})
	case StateDraining:
		s.deliver(t, p.highest+1, p.active, DrainCompleted{job.JobID})
	case StateFinalizing:
		s.deliver(t, p.highest+1, p.active, FinalizeCompleted{job.JobID})
	}
}

// unfitting delivers anything that the worker could say about any job.
func (s *coordinatorTrial) unfitting(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
	op := rapid.SampledFrom([]Op{
		StatusSnapshot{id, anyJobState.Draw(t, "state"), nil}, JobCompleted{id, drawOutcome(t, payloads)},
		CancelAcknowledged{id}, DrainCompleted{id}, FinalizeCompleted{id}, Diagnostic{},
	}).Draw(t, "op")
	s.deliver(t, s.model.highest+1, s.model.active, op)
}

// stray delivers anything from anyone, sealed.
func (s *coordinatorTrial) stray(t *rapid.T) {
	senders := []*string{s.model.active, nil, ptr("stranger"), ptr("")}
	for _, id := range s.model.ended {
		senders = append(senders, &id)
	}
	sender := rapid.SampledFrom(senders).Draw(t, "sender")
	s.deliver(t, s.drawSeq(t), sender, s.ownOp(t, sender))
}

// ownOp draws any operation; a bootstrap is mostly the sender's own.
func (s *coordinatorTrial) ownOp(t *rapid.T, sender *string) Op {
	op := drawOp(t, fewJobs, payloads)
	if sender == nil || rapid.IntRange(0, 9).Draw(t, "of another") == 9 {
		return op
	}
	switch op.(type) {
	case BootstrapReady:
		return BootstrapReady{*sender}
	case BootstrapFailed:
		return BootstrapFailed{*sender, "why"}
	}
	return op
}

// damaged delivers what would be fresh but for some damage.
func (s *coordinatorTrial) damaged(t *rapid.T) {
	op := s.ownOp(t, s.model.active)
	s.handOver(t, drawDamage(t, plainSeal(Envelope{Version: 1, Header: Header{SeqNo: s.model.highest + 1}, WorkerID: s.model.active, Op: op})))
}

func (s *coordinatorTrial) unwritable(t *rapid.T) {
	s.handOver(t, drawUnwritable(t, s.model.active, s.model.highest+1))
}

func (s *coordinatorTrial) deliver(t *rapid.T, seq uint64, sender *string, op Op) {
	s.handOver(t, plainSeal(Envelope{Version: 1, Header: Header{SeqNo: seq, DecisionSeq: seq}, WorkerID: sender, Op: op}))
}

func (s *coordinatorTrial) handOver(t *rapid.T, env Envelope) {
	refusal, answer := s.model.inbound(env)
	handOver(t, s.three, s.witness, env, refusal, answer)
}

// drawUnwritable draws an envelope that no peer can send.
func drawUnwritable(t *rapid.T, sender *string, seq uint64) Envelope {
	env := Envelope{Version: uint32(rapid.IntRange(1, 2).Draw(t, "version")), Header: Header{SeqNo: seq}, WorkerID: sender}
	if rapid.Bool().Draw(t, "ill-formed id") {
		env.WorkerID, env.Op = ptr("\xc0\x80"), Diagnostic{}
		return env
	}
	if rapid.IntRange(0, 30).Draw(t, "too large") == 30 {
		env.Op = rapid.SampledFrom([]Op{SpawnJob{Payload: tooLarge}, JobCompleted{1, OutcomeOk{tooLarge}}}).Draw(t, "op")
		return plainSeal(env)
	}
	env.Op = rapid.SampledFrom([]Op{
		nil, &PollStatus{1}, struct{ PollStatus }{}, (*Diagnostic)(nil),
		JobCompleted{}, JobCompleted{1, &OutcomeOk{}}, JobCompleted{1, struct{ OutcomeOk }{}},
		StatusSnapshot{State: 8}, StatusSnapshot{State: 255}, Diagnostic{Level: 3}, Diagnostic{Level: 255},
		StatusSnapshot{Detail: ptr("\xff")}, Diagnostic{Category: "\xed\xa0\x80"}, Diagnostic{Message: "\x80"}, Diagnostic{Metadata: ptr("\xe2\x82")},
		JobCompleted{1, OutcomeErr{Code: "\xff"}}, JobCompleted{1, OutcomeErr{Message: "\xff"}}, JobCompleted{1, OutcomeCancelled{"\xff"}}, JobCompleted{1, OutcomePanicked{"\xff"}},
		CancelJob{1, "\xff"}, ShutdownWorker{"\xff"}, BootstrapReady{"\xff"}, BootstrapFailed{"\xff", ""}, BootstrapFailed{"", "\xff"},
	}).Draw(t, "op")
	return env
}

type receiver interface {
	HandleInbound(*Envelope) error
	HandleVerified(Verified) error
	Receive([]byte) (Envelope, error)
}

// handOver gives a message to each of three equal receivers by a way of its own, and compares what
// they answer. The witness gets it unless it was to be refused.
func handOver[R receiver](t *rapid.T, three [3]R, witness R, env Envelope, refusal, answer error) {
	want := describeError(cmp.Or(refusal, answer))
	held := env
	if env.WorkerID != nil {
		held.WorkerID = ptr(*env.WorkerID)
	}
	require.Equal(t, want, describeError(three[0].HandleInbound(&held)), "HandleInbound")
	if held.WorkerID != nil {
		*held.WorkerID = "changed by its holder"
	}
	if refusal == nil {
		require.Equal(t, want, describeError(witness.HandleInbound(&env)), "HandleInbound")
	}

	text, err := env.AppendJSON(nil)
	if err != nil { // it does not come as text
		require.Error(t, refusal)
		require.Equal(t, want, describeError(three[1].HandleInbound(&env)), "HandleInbound")
		return
	}
	valid := plainVerdict(env) == nil

	v, err := Verify(text)
	if valid {
		require.NoError(t, err)
		require.Equal(t, want, describeError(three[1].HandleVerified(v)), "HandleVerified")
	} else {
		require.Equal(t, want, describeError(err), "Verify")
		require.ErrorIs(t, three[1].HandleVerified(v), ErrInvalidValue)
	}

	read, err := three[2].Receive(text)
	clear(text)
	require.Equal(t, want, describeError(err), "Receive")
	if valid {
		require.Equal(t, plainWire(env), plainWire(read), "Receive")
	} else {
		require.Zero(t, read, "Receive")
	}
}

func (s *coordinatorTrial) compare(t *rapid.T) {
	for i, c := range s.three {
		require.True(t, reflect.DeepEqual(s.witness, c), "%d differs from one that never saw what was refused", i)
	}
	p, c := s.model, s.witness
	require.Equal(t, p.ready, c.WorkerReady())
	require.Equal(t, p.shutdown, c.ShutdownRequested())
	require.Equal(t, p.turn, c.Turn())
	require.Equal(t, p.seed, c.Seed())
	require.Equal(t, p.inflight(), c.InflightCount())
	require.Equal(t, p.all(), slices.Collect(c.Jobs()))
	for _, id := range []uint64{0, 1, 2, 3, math.MaxUint64} {
		want, tracked := p.jobs[id]
		job, ok := c.Job(id)
		require.Equal(t, tracked, ok)
		require.Equal(t, want, job)
		state, ok := c.JobState(id)
		require.Equal(t, tracked, ok)
		require.Equal(t, want.State, state)
	}
	id, active := c.ActiveWorker()
	require.Equal(t, p.active != nil, active)
	if active {
		require.Equal(t, *p.active, id)
	}
	require.Equal(t, len(p.outbox), c.OutboxLen())
	ahead := clone(c)
	require.Equal(t, strings.Join(p.outbox, "\n"), drainTexts(t, math.MaxInt, ahead.DrainOutbox))
}

// The worker.

// plainWorker is section 10.
type plainWorker struct {
	id            string
	outbox        []string
	message, seq  uint64 // the next ones; the decision sequence is the same
	seed, turn    uint64
	highest       uint64
	ready, closed bool
	shutdown      bool
	jobs          map[uint64]TrackedJob
	answered      map[uint64]bool // whether the application has answered the phase that the job is in
}

func newPlainWorker(id string, seed uint64) *plainWorker {
	return &plainWorker{id: id, message: 1, seq: 1, seed: seed, jobs: map[uint64]TrackedJob{}, answered: map[uint64]bool{}}
}

func (p *plainWorker) send(op Op) (seq uint64) {
	env := Envelope{Version: 1, Header: Header{p.message, p.seq, p.seq, p.seed, p.turn}, WorkerID: &p.id, Op: op}
	p.outbox = append(p.outbox, plainWire(plainSeal(env)))
	p.message, p.seq = p.message+1, p.seq+1
	return env.SeqNo
}

func (p *plainWorker) all() (jobs []TrackedJob) {
	for _, id := range []uint64{0, 1, 2, 3, math.MaxUint64} {
		if j, ok := p.jobs[id]; ok {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func (p *plainWorker) forget(jobID uint64) {
	delete(p.jobs, jobID)
	delete(p.answered, jobID)
}

func (p *plainWorker) close(op Op) error {
	p.send(op)
	p.closed, p.ready = true, false
	clear(p.jobs)
	clear(p.answered)
	return nil
}

// unready is what a call about a job answers before it looks at the state of the job.
func (p *plainWorker) unready(jobID uint64) error {
	if !p.ready {
		return ErrWorkerNotReady
	}
	if _, tracked := p.jobs[jobID]; !tracked {
		return &JobError{Kind: ErrUnknownJobID, JobID: jobID}
	}
	return nil
}

// say sends op about a job.
func (p *plainWorker) say(jobID uint64, op Op) error {
	j := p.jobs[jobID]
	j.LastSeqNo = p.send(op)
	p.jobs[jobID] = j
	return nil
}

// become makes a transition, which nobody has answered yet.
func (p *plainWorker) become(jobID uint64, to JobState) error {
	j := p.jobs[jobID]
	if !slices.Contains(plainNext[j.State], to) {
		return &TransitionError{jobID, j.State, to}
	}
	j.State = to
	p.jobs[jobID], p.answered[jobID] = j, false
	return nil
}

func (p *plainWorker) announce() error {
	if !utf8.ValidString(p.id) {
		return ErrInvalidValue
	}
	if p.closed {
		return ErrWorkerNotReady
	}
	if p.ready {
		return ErrAlreadyAnnounced
	}
	p.ready = true
	p.send(BootstrapReady{p.id})
	return nil
}

func (p *plainWorker) fail(reason string) error {
	if !utf8.ValidString(p.id) || !utf8.ValidString(reason) {
		return ErrInvalidValue
	}
	if p.closed {
		return ErrWorkerNotReady
	}
	return p.close(BootstrapFailed{p.id, reason})
}

func (p *plainWorker) start(jobID uint64) error {
	if err := p.unready(jobID); err != nil {
		return err
	}
	if err := p.become(jobID, StateRunning); err != nil {
		return err
	}
	return p.say(jobID, StatusSnapshot{JobID: jobID, State: StateRunning})
}

func (p *plainWorker) report(jobID uint64, detail string) error {
	if !utf8.ValidString(detail) {
		return ErrInvalidValue
	}
	if err := p.unready(jobID); err != nil {
		return err
	}
	state := p.jobs[jobID].State
	if state != StateQueued && state != StateRunning {
		return &JobError{ErrInvalidStatusSnapshotState, jobID, state}
	}
	return p.say(jobID, StatusSnapshot{jobID, state, &detail})
}

func (p *plainWorker) complete(jobID uint64, outcome Outcome) error {
	op := JobCompleted{jobID, outcome}
	if !plainSendable(Envelope{Op: op}) {
		return ErrInvalidValue
	}
	if !p.ready {
		return ErrWorkerNotReady
	}
	if ok, is := outcome.(OutcomeOk); is && len(ok.Payload) > 262144 {
		return &PayloadError{len(ok.Payload), 262144}
	}
	if err := p.unready(jobID); err != nil {
		return err
	}
	state := p.jobs[jobID].State
	early := state == StateQueued || state == StateRunning || state == StateCancelRequested && !p.answered[jobID]
	if !early {
		return &JobError{ErrUnexpectedCompletionPhase, jobID, state}
	}
	p.send(op)
	p.forget(jobID)
	return nil
}

func (p *plainWorker) answer(jobID uint64, phase, next JobState, op Op) error {
	if err := p.unready(jobID); err != nil {
		return err
	}
	if state := p.jobs[jobID].State; state != phase || p.answered[jobID] {
		return &TransitionError{jobID, state, next}
	}
	p.answered[jobID] = true
	return p.say(jobID, op)
}

func (p *plainWorker) completeFinalize(jobID uint64) error {
	if err := p.answer(jobID, StateFinalizing, StateCompleted, FinalizeCompleted{jobID}); err != nil {
		return err
	}
	p.forget(jobID)
	return nil
}

func (p *plainWorker) diagnose(d Diagnostic) error {
	if !plainSendable(Envelope{Op: d}) {
		return ErrInvalidValue
	}
	if !p.ready {
		return ErrWorkerNotReady
	}
	p.send(d)
	return nil
}

func (p *plainWorker) completeShutdown() error {
	if !p.ready {
		return ErrWorkerNotReady
	}
	return p.close(ShutdownCompleted{})
}

func (p *plainWorker) inbound(e Envelope) (refusal, answer error) {
	if err := plainVerdict(e); err != nil {
		return err, nil
	}
	if p.closed {
		return nil, nil
	}
	if !fromCoordinator(e.Op) {
		return &DirectionError{e.Op.Type()}, nil
	}
	if e.SeqNo <= p.highest {
		return &SequenceError{p.highest, e.SeqNo}, nil
	}
	p.highest = e.SeqNo
	return nil, p.operation(e.Op)
}

func (p *plainWorker) operation(op Op) error {
	next := func(jobID uint64, phase JobState) error {
		j, tracked := p.jobs[jobID]
		if !tracked {
			return &JobError{Kind: ErrUnknownJobID, JobID: jobID}
		}
		if !p.answered[jobID] {
			return &TransitionError{jobID, j.State, phase}
		}
		return p.become(jobID, phase)
	}
	switch op := op.(type) {
	case SpawnJob:
		if _, tracked := p.jobs[op.JobID]; tracked {
			return &JobError{Kind: ErrDuplicateJobID, JobID: op.JobID}
		}
		p.jobs[op.JobID] = TrackedJob{JobID: op.JobID, RegionID: op.RegionID, State: StateQueued}
	case PollStatus:
		if state := p.jobs[op.JobID].State; p.ready && (state == StateQueued || state == StateRunning) {
			return p.say(op.JobID, StatusSnapshot{JobID: op.JobID, State: state})
		}
	case CancelJob:
		if _, tracked := p.jobs[op.JobID]; tracked {
			return p.become(op.JobID, StateCancelRequested)
		}
	case DrainJob:
		return next(op.JobID, StateDraining)
	case FinalizeJob:
		return next(op.JobID, StateFinalizing)
	case ShutdownWorker:
		p.shutdown = true
	}
	return nil
}

// A workerTrial is to the worker what a coordinatorTrial is to the coordinator.
type workerTrial struct {
	model   *plainWorker
	three   [3]*Worker
	witness *Worker
}

func TestWorkerDoesWhatSection10Says(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := anyNumber.Draw(t, "seed")
		id := rapid.SampledFrom([]string{"worker", "worker", "\n\U0001f600", "", "\xff"}).Draw(t, "id")
		fresh := func() *Worker { return NewWorker(id, seed) }
		s := &workerTrial{newPlainWorker(id, seed), [3]*Worker{fresh(), fresh(), fresh()}, fresh()}
		s.repeat(t)
	})
}

func (s *workerTrial) repeat(t *rapid.T) {
	calls := map[string]func(*rapid.T){
		"":           s.compare,
		"go on 1":    s.goOn,
		"go on 2":    s.goOn,
		"go on 3":    s.goOn,
		"go on 4":    s.goOn,
		"announce":   s.announce,
		"fail":       seldom(seldom(s.fail, s.goOn), s.goOn),
		"shutdown":   seldom(seldom(s.completeShutdown, s.goOn), s.goOn),
		"start":      s.start,
		"report":     s.report,
		"complete":   s.complete,
		"answer":     s.answer,
		"diagnose":   s.diagnose,
		"turn":       s.advanceTurn,
		"drain":      s.drain,
		"spawn":      s.spawn,
		"unfitting":  s.unfitting,
		"stray":      s.stray,
		"damaged":    s.damaged,
		"unwritable": s.unwritable,
	}
	for range 3 {
		t.Repeat(calls)
	}
}

func (s *workerTrial) call(t *rapid.T, want error, call func(*Worker) error) {
	for _, w := range s.three {
		require.Equal(t, describeError(want), describeError(call(w)))
	}
	if want == nil {
		require.NoError(t, call(s.witness))
	}
}

func (s *workerTrial) announce(t *rapid.T) { s.call(t, s.model.announce(), (*Worker).Announce) }

func (s *workerTrial) fail(t *rapid.T) {
	reason := fewTexts.Draw(t, "reason")
	s.call(t, s.model.fail(reason), func(w *Worker) error { return w.Fail(reason) })
}

func (s *workerTrial) completeShutdown(t *rapid.T) {
	s.call(t, s.model.completeShutdown(), (*Worker).CompleteShutdown)
}

func (s *workerTrial) start(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
	s.call(t, s.model.start(id), func(w *Worker) error { return w.Start(id) })
}

func (s *workerTrial) report(t *rapid.T) {
	id, detail := fewJobs.Draw(t, "job id"), fewTexts.Draw(t, "detail")
	s.call(t, s.model.report(id, detail), func(w *Worker) error { return w.Report(id, detail) })
}

func (s *workerTrial) complete(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
	outcome := rapid.SampledFrom([]Outcome{
		OutcomeOk{}, OutcomeOk{[]byte{1, 2}}, OutcomeOk{tooLarge}, OutcomeErr{"code", "message"}, OutcomeCancelled{"reason"}, OutcomePanicked{"message"},
		nil, &OutcomeOk{}, OutcomeErr{Code: "\xff"}, OutcomeErr{Message: "\xff"}, OutcomeCancelled{"\xff"}, OutcomePanicked{"\xff"},
	}).Draw(t, "outcome")
	s.call(t, s.model.complete(id, outcome), func(w *Worker) error { return w.Complete(id, outcome) })
}

func (s *workerTrial) answer(t *rapid.T) {
	phases := rapid.SampledFrom([]JobState{StateCancelRequested, StateDraining, StateFinalizing})
	s.answerPhase(t, fewJobs.Draw(t, "job id"), phases.Draw(t, "phase"))
}

func (s *workerTrial) answerPhase(t *rapid.T, id uint64, phase JobState) {
	switch phase {
	case StateCancelRequested:
		s.call(t, s.model.answer(id, StateCancelRequested, StateDraining, CancelAcknowledged{id}), func(w *Worker) error { return w.AcknowledgeCancel(id) })
	case StateDraining:
		s.call(t, s.model.answer(id, StateDraining, StateFinalizing, DrainCompleted{id}), func(w *Worker) error { return w.CompleteDrain(id) })
	case StateFinalizing:
		s.call(t, s.model.completeFinalize(id), func(w *Worker) error { return w.CompleteFinalize(id) })
	}
}

func (s *workerTrial) diagnose(t *rapid.T) {
	d := Diagnostic{Level(rapid.IntRange(0, 3).Draw(t, "level")), fewTexts.Draw(t, "category"), fewTexts.Draw(t, "message"), anyDetail.Draw(t, "metadata")}
	s.call(t, s.model.diagnose(d), func(w *Worker) error { return w.Diagnose(d) })
}

func (s *workerTrial) advanceTurn(t *rapid.T) {
	s.model.turn++
	s.call(t, nil, func(w *Worker) error { w.AdvanceTurn(); return nil })
}

func (s *workerTrial) drain(t *rapid.T) {
	n := rapid.IntRange(1, 3).Draw(t, "envelopes")
	want := s.model.outbox[:min(n, len(s.model.outbox))]
	s.model.outbox = s.model.outbox[len(want):]
	s.call(t, nil, func(w *Worker) error {
		require.Equal(t, strings.Join(want, "\n"), drainTexts(t, n, w.DrainOutbox))
		return nil
	})
}

func (s *workerTrial) spawn(t *rapid.T) {
	s.deliver(t, s.model.highest+1, nil, SpawnJob{fewJobs.Draw(t, "job id"), anyNumber.Draw(t, "region"), 2, 3, payloads.Draw(t, "payload")})
}

// goOn takes the next step in the life of a worker and its jobs.
func (s *workerTrial) goOn(t *rapid.T) {
	p := s.model
	switch {
	case !p.ready:
		s.announce(t)
		return
	case len(p.jobs) == 0:
		s.spawn(t)
		return
	}
	job := rapid.SampledFrom(p.all()).Draw(t, "job")
	if next, ok := map[JobState]Op{
		StateQueued:          CancelJob{job.JobID, "why"},
		StateRunning:         CancelJob{job.JobID, "why"},
		StateCancelRequested: DrainJob{job.JobID},
		StateDraining:        FinalizeJob{job.JobID},
	}[job.State]; ok && (p.answered[job.JobID] || job.State == StateQueued || job.State == StateRunning) {
		s.deliver(t, p.highest+1, nil, next)
		return
	}
	s.answerPhase(t, job.JobID, job.State)
}

// unfitting delivers anything that the coordinator could say about any job.
func (s *workerTrial) unfitting(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
	op := rapid.SampledFrom([]Op{PollStatus{id}, CancelJob{id, "why"}, DrainJob{id}, FinalizeJob{id}, ShutdownWorker{"why"}}).Draw(t, "op")
	s.deliver(t, s.model.highest+1, nil, op)
}

// stray delivers anything from anyone, sealed.
func (s *workerTrial) stray(t *rapid.T) {
	seq := rapid.SampledFrom([]uint64{s.model.highest + 1, s.model.highest + 3, s.model.highest, 1, 0}).Draw(t, "seq no")
	s.deliver(t, seq, rapid.SampledFrom([]*string{nil, ptr("worker"), ptr("")}).Draw(t, "sender"), drawOp(t, fewJobs, payloads))
}

// damaged delivers what would be fresh but for some damage.
func (s *workerTrial) damaged(t *rapid.T) {
	op := drawOp(t, fewJobs, smallPayload)
	s.handOver(t, drawDamage(t, plainSeal(Envelope{Version: 1, Header: Header{SeqNo: s.model.highest + 1}, Op: op})))
}

func (s *workerTrial) unwritable(t *rapid.T) {
	s.handOver(t, drawUnwritable(t, nil, s.model.highest+1))
}

func (s *workerTrial) deliver(t *rapid.T, seq uint64, sender *string, op Op) {
	s.handOver(t, plainSeal(Envelope{Version: 1, Header: Header{SeqNo: seq, DecisionSeq: seq}, WorkerID: sender, Op: op}))
}

func (s *workerTrial) handOver(t *rapid.T, env Envelope) {
	refusal, answer := s.model.inbound(env)
	handOver(t, s.three, s.witness, env, refusal, answer)
}

func (s *workerTrial) compare(t *rapid.T) {
	for i, w := range s.three {
		require.True(t, reflect.DeepEqual(s.witness, w), "%d differs from one that never saw what was refused", i)
	}
	p, w := s.model, s.witness
	require.Equal(t, p.id, w.ID())
	require.Equal(t, p.seed, w.Seed())
	require.Equal(t, p.turn, w.Turn())
	require.Equal(t, p.ready, w.Ready())
	require.Equal(t, p.closed, w.Closed())
	require.Equal(t, p.shutdown, w.ShutdownRequested())
	require.Equal(t, len(p.jobs), w.InflightCount())
	require.Equal(t, p.all(), slices.Collect(w.Jobs()))
	for _, id := range []uint64{0, 1, 2, 3, math.MaxUint64} {
		want, tracked := p.jobs[id]
		job, ok := w.Job(id)
		require.Equal(t, tracked, ok)
		require.Equal(t, want, job)
		state, ok := w.JobState(id)
		require.Equal(t, tracked, ok)
		require.Equal(t, want.State, state)
	}
	require.Equal(t, len(p.outbox), w.OutboxLen())
	ahead := cloneWorker(w)
	require.Equal(t, strings.Join(p.outbox, "\n"), drainTexts(t, math.MaxInt, ahead.DrainOutbox))
}

// Both together.

// A pairing joins a coordinator and a worker by ordered lossless channels of bytes.
type pairing struct {
	host             *Coordinator
	worker           *Worker
	workers          int // how many there have been
	toHost, toWorker [][]byte
	unsettled        map[uint64]bool // the jobs of which the host has not heard that they ended
	sent             []string
}

func newLink() *pairing {
	l := &pairing{host: NewCoordinator(7), unsettled: map[uint64]bool{}}
	l.replaceWorker()
	return l
}

// replaceWorker: the worker dies, and another comes with channels of its own.
func (l *pairing) replaceWorker() {
	l.host.WorkerLost()
	l.workers++
	l.worker = NewWorker(fmt.Sprint("worker ", l.workers), 7)
	l.toHost, l.toWorker = nil, nil
}

// settle notes that the host has heard of the end of a job.
func (l *pairing) settle(t *rapid.T, jobID uint64, state JobState) {
	require.Contains(t, l.unsettled, jobID, "a job ends once")
	require.Contains(t, []JobState{StateCompleted, StateFailed}, state)
	delete(l.unsettled, jobID)
}

// send takes up to n messages from an outbox to its channel.
func (l *pairing) send(t *rapid.T, n int, drain func() (Envelope, bool), channel *[][]byte) {
	for range n {
		env, ok := drain()
		if !ok {
			return
		}
		text, err := env.AppendJSON(nil)
		require.NoError(t, err)
		*channel = append(*channel, text)
		l.sent = append(l.sent, string(text))
	}
}

func (l *pairing) receiveByHost(t *rapid.T, n int) {
	for range min(n, len(l.toHost)) {
		env, err := l.host.Receive(l.toHost[0])
		if _, failed := env.Op.(BootstrapFailed); failed {
			require.ErrorIs(t, err, ErrBootstrapFailed)
		} else {
			require.NoError(t, err, "%s", l.toHost[0])
		}
		l.toHost = l.toHost[1:]
	}
}

func (l *pairing) receiveByWorker(t *rapid.T, n int) {
	for range min(n, len(l.toWorker)) {
		_, err := l.worker.Receive(l.toWorker[0])
		require.NoError(t, err, "%s", l.toWorker[0])
		l.toWorker = l.toWorker[1:]
	}
}

// A linkCall is one call of either application or of the transport between them. That the call is
// refused is nobody's fault; that a message is, would be.
type linkCall func(t *rapid.T, l *pairing)

// linkCalls draw the arguments of each call.
var linkCalls = map[string]func(t *rapid.T) linkCall{
	"host spawns": func(t *rapid.T) linkCall {
		id, payload := linkJobs.Draw(t, "job id"), smallPayload.Draw(t, "payload")
		return func(t *rapid.T, l *pairing) {
			if l.host.SpawnJob(SpawnJob{JobID: id, Payload: payload}) == nil {
				require.NotContains(t, l.unsettled, id)
				l.unsettled[id] = true
			}
		}
	},
	"host cancels": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.host.CancelJob(id, "why") }
	},
	"host polls": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.host.PollStatus(id) }
	},
	"host removes": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(t *rapid.T, l *pairing) {
			if state, err := l.host.RemoveJob(id); err == nil {
				l.settle(t, id, state)
			}
		}
	},
	"host reaps": func(t *rapid.T) linkCall {
		return func(t *rapid.T, l *pairing) {
			for _, j := range l.host.Reap() {
				l.settle(t, j.JobID, j.State)
			}
		}
	},
	"turns": func(t *rapid.T) linkCall {
		return func(_ *rapid.T, l *pairing) { l.host.AdvanceTurn(); l.worker.AdvanceTurn() }
	},
	"worker announces": func(t *rapid.T) linkCall {
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Announce() }
	},
	"worker starts": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Start(id) }
	},
	"worker reports": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Report(id, "half") }
	},
	"worker completes": func(t *rapid.T) linkCall {
		id, outcome := linkJobs.Draw(t, "job id"), drawOutcome(t, smallPayload)
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Complete(id, outcome) }
	},
	"worker answers": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { l.answer(id) }
	},
	"worker diagnoses": func(t *rapid.T) linkCall {
		message := anyText.Draw(t, "message")
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Diagnose(Diagnostic{Message: message}) }
	},
	"session ends, seldom": func(t *rapid.T) linkCall {
		switch rapid.IntRange(0, 20).Draw(t, "how") {
		case 17:
			return func(_ *rapid.T, l *pairing) { _ = l.host.RequestShutdown("why") }
		case 18:
			return func(_ *rapid.T, l *pairing) { _ = l.worker.Fail("why") }
		case 19:
			return func(_ *rapid.T, l *pairing) { _ = l.worker.CompleteShutdown() }
		case 16:
			return func(_ *rapid.T, l *pairing) { l.replaceWorker() }
		}
		return func(t *rapid.T, l *pairing) { l.carry(t) }
	},
	"host sends": func(t *rapid.T) linkCall {
		n := rapid.IntRange(1, 3).Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.send(t, n, l.host.DrainOutbox, &l.toWorker) }
	},
	"worker sends": func(t *rapid.T) linkCall {
		n := rapid.IntRange(1, 3).Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.send(t, n, l.worker.DrainOutbox, &l.toHost) }
	},
	"host receives": func(t *rapid.T) linkCall {
		n := rapid.IntRange(1, 3).Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.receiveByHost(t, n) }
	},
	"worker receives": func(t *rapid.T) linkCall {
		n := rapid.IntRange(1, 3).Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.receiveByWorker(t, n) }
	},
	"all is carried and worked at": func(t *rapid.T) linkCall {
		return func(t *rapid.T, l *pairing) { l.carry(t); l.work(t) }
	},
}

var linkJobs = rapid.Uint64Range(1, 3)

// answer answers whatever phase of its cancellation a job is in.
func (l *pairing) answer(jobID uint64) error {
	switch state, _ := l.worker.JobState(jobID); state {
	case StateDraining:
		return l.worker.CompleteDrain(jobID)
	case StateFinalizing:
		return l.worker.CompleteFinalize(jobID)
	default:
		return l.worker.AcknowledgeCancel(jobID)
	}
}

// carry takes everything that waits to where it belongs, and tells whether there was anything.
func (l *pairing) carry(t *rapid.T) bool {
	l.send(t, math.MaxInt, l.host.DrainOutbox, &l.toWorker)
	l.send(t, math.MaxInt, l.worker.DrainOutbox, &l.toHost)
	something := len(l.toWorker)+len(l.toHost) > 0
	l.receiveByWorker(t, math.MaxInt)
	l.receiveByHost(t, math.MaxInt)
	return something
}

// work is the part of the worker, as long as there is any.
func (l *pairing) work(t *rapid.T) bool {
	switch {
	case l.worker.Closed():
		return false
	case !l.worker.Ready():
		return l.worker.Announce() == nil
	case l.worker.ShutdownRequested():
		return l.worker.CompleteShutdown() == nil
	}
	worked := false
	for j := range l.worker.Jobs() {
		switch j.State {
		case StateQueued:
			worked = l.worker.Start(j.JobID) == nil || worked
		case StateRunning:
			worked = l.worker.Complete(j.JobID, OutcomeOk{}) == nil || worked
		default:
			worked = l.answer(j.JobID) == nil || worked
		}
	}
	return worked
}

// drawSession lets both applications and the transport do anything in any order.
func drawSession(t *rapid.T) (*pairing, []linkCall) {
	l := newLink()
	var session []linkCall
	calls := map[string]func(*rapid.T){}
	for name, draw := range linkCalls {
		calls[name] = func(t *rapid.T) {
			call := draw(t)
			call(t, l)
			session = append(session, call)
		}
	}
	for range 6 {
		t.Repeat(calls)
	}
	return l, session
}

func TestNeitherSideRefusesTheOtherAndEveryJobEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, _ := drawSession(t)
		for rounds := 0; l.carry(t) || l.work(t); rounds++ {
			require.Less(t, rounds, 100, "it must come to an end")
		}
		require.Zero(t, l.host.InflightCount())
		require.Zero(t, l.worker.InflightCount())
		for _, j := range l.host.Reap() {
			l.settle(t, j.JobID, j.State)
		}
		require.Empty(t, l.unsettled)
	})
}

func TestSameCallsGiveSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, session := drawSession(t)
		second := newLink()
		for _, call := range session {
			call(t, second)
		}
		require.Equal(t, first.sent, second.sent)
		require.True(t, reflect.DeepEqual(first, second))
	})
}

// A treeObject is a JSON object as it stands in the text: in order, with all that is given twice.
type treeObject []treeMember

type treeMember struct {
	name  string
	value any // treeObject, []any, string, json.Number, bool or nil
}

// parseTree reads any JSON text.
func parseTree(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return nextTree(d)
}

func nextTree(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		o := treeObject{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			value, err := nextTree(d)
			if err != nil {
				return nil, err
			}
			o = append(o, treeMember{name.(string), value})
		}
		_, err = d.Token()
		return o, err
	case json.Delim('['):
		array := []any{}
		for d.More() {
			value, err := nextTree(d)
			if err != nil {
				return nil, err
			}
			array = append(array, value)
		}
		_, err = d.Token()
		return array, err
	}
	return token, nil
}
