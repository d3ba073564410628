package tooltest

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

// Evil are texts that a peer, a file or a name may have. A terminal obeys them, or a reader believes them.
var Evil = []string{
	"\x1b[2J\x1b]0;owned\a\x1b[31m",
	"a\nforged: 0 divergences\r\nforged: all well\rforged",
	"\b\b\b\v\f\x7f\t|",
	"\u0085\u009b31m\u0090owned\u009c\u2028\u2029",
	"\u202eback\u2066\u2069\u200f\u200b\ufeff\U000e0001",
	"\xff\xc2\x9b\x9b2J\xed\xa0\x80",
}

// AllEvil is all of them in one text, and Valid what of it JSON can have.
var (
	AllEvil = strings.Join(Evil, " ")
	Valid   = strings.ToValidUTF8(AllEvil, "\ufffd")
)

// CheckSafe checks that nothing in the output of a program commands a terminal, that no text has made a line of its own,
// and that no line is endless.
func CheckSafe(t testing.TB, output string, about ...any) {
	t.Helper()
	assert.True(t, utf8.ValidString(output), about...)
	for line := range strings.Lines(output) {
		line = strings.TrimSuffix(line, "\n")
		assert.False(t, strings.HasPrefix(line, "forged"), about...)
		assert.Less(t, len(line), 100_000, about...)
		for _, r := range line {
			if !strconv.IsPrint(r) && r != '\t' {
				assert.Fail(t, "not printable: "+strconv.QuoteRune(r)+" in "+strconv.Quote(line), about...)
				break
			}
		}
	}
}
