package wiretest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
)

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

func TestDecodeAcceptsAnyJSONOfTheSameMeaning(t *testing.T) {
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
		{"an oversized payload where none belongs", pollText, `8}}`, `8,"payload":` + payloadText(wc.MaxPayloadBytes+1) + `}}`},
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
	var want, got wc.Envelope
	require.NoError(t, want.UnmarshalJSON([]byte(canonical)))
	assert.Equal(t, canonical, jsonOf(want))
	require.NoError(t, got.UnmarshalJSON([]byte(other)))
	assert.Equal(t, want, got)
	_, err := wc.ParseEnvelope([]byte(other))
	assert.ErrorIs(t, err, wc.ErrReplayHashMismatch)

	want.ReplayHash = wc.ReplayHash(want.Header, want.WorkerID, want.Op)
	sealed := replaceOnce(t, other, `"replay_hash":7`, `"replay_hash":`+strconv.FormatUint(want.ReplayHash, 10))
	got, err = wc.ParseEnvelope([]byte(sealed))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	v, err := wc.Verify([]byte(sealed))
	require.NoError(t, err)
	assert.Equal(t, want, v.Envelope())
}

func TestDecodeAcceptsEscapesOfAnyCharacter(t *testing.T) {
	for c := range rune(0x100) {
		canonical := model.Text(string(c))
		escaped := fmt.Sprintf(`"\u%04x"`, c)
		assertSameMeaning(t, replaceOnce(t, stopText, `"r"`, canonical), replaceOnce(t, stopText, `"r"`, escaped))
	}
}

func TestDecodeAcceptsAbsentAndNullOptionalMembers(t *testing.T) {
	noDetail := replaceOnce(t, snapshotText, `"detail":"d"`, `"detail":null`)
	assertSameMeaning(t, noDetail, replaceOnce(t, noDetail, `,"detail":null`, ``))
	noMetadata := replaceOnce(t, diagnosticText, `"metadata":"d"`, `"metadata":null`)
	assertSameMeaning(t, noMetadata, replaceOnce(t, noMetadata, `,"metadata":null`, ``))
	assertSameMeaning(t, pollText, replaceOnce(t, pollText, `"replay_hash"`, `"worker_id":null,"replay_hash"`))
}

func TestDecodeReadsNumbersAndStringsWhole(t *testing.T) {
	const top = "18446744073709551615"
	for _, member := range []string{"message_id", "seq_no", "decision_seq", "seed", "issued_at_turn", "job_id", "region_id", "task_id", "obligation_id"} {
		before, rest, _ := strings.Cut(spawnText, `"`+member+`":`)
		_, after, _ := strings.Cut(rest, ",")
		for _, n := range []string{"0", "9", "10", "9007199254740993", top} {
			text := before + `"` + member + `":` + n + "," + after
			assertSameMeaning(t, text, " "+text)
		}
	}
	var env wc.Envelope
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
		assert.Equal(t, wc.ShutdownWorker{Reason: want}, env.Op, text)
	}
}

func TestDecodeStopsAtTheFirstPayloadByteOverTheLimit(t *testing.T) {
	const payload = `"payload":[1,2,255]`
	for name, text := range map[string]string{
		"spawn":                spawnText,
		"outcome":              doneText,
		"spawn, type last":     replaceOnce(t, replaceOnce(t, spawnText, `"type":"SpawnJob",`, ``), payload, payload+`,"type":"SpawnJob"`),
		"outcome, status last": replaceOnce(t, doneText, `"status":"Ok",`+payload, payload+` , "status":"Ok"`),
	} {
		t.Run(name, func(t *testing.T) {
			largest := replaceOnce(t, text, payload, `"payload":`+payloadText(wc.MaxPayloadBytes))
			var env wc.Envelope
			require.NoError(t, env.UnmarshalJSON([]byte(largest)))
			assert.Equal(t, bytes.Repeat([]byte{7}, wc.MaxPayloadBytes), payloadOf(env.Op))

			tooLarge := replaceOnce(t, text, payload, `"payload":`+payloadText(wc.MaxPayloadBytes+1))
			want := &wc.ParseError{Offset: strings.LastIndex(tooLarge, "7]"), Err: &wc.PayloadError{Size: wc.MaxPayloadBytes + 1, Max: wc.MaxPayloadBytes}}
			refusedByEveryReader(t, tooLarge, want)
		})
	}
	t.Run("without an end", func(t *testing.T) { // is read no further
		before, _, _ := strings.Cut(spawnText, "[")
		endless := before + "[" + strings.Repeat("7,", wc.MaxPayloadBytes)
		want := &wc.ParseError{Offset: len(endless), Err: &wc.PayloadError{Size: wc.MaxPayloadBytes + 100, Max: wc.MaxPayloadBytes}}
		refusedByEveryReader(t, endless+strings.Repeat("7,", 99)+"x", want)
	})
}

// payloadOf returns the payload of a SpawnJob or of a JobCompleted that is Ok.
func payloadOf(op wc.Op) []byte {
	if spawn, ok := op.(wc.SpawnJob); ok {
		return spawn.Payload
	}
	return op.(wc.JobCompleted).Outcome.(wc.OutcomeOk).Payload
}

func TestDecodedEnvelopeSharesNoMemoryWithTheInput(t *testing.T) {
	for _, env := range everyEnvelope() {
		for name, read := range map[string]func(data []byte) (wc.Envelope, error){
			"ParseEnvelope": wc.ParseEnvelope,
			"UnmarshalJSON": func(data []byte) (e wc.Envelope, err error) { err = e.UnmarshalJSON(data); return e, err },
			"Verify":        func(data []byte) (wc.Envelope, error) { v, err := wc.Verify(data); return v.Envelope(), err },
			"Receive": func(data []byte) (wc.Envelope, error) {
				if env.WorkerID == nil {
					return wc.NewWorker("w", 0).Receive(data)
				}
				c := wc.NewCoordinator(0)
				boot := wc.NewWorkerEnvelope(*env.WorkerID, wc.Header{SeqNo: 1}, wc.BootstrapReady{WorkerID: *env.WorkerID})
				require.NoError(t, c.HandleInbound(&boot))
				e, _ := c.Receive(data) // the envelope is returned, whatever becomes of it
				return e, nil
			},
		} {
			data := []byte(jsonOf(env))
			got, _ := read(data)
			for i := range data {
				data[i] = '*'
			}
			assert.Equal(t, env, got, name)
		}
	}
}

func TestDecodeRefusesAMalformedElementBeyondTheLargestPayload(t *testing.T) {
	const before = `{"version":1,"message_id":1,"seq_no":1,"decision_seq":1,"seed":1,"issued_at_turn":1,"worker_id":"w","replay_hash":1,` +
		`"op":{"type":"JobCompleted","job_id":1,"outcome":{"status":"Ok","payload":[`
	for _, separator := range []string{",", ", "} {
		full := before + strings.Repeat("0"+separator, wc.MaxPayloadBytes)
		for _, tail := range []string{"", "]", "x]", "256]}}}", "01]", "-1]", "1.5]", `"1"]`, "null]"} {
			for name, err := range map[string]error{
				"ParseEnvelope":          func() error { _, err := wc.ParseEnvelope([]byte(full + tail)); return err }(),
				"Verify":                 func() error { _, err := wc.Verify([]byte(full + tail)); return err }(),
				"Envelope.UnmarshalJSON": new(wc.Envelope).UnmarshalJSON([]byte(full + tail)),
				"Coordinator.Receive":    func() error { _, err := wc.NewCoordinator(1).Receive([]byte(full + tail)); return err }(),
				"Worker.Receive":         func() error { _, err := wc.NewWorker("w", 1).Receive([]byte(full + tail)); return err }(),
			} {
				assert.ErrorIs(t, err, wc.ErrMalformed, "%s, %q after %q", name, tail, separator)
			}
		}
		_, err := wc.ParseEnvelope([]byte(full + "1]}}}"))
		assert.ErrorIs(t, err, wc.ErrPayloadTooLarge)
	}
}
