package driver

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

func TestSnapshotNamesTheWorkerThatHangsBeforeItIsEnded(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		call := do(h, t.Context(), "payload")
		time.Sleep(9 * time.Second) // the silence, and some of the time to answer
		s := h.Snapshot(100)
		require.Len(t, s.Sessions, 1)
		one := s.Sessions[0]
		require.True(t, one.Silent())
		require.Len(t, one.Due, 1)
		assert.Equal(t, "Answer", one.Due[0].Limit)
		assert.Equal(t, uint64(1), one.Due[0].JobID)
		assert.False(t, one.Due[0].Overdue)
		require.Len(t, one.Jobs, 1)
		assert.Equal(t, Pending{ID: 1, Attempt: 1, Bytes: 7, Age: 9 * time.Second, Worker: 1, Ran: 9 * time.Second, State: wc.StateRunning}, one.Jobs[0])
		assert.Equal(t, map[wc.JobState]int{wc.StateRunning: 1}, s.Phases)
		assert.Zero(t, s.Stats.WorkersKilled)

		left := time.Duration(one.Due[0].Deadline-one.Turn) * s.Turn
		time.Sleep(left - s.Turn)
		require.Zero(t, h.Stats().WorkersKilled)
		time.Sleep(4 * s.Turn)
		assert.Equal(t, uint64(1), h.Stats().WorkersKilled, "it was due when the snapshot said")
		assert.Equal(t, []byte("payload"), (<-call).payload)
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) { p.begin(); p.hang() }, serving(echo))))
}

func TestSnapshotTellsEveryDuty(t *testing.T) {
	acknowledges := func(p *peer, steps int) {
		p.begin()
		for range steps {
			switch op := p.receive().(type) {
			case wc.CancelJob:
				_ = p.half.AcknowledgeCancel(op.JobID)
			case wc.DrainJob:
				_ = p.half.CompleteDrain(op.JobID)
			}
			p.flush()
		}
		p.hang()
	}
	for _, c := range []struct {
		limit  string
		cancel bool
		play   func(*peer)
	}{
		{"Boot", false, (*peer).hang},
		{"Cancel", true, func(p *peer) { acknowledges(p, 0) }},
		{"Drain", true, func(p *peer) { acknowledges(p, 1) }},
		{"Finalize", true, func(p *peer) { acknowledges(p, 2) }},
		{"Answer", false, func(p *peer) { p.begin(); p.hang() }},
		{"Send", false, func(p *peer) { p.announce(); p.deaf() }},
	} {
		t.Run(c.limit, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				_ = do(h, ctx, "payload")
				time.Sleep(time.Second)
				if c.cancel {
					cancel()
				}
				for second := range 30 {
					s := h.Snapshot(10)
					if len(s.Sessions) > 0 && len(s.Sessions[0].Due) > 0 && s.Sessions[0].Due[0].Limit == c.limit {
						d := s.Sessions[0].Due[0]
						time.Sleep(time.Duration(d.Deadline-s.Sessions[0].Turn-1) * s.Turn)
						assert.Zero(t, h.Stats().WorkersKilled)
						time.Sleep(4 * s.Turn)
						assert.Equal(t, uint64(1), h.Stats().WorkersKilled, "after second %d", second)
						return
					}
					time.Sleep(time.Second)
				}
				t.Errorf("nothing is due within the limit %s", c.limit)
			}, WithLimits(testLimits), WithWorkers(1, play(t, c.play, serving(echo))))
		})
	}
}

func TestSnapshotTellsWhoShutsDownAndWhoseConnectionIsBeingClosed(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error)
		go func() { stopped <- h.Stop(ctx) }()
		time.Sleep(2 * time.Second)
		s := h.Snapshot(10)
		require.Len(t, s.Sessions, 1)
		require.Len(t, s.Sessions[0].Due, 1)
		assert.Equal(t, "Shutdown", s.Sessions[0].Due[0].Limit)
		assert.True(t, s.Stats.Stopping)
		cancel()
		assert.ErrorIs(t, <-stopped, context.Canceled)
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) { p.announce(); p.hang() })))
}

func TestSnapshotIsBoundedAndCountsTheRest(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		for range 100 {
			_ = do(h, t.Context(), "payload")
		}
		time.Sleep(time.Second)
		s := h.Snapshot(5)
		assert.Len(t, s.Sessions, 3)
		jobs := 0
		for _, one := range s.Sessions {
			jobs += len(one.Jobs)
		}
		assert.Equal(t, 5, jobs)
		assert.Len(t, s.Waiting, 5)
		assert.Equal(t, time.Second, s.Waiting[0].Age)
		assert.Equal(t, 24, s.Stats.Assigned)
		assert.Equal(t, 76, s.Stats.Waiting)
		assert.Equal(t, 24, s.Phases[wc.StateRunning]+s.Phases[wc.StateQueued])
		assert.Empty(t, h.Snapshot(-1).Sessions)
	}, WithLimits(testLimits), WithWorkers(3, locked(play(t, serving(untilCancelled, WithConcurrency(8))))), WithWindow(8))
}

func TestObserversSeeEveryEventUntilTheyStop(t *testing.T) {
	var first, second []string
	note := func(list *[]string) func(Event) {
		return func(e Event) {
			line := fmt.Sprint(e.Worker, " ", e.Kind)
			if e.Envelope.Op != nil {
				line += " " + e.Envelope.Op.Type().String()
			}
			if e.Kind == EventReceived && e.Envelope.Op.Type() == wc.OpDiagnostic {
				return // the worker's capacity, which crosses the job
			}
			if e.Kind >= EventRefused {
				line += fmt.Sprint(" ", e.Err != nil)
			}
			*list = append(*list, line)
			if (e.Size > 0) != (e.Kind != EventEnded) {
				t.Errorf("%s has size %d", line, e.Size)
			}
		}
	}
	withHost(t, func(t *testing.T, h *Host) {
		h.Observe(nil)()
		stop := h.Observe(note(&first))
		defer h.Observe(note(&second))()
		require.Equal(t, []byte("payload"), (<-do(h, t.Context(), "payload")).payload)
		synctest.Wait()
		stop()
		stop()
		require.NoError(t, h.Stop(t.Context()))
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		p.sleep(time.Second) // until the host is observed
		p.begin()
		p.send([]byte("garbage"))
		p.hang()
	}, serving(echo))))
	want := []string{
		"1 received BootstrapReady", "1 sent SpawnJob", "1 received StatusSnapshot", "1 refused true", "1 ended true",
		"2 received BootstrapReady", "2 sent SpawnJob",
	}
	require.Greater(t, len(second), len(first))
	assert.Equal(t, want, first[:len(want)])
	assert.Equal(t, first, second[:len(first)])
	assert.Contains(t, second, "2 sent ShutdownWorker")
	assert.Equal(t, "2 ended false", second[len(second)-1])
}

func TestNothingIsDueThatHasNotBeenSent(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		region := h.NewRegion()
		_ = do(h, t.Context(), "first", InRegion(region))
		_ = do(h, t.Context(), "second", InRegion(region))
		time.Sleep(2 * time.Second)
		region.Cancel(errTest)
		time.Sleep(2 * time.Second)
		one := h.Snapshot(10).Sessions[0]
		assert.Equal(t, wc.StateCancelRequested, one.Jobs[0].State)
		assert.Equal(t, wc.StateCancelRequested, one.Jobs[1].State)
		assert.Equal(t, 1, one.Outbox, "the worker does not read the first cancel, so the second waits")
		var due []string
		for _, d := range one.Due {
			due = append(due, fmt.Sprint(d.Limit, " ", d.JobID))
		}
		assert.Equal(t, []string{"Send 0", "Cancel 1"}, due)
	}, WithWindow(2), WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) { p.begin(); p.spawned(); p.deaf() })))
}
