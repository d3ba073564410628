package rpc

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// good are headers, and what they say.
var good = map[string]header{
	`{"method":"f"}`: {Method: "f"},
	" {\t\"method\" : \"f\" \r, \"timeout_ms\" : 0 , \"meta\" : { } } \r":           {Method: "f", Timeout: new(int64), Meta: map[string]string{}},
	`{"meta":{"a":"b","":"\u0000\ud83d\ude00\"","é":"é"},"method":"\u0066"}`:        {Method: "f", Meta: map[string]string{"a": "b", "": "\x00😀\"", "é": "é"}},
	`{"method":"f","timeout_ms":9223372036854775807}`:                               {Method: "f", Timeout: ptr(int64(1<<63 - 1))},
	`{"METHOD":1,"x":[{"method":"g"},1e999,null],"method":"f","Meta":3}`:            {Method: "f"},
	`{"method":"g","method":"f","meta":{"a":"1","b":"2"},"meta":{"a":"2","a":"3"}}`: {Method: "f", Meta: map[string]string{"a": "3"}},
	"{\"method\":\"a\xff\"}":            {Method: "a\uFFFD"},
	`{"method":"` + "\xff" + `\ud800"}`: {Method: "\uFFFD\uFFFD"},
}

func ptr[T any](v T) *T { return &v }

// bad are no headers.
var bad = []string{
	``, ` `, `null`, `[]`, `"method"`, `{}`, `{"method":""}`, `{"method":null}`, `{"method":f}`, `{"method":"f"`, `{"method":"f"}}`,
	`{"method":"f"} x`, `{"method":"f",}`, `{,"method":"f"}`, `{"method" "f"}`, `{"method":"f" "x":1}`, `{"method":"f","x":}`,
	`{"method":"f","x":1 2}`, `{"method":"f","x":tru}`, `{'method':"f"}`, `{method:"f"}`, `{"method":"f`, `{"method":"f\"}`,
	`{"method":"\x"}`, "{\"method\":\"a\tb\"}", "\uFEFF{\"method\":\"f\"}", `{"METHOD":"f"}`, `{"method":["f"]}`, "{\"method\":\"f\"}\x00",
	`{"method":"f","timeout_ms":-1}`, `{"method":"f","timeout_ms":1.0}`, `{"method":"f","timeout_ms":1e3}`, `{"method":"f","timeout_ms":01}`,
	`{"method":"f","timeout_ms":"1"}`, `{"method":"f","timeout_ms":null}`, `{"method":"f","timeout_ms":9223372036854775808}`,
	`{"method":"f","timeout_ms":}`, `{"method":"f","timeout_ms":+1}`, `{"method":"f","meta":null}`, `{"method":"f","meta":[]}`,
	`{"method":"f","meta":{"a":1}}`, `{"method":"f","meta":{"a":null}}`, `{"method":"f","meta":{"a":{}}}`, `{"method":"f","meta":{"a"}}`,
	`{"method":"f","meta":{"a":"b"}`, strings.Repeat(`{"method":`, 100_000), `{"method":"f","x":` + strings.Repeat("[", 200_000),
}

func TestHeadersAreRead(t *testing.T) {
	for line, want := range good {
		got, body, err := split([]byte(line + "\n\nbody\n"))
		assert.NoError(t, err, line)
		assert.Equal(t, want, got, line)
		assert.Equal(t, "\nbody\n", string(body))
	}
}

func TestWhatIsNoHeaderIsAnErrorOfOneShortLine(t *testing.T) {
	for _, line := range bad {
		_, _, err := split([]byte(line + "\n"))
		if assert.Errorf(t, err, "%.100s", line) {
			assert.Regexp(t, `^header: expected [ -~]{1,200}$`, err.Error())
		}
	}
	_, _, err := split([]byte(`{"method":"f"}`))
	assert.EqualError(t, err, "header: expected a line feed after it")
}

func TestHeadersThatAreWrittenAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := header{Method: rapid.StringN(1, -1, -1).Draw(t, "method")}
		if rapid.Bool().Draw(t, "deadline") {
			want.Timeout = ptr(rapid.Int64Min(0).Draw(t, "timeout"))
		}
		want.Meta = rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "meta")
		line, err := json.Marshal(&want)
		assert.NoError(t, err)
		if len(want.Meta) == 0 {
			want.Meta = nil
		}
		spaced := new(bytes.Buffer)
		assert.NoError(t, json.Indent(spaced, line, "", " "))
		for _, line := range [][]byte{line, bytes.ReplaceAll(spaced.Bytes(), []byte("\n"), []byte("\r"))} {
			got, _, err := split(append(line, '\n'))
			assert.NoError(t, err)
			assert.Equal(t, want, got)
		}
	})
}

// FuzzHeader compares the reader with encoding/json.
func FuzzHeader(f *testing.F) {
	for line := range good {
		f.Add([]byte(line))
	}
	for _, line := range bad {
		if len(line) < 1000 {
			f.Add([]byte(line))
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.IndexByte(line, '\n') >= 0 {
			t.Skip()
		}
		got, body, err := split(append(line, '\n'))
		if err != nil {
			return
		}
		assert.Empty(t, body)
		var members map[string]json.RawMessage
		assert.NoError(t, json.Unmarshal(line, &members))
		var want header
		for name, into := range map[string]any{"method": &want.Method, "timeout_ms": &want.Timeout, "meta": &want.Meta} {
			if text, ok := members[name]; ok {
				assert.NoError(t, json.Unmarshal(text, into), name)
			}
		}
		assert.Equal(t, want, got)
	})
}
