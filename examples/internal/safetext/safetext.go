// Package safetext shows what a peer or a file says: on one line, of bounded length, so that it does not command the
// terminal.
package safetext

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/workerchannel/workerchannel"
)

// Printable returns a text without control characters and escape sequences, which it escapes as Go does. Of a text of
// more than most bytes it returns the beginning, and how long it is. Plain text stays as it is.
func Printable(s string, most int) string {
	s, rest := begin(s, most)
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) + rest
}

// begin returns the beginning of a text of more than most bytes, and what to write behind it.
func begin(s string, most int) (text, rest string) {
	if len(s) <= most {
		return s, ""
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut], fmt.Sprintf("… (%d bytes)", len(s))
}

// Excerpt returns the first 100 bytes of a text, quoted as Go does, and how long it is if it is longer.
func Excerpt(text []byte) string {
	s, rest := begin(string(text), 100)
	return strconv.Quote(s) + rest
}

// Unreadable says what is wrong with a message that package workerchannel refuses to read, for err, beginning with what
// stands in it:
//
//	"listening on :8080" is not a message: at byte 0: expected an object
func Unreadable(message []byte, err error) string {
	if why, ok := strings.CutPrefix(err.Error(), workerchannel.ErrMalformed.Error()); ok {
		return Excerpt(message) + " is not a message" + why
	}
	return Excerpt(message) + " is refused: " + strings.TrimPrefix(err.Error(), "workerchannel: ")
}

// Cut shortens a text to about so many bytes.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// Escape escapes what is not printable as JSON does. It leaves quotes and backslashes alone.
func Escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}
