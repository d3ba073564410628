package driver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// letsGo begins a job and answers so many messages of the cancel handshake.
func letsGo(steps int) func(*peer) {
	return func(p *peer) {
		p.begin()
		for range steps {
			p.lets(p.receive())
		}
		p.hang()
	}
}

var lateWorkers = []struct {
	limit, why string
	job        bool // it is about job 1
	cancelled  bool // the job is cancelled
	play       func(*peer)
}{
	{"Boot", "driver: worker has not announced itself within 2s (Limits.Boot)", false, false, (*peer).hang},
	{"Cancel", "driver: worker has not acknowledged the cancel of job 1 within 3s (Limits.Cancel)", true, true, letsGo(0)},
	{"Drain", "driver: worker has not returned from job 1, which is cancelled, within 1m10s (Limits.Drain)", true, true, letsGo(1)},
	{"Finalize", "driver: worker has not cleaned up after job 1, which is cancelled, within 5s (Limits.Finalize)", true, true, letsGo(2)},
	{"Answer", "driver: worker has not answered a poll of job 1 within 6s (Limits.Answer)", true, false, letsGo(0)},
	{"Send", "driver: worker has not read a message within 7s (Limits.Send)", false, false, func(p *peer) { p.announce(); p.deaf() }},
	{"Shutdown", "driver: worker has not shut down within 8.5s (Limits.Shutdown)", false, false, func(p *peer) { p.announce(); p.hang() }},
}

var oddLimits = Limits{
	Boot: 2 * time.Second, Cancel: 3 * time.Second, Drain: 70 * time.Second, Finalize: 5 * time.Second, Silence: 100 * time.Second,
	Answer: 6 * time.Second, Send: 7 * time.Second, Shutdown: 8500 * time.Millisecond, Close: 9 * time.Second,
}

func TestALateWorkersEndNamesTheLimitAndTheTime(t *testing.T) {
	for _, late := range lateWorkers {
		t.Run(late.limit, func(t *testing.T) {
			var log bytes.Buffer
			limits := oddLimits
			if late.limit == "Answer" {
				limits.Silence = time.Second
			}
			withHost(t, func(t *testing.T, h *Host) {
				var events []error
				defer h.Observe(func(e Event) {
					if e.Kind == EventEnded {
						events = append(events, e.Err)
					}
				})()
				conn, _ := play(t, late.play)(t.Context())
				require.NoError(t, h.Attach(conn))
				synctest.Wait()
				if late.limit == "Shutdown" {
					require.NoError(t, h.Drain(1))
				} else if late.limit != "Boot" {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					answer := do(h, ctx, "payload")
					synctest.Wait()
					if late.cancelled {
						cancel()
					}
					defer func() {
						if err := (<-answer).err; late.cancelled {
							assert.ErrorIs(t, err, ErrCancelled)
						} else {
							assert.ErrorIs(t, err, ErrGivenUp)
							assert.ErrorContains(t, err, ", the last because: "+late.why)
						}
					}()
				}
				time.Sleep(2 * time.Minute)
				ends := h.Stats().Ended
				require.Len(t, ends, 1)
				assert.EqualError(t, ends[0].Err, late.why)
				assert.Equal(t, []error{ends[0].Err}, events)
				var overdue wc.Overdue
				assert.Equal(t, late.limit != "Send", errors.As(ends[0].Err, &overdue), "the coordinator has noticed it")
				assert.Equal(t, late.job, overdue.JobID == 1)
			}, WithTries(1), WithLimits(limits), WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
			end := lineOf(t, &log, "worker has ended")
			assert.Equal(t, late.why, end["reason"])
			assert.Equal(t, late.limit, end["limit"])
			for _, name := range []string{"job", "operation"} {
				assert.Equal(t, late.job, end[name] != nil, "%s: %v", name, end[name])
			}
			assert.NotContains(t, end, "turn")
		})
	}
}

// lineOf returns the attributes of the first line of a log with that message.
func lineOf(t *testing.T, log *bytes.Buffer, msg string) map[string]any {
	for line := range bytes.Lines(log.Bytes()) {
		var attrs map[string]any
		require.NoError(t, json.Unmarshal(line, &attrs))
		if attrs["msg"] == msg {
			return attrs
		}
	}
	t.Fatalf("there is no line %q in %s", msg, log)
	return nil
}

func TestAConnectionThatDoesNotCloseNamesTheLimitAndTheTime(t *testing.T) {
	var log bytes.Buffer
	withHost(t, func(t *testing.T, h *Host) {
		conn, worker := Pipe(0)
		require.NoError(t, h.Attach(cutConn{conn, new(int)}))
		require.NoError(t, worker.Close())
		time.Sleep(2 * time.Hour)
		assert.Equal(t, uint64(1), h.Stats().Abandoned)
	}, WithLimits(oddLimits), WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
	assert.Equal(t, "driver: connection has not closed within 9s (Limits.Close)", lineOf(t, &log, "connection does not close")["reason"])
}

func TestADialThatIsLateNamesTheLimitAndTheTime(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		err := second(h.Do(t.Context(), nil))
		assert.ErrorContains(t, err, "the last because: driver: Dial has not returned within 2s (Limits.Boot): context deadline exceeded")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	}, WithAttempts(1), WithLimits(oddLimits), WithWorkers(1, func(ctx context.Context) (Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
}

func TestAHandlerIsToldHowLongItWasAllowedToRun(t *testing.T) {
	var told error
	withHost(t, func(t *testing.T, h *Host) {
		assert.Equal(t, &CancelError{Cause: ErrRunLimit}, second(h.Do(t.Context(), nil, WithRunLimit(90*time.Second))))
	}, WithWorkers(1, play(t, serving(func(ctx context.Context, _ *Job) ([]byte, error) {
		<-ctx.Done()
		told = context.Cause(ctx)
		return nil, told
	}))))
	assert.Equal(t, &CancelError{Reason: "driver: job ran longer than its limit of 1m30s"}, told)
}

// Messages that are written together may be read one by one, by a worker that does a job before it reads the next message.
func TestAWorkerThatReadsBetweenItsJobsHasTheSendLimitForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hostEnd, workerEnd := net.Pipe()
		h, err := NewHost(WithWindow(20))
		require.NoError(t, err)
		go func() {
			w := wc.NewWorker("w", 0)
			_ = w.Announce()
			send := func() {
				for text, _, ok := w.AppendNext(nil); ok; text, _, ok = w.AppendNext(nil) {
					_, _ = workerEnd.Write(append(text, '\n'))
				}
			}
			send()
			for r := bufio.NewReaderSize(workerEnd, 16); !w.ShutdownRequested(); {
				line, err := r.ReadBytes('\n')
				if err != nil {
					return
				}
				env, _ := w.Receive(line)
				if op, ok := env.Op.(wc.SpawnJob); ok {
					time.Sleep(5 * time.Second)
					_ = w.Complete(op.JobID, wc.OutcomeOk{})
				}
				send()
			}
			_ = w.CompleteShutdown()
			send()
			_ = workerEnd.Close()
		}()
		require.NoError(t, h.Attach(Lines(hostEnd)))
		require.NoError(t, h.WaitReady(t.Context(), 1))
		var answers []<-chan result
		for range 17 { // the first is sent alone, and the others together
			answers = append(answers, do(h, t.Context(), ""))
		}
		for _, a := range answers {
			assert.NoError(t, (<-a).err)
		}
		require.NoError(t, h.Stop(t.Context()))
		assert.Zero(t, h.Stats().WorkersKilled)
	})
}
