package wiretest

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
)

// Arbitrary input. `go test` runs the seeds and the corpora in testdata/fuzz. To search further, run
// go test -run '^$' -fuzz with one of the targets, and -fuzzminimizetime 20x, as their inputs are long.

func FuzzParseEnvelope(f *testing.F) {
	for _, line := range model.Lines(f, "envelopes.jsonl") {
		f.Add([]byte(field(f, line, "wire")))
	}
	for _, line := range model.Lines(f, "documents.jsonl") {
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
		env := wc.Envelope{Version: version, Header: wc.Header{MessageID: messageID, SeqNo: seqNo, DecisionSeq: decisionSeq, Seed: seed, IssuedAtTurn: turn}}
		if hasWorker {
			env.WorkerID = &worker
		}
		var optional *string
		if hasText {
			optional = &text
		}
		outcomes := []wc.Outcome{nil, wc.OutcomeOk{Payload: payload}, wc.OutcomeErr{Code: text, Message: more}, wc.OutcomeCancelled{Reason: text}, wc.OutcomePanicked{Message: text}}
		ops := []wc.Op{
			nil, wc.BootstrapReady{WorkerID: text}, wc.BootstrapFailed{WorkerID: text, Reason: more},
			wc.SpawnJob{JobID: id, RegionID: messageID, TaskID: seqNo, ObligationID: seed, Payload: payload},
			wc.PollStatus{JobID: id},
			wc.StatusSnapshot{JobID: id, State: wc.JobState(sub), Detail: optional},
			wc.JobCompleted{JobID: id, Outcome: outcomes[int(sub)%len(outcomes)]}, wc.CancelJob{JobID: id, Reason: text},
			wc.CancelAcknowledged{JobID: id}, wc.DrainJob{JobID: id}, wc.DrainCompleted{JobID: id}, wc.FinalizeJob{JobID: id}, wc.FinalizeCompleted{JobID: id},
			wc.ShutdownWorker{Reason: text}, wc.ShutdownCompleted{}, wc.Diagnostic{Level: wc.Level(sub), Category: text, Message: more, Metadata: optional},
		}
		env.Op = ops[int(op)%len(ops)]

		written, err := env.AppendJSON([]byte("before"))
		if !model.Sendable(env) {
			require.ErrorIs(t, err, wc.ErrInvalidValue)
			require.Equal(t, "before", string(written))
			require.Error(t, env.Validate())
			return
		}
		require.NoError(t, err)
		require.Equal(t, model.Digest(env), wc.ReplayHash(env.Header, env.WorkerID, env.Op))
		env = model.Seal(env)
		written, err = env.AppendJSON(nil)
		require.NoError(t, err)
		require.Equal(t, model.Wire(env), string(written))
		var read wc.Envelope
		require.NoError(t, read.UnmarshalJSON(written))
		require.Equal(t, env, read)
		_, err = wc.ParseEnvelope(written)
		require.Equal(t, model.Describe(model.Verdict(env)), model.Describe(err))
	})
}

// field returns a text of a JSON object.
func field(t testing.TB, object []byte, name string) string {
	var fields map[string]any
	require.NoError(t, json.Unmarshal(object, &fields))
	text, ok := fields[name].(string)
	require.True(t, ok, name)
	return text
}
