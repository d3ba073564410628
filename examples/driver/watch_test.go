package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// messages calls f with the messages that h sends or accepts, until the test ends.
func messages(t *testing.T, h *Host, f func(worker uint64, env wc.Envelope)) {
	t.Cleanup(h.Observe(func(e Event) {
		if e.Kind == EventSent || e.Kind == EventReceived {
			f(e.Worker, e.Envelope)
		}
	}))
}

func TestObserversSeeTheMessagesOfAWorkerInOrder(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		seen := map[uint64][]string{}
		messages(t, h, func(worker uint64, env wc.Envelope) { seen[worker] = append(seen[worker], env.Op.Type().String()) })
		conn, _ := play(t, serving(func(_ context.Context, job *Job) ([]byte, error) {
			job.Progress("half")
			return job.Payload, nil
		}))(t.Context())
		require.NoError(t, h.Attach(conn))
		synctest.Wait() // for its capacity
		require.NoError(t, second(h.Do(t.Context(), []byte("a"))))
		synctest.Wait()
		require.NoError(t, h.Stop(t.Context()))
		assert.Equal(t, map[uint64][]string{1: {
			"BootstrapReady", "Diagnostic", "SpawnJob", "StatusSnapshot", "StatusSnapshot", "JobCompleted", "ShutdownWorker", "ShutdownCompleted",
		}}, seen)
	})
}

func TestObserversTellWhatWasNotAcceptedFromMessages(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		seen := map[wc.OpType]int{}
		messages(t, h, func(_ uint64, env wc.Envelope) { seen[env.Op.Type()]++ })
		conn, _ := play(t, func(p *peer) {
			p.begin()
			stray, _ := wc.NewWorkerEnvelope("another", wc.Header{SeqNo: 1}, wc.Diagnostic{}).AppendJSON(nil)
			p.send(stray)
			p.send(p.message(99, wc.JobCompleted{JobID: 77, Outcome: wc.OutcomeOk{}}))
			p.hang()
		})(t.Context())
		require.NoError(t, h.Attach(conn))
		answer := do(h, t.Context(), "")
		synctest.Wait()
		conn, _ = play(t, serving(echo))(t.Context())
		require.NoError(t, h.Attach(conn))
		require.NoError(t, (<-answer).err)
		assert.Equal(t, uint64(1), h.Stats().Strays)
		delete(seen, wc.OpStatusSnapshot) // a worker need not report that it runs a job that ends at once
		assert.Equal(t, map[wc.OpType]int{wc.OpBootstrapReady: 2, wc.OpDiagnostic: 1, wc.OpSpawnJob: 2, wc.OpJobCompleted: 1}, seen)
	})
}

func TestStatsAddUpAtEveryMoment(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		var answers []<-chan result
		for i := range 300 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Millisecond)
			defer cancel()
			answers = append(answers, do(h, ctx, fmt.Sprint(i)))
		}
		for range 400 {
			s := h.Stats()
			answered := s.Succeeded + s.Failed + s.Panicked + s.Cancelled + s.GivenUp + s.NoWorker + s.Stopped
			require.Equal(t, s.Calls, answered+uint64(s.Waiting+s.Assigned))
			require.GreaterOrEqual(t, s.WorkersStarted, s.WorkersEnded)
			n := 0
			for _, w := range s.Workers {
				n += w.Calls
				require.LessOrEqual(t, w.Calls, 8)
			}
			require.Equal(t, s.Assigned, n)
			time.Sleep(100 * time.Millisecond)
		}
		for _, a := range answers {
			<-a
		}
		s := h.Stats()
		assert.NotZero(t, s.Succeeded*s.Failed*s.Panicked*s.Cancelled*s.Retries, "%+v", s)
		_, err := json.Marshal(s)
		assert.NoError(t, err, "so that expvar can show it")
	}, WithTries(2), WithLimits(testLimits), WithBackoff(time.Millisecond, time.Second), WithWorkers(3, play(t, serving(func(ctx context.Context, job *Job) ([]byte, error) {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(time.Duration(len(job.Payload)) * 300 * time.Millisecond):
		}
		switch job.ID % 7 {
		case 0:
			return nil, errTest
		case 1:
			panic("oh")
		case 2:
			_ = job.server.conn.Close()
		}
		return nil, nil
	}, WithConcurrency(4)))))
}

func TestOptionsThatAreOutOfRangeAreRefusedOrHarmless(t *testing.T) {
	dial := play(t, serving(echo))
	for name, opt := range map[string]Option{
		"no workers": WithWorkers(0, dial), "fewer": WithWorkers(-1, dial), "too many": WithWorkers(math.MaxInt, dial), "no dial": WithWorkers(1, nil),
		"no window": WithWindow(0), "negative window": WithWindow(math.MinInt),
		"no tries": WithTries(0), "negative backlog": WithBacklog(-1), "negative attempts": WithAttempts(-1),
		"no backoff": WithBackoff(0, 0), "backoff that shrinks": WithBackoff(2, 1), "negative backoff": WithBackoff(-2, -1),
		"negative least": WithOnDemand(-1, 1), "no idle time": WithOnDemand(0, 0), "negative idle time": WithOnDemand(0, -1), "on demand, no workers": WithOnDemand(0, 1),
		"never recycled": WithRecycle(0, 0), "negative calls": WithRecycle(-1, 1), "negative age": WithRecycle(1, -1), "recycled, no workers": WithRecycle(1, 1),
		"least above all":   func(c *config) { WithWorkers(2, dial)(c); WithOnDemand(3, 1)(c) },
		"no worker after 0": WithNoWorkerAfter(0), "no worker before": WithNoWorkerAfter(-1), "call 0": WithFirstCall(0), "call 2^63": WithFirstCall(1 << 63),
		"no logger": WithLogger(nil),
	} {
		h, err := NewHost(opt)
		assert.ErrorIs(t, err, ErrOptions, name)
		assert.Nil(t, h, name)
		assert.Less(t, len(err.Error()), 200)
	}
	for name, opt := range map[string]Option{
		"nil": nil, "huge window": WithWindow(math.MaxInt), "huge tries": WithTries(math.MaxInt), "huge backlog": WithBacklog(math.MaxInt),
		"huge attempts": WithAttempts(math.MaxInt), "huge backoff": WithBackoff(1, math.MaxInt64), "seed": WithSeed(math.MaxUint64),
		"huge idle time": WithOnDemand(0, math.MaxInt64), "huge recycling": WithRecycle(math.MaxInt, math.MaxInt64), "huge patience": WithNoWorkerAfter(math.MaxInt64),
		"no limits":    WithLimits(Limits{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1}),
		"least limits": WithLimits(Limits{math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64, math.MinInt64}),
		"huge limits": WithLimits(Limits{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64,
			math.MaxInt64, math.MaxInt64}),
		"huge and tiny limits": WithLimits(Limits{Boot: 100 * time.Millisecond, Send: math.MaxInt64, Close: 1}),
	} {
		t.Run(name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				assert.NoError(t, second(h.Do(t.Context(), nil)))
				time.Sleep(time.Hour)
				assert.NoError(t, second(h.Do(t.Context(), nil)))
				assert.Zero(t, h.Stats().WorkersKilled)
			}, WithWorkers(1, dial), opt)
		})
	}
}

// says is a worker that sends diagnostics and then does jobs.
func says(n int, message string) func(*peer) {
	return func(p *peer) {
		_ = p.half.Announce()
		for range n {
			_ = p.half.Diagnose(wc.Diagnostic{Message: message})
			p.flush()
		}
		spawn := p.spawned()
		_ = p.half.Complete(spawn.JobID, wc.OutcomeOk{})
		p.flush()
		p.hang()
	}
}

func TestOneWorkersFloodDoesNotKeepAnotherFromTheLog(t *testing.T) {
	var log bytes.Buffer
	withHost(t, func(t *testing.T, h *Host) {
		for _, say := range []func(*peer){says(10_000, "noise"), says(1, "important")} {
			conn, worker := Pipe(0)
			require.NoError(t, h.Attach(conn))
			go say(&peer{t, worker, wc.NewWorker("w", 1)})
			synctest.Wait()
		}
		assert.Equal(t, uint64(10_000-20), h.Stats().LinesSuppressed)
	}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))), WithLimits(testLimits))
	assert.Equal(t, 20, strings.Count(log.String(), "noise"))
	assert.Contains(t, log.String(), "important")
}

func TestManyWorkersThatSayMuchFillNoLog(t *testing.T) {
	var log bytes.Buffer
	withHost(t, func(t *testing.T, h *Host) {
		for range 300 {
			conn, worker := Pipe(0)
			require.NoError(t, h.Attach(conn))
			go says(100, "noise")(&peer{t, worker, wc.NewWorker("w", 1)})
			synctest.Wait()
		}
	}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))), WithLimits(testLimits))
	assert.LessOrEqual(t, strings.Count(log.String(), "noise"), 200)
	assert.LessOrEqual(t, strings.Count(log.String(), "\n"), 800)
}

func TestLogNamesWorkerJobOperationTurnOutcomeAndSize(t *testing.T) {
	var log bytes.Buffer
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, second(h.Do(t.Context(), []byte("12345"))))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, second(h.Do(ctx, nil, WithLabel("slow"))))
	}, WithLogger(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))), WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		p.announce()
		spawn := p.spawned()
		_ = p.half.Complete(spawn.JobID, wc.OutcomeOk{Payload: spawn.Payload})
		p.flush()
		p.hang()
	})))
	var sent, came, ended, gone map[string]any
	for line := range strings.Lines(log.String()) {
		var attrs map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &attrs))
		switch {
		case attrs["operation"] == "SpawnJob" && sent == nil:
			sent = attrs
		case attrs["operation"] == "JobCompleted":
			came = attrs
		case attrs["msg"] == "job has ended":
			ended = attrs
		case attrs["msg"] == "worker has ended" && gone == nil:
			gone = attrs
		}
	}
	assert.Equal(t, "coordinator → SpawnJob job 1: 5 bytes", sent["msg"])
	assert.Regexp(t, `^worker-\w+ → JobCompleted job 1: ok, 5 bytes$`, came["msg"])
	assert.Equal(t, "ok", came["outcome"])
	for _, name := range []string{"worker", "job", "turn", "size"} {
		assert.Contains(t, came, name)
		assert.Contains(t, sent, name)
		assert.Contains(t, ended, name)
	}
	assert.Equal(t, "ok", ended["outcome"])
	assert.Equal(t, 5.0, ended["size"])
	assert.Equal(t, "CancelJob", gone["operation"], "the worker was late with it")
	assert.Equal(t, []any{2.0, "slow"}, []any{gone["job"], gone["label"]})
}

func TestReportsOfJobsAreLoggedWithinBounds(t *testing.T) {
	var log bytes.Buffer
	withHost(t, func(t *testing.T, h *Host) {
		require.ErrorIs(t, second(h.Do(t.Context(), nil)), ErrJobFailed)
		assert.NotZero(t, h.Stats().LinesSuppressed)
	}, WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))), WithWorkers(1, play(t, serving(
		func(_ context.Context, job *Job) ([]byte, error) {
			for range 1000 {
				job.Progress("a bit more\x1b[31m")
			}
			return nil, errors.New("bad")
		}))))
	assert.LessOrEqual(t, strings.Count(log.String(), "a bit more"), 20)
	assert.Contains(t, log.String(), "a bit more")
	assert.NotContains(t, log.String(), "\x1b")
	assert.Contains(t, log.String(), "outcome=error")
}

// closingSlowly has connections take their time to close.
func closingSlowly(dial Dial) Dial {
	return func(ctx context.Context) (Conn, error) {
		conn, err := dial(ctx)
		return slowToClose{conn}, err
	}
}

func TestAWorkerMayGiveUpWithCallsThatItHasNotBegun(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		doAll(t, h, "1s")
	}, WithLimits(testLimits), WithWorkers(1, closingSlowly(play(t, func(p *peer) {
		p.announce()
		p.sayCapacity("2")
		p.spawned()
		require.NoError(t, p.half.Fail("cannot go on"))
		p.flush()
		p.hang()
	}, serving(takes)))))
}
