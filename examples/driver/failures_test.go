package driver

import (
	"bytes"
	"context"
	"fmt"
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

// message returns a message of the worker that its half would not send.
func (p *peer) message(seqNo uint64, op wc.Op) []byte {
	text, err := wc.NewWorkerEnvelope(p.half.ID(), wc.Header{SeqNo: seqNo}, op).AppendJSON(nil)
	require.NoError(p.t, err)
	return text
}

// badWorkers take a job and do not do it. After each a worker that works must get the job, within the time.
var badWorkers = []struct {
	name   string
	within time.Duration
	killed bool // by the host; otherwise it goes by itself
	play   func(*peer)
}{
	{"dies before it announces itself", 0, false, func(p *peer) {}},
	{"is silent from the start", 12 * time.Second, true, func(p *peer) { p.hang() }},
	{"reports that it cannot start", 0, false, func(p *peer) { _ = p.half.Fail("no disk"); p.flush(); p.hang() }},
	{"announces itself and dies", 0, false, func(p *peer) { p.announce() }},
	{"takes a job and dies", 0, false, func(p *peer) { p.announce(); p.receive() }},
	{"begins a job and dies", 0, false, func(p *peer) { p.begin() }},
	{"begins a job and is silent", 17 * time.Second, true, func(p *peer) { p.begin(); p.hang() }},
	{"takes a job and is silent", 17 * time.Second, true, func(p *peer) { p.announce(); p.receive(); p.hang() }},
	{"takes a job, shuts down and stays", 0, false, func(p *peer) {
		p.announce()
		p.receive()
		_ = p.half.CompleteShutdown()
		p.flush()
		p.hang()
	}},
	{"takes a job, shuts down and goes", 0, false, func(p *peer) {
		p.announce()
		p.receive()
		_ = p.half.CompleteShutdown()
		p.flush()
	}},
	{"begins a job and fails", 0, false, func(p *peer) { p.begin(); _ = p.half.Fail("no memory"); p.flush(); p.hang() }},
	{"does not read", 12 * time.Second, true, func(p *peer) { p.announce(); p.deaf() }},
	{"writes garbage", 0, true, func(p *peer) { p.begin(); p.send([]byte("debug: \x1b[2J")); p.hang() }},
	{"writes garbage first", 0, true, func(p *peer) { p.send([]byte("debug: got here")); p.hang() }},
	{"echoes the host's message", 0, true, func(p *peer) {
		p.begin()
		text, _ := wc.NewEnvelope(wc.Header{SeqNo: 9}, wc.PollStatus{JobID: 1}).AppendJSON(nil)
		p.send(text)
		p.hang()
	}},
	{"answers for a job that it never had", 0, true, func(p *peer) {
		p.begin()
		p.send(p.message(99, wc.JobCompleted{JobID: 77, Outcome: wc.OutcomeOk{}}))
		p.hang()
	}},
	{"repeats a message", 0, true, func(p *peer) {
		p.begin()
		p.send(p.message(1, wc.Diagnostic{}))
		p.hang()
	}},
	{"announces itself again under the same id", 0, true, func(p *peer) {
		p.begin()
		for seq := uint64(10); ; seq++ {
			p.send(p.message(seq, wc.BootstrapReady{WorkerID: p.half.ID()}))
		}
	}},
	{"announces itself again under new ids", 0, true, func(p *peer) {
		p.begin()
		for n := 0; ; n++ {
			id := fmt.Sprint("worker-", n)
			text, _ := wc.NewWorkerEnvelope(id, wc.Header{SeqNo: 1}, wc.BootstrapReady{WorkerID: id}).AppendJSON(nil)
			p.send(text)
		}
	}},
}

func TestJobsOfABadWorkerRunElsewhere(t *testing.T) {
	for _, bad := range badWorkers {
		t.Run(bad.name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				var got result
				d := took(func() { got = <-do(h, t.Context(), "payload") })
				assert.Equal(t, result{[]byte("payload"), nil}, got)
				assert.LessOrEqual(t, d, bad.within+time.Second)
				s := h.Stats()
				assert.Equal(t, bad.killed, s.WorkersKilled == 1, "%d were killed", s.WorkersKilled)
				assert.Equal(t, uint64(2), s.WorkersStarted)
			}, WithWorkers(1, play(t, bad.play, serving(echo))), WithLimits(testLimits))
		})
	}
}

func TestJobsThatEveryWorkerLeavesAreGivenUp(t *testing.T) {
	for _, bad := range badWorkers {
		if strings.Contains(bad.name, "start") || strings.Contains(bad.name, "first") || strings.Contains(bad.name, "dies before") || bad.name == "announces itself and dies" {
			continue // these have not had a job
		}
		t.Run(bad.name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				_, err := h.Do(t.Context(), nil)
				var e *GivenUpError
				require.ErrorAs(t, err, &e)
				assert.Equal(t, 3, e.Workers)
				assert.Error(t, e.Last)
				assert.NotContains(t, err.Error(), "\x1b")
			}, WithWorkers(1, play(t, bad.play)), WithLimits(testLimits))
		})
	}
}

func TestBadWorkersThatAreRestartedForEverTakeNoMemory(t *testing.T) {
	const restarts = 200
	for _, bad := range badWorkers {
		t.Run(bad.name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				run := func(n uint64) uint64 {
					for h.Stats().WorkersEnded < n {
						require.Error(t, second(h.Do(t.Context(), make([]byte, 1000))))
					}
					return heap()
				}
				before := run(restarts / 10)
				assert.Less(t, run(restarts), before+1<<20)
			}, WithWorkers(1, play(t, bad.play)), WithLimits(testLimits))
		})
	}
}

func TestCallsWithoutAWorkerThatGetsReadyAreAnswered(t *testing.T) {
	for _, bad := range badWorkers[:3] {
		t.Run(bad.name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				_, err := h.Do(t.Context(), nil)
				assert.ErrorIs(t, err, ErrNoWorker)
			}, WithWorkers(1, play(t, bad.play)), WithLimits(testLimits))
		})
	}
}

// answersTo is a worker that goes through the cancel handshake, and is silent from the given phase on.
func answersTo(last wc.OpType) func(*peer) {
	return func(p *peer) {
		id := p.begin()
		for {
			op := p.receive()
			if op.Type() == last {
				p.hang()
			}
			switch op.(type) {
			case wc.CancelJob:
				_ = p.half.AcknowledgeCancel(id)
			case wc.DrainJob:
				_ = p.half.CompleteDrain(id)
			}
			p.flush()
		}
	}
}

func TestAWorkerThatHangsInACancelIsEnded(t *testing.T) {
	for _, phase := range []wc.OpType{wc.OpCancelJob, wc.OpDrainJob, wc.OpFinalizeJob} {
		t.Run(phase.String(), func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				var err error
				d := took(func() { _, err = h.Do(ctx, nil) })
				assert.Equal(t, &CancelError{Cause: context.DeadlineExceeded}, err)
				assert.InDelta(t, 11, d.Seconds(), 2.5)
				data, err := h.Do(t.Context(), []byte("next"))
				assert.NoError(t, err)
				assert.Equal(t, "next", string(data))
			}, WithWorkers(1, play(t, answersTo(phase), serving(echo))), WithLimits(testLimits))
		})
	}
}

func TestAWorkerThatBeatsButIgnoresAShutdownIsEnded(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		_, err := h.Do(t.Context(), nil)
		require.NoError(t, err)
		assert.InDelta(t, 11, took(func() { assert.NoError(t, h.Stop(t.Context())) }).Seconds(), 1.5)
		assert.Equal(t, uint64(1), h.Stats().WorkersKilled)
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		id := p.begin()
		_ = p.half.Complete(id, wc.OutcomeOk{})
		for {
			_ = p.half.Diagnose(wc.Diagnostic{Message: "alive"})
			p.flush()
			p.sleep(time.Second)
		}
	})))
}

func TestOutcomesThatArrivedBeforeTheDeathCount(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		var answers []<-chan result
		for range 100 {
			answers = append(answers, do(h, t.Context(), ""))
		}
		for _, a := range answers {
			assert.NoError(t, (<-a).err)
		}
		assert.Zero(t, h.Stats().Retries)
	}, WithWindow(100), WithWorkers(1, func(ctx context.Context) (Conn, error) {
		host, worker := Pipe(1000)
		go func() {
			defer worker.Close()
			p := &peer{t, worker, wc.NewWorker("w", 1)}
			p.announce()
			for range 100 {
				spawn := p.spawned()
				_ = p.half.Complete(spawn.JobID, wc.OutcomeOk{})
			}
			p.flush() // all at once, and then it is gone
		}()
		return host, nil
	}))
}

func TestASlowWorkerThatReadsLargeMessagesIsNotLate(t *testing.T) {
	const jobs, size = 45, 100_000
	withHost(t, func(t *testing.T, h *Host) {
		var answers []<-chan result
		for range jobs {
			answers = append(answers, do(h, t.Context(), strings.Repeat("\xff", size)))
		}
		for _, a := range answers {
			require.NoError(t, (<-a).err)
		}
		assert.Zero(t, h.Stats().WorkersKilled)
	}, WithWindow(jobs), WithLimits(testLimits), WithWorkers(1, func(context.Context) (Conn, error) {
		host, worker := Pipe(1000) // a transport that takes them all at once
		go func() {
			defer worker.Close()
			p := &peer{t, worker, wc.NewWorker("slow", 1)}
			p.announce()
			var ids []uint64
			for len(ids) < jobs {
				switch op := p.receive().(type) {
				case wc.SpawnJob:
					time.Sleep(390 * time.Millisecond) // verifying; 18 s in all
					ids = append(ids, op.JobID)
					p.half.DrainOutbox()
				}
			}
			for _, id := range ids {
				_ = p.half.Complete(id, wc.OutcomeOk{})
			}
			p.flush()
			for {
				if _, ok := p.receive().(wc.ShutdownWorker); ok {
					_ = p.half.CompleteShutdown()
					p.flush()
					return
				}
			}
		}()
		return host, nil
	}))
}

func TestAbandonedCallsReleaseTheirMemory(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		live := do(h, t.Context(), "")
		synctest.Wait()
		before := heap()
		ctx, cancel := context.WithCancel(t.Context())
		var answers []<-chan result
		for range 1000 {
			answers = append(answers, do(h, ctx, strings.Repeat("x", 100_000)))
		}
		synctest.Wait()
		require.Equal(t, 1000, h.Stats().Waiting)
		require.Greater(t, heap(), before+90<<20)
		cancel()
		for _, a := range answers {
			require.ErrorIs(t, (<-a).err, context.Canceled)
		}
		assert.Less(t, heap(), before+10<<20)
		assert.Len(t, live, 0, "the one before them still runs")
	}, WithWindow(1), WithWorkers(1, play(t, serving(untilCancelled))))
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAWorkerThatDoesNotReadCostsBoundedMemory(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		payload := strings.Repeat("\xff", wc.MaxPayloadBytes)
		before := heap()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var answers []<-chan result
		for range 200 {
			answers = append(answers, do(h, ctx, payload[:]))
		}
		synctest.Wait()
		assert.Less(t, heap(), before+150<<20, "200 callers' copies are 50 MiB; all as text would be 200 MiB")
		for _, a := range answers {
			require.ErrorIs(t, (<-a).err, context.DeadlineExceeded, "once the worker has been found not to read")
		}
	}, WithWindow(200), WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) { p.announce(); p.deaf() }, serving(echo))))
}

func TestAFloodOfDiagnosticsIsLoggedWithinBounds(t *testing.T) {
	flood := 250 << 20
	if raceEnabled || testing.Short() {
		flood = 40 << 20
	}
	line := strings.Repeat("\x1b[31mred\u202e ", 100_000)
	var log bytes.Buffer
	withHost(t, func(t *testing.T, h *Host) {
		before := heap()
		data, err := h.Do(t.Context(), []byte("after all"))
		require.NoError(t, err)
		assert.Equal(t, "after all", string(data))
		assert.Less(t, heap(), before+32<<20)
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

func TestAConnectionThatDoesNotCloseDoesNotHoldUpStop(t *testing.T) {
	release := make(chan struct{})
	h, err := NewHost(WithLimits(Limits{Close: 50 * time.Millisecond}))
	require.NoError(t, err)
	require.NoError(t, h.Attach(stuckConn{release}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, h.Stop(ctx), context.Canceled)
	assert.Equal(t, uint64(1), h.Stats().Abandoned)
	close(release)
}

// A stuckConn breaks the promise of Close.
type stuckConn struct{ release chan struct{} }

func (c stuckConn) Send([]byte) error     { <-c.release; return ErrConnClosed }
func (c stuckConn) Recv() ([]byte, error) { <-c.release; return nil, ErrConnClosed }
func (c stuckConn) Close() error          { <-c.release; return nil }
