package wiretest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

func TestRoundTripOfEveryOperation(t *testing.T) {
	seen := map[wc.OpType]bool{}
	for _, env := range everyEnvelope() {
		seen[env.Op.Type()] = true
		text := jsonOf(env)
		parsed, err := wc.ParseEnvelope([]byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, env, parsed)
		var read wc.Envelope
		require.NoError(t, read.UnmarshalJSON([]byte(text)), text)
		assert.Equal(t, env, read)
		assert.Equal(t, text, jsonOf(read))
		assert.Equal(t, env.WorkerID != nil, strings.Contains(text, `"issued_at_turn":0,"worker_id":`), "absent, not null")
		assert.NoError(t, env.Validate())
	}
	for op := wc.OpType(1); op.Sender() != 0; op++ {
		assert.True(t, seen[op], op)
	}
}

// TestDigestOfTheExampleInSection4 has the values that the section gives.
func TestDigestOfTheExampleInSection4(t *testing.T) {
	h := wc.Header{MessageID: 2, SeqNo: 2, DecisionSeq: 2, Seed: 42, IssuedAtTurn: 1}
	op := wc.StatusSnapshot{JobID: 1, State: wc.StateRunning}
	assert.Equal(t, uint64(15573404561622936917), wc.ReplayHash(h, new("w"), op))
	assert.Equal(t, uint64(0xd81fd8eff6fbad55), wc.NewWorkerEnvelope("w", h, op).ReplayHash)
}

func TestEncodeWritesCanonicalJSON(t *testing.T) {
	h := wc.Header{MessageID: 2, SeqNo: 2, DecisionSeq: 2, Seed: 42, IssuedAtTurn: 1}
	env := wc.NewWorkerEnvelope("w", h, wc.StatusSnapshot{JobID: 1, State: wc.StateRunning})
	assert.Equal(t, `{"version":1,"message_id":2,"seq_no":2,"decision_seq":2,"seed":42,"issued_at_turn":1,"worker_id":"w","replay_hash":`+
		`15573404561622936917,"op":{"type":"StatusSnapshot","job_id":1,"state":"Running","detail":null}}`, jsonOf(env))

	for op, want := range map[wc.Op]string{
		wc.BootstrapFailed{WorkerID: "\x00\x1f\b\t\n\f\r", Reason: `"\`}: `{"type":"BootstrapFailed","worker_id":"\u0000\u001f\b\t\n\f\r","reason":"\"\\"}`,
		wc.ShutdownWorker{Reason: "</>&'\x7f\u2028\u2029é😀"}:             "{\"type\":\"ShutdownWorker\",\"reason\":\"</>&'\x7f\u2028\u2029é😀\"}",
	} {
		assert.Contains(t, jsonOf(wc.NewEnvelope(h, op)), want)
	}
	for payload, want := range map[string]string{"": `"payload":[]`, "\x01\x02\xff": `"payload":[1,2,255]`} {
		assert.Contains(t, jsonOf(wc.NewEnvelope(h, wc.SpawnJob{Payload: []byte(payload)})), want)
	}
	assert.Equal(t, jsonOf(wc.NewEnvelope(h, wc.SpawnJob{Payload: []byte{}})), jsonOf(wc.NewEnvelope(h, wc.SpawnJob{})), "no payload is an empty one")
}

func TestAbsentAndEmptyOptionalStringsDiffer(t *testing.T) {
	diagnostic := func(worker *string, metadata *string) wc.Envelope {
		env := wc.NewWorkerEnvelope("", wc.Header{}, wc.Diagnostic{Metadata: metadata})
		env.WorkerID = worker
		env.ReplayHash = wc.ReplayHash(env.Header, worker, env.Op)
		return env
	}
	absent, empty := diagnostic(nil, nil), diagnostic(new(""), new(""))
	assert.NotContains(t, jsonOf(absent), `"worker_id"`)
	assert.Contains(t, jsonOf(absent), `"metadata":null`)
	assert.Contains(t, jsonOf(empty), `"worker_id":""`)
	assert.Contains(t, jsonOf(empty), `"metadata":""`)
	assert.ErrorIs(t, absent.Validate(), wc.ErrMissingWorkerIdentity)
	assert.NoError(t, empty.Validate())
	for _, env := range []wc.Envelope{absent, empty} {
		var read wc.Envelope
		require.NoError(t, read.UnmarshalJSON([]byte(jsonOf(env))))
		assert.Equal(t, env, read)
	}
}

func TestAppendJSONAppendsOrLeavesTheBufferAlone(t *testing.T) {
	env := wc.NewEnvelope(wc.Header{}, wc.PollStatus{JobID: 1})
	text, err := env.AppendJSON([]byte("before "))
	require.NoError(t, err)
	assert.Equal(t, "before "+jsonOf(env), string(text))
	text, err = wc.NewEnvelope(wc.Header{}, nil).AppendJSON([]byte("before "))
	assert.ErrorIs(t, err, wc.ErrInvalidValue)
	assert.Equal(t, "before ", string(text), "a refusal appends nothing")
}

func TestEncodingJSONUsesTheEnvelopesMethods(t *testing.T) {
	for _, env := range everyEnvelope() {
		text, err := json.Marshal(map[string]any{"value": env, "pointer": &env})
		require.NoError(t, err)
		var read map[string]wc.Envelope
		require.NoError(t, json.Unmarshal(text, &read))
		assert.Equal(t, map[string]wc.Envelope{"value": env, "pointer": env}, read)
	}
	_, err := json.Marshal(wc.NewEnvelope(wc.Header{}, nil))
	assert.ErrorIs(t, err, wc.ErrInvalidValue)
	assert.ErrorIs(t, json.Unmarshal([]byte("null"), new(wc.Envelope)), wc.ErrMalformed)
	assert.ErrorIs(t, json.Unmarshal([]byte(`[{"version":1}]`), new([]wc.Envelope)), wc.ErrMalformed)
}
