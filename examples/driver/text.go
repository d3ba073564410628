package driver

import "strings"

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
