package workerchannel

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRoundTripOfEveryOperation(t *testing.T) {
	for _, env := range everyEnvelope() {
		text := jsonOf(env)
		parsed, err := ParseEnvelope([]byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, env, parsed)
		var read Envelope
		require.NoError(t, read.UnmarshalJSON([]byte(text)), text)
		assert.Equal(t, env, read)
		assert.Equal(t, text, jsonOf(read))
		assert.Equal(t, env.WorkerID != nil, strings.Contains(text, `"issued_at_turn":0,"worker_id":`), "absent, not null")
		assert.NoError(t, env.Validate())
	}
}

// TestDigestOfTheExampleInSection4 has the values that the section gives.
func TestDigestOfTheExampleInSection4(t *testing.T) {
	h := Header{MessageID: 2, SeqNo: 2, DecisionSeq: 2, Seed: 42, IssuedAtTurn: 1}
	op := StatusSnapshot{1, StateRunning, nil}
	assert.Equal(t, uint64(15573404561622936917), ReplayHash(h, new("w"), op))
	assert.Equal(t, uint64(0xd81fd8eff6fbad55), NewWorkerEnvelope("w", h, op).ReplayHash)
}

func TestEncodeWritesCanonicalJSON(t *testing.T) {
	h := Header{MessageID: 2, SeqNo: 2, DecisionSeq: 2, Seed: 42, IssuedAtTurn: 1}
	env := NewWorkerEnvelope("w", h, StatusSnapshot{1, StateRunning, nil})
	assert.Equal(t, `{"version":1,"message_id":2,"seq_no":2,"decision_seq":2,"seed":42,"issued_at_turn":1,"worker_id":"w","replay_hash":`+
		`15573404561622936917,"op":{"type":"StatusSnapshot","job_id":1,"state":"Running","detail":null}}`, jsonOf(env))

	for op, want := range map[Op]string{
		BootstrapFailed{"\x00\x1f\b\t\n\f\r", `"\`}: `{"type":"BootstrapFailed","worker_id":"\u0000\u001f\b\t\n\f\r","reason":"\"\\"}`,
		ShutdownWorker{"</>&'\x7f\u2028\u2029é😀"}:   "{\"type\":\"ShutdownWorker\",\"reason\":\"</>&'\x7f\u2028\u2029é😀\"}",
	} {
		assert.Contains(t, jsonOf(NewEnvelope(h, op)), want)
	}
	for payload, want := range map[string]string{"": `"payload":[]`, "\x01\x02\xff": `"payload":[1,2,255]`} {
		assert.Contains(t, jsonOf(NewEnvelope(h, SpawnJob{Payload: []byte(payload)})), want)
	}
	assert.Equal(t, jsonOf(NewEnvelope(h, SpawnJob{Payload: []byte{}})), jsonOf(NewEnvelope(h, SpawnJob{})), "no payload is an empty one")
}

func TestAbsentAndEmptyOptionalStringsDiffer(t *testing.T) {
	diagnostic := func(worker *string, metadata *string) Envelope {
		env := NewWorkerEnvelope("", Header{}, Diagnostic{Metadata: metadata})
		env.WorkerID = worker
		env.ReplayHash = ReplayHash(env.Header, worker, env.Op)
		return env
	}
	absent, empty := diagnostic(nil, nil), diagnostic(new(""), new(""))
	assert.NotContains(t, jsonOf(absent), `"worker_id"`)
	assert.Contains(t, jsonOf(absent), `"metadata":null`)
	assert.Contains(t, jsonOf(empty), `"worker_id":""`)
	assert.Contains(t, jsonOf(empty), `"metadata":""`)
	assert.ErrorIs(t, absent.Validate(), ErrMissingWorkerIdentity)
	assert.NoError(t, empty.Validate())
	for _, env := range []Envelope{absent, empty} {
		var read Envelope
		require.NoError(t, read.UnmarshalJSON([]byte(jsonOf(env))))
		assert.Equal(t, env, read)
	}
}

func TestAppendJSONAppendsOrLeavesTheBufferAlone(t *testing.T) {
	env := NewEnvelope(Header{}, PollStatus{1})
	text, err := env.AppendJSON([]byte("before "))
	require.NoError(t, err)
	assert.Equal(t, "before "+jsonOf(env), string(text))
	text, err = NewEnvelope(Header{}, nil).AppendJSON([]byte("before "))
	assert.ErrorIs(t, err, ErrInvalidValue)
	assert.Equal(t, "before ", string(text), "a refusal appends nothing")
}

func TestEncodingJSONUsesTheEnvelopesMethods(t *testing.T) {
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
