package logvalue_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/logvalue"
)

var noTime = &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}}

func Example() {
	log := slog.New(slog.NewTextHandler(os.Stdout, noTime))
	env := wc.NewWorkerEnvelope("w-1", wc.Header{SeqNo: 3, IssuedAtTurn: 2}, wc.JobCompleted{JobID: 7, Outcome: wc.OutcomeOk{Payload: []byte("hello")}})
	log.Info("received", "message", logvalue.Envelope(env))
	log.Info("ended", "job", logvalue.Job{JobID: 7, State: wc.StateCompleted, Since: 2, Outcome: wc.OutcomeOk{Payload: []byte("hello")}, Cause: wc.CauseOutcome})
	// Output:
	// level=INFO msg=received message.from=w-1 message.op=JobCompleted message.seq=3 message.turn=2 message.job=7 message.outcome=ok message.bytes=5
	// level=INFO msg=ended job.id=7 job.region=0 job.state=completed job.since=2 job.cause=outcome job.outcome=ok job.bytes=5
}

func TestEveryOperationAndOutcomeIsOneLineOfBoundedLength(t *testing.T) {
	hostile := "\x1b[2J\n\xff" + strings.Repeat("x", 10_000)
	for _, op := range []wc.Op{
		nil, wc.BootstrapReady{WorkerID: hostile}, wc.BootstrapFailed{WorkerID: hostile, Reason: hostile},
		wc.SpawnJob{Payload: []byte(hostile)}, wc.PollStatus{}, wc.StatusSnapshot{State: 99, Detail: &hostile}, wc.StatusSnapshot{},
		wc.JobCompleted{}, wc.JobCompleted{Outcome: wc.OutcomeErr{Code: hostile, Message: hostile}},
		wc.JobCompleted{Outcome: wc.OutcomeCancelled{Reason: hostile}}, wc.JobCompleted{Outcome: wc.OutcomePanicked{Message: hostile}},
		wc.CancelJob{Reason: hostile}, wc.CancelAcknowledged{}, wc.DrainJob{}, wc.DrainCompleted{}, wc.FinalizeJob{}, wc.FinalizeCompleted{},
		wc.ShutdownWorker{Reason: hostile}, wc.ShutdownCompleted{}, wc.Diagnostic{Category: hostile, Message: hostile},
	} {
		for _, worker := range []*string{nil, &hostile} {
			env := wc.Envelope{WorkerID: worker, Op: op}
			job := wc.TrackedJob{State: 99, Cause: 99}
			if completed, ok := op.(wc.JobCompleted); ok {
				job.Outcome = completed.Outcome
			}
			for _, handler := range []func(*bytes.Buffer) slog.Handler{
				func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, noTime) },
				func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, noTime) },
			} {
				var out bytes.Buffer
				slog.New(handler(&out)).Info("m", "message", logvalue.Envelope(env), "job", logvalue.Job(job))
				assert.Less(t, out.Len(), 1500)
				assert.Equal(t, 1, strings.Count(out.String(), "\n"))
				assert.NotContains(t, out.String(), "\x1b")
			}
		}
	}
}
