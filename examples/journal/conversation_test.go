package journal

import (
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// A host is a Coordinator or a Recorder.
type host interface {
	SpawnJob(wc.SpawnJob) error
	OutboxLen() int
	AppendNext(dst []byte) ([]byte, wc.Envelope, bool)
	Receive([]byte) (wc.Envelope, error)
	Reap() []wc.TrackedJob
}

// conversation has the messages of a worker that runs jobs, and makes a host handle them.
type conversation struct {
	payload []byte
	answers [][]byte
}

func newConversation(tb testing.TB, jobs, payload int) *conversation {
	c := &conversation{payload: make([]byte, payload)}
	for i := range c.payload {
		c.payload[i] = byte(i * 151)
	}
	w := wc.NewWorker("w-1", 1)
	require.NoError(tb, w.Announce())
	host := wc.NewCoordinator(1)
	for id := range uint64(jobs) {
		deliver := func() {
			for data, _, ok := w.AppendNext(nil); ok; data, _, ok = w.AppendNext(nil) {
				c.answers = append(c.answers, data)
				_, err := host.Receive(data)
				require.NoError(tb, err)
			}
			for env := range host.Outbox() {
				require.NoError(tb, w.HandleInbound(&env))
			}
		}
		deliver()
		require.NoError(tb, host.SpawnJob(wc.SpawnJob{JobID: id, Payload: c.payload}))
		deliver()
		require.NoError(tb, w.Start(id))
		require.NoError(tb, w.Complete(id, wc.OutcomeOk{Payload: c.payload}))
		deliver()
	}
	return c
}

// run handles all messages: it makes jobs, sends them, and receives two messages about each.
func (c *conversation) run(tb testing.TB, h host) {
	var out []byte
	_, err := h.Receive(c.answers[0])
	for i := 1; i < len(c.answers) && err == nil; i += 2 {
		err = h.SpawnJob(wc.SpawnJob{JobID: uint64(i) / 2, Payload: c.payload})
		for h.OutboxLen() > 0 {
			out, _, _ = h.AppendNext(out[:0])
		}
		for _, data := range c.answers[i : i+2] {
			if _, e := h.Receive(data); e != nil {
				err = e
			}
			h.Reap()
			h.AppendNext(nil)
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
}
