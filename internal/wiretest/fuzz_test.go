package workerchannel

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Arbitrary input. `go test` runs the seeds and the corpora in testdata/fuzz. To search further, run
// go test -run '^$' -fuzz with one of the targets, and -fuzzminimizetime 20x, as their inputs are long.

func FuzzParseEnvelope(f *testing.F) {
	for _, line := range lines(f, "testdata/envelopes.jsonl") {
		f.Add([]byte(field(f, line, "wire")))
	}
	for _, line := range lines(f, "testdata/documents.jsonl") {
		text, err := hex.DecodeString(field(f, line, "hex"))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(compareWithReference)
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
	needClone(t)
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
