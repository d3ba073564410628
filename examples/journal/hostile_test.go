package journal

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// odd are values that do not belong where they are put, well-formed or not.
var odd = []string{`null`, `-1`, `0.5`, `18446744073709551616`, `"x"`, `"\ud800"`, `{}`, `[]`, `[{}]`, `{"bytes":99999999999999999999}`,
	`{"bytes":18446744073709551615,"sha256":""}`, `{"a":`, `"`, ``, `{"op":{"outcome":null}}`, `{"op":{"outcome":{"payload":"="}}}`, `true`}

func TestJournalsOfNobodyAreReadWithoutPanicAndInBoundedMemory(t *testing.T) {
	values := odd
	if testing.Short() {
		values = odd[:6]
	}
	good := string(shortJournal(t))
	for text := range strings.Lines(good) {
		o := split([]byte(strings.TrimSuffix(text, "\n")))
		require.NotNil(t, o)
		for name, value := range o.members {
			for _, v := range values {
				bad := strings.Replace(text, `"`+name+`":`+string(value), `"`+name+`":`+v, 1)
				bad = bad[:strings.LastIndex(bad, `,"crc"`)]
				all := strings.Replace(good, text, string((&line{[]byte(bad)}).seal()), 1)
				w := NewWalker(func(e *Event) error {
					for _, name := range []string{"call", "after", "error", "wire", "none"} {
						_ = e.Argument(name)
					}
					return nil
				})
				_ = w.Read("", strings.NewReader(all))
			}
		}
	}
}

func TestSessionsThatAreOpenAreLimited(t *testing.T) {
	var all bytes.Buffer
	w, err := NewWriter(&all, Options{})
	require.NoError(t, err)
	var l line
	for session := range uint64(MaxSessions + 10) {
		all.Write(newSession(nil, session, head{setup: new(Setup)}).begin(&l))
		l.b = fmt.Appendf(l.b[:0], `{"session":%d,"step":0,"call":"advance_turn"`, session+1<<40)
		all.Write(l.seal())
	}
	require.NoError(t, w.Close())
	walker := NewWalker(nil)
	require.ErrorContains(t, walker.Read("", &all), "more than 10000 sessions are open")
	require.Len(t, walker.open, MaxSessions)
}

func TestLongLineIsSkipped(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: reads a line of the greatest length")
	}
	good := string(shortJournal(t))
	at := strings.Index(good, "\n") + 1
	long := `{"session":1,"step":0,"call":"` + strings.Repeat("x", MaxLine) + "\"}\n"
	w := NewWalker(nil)
	require.ErrorContains(t, w.Read("j", strings.NewReader(good[:at]+long+good[at:])), "j:2: the line is longer than")
	require.Equal(t, 11, w.Steps)
}
