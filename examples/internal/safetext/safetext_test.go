package safetext

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		s    string
		most int
		want string
	}{
		{`"é" \ 世`, 20, `"é" \\ 世`},
		{"a\x1b[2J\n\u202e\xff", 20, `a\x1b[2J\n\u202e\xff`},
		{"12345678", 8, "12345678"},
		{"123456789", 8, "12345678… (9 bytes)"},
		{"12345世界", 8, "12345世… (11 bytes)"},
		{"123456世", 8, "123456… (9 bytes)"},
		{"1234567\x80\x80\x80\x80\x80", 11, `1234567… (12 bytes)`},
	} {
		assert.Equal(t, c.want, Printable(c.s, c.most), "%q", c.s)
	}
}

func TestCut(t *testing.T) {
	assert.Equal(t, "12345世", Cut("12345世", 8))
	assert.Equal(t, "12345...", Cut("12345世", 7))
}

func TestEscape(t *testing.T) {
	assert.Equal(t, `é"\ \u001b\u000a\u202e\udb40\udc01`, Escape("é\"\\ \x1b\n\u202e\U000e0001"))
}
