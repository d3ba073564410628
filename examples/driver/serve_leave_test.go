package driver

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// words returns what arrives up to the first message of a type, that included, in words.
func (h *fakeHost) words(last wc.OpType) (words []string) {
	for {
		op := h.receive()
		word := op.Type().String()
		switch op := op.(type) {
		case wc.Diagnostic:
			word = op.Category + " " + op.Message
		case wc.StatusSnapshot:
			word = op.State.String()
		}
		if id, ok := wc.JobOf(op); ok {
			word += " " + strconv.FormatUint(id, 10)
		}
		if words = append(words, word); op.Type() == last {
			return words
		}
	}
}

func TestServeSaysItsCapacityFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, t.Context(), echo, WithConcurrency(7))
		assert.Equal(t, []string{"workerchannel.capacity 7"}, h.words(wc.OpDiagnostic))
		h.close()
	})
}

func TestServeReportsWhatHasBegunBeforeItAcknowledgesACancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, worker := Pipe(0) // so that the announcement keeps the worker from reporting anything
		h := &fakeHost{t, conn, wc.NewCoordinator(1), make(chan error, 1)}
		stays := func(context.Context, *Job) ([]byte, error) { time.Sleep(time.Second); return nil, nil }
		go func() { h.served <- Serve(t.Context(), worker, "w", stays, WithConcurrency(1)) }()
		for _, op := range []wc.Op{wc.SpawnJob{JobID: 1}, wc.SpawnJob{JobID: 2}, wc.CancelJob{JobID: 1}, wc.CancelJob{JobID: 2}} {
			text, err := wc.NewEnvelope(wc.Header{SeqNo: uint64(h.c.Turn() + 1)}, op).AppendJSON(nil)
			require.NoError(t, err)
			require.NoError(t, conn.Send(text))
			h.c.AdvanceTurn()
		}
		synctest.Wait()
		var got []string
		for range 5 {
			data, err := conn.Recv()
			require.NoError(t, err)
			env, err := wc.ParseEnvelope(data)
			require.NoError(t, err)
			got = append(got, env.Op.Type().String())
		}
		assert.Equal(t, []string{"BootstrapReady", "Diagnostic", "StatusSnapshot", "CancelAcknowledged", "CancelAcknowledged"}, got)
		h.close()
	})
}

func TestServeReportsWhatHasBegunBeforeItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		conn, worker := Pipe(0)
		h := &fakeHost{t, conn, wc.NewCoordinator(1), make(chan error, 1)}
		go func() {
			h.served <- Serve(ctx, worker, "w", func(ctx context.Context, _ *Job) ([]byte, error) { <-ctx.Done(); return nil, errTest }, WithConcurrency(1))
		}()
		require.Equal(t, wc.OpBootstrapReady, h.receive().Type())
		for id := range uint64(2) {
			text, err := wc.NewEnvelope(wc.Header{SeqNo: id + 1}, wc.SpawnJob{JobID: id + 1}).AppendJSON(nil)
			require.NoError(t, err)
			require.NoError(t, conn.Send(text)) // while it waits to send its capacity
		}
		cancel(errTest)
		synctest.Wait()
		var got []string
		for range 4 {
			data, err := conn.Recv()
			require.NoError(t, err)
			env, err := wc.ParseEnvelope(data)
			require.NoError(t, err)
			got = append(got, env.Op.Type().String())
		}
		assert.Equal(t, []string{"Diagnostic", "StatusSnapshot", "Diagnostic", "ShutdownCompleted"}, got)
		assert.Equal(t, errTest, <-h.served)
	})
}

func TestServeDrainsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		type key struct{}
		h := serve(t, context.WithValue(ctx, key{}, "value"), func(ctx context.Context, _ *Job) ([]byte, error) {
			assert.Equal(t, "value", ctx.Value(key{}))
			time.Sleep(time.Hour)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, errTest // is heard as well
		}, WithConcurrency(1), WithDrain(), WithGrace(time.Second))
		h.spawn(1)
		h.spawn(2) // is queued
		synctest.Wait()
		cancel(errTest)
		synctest.Wait()
		h.spawn(3) // crosses
		assert.Equal(t, []string{"workerchannel.capacity 1", "running 1", "workerchannel.capacity 0"}, append(h.words(wc.OpStatusSnapshot), h.words(wc.OpDiagnostic)...))
		h.cancel(2, "taken back")
		h.cancel(3, "taken back")
		assert.Equal(t, []string{
			"CancelAcknowledged 2", "CancelAcknowledged 3", "DrainCompleted 2", "DrainCompleted 3", "FinalizeCompleted 2", "FinalizeCompleted 3",
			"JobCompleted 1", "ShutdownCompleted",
		}, h.words(wc.OpShutdownCompleted))
		job, _ := h.c.Job(1)
		assert.Equal(t, wc.OutcomeErr{Code: CodeFailed, Message: errTest.Error()}, job.Outcome)
		assert.Equal(t, errTest, <-h.served)
	})
}

func TestServeThatDrainsLetsACancelFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finalized := false
		ctx, cancel := context.WithCancel(t.Context())
		h := serve(t, ctx, untilCancelled, WithDrain(), WithFinalizer(func(*Job) { finalized = true }))
		h.spawn(1)
		synctest.Wait()
		cancel()
		synctest.Wait()
		h.cancel(1, "enough")
		assert.Equal(t, []string{"workerchannel.capacity 0", "CancelAcknowledged 1", "DrainCompleted 1", "FinalizeCompleted 1", "ShutdownCompleted"}, h.words(wc.OpShutdownCompleted)[3:])
		assert.True(t, finalized)
		assert.Equal(t, context.Canceled, <-h.served)
	})
}
