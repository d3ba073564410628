package wiretest

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
)

// The files testdata/*.jsonl come from an independent implementation of the protocol on Rust's
// serde_json. These tests check that this package agrees with them (PROTOCOL section 12).

func TestEnvelopesOfAnIndependentImplementation(t *testing.T) {
	model.EachLine(t, "envelopes.jsonl", func(t *testing.T, line []byte) {
		var want struct {
			Wire   string          `json:"wire"`
			OpJSON string          `json:"op_json"`
			Digest uint64          `json:"digest"`
			Error  json.RawMessage `json:"error"`
		}
		require.NoError(t, json.Unmarshal(line, &want))
		var env wc.Envelope
		require.NoError(t, env.UnmarshalJSON([]byte(want.Wire)))
		text, err := env.AppendJSON(nil)
		require.NoError(t, err)
		assert.Equal(t, want.Wire, string(text), "canonical text")
		op, err := env.Op.(json.Marshaler).MarshalJSON()
		require.NoError(t, err)
		assert.Equal(t, want.OpJSON, string(op), "the operation's canonical text")
		read, err := wc.ParseOp(op)
		require.NoError(t, err)
		assert.Equal(t, env.Op, read)
		assert.Equal(t, want.Digest, wc.ReplayHash(env.Header, env.WorkerID, env.Op), "digest")
		assert.Equal(t, model.Exact(want.Error), model.Describe(env.Validate()), "verdict of Validate")
		_, err = wc.ParseEnvelope([]byte(want.Wire))
		assert.Equal(t, model.Exact(want.Error), model.Describe(err), "verdict of ParseEnvelope")
	})
}

func TestDocumentsOfAnIndependentImplementation(t *testing.T) {
	model.EachLine(t, "documents.jsonl", func(t *testing.T, line []byte) {
		var want struct {
			Hex    string          `json:"hex"`
			Accept bool            `json:"accept"`
			Wire   string          `json:"wire"`
			Error  json.RawMessage `json:"error"`
			Reason string          `json:"reason"` // ours, for people
		}
		require.NoError(t, json.Unmarshal(line, &want))
		text, err := hex.DecodeString(want.Hex)
		require.NoError(t, err)
		var env wc.Envelope
		err = env.UnmarshalJSON(text)
		if !want.Accept {
			assert.EqualError(t, err, "workerchannel: "+want.Reason, "%q", text)
			assert.Zero(t, env, "a refused text leaves the envelope alone")
			return
		}
		require.NoError(t, err, "%q", text)
		canonical, err := env.AppendJSON(nil)
		require.NoError(t, err)
		assert.Equal(t, want.Wire, string(canonical), "canonical text")
		assert.Equal(t, model.Exact(want.Error), model.Describe(env.Validate()), "verdict of Validate")
		_, err = wc.ParseEnvelope(text)
		assert.Equal(t, model.Exact(want.Error), model.Describe(err), "verdict of ParseEnvelope")
	})
}
