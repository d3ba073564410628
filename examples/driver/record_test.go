package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// recorded runs a host with several workers that die, hang and break the protocol, and calls that are cancelled, and
// returns its journal and how many workers it had.
func recorded(t *testing.T, o journal.Options) (text *bytes.Buffer, workers int) {
	text = new(bytes.Buffer)
	w, err := journal.NewWriter(text, o)
	require.NoError(t, err)
	works := serving(func(ctx context.Context, job *Job) ([]byte, error) {
		job.Progress("begun")
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Duration(len(job.Payload)) * 100 * time.Millisecond):
		}
		if len(job.Payload)%3 == 0 {
			return nil, errors.New("bad length")
		}
		return job.Payload, nil
	}, WithConcurrency(3))
	dies := func(p *peer) { p.begin() }
	lies := func(p *peer) {
		p.send(p.message(99, wc.JobCompleted{JobID: p.begin() + 70, Outcome: wc.OutcomeOk{}}))
		p.hang()
	}
	garbage := func(p *peer) {
		p.begin()
		p.send([]byte("garbage\n"))
		p.hang()
	}
	hangs := func(p *peer) { p.begin(); p.hang() }
	withHost(t, func(t *testing.T, h *Host) {
		var callers sync.WaitGroup
		for i := range 100 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+rand.IntN(60))*time.Second)
				defer cancel()
				_, _ = h.Do(ctx, bytes.Repeat([]byte("secret "), i%20))
			})
		}
		callers.Wait()
		require.NotZero(t, h.Stats().Succeeded)
		require.NotZero(t, h.Stats().Cancelled)
		require.NotZero(t, h.Stats().WorkersKilled)
		require.NoError(t, h.Stop(t.Context()))
		workers = int(h.Stats().WorkersStarted)
	}, WithJournal(w), WithLimits(testLimits), WithWorkers(4, locked(play(t, dies, works, lies, hangs, garbage, works, hangs, dies, works))))
	require.NoError(t, w.Close())
	return text, workers
}

// locked lets several goroutines call a Dial of play.
func locked(dial Dial) Dial {
	var mu sync.Mutex
	return func(ctx context.Context) (Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		return dial(ctx)
	}
}

func TestSessionsOfAHostAreRecordedAndReplayed(t *testing.T) {
	for name, o := range map[string]journal.Options{"whole": {}, "with digests": {DigestOver: 20}} {
		t.Run(name, func(t *testing.T) {
			text, workers := recorded(t, o)
			calls := map[string]int{}
			walker := journal.NewWalker(func(e *journal.Event) error {
				calls[e.Call]++
				return nil
			})
			require.NoError(t, walker.Read("journal", bytes.NewReader(text.Bytes())))
			assert.Zero(t, walker.Divergences)
			assert.Zero(t, walker.Unreplayed)
			assert.Equal(t, workers, walker.Sessions)
			assert.Equal(t, workers, bytes.Count(text.Bytes(), []byte(`,"end":`)), "every session has ended")
			for _, call := range []string{"expect_worker", "spawn_job", "cancel_job", "poll_status", "worker_lost", "unreadable", "advance_turn"} {
				assert.NotZero(t, calls[call], call)
			}
		})
	}
}

func TestAHostGoesOnWithoutItsJournal(t *testing.T) {
	var told error
	w, err := journal.NewWriter(fullDisk{}, journal.Options{OnError: func(err *journal.WriteError) { told = err }})
	require.NoError(t, err)
	withHost(t, func(t *testing.T, h *Host) {
		assert.Equal(t, result{[]byte("payload"), nil}, <-do(h, t.Context(), "payload"))
	}, WithJournal(w), WithWorkers(2, locked(play(t, serving(echo)))))
	assert.ErrorIs(t, told, errTest)
	assert.ErrorIs(t, w.Close(), errTest)
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errTest }

func TestJournalMustBeGiven(t *testing.T) {
	_, err := NewHost(WithJournal(nil))
	assert.ErrorIs(t, err, ErrOptions)
	assert.EqualError(t, err, fmt.Sprint(ErrOptions, ": WithJournal: writer is nil"))
}
