package journal

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// The conformance data, made by an independent implementation.
const (
	sessions       = "../../../testdata/sessions.jsonl"
	workerSessions = "../../../testdata/worker_sessions.jsonl"
	envelopes      = "../../../testdata/envelopes.jsonl"
)

func TestRecorderRecordsWhatIndependentImplementationRecorded(t *testing.T) {
	eachLine(t, sessions, func(t *testing.T, line []byte) {
		var session Session
		require.NoError(t, json.Unmarshal(line, &session))
		c := wc.NewCoordinator(session.Seed, wc.WithFirstDecisionSeq(session.FirstDecisionSeq), wc.WithLimits(wc.Limits(session.Limits)))
		var recorded []Step
		r := Record(c, func(s Step) { recorded = append(recorded, s) })
		repeat(t, line, coordinatorCalls, r, &recorded)
	})
}

func TestWorkerRecorderRecordsWhatIndependentImplementationRecorded(t *testing.T) {
	eachLine(t, workerSessions, func(t *testing.T, line []byte) {
		var session WorkerSession
		require.NoError(t, json.Unmarshal(line, &session))
		var recorded []Step
		r := RecordWorker(wc.NewWorker(session.WorkerID, session.Seed), func(s Step) { recorded = append(recorded, s) })
		repeat(t, line, workerCalls, r, &recorded)
	})
}

// repeat makes the calls of a session on a recorder and requires that each records the step as it is there.
func repeat[R any](t *testing.T, line []byte, calls map[string]call[R], r R, recorded *[]Step) {
	var session struct {
		Steps []json.RawMessage `json:"steps"`
	}
	require.NoError(t, json.Unmarshal(line, &session))
	for i, step := range session.Steps {
		in, err := readObject(step)
		require.NoError(t, err)
		calls[in.str("call")].make(r, in)
		require.NoError(t, in.err)
		require.Len(t, *recorded, i+1)
		require.Equal(t, plain(step), plain((*recorded)[i]), "step %d", i)
	}
}

func TestRecordedSessionsReplayWithoutDivergence(t *testing.T) {
	limits := Limits{Boot: 1, Cancel: 2, Drain: 3, Finalize: 4, Poll: 5, Shutdown: 6}
	session := Session{Seed: 1<<64 - 1, FirstDecisionSeq: 1 << 63, Limits: limits}
	c := wc.NewCoordinator(session.Seed, wc.WithFirstDecisionSeq(session.FirstDecisionSeq), wc.WithLimits(wc.Limits(limits)))
	r := Record(c, func(s Step) { session.Steps = append(session.Steps, s) })
	workerSession := WorkerSession{Seed: 3, WorkerID: "<w>&\u2028"}
	w := RecordWorker(wc.NewWorker(workerSession.WorkerID, workerSession.Seed), func(s Step) { workerSession.Steps = append(workerSession.Steps, s) })

	const last = 1<<64 - 1 // job ids count down from here
	exchange(t, r, w)
	r.ExpectWorker()
	assert.ErrorIs(t, r.SpawnJob(wc.SpawnJob{JobID: 1}), wc.ErrWorkerNotReady)
	assert.ErrorIs(t, w.Start(1), wc.ErrWorkerNotReady)
	require.NoError(t, w.Announce())
	exchange(t, r, w)
	r.AdvanceTurn()
	w.AdvanceTurn()
	for id := range uint64(6) {
		require.NoError(t, r.SpawnTagged(wc.SpawnJob{JobID: last - id, RegionID: id / 2, Payload: []byte{0, 255, byte(id)}}, t))
	}
	assert.ErrorIs(t, r.SpawnJob(wc.SpawnJob{JobID: 1, Payload: make([]byte, wc.MaxPayloadBytes+1)}), wc.ErrPayloadTooLarge)
	exchange(t, r, w)
	require.NoError(t, r.PollStatus(last))
	require.NoError(t, r.CancelJob(last, "\x00\u2028<"))
	_, err := r.RemoveJob(last)
	assert.ErrorIs(t, err, wc.ErrJobNotTerminal)
	require.NoError(t, w.Start(last-1))
	require.NoError(t, w.Report(last-1, "<half>"))
	require.NoError(t, w.Complete(last-1, wc.OutcomeOk{Payload: []byte{7}}))
	require.NoError(t, w.Complete(last-2, wc.OutcomeErr{Code: "c", Message: "m"}))
	require.NoError(t, w.Complete(last-3, wc.OutcomePanicked{Message: "m"}))
	require.NoError(t, w.Complete(last-4, wc.OutcomeCancelled{Reason: "r"}))
	metadata := "<{}>"
	require.NoError(t, w.Diagnose(wc.Diagnostic{Level: wc.LevelWarn, Category: "c", Message: "m", Metadata: &metadata}))
	require.NoError(t, w.Diagnose(wc.Diagnostic{Level: wc.LevelError}))
	exchange(t, r, w)
	require.NoError(t, w.AcknowledgeCancel(last))
	exchange(t, r, w)
	require.NoError(t, w.CompleteDrain(last))
	exchange(t, r, w)
	require.NoError(t, w.CompleteFinalize(last))
	exchange(t, r, w)
	state, err := r.RemoveJob(last)
	assert.NoError(t, err)
	assert.Equal(t, wc.StateCompleted, state)
	assert.Len(t, r.Reap(), 4)

	cancelled, err := r.CancelRegion(2, "r")
	assert.NoError(t, err)
	assert.Equal(t, 1, cancelled)
	_, err = r.CloseRegion(3, "r")
	assert.ErrorIs(t, err, wc.ErrUnknownRegionID)
	r.RetireWorker("another")
	require.NoError(t, r.ShutdownWhenIdle("end"))
	require.NoError(t, r.RequestShutdown("now"))
	exchange(t, r, w)
	require.NoError(t, w.CompleteShutdown())
	assert.ErrorIs(t, w.Fail("late"), wc.ErrWorkerClosed)
	exchange(t, r, w)
	r.WorkerLost()
	assert.Len(t, r.Reap(), 1)

	requireEveryCall(t, coordinatorCalls, session.Steps)
	requireReplays(t, &session, len(session.Steps))
	requireEveryCall(t, workerCalls, workerSession.Steps)
	requireReplays(t, &workerSession, len(workerSession.Steps))
}

// exchange delivers messages until there are none left.
func exchange(t *testing.T, r *Recorder, w *WorkerRecorder) {
	for r.OutboxLen()+w.OutboxLen() > 0 {
		for env := range r.Outbox() {
			_, err := w.Receive(encode(t, env))
			require.NoError(t, err)
		}
		for env := range w.Outbox() {
			_, err := r.Receive(encode(t, env))
			require.NoError(t, err)
		}
	}
}

func requireEveryCall[R any](t *testing.T, calls map[string]call[R], steps []Step) {
	called := map[any]bool{}
	for _, s := range steps {
		called[s["call"]] = true
	}
	for name := range calls {
		require.True(t, called[name], "%s has not been called", name)
	}
}

func requireReplays(t *testing.T, session interface{ Write(io.Writer) error }, steps int) {
	var line bytes.Buffer
	require.NoError(t, session.Write(&line))
	require.Equal(t, 1, bytes.Count(line.Bytes(), []byte("\n")))
	made, err := Replay(line.Bytes(), func(d Divergence) { t.Errorf("%+v", d) })
	require.NoError(t, err)
	require.Equal(t, steps, made)
}

func TestCallsThatJSONCannotHoldAreNotRecorded(t *testing.T) {
	const bad = "\xff"
	never := func(s Step) { t.Errorf("%v", s) }
	r := Record(wc.NewCoordinator(1), never)
	_, err := r.Receive([]byte("not JSON"))
	assert.ErrorIs(t, err, wc.ErrMalformed)
	assert.ErrorIs(t, r.CancelJob(1, bad), wc.ErrInvalidValue)
	assert.ErrorIs(t, r.RequestShutdown(bad), wc.ErrInvalidValue)
	assert.ErrorIs(t, r.ShutdownWhenIdle(bad), wc.ErrInvalidValue)
	_, err = r.CloseRegion(1, bad)
	assert.ErrorIs(t, err, wc.ErrInvalidValue)
	r.RetireWorker(bad)

	w := RecordWorker(wc.NewWorker("w", 1), never)
	_, err = w.Receive([]byte("not JSON"))
	assert.ErrorIs(t, err, wc.ErrMalformed)
	assert.ErrorIs(t, w.Fail(bad), wc.ErrInvalidValue)
	assert.ErrorIs(t, w.Report(1, bad), wc.ErrInvalidValue)
	assert.ErrorIs(t, w.Complete(1, nil), wc.ErrInvalidValue)
	assert.ErrorIs(t, w.Diagnose(wc.Diagnostic{Message: bad}), wc.ErrInvalidValue)
}

func eachLine(t *testing.T, file string, test func(t *testing.T, line []byte)) {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotEmpty(t, data)
	for line := range bytes.Lines(data) {
		test(t, line)
	}
}

func encode(t *testing.T, env wc.Envelope) []byte {
	data, err := env.AppendJSON(nil)
	require.NoError(t, err)
	return data
}
