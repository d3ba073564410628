package workerchannel

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Arbitrary input. In `go test` the seeds alone run: the conformance data. To search further, run
// go test -fuzz with one of the targets (and -fuzzminimizetime 20x, for their inputs are long).

// A slowReader reads an envelope as section 3 says, but by way of encoding/json, which checks the
// grammar; what is stricter than encoding/json is spelled out here.
type slowReader struct {
	bad      bool // no envelope
	tooLarge bool // a payload is over the limit
}

func (s *slowReader) envelope(text []byte) (env Envelope) {
	if s.bad = !json.Valid(text) || !utf8.Valid(text) || hasUnpairedSurrogate(text); s.bad {
		return env
	}
	tree, err := parseTree(text)
	s.bad = err != nil || depth(tree) > 127
	m := s.members(tree, "version", "message_id", "seq_no", "decision_seq", "seed", "issued_at_turn", "worker_id", "replay_hash", "op")
	return Envelope{
		uint32(s.number(m["version"], math.MaxUint32)),
		Header{s.u64(m["message_id"]), s.u64(m["seq_no"]), s.u64(m["decision_seq"]), s.u64(m["seed"]), s.u64(m["issued_at_turn"])},
		s.optional(m["worker_id"]),
		s.u64(m["replay_hash"]),
		s.op(m["op"]),
	}
}

func (s *slowReader) op(v any) Op {
	switch typ := s.text(s.members(v, "type")["type"]); typ {
	case "BootstrapReady":
		m := s.members(v, "type", "worker_id")
		return BootstrapReady{s.text(m["worker_id"])}
	case "BootstrapFailed":
		m := s.members(v, "type", "worker_id", "reason")
		return BootstrapFailed{s.text(m["worker_id"]), s.text(m["reason"])}
	case "SpawnJob":
		m := s.members(v, "type", "job_id", "region_id", "task_id", "obligation_id", "payload")
		return SpawnJob{s.u64(m["job_id"]), s.u64(m["region_id"]), s.u64(m["task_id"]), s.u64(m["obligation_id"]), s.payload(m["payload"])}
	case "StatusSnapshot":
		m := s.members(v, "type", "job_id", "state", "detail")
		return StatusSnapshot{s.u64(m["job_id"]), JobState(s.oneOf(m["state"], plainStates...)), s.optional(m["detail"])}
	case "JobCompleted":
		m := s.members(v, "type", "job_id", "outcome")
		return JobCompleted{s.u64(m["job_id"]), s.outcome(m["outcome"])}
	case "CancelJob":
		m := s.members(v, "type", "job_id", "reason")
		return CancelJob{s.u64(m["job_id"]), s.text(m["reason"])}
	case "ShutdownWorker":
		m := s.members(v, "type", "reason")
		return ShutdownWorker{s.text(m["reason"])}
	case "ShutdownCompleted":
		return ShutdownCompleted{}
	case "Diagnostic":
		m := s.members(v, "type", "level", "category", "message", "metadata")
		return Diagnostic{Level(s.oneOf(m["level"], "Info", "Warn", "Error")), s.text(m["category"]), s.text(m["message"]), s.optional(m["metadata"])}
	case "PollStatus", "CancelAcknowledged", "DrainJob", "DrainCompleted", "FinalizeJob", "FinalizeCompleted":
		id := s.u64(s.members(v, "type", "job_id")["job_id"])
		return map[string]Op{
			"PollStatus": PollStatus{id}, "CancelAcknowledged": CancelAcknowledged{id}, "DrainJob": DrainJob{id},
			"DrainCompleted": DrainCompleted{id}, "FinalizeJob": FinalizeJob{id}, "FinalizeCompleted": FinalizeCompleted{id},
		}[typ]
	}
	s.bad = true
	return nil
}

func (s *slowReader) outcome(v any) Outcome {
	switch s.text(s.members(v, "status")["status"]) {
	case "Ok":
		return OutcomeOk{s.payload(s.members(v, "status", "payload")["payload"])}
	case "Err":
		m := s.members(v, "status", "code", "message")
		return OutcomeErr{s.text(m["code"]), s.text(m["message"])}
	case "Cancelled":
		return OutcomeCancelled{s.text(s.members(v, "status", "reason")["reason"])}
	case "Panicked":
		return OutcomePanicked{s.text(s.members(v, "status", "message")["message"])}
	}
	s.bad = true
	return nil
}

// members returns the known members of an object, of which none may be given twice.
func (s *slowReader) members(v any, known ...string) map[string]any {
	o, ok := v.(treeObject)
	s.bad = s.bad || !ok
	members := map[string]any{}
	for _, m := range o {
		if !slices.Contains(known, m.name) {
			continue
		}
		_, twice := members[m.name]
		s.bad = s.bad || twice
		members[m.name] = m.value
	}
	return members
}

func (s *slowReader) text(v any) string {
	text, ok := v.(string)
	s.bad = s.bad || !ok
	return text
}

func (s *slowReader) optional(v any) *string {
	if v == nil {
		return nil
	}
	text := s.text(v)
	return &text
}

func (s *slowReader) oneOf(v any, names ...string) int {
	i := slices.Index(names, s.text(v))
	s.bad = s.bad || i < 0
	return i
}

func (s *slowReader) number(v any, limit uint64) uint64 {
	digits, ok := v.(json.Number)
	n, err := strconv.ParseUint(string(digits), 10, 64)
	s.bad = s.bad || !ok || err != nil || strconv.FormatUint(n, 10) != string(digits) || n > limit
	return n
}

func (s *slowReader) u64(v any) uint64 { return s.number(v, math.MaxUint64) }

func (s *slowReader) payload(v any) []byte {
	array, ok := v.([]any)
	s.bad = s.bad || !ok
	s.tooLarge = s.tooLarge || len(array) > 262144
	payload := []byte{}
	for _, element := range array {
		payload = append(payload, byte(s.number(element, 255)))
	}
	return payload
}

// surrogates finds pairs, halves, and the other escapes, so that none of them is taken for a part of another.
var surrogates = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.`)

func hasUnpairedSurrogate(text []byte) bool {
	return slices.ContainsFunc(surrogates.FindAll(text, -1), func(escape []byte) bool { return len(escape) == len(`\ud800`) })
}

func depth(tree any) (deepest int) {
	switch v := tree.(type) {
	case treeObject:
		for _, m := range v {
			deepest = max(deepest, depth(m.value))
		}
	case []any:
		for _, element := range v {
			deepest = max(deepest, depth(element))
		}
	default:
		return 0
	}
	return deepest + 1
}

// checkReading compares what this package reads with what the slow reader reads.
func checkReading(t *testing.T, text []byte) {
	var slow slowReader
	want := slow.envelope(text)
	buffer := slices.Clone(text)
	var env Envelope
	err := env.UnmarshalJSON(buffer)
	parsed, verdict := ParseEnvelope(buffer)
	clear(buffer)

	if slow.bad || slow.tooLarge {
		require.Zero(t, env)
		require.Zero(t, parsed)
		require.Equal(t, err, verdict)
		e := new(ParseError)
		require.ErrorAs(t, err, &e)
		require.GreaterOrEqual(t, e.Offset, 0)
		require.LessOrEqual(t, e.Offset, len(text))
		if !slow.bad {
			require.ErrorIs(t, err, ErrPayloadTooLarge)
		} else if !errors.Is(err, ErrPayloadTooLarge) { // which may have come first
			require.ErrorIs(t, err, ErrMalformed)
		}
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, env)
	wantVerdict := describeError(plainVerdict(want))
	require.Equal(t, wantVerdict, describeError(verdict))
	require.Equal(t, wantVerdict, describeError(env.Validate()))
	if verdict == nil {
		require.Equal(t, want, parsed)
	}

	canonical, err := env.AppendJSON(nil)
	require.NoError(t, err)
	require.Equal(t, plainWire(want), string(canonical))
	var again Envelope
	require.NoError(t, again.UnmarshalJSON(canonical))
	require.Equal(t, want, again)
	_, err = Verify(canonical)
	require.Equal(t, wantVerdict, describeError(err))
}

func FuzzParseEnvelope(f *testing.F) {
	for _, line := range lines(f, "testdata/envelopes.jsonl") {
		f.Add([]byte(field(f, line, "wire")))
	}
	for _, line := range lines(f, "testdata/documents.jsonl") {
		text, err := hex.DecodeString(field(f, line, "hex"))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(checkReading)
}

// Every value of a message in every form that is almost right.
func TestReadingAgreesWithTheSlowReaderOnEveryDeviation(t *testing.T) {
	t.Parallel()
	forms := []rawText{
		`0`, `9`, `-0`, `-1`, `+1`, `01`, `00`, `1.0`, `1.`, `.5`, `1e0`, `1E+2`, `0x1`, `1_0`, ` 1`, `255`, `256`, `4294967295`, `4294967296`, `18446744073709551615`, `18446744073709551616`,
		`184467440737095516150`, `99999999999999999999999999`, `NaN`, `null`, `nul`, `true`, `false`, `True`, ``, `{}`, `[]`, `[1]`, `[1,]`, `[,1]`, `[1 2]`, `[-1]`, `[256]`, `[01]`, `[1.0]`, `["1"]`, `[[1]]`, `[null]`, `[1`,
		`""`, `"1"`, `" "`, `"a`, `"\u0061"`, `"\uD83D\uDE00"`, `"\ud800"`, `"\udc00"`, `"\ud800\u0041"`, `"\ud800\ud800"`, `"\udc00\ud800"`, `"\ud800x\udc00"`, `"\\\ud800"`, `"\\ud800"`, `"\ufffd"`, `"\u12"`, `"\u12g4"`, `"\U0041"`,
		`"\x41"`, `"\'"`, `"\`, `"\u`, `"\/"`, "\"\x00\"", "\"\t\"", "\"\x7f\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x80\"", "\"\u2028\"", `'a'`,
		`"Running"`, `"running"`, `"Runn\u0069ng"`, `"Completed"`, `"Info"`, `"info"`, `"Ok"`, `"PollStatus"`, `{"Running":null}`, `{"status":"Ok","payload":[1]}`, `{"status":"Err"}`, `{"type":"ShutdownCompleted"}`,
		`1,"type":"PollStatus"`, `1,"worker_id":null`, `1,"version":1`, `1,"job_id":1`, `1,"detail":null,"detail":null`, `1,"x":1,"x":"\ud800"`, `1,"x":01`, `1,"x":[1,{"y":-1.5e-7}]`, `1,"\u0078":tru`, `1,`, `1,"x"`, `1,"x":`, `1,1:1`, `1}`,
	}
	w := newRewriter(0, 0, 0) // which changes nothing
	for i, env := range oneOfEach() {
		tree, err := parseTree([]byte(plainWire(env)))
		require.NoError(t, err)
		places := tree.(treeObject)
		if i > 0 { // the others differ in the operation only
			places = places[len(places)-1:]
		}
		eachPlace(places, func(m *treeMember) {
			was := *m
			for _, form := range forms {
				m.value = form
				checkReading(t, w.value(nil, tree, 0))
			}
			m.value = was.value
			for _, name := range []string{"", "x", strings.ToUpper(was.name), was.name + "_", was.name[1:], "type", "worker_id", "detail"} {
				m.name = name
				checkReading(t, w.value(nil, tree, 0))
			}
			m.name = was.name
		})
	}
}

// oneOfEach returns an envelope of each operation and each outcome.
func oneOfEach() (envs []Envelope) {
	for _, op := range []Op{
		BootstrapReady{"w"}, BootstrapFailed{"w", "why"}, SpawnJob{1, 2, 3, 4, []byte{5, 6}}, PollStatus{1}, StatusSnapshot{1, StateRunning, ptr("half")},
		JobCompleted{1, OutcomeOk{[]byte{7}}}, JobCompleted{1, OutcomeErr{"code", "message"}}, JobCompleted{1, OutcomeCancelled{"why"}}, JobCompleted{1, OutcomePanicked{"message"}},
		CancelJob{1, "why"}, CancelAcknowledged{1}, DrainJob{1}, DrainCompleted{1}, FinalizeJob{1}, FinalizeCompleted{1}, ShutdownWorker{"why"}, ShutdownCompleted{},
		Diagnostic{LevelWarn, "category", "message", ptr("more")},
	} {
		env := Envelope{Version: 1, Header: Header{1, 2, 3, 4, 5}, Op: op}
		if !fromCoordinator(op) {
			env.WorkerID = ptr("w")
		}
		envs = append(envs, plainSeal(env))
	}
	return envs
}

// eachPlace visits all members of an object, and of those within.
func eachPlace(o treeObject, visit func(*treeMember)) {
	for i := range o {
		if inner, ok := o[i].value.(treeObject); ok {
			eachPlace(inner, visit)
		}
		visit(&o[i])
	}
}

func TestReadingAgreesWithTheSlowReaderOnEverySlipOfTheKeyboard(t *testing.T) {
	t.Parallel()
	for _, env := range oneOfEach() {
		text := plainWire(env)
		for i := strings.Index(text, `"op"`); i < len(text); i++ {
			checkReading(t, []byte(text[:i]))
			checkReading(t, []byte(text[:i]+text[i+1:]))
			for _, typed := range []string{text[i : i+1], ",", `"`, "}", " ", "0", `\`} {
				checkReading(t, []byte(text[:i]+typed+text[i:]))
			}
		}
	}
}

// What the fuzzer would hardly come upon: the limits, and texts too long for it.
func TestReadingAgreesWithTheSlowReaderAtTheLimits(t *testing.T) {
	t.Parallel()
	const head = `{"version":1,"message_id":1,"seq_no":1,"decision_seq":1,"seed":1,"issued_at_turn":1,"replay_hash":1,`
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	objects := func(depth int) string { return strings.Repeat(`{"":`, depth) + "0" + strings.Repeat("}", depth) }
	payload := func(n int) string {
		return head + `"op":{"type":"SpawnJob","job_id":1,"region_id":1,"task_id":1,"obligation_id":1,"payload":[` + strings.Repeat("7,", n-1) + `7]}}`
	}
	for name, text := range map[string]string{
		"arrays as deep as may be":       head + `"op":{"type":"ShutdownCompleted"},"x":` + nested(126) + `}`,
		"arrays too deep":                head + `"op":{"type":"ShutdownCompleted"},"x":` + nested(127) + `}`,
		"objects as deep as may be":      head + `"op":{"type":"ShutdownCompleted"},"x":` + objects(126) + `}`,
		"objects too deep":               head + `"op":{"type":"ShutdownCompleted"},"x":` + objects(127) + `}`,
		"deep in the operation":          head + `"op":{"x":` + nested(125) + `,"type":"ShutdownCompleted"}}`,
		"too deep in the operation":      head + `"op":{"x":` + nested(126) + `,"type":"ShutdownCompleted"}}`,
		"deep in the outcome":            head + `"op":{"type":"JobCompleted","job_id":1,"outcome":{"x":` + nested(124) + `,"status":"Ok","payload":[]}}}`,
		"too deep in the outcome":        head + `"op":{"type":"JobCompleted","job_id":1,"outcome":{"x":` + nested(125) + `,"status":"Ok","payload":[]}}}`,
		"very deep":                      head + `"x":` + strings.Repeat("[", 1<<20),
		"a payload too large":            payload(MaxPayloadBytes + 1),
		"a payload too large, and worse": payload(MaxPayloadBytes+1) + "x",
		"an ignored array of any size":   head + `"payload":[` + strings.Repeat("7,", MaxPayloadBytes) + `7],"op":{"type":"ShutdownCompleted"}}`,
	} {
		t.Run(name, func(t *testing.T) { checkReading(t, []byte(text)) })
	}
}

func TestReadingTakesMemoryInProportion(t *testing.T) {
	const head = `{"version":1,"message_id":1,"seq_no":1,"decision_seq":1,"seed":1,"issued_at_turn":1,"replay_hash":1,`
	const spawn = head + `"op":{"type":"SpawnJob","job_id":1,"region_id":1,"task_id":1,"obligation_id":1,"payload":[`
	const many = 1 << 16
	for name, text := range map[string]string{
		"nothing but arrays":         strings.Repeat("[", many),
		"deep arrays":                head + `"x":` + strings.Repeat("[", many),
		"deep objects":               head + `"x":` + strings.Repeat(`{"x":`, many),
		"commas":                     spawn + strings.Repeat(",", many),
		"a payload of small numbers": spawn + strings.Repeat("0,", many-1) + `0]}}`,
		"a payload too large":        spawn + strings.Repeat("0,", 2*MaxPayloadBytes) + `0]}}`,
		"a payload without end":      spawn + strings.Repeat("0,", many/2),
		"a long text":                head + `"worker_id":"` + strings.Repeat("x", many) + `"}`,
		"long escapes":               head + `"worker_id":"` + strings.Repeat(`\u0041`, many) + `"}`,
		"short escapes":              head + `"worker_id":"` + strings.Repeat(`\n`, many) + `"}`,
		"surrogates":                 head + `"worker_id":"` + strings.Repeat(`\ud83d\ude00`, many) + `"}`,
		"text without end":           head + `"worker_id":"` + strings.Repeat(`\\`, many),
		"a long name":                head + `"` + strings.Repeat(`\u0041`, many) + `":0}`,
		"many names":                 head + strings.Repeat(`"\u0041":0,`, many) + `"op":{}}`,
		"many names before the type": head + `"op":{` + strings.Repeat(`"\n":0,`, many) + `"type":"ShutdownCompleted"}}`,
		"many names in the outcome":  head + `"op":{"type":"JobCompleted","job_id":1,"outcome":{` + strings.Repeat(`"\n":0,`, many) + `"status":"Ok","payload":[]}}}`,
		"a long unknown type":        head + `"op":{"type":"` + strings.Repeat(`\u0041`, many) + `"}}`,
		"a long unknown state":       head + `"op":{"type":"StatusSnapshot","job_id":1,"state":"` + strings.Repeat("x", many) + `"}}`,
		"a long number":              head + `"op":{"type":"PollStatus","job_id":` + strings.Repeat("0", many) + `1}}`,
	} {
		data := []byte(text)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Verify(data)
		runtime.ReadMemStats(&after)
		require.Error(t, err, name)
		require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(6*len(data)+1<<13), name)
		require.Less(t, len(err.Error()), 400, name)
	}
}

// FuzzCoordinator plays a script to a coordinator and to a worker, line by line: a message, a message
// that is first sealed with the right digest (after a ~), or a call (a letter and a job id).
func FuzzCoordinator(f *testing.F) {
	for _, line := range lines(f, "testdata/sessions.jsonl") {
		var session struct {
			Steps []journalStep `json:"steps"`
		}
		require.NoError(f, json.Unmarshal(line, &session))
		var script, sealed []string
		for _, step := range session.Steps {
			switch {
			case step.Wire != nil:
				script, sealed = append(script, *step.Wire), append(sealed, "~"+*step.Wire)
			case scriptLetters[step.Call] != "":
				call := scriptLetters[step.Call] + strconv.FormatUint(step.JobID, 10)
				script, sealed = append(script, call), append(sealed, call)
			}
		}
		const most = 40 // or the fuzzer takes its time
		f.Add([]byte(strings.Join(script[:min(most, len(script))], "\n")))
		f.Add([]byte(strings.Join(sealed[:min(most, len(sealed))], "\n")))
	}
	f.Add([]byte("A\nS1\nB1\nR1\nK1\nQ\nA"))
	f.Fuzz(func(t *testing.T, script []byte) {
		p := newPlay(t)
		for _, line := range bytes.SplitN(script, []byte("\n"), 100) {
			p.line(line)
		}
	})
}

var scriptLetters = map[string]string{
	"spawn_job": "s", "cancel_job": "c", "poll_status": "p", "request_shutdown": "h", "worker_lost": "l",
	"remove_job": "r", "reap": "e", "advance_turn": "t", "drain_outbox": "d",
}

var hostCalls = map[byte]func(*Coordinator, uint64) error{
	's': func(c *Coordinator, id uint64) error {
		return c.SpawnJob(SpawnJob{JobID: id, RegionID: 7, Payload: []byte{1, 2}})
	},
	'c': func(c *Coordinator, id uint64) error { return c.CancelJob(id, "why") },
	'p': func(c *Coordinator, id uint64) error { return c.PollStatus(id) },
	'h': func(c *Coordinator, _ uint64) error { return c.RequestShutdown("why") },
	'l': func(c *Coordinator, _ uint64) error { c.WorkerLost(); return nil },
	'r': func(c *Coordinator, id uint64) error { _, err := c.RemoveJob(id); return err },
	'e': func(c *Coordinator, _ uint64) error { c.Reap(); return nil },
	't': func(c *Coordinator, _ uint64) error { c.AdvanceTurn(); return nil },
	'd': func(c *Coordinator, _ uint64) error {
		if env, ok := c.DrainOutbox(); ok {
			return env.Validate()
		}
		return nil
	},
}

var workerCalls = map[byte]func(*Worker, uint64) error{
	'A': func(w *Worker, _ uint64) error { return w.Announce() },
	'F': func(w *Worker, _ uint64) error { return w.Fail("why") },
	'S': func(w *Worker, id uint64) error { return w.Start(id) },
	'R': func(w *Worker, id uint64) error { return w.Report(id, "half") },
	'K': func(w *Worker, id uint64) error { return w.Complete(id, OutcomeOk{}) },
	'B': func(w *Worker, id uint64) error { return w.AcknowledgeCancel(id) },
	'D': func(w *Worker, id uint64) error { return w.CompleteDrain(id) },
	'E': func(w *Worker, id uint64) error { return w.CompleteFinalize(id) },
	'G': func(w *Worker, _ uint64) error { return w.Diagnose(Diagnostic{}) },
	'Q': func(w *Worker, _ uint64) error { return w.CompleteShutdown() },
	'T': func(w *Worker, _ uint64) error { w.AdvanceTurn(); return nil },
	'd': func(w *Worker, _ uint64) error {
		if env, ok := w.DrainOutbox(); ok {
			return env.Validate()
		}
		return nil
	},
}

// A play holds both halves, and a twin of each that never sees what is refused.
type play struct {
	t         *testing.T
	c, cTwin  *Coordinator
	w, wTwin  *Worker
	jobStates map[uint64]JobState
}

func newPlay(t *testing.T) *play {
	return &play{t, NewCoordinator(7), NewCoordinator(7), NewWorker("w0", 7), NewWorker("w0", 7), nil}
}

func (p *play) line(line []byte) {
	rest, reseal := bytes.CutPrefix(line, []byte("~"))
	var env Envelope
	if reseal && env.UnmarshalJSON(rest) == nil {
		line = []byte(plainWire(plainSeal(env)))
	}
	if len(line) == 0 {
		return
	}
	hostCall, workerCall := hostCalls[line[0]], workerCalls[line[0]]
	if hostCall == nil && workerCall == nil {
		_, err := p.c.Receive(line)
		if !p.refused(err) {
			_, twin := p.cTwin.Receive(line)
			require.Equal(p.t, err, twin)
		}
		_, err = p.w.Receive(line)
		if !p.refused(err) {
			_, twin := p.wTwin.Receive(line)
			require.Equal(p.t, err, twin)
		}
	}
	id, _ := strconv.ParseUint(string(line[1:]), 10, 64)
	if hostCall != nil && hostCall(p.c, id) == nil {
		require.NoError(p.t, hostCall(p.cTwin, id))
	}
	if workerCall != nil && workerCall(p.w, id) == nil {
		require.NoError(p.t, workerCall(p.wTwin, id))
	}
	p.check()
}

// refused tells whether a message was refused rather than received; its error must be of one kind.
func (p *play) refused(err error) bool {
	if err == nil {
		return false
	}
	kind := describeError(err).(map[string]any)["kind"].(string)
	require.Contains(p.t, errorKinds, kind)
	require.NotContains(p.t, []string{"InvalidValue", "WorkerNotReady", "ShutdownInProgress", "AlreadyAnnounced", "JobNotInFlight", "JobNotTerminal"}, kind)
	return slices.Contains([]string{
		"Malformed", "VersionMismatch", "ReplayHashMismatch", "UnexpectedWorkerIdentity", "MissingWorkerIdentity", "WorkerIdentityMismatch",
		"PayloadTooLarge", "UnexpectedDirection", "InboundSequenceNotFresh", "WorkerSessionMismatch", "RetiredWorker",
	}, kind)
}

// check is what holds at any time.
func (p *play) check() {
	require.True(p.t, reflect.DeepEqual(p.c, p.cTwin), "a refusal changed the coordinator")
	require.True(p.t, reflect.DeepEqual(p.w, p.wTwin), "a refusal changed the worker")

	_, active := p.c.ActiveWorker()
	require.True(p.t, active || !p.c.WorkerReady())
	states, inflight := map[uint64]JobState{}, 0
	for j := range p.c.Jobs() {
		states[j.JobID] = j.State
		if !plainEnded(j.State) {
			inflight++
			require.True(p.t, active, "a job outlives its session")
		}
		if was, ok := p.jobStates[j.JobID]; ok && was != j.State {
			require.Contains(p.t, plainNext[was], j.State)
		}
	}
	require.Equal(p.t, inflight, p.c.InflightCount())
	p.jobStates = states

	ids := 0
	for j := range p.w.Jobs() {
		ids++
		require.Contains(p.t, []JobState{StateQueued, StateRunning, StateCancelRequested, StateDraining, StateFinalizing}, j.State)
	}
	require.Equal(p.t, ids, p.w.InflightCount())
	require.False(p.t, p.w.Closed() && (p.w.Ready() || ids > 0))
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(uint32(1), uint64(1), uint64(2), uint64(3), uint64(4), uint64(5), uint64(6), byte(0), byte(0), true, true, "w", "text", "more", []byte{1, 2, 255})
	for op := range byte(18) {
		f.Add(uint32(1), uint64(math.MaxUint64), uint64(0), uint64(10), uint64(99), uint64(100), uint64(1<<53+1), op, op, false, op%2 == 0, "", "\x00\"\\\u2028\U0001f600", "\ufffd\x7f/", []byte{})
		f.Add(uint32(op), uint64(1), uint64(2), uint64(3), uint64(4), uint64(5), uint64(6), op, 255-op, true, true, "\xff", "\xed\xa0\x80", "a\xc0", []byte("x"))
	}
	f.Fuzz(func(t *testing.T, version uint32, messageID, seqNo, decisionSeq, seed, turn, id uint64, op, sub byte, hasWorker, hasText bool, worker, text, more string, payload []byte) {
		env := Envelope{Version: version, Header: Header{messageID, seqNo, decisionSeq, seed, turn}}
		if hasWorker {
			env.WorkerID = &worker
		}
		var optional *string
		if hasText {
			optional = &text
		}
		outcomes := []Outcome{nil, OutcomeOk{payload}, OutcomeErr{text, more}, OutcomeCancelled{text}, OutcomePanicked{text}}
		ops := []Op{
			nil, BootstrapReady{text}, BootstrapFailed{text, more}, SpawnJob{id, messageID, seqNo, seed, payload}, PollStatus{id},
			StatusSnapshot{id, JobState(sub), optional}, JobCompleted{id, outcomes[int(sub)%len(outcomes)]}, CancelJob{id, text},
			CancelAcknowledged{id}, DrainJob{id}, DrainCompleted{id}, FinalizeJob{id}, FinalizeCompleted{id},
			ShutdownWorker{text}, ShutdownCompleted{}, Diagnostic{Level(sub), text, more, optional},
		}
		env.Op = ops[int(op)%len(ops)]

		written, err := env.AppendJSON([]byte("before"))
		if !plainSendable(env) {
			require.ErrorIs(t, err, ErrInvalidValue)
			require.Equal(t, "before", string(written))
			require.Error(t, env.Validate())
			return
		}
		require.NoError(t, err)
		require.Equal(t, plainDigest(env), ReplayHash(env.Header, env.WorkerID, env.Op))
		env = plainSeal(env)
		written, err = env.AppendJSON(nil)
		require.NoError(t, err)
		require.Equal(t, plainWire(env), string(written))
		var read Envelope
		require.NoError(t, read.UnmarshalJSON(written))
		require.Equal(t, env, read)
		_, err = ParseEnvelope(written)
		require.Equal(t, describeError(plainVerdict(env)), describeError(err))
	})
}

// lines returns the lines of a file.
func lines(t testing.TB, file string) [][]byte {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return bytes.Split(bytes.TrimSpace(data), []byte("\n"))
}

// field returns a text of a JSON object.
func field(t testing.TB, object []byte, name string) string {
	var fields map[string]any
	require.NoError(t, json.Unmarshal(object, &fields))
	text, ok := fields[name].(string)
	require.True(t, ok, name)
	return text
}
