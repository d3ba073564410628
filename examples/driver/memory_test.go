package driver

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

func TestBadWorkersThatAreRestartedForEverTakeNoMemory(t *testing.T) {
	restarts := uint64(200)
	if raceEnabled {
		restarts = 50
	}
	for _, bad := range badWorkers {
		t.Run(bad.name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				run := func(n uint64) uint64 {
					for h.Stats().WorkersEnded < n {
						require.Error(t, second(h.Do(t.Context(), make([]byte, 1000))))
					}
					return heapBytes()
				}
				before := run(restarts / 10)
				assert.Less(t, run(restarts), before+1<<20)
			}, WithWorkers(1, play(t, bad.play)), WithLimits(testLimits))
		})
	}
}

func TestAbandonedCallsReleaseTheirMemory(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		live := do(h, t.Context(), "")
		synctest.Wait()
		before := heapBytes()
		ctx, cancel := context.WithCancel(t.Context())
		var answers []<-chan result
		for range 1000 {
			answers = append(answers, do(h, ctx, strings.Repeat("x", 100_000)))
		}
		synctest.Wait()
		require.Equal(t, 1000, h.Stats().Waiting)
		require.Greater(t, heapBytes(), before+90<<20)
		cancel()
		for _, a := range answers {
			require.ErrorIs(t, (<-a).err, context.Canceled)
		}
		assert.Less(t, heapBytes(), before+10<<20)
		assert.Len(t, live, 0, "the one before them still runs")
	}, WithWindow(1), WithWorkers(1, play(t, serving(untilCancelled))))
}

func TestCallsThatWaitedForTheFirstWorkerReleaseTheirMemory(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		before := heapBytes()
		for range 20 {
			var answers []<-chan result
			for range 20 {
				answers = append(answers, do(h, t.Context(), ""))
			}
			synctest.Wait()
			conn, _ := play(t, serving(func(context.Context, *Job) ([]byte, error) { return make([]byte, 100_000), nil }))(t.Context())
			require.NoError(t, h.Attach(conn))
			for _, a := range answers {
				require.NoError(t, (<-a).err)
			}
			require.NoError(t, h.Drain(h.lastNumber))
		}
		synctest.Wait()
		assert.Less(t, heapBytes(), before+10<<20)
	}, WithNoWorkerAfter(24*time.Hour))
}

func heapBytes() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAWorkerThatDoesNotReadCostsBoundedMemory(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		payload := strings.Repeat("\xff", wc.MaxPayloadBytes)
		before := heapBytes()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var answers []<-chan result
		for range 200 {
			answers = append(answers, do(h, ctx, payload[:]))
		}
		synctest.Wait()
		assert.Less(t, heapBytes(), before+150<<20, "200 callers' copies are 50 MiB; all as text would be 200 MiB")
		for _, a := range answers {
			require.ErrorIs(t, (<-a).err, context.DeadlineExceeded, "once the worker has been found not to read")
		}
	}, WithWindow(200), WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) { p.announce(); p.deaf() }, serving(echo))))
}

var full = flag.Bool("full", false, "test all transports with more and longer messages, and a host with a larger flood and more workers that exit and leave, and count the steps of many calls that end; takes about two minutes")

func TestAFloodOfDiagnosticsIsLoggedWithinBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("sends more than a host may keep; run it without -short")
	}
	flood := 40 << 20
	if *full && !raceEnabled {
		flood = 250 << 20
	}
	line := strings.Repeat("\x1b[31mred\u202e ", 100_000)
	var log bytes.Buffer
	withHost(t, func(t *testing.T, h *Host) {
		before := heapBytes()
		data, err := h.Do(t.Context(), []byte("after all"))
		require.NoError(t, err)
		assert.Equal(t, "after all", string(data))
		assert.Less(t, heapBytes(), before+32<<20)
		s := h.Stats()
		assert.Greater(t, s.BytesReceived, uint64(flood))
		assert.NotZero(t, s.LinesSuppressed)
	}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))), WithWorkers(1, play(t, func(p *peer) {
		_ = p.half.Announce()
		p.flush()
		for sent := 0; sent < flood; sent += len(line) {
			_ = p.half.Diagnose(wc.Diagnostic{Level: wc.LevelError, Category: "\x07\n", Message: line})
			p.flush()
		}
		spawn := p.spawned()
		_ = p.half.Complete(spawn.JobID, wc.OutcomeOk{Payload: spawn.Payload})
		p.flush()
		p.hang()
	})), WithLimits(Limits{Answer: -1, Send: -1}))
	assert.Less(t, log.Len(), 64<<10)
	assert.Contains(t, log.String(), "red")
	for _, bad := range []string{"\x1b", "\u202e", "\x07"} {
		assert.NotContains(t, log.String(), bad)
	}
}
