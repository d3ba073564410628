package workerchannel

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDecodeRefusesAMalformedElementBeyondTheLargestPayload(t *testing.T) {
	const before = `{"version":1,"message_id":1,"seq_no":1,"decision_seq":1,"seed":1,"issued_at_turn":1,"worker_id":"w","replay_hash":1,` +
		`"op":{"type":"JobCompleted","job_id":1,"outcome":{"status":"Ok","payload":[`
	for _, separator := range []string{",", ", "} {
		full := before + strings.Repeat("0"+separator, MaxPayloadBytes)
		for _, tail := range []string{"", "]", "x]", "256]}}}", "01]", "-1]", "1.5]", `"1"]`, "null]"} {
			for name, err := range map[string]error{
				"ParseEnvelope":          func() error { _, err := ParseEnvelope([]byte(full + tail)); return err }(),
				"Verify":                 func() error { _, err := Verify([]byte(full + tail)); return err }(),
				"Envelope.UnmarshalJSON": new(Envelope).UnmarshalJSON([]byte(full + tail)),
				"Coordinator.Receive":    func() error { _, err := NewCoordinator(1).Receive([]byte(full + tail)); return err }(),
				"Worker.Receive":         func() error { _, err := NewWorker("w", 1).Receive([]byte(full + tail)); return err }(),
			} {
				assert.ErrorIs(t, err, ErrMalformed, "%s, %q after %q", name, tail, separator)
			}
		}
		_, err := ParseEnvelope([]byte(full + "1]}}}"))
		assert.ErrorIs(t, err, ErrPayloadTooLarge)
	}
}

func TestRetiredIDsKeepNoLongerStringAlive(t *testing.T) {
	const size = 1 << 20
	c := NewCoordinator(1)
	before := heapInUse()
	for i := range 64 {
		line := strings.Repeat(string(rune('!'+i)), size)
		c.RetireWorker(line[:6])
	}
	assert.Less(t, heapInUse()-before, float64(16*size), "of 64 MiB that the ids were cut from")
	assert.Len(t, c.retired.order, 64)
}
