package safetext

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWriterEscapesWhatCommandsATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext\n":                  "plain\ttext\n",
		"é 世 😀\n":                        "é 世 😀\n",
		"\x1b[2J\r\a\x00\x7f":            `\u001b[2J\u000d\u0007\u0000\u007f`,
		"\u0085\u009b\u202e\u2066\u2028": `\u0085\u009b\u202e\u2066\u2028`,
		"\U000e0001":                     `\udb40\udc01`,
		"\xff\xc2x\xed\xa0\x80":          `\xff\xc2x\xed\xa0\x80`,
	} {
		var whole, bytewise bytes.Buffer
		n, err := NewWriter(&whole).Write([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, len(text), n)
		assert.Equal(t, want, whole.String())

		w := NewWriter(&bytewise)
		for _, b := range []byte(text) {
			n, err := w.Write([]byte{b})
			require.NoError(t, err)
			assert.Equal(t, 1, n)
		}
		assert.Equal(t, want, bytewise.String(), "a byte at a time")
	}
	var out bytes.Buffer
	w := NewWriter(&out)
	_, _ = w.Write([]byte("\xe4\xb8"))
	_, _ = w.Write([]byte("\x96\xe4\nx"))
	assert.Equal(t, "世\\xe4\nx", out.String())
}

func TestWriterReturnsTheErrorOfTheOther(t *testing.T) {
	broken := errors.New("no room")
	for _, text := range []string{"plain", "\x1b"} {
		_, err := NewWriter(brokenWriter{broken}).Write([]byte(text))
		assert.ErrorIs(t, err, broken)
	}
}

type brokenWriter struct{ error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.error }

func TestLinesAreEscapedAndBounded(t *testing.T) {
	long := strings.Repeat("x", mostLine)
	text := "one\n\ttwo \x1b[2J\u202e\xff\r\n\n" + long + "\n" + long + "yz\n" + strings.Repeat(long, 3) + "\nlast"
	want := []string{"one", `    two \x1b[2J\u202e\xff\r`, "", long, long + "…", long + "…"}
	var got []string
	lines := NewLines(func(line string) { got = append(got, line) })
	_, err := lines.Write([]byte(text))
	require.NoError(t, err)
	assert.Equal(t, want, got)
	lines.Flush()
	lines.Flush()
	assert.Equal(t, append(want, "last"), got)

	got = nil
	r := iotest.OneByteReader(strings.NewReader(text))
	for b := make([]byte, 1); ; {
		if _, err := r.Read(b); err != nil {
			break
		}
		_, _ = lines.Write(b)
	}
	assert.Equal(t, want, got)
}
