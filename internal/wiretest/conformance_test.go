package workerchannel

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The files testdata/*.jsonl come from an independent implementation of the protocol on Rust's
// serde_json. These tests check that this package agrees with them (PROTOCOL section 12).

func TestEnvelopesOfAnIndependentImplementation(t *testing.T) {
	eachLine(t, "testdata/envelopes.jsonl", func(t *testing.T, line []byte) {
		var want struct {
			Wire   string          `json:"wire"`
			OpJSON string          `json:"op_json"`
			Digest uint64          `json:"digest"`
			Error  json.RawMessage `json:"error"`
		}
		require.NoError(t, json.Unmarshal(line, &want))
		var env Envelope
		require.NoError(t, env.UnmarshalJSON([]byte(want.Wire)))
		text, err := env.AppendJSON(nil)
		require.NoError(t, err)
		assert.Equal(t, want.Wire, string(text), "canonical text")
		assert.Equal(t, want.OpJSON, opJSON(env.Op), "the operation's canonical text")
		assert.Equal(t, want.Digest, ReplayHash(env.Header, env.WorkerID, env.Op), "digest")
		assert.Equal(t, plain(want.Error), describeError(env.Validate()), "verdict of Validate")
		_, err = ParseEnvelope([]byte(want.Wire))
		assert.Equal(t, plain(want.Error), describeError(err), "verdict of ParseEnvelope")
	})
}

func TestDocumentsOfAnIndependentImplementation(t *testing.T) {
	eachLine(t, "testdata/documents.jsonl", func(t *testing.T, line []byte) {
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
		var env Envelope
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
		assert.Equal(t, plain(want.Error), describeError(env.Validate()), "verdict of Validate")
		_, err = ParseEnvelope(text)
		assert.Equal(t, plain(want.Error), describeError(err), "verdict of ParseEnvelope")
	})
}

// needClone skips a test in the downloaded module, which has no testdata and no docs.
func needClone(t testing.TB) {
	if _, err := os.Stat("testdata"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the downloaded module has no test data; run this test in a clone of the repository")
	}
}

// eachLine runs a subtest for each line of a file.
func eachLine(t *testing.T, file string, test func(t *testing.T, line []byte)) {
	needClone(t)
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	n := 0
	for lines.Scan() {
		n++
		t.Run("", func(t *testing.T) { test(t, lines.Bytes()) })
	}
	require.NoError(t, lines.Err())
	require.NotZero(t, n)
}

// plain gives a JSON value a form that compares exactly, all 64 bits of its numbers.
func plain(data json.RawMessage) any {
	if data == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return v
}
