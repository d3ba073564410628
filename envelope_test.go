package workerchannel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/bits"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// everyOp returns all operations, each with what its members can be.
func everyOp(worker string) []Op {
	return []Op{
		BootstrapReady{worker},
		BootstrapFailed{worker, ""},
		BootstrapFailed{worker, "no \"memory\"\n\\ \x00\x1f\x7f/<>&\u2028é€😀"},
		SpawnJob{1, 2, 3, 4, []byte{}},
		SpawnJob{1 << 63, 0, 1<<64 - 1, 10, []byte{0, 1, 9, 10, 99, 100, 255}},
		PollStatus{5},
		StatusSnapshot{6, StateCreated, nil},
		StatusSnapshot{6, StateQueued, new("")},
		StatusSnapshot{6, StateCancelRequested, new("half")},
		JobCompleted{7, OutcomeOk{[]byte{}}},
		JobCompleted{7, OutcomeOk{[]byte("result")}},
		JobCompleted{7, OutcomeErr{"code", "message"}},
		JobCompleted{7, OutcomeCancelled{"reason"}},
		JobCompleted{7, OutcomePanicked{"message"}},
		CancelJob{8, "reason"},
		CancelAcknowledged{9},
		DrainJob{10},
		DrainCompleted{11},
		FinalizeJob{12},
		FinalizeCompleted{13},
		ShutdownWorker{"reason"},
		ShutdownCompleted{},
		Diagnostic{LevelInfo, "category", "message", nil},
		Diagnostic{LevelWarn, "", "", new("")},
		Diagnostic{LevelError, "category", "message", new("metadata")},
	}
}

// everyEnvelope returns a valid envelope of every operation, with an empty worker id among them.
func everyEnvelope() (all []Envelope) {
	h := Header{1 << 63, 3, 4, 1<<64 - 1, 0}
	for _, worker := range []string{"w", "", "wörker \"7\""} {
		for _, op := range everyOp(worker) {
			if op.Type().Sender() == SenderWorker {
				all = append(all, NewWorkerEnvelope(worker, h, op))
			} else {
				all = append(all, NewEnvelope(h, op))
			}
		}
	}
	return all
}

func textOf(t *testing.T, env Envelope) string {
	t.Helper()
	text, err := env.AppendJSON(nil)
	require.NoError(t, err)
	return string(text)
}

// Making, writing, reading.

func TestEveryOperationIsSentByTheSideThatTheTableOfSection2Says(t *testing.T) {
	senders := map[string]Sender{
		"BootstrapReady": SenderWorker, "BootstrapFailed": SenderWorker, "SpawnJob": SenderCoordinator, "PollStatus": SenderCoordinator,
		"StatusSnapshot": SenderWorker, "JobCompleted": SenderWorker, "CancelJob": SenderCoordinator, "CancelAcknowledged": SenderWorker,
		"DrainJob": SenderCoordinator, "DrainCompleted": SenderWorker, "FinalizeJob": SenderCoordinator, "FinalizeCompleted": SenderWorker,
		"ShutdownWorker": SenderCoordinator, "ShutdownCompleted": SenderWorker, "Diagnostic": SenderWorker,
	}
	seen := make(map[OpType]bool)
	for _, op := range everyOp("w") {
		name := reflect.TypeOf(op).Name()
		assert.Equal(t, name, op.Type().String())
		assert.Equal(t, senders[name], op.Type().Sender(), name)
		seen[op.Type()] = true
	}
	assert.Len(t, senders, 15)
	assert.Len(t, seen, 15)
}

func TestRoundTripsWithAndWithoutWorkerID(t *testing.T) {
	var with, without int
	for _, env := range everyEnvelope() {
		text := textOf(t, env)
		parsed, err := ParseEnvelope([]byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, env, parsed)
		var read Envelope
		require.NoError(t, read.UnmarshalJSON([]byte(text)), text)
		assert.Equal(t, env, read)
		assert.Equal(t, text, textOf(t, read))
		assert.Equal(t, env.WorkerID != nil, strings.Contains(text, `"issued_at_turn":0,"worker_id":`), "absent, not null")
		if env.WorkerID != nil {
			with++
		} else {
			without++
		}
	}
	assert.NotZero(t, with)
	assert.NotZero(t, without)
}

func TestCanonicalTextIsThatOfTheSpecification(t *testing.T) {
	h := Header{MessageID: 2, SeqNo: 2, DecisionSeq: 2, Seed: 42, IssuedAtTurn: 1}
	env := NewWorkerEnvelope("w", h, StatusSnapshot{1, StateRunning, nil})
	assert.Equal(t, `{"version":1,"message_id":2,"seq_no":2,"decision_seq":2,"seed":42,"issued_at_turn":1,"worker_id":"w","replay_hash":`+
		strconv.FormatUint(env.ReplayHash, 10)+`,"op":{"type":"StatusSnapshot","job_id":1,"state":"Running","detail":null}}`, textOf(t, env))

	for op, want := range map[Op]string{
		BootstrapFailed{"\x00\x1f\b\t\n\f\r", `"\`}: `{"type":"BootstrapFailed","worker_id":"\u0000\u001f\b\t\n\f\r","reason":"\"\\"}`,
		ShutdownWorker{"</>&'\x7f\u2028\u2029é😀"}:   "{\"type\":\"ShutdownWorker\",\"reason\":\"</>&'\x7f\u2028\u2029é😀\"}",
	} {
		assert.Contains(t, textOf(t, NewEnvelope(h, op)), want)
	}
	for payload, want := range map[string]string{"": `"payload":[]`, "\x01\x02\xff": `"payload":[1,2,255]`} {
		assert.Contains(t, textOf(t, NewEnvelope(h, SpawnJob{Payload: []byte(payload)})), want)
	}
	assert.Equal(t, textOf(t, NewEnvelope(h, SpawnJob{Payload: []byte{}})), textOf(t, NewEnvelope(h, SpawnJob{})), "no payload is an empty one")
}

func TestAbsentAndEmptyOptionalTextsStayApart(t *testing.T) {
	diagnostic := func(worker *string, metadata *string) Envelope {
		env := NewWorkerEnvelope("", Header{}, Diagnostic{Metadata: metadata})
		env.WorkerID = worker
		env.ReplayHash = ReplayHash(env.Header, worker, env.Op)
		return env
	}
	absent, empty := diagnostic(nil, nil), diagnostic(new(""), new(""))
	assert.NotContains(t, textOf(t, absent), `"worker_id"`)
	assert.Contains(t, textOf(t, absent), `"metadata":null`)
	assert.Contains(t, textOf(t, empty), `"worker_id":""`)
	assert.Contains(t, textOf(t, empty), `"metadata":""`)
	assert.ErrorIs(t, absent.Validate(), ErrMissingWorkerIdentity)
	assert.NoError(t, empty.Validate())
	for _, env := range []Envelope{absent, empty} {
		var read Envelope
		require.NoError(t, read.UnmarshalJSON([]byte(textOf(t, env))))
		assert.Equal(t, env, read)
	}
}

func TestAnEnvelopeHasADecisionSequenceOfItsOwn(t *testing.T) {
	h := Header{MessageID: 1, SeqNo: 2, DecisionSeq: 77}
	for _, env := range []Envelope{NewEnvelope(h, DrainJob{1}), NewWorkerEnvelope("w", h, DrainCompleted{1})} {
		require.NoError(t, env.Validate())
		assert.Contains(t, textOf(t, env), `"seq_no":2,"decision_seq":77,`)
		env.DecisionSeq = 78
		assert.ErrorIs(t, env.Validate(), ErrReplayHashMismatch, "the digest covers it")
	}
}

// TestTheDigestIsThatOfSection4 has the section's formula once more, over the text of the operation.
func TestTheDigestIsThatOfSection4(t *testing.T) {
	const prime = 0x100000001B3
	for _, env := range everyEnvelope() {
		h := env.MessageID*0x9E3779B185EBCA87 + bits.RotateLeft64(env.SeqNo, 13)
		h = h ^ bits.RotateLeft64(env.DecisionSeq, 23) ^ bits.RotateLeft64(env.Seed, 29) ^ bits.RotateLeft64(env.IssuedAtTurn, 47)
		if env.WorkerID != nil {
			for _, b := range []byte(*env.WorkerID) {
				h = (bits.RotateLeft64(h, 7) ^ uint64(b)) * prime
			}
		}
		_, op, _ := strings.Cut(textOf(t, env), `,"op":`)
		for _, b := range []byte(strings.TrimSuffix(op, "}")) {
			h = (bits.RotateLeft64(h, 5) ^ uint64(b)) * prime
		}
		assert.Equal(t, h, env.ReplayHash, op)
		assert.Equal(t, h, ReplayHash(env.Header, env.WorkerID, env.Op), op)
	}
}

func TestAppendJSONAppends(t *testing.T) {
	env := NewEnvelope(Header{}, PollStatus{1})
	text, err := env.AppendJSON([]byte("before "))
	require.NoError(t, err)
	assert.Equal(t, "before "+textOf(t, env), string(text))
	text, err = NewEnvelope(Header{}, nil).AppendJSON([]byte("before "))
	assert.ErrorIs(t, err, ErrInvalidValue)
	assert.Equal(t, "before ", string(text), "a refusal appends nothing")
}

func TestEnvelopesGoThroughEncodingJSON(t *testing.T) {
	for _, env := range everyEnvelope() {
		text, err := json.Marshal(map[string]any{"value": env, "pointer": &env})
		require.NoError(t, err)
		var read map[string]Envelope
		require.NoError(t, json.Unmarshal(text, &read))
		assert.Equal(t, map[string]Envelope{"value": env, "pointer": env}, read)
	}
	_, err := json.Marshal(NewEnvelope(Header{}, nil))
	assert.ErrorIs(t, err, ErrInvalidValue)
	assert.ErrorIs(t, json.Unmarshal([]byte("null"), new(Envelope)), ErrMalformed)
	assert.ErrorIs(t, json.Unmarshal([]byte(`[{"version":1}]`), new([]Envelope)), ErrMalformed)
}

// The texts that the tables of accepted and refused texts change.
const (
	header         = `{"version":1,"message_id":2,"seq_no":3,"decision_seq":4,"seed":5,"issued_at_turn":6,`
	pollText       = header + `"replay_hash":7,"op":{"type":"PollStatus","job_id":8}}`
	stopText       = header + `"replay_hash":7,"op":{"type":"ShutdownWorker","reason":"r"}}`
	spawnText      = header + `"replay_hash":7,"op":{"type":"SpawnJob","job_id":8,"region_id":9,"task_id":10,"obligation_id":11,"payload":[1,2,255]}}`
	snapshotText   = header + `"worker_id":"w","replay_hash":7,"op":{"type":"StatusSnapshot","job_id":8,"state":"Running","detail":"d"}}`
	doneText       = header + `"worker_id":"w","replay_hash":7,"op":{"type":"JobCompleted","job_id":8,"outcome":{"status":"Ok","payload":[1,2,255]}}}`
	errText        = header + `"worker_id":"w","replay_hash":7,"op":{"type":"JobCompleted","job_id":8,"outcome":{"status":"Err","code":"c","message":"m"}}}`
	diagnosticText = header + `"worker_id":"w","replay_hash":7,"op":{"type":"Diagnostic","level":"Warn","category":"c","message":"m","metadata":"d"}}`
)

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func payloadText(size int) string {
	return "[" + strings.TrimSuffix(strings.Repeat("7,", size), ",") + "]"
}

func TestAnyTextOfTheSameMeaningIsAccepted(t *testing.T) {
	everyKind := `null,true,false,0,-0,-12.5e+10,1E400,1e-9,"","\ud83d\ude00\u0000",[],[[],{}],{},{"a":{"a":[1],"a":2}}`
	for _, row := range []struct{ name, text, old, new string }{
		{"white space before", pollText, `{"version"`, " \t\r\n{\"version\""},
		{"white space after", pollText, `8}}`, "8}} \t\r\n"},
		{"white space within", pollText, `"seq_no":3,"decision_seq":4`, "\"seq_no\" \n:\t3\r,  \"decision_seq\"\n:\n4\n"},
		{"white space in the operation", doneText, `{"type":"JobCompleted","job_id":8,`, "\n{ \"type\" : \"JobCompleted\"\t,\r\n\"job_id\" : 8 ,"},
		{"white space in the outcome", doneText, `{"status":"Ok",`, "{\n\"status\"\n:\n\"Ok\"\n,\n"},
		{"white space in the payload", spawnText, `[1,2,255]`, " [\n1 ,2\t, 255\r] "},
		{"white space in an empty payload", strings.Replace(spawnText, `[1,2,255]`, `[]`, 1), `[]`, "[ \t\r\n]"},

		{"members in another order", pollText, pollText,
			`{"op":{"job_id":8,"type":"PollStatus"},"replay_hash":7,"issued_at_turn":6,"seed":5,"decision_seq":4,"seq_no":3,"message_id":2,"version":1}`},
		{"the operation first, the worker id last", snapshotText, snapshotText,
			`{"op":{"detail":"d","state":"Running","job_id":8,"type":"StatusSnapshot"},"version":1,"message_id":2,"seq_no":3,"decision_seq":4,"seed":5,"issued_at_turn":6,"replay_hash":7,"worker_id":"w"}`},
		{"the worker id after the operation", doneText, doneText,
			header + `"op":{"type":"JobCompleted","job_id":8,"outcome":{"status":"Ok","payload":[1,2,255]}},"worker_id":"w","replay_hash":7}`},
		{"the type last", spawnText, `"type":"SpawnJob","job_id":8,"region_id":9,"task_id":10,"obligation_id":11,"payload":[1,2,255]`,
			`"payload":[1,2,255],"obligation_id":11,"task_id":10,"region_id":9,"job_id":8,"type":"SpawnJob"`},
		{"the status last", doneText, `"status":"Ok","payload":[1,2,255]`, `"payload":[1,2,255],"status":"Ok"`},
		{"the status between", errText, `"status":"Err","code":"c","message":"m"`, `"message":"m","status":"Err","code":"c"`},
		{"the outcome before the job", errText, `"job_id":8,"outcome":{"status":"Err","code":"c","message":"m"}`, `"outcome":{"message":"m","code":"c","status":"Err"},"job_id":8`},

		{"an escape in a name", pollText, `"version"`, `"\u0076ersio\u006E"`},
		{"an escape in the name of the type", pollText, `"type"`, `"t\u0079pe"`},
		{"an escape in the type", pollText, `"PollStatus"`, `"Poll\u0053tatus"`},
		{"an escape in a state", snapshotText, `"Running"`, `"\u0052unning"`},
		{"an escape in a level", diagnosticText, `"Warn"`, `"W\u0061rn"`},
		{"an escape in a status", errText, `"Err"`, `"\u0045rr"`},
		{"an escape in a text", snapshotText, `"detail":"d"`, `"detail":"\u0064"`},

		{"unknown members of the envelope", pollText, `{"version"`, `{"x":[` + everyKind + `],"version"`},
		{"unknown members of the operation", pollText, `,"job_id":8`, `,"x":[` + everyKind + `],"job_id":8`},
		{"unknown members before the type", pollText, `{"type"`, `{"x":[` + everyKind + `],"type"`},
		{"unknown members of the outcome", errText, `{"status"`, `{"x":[` + everyKind + `],"status"`},
		{"unknown members at the end", pollText, `8}}`, `8,"x":1},"y":[` + everyKind + `]}`},
		{"an unknown member twice", pollText, `8}}`, `8,"x":1,"x":{},"x":1},"x":null,"x":"x"}`},
		{"a name that matches only by case", pollText, `8}}`, `8,"Job_id":"x","TYPE":0},"Version":-1,"OP":[]}`},
		{"members of other operations", pollText, `8}}`, `8,"reason":7,"payload":"x","outcome":[],"worker_id":{},"region_id":-1,"reason":8}}`},
		{"members of the envelope in the operation", pollText, `8}}`, `8,"version":"x","op":{},"seed":-1}}`},
		{"members of other outcomes", errText, `{"status"`, `{"payload":"x","reason":0,"status"`},
		{"an oversized payload where none belongs", pollText, `8}}`, `8,"payload":` + payloadText(MaxPayloadBytes+1) + `}}`},
		{"127 levels", pollText, `8}}`, `8},"x":` + nested(126) + `}`},
		{"127 levels in the operation", pollText, `8}}`, `8,"x":` + nested(125) + `}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			assertSameMeaning(t, row.text, replaceOnce(t, row.text, row.old, row.new))
		})
	}
}

func replaceOnce(t *testing.T, text, old, new string) string {
	t.Helper()
	require.Equal(t, 1, strings.Count(text, old), "%q in %q", old, text)
	return strings.Replace(text, old, new, 1)
}

// assertSameMeaning takes a canonical text and another that means the same, for every reader, and with
// the right digest, too.
func assertSameMeaning(t *testing.T, canonical, other string) {
	t.Helper()
	var want, got Envelope
	require.NoError(t, want.UnmarshalJSON([]byte(canonical)))
	assert.Equal(t, canonical, textOf(t, want))
	require.NoError(t, got.UnmarshalJSON([]byte(other)))
	assert.Equal(t, want, got)
	_, err := ParseEnvelope([]byte(other))
	assert.ErrorIs(t, err, ErrReplayHashMismatch)

	want.ReplayHash = ReplayHash(want.Header, want.WorkerID, want.Op)
	sealed := replaceOnce(t, other, `"replay_hash":7`, `"replay_hash":`+strconv.FormatUint(want.ReplayHash, 10))
	got, err = ParseEnvelope([]byte(sealed))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	v, err := Verify([]byte(sealed))
	require.NoError(t, err)
	assert.Equal(t, want, v.Envelope())
}

func TestAnyCharacterMayBeEscaped(t *testing.T) {
	for c := range rune(0x100) {
		canonical := plainText(string(c))
		escaped := fmt.Sprintf(`"\u%04x"`, c)
		assertSameMeaning(t, replaceOnce(t, stopText, `"r"`, canonical), replaceOnce(t, stopText, `"r"`, escaped))
	}
}

func TestOptionalMembersMayBeAbsentOrNull(t *testing.T) {
	noDetail := replaceOnce(t, snapshotText, `"detail":"d"`, `"detail":null`)
	assertSameMeaning(t, noDetail, replaceOnce(t, noDetail, `,"detail":null`, ``))
	noMetadata := replaceOnce(t, diagnosticText, `"metadata":"d"`, `"metadata":null`)
	assertSameMeaning(t, noMetadata, replaceOnce(t, noMetadata, `,"metadata":null`, ``))
	assertSameMeaning(t, pollText, replaceOnce(t, pollText, `"replay_hash"`, `"worker_id":null,"replay_hash"`))
}

func TestNumbersAndTextsAreReadWhole(t *testing.T) {
	const top = "18446744073709551615"
	for _, member := range []string{"message_id", "seq_no", "decision_seq", "seed", "issued_at_turn", "job_id", "region_id", "task_id", "obligation_id"} {
		before, rest, _ := strings.Cut(spawnText, `"`+member+`":`)
		_, after, _ := strings.Cut(rest, ",")
		for _, n := range []string{"0", "9", "10", "9007199254740993", top} {
			text := before + `"` + member + `":` + n + "," + after
			assertSameMeaning(t, text, " "+text)
		}
	}
	var env Envelope
	require.NoError(t, env.UnmarshalJSON([]byte(replaceOnce(t, pollText, `"version":1`, `"version":4294967295`))))
	assert.Equal(t, uint32(1<<32-1), env.Version)
	require.NoError(t, env.UnmarshalJSON([]byte(replaceOnce(t, pollText, `"replay_hash":7`, `"replay_hash":`+top))))
	assert.Equal(t, uint64(1<<64-1), env.ReplayHash)

	for text, want := range map[string]string{
		`\"\\\/\b\f\n\r\t`:         "\"\\/\b\f\n\r\t",
		`\u0000\u001f\u007F\u00e9`: "\x00\x1f\x7fé",
		`\ud83d\uDE00\uD800\udc00`: "😀\U00010000",
		`\udbff\udfff`:             "\U0010ffff",
		`\ufffd` + "\ufffd":        "\ufffd\ufffd",
		"\x7f\u2028é\U0010ffff'/":  "\x7f\u2028é\U0010ffff'/",
		`a\u0022b\u005cc\\u0041`:   "a\"b\\c\\u0041",
	} {
		require.NoError(t, env.UnmarshalJSON([]byte(replaceOnce(t, stopText, `"reason":"r"`, `"reason":"`+text+`"`))), text)
		assert.Equal(t, ShutdownWorker{want}, env.Op, text)
	}
}

func TestAPayloadAtTheLimitIsReadAndOneByteMoreIsRefusedWhileReading(t *testing.T) {
	const payload = `"payload":[1,2,255]`
	for name, text := range map[string]string{
		"spawn":                spawnText,
		"outcome":              doneText,
		"spawn, type last":     replaceOnce(t, replaceOnce(t, spawnText, `"type":"SpawnJob",`, ``), payload, payload+`,"type":"SpawnJob"`),
		"outcome, status last": replaceOnce(t, doneText, `"status":"Ok",`+payload, payload+` , "status":"Ok"`),
	} {
		t.Run(name, func(t *testing.T) {
			largest := replaceOnce(t, text, payload, `"payload":`+payloadText(MaxPayloadBytes))
			var env Envelope
			require.NoError(t, env.UnmarshalJSON([]byte(largest)))
			f := flatten(env.Op)
			assert.Equal(t, bytes.Repeat([]byte{7}, MaxPayloadBytes), f.payload)

			tooLarge := replaceOnce(t, text, payload, `"payload":`+payloadText(MaxPayloadBytes+1))
			want := &ParseError{Offset: strings.LastIndex(tooLarge, "7]"), Err: &PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes}}
			refusedByEveryReader(t, tooLarge, want)
		})
	}
	t.Run("without an end", func(t *testing.T) { // is read no further
		before, _, _ := strings.Cut(spawnText, "[")
		endless := before + "[" + strings.Repeat("7,", MaxPayloadBytes)
		want := &ParseError{Offset: len(endless), Err: &PayloadError{MaxPayloadBytes + 100, MaxPayloadBytes}}
		refusedByEveryReader(t, endless+strings.Repeat("7,", 99)+"x", want)
	})
}

// refusedByEveryReader also takes care that the envelope that was there stays as it was.
func refusedByEveryReader(t *testing.T, text string, want *ParseError) {
	t.Helper()
	before := NewWorkerEnvelope("w", Header{1, 2, 3, 4, 5}, Diagnostic{LevelWarn, "c", "m", new("d")})
	env := before
	assert.Equal(t, want, env.UnmarshalJSON([]byte(text)))
	assert.Equal(t, before, env, "a refused text leaves the envelope as it was")
	env, err := ParseEnvelope([]byte(text))
	assert.Equal(t, want, err)
	assert.Zero(t, env)
	v, err := Verify([]byte(text))
	assert.Equal(t, want, err)
	assert.Zero(t, v)
}

// TestWhatIsNoEnvelopeIsRefusedWithThePlaceAndTheCause changes good texts into bad ones; the mark ▸
// stands where the reader is to stop.
func TestWhatIsNoEnvelopeIsRefusedWithThePlaceAndTheCause(t *testing.T) {
	const (
		object    = "an object is needed"
		integer   = "a plain integer is needed"
		fraction  = "a plain integer is needed, without fraction or exponent"
		leading   = "the number has a leading zero"
		outside   = "the number is out of range"
		text      = "a text is needed"
		escape    = "a bad escape or an unpaired surrogate"
		control   = "a control character in a text"
		utf8      = "the text is not well-formed UTF-8"
		endless   = "the text does not end"
		comma     = "a comma or the end of the object is needed"
		arrayNext = "a comma or the end of the array is needed"
		colon     = "a colon is needed"
		bytes     = "an array of bytes is needed"
		value     = "a value is needed"
		digit     = "a digit is needed"
		deep      = "objects and arrays nest too deep"
		follows   = "nothing may follow the envelope"
		opType    = "an unknown operation type"
		status    = "an unknown outcome status"
		state     = "an unknown job state"
		level     = "an unknown level"
	)
	type row struct{ text, old, new, cause string }
	for name, rows := range map[string][]row{
		"not one object": {
			{pollText, pollText, `▸`, object},
			{pollText, pollText, ` ▸`, object},
			{pollText, pollText, `▸null`, object},
			{pollText, pollText, `▸[` + pollText + `]`, object},
			{pollText, pollText, `▸"{}"`, object},
			{pollText, pollText, `▸` + pollText[len(`{"version":1`):len(pollText)-1] + `,"version":1}`, object},
			{pollText, `{"version"`, "▸\ufeff{\"version\"", object},
			{pollText, `{"version"`, "▸\x00{\"version\"", object},
			{pollText, `{"version"`, "▸/**/{\"version\"", object},
			{pollText, `{"version"`, "▸\v{\"version\"", object},
			{pollText, `{"version"`, "▸\u00a0{\"version\"", object},
			{pollText, `8}}`, `8}}▸{}`, follows},
			{pollText, `8}}`, `8}} ▸,`, follows},
			{pollText, `8}}`, `8}}▸}`, follows},
			{pollText, `8}}`, "8}}\n▸\x00", follows},
			{pollText, `8}}`, "8}}▸\ufeff", follows},
			{pollText, `{"type":"PollStatus","job_id":8}`, `▸null`, object},
			{pollText, `{"type":"PollStatus","job_id":8}`, `▸["PollStatus",8]`, object},
			{pollText, `{"type":"PollStatus","job_id":8}`, `▸"PollStatus"`, object},
			{doneText, `{"status":"Ok","payload":[1,2,255]}`, `▸null`, object},
			{doneText, `{"status":"Ok","payload":[1,2,255]}`, `▸"Ok"`, object},
		},
		"a member twice": {
			{pollText, `8}}`, `8},"version":▸1}`, "the member version is given twice"},
			{pollText, `8}}`, `8},"seq_no":▸3}`, "the member seq_no is given twice"},
			{pollText, `8}}`, `8},"op":▸{"type":"PollStatus","job_id":8}}`, "the member op is given twice"},
			{pollText, `8}}`, `8,"job_id":▸8}}`, "the member job_id is given twice"},
			{pollText, `8}}`, `8,"type":▸"PollStatus"}}`, "the member type is given twice"},
			{pollText, `{"version":1`, `{"\u0076ersion":1,"version":▸1`, "the member version is given twice"},
			{pollText, `8}}`, `8,"job\u005fid":▸9}}`, "the member job_id is given twice"},
			{snapshotText, `"replay_hash"`, `"worker_id":▸"w","replay_hash"`, "the member worker_id is given twice"},
			{snapshotText, `"worker_id":"w"`, `"worker_id":null,"worker_id":▸"w"`, "the member worker_id is given twice"},
			{snapshotText, `"detail":"d"`, `"detail":null,"detail":▸null`, "the member detail is given twice"},
			{diagnosticText, `"metadata":"d"`, `"metadata":"d","metadata":▸"d"`, "the member metadata is given twice"},
			{doneText, `255]}`, `255],"payload":▸[]}`, "the member payload is given twice"},
			{doneText, `255]}`, `255],"status":▸"Ok"}`, "the member status is given twice"},
			{errText, `"m"}`, `"m"},"outcome":▸{"status":"Err","code":"c","message":"m"}`, "the member outcome is given twice"},
		},
		"a member of another case": {
			{pollText, `{"version"`, `▸{"Version"`, "the member version is missing"},
			{pollText, `{"type"`, `▸{"Type"`, "the member type is missing"},
			{pollText, `"PollStatus"`, `▸"pollstatus"`, opType},
			{doneText, `"Ok"`, `▸"OK"`, status},
			{snapshotText, `"Running"`, `▸"running"`, state},
			{diagnosticText, `"Warn"`, `▸"WARN"`, level},
		},
		"an unknown name": {
			{pollText, `"PollStatus"`, `▸"PollStatu"`, opType},
			{pollText, `"PollStatus"`, `▸"PollStatus "`, opType},
			{pollText, `"PollStatus"`, `▸""`, opType},
			{doneText, `"Ok"`, `▸"Fine"`, status},
			{snapshotText, `"Running"`, `▸"cancel_requested"`, state},
			{snapshotText, `"Running"`, `▸""`, state},
			{diagnosticText, `"Warn"`, `▸"Fatal"`, level},
		},
		"not a plain integer": {
			{pollText, `"seq_no":3`, `"seq_no":▸-3`, integer},
			{pollText, `"seq_no":3`, `"seq_no":▸-0`, integer},
			{pollText, `"seq_no":3`, `"seq_no":▸+3`, integer},
			{pollText, `"seq_no":3`, `"seq_no":▸3.0`, fraction},
			{pollText, `"seq_no":3`, `"seq_no":▸3e0`, fraction},
			{pollText, `"seq_no":3`, `"seq_no":▸3E+2`, fraction},
			{pollText, `"seq_no":3`, `"seq_no":▸0.0`, fraction},
			{pollText, `"seq_no":3`, `"seq_no":▸.3`, integer},
			{pollText, `"seq_no":3`, `"seq_no":▸03`, leading},
			{pollText, `"seq_no":3`, `"seq_no":▸00`, leading},
			{pollText, `"seq_no":3`, `"seq_no":0▸x3`, comma},
			{pollText, `"seq_no":3`, `"seq_no":3▸_0`, comma},
			{pollText, `"seq_no":3`, `"seq_no":▸NaN`, integer},
			{pollText, `"seq_no":3`, `"seq_no":▸"3"`, integer},
			{pollText, `"seq_no":3`, `"seq_no":▸null`, integer},
			{pollText, `"seq_no":3`, `"seq_no":▸true`, integer},
			{pollText, `"seq_no":3`, `"seq_no":▸[3]`, integer},
			{pollText, `"seq_no":3`, `"seq_no":▸{}`, integer},
			{pollText, `"seq_no":3`, `"seq_no":▸`, integer},
			{pollText, `"job_id":8`, `"job_id":▸8.0`, fraction},
			{pollText, `"job_id":8`, `"job_id":▸null`, integer},
			{spawnText, `[1,2,255]`, `[1,▸2.0,255]`, fraction},
			{spawnText, `[1,2,255]`, `[1,▸-2,255]`, integer},
			{spawnText, `[1,2,255]`, `[1,▸02,255]`, leading},
			{spawnText, `[1,2,255]`, `[1,▸null,255]`, integer},
			{spawnText, `[1,2,255]`, `[1,▸"2",255]`, integer},
			{spawnText, `[1,2,255]`, `[1,▸[2],255]`, integer},
		},
		"out of range": {
			{pollText, `"version":1`, `"version":▸4294967296`, outside},
			{pollText, `"version":1`, `"version":▸4294967297`, outside},
			{pollText, `"seed":5`, `"seed":▸18446744073709551616`, outside},
			{pollText, `"seed":5`, `"seed":▸99999999999999999999999999`, outside},
			{pollText, `"replay_hash":7`, `"replay_hash":▸18446744073709551616`, outside},
			{pollText, `"job_id":8`, `"job_id":▸18446744073709551616`, outside},
			{spawnText, `[1,2,255]`, `[1,2,▸256]`, outside},
			{spawnText, `[1,2,255]`, `[▸999,2,255]`, outside},
			{spawnText, `[1,2,255]`, `[1,▸1000,255]`, outside},
			{spawnText, `[1,2,255]`, `[1,▸18446744073709551616,255]`, outside},
			{spawnText, `[1,2,255]`, `[1,▸65537,255,0,0,0,0,0]`, outside},
		},
		"another kind": {
			{stopText, `"reason":"r"`, `"reason":▸null`, text},
			{stopText, `"reason":"r"`, `"reason":▸7`, text},
			{stopText, `"reason":"r"`, `"reason":▸["r"]`, text},
			{stopText, `"reason":"r"`, `"reason":▸{}`, text},
			{stopText, `"reason":"r"`, `"reason":▸'r'`, text},
			{snapshotText, `"worker_id":"w"`, `"worker_id":▸7`, text},
			{snapshotText, `"worker_id":"w"`, `"worker_id":▸false`, text},
			{snapshotText, `"worker_id":"w"`, `"worker_id":▸nul`, text},
			{snapshotText, `"worker_id":"w"`, `"worker_id":null▸l`, comma},
			{snapshotText, `"detail":"d"`, `"detail":▸{}`, text},
			{snapshotText, `"Running"`, `▸null`, text},
			{snapshotText, `"Running"`, `▸2`, text},
			{snapshotText, `"Running"`, `▸{"Running":null}`, text},
			{diagnosticText, `"Warn"`, `▸1`, text},
			{pollText, `"PollStatus"`, `▸null`, text},
			{pollText, `"PollStatus"`, `▸3`, text},
			{doneText, `"Ok"`, `▸null`, text},
			{spawnText, `[1,2,255]`, `▸"AQL/"`, bytes},
			{spawnText, `[1,2,255]`, `▸null`, bytes},
			{spawnText, `[1,2,255]`, `▸{}`, bytes},
		},
		"escapes and surrogates": {
			{stopText, `"r"`, `"a▸\ud800"`, escape},
			{stopText, `"r"`, `"a▸\udc00"`, escape},
			{stopText, `"r"`, `"a▸\udc00\ud800"`, escape},
			{stopText, `"r"`, `"a▸\ud800\ud800"`, escape},
			{stopText, `"r"`, `"a▸\ud800\u0041"`, escape},
			{stopText, `"r"`, `"a▸\ud800x\udc00"`, escape},
			{stopText, `"r"`, `"a▸\ud800\n"`, escape},
			{stopText, `"r"`, `"\ud83d\ude00▸\ude00"`, escape},
			{stopText, `"r"`, `"a▸\x41"`, escape},
			{stopText, `"r"`, `"a▸\'"`, escape},
			{stopText, `"r"`, `"a▸\U0041"`, escape},
			{stopText, `"r"`, `"a▸\u004"`, escape},
			{stopText, `"r"`, `"a▸\u00g1"`, escape},
			{stopText, `"r"`, `"a▸\u+041"`, escape},
			{stopText, `"r"}}`, `"a▸\u00`, escape},
			{stopText, `"r"}}`, `"a▸\`, escape},
			{pollText, `"version"`, `"▸\ud800version"`, escape},
			{pollText, `8}}`, `8},"x":["▸\udfff"]}`, escape},
			{pollText, `8}}`, `8,"▸\udfff":0}}`, escape},
		},
		"control characters": {
			{stopText, `"r"`, "\"a▸\x00\"", control},
			{stopText, `"r"`, "\"a▸\n\"", control},
			{stopText, `"r"`, "\"a▸\t\"", control},
			{stopText, `"r"`, "\"a▸\x1f\"", control},
			{pollText, `"version"`, "\"▸\nversion\"", control},
			{pollText, `8}}`, "8},\"x\":\"▸\r\"}", control},
			{pollText, `8}}`, "8},\"▸\x01\":0}", control},
		},
		"ill-formed UTF-8": {
			{stopText, `"r"`, "\"▸a\xff\"", utf8},
			{stopText, `"r"`, "\"▸a\x80\"", utf8},
			{stopText, `"r"`, "\"▸\xe2\x82\"", utf8},
			{stopText, `"r"`, "\"▸\xc0\x80\"", utf8},
			{stopText, `"r"`, "\"▸\xed\xa0\x80\"", utf8},
			{stopText, `"r"`, "\"▸\xf4\x90\x80\x80\"", utf8},
			{stopText, `"r"`, "\"▸\\n\xff\"", utf8},
			{snapshotText, `"worker_id":"w"`, "\"worker_id\":\"▸\xff\"", utf8},
			{snapshotText, `"Running"`, "\"▸Running\xff\"", utf8},
			{pollText, `8}}`, "8},\"x\":[{\"y\":\"▸\xff\"}]}", utf8},
			{pollText, `8}}`, "8,\"▸\xff\":0}}", utf8},
		},
		"broken structure": {
			{pollText, `{"version"`, `{▸version`, text},
			{pollText, `{"version"`, `{▸,"version"`, text},
			{pollText, `{"version"`, `{▸'version'`, text},
			{pollText, `"seq_no":3,`, `"seq_no":3 ▸"x":0,`, comma},
			{pollText, `,"message_id"`, `▸{"message_id"`, comma},
			{pollText, `"seq_no":3,`, `"seq_no":3,▸,`, text},
			{pollText, `"seq_no":3,`, `"seq_no"▸3,`, colon},
			{pollText, `"seq_no":3,`, `"seq_no"▸=3,`, colon},
			{pollText, `"seq_no":3,`, `"seq_no":▸:3,`, integer},
			{pollText, `8}}`, `8,▸}}`, text},
			{pollText, `8}}`, `8},▸}`, text},
			{pollText, `8}}`, `8▸]}`, comma},
			{pollText, `8}}`, `8}▸`, comma},
			{pollText, `8}}`, `8▸`, comma},
			{pollText, `8}}`, `8,▸`, text},
			{pollText, `8}}`, `8,"x▸`, endless},
			{pollText, `8}}`, `8,"x"▸`, colon},
			{pollText, `8}}`, `8,"x":▸`, value},
			{stopText, `"r"}}`, `"r▸`, endless},
			{spawnText, `[1,2,255]`, `[1 ▸2,255]`, arrayNext},
			{spawnText, `[1,2,255]`, `[1,2,255,▸]`, integer},
			{spawnText, `[1,2,255]`, `[▸,1]`, integer},
			{spawnText, `[1,2,255]`, `[1,2,255▸}`, arrayNext},
			{spawnText, `[1,2,255]}}`, `[▸`, integer},
			{spawnText, `[1,2,255]}}`, `[1▸`, arrayNext},
		},
		"unknown members that are no JSON": {
			{pollText, `8}}`, `8},"x":▸tru}`, value},
			{pollText, `8}}`, `8},"x":true▸e}`, comma},
			{pollText, `8}}`, `8},"x":▸Null}`, value},
			{pollText, `8}}`, `8},"x":▸+1}`, value},
			{pollText, `8}}`, `8},"x":▸.5}`, value},
			{pollText, `8}}`, `8},"x":1.▸}`, digit},
			{pollText, `8}}`, `8},"x":-▸}`, digit},
			{pollText, `8}}`, `8},"x":1e▸}`, digit},
			{pollText, `8}}`, `8},"x":1e+▸}`, digit},
			{pollText, `8}}`, `8},"x":0▸1}`, comma},
			{pollText, `8}}`, `8},"x":-0▸1}`, comma},
			{pollText, `8}}`, `8},"x":▸}`, value},
			{pollText, `8}}`, `8},"x":[1,▸]}`, value},
			{pollText, `8}}`, `8},"x":[1 ▸2]}`, arrayNext},
			{pollText, `8}}`, `8},"x":[1▸}}`, arrayNext},
			{pollText, `8}}`, `8},"x":{"a"▸}}`, colon},
			{pollText, `8}}`, `8},"x":{"a":▸}}`, value},
			{pollText, `8}}`, `8},"x":{▸a:1}}`, text},
			{pollText, `8}}`, `8},"x":{"a":1,▸}}`, text},
			{pollText, `8}}`, `8},"x":{"a":1▸]}`, comma},
			{pollText, `8}}`, `8},"x":{▸1:1}}`, text},
			{pollText, `{"type"`, `{"x":▸tru,"type"`, value},
			{doneText, `{"status"`, `{"x":[▸}],"status"`, value},
		},
		"128 levels": {
			{pollText, `8}}`, `8},"x":` + strings.Repeat("[", 126) + `▸[` + strings.Repeat("]", 127) + `}`, deep},
			{pollText, `8}}`, `8,"x":` + strings.Repeat("[", 125) + `▸[` + strings.Repeat("]", 126) + `}}`, deep},
			{pollText, `8}}`, `8},"x":` + strings.Repeat(`{"x":`, 126) + `▸{` + strings.Repeat("}", 128), deep},
			{pollText, `8}}`, `8},"x":` + strings.Repeat("[", 126) + "▸" + strings.Repeat("[", 1<<20), deep},
		},
	} {
		for _, r := range rows {
			t.Run(name, func(t *testing.T) {
				before, after, marked := strings.Cut(replaceOnce(t, r.text, r.old, r.new), "▸")
				require.True(t, marked)
				t.Logf("%.300s", before+"▸"+after)
				refusedByEveryReader(t, before+after, &ParseError{Offset: len(before), Cause: r.cause})
			})
		}
	}
}

func TestAMemberThatIsMissingIsRefusedAtItsObject(t *testing.T) {
	missing := map[string][]string{ // all but the optional ones
		spawnText: {`"version":1,`, `"message_id":2,`, `"seq_no":3,`, `"decision_seq":4,`, `"seed":5,`, `"issued_at_turn":6,`, `"replay_hash":7,`,
			`"type":"SpawnJob",`, `"job_id":8,`, `"region_id":9,`, `"task_id":10,`, `"obligation_id":11,`, `,"payload":[1,2,255]`},
		pollText:       {`,"op":{"type":"PollStatus","job_id":8}`},
		snapshotText:   {`"state":"Running",`},
		diagnosticText: {`"level":"Warn",`, `"category":"c",`, `"message":"m",`},
		stopText:       {`,"reason":"r"`},
		doneText:       {`,"outcome":{"status":"Ok","payload":[1,2,255]}`, `"status":"Ok",`, `,"payload":[1,2,255]`},
		errText:        {`"code":"c",`, `,"message":"m"`},
	}
	for text, members := range missing {
		for _, member := range members {
			at := strings.LastIndex(text[:strings.Index(text, member)+1], "{")
			name := strings.Split(member, `"`)[1]
			refusedByEveryReader(t, replaceOnce(t, text, member, ""), &ParseError{Offset: at, Cause: "the member " + name + " is missing"})
		}
	}
	const ready = header + `"worker_id":"w","replay_hash":7,"op":{"type":"BootstrapReady"}}`
	refusedByEveryReader(t, ready, &ParseError{Offset: strings.Index(ready, `{"type"`), Cause: "the member worker_id is missing"})
}

func TestEveryPrefixOfATextIsRefused(t *testing.T) {
	for _, text := range []string{pollText, stopText, spawnText, snapshotText, doneText, errText, diagnosticText} {
		for end := range len(text) {
			_, err := ParseEnvelope([]byte(text[:end]))
			var e *ParseError
			require.ErrorAs(t, err, &e, text[:end])
			assert.LessOrEqual(t, e.Offset, end)
		}
	}
}

func TestWhatIsReadNeverAliasesTheBuffer(t *testing.T) {
	for _, env := range everyEnvelope() {
		for name, read := range map[string]func(data []byte) (Envelope, error){
			"ParseEnvelope": ParseEnvelope,
			"UnmarshalJSON": func(data []byte) (e Envelope, err error) { err = e.UnmarshalJSON(data); return e, err },
			"Verify":        func(data []byte) (Envelope, error) { v, err := Verify(data); return v.Envelope(), err },
			"Receive": func(data []byte) (Envelope, error) {
				if env.WorkerID == nil {
					return NewWorker("w", 0).Receive(data)
				}
				c := NewCoordinator(0)
				boot := fromWorker(*env.WorkerID, 1, BootstrapReady{*env.WorkerID})
				require.NoError(t, c.HandleInbound(&boot))
				e, _ := c.Receive(data) // the envelope is returned, whatever becomes of it
				return e, nil
			},
		} {
			data := []byte(textOf(t, env))
			got, _ := read(data)
			for i := range data {
				data[i] = '*'
			}
			assert.Equal(t, env, got, name)
		}
	}
}

// Validation.

func TestEveryEnvelopeThatIsMadeIsValid(t *testing.T) {
	for _, env := range everyEnvelope() {
		assert.NoError(t, env.Validate())
		assert.Equal(t, ProtocolVersion, env.Version)
	}
	largest := NewEnvelope(Header{}, SpawnJob{Payload: oversized[1:]})
	assert.NoError(t, largest.Validate())
}

func TestVersionDigestIdentityAndSizeAreCheckedInTheirOrder(t *testing.T) {
	type reasons = []reason[*inboundCase]
	var (
		version    = reason[*inboundCase]{ErrVersionMismatch, func(c *inboundCase) { c.version = 0 }}
		value      = reason[*inboundCase]{ErrInvalidValue, func(c *inboundCase) { c.worker = new(illFormed) }}
		damage     = reason[*inboundCase]{ErrReplayHashMismatch, func(c *inboundCase) { c.damage = 1 }}
		missing    = reason[*inboundCase]{ErrMissingWorkerIdentity, func(c *inboundCase) { c.worker = nil }}
		mismatch   = reason[*inboundCase]{ErrWorkerIdentityMismatch, func(c *inboundCase) { c.worker = new("x") }}
		size       = reason[*inboundCase]{ErrPayloadTooLarge, func(c *inboundCase) { c.op = JobCompleted{1, OutcomeOk{oversized}} }}
		unexpected = reason[*inboundCase]{ErrUnexpectedWorkerIdentity, func(c *inboundCase) {
			if c.worker == nil {
				c.worker = new("w")
			}
		}}
		spawnSize = reason[*inboundCase]{ErrPayloadTooLarge, func(c *inboundCase) { c.op = SpawnJob{Payload: oversized} }}
	)
	validate := func(c *inboundCase) error {
		env := c.envelope()
		return env.Validate()
	}
	start := func(worker *string, op Op) func() *inboundCase {
		return func() *inboundCase { return &inboundCase{worker, 1, op, 1, 0} }
	}
	firstReasonWins(t, reasons{version, value, damage, unexpected, spawnSize}, start(nil, SpawnJob{}), validate)
	firstReasonWins(t, reasons{version, damage, missing, size}, start(new("w"), JobCompleted{1, OutcomeOk{}}), validate)
	firstReasonWins(t, reasons{version, damage, missing}, start(new("w"), BootstrapReady{"w"}), validate)
	firstReasonWins(t, reasons{version, damage, mismatch}, start(new("w"), BootstrapReady{"w"}), validate)
	firstReasonWins(t, reasons{version, damage, mismatch}, start(new("w"), BootstrapFailed{"w", "no"}), validate)
}

func TestEveryRefusalOfValidationSaysWhatItFound(t *testing.T) {
	for name, r := range refusedEnvelopes() {
		assert.Equal(t, r.want, r.env.Validate(), name)
		if text, err := r.env.AppendJSON(nil); err == nil { // what cannot be written cannot come
			_, err = ParseEnvelope(text)
			assert.Equal(t, r.want, err, name)
		}
	}
}

func TestAnOversizedPayloadIsRefusedInValidation(t *testing.T) {
	for _, env := range []Envelope{
		NewEnvelope(Header{}, SpawnJob{Payload: oversized}),
		NewWorkerEnvelope("w", Header{}, JobCompleted{1, OutcomeOk{oversized}}),
	} {
		want := &PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes}
		assert.Equal(t, want, env.Validate())
		text, err := env.AppendJSON([]byte("as it was"))
		assert.Equal(t, want, err, "nor is it written")
		assert.Equal(t, "as it was", string(text))
	}
}

func TestAnEnvelopeThatIsChangedAfterACheckIsNoticed(t *testing.T) {
	valid := NewWorkerEnvelope("w", Header{1, 2, 3, 4, 5}, StatusSnapshot{6, StateRunning, new("detail")})
	for name, change := range map[string]func(env *Envelope){
		"version":   func(env *Envelope) { env.Version++ },
		"message":   func(env *Envelope) { env.MessageID++ },
		"sequence":  func(env *Envelope) { env.SeqNo++ },
		"decision":  func(env *Envelope) { env.DecisionSeq++ },
		"seed":      func(env *Envelope) { env.Seed++ },
		"turn":      func(env *Envelope) { env.IssuedAtTurn++ },
		"worker":    func(env *Envelope) { env.WorkerID = new("x") },
		"no worker": func(env *Envelope) { env.WorkerID = nil },
		"digest":    func(env *Envelope) { env.ReplayHash++ },
		"operation": func(env *Envelope) { env.Op = CancelAcknowledged{6} },
		"a member":  func(env *Envelope) { env.Op = StatusSnapshot{6, StateQueued, new("detail")} },
		"a text":    func(env *Envelope) { *env.Op.(StatusSnapshot).Detail = "changed" },
	} {
		text := textOf(t, valid)
		env, err := ParseEnvelope([]byte(text))
		require.NoError(t, err)
		require.NoError(t, env.Validate())
		change(&env)
		assert.Error(t, env.Validate(), name)
		h := readyHostScene(t)
		h.refuses(env.Validate(), func() error { return h.HandleInbound(&env) })
	}
}

func TestAVerifiedEnvelopeThatIsHandedOutAndChangedStaysVerified(t *testing.T) {
	for _, op := range []Op{
		StatusSnapshot{1, StateRunning, new("detail")},
		Diagnostic{LevelWarn, "c", "m", new("metadata")},
		JobCompleted{1, OutcomeOk{[]byte("result")}},
	} {
		h := readyHostScene(t)
		h.into(1, StateQueued)
		valid := fromWorker("w", h.seq+1, op)
		v, err := Verify([]byte(textOf(t, valid)))
		require.NoError(t, err)

		env := v.Envelope()
		assert.Equal(t, valid, env)
		*env.WorkerID = "x"
		switch op := env.Op.(type) {
		case StatusSnapshot:
			*op.Detail = "changed"
		case Diagnostic:
			*op.Metadata = "changed"
		}
		env.Op, env.SeqNo, env.WorkerID = nil, 0, nil
		assert.Equal(t, valid, v.Envelope())
		twin := v // a copy is as good
		h.ok(h.HandleVerified(v))
		assert.Equal(t, &SequenceError{h.seq + 1, h.seq + 1}, h.HandleVerified(twin))
	}
}

func TestVerifiedEnvelopesOfAnotherGoroutineAreTaken(t *testing.T) {
	c := NewCoordinator(42)
	verified := make(chan Verified)
	go func() {
		defer close(verified)
		for seq, op := range []Op{BootstrapReady{"w"}, Diagnostic{}, ShutdownCompleted{}} {
			text, _ := fromWorker("w", uint64(seq+1), op).AppendJSON(nil)
			v, _ := Verify(text)
			verified <- v
		}
	}()
	for v := range verified {
		assert.NoError(t, c.HandleVerified(v))
	}
	assert.Equal(t, uint64(3), c.lastSeen)
}

// Values that no peer could send.

// An operation of somebody else's making, which the seal of Op does not keep out.
type (
	embedsOp      struct{ Op }
	embedsSpawn   struct{ SpawnJob }
	embedsOutcome struct{ Outcome }
)

// impossibleOps are operations that only a Go program can have, with the wire name of what is at fault.
func impossibleOps() map[string][]Op {
	ops := map[string][]Op{
		"op": {nil, embedsOp{}, embedsOp{PollStatus{1}}, &embedsOp{}, embedsSpawn{}, &embedsSpawn{}, (*embedsSpawn)(nil)},
		"outcome": {
			JobCompleted{1, nil}, JobCompleted{1, &OutcomeOk{}}, JobCompleted{1, (*OutcomeOk)(nil)}, JobCompleted{1, &OutcomeErr{}},
			JobCompleted{1, (*OutcomeCancelled)(nil)}, JobCompleted{1, (*OutcomePanicked)(nil)}, JobCompleted{1, embedsOutcome{}},
			JobCompleted{1, embedsOutcome{OutcomeOk{}}}, JobCompleted{1, &embedsOutcome{}},
		},
		"state": {StatusSnapshot{1, 8, nil}, StatusSnapshot{1, 255, nil}},
		"level": {Diagnostic{Level: 3}, Diagnostic{Level: 255}},
	}
	for _, op := range everyOp("w") {
		pointer := reflect.New(reflect.TypeOf(op)) // to a copy, and to nothing
		pointer.Elem().Set(reflect.ValueOf(op))
		ops["op"] = append(ops["op"], pointer.Interface().(Op), reflect.Zero(pointer.Type()).Interface().(Op))

		for name, members := range illFormedCopies(reflect.ValueOf(op)) {
			for _, member := range members {
				ops[name] = append(ops[name], member.Interface().(Op))
			}
		}
	}
	return ops
}

// illFormedCopies returns copies of a struct, each with one of its texts ill-formed, by the wire name of
// the text.
func illFormedCopies(v reflect.Value) map[string][]reflect.Value {
	copies := make(map[string][]reflect.Value)
	change := func(field int, name string, to reflect.Value) {
		twin := reflect.New(v.Type()).Elem()
		twin.Set(v)
		twin.Field(field).Set(to)
		copies[name] = append(copies[name], twin)
	}
	for i := range v.NumField() {
		name := strings.ToLower(v.Type().Field(i).Name)
		if name == "workerid" {
			name = "worker_id"
		}
		for _, bad := range []string{"\xff", "a\x80", "\xe2\x82", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "good\n\xc3"} {
			switch v.Field(i).Interface().(type) {
			case string:
				change(i, name, reflect.ValueOf(bad))
			case *string:
				change(i, name, reflect.ValueOf(&bad))
			}
		}
		if outcome, ok := v.Field(i).Interface().(Outcome); ok {
			for name, twins := range illFormedCopies(reflect.ValueOf(outcome)) {
				for _, twin := range twins {
					change(i, name, twin)
				}
			}
		}
	}
	return copies
}

func TestValuesThatNoPeerCouldSendAreErrorsAndNeverOnTheWire(t *testing.T) {
	ops := impossibleOps()
	for _, name := range []string{"op", "outcome", "state", "level", "worker_id", "reason", "detail", "code", "category", "message", "metadata"} {
		assert.NotEmpty(t, ops[name], name)
	}
	for name, ops := range ops {
		t.Run(name, func(t *testing.T) {
			h, w := readyHostScene(t), readyWorkerScene(t)
			for _, op := range ops {
				_ = ReplayHash(Header{}, nil, op)
				for _, env := range []Envelope{NewEnvelope(Header{SeqNo: 1000}, op), NewWorkerEnvelope("w", Header{SeqNo: 1000}, op)} {
					impossible(t, h, w, env, name)
				}
			}
		})
	}
	t.Run("the envelope's worker id", func(t *testing.T) {
		impossible(t, readyHostScene(t), readyWorkerScene(t), NewWorkerEnvelope(illFormed, Header{SeqNo: 1000}, CancelAcknowledged{1}), "worker_id")
	})
}

func impossible(t *testing.T, h *hostScene, w *workerScene, env Envelope, field string) {
	t.Helper()
	var e *ValueError
	err := env.Validate()
	assert.ErrorIs(t, err, ErrInvalidValue)
	require.ErrorAs(t, err, &e, "%#v", env.Op)
	assert.Equal(t, field, e.Field)

	text, unwritable := env.AppendJSON([]byte("as it was"))
	assert.Equal(t, err, unwritable)
	assert.Equal(t, "as it was", string(text))
	text, unwritable = env.MarshalJSON()
	assert.Equal(t, err, unwritable)
	assert.Empty(t, text)

	h.refuses(err, func() error { return h.HandleInbound(&env) })
	w.refuses(err, func() error { return w.HandleInbound(&env) })
	switch op := env.Op.(type) {
	case JobCompleted:
		w.refuses(err, func() error { return w.Complete(op.JobID, op.Outcome) })
	case Diagnostic:
		w.refuses(err, func() error { return w.Diagnose(op) })
	}
}

func TestNoEnvelopeIsAnErrorLikeAnother(t *testing.T) {
	var none *Envelope
	assert.Equal(t, invalid("envelope", "is nil"), none.Validate())
	assert.ErrorIs(t, new(Envelope).Validate(), ErrVersionMismatch)
	_, err := Envelope{}.AppendJSON(nil)
	assert.ErrorIs(t, err, ErrInvalidValue)
	assert.Zero(t, Verified{}.Envelope())
}

// Names.

func TestNamesForPeopleAndOnTheWire(t *testing.T) {
	for got, want := range map[any]string{
		StateCreated: "created", StateQueued: "queued", StateRunning: "running", StateCancelRequested: "cancel_requested",
		StateDraining: "draining", StateFinalizing: "finalizing", StateCompleted: "completed", StateFailed: "failed",
		JobState(8): "unknown_state_8", JobState(255): "unknown_state_255",
		LevelInfo: "Info", LevelWarn: "Warn", LevelError: "Error", Level(3): "UnknownLevel3",
		SenderCoordinator: "coordinator", SenderWorker: "worker", Sender(0): "unknown_sender_0", Sender(3): "unknown_sender_3",
		TransferStructuredClone: "structured_clone", TransferArrayBuffer: "transfer_array_buffer", PayloadTransferMode(2): "unknown_transfer_mode_2",
		OpSpawnJob: "SpawnJob", OpDiagnostic: "Diagnostic", OpType(0): "UnknownOp0", OpType(16): "UnknownOp16",
	} {
		assert.Equal(t, want, got.(interface{ String() string }).String())
	}
	assert.Zero(t, OpType(0).Sender())
	assert.Zero(t, OpType(16).Sender())
}

func TestJobStatesAreTextsAsOnTheWire(t *testing.T) {
	for state, name := range map[JobState]string{
		StateCreated: "Created", StateQueued: "Queued", StateRunning: "Running", StateCancelRequested: "CancelRequested",
		StateDraining: "Draining", StateFinalizing: "Finalizing", StateCompleted: "Completed", StateFailed: "Failed",
	} {
		text, err := state.MarshalText()
		assert.NoError(t, err)
		assert.Equal(t, name, string(text))
		read := JobState(255)
		assert.NoError(t, read.UnmarshalText(text))
		assert.Equal(t, state, read)
		assert.Contains(t, textOf(t, NewWorkerEnvelope("w", Header{}, StatusSnapshot{1, state, nil})), `"state":"`+name+`"`)
	}
	_, err := JobState(8).MarshalText()
	assert.Equal(t, invalid("state", "is not one of the eight"), err)
	state := StateRunning
	for _, name := range []string{"", "running", "Running ", "cancel_requested", strings.Repeat("R", 1<<20)} {
		err := state.UnmarshalText([]byte(name))
		assert.ErrorIs(t, err, ErrInvalidValue)
		assert.Less(t, len(err.Error()), 300)
		assert.Equal(t, StateRunning, state)
	}
}

func TestPayloadTransferModesAreTexts(t *testing.T) {
	for mode, name := range map[PayloadTransferMode]string{
		TransferStructuredClone: `"structured_clone"`, TransferArrayBuffer: `"transfer_array_buffer"`,
	} {
		text, err := json.Marshal(mode)
		assert.NoError(t, err)
		assert.Equal(t, name, string(text))
		read := PayloadTransferMode(255)
		assert.NoError(t, json.Unmarshal(text, &read))
		assert.Equal(t, mode, read)
	}
	_, err := PayloadTransferMode(2).MarshalText()
	assert.Equal(t, invalid("transfer_mode", "is not one of the two"), err)
	mode := TransferArrayBuffer
	for _, name := range []string{"", "StructuredClone", strings.Repeat("t", 1<<20)} {
		err := mode.UnmarshalText([]byte(name))
		assert.ErrorIs(t, err, ErrInvalidValue)
		assert.Less(t, len(err.Error()), 300)
		assert.Equal(t, TransferArrayBuffer, mode)
	}
}

func TestPayloadsAreOwnedAndTravelByStructuredClone(t *testing.T) {
	assert.True(t, SpawnJob{}.OwnsPayload())
	assert.Equal(t, TransferStructuredClone, SpawnJob{}.PayloadTransferMode())
	for outcome, want := range map[string]struct {
		Outcome
		has bool
	}{
		"ok": {OutcomeOk{}, true}, "err": {OutcomeErr{}, false}, "cancelled": {OutcomeCancelled{}, false}, "panicked": {OutcomePanicked{}, false},
	} {
		mode, has := want.PayloadTransferMode()
		assert.Equal(t, want.has, has, outcome)
		assert.Equal(t, TransferStructuredClone, mode, outcome)
	}
}

// Errors.

func TestEveryErrorHasOneKindItsDataAndATextToActOn(t *testing.T) {
	const p = "workerchannel: "
	job := func(kind error) error { return &JobError{kind, 7, StateRunning} }
	untested := make(map[string]error)
	for name, kind := range errorKinds {
		untested[name] = kind
	}
	for _, e := range []struct {
		err  error
		kind string
		text string
	}{
		{&MismatchError{ErrVersionMismatch, 1, 2}, "VersionMismatch", "protocol version mismatch: expected 1, got 2"},
		{&MismatchError{ErrReplayHashMismatch, 1<<64 - 1, 0}, "ReplayHashMismatch", "replay digest mismatch: expected 18446744073709551615, got 0"},
		{ErrMissingWorkerIdentity, "MissingWorkerIdentity", "a worker's operation came in an envelope without worker id"},
		{&WorkerError{Kind: ErrUnexpectedWorkerIdentity, WorkerID: "w"}, "UnexpectedWorkerIdentity",
			`a coordinator's operation came in an envelope with a worker id: worker "w"`},
		{&WorkerError{Kind: ErrWorkerIdentityMismatch, WorkerID: "w", Expected: new("x")}, "WorkerIdentityMismatch",
			`worker identity mismatch: worker "w", expected "x"`},
		{&PayloadError{262145, 262144}, "PayloadTooLarge", "payload too large: 262145 bytes, at most 262144"},
		{&ParseError{Offset: 5, Err: &PayloadError{262145, 262144}}, "PayloadTooLarge", "payload too large: 262145 bytes, at most 262144 (at byte 5)"},
		{&DirectionError{OpPollStatus}, "UnexpectedDirection", "operation sent in the wrong direction: PollStatus"},
		{&SequenceError{5, 4}, "InboundSequenceNotFresh", "inbound sequence number is not fresh: got 4 where more than 5 is needed"},
		{&WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "w", Expected: new("")}, "WorkerSessionMismatch",
			`message of a worker that is not the active one: worker "w", expected ""`},
		{&WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "w"}, "WorkerSessionMismatch",
			`message of a worker that is not the active one: worker "w", expected none`},
		{&WorkerError{Kind: ErrRetiredWorker, WorkerID: "w"}, "RetiredWorker", `bootstrap of a worker whose session ended: worker "w"`},
		{&WorkerError{Kind: ErrBootstrapFailed, WorkerID: "w", Reason: "no\nmemory"}, "BootstrapFailed",
			`worker bootstrap failed: worker "w": "no\nmemory"`},
		{&TransitionError{7, StateQueued, StateFinalizing}, "InvalidTransition", "invalid job state transition: job 7 from queued to finalizing"},
		{job(ErrTerminalStatusSnapshot), "TerminalStatusSnapshot", "status snapshot with a terminal state: job 7, state running"},
		{job(ErrInvalidStatusSnapshotState), "InvalidStatusSnapshotState", "status snapshot neither queued nor running: job 7, state running"},
		{job(ErrUnexpectedCompletionPhase), "UnexpectedCompletionPhase", "job completed in a phase that allows no outcome: job 7, state running"},
		{job(ErrJobNotPollable), "JobNotInFlight", "job is not in flight: job 7, state running"},
		{job(ErrJobNotTerminal), "JobNotTerminal", "job is not in a terminal state: job 7, state running"},
		{&JobError{Kind: ErrDuplicateJobID, JobID: 7}, "DuplicateJobID", "job id is already tracked: job 7"},
		{&JobError{Kind: ErrUnknownJobID, JobID: 7}, "UnknownJobID", "job id is not tracked: job 7"},
		{ErrWorkerNotReady, "WorkerNotReady", "worker is not ready"},
		{ErrShutdownInProgress, "ShutdownInProgress", "shutdown is in progress"},
		{ErrAlreadyAnnounced, "AlreadyAnnounced", "worker has already announced itself ready"},
		{&ValueError{"reason", "is not well-formed UTF-8"}, "InvalidValue", "value that no peer can send: reason is not well-formed UTF-8"},
		{&ParseError{Offset: 5, Cause: "a colon is needed"}, "Malformed", "text that is no message: at byte 5: a colon is needed"},
	} {
		assert.Equal(t, e.kind, kindOf(e.err), "exactly one kind")
		assert.Equal(t, p+e.text, e.err.Error())
		delete(untested, e.kind)
	}
	assert.Empty(t, untested)
}

// TestErrorsCarryTheDataOfSection8 finds it by errors.As in errors that the two halves have answered,
// all but those whose data the conformance data shows.
func TestErrorsCarryTheDataOfSection8(t *testing.T) {
	h := busyHostScene(t)
	reason := "no " + strings.Repeat("é", 1<<20)
	err := h.from("x", 1, BootstrapFailed{"x", reason})
	var worker *WorkerError
	require.ErrorAs(t, err, &worker)
	assert.Equal(t, WorkerError{ErrBootstrapFailed, "x", nil, reason}, *worker, "the reason is whole in the data")
	assert.Less(t, len(err.Error()), 300, "and short in the text")

	_, err = ParseEnvelope([]byte(`{"op":7}`))
	var parse *ParseError
	require.ErrorAs(t, err, &parse)
	assert.Equal(t, ParseError{6, "an object is needed", nil}, *parse)

	_, err = ParseEnvelope([]byte(replaceOnce(t, spawnText, `[1,2,255]`, payloadText(MaxPayloadBytes+1))))
	var payload *PayloadError
	require.ErrorAs(t, err, &payload)
	assert.Equal(t, PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes}, *payload)
	require.ErrorAs(t, err, &parse)
	assert.NotErrorIs(t, err, ErrMalformed)

	var value *ValueError
	require.ErrorAs(t, h.CancelJob(1, illFormed), &value)
	assert.Equal(t, ValueError{"reason", notText}, *value)

	var transition *TransitionError
	require.ErrorAs(t, h.CancelJob(7, ""), &transition)
	assert.Equal(t, TransitionError{7, StateFailed, StateCancelRequested}, *transition)
}

func TestErrorTextsAreShortOnOneLineAndWellFormedWhateverThePeerSays(t *testing.T) {
	huge := strings.Repeat("\n\xffé", 16<<20) // 64 MiB
	for _, err := range []error{
		&WorkerError{Kind: ErrBootstrapFailed, WorkerID: huge, Reason: huge},
		&WorkerError{Kind: ErrWorkerIdentityMismatch, WorkerID: huge, Expected: &huge},
		&WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: huge, Expected: &huge},
		&WorkerError{Kind: ErrRetiredWorker, WorkerID: huge},
		&WorkerError{Kind: ErrUnexpectedWorkerIdentity, WorkerID: huge},
		new(JobState).UnmarshalText([]byte(huge)),
		new(PayloadTransferMode).UnmarshalText([]byte(huge)),
	} {
		text := err.Error()
		assert.Less(t, len(text), 1024)
		assert.True(t, utf8.ValidString(text))
		assert.NotContains(t, text, "\n")
	}

	h := newHostScene(t)
	reason := strings.Repeat("no memory\n", 1<<16)
	env := fromWorker("w", 1, BootstrapFailed{"w", reason})
	err := h.HandleInbound(&env)
	assert.ErrorIs(t, err, ErrBootstrapFailed)
	assert.Less(t, len(err.Error()), 300)
	assert.True(t, strings.HasPrefix(err.Error(), `workerchannel: worker bootstrap failed: worker "w": "no memory\n`), err.Error())

	for _, old := range []string{`"PollStatus"`, `"type"`} {
		var env Envelope
		err = env.UnmarshalJSON([]byte(replaceOnce(t, pollText, old, `"`+strings.Repeat("x", 1<<20)+`"`)))
		assert.ErrorIs(t, err, ErrMalformed)
		assert.Less(t, len(err.Error()), 300)
	}
}

// The reader's two short cuts change no answer, so only a look inside shows that they are taken.

func TestTheDigestOfACanonicalTextIsTakenFromTheText(t *testing.T) {
	eachLine(t, "testdata/envelopes.jsonl", func(t *testing.T, line []byte) {
		var want struct{ Wire string }
		require.NoError(t, json.Unmarshal(line, &want))
		r := decoder{scanner: scanner{data: []byte(want.Wire)}, verifying: true}
		require.NoError(t, r.read())
		assert.True(t, r.digested)
		assert.Equal(t, replayHash(&r.env.Header, r.env.WorkerID, &r.op), uint64(r.digest))
	})
}

func TestACanonicalPayloadIsReadInOneRun(t *testing.T) {
	payload := make([]byte, 3*256)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	text := jsonText(nil).bytes(payload)
	r := scanner{data: append(text, `}}`...), pos: 1, summed: 1, canonical: true}
	got := r.payloadRun(make([]byte, 0, len(payload)))
	assert.Equal(t, payload[:len(payload)-1], got, "all but the last, behind which comes no comma")
	assert.Equal(t, digest(0).literal(string(text[1:r.summed])), r.digest)
	assert.LessOrEqual(t, r.summed, r.pos)
	assert.Less(t, r.pos-r.summed, len(text)/4, "the digest keeps up")
}

func TestATextMayEndAnywhereInAPayload(t *testing.T) {
	for n := range len(spawnText) {
		_, err := ParseEnvelope(slices.Clip([]byte(spawnText)[:n])) // no byte to read by mistake
		assert.ErrorIs(t, err, ErrMalformed)
	}
	for n := range len("255,255,255,255,255") {
		r := scanner{data: slices.Clip([]byte("255,255,255,255,255")[:n])}
		r.payloadRun(make([]byte, 0, 9))
		assert.LessOrEqual(t, r.pos, n)
	}
}

func TestALoneContinuationByteIsIllFormed(t *testing.T) {
	for _, text := range []string{"\x80", "a\x80", "\xbf"} {
		_, err := ParseEnvelope([]byte(strings.Replace(diagnosticText, `"m"`, `"`+text+`"`, 1)))
		assert.ErrorContains(t, err, "the text is not well-formed UTF-8", "%q", text)
	}
}

func TestAPeersTextIsQuotedUpTo64Bytes(t *testing.T) {
	whole := strings.Repeat("x", 64)
	assert.Equal(t, `"`+whole+`"`, quote(whole))
	assert.Equal(t, `"`+whole+`"... (65 bytes)`, quote(whole+"y"))
}
