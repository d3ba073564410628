package safetext

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/workerchannel/workerchannel"
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

func TestUnreadableShowsTheBeginningAndTheReason(t *testing.T) {
	long := strings.Repeat("x", 99) + "é, and so on"
	message := `{"version":2,"message_id":0,"seq_no":1,"decision_seq":1,"replay_hash":0,"issued_at_turn":0,"replay_seed":0,"worker_id":null,"op":"BootstrapReady"}`
	for text, want := range map[string]string{
		"listening on :8080\n": `"listening on :8080\n" is not a message: at byte 0: expected an object`,
		"\x1b[2J\xff\"":        `"\x1b[2J\xff\"" is not a message: at byte 0: expected an object`,
		long:                   `"` + strings.Repeat("x", 99) + `"… (112 bytes) is not a message: at byte 0: expected an object`,
		"":                     `"" is not a message: at byte 0: expected an object`,
	} {
		_, err := workerchannel.Verify([]byte(text))
		assert.Equal(t, want, Unreadable([]byte(text), err))
	}
	err := &workerchannel.MismatchError{Kind: workerchannel.ErrVersionMismatch, Expected: 1, Actual: 2}
	assert.Equal(t, strconv.Quote(message[:100])+"… (146 bytes) is refused: protocol version mismatch: expected 1, got 2", Unreadable([]byte(message), err))
}

func TestCut(t *testing.T) {
	assert.Equal(t, "12345世", Cut("12345世", 8))
	assert.Equal(t, "12345...", Cut("12345世", 7))
}

func TestEscape(t *testing.T) {
	assert.Equal(t, `é"\ \u001b\u000a\u202e\udb40\udc01`, Escape("é\"\\ \x1b\n\u202e\U000e0001"))
}
