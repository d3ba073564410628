package wiretest

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
	"pgregory.net/rapid"
)

// Properties of the wire: whatever the envelope is and however its JSON is written, it reads as the same.

func TestEnvelopeRoundTripsThroughCanonicalJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { requireRoundTrip(t, model.DrawEnvelope(t, model.AnyPayload)) })
}

func TestPayloadsOfAllSizesRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, 2, 3, 63, 64, 65, 255, 256, 4095, 4096, 65536, wc.MaxPayloadBytes - 1, wc.MaxPayloadBytes} {
		p := model.RandomPayload(size)
		requireRoundTrip(t, model.Seal(wc.Envelope{Version: 1, Op: wc.SpawnJob{JobID: 1, RegionID: 2, TaskID: 3, ObligationID: 4, Payload: p}}))
		requireRoundTrip(t, model.Seal(wc.Envelope{Version: 1, WorkerID: new("w"), Op: wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{Payload: p}}}))
	}
}

// requireRoundTrip checks that a valid envelope has canonical text, and is read back from it.
func requireRoundTrip(t require.TestingT, env wc.Envelope) {
	text, err := env.AppendJSON([]byte("before"))
	require.NoError(t, err)
	require.Equal(t, "before"+model.Wire(env), string(text), "the text is canonical and is appended")
	text = text[len("before"):]

	read, err := wc.ParseEnvelope(text)
	require.NoError(t, err)
	require.Equal(t, env, read)
	again, err := read.AppendJSON(nil)
	require.NoError(t, err)
	require.Equal(t, string(text), string(again), "canonical text is a fixed point")

	v, err := wc.Verify(text)
	require.NoError(t, err)
	clear(text)
	require.Equal(t, env, v.Envelope(), "the envelope shares no memory with the buffer")
	require.Equal(t, env, read, "the envelope shares no memory with the buffer")
}

func TestEnvelopeRoundTripsThroughEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := map[string]wc.Envelope{"valid": model.DrawEnvelope(t, model.SmallPayload)}
		sent["damaged"] = model.DrawDamage(t, sent["valid"])
		text, err := json.Marshal(sent)
		require.NoError(t, err)
		received := map[string]wc.Envelope{}
		require.NoError(t, json.Unmarshal(text, &received))
		require.Equal(t, sent, received)
		indented, err := json.MarshalIndent(sent, "", "\t")
		require.NoError(t, err)
		received = map[string]wc.Envelope{}
		require.NoError(t, json.Unmarshal(indented, &received))
		require.Equal(t, sent, received)
	})
}

func TestReplayHashMatchesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		env := model.DrawEnvelope(t, model.AnyPayload)
		require.Equal(t, model.Digest(env), wc.ReplayHash(env.Header, env.WorkerID, env.Op))
		sealed := wc.NewEnvelope(env.Header, env.Op)
		if env.WorkerID != nil {
			sealed = wc.NewWorkerEnvelope(*env.WorkerID, env.Header, env.Op)
		}
		require.Equal(t, env, sealed)
		require.NoError(t, env.Validate())
	})
}

// TestDecodeMatchesModelOnRewrittenJSON writes an envelope in many forms that mean the same. For canonical JSON the
// digest is computed during the scan, for any other form afterwards: the result must not differ.
func TestDecodeMatchesModelOnRewrittenJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		env := model.DrawEnvelope(t, model.SmallPayload)
		if rapid.Bool().Draw(t, "damaged") {
			env = model.DrawDamage(t, env)
		}
		requireReadsAs(t, env, []byte(model.Wire(env)))
		seed := rapid.Uint64().Draw(t, "seed of the rewriter")
		for ways := range 1 << 5 {
			w := model.NewRewriter(seed, ways, rapid.SampledFrom([]int{3, 50, 100}).Draw(t, "percent"))
			requireReadsAs(t, env, w.Rewrite([]byte(model.Wire(env))))
		}
	})
}

// requireReadsAs checks that JSON decodes to the envelope and validates as the envelope does.
func requireReadsAs(t *rapid.T, env wc.Envelope, text []byte) {
	verdict := model.Verdict(env)
	var read wc.Envelope
	require.NoError(t, read.UnmarshalJSON(text), "%s", text)
	require.Equal(t, env, read, "%s", text)
	model.RequireError(t, verdict, read.Validate(), "%s", text)
	parsed, err := wc.ParseEnvelope(text)
	model.RequireError(t, verdict, err, "%s", text)
	if err == nil {
		require.Equal(t, env, parsed, "%s", text)
	} else {
		require.Zero(t, parsed)
	}
}

func TestEnvelopesAreEqualIfTheirTextsAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := model.DrawEnvelope(t, model.SmallPayload)
		var read wc.Envelope
		require.NoError(t, read.UnmarshalJSON([]byte(model.Wire(a))))
		require.True(t, a.Equal(read), "a copy of its own")
		b := model.DrawDamage(t, a)
		if rapid.Bool().Draw(t, "another") {
			b = model.DrawEnvelope(t, model.SmallPayload)
		}
		require.Equal(t, model.Wire(a) == model.Wire(b), a.Equal(b))
		require.Equal(t, a.Equal(b), b.Equal(a))
	})
}

// TestOperationAloneReadsAsInAnEnvelope writes operations in many forms, most of them right, and some with a byte changed.
func TestOperationAloneReadsAsInAnEnvelope(t *testing.T) {
	const head = `{"version":1,"message_id":0,"seq_no":0,"decision_seq":0,"seed":0,"issued_at_turn":0,"replay_hash":0,"op":`
	rapid.Check(t, func(t *rapid.T) {
		env := model.DrawEnvelope(t, model.SmallPayload)
		w := model.NewRewriter(rapid.Uint64().Draw(t, "seed of the rewriter"), 1<<3-1, 50) // without members that only an operation in an envelope may have
		text := w.Rewrite([]byte(model.OpText(env.Op)))
		op, err := wc.ParseOp(text)
		require.NoError(t, err, "%s", text)
		require.Equal(t, env.Op, op)

		i := rapid.IntRange(0, len(text)-1).Draw(t, "changed byte")
		text[i] ^= rapid.ByteMin(1).Draw(t, "flip")
		op, err = wc.ParseOp(text)
		var whole wc.Envelope
		wholeErr := whole.UnmarshalJSON([]byte(head + string(text) + "}"))
		if err == nil {
			require.NoError(t, wholeErr, "%s", text)
			require.Equal(t, whole.Op, op)
			return
		}
		require.Nil(t, op)
		refused, wholeRefused := new(wc.ParseError), new(wc.ParseError)
		require.ErrorAs(t, err, &refused)
		require.ErrorAs(t, wholeErr, &wholeRefused)
		if refused.Offset < len(text) && refused.Cause != "expected the end of the input after the operation" { // an envelope goes on
			require.Equal(t, wholeRefused.Offset, len(head)+refused.Offset, "%s", text)
			require.Equal(t, wholeRefused.Cause, refused.Cause, "%s", text)
		}
	})
}

func TestChangedByteIsRefusedOrMeansTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		env := model.DrawEnvelope(t, model.SmallPayload)
		text := []byte(model.Wire(env))
		changed := slices.Clone(text)
		flips := rapid.SliceOfN(rapid.ByteMin(1), 1, 8).Draw(t, "flips")
		for i := range text {
			for _, flip := range append(flips, 1, 0x20) {
				changed[i] = text[i] ^ flip
				if read, err := wc.ParseEnvelope(changed); err == nil {
					require.Equal(t, env, read, "byte %d, flipped by %d", i, flip)
				}
			}
			changed[i] = text[i]
		}
	})
}
