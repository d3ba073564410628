// Package safetext shows what a peer wrote: on one line, of bounded length, so that it does not command the terminal.
package safetext

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable returns a text without control characters and escape sequences, which it escapes as Go does. Of a text of
// more than most bytes it returns the beginning, and how long it is. Plain text stays as it is.
func Printable(s string, most int) string {
	rest := ""
	if len(s) > most {
		rest = fmt.Sprintf("… (%d bytes)", len(s))
		cut := most
		for cut > most-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`) + rest
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
