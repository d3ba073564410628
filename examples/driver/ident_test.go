package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// One number, and the label, name a call for its caller, in each log line about it, for observers, in a snapshot and in
// the worker, from attempt to attempt.
func TestOneNumberNamesACallEverywhere(t *testing.T) {
	const first, label = 1 << 40, "request 7\x1b"
	var log bytes.Buffer
	var info CallInfo
	var jobs []Job
	var seen []string
	withHost(t, func(t *testing.T, h *Host) {
		defer h.Observe(func(e Event) {
			if e.Job != 0 {
				assert.Equal(t, uint64(first), e.Job)
				assert.Equal(t, label, e.Label)
				seen = append(seen, fmt.Sprint(e.Worker, " ", e.Kind, " ", e.Envelope.Op.Type()))
			}
		})()
		answer := do(h, t.Context(), "payload", WithLabel(label), WithInfo(&info))
		time.Sleep(2 * time.Second)
		p := h.Snapshot(10).Longest[0]
		assert.Equal(t, []any{uint64(first), label, 2}, []any{p.ID, p.Label, p.Attempt})
		require.NoError(t, (<-answer).err)
	}, WithFirstCall(first), WithLogger(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		WithWorkers(1, play(t, func(p *peer) {
			p.begin()
			p.sleep(time.Second)
		}, serving(func(_ context.Context, job *Job) ([]byte, error) {
			jobs = append(jobs, Job{ID: job.ID, Attempt: job.Attempt})
			time.Sleep(time.Second) // or it might come before the report that the job runs
			job.Diagnose(wc.Diagnostic{Message: "hello"})
			time.Sleep(2 * time.Second)
			return nil, nil
		}))))
	require.Equal(t, []Job{{ID: first, Attempt: 2}}, jobs)
	assert.NotEmpty(t, info.WorkerID)
	info.WorkerID = ""
	backoff := minBackoff // the worker that was lost had been given a call, and ended none
	assert.Equal(t, CallInfo{ID: first, Attempts: 2, Worker: 2, Waited: time.Second + backoff, Ran: 3 * time.Second}, info)
	assert.Equal(t, []string{
		"1 sent SpawnJob", "1 received StatusSnapshot",
		"2 sent SpawnJob", "2 received StatusSnapshot", "2 received Diagnostic", "2 received JobCompleted",
	}, seen)
	var lines []string
	for line := range strings.Lines(log.String()) {
		var attrs map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &attrs))
		if id, ok := attrs["job"]; ok {
			assert.Equal(t, []any{float64(first), `request 7\x1b`}, []any{id, attrs["label"]}, line)
			lines = append(lines, attrs["msg"].(string))
		} else {
			assert.NotContains(t, line, "request 7")
		}
	}
	assert.Len(t, lines, 7, "the messages, and that the job has ended")
	assert.Contains(t, lines, "worker says")
}

func TestCallInfoCountsTheWorkersThatMayHaveBegunTheCall(t *testing.T) {
	for name, c := range map[string]struct {
		play     func(*peer)
		attempts int // of the worker that ends the call
	}{
		"begun":              {func(p *peer) { p.begin() }, 2},
		"given":              {func(p *peer) { p.announce(); p.spawned() }, 2},
		"left, not begun":    {func(p *peer) { p.announce(); p.sayCapacity("1"); p.spawned(); _ = p.half.CompleteShutdown(); p.flush() }, 1},
		"left, begun":        {func(p *peer) { p.begin(); _ = p.half.CompleteShutdown(); p.flush() }, 2},
		"left, says nothing": {func(p *peer) { p.announce(); p.spawned(); _ = p.half.CompleteShutdown(); p.flush() }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var attempt uint64
			var info CallInfo
			withHost(t, func(t *testing.T, h *Host) {
				require.NoError(t, (<-do(h, t.Context(), "", WithInfo(&info))).err)
			}, WithWorkers(1, play(t, c.play, serving(func(_ context.Context, job *Job) ([]byte, error) {
				attempt = job.Attempt
				return nil, nil
			}))))
			assert.Equal(t, []any{uint64(1), c.attempts, uint64(c.attempts)}, []any{info.ID, info.Attempts, attempt})
		})
	}
}

func TestACallThatIsTakenBackHasTheSameAttemptElsewhere(t *testing.T) {
	var infos [2]CallInfo
	withHost(t, func(t *testing.T, h *Host) {
		attached := func(f func(*peer)) {
			conn, _ := play(t, f)(t.Context())
			require.NoError(t, h.Attach(conn))
			synctest.Wait()
		}
		attached(serving(takes, WithConcurrency(1)))
		long := do(h, t.Context(), "10s", WithInfo(&infos[0]))
		synctest.Wait()
		short := do(h, t.Context(), "1s", WithInfo(&infos[1]))
		time.Sleep(time.Second)
		require.Equal(t, 2, h.Stats().Assigned, "it waits at the worker, behind the other")
		attached(serving(takes, WithConcurrency(1)))
		require.NoError(t, (<-short).err)
		require.NoError(t, (<-long).err)
	})
	for i, want := range []CallInfo{
		{ID: 1, Attempts: 1, Worker: 1, Ran: 10 * time.Second},
		{ID: 2, Attempts: 1, Worker: 2, Waited: time.Second, Ran: time.Second},
	} {
		infos[i].WorkerID = ""
		assert.Equal(t, want, infos[i])
	}
}

func TestCallInfoIsFilledHoweverACallEnds(t *testing.T) {
	attached := func(t *testing.T, h *Host, handler Handler) {
		conn, _ := play(t, serving(handler, WithConcurrency(1)))(t.Context())
		require.NoError(t, h.Attach(conn))
		synctest.Wait()
	}
	within := func(t *testing.T, d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		return ctx
	}
	for name, c := range map[string]struct {
		want CallInfo
		err  error
		do   func(t *testing.T, h *Host, into CallOption) error
	}{
		"too many wait": {CallInfo{}, ErrBusy, func(t *testing.T, h *Host, into CallOption) error {
			_ = do(h, t.Context(), "")
			synctest.Wait()
			return second(h.Do(t.Context(), nil, into))
		}},
		"stopped before": {CallInfo{}, ErrStopped, func(t *testing.T, h *Host, into CallOption) error {
			require.NoError(t, h.Stop(t.Context()))
			return second(h.Do(t.Context(), nil, into))
		}},
		"too large": {CallInfo{}, wc.ErrPayloadTooLarge, func(t *testing.T, h *Host, into CallOption) error {
			return second(h.Do(t.Context(), make([]byte, wc.MaxPayloadBytes+1), into))
		}},
		"cancelled before": {CallInfo{}, context.DeadlineExceeded, func(t *testing.T, h *Host, into CallOption) error {
			return second(h.Do(within(t, 0), nil, into))
		}},
		"stopped": {CallInfo{ID: 1, Waited: time.Second}, ErrStopped, func(t *testing.T, h *Host, into CallOption) error {
			time.AfterFunc(time.Second, func() { _ = h.Stop(context.Background()) })
			return second(h.Do(t.Context(), nil, into))
		}},
		"cancelled while it waits": {CallInfo{ID: 1, Waited: time.Second}, context.DeadlineExceeded, func(t *testing.T, h *Host, into CallOption) error {
			return second(h.Do(within(t, time.Second), nil, into))
		}},
		"cancelled while it runs": {CallInfo{ID: 1, Attempts: 1, Worker: 1, Ran: 3 * time.Second}, context.DeadlineExceeded, func(t *testing.T, h *Host, into CallOption) error {
			attached(t, h, ignores(3*time.Second))
			return second(h.Do(within(t, time.Second), nil, into))
		}},
		"cancelled before it has begun": {CallInfo{ID: 2, Waited: time.Second}, context.DeadlineExceeded, func(t *testing.T, h *Host, into CallOption) error {
			attached(t, h, ignores(3*time.Second))
			_ = do(h, t.Context(), "")
			synctest.Wait()
			err := second(h.Do(within(t, time.Second), nil, into))
			require.Equal(t, 1, h.Stats().Assigned)
			return err
		}},
		"returns at once": {CallInfo{ID: 1, Attempts: 1, Worker: 1, Ran: time.Second}, context.DeadlineExceeded, func(t *testing.T, h *Host, into CallOption) error {
			attached(t, h, ignores(3*time.Second))
			err := second(h.Do(within(t, time.Second), nil, into, ReturnAtOnce()))
			require.Equal(t, 1, h.Stats().Assigned)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			info := CallInfo{ID: 77, WorkerID: "of another call"}
			withHost(t, func(t *testing.T, h *Host) {
				assert.ErrorIs(t, c.do(t, h, WithInfo(&info)), c.err)
				assert.Equal(t, c.want.Worker != 0, info.WorkerID != "")
				info.WorkerID = ""
				assert.Equal(t, c.want, info)
				time.Sleep(10 * time.Second)
			}, WithBacklog(1))
			assert.Equal(t, c.want, info, "it is not written afterwards")
		})
	}
}

func TestACallWaitsUntilItsWorkerSaysThatItRuns(t *testing.T) {
	var info CallInfo
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, (<-do(h, t.Context(), "", WithInfo(&info))).err)
	}, WithWorkers(1, play(t, func(p *peer) {
		p.announce()
		job := p.spawned().JobID
		p.sleep(time.Second)
		require.NoError(t, p.half.Start(job))
		p.flush()
		p.sleep(2 * time.Second)
		_ = p.half.Complete(job, wc.OutcomeOk{})
		p.flush()
		p.hang()
	})))
	assert.Equal(t, []time.Duration{time.Second, 2 * time.Second}, []time.Duration{info.Waited, info.Ran})
}

// ignores is a handler that takes its time whatever its context.
func ignores(d time.Duration) Handler {
	return func(context.Context, *Job) ([]byte, error) {
		time.Sleep(d)
		return nil, errors.New("late")
	}
}

func TestALabelIsCutAndMended(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		ctx, cancel := context.WithCancel(t.Context())
		answer := do(h, ctx, "", WithLabel("\xff"+strings.Repeat("x", 300)))
		synctest.Wait()
		assert.Equal(t, "\uFFFD"+strings.Repeat("x", 255), h.Snapshot(1).Waiting[0].Label)
		cancel()
		require.Error(t, (<-answer).err)
	})
}

func TestADiagnosticIsAboutAJobThatItNamesIfItsWorkerHasIt(t *testing.T) {
	metadata := []string{"job 1", "job 1: of the handler", "job 2: of another worker", "job ", "job 1:", "job -1: x", "jobs 1", ""}
	var log bytes.Buffer
	withHost(t, func(t *testing.T, h *Host) {
		require.NoError(t, second(h.Do(t.Context(), nil, WithLabel("a"))))
	}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))), WithWorkers(1, play(t, func(p *peer) {
		job := p.begin()
		for _, m := range metadata {
			require.NoError(t, p.half.Diagnose(wc.Diagnostic{Message: "hello", Metadata: &m}))
		}
		_ = p.half.Complete(job, wc.OutcomeOk{})
		p.flush()
		p.hang()
	})))
	var got []string
	for line := range strings.Lines(log.String()) {
		if _, after, ok := strings.Cut(line, "message=hello "); ok {
			got = append(got, strings.TrimSpace(after))
		}
	}
	assert.Equal(t, []string{
		"job=1 label=a", `job=1 label=a metadata="of the handler"`, `metadata="job 2: of another worker"`, `metadata="job "`,
		"metadata=\"job 1:\"", `metadata="job -1: x"`, `metadata="jobs 1"`, `metadata=""`,
	}, got)
}
