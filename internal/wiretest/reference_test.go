package workerchannel

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// A referenceReader reads an envelope as PROTOCOL section 3 says, by way of encoding/json, which checks the grammar.
// What is stricter than encoding/json is spelled out here.
type referenceReader struct {
	bad      bool // no envelope
	tooLarge bool // a payload is over the limit
}

func (s *referenceReader) envelope(text []byte) (env Envelope) {
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

func (s *referenceReader) op(v any) Op {
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

func (s *referenceReader) outcome(v any) Outcome {
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
func (s *referenceReader) members(v any, known ...string) map[string]any {
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

func (s *referenceReader) text(v any) string {
	text, ok := v.(string)
	s.bad = s.bad || !ok
	return text
}

func (s *referenceReader) optional(v any) *string {
	if v == nil {
		return nil
	}
	text := s.text(v)
	return &text
}

func (s *referenceReader) oneOf(v any, names ...string) int {
	i := slices.Index(names, s.text(v))
	s.bad = s.bad || i < 0
	return i
}

func (s *referenceReader) number(v any, limit uint64) uint64 {
	digits, ok := v.(json.Number)
	n, err := strconv.ParseUint(string(digits), 10, 64)
	s.bad = s.bad || !ok || err != nil || strconv.FormatUint(n, 10) != string(digits) || n > limit
	return n
}

func (s *referenceReader) u64(v any) uint64 { return s.number(v, math.MaxUint64) }

func (s *referenceReader) payload(v any) []byte {
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

// compareWithReference compares what this package reads with what the reference reader reads.
func compareWithReference(t *testing.T, text []byte) {
	var reference referenceReader
	want := reference.envelope(text)
	buffer := slices.Clone(text)
	var env Envelope
	err := env.UnmarshalJSON(buffer)
	parsed, verdict := ParseEnvelope(buffer)
	clear(buffer)

	if reference.bad || reference.tooLarge {
		require.Zero(t, env)
		require.Zero(t, parsed)
		require.Equal(t, err, verdict)
		e := new(ParseError)
		require.ErrorAs(t, err, &e)
		require.GreaterOrEqual(t, e.Offset, 0)
		require.LessOrEqual(t, e.Offset, len(text))
		if !reference.bad {
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

// Every value of a message in every form that is almost right.
func TestDecodeMatchesReferenceOnEveryMalformedValue(t *testing.T) {
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
				compareWithReference(t, w.value(nil, tree, 0))
			}
			m.value = was.value
			for _, name := range []string{"", "x", strings.ToUpper(was.name), was.name + "_", was.name[1:], "type", "worker_id", "detail"} {
				m.name = name
				compareWithReference(t, w.value(nil, tree, 0))
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

func TestDecodeMatchesReferenceOnSingleByteEdits(t *testing.T) {
	t.Parallel()
	for _, env := range oneOfEach() {
		text := plainWire(env)
		for i := strings.Index(text, `"op"`); i < len(text); i++ {
			compareWithReference(t, []byte(text[:i]))
			compareWithReference(t, []byte(text[:i]+text[i+1:]))
			for _, typed := range []string{text[i : i+1], ",", `"`, "}", " ", "0", `\`} {
				compareWithReference(t, []byte(text[:i]+typed+text[i:]))
			}
		}
	}
}

// What the fuzzer would hardly come upon: the limits, and texts too long for it.
func TestDecodeMatchesReferenceAtTheLimits(t *testing.T) {
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
		t.Run(name, func(t *testing.T) { compareWithReference(t, []byte(text)) })
	}
}
