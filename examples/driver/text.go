package driver

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// maxText is the length to which texts that go to a peer are cut, in bytes. The protocol has no limit for them, but
// transports have.
const maxText = 16 << 10

// causeText returns the text of a cause as the reason for a worker.
func causeText(cause error) string { return plain(cause.Error(), maxText) }

// plain makes a text fit for the wire.
func plain(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// printable returns a peer's text so that it can go to a terminal: see safetext.Printable.
func printable(s string) string { return safetext.Printable(s, 256) }

// reasonAttr says why in a log. It has room for the last words of a process. What an error quotes of a worker is not quoted again.
func reasonAttr(err error) slog.Attr {
	return slog.String("reason", safetext.Escape(safetext.Cut(err.Error(), 1<<10)))
}

// plural returns a number with a noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
