package wiretest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
)

// compareWithReference compares what this package reads with what the reference reader reads.
func compareWithReference(t *testing.T, text []byte) {
	var reference model.Reader
	want := reference.Envelope(text)
	buffer := slices.Clone(text)
	var env wc.Envelope
	err := env.UnmarshalJSON(buffer)
	parsed, verdict := wc.ParseEnvelope(buffer)
	clear(buffer)

	if reference.Bad || reference.TooLarge {
		require.Zero(t, env)
		require.Zero(t, parsed)
		if errors.Is(err, wc.ErrMalformed) && reference.Version != 1 {
			require.Equal(t, &wc.MismatchError{Kind: wc.ErrVersionMismatch, Expected: 1, Actual: uint64(reference.Version)}, verdict)
		} else {
			require.Equal(t, err, verdict)
		}
		e := new(wc.ParseError)
		require.ErrorAs(t, err, &e)
		require.GreaterOrEqual(t, e.Offset, 0)
		require.LessOrEqual(t, e.Offset, len(text))
		if !reference.Bad {
			require.ErrorIs(t, err, wc.ErrPayloadTooLarge)
		} else if !errors.Is(err, wc.ErrPayloadTooLarge) { // which may have come first
			require.ErrorIs(t, err, wc.ErrMalformed)
		}
		return
	}
	require.NoError(t, err)
	require.Equal(t, want, env)
	wantVerdict := model.Describe(model.Verdict(want))
	require.Equal(t, wantVerdict, model.Describe(verdict))
	require.Equal(t, wantVerdict, model.Describe(env.Validate()))
	if verdict == nil {
		require.Equal(t, want, parsed)
	}

	canonical, err := env.AppendJSON(nil)
	require.NoError(t, err)
	require.Equal(t, model.Wire(want), string(canonical))
	var again wc.Envelope
	require.NoError(t, again.UnmarshalJSON(canonical))
	require.Equal(t, want, again)
	_, err = wc.Verify(canonical)
	require.Equal(t, wantVerdict, model.Describe(err))
}

// Every value of a message in every form that is almost right.
func TestDecodeMatchesReferenceOnEveryMalformedValue(t *testing.T) {
	t.Parallel()
	forms := []model.Raw{
		`0`, `9`, `-0`, `-1`, `+1`, `01`, `00`, `1.0`, `1.`, `.5`, `1e0`, `1E+2`, `0x1`, `1_0`, ` 1`, `255`, `256`, `4294967295`, `4294967296`, `18446744073709551615`, `18446744073709551616`,
		`184467440737095516150`, `99999999999999999999999999`, `NaN`, `null`, `nul`, `true`, `false`, `True`, ``, `{}`, `[]`, `[1]`, `[1,]`, `[,1]`, `[1 2]`, `[-1]`, `[256]`, `[01]`, `[1.0]`, `["1"]`, `[[1]]`, `[null]`, `[1`,
		`""`, `"1"`, `" "`, `"a`, `"\u0061"`, `"\uD83D\uDE00"`, `"\ud800"`, `"\udc00"`, `"\ud800\u0041"`, `"\ud800\ud800"`, `"\udc00\ud800"`, `"\ud800x\udc00"`, `"\\\ud800"`, `"\\ud800"`, `"\ufffd"`, `"\u12"`, `"\u12g4"`, `"\U0041"`,
		`"\x41"`, `"\'"`, `"\`, `"\u`, `"\/"`, "\"\x00\"", "\"\t\"", "\"\x7f\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x80\"", "\"\u2028\"", `'a'`,
		`"Running"`, `"running"`, `"Runn\u0069ng"`, `"Completed"`, `"Info"`, `"info"`, `"Ok"`, `"PollStatus"`, `{"Running":null}`, `{"status":"Ok","payload":[1]}`, `{"status":"Err"}`, `{"type":"ShutdownCompleted"}`,
		`1,"type":"PollStatus"`, `1,"worker_id":null`, `1,"version":1`, `1,"job_id":1`, `1,"detail":null,"detail":null`, `1,"x":1,"x":"\ud800"`, `1,"x":01`, `1,"x":[1,{"y":-1.5e-7}]`, `1,"\u0078":tru`, `1,`, `1,"x"`, `1,"x":`, `1,1:1`, `1}`,
	}
	w := model.NewRewriter(0, 0, 0) // which changes nothing
	for i, env := range oneOfEach() {
		if testing.Short() && i%4 != 0 {
			continue
		}
		tree, err := model.ParseJSON([]byte(model.Wire(env)))
		require.NoError(t, err)
		places := tree.(model.Object)
		if i > 0 { // the others differ in the operation only
			places = places[len(places)-1:]
		}
		eachPlace(places, func(m *model.Member) {
			was := *m
			for _, form := range forms {
				m.Value = form
				compareWithReference(t, w.Write(tree))
			}
			m.Value = was.Value
			for _, name := range []string{"", "x", strings.ToUpper(was.Name), was.Name + "_", was.Name[1:], "type", "worker_id", "detail"} {
				m.Name = name
				compareWithReference(t, w.Write(tree))
			}
			m.Name = was.Name
		})
	}
}

// oneOfEach returns an envelope of each operation and each outcome, and one of another version.
func oneOfEach() (envs []wc.Envelope) {
	for _, op := range []wc.Op{
		wc.BootstrapReady{WorkerID: "w"}, wc.BootstrapFailed{WorkerID: "w", Reason: "why"},
		wc.SpawnJob{JobID: 1, RegionID: 2, TaskID: 3, ObligationID: 4, Payload: []byte{5, 6}}, wc.PollStatus{JobID: 1},
		wc.StatusSnapshot{JobID: 1, State: wc.StateRunning, Detail: new("half")},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{Payload: []byte{7}}},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeErr{Code: "code", Message: "message"}},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeCancelled{Reason: "why"}},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomePanicked{Message: "message"}},
		wc.CancelJob{JobID: 1, Reason: "why"}, wc.CancelAcknowledged{JobID: 1}, wc.DrainJob{JobID: 1},
		wc.DrainCompleted{JobID: 1}, wc.FinalizeJob{JobID: 1}, wc.FinalizeCompleted{JobID: 1},
		wc.ShutdownWorker{Reason: "why"}, wc.ShutdownCompleted{},
		wc.Diagnostic{Level: wc.LevelWarn, Category: "category", Message: "message", Metadata: new("more")},
	} {
		env := wc.Envelope{Version: 1, Header: wc.Header{MessageID: 1, SeqNo: 2, DecisionSeq: 3, Seed: 4, IssuedAtTurn: 5}, Op: op}
		if !model.FromCoordinator(op) {
			env.WorkerID = new("w")
		}
		envs = append(envs, model.Seal(env))
	}
	other := envs[2]
	other.Version = 2
	return append(envs, other)
}

// eachPlace visits all members of an object, and of those within.
func eachPlace(o model.Object, visit func(*model.Member)) {
	for i := range o {
		if inner, ok := o[i].Value.(model.Object); ok {
			eachPlace(inner, visit)
		}
		visit(&o[i])
	}
}

func TestDecodeMatchesReferenceOnSingleByteEdits(t *testing.T) {
	t.Parallel()
	for n, env := range oneOfEach() {
		if testing.Short() && n%4 != 0 {
			continue
		}
		text := model.Wire(env)
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
		"a payload too large":            payload(wc.MaxPayloadBytes + 1),
		"a payload too large, and worse": payload(wc.MaxPayloadBytes+1) + "x",
		"an ignored array of any size":   head + `"payload":[` + strings.Repeat("7,", wc.MaxPayloadBytes) + `7],"op":{"type":"ShutdownCompleted"}}`,
	} {
		t.Run(name, func(t *testing.T) { compareWithReference(t, []byte(text)) })
	}
}
