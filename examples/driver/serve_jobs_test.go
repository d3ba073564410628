package driver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// until receives until f says that the message was the one.
func (h *fakeHost) until(f func(wc.Op) bool) (op wc.Op) {
	for op = h.receive(); !f(op); op = h.receive() {
	}
	return op
}

// outcome receives until the job has completed.
func (h *fakeHost) outcome(id uint64) wc.Outcome {
	op := h.until(func(op wc.Op) bool { c, ok := op.(wc.JobCompleted); return ok && c.JobID == id })
	return op.(wc.JobCompleted).Outcome
}

func (h *fakeHost) cancel(id uint64, reason string) {
	require.NoError(h.t, h.c.CancelJob(id, reason))
	h.flush()
}

// close ends the worker, as if the host were gone.
func (h *fakeHost) close() {
	_ = h.conn.Close()
	assert.ErrorIs(h.t, <-h.served, ErrHostGone)
}

func TestServeRunsNoMoreHandlersThanItsConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		h := serve(t, t.Context(), func(context.Context, *Job) ([]byte, error) {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			running.Add(-1)
			return nil, nil
		}, WithConcurrency(3))
		for id := range uint64(10) {
			h.spawn(id + 1)
		}
		assert.Equal(t, 4*time.Second, took(func() {
			for h.c.InflightCount() > 0 {
				h.receive()
			}
		}))
		assert.Equal(t, int32(3), most.Load())
		h.close()
	})
}

func TestServeEndsTheContextOfACancelledJobOnlyAndDrainsWhenTheHandlerHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var causes [3]error
		h := serve(t, t.Context(), func(ctx context.Context, job *Job) ([]byte, error) {
			select {
			case <-ctx.Done():
				causes[job.ID] = context.Cause(ctx)
				time.Sleep(3 * time.Second) // to let go of something
			case <-time.After(time.Minute):
			}
			return job.Payload, nil
		}, WithConcurrency(2))
		h.spawn(1)
		h.spawn(2)
		synctest.Wait()
		start := time.Now()
		h.cancel(1, "enough")
		h.until(func(op wc.Op) bool { return op.Type() == wc.OpCancelAcknowledged })
		assert.Zero(t, time.Since(start))
		h.until(func(op wc.Op) bool { return op.Type() == wc.OpDrainCompleted })
		assert.Equal(t, 3*time.Second, time.Since(start))
		h.until(func(op wc.Op) bool { return op.Type() == wc.OpFinalizeCompleted })
		assert.Equal(t, &CancelError{Reason: "enough"}, causes[1])
		assert.Equal(t, wc.OutcomeOk{Payload: []byte{}}, h.outcome(2))
		assert.NoError(t, causes[2])
		h.close()
	})
}

func TestServeCallsTheFinalizerForWhatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var finalized []uint64
		h := serve(t, t.Context(), untilCancelled, WithConcurrency(1), WithServeLogger(slog.New(slog.NewTextHandler(&log, nil))), WithFinalizer(func(job *Job) {
			finalized = append(finalized, job.ID)
			time.Sleep(5 * time.Second)
			panic("in the finalizer")
		}))
		h.spawn(1)
		h.spawn(2) // is queued
		synctest.Wait()
		start := time.Now()
		h.cancel(2, "")
		h.cancel(1, "")
		for h.c.InflightCount() > 0 {
			h.receive()
		}
		assert.Equal(t, []uint64{1}, finalized)
		assert.Equal(t, 5*time.Second, time.Since(start))
		assert.Contains(t, log.String(), "in the finalizer")
		h.close()
	})
}

func TestServeReportsWhatCannotBeSentAsAnError(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	for name, test := range map[string]struct {
		handler Handler
		want    wc.Outcome
	}{
		"result too large": {
			func(context.Context, *Job) ([]byte, error) { return make([]byte, wc.MaxPayloadBytes+1), nil },
			wc.OutcomeErr{Code: CodeTooLarge, Message: "the result has 262145 bytes, the limit is 262144: see docs/larger-data.md"},
		},
		"largest result": {
			func(context.Context, *Job) ([]byte, error) { return make([]byte, wc.MaxPayloadBytes), nil },
			wc.OutcomeOk{Payload: make([]byte, wc.MaxPayloadBytes)},
		},
		"error not UTF-8": {
			func(context.Context, *Job) ([]byte, error) { return nil, errors.New("a\xffb") },
			wc.OutcomeErr{Code: CodeFailed, Message: "a\uFFFDb"},
		},
		"error too long": {
			func(context.Context, *Job) ([]byte, error) { return nil, errors.New(long) },
			wc.OutcomeErr{Code: CodeFailed, Message: long[:maxText]},
		},
		"code too long, not UTF-8": {
			func(context.Context, *Job) ([]byte, error) { return nil, &JobError{"\xff" + long, "\xff"} },
			wc.OutcomeErr{Code: "\uFFFD" + long[:maxText-2] + "\uFFFD", Message: "\uFFFD"},
		},
		"panic not UTF-8, too long": {
			func(context.Context, *Job) ([]byte, error) { panic("\xff" + long) },
			wc.OutcomePanicked{Message: "\uFFFD" + long[:maxText-2] + "\uFFFD"},
		},
		"panic with nil": {
			func(context.Context, *Job) ([]byte, error) { panic(nil) },
			wc.OutcomePanicked{Message: (*runtime.PanicNilError)(nil).Error()},
		},
		"error that panics": {
			func(context.Context, *Job) ([]byte, error) { return nil, panics{} },
			wc.OutcomePanicked{Message: "in Error"},
		},
		"gives up as its own call was cancelled": {
			func(context.Context, *Job) ([]byte, error) { return nil, &CancelError{Cause: errTest} },
			wc.OutcomeCancelled{Reason: errTest.Error()},
		},
		"gives up": {
			func(context.Context, *Job) ([]byte, error) { return nil, &CancelError{Reason: "\xff"} },
			wc.OutcomeCancelled{Reason: "\uFFFD"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := serve(t, t.Context(), test.handler)
				h.spawn(1)
				got := h.outcome(1)
				if e, ok := got.(wc.OutcomeErr); ok {
					assert.LessOrEqual(t, len(e.Message)+len(e.Code), 3*maxText)
				}
				assert.Equal(t, test.want, got)
				h.close()
			})
		})
	}
}

type panics struct{}

func (panics) Error() string { panic("in Error") }

func TestServeReportsProgressAndDiagnosticsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metadata := "m\xff"
		h := serve(t, t.Context(), func(_ context.Context, job *Job) ([]byte, error) {
			job.Progress("a\xff")
			job.Diagnose(wc.Diagnostic{Level: wc.LevelError, Category: "c\xff", Message: "b", Metadata: &metadata})
			job.Diagnose(wc.Diagnostic{Level: 99, Message: "unknown level"})
			job.Progress("c")
			return nil, nil
		})
		h.receive() // its capacity
		h.spawn(1)
		var got []wc.Op
		h.until(func(op wc.Op) bool {
			if s, ok := op.(wc.StatusSnapshot); !ok || s.Detail != nil {
				got = append(got, op)
			}
			return op.Type() == wc.OpJobCompleted
		})
		a, c, m, one := "a\uFFFD", "c", "job 1: m\uFFFD", "job 1"
		assert.Equal(t, []wc.Op{
			wc.StatusSnapshot{JobID: 1, State: wc.StateRunning, Detail: &a},
			wc.Diagnostic{Level: wc.LevelError, Category: "c\uFFFD", Message: "b", Metadata: &m},
			wc.Diagnostic{Level: wc.LevelInfo, Message: "unknown level", Metadata: &one},
			wc.StatusSnapshot{JobID: 1, State: wc.StateRunning, Detail: &c},
			wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{}},
		}, normal(got))
		assert.Equal(t, "m\xff", metadata, "it is the handler's")
		h.close()
	})
}

// normal replaces empty payloads by nil ones.
func normal(ops []wc.Op) []wc.Op {
	for i, op := range ops {
		if c, ok := op.(wc.JobCompleted); ok {
			if o, ok := c.Outcome.(wc.OutcomeOk); ok && len(o.Payload) == 0 {
				ops[i] = wc.JobCompleted{JobID: c.JobID, Outcome: wc.OutcomeOk{}}
			}
		}
	}
	return ops
}

func TestReportsWaitForAHostThatDoesNotReadAndUseBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported atomic.Int64
		h := serve(t, t.Context(), func(ctx context.Context, job *Job) ([]byte, error) {
			for ctx.Err() == nil {
				job.Progress(strings.Repeat("x", maxText))
				reported.Add(1)
			}
			return nil, nil
		})
		h.spawn(1)
		synctest.Wait()
		n := reported.Load()
		assert.LessOrEqual(t, n, int64(100+maxOutbox+1), "100 are in the pipe")
		h.receive()
		synctest.Wait()
		assert.Equal(t, n+1, reported.Load(), "it goes on when there is room")
		h.close() // and returns when the host is gone
	})
}

func TestHandlersWaitForAHostThatDoesNotReadResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs, handlers = 3000, 4
		var called atomic.Int64
		h := serve(t, t.Context(), func(ctx context.Context, job *Job) ([]byte, error) { called.Add(1); return nil, nil }, WithConcurrency(handlers))
		for id := range uint64(jobs) {
			h.spawn(id + 1)
		}
		synctest.Wait()
		assert.LessOrEqual(t, called.Load(), int64(101+maxResults+handlers), "101 have left")
		ended := 0
		for ended < jobs {
			if h.receive().Type() == wc.OpJobCompleted {
				ended++
			}
		}
		assert.Equal(t, int64(jobs), called.Load(), "they go on when the host reads")
		h.close()
	})
}

func TestReportsAfterTheEndOfAJobAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept *Job
		var keptCtx context.Context
		h := serve(t, t.Context(), func(ctx context.Context, job *Job) ([]byte, error) { kept, keptCtx = job, ctx; return nil, nil })
		h.spawn(1)
		h.outcome(1)
		assert.Error(t, keptCtx.Err(), "it has been released")
		kept.Progress("late")
		h.spawn(2)
		assert.Equal(t, wc.OutcomeOk{Payload: []byte{}}, h.outcome(2))
		h.close()
		kept.Progress("later")
		kept.Diagnose(wc.Diagnostic{})
	})
}

func TestServeEndsThoughItsContextHadEndedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTest)
		h := serve(t, ctx, echo)
		assert.Empty(t, h.causes())
		assert.Equal(t, errTest, <-h.served)
	})
}

func TestServeCompletesAJobThatEndsAtOnceWithoutReportingItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, worker := Pipe(0) // so that the announcement keeps the worker from sending anything else
		h := &fakeHost{t, conn, wc.NewCoordinator(1), make(chan error, 1)}
		go func() { h.served <- Serve(t.Context(), worker, "w", echo) }()
		synctest.Wait()
		text, err := wc.NewEnvelope(wc.Header{SeqNo: 1}, wc.SpawnJob{JobID: 1}).AppendJSON(nil)
		require.NoError(t, err)
		require.NoError(t, conn.Send(text))
		synctest.Wait()
		for _, want := range []wc.OpType{wc.OpBootstrapReady, wc.OpDiagnostic, wc.OpJobCompleted} {
			data, err := conn.Recv()
			require.NoError(t, err)
			env, err := wc.ParseEnvelope(data)
			require.NoError(t, err)
			assert.Equal(t, want, env.Op.Type())
		}
		h.close()
	})
}

func TestServeIgnoresWhatComesAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, t.Context(), echo)
		require.NoError(t, h.c.RequestShutdown(""))
		h.flush()
		assert.Empty(t, h.causes())
		assert.NoError(t, <-h.served)
		assert.Error(t, h.conn.Send(nil), "the connection is closed")
	})
}
