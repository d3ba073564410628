package wiretest

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// refusedByEveryReader also takes care that the envelope that was there stays as it was.
func refusedByEveryReader(t *testing.T, text string, want *wc.ParseError) {
	t.Helper()
	before := wc.NewWorkerEnvelope("w", wc.Header{MessageID: 1, SeqNo: 2, DecisionSeq: 3, Seed: 4, IssuedAtTurn: 5}, wc.Diagnostic{Level: wc.LevelWarn, Category: "c", Message: "m", Metadata: new("d")})
	env := before
	assert.Equal(t, want, env.UnmarshalJSON([]byte(text)))
	assert.Equal(t, before, env, "a refused text leaves the envelope as it was")
	env, err := wc.ParseEnvelope([]byte(text))
	assert.Equal(t, want, err)
	assert.Zero(t, env)
	v, err := wc.Verify([]byte(text))
	assert.Equal(t, want, err)
	assert.Zero(t, v)
}

// TestDecodeErrorsHaveOffsetAndCause changes good texts into bad ones; the mark ▸
// stands where the reader is to stop.
func TestDecodeErrorsHaveOffsetAndCause(t *testing.T) {
	const (
		object    = "expected an object"
		integer   = "expected an integer"
		fraction  = "expected an integer without fraction or exponent"
		leading   = "number has a leading zero"
		outside   = "number is out of range"
		text      = "expected a string"
		escape    = "invalid escape or unpaired surrogate"
		control   = "control character in a string"
		utf8      = "string is not well-formed UTF-8"
		endless   = "string does not end"
		comma     = "expected a comma or the end of the object"
		arrayNext = "expected a comma or the end of the array"
		colon     = "expected a colon"
		bytes     = "expected an array of bytes"
		value     = "expected a value"
		digit     = "expected a digit"
		deep      = "objects and arrays are nested too deep"
		follows   = "expected the end of the input after the envelope"
		opType    = "unknown operation type"
		status    = "unknown outcome status"
		state     = "unknown job state"
		level     = "unknown level"
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
			{pollText, `8}}`, `8},"version":▸1}`, "member version is given twice"},
			{pollText, `8}}`, `8},"seq_no":▸3}`, "member seq_no is given twice"},
			{pollText, `8}}`, `8},"op":▸{"type":"PollStatus","job_id":8}}`, "member op is given twice"},
			{pollText, `8}}`, `8,"job_id":▸8}}`, "member job_id is given twice"},
			{pollText, `8}}`, `8,"type":▸"PollStatus"}}`, "member type is given twice"},
			{pollText, `{"version":1`, `{"\u0076ersion":1,"version":▸1`, "member version is given twice"},
			{pollText, `8}}`, `8,"job\u005fid":▸9}}`, "member job_id is given twice"},
			{snapshotText, `"replay_hash"`, `"worker_id":▸"w","replay_hash"`, "member worker_id is given twice"},
			{snapshotText, `"worker_id":"w"`, `"worker_id":null,"worker_id":▸"w"`, "member worker_id is given twice"},
			{snapshotText, `"detail":"d"`, `"detail":null,"detail":▸null`, "member detail is given twice"},
			{diagnosticText, `"metadata":"d"`, `"metadata":"d","metadata":▸"d"`, "member metadata is given twice"},
			{doneText, `255]}`, `255],"payload":▸[]}`, "member payload is given twice"},
			{doneText, `255]}`, `255],"status":▸"Ok"}`, "member status is given twice"},
			{errText, `"m"}`, `"m"},"outcome":▸{"status":"Err","code":"c","message":"m"}`, "member outcome is given twice"},
		},
		"a member of another case": {
			{pollText, `{"version"`, `▸{"Version"`, "member version is missing"},
			{pollText, `{"type"`, `▸{"Type"`, "member type is missing"},
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
				refusedByEveryReader(t, before+after, &wc.ParseError{Offset: len(before), Cause: r.cause})
			})
		}
	}
}

func TestDecodeReportsAMissingMemberAtItsObject(t *testing.T) {
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
			refusedByEveryReader(t, replaceOnce(t, text, member, ""), &wc.ParseError{Offset: at, Cause: "member " + name + " is missing"})
		}
	}
	const ready = header + `"worker_id":"w","replay_hash":7,"op":{"type":"BootstrapReady"}}`
	refusedByEveryReader(t, ready, &wc.ParseError{Offset: strings.Index(ready, `{"type"`), Cause: "member worker_id is missing"})
}

func TestDecodeRefusesEveryPrefix(t *testing.T) {
	for _, text := range []string{pollText, stopText, spawnText, snapshotText, doneText, errText, diagnosticText} {
		for end := range len(text) {
			_, err := wc.ParseEnvelope([]byte(text[:end]))
			var e *wc.ParseError
			require.ErrorAs(t, err, &e, text[:end])
			assert.LessOrEqual(t, e.Offset, end)
		}
	}
}

func TestDecodeStopsAtTheEndOfInputInsideAPayload(t *testing.T) {
	for n := range len(spawnText) {
		_, err := wc.ParseEnvelope(slices.Clip([]byte(spawnText)[:n])) // no byte to read by mistake
		assert.ErrorIs(t, err, wc.ErrMalformed)
	}
}

func TestDecodeRefusesALoneContinuationByte(t *testing.T) {
	for _, text := range []string{"\x80", "a\x80", "\xbf"} {
		_, err := wc.ParseEnvelope([]byte(strings.Replace(diagnosticText, `"m"`, `"`+text+`"`, 1)))
		assert.ErrorContains(t, err, "string is not well-formed UTF-8", "%q", text)
	}
}

func TestVersionOfATextThatCannotBeReadIsNamed(t *testing.T) {
	for _, row := range []struct {
		name, text string
		version    uint64 // 1: the text is malformed
	}{
		{"an operation of the other version", edited(pollText, `"version":1`, `"version":2`, `"PollStatus"`, `"ResumeJob"`), 2},
		{"a member is missing", edited(pollText, `"version":1`, `"version":0`, `"seed":5,`, ``), 0},
		{"nothing but a version, the highest", `{"version":4294967295}`, 1<<32 - 1},
		{"the version is last, and has an escape", ` {"op":[],"seed":-1.5, "v\u0065rsion" : 3 } `, 3},
		{"an object in the object has another", `{"op":{"version":4},"version":5}`, 5},
		{"this version", edited(pollText, `"PollStatus"`, `"ResumeJob"`), 1},
		{"no version", `{"op":{"version":2}}`, 1},
		{"no u32", `{"version":4294967296}`, 1},
		{"a leading zero", `{"version":02}`, 1},
		{"a string", `{"version":"2"}`, 1},
		{"two versions", `{"version":2,"version":2}`, 1},
		{"not an object", `[{"version":2}]`, 1},
		{"not JSON", `{"version":2,}`, 1},
		{"more than an object", `{"version":2}{}`, 1},
		{"ill-formed UTF-8", "{\"version\":2,\"x\":\"\xff\"}", 1},
		{"nested too deep", `{"version":2,"x":` + nested(127) + `}`, 1},
		{"nested as deep as may be", `{"version":2,"x":` + nested(126) + `}`, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			malformed := new(wc.Envelope).UnmarshalJSON([]byte(row.text))
			require.ErrorIs(t, malformed, wc.ErrMalformed)
			want := malformed
			if row.version != 1 {
				want = &wc.MismatchError{Kind: wc.ErrVersionMismatch, Expected: 1, Actual: row.version}
			}
			_, err := wc.ParseEnvelope([]byte(row.text))
			assert.Equal(t, want, err)
			_, err = wc.Verify([]byte(row.text))
			assert.Equal(t, want, err)
			_, err = wc.NewCoordinator(0).Receive([]byte(row.text))
			assert.Equal(t, want, err)
			_, err = wc.NewWorker("w", 0).Receive([]byte(row.text))
			assert.Equal(t, want, err)
			compareWithReference(t, []byte(row.text))
		})
	}
	tooLarge := edited(spawnText, `"version":1`, `"version":2`, `[1,2,255]`, payloadText(wc.MaxPayloadBytes+1))
	_, err := wc.ParseEnvelope([]byte(tooLarge))
	assert.ErrorIs(t, err, wc.ErrPayloadTooLarge, "that comes first")
}

// edited returns a text with pairs of old and new replaced.
func edited(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }
