package transporttest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// A message is one that has been given to an end to send.
type message struct {
	name  string // h1 is the host's first, w1 the worker's
	what  string // the operation of an envelope
	data  []byte
	probe bool // the harness's own, in addition to what the test sends

	// Guarded by link.mu:
	begun bool  // Send has been called
	done  bool  // Send has returned, or will not be called as an earlier one failed
	err   error // what Send returned
}

func (m *message) String() string {
	switch {
	case m.probe:
		return fmt.Sprintf("%s (a probe of the harness, %s)", m.name, count(len(m.data), "byte"))
	case m.what != "":
		return fmt.Sprintf("%s (%s, %s)", m.name, m.what, count(len(m.data), "byte"))
	}
	return fmt.Sprintf("%s (%s)", m.name, count(len(m.data), "byte"))
}

// count writes a number of things: 1 byte, 1,024 bytes.
func count(n int, thing string) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if n == 1 {
		return digits + " " + thing
	}
	return digits + " " + thing + "s"
}

// same reports whether data is the message. Text may have white space after it.
func (c *config) same(m *message, data []byte) bool {
	return bytes.Equal(m.data, data) || c.text && bytes.Equal(m.data, bytes.TrimRight(data, " \t\r\n"))
}

// size returns the nearest size that a message can have.
func (c *config) size(n int) int {
	least := 0
	if c.text {
		least = min(2, c.max)
	}
	return min(max(n, least), c.max)
}

// specials are what messages consist of beside random bytes: what a transport may take for something of its own, and
// why. Those that are only in binary messages come last.
var specials = []string{
	" ",          // trimmed, at the ends
	",",          // separates values
	`\\`,         // an escaped backslash, unescaped once too often
	`\n`,         // a line feed, unescaped
	`\"`,         // a quote, unescaped
	"é",          // two bytes; one in Latin-1
	"e\u0301",    // the same, decomposed, which normalization joins
	"\u2028",     // ends a line in JavaScript
	"\U0001D11E", // four bytes; two units of UTF-16
	"\uFEFF",     // a byte-order mark
	"{}",         // a JSON value
	"%s",         // a format
	"<&>",        // escaped in HTML, and by encoding/json
	"+",          // a space in a URL or a form
	"%20&amp;",   // a space in a URL, an ampersand in HTML
	"]]>",        // ends CDATA in XML
	"+++",        // leaves the data mode of a modem
	"--",         // begins a MIME boundary, or a comment
	"==",         // ends base64
	"'';",        // ends a string of SQL
	"\x00",       // ends a string of C
	"\n",         // ends a line
	"\r\n",       // ends a line
	"\xff",       // no UTF-8; escapes commands in Telnet
	"\x04",       // ends input at a terminal
	"\x1a",       // ends a file in DOS
	"\x1b",       // begins a command of a terminal
	"\x11\x13",   // resumes and stops output at a terminal
	"\x7e\x7d",   // ends a frame in PPP, and escapes
	"\xc0\xdb",   // ends a frame in SLIP, and escapes
	"\\",         // begins an escape
	"0\r\n\r\n",  // ends a chunked body in HTTP
	"\r\n.\r\n",  // ends a mail in SMTP
	"\r\n\r\n",   // ends a header
}

// textSpecials is the number of specials that messages of text can have.
const textSpecials = 20

// randomOnly is the padding of a message of random bytes, instead of the number of a special.
const randomOnly = -1

// content makes a message of n bytes (see config.size): random ones, or some in the middle of a special.
// The bytes depend on the key alone, so that a piece of a message is found nowhere else.
func (c *config) content(key uint64, n, padding int) []byte {
	n = c.size(n)
	data := make([]byte, n)
	keystream(key).XORKeyStream(data, data)
	if c.text {
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for i, b := range data {
			data[i] = letters[b%64]
		}
	}
	if padding >= 0 && n > 16 {
		edge := 0
		if c.text {
			edge = 2 // for the brackets and quotes
		}
		text := c.special(padding)
		pad(data[edge:n/2-4], text)
		pad(data[n/2+4:n-edge], text)
	}
	if c.text {
		quote(data)
	}
	return data
}

// keystream returns the cipher whose output for zeros are the bytes of a message. The race detector slows it down less
// than it does a generator of numbers.
func keystream(key uint64) cipher.Stream {
	var secret [16]byte
	binary.LittleEndian.PutUint64(secret[:], key)
	block, _ := aes.NewCipher(secret[:]) // 16 bytes are a key
	return cipher.NewCTR(block, make([]byte, aes.BlockSize))
}

func (c *config) special(i int) string {
	if c.text {
		return specials[i%textSpecials]
	}
	return specials[i%len(specials)]
}

// quote makes data a JSON array of one string, or of as much as fits. Readers of JSON know that an array has ended when
// it does, and that a string has only when something follows.
func quote(data []byte) {
	switch n := len(data); n {
	case 0:
	case 1:
		data[0] = '0'
	case 2, 3:
		copy(data, "[7]")
		data[n-1] = ']'
	default:
		data[0], data[1], data[n-2], data[n-1] = '[', '"', '"', ']'
	}
}

// pad fills part with whole copies of s.
func pad(part []byte, s string) {
	if n := len(part) / len(s) * len(s); n > 0 {
		repeat(part[:n], s)
	}
}

// repeat fills data with s.
func repeat(data []byte, s string) {
	for n := copy(data, s); n < len(data); n *= 2 {
		copy(data[n:], data[:n])
	}
}

// What the harness writes into slices that nobody else may use, so that it is recognised when it arrives.
const (
	sentMark     = "SENT AND OVERWRITTEN, "     // into a slice once Send has returned
	receivedMark = "RECEIVED AND OVERWRITTEN, " // into a result of Recv
)

// overwrite fills data with a mark. It stays a JSON value, for transports that would choke on another.
func overwrite(data []byte, mark string) {
	repeat(data, mark)
	quote(data)
}

// marked reports whether data has been overwritten with a mark, at least for some bytes.
func marked(data []byte, mark string) bool {
	all := make([]byte, len(data))
	overwrite(all, mark)
	return len(data) > 0 && bytes.Equal(all, data) || len(data) > 8 && bytes.Contains(data, []byte(mark[2:9]))
}
