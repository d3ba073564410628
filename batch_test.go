package workerchannel

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// many returns a coordinator that has so many messages to send.
func many(t *testing.T, messages int) *Coordinator {
	c := readyCoordinator(t)
	for id := range uint64(messages) {
		require.NoError(t, c.SpawnJob(SpawnJob{JobID: id, Payload: bytes.Repeat([]byte{200}, 1<<id)}))
	}
	return c
}

func TestAppendBatchTakesWhatHasRoom(t *testing.T) {
	for _, test := range []struct{ messages, room, size, takes int }{
		{5, 0, 1 << 20, 0},
		{0, 5, 1 << 20, 0},
		{5, 9, 1 << 20, 5},
		{9, 5, 1 << 20, 5},
		{5, 5, 0, 1},
		{5, 5, -1, 1},
		{9, 9, 1000, 5}, // of about 250 bytes
	} {
		c := many(t, test.messages)
		batch := make([]Outgoing, test.room)
		for i := range batch {
			batch[i].Text = []byte("before")
		}
		text, n := c.AppendBatch([]byte("dst"), batch, test.size)
		assert.Equal(t, test.takes, n, "%+v", test)
		assert.Equal(t, test.messages-n, c.OutboxLen())
		assert.Equal(t, "dst", string(text[:3]))
		for i, m := range batch {
			if i >= n {
				assert.Equal(t, "before", string(m.Text), "an entry that is not needed stays")
			}
		}
	}
	text, n := many(t, 1).AppendBatch(nil, nil, 1)
	assert.Empty(t, text)
	assert.Zero(t, n)
}

// Otherwise a batch would keep each array that was too short.
func TestTextsOfABatchArePartsOfTheWhole(t *testing.T) {
	c := many(t, 10)
	var batch [10]Outgoing
	text, n := c.AppendBatch(nil, batch[:], 1<<20)
	require.Equal(t, 10, n)
	clear(text)
	for _, m := range batch {
		assert.Equal(t, make([]byte, len(m.Text)), m.Text)
		assert.Len(t, m.Text, cap(m.Text), "appending to it does not overwrite the next")
	}
}
