package conform

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// compare reports whether a reply is the one wanted. If it is not, why says in what they differ, unless it is plain.
func compare(want, got *Reply) (why string, equal bool) {
	if got.Verdict != want.Verdict {
		return "", false
	}
	for i, w := range want.Messages {
		if i == len(got.Messages) {
			return fmt.Sprintf("message %d is missing", i+1), false
		}
		if g := got.Messages[i]; !bytes.Equal(w, g) {
			return explainMessage(w, g), false
		}
	}
	if len(got.Messages) > len(want.Messages) {
		return "it sent more", false
	}
	if got.Text != want.Text {
		return "the text of the reply", false
	}
	return "", true
}

// describe returns a reply to the byte, and then its messages.
func describe(r *Reply) string {
	var b strings.Builder
	b.WriteString(r.head())
	for _, m := range r.Messages {
		b.WriteString(", and ")
		b.Write(m)
	}
	return b.String()
}

// explainMessage says in what a message differs from the one wanted.
func explainMessage(want, got []byte) string {
	w, err := wc.Verify(want)
	if err != nil { // the reference sends no such thing
		return err.Error()
	}
	g, err := wc.Verify(got)
	if err != nil {
		return safetext.Unreadable(got, err)
	}
	we, ge := w.Envelope(), g.Envelope()
	if we.Header != ge.Header {
		return fmt.Sprintf("the numbers differ: wanted %+v, got %+v", we.Header, ge.Header)
	}
	if canonical, err := ge.AppendJSON(nil); err != nil || !bytes.Equal(canonical, got) {
		return "the text is not the canonical one"
	}
	return fmt.Sprintf("wanted %v, got %v", we, ge)
}

// CutBoth shortens two texts to the part around their first difference, if one of them is long.
func CutBoth(a, b string) (string, string) {
	const most = 400
	if max(len(a), len(b)) <= most {
		return a, b
	}
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	around := func(s string) string {
		from, to := runeStart(s, same-80), runeStart(s, same+120)
		return fmt.Sprintf("...%s... (bytes %d to %d of %d)", s[from:to], from, to, len(s))
	}
	return around(a), around(b)
}

// Cut returns the beginning of a text, and how long it is.
func Cut(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:runeStart(s, most)] + fmt.Sprintf("... (%d bytes)", len(s))
}

// runeStart returns where the character at i begins; the nearest end of s if i is not within it.
func runeStart(s string, i int) int {
	i = min(max(i, 0), len(s))
	for back := 0; back < utf8.UTFMax && i > 0 && i < len(s) && !utf8.RuneStart(s[i]); back++ {
		i--
	}
	return i
}

// Exact returns text to the byte, but what is not UTF-8, or not to be kept, in angle brackets: <FF>, <1B>, <U+2028>. So
// backslashes are those of the text.
func Exact(s string, keep func(rune) bool) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1, size == 1 && !keep(r):
			fmt.Fprintf(&b, "<%02X>", s[0])
		case keep(r):
			b.WriteString(s[:size])
		default:
			fmt.Fprintf(&b, "<U+%04X>", r)
		}
		s = s[size:]
	}
	return b.String()
}

// printable returns the beginning of a text on one line, as an error has it.
func printable(b []byte) string { return Exact(Cut(string(b)), strconv.IsPrint) }
