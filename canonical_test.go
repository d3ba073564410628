package workerchannel

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// canonically reads a text as the canonical reader alone does, with its digest.
func canonically(text []byte, known string) (env Envelope, hash uint64, ok bool) {
	var f flatOp
	hash, ok = readCanonical(text, known, &env, &f)
	env.Op, _ = f.op()
	return env, hash, ok
}

// requireCanonical checks that the canonical reader reads a text like the decoder, with its digest, if and only if it is
// of this version and the worker id needs no escapes.
func requireCanonical(t require.TestingT, text []byte, known string) {
	var want Envelope
	var f flatOp
	require.NoError(t, readAny(text, &want, &f))
	var err error
	want.Op, err = f.op()
	require.NoError(t, err)
	got, hash, ok := canonically(text, known)
	plain := want.WorkerID == nil || string(jsonText(nil).str(*want.WorkerID)) == `"`+*want.WorkerID+`"`
	require.Equal(t, want.Version == ProtocolVersion && plain, ok, "%q", text)
	if ok {
		require.Equal(t, want, got)
		require.Equal(t, ReplayHash(want.Header, want.WorkerID, want.Op), hash)
	}
}

func TestCanonicalReaderReadsTheEnvelopesOfTheTestData(t *testing.T) {
	needClone(t)
	lines := strings.Split(strings.TrimSpace(readFile(t, "testdata/envelopes.jsonl")), "\n")
	for i, line := range lines {
		t.Run("", func(t *testing.T) {
			var want struct{ Wire string }
			require.NoError(t, json.Unmarshal([]byte(line), &want), "line %d", i+1)
			requireCanonical(t, []byte(want.Wire), "")
		})
	}
}

// drawEnvelope draws an envelope of any operation, with values of every length that their JSON can have.
func drawEnvelope(t *rapid.T) Envelope {
	odd := rapid.RuneFrom([]rune("\"\\/<>&{}[]:,\b\t\n\f\r\x00\x01\x1f \x7f\u0080\u2028\ufeff\ufffd\ud7ff\U00010000\U0010ffffau0"))
	texts := rapid.OneOf(rapid.StringOf(odd), rapid.String())
	numbers := rapid.OneOf(rapid.SampledFrom([]uint64{0, 9, 10, 99, 100, 1<<53 + 1, math.MaxUint64/10 + 1, math.MaxUint64}), rapid.Uint64())
	text := func() string { return texts.Draw(t, "text") }
	optional := func() *string { return rapid.Ptr(texts, true).Draw(t, "optional") }
	number := func() uint64 { return numbers.Draw(t, "number") }
	payload := func() []byte { return rapid.SliceOf(rapid.Byte()).Draw(t, "payload") }
	below := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
	outcomes := []func() Outcome{
		func() Outcome { return OutcomeOk{payload()} }, func() Outcome { return OutcomeErr{text(), text()} },
		func() Outcome { return OutcomeCancelled{text()} }, func() Outcome { return OutcomePanicked{text()} },
	}
	sender := text()
	ops := []func() Op{
		func() Op { return BootstrapReady{sender} }, func() Op { return BootstrapFailed{sender, text()} },
		func() Op { return SpawnJob{number(), number(), number(), number(), payload()} }, func() Op { return PollStatus{number()} },
		func() Op { return StatusSnapshot{number(), JobState(below(8)), optional()} },
		func() Op { return JobCompleted{number(), outcomes[below(len(outcomes))]()} }, func() Op { return CancelJob{number(), text()} },
		func() Op { return CancelAcknowledged{number()} }, func() Op { return DrainJob{number()} }, func() Op { return DrainCompleted{number()} },
		func() Op { return FinalizeJob{number()} }, func() Op { return FinalizeCompleted{number()} },
		func() Op { return ShutdownWorker{text()} }, func() Op { return ShutdownCompleted{} },
		func() Op { return Diagnostic{Level(below(3)), text(), text(), optional()} },
	}
	h, op := Header{number(), number(), number(), number(), number()}, ops[below(len(ops))]()
	if op.Type().Sender() == SenderWorker {
		return NewWorkerEnvelope(sender, h, op)
	}
	return NewEnvelope(h, op)
}

func TestCanonicalReaderReadsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		env := drawEnvelope(t)
		text, err := env.AppendJSON(nil)
		require.NoError(t, err)
		known := ""
		if env.WorkerID != nil && rapid.Bool().Draw(t, "known") {
			known = *env.WorkerID
		}
		requireCanonical(t, text, known)
	})
}

// TestCanonicalReaderReadsNothingElse damages a written text. What the canonical reader still takes must be canonical
// itself, but for white space at the end.
func TestCanonicalReaderReadsNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		env := drawEnvelope(t)
		text, err := env.AppendJSON(nil)
		require.NoError(t, err)
		at := rapid.IntRange(0, len(text)).Draw(t, "at")
		cut := rapid.IntRange(0, min(3, len(text)-at)).Draw(t, "cut")
		put := rapid.SliceOfN(rapid.SampledFrom([]byte("0129,:\"\\{}[] \n\x00\x80nultx")), 0, 3).Draw(t, "put")
		text = slices.Clip(slices.Replace(text, at, at+cut, put...)) // no byte to read by mistake
		if got, _, ok := canonically(text, ""); ok {
			again, err := got.AppendJSON(nil)
			require.NoError(t, err)
			require.Equal(t, strings.TrimRight(string(text), " \t\r\n"), string(again))
			requireCanonical(t, text, "")
		}
	})
}

func TestCanonicalReaderRefusesWhatIsCutOff(t *testing.T) {
	for _, text := range []string{pollText, stopText, spawnText, snapshotText, doneText, errText, diagnosticText} {
		_, _, ok := canonically([]byte(text), "")
		assert.True(t, ok, text)
		for n := range len(text) {
			_, _, ok := canonically(slices.Clip([]byte(text)[:n]), "")
			assert.False(t, ok, text[:n])
		}
		_, _, ok = canonically([]byte(text+" \t\r\n"), "")
		assert.True(t, ok, "the line feed of a frame may be left")
	}
}

func TestCanonicalElementsAreReadInOneRun(t *testing.T) {
	payload := make([]byte, 3*256)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	text := append(jsonText(nil).bytes(payload), `}}`...)
	end, got, d := elements(text, 1, make([]byte, 0, len(payload)), 0, 1)
	assert.Equal(t, payload[:len(payload)-1], got, "all but the last, behind which comes no comma")
	assert.Equal(t, chain(digest(0), text[1:end]), d)
	_, _, d = elements(text, 1, make([]byte, 0, len(payload)), 42, len(text))
	assert.Equal(t, digest(42), d, "no digest is wanted")
	for n := range len("255,255,255,255,255") {
		end, _, _ := elements(slices.Clip([]byte("255,255,255,255,255")[:n]), 0, make([]byte, 0, 9), 0, 0)
		assert.LessOrEqual(t, end, n)
	}
}

func TestCanonicalReaderTakesNumbersUpTo64Bits(t *testing.T) {
	for number, want := range map[string]bool{
		"0": true, "9": true, "10": true, "9999999999999999999": true, "10000000000000000000": true,
		"18446744073709551615": true, "18446744073709551616": false, "19999999999999999999": false,
		"20000000000000000000": false, "28446744073709551615": false, "36893488147419103232": false,
		"99999999999999999999": false, "100000000000000000000": false, "184467440737095516150": false,
		"": false, "00": false, "01": false, "-1": false, "1.0": false, "1e0": false, " 1": false, "1 ": false,
	} {
		env, _, ok := canonically([]byte(replaceOnce(t, pollText, `"seed":5`, `"seed":`+number)), "")
		require.Equal(t, want, ok, number)
		if ok {
			assert.Equal(t, number, strconv.FormatUint(env.Seed, 10))
		}
		_, _, ok = canonically([]byte(replaceOnce(t, pollText, `"job_id":8`, `"job_id":`+number)), "")
		assert.Equal(t, want, ok, number)
	}
}

func TestCanonicalReaderTakesElementsUpTo255(t *testing.T) {
	for elements, want := range map[string]bool{
		"": true, "0": true, "9": true, "255": true, "0,255": true, "255,0": true, "1,10,100": true,
		"256": false, "256,1": false, "1,256": false, "999,1": false, "1000,1": false, "1,1000": false,
		"00,1": false, "1,00": false, "010,1": false, "-1,1": false, "1a,1": false, "a1,1": false,
		"1,": false, ",1": false, "1,,1": false, "1 ,1": false, "1, 1": false, "1;1": false,
	} {
		_, _, ok := canonically([]byte(replaceOnce(t, spawnText, `[1,2,255]`, "["+elements+"]")), "")
		assert.Equal(t, want, ok, elements)
	}
	for size, want := range map[int]bool{MaxPayloadBytes: true, MaxPayloadBytes + 1: false} {
		_, _, ok := canonically([]byte(replaceOnce(t, spawnText, `[1,2,255]`, payloadText(size))), "")
		assert.Equal(t, want, ok, size)
	}
}

func TestCanonicalReaderCopiesTheIDOfAnUnknownSenderOnly(t *testing.T) {
	text := []byte(strings.Replace(snapshotText, `"worker_id":"w"`, `"worker_id":"worker"`, 1))
	var env Envelope
	var f flatOp
	read := func(known string) float64 {
		return testing.AllocsPerRun(100, func() { f = flatOp{}; _, _ = readCanonical(text, known, &env, &f) })
	}
	assert.Equal(t, read("another")-1, read("worker"))
	one, _, _ := canonically(text, "worker")
	two, _, _ := canonically(text, "worker")
	assert.NotSame(t, one.WorkerID, two.WorkerID, "each envelope has its own")
}

func TestEveryMemberHasAPlaceOfItsOwn(t *testing.T) {
	var f flatOp
	places := map[any]member{}
	for m := range member(len(memberTable)) {
		switch m.kind() {
		case kNumber:
			places[f.number(m)] = m
		case kText:
			places[f.text(m)] = m
		default:
			continue
		}
	}
	for place := range places {
		assert.NotNil(t, place)
	}
	assert.Len(t, places, 9, "four numbers and five texts")
}

// What the tables say of an operation is what its Go value has, with a value of its own in each member.
func TestEveryOperationHasAFlatFormAndAGoValue(t *testing.T) {
	detail := "detail"
	for typ := OpType(1); typ.known(); typ++ {
		for status := range outcomeStatus(len(outcomeShapes)) {
			members := opShapes[typ].members
			if takes := slices.Contains(members, mOutcome); takes != (status != 0) {
				continue
			}
			want := flatOp{flatValues: flatValues{typ: typ, status: status}}
			for _, m := range slices.Concat(members, outcomeShapes[status].members) {
				switch m.kind() {
				case kNumber:
					require.NotNil(t, want.number(m), m)
					*want.number(m) = uint64(m)
				case kText:
					require.NotNil(t, want.text(m), m)
					*want.text(m) = m.String()
				case kOptional:
					want.optional = &detail
				case kPayload:
					want.payload = []byte{1}
				case kState:
					want.state = StateRunning
				case kLevel:
					want.level = LevelWarn
				}
			}
			op, err := want.op()
			require.NoError(t, err, typ)
			assert.Equal(t, typ, op.Type())
			var got flatOp
			got.set(op)
			assert.Equal(t, want, got)
		}
	}
}

func TestRoomForAPayloadIsBoundedWhateverTheInput(t *testing.T) {
	for _, input := range []int{0, 1, 7, 1 << 20, math.MaxInt} {
		first := moreRoom(nil, input)
		assert.Positive(t, cap(first))
		assert.LessOrEqual(t, cap(first), 2*MaxPayloadBytes)
		more := moreRoom(make([]byte, 100), input)
		assert.Greater(t, cap(more), 100)
		assert.LessOrEqual(t, cap(more), 4*MaxPayloadBytes)
	}
}
