package journal

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// The conformance data, made by an independent implementation.
const (
	sessions       = "../../testdata/sessions.jsonl"
	workerSessions = "../../testdata/worker_sessions.jsonl"
	envelopes      = "../../testdata/envelopes.jsonl"
)

func TestSessionsOfAnIndependentImplementationAreRecordedWithTheirResults(t *testing.T) {
	for _, file := range []string{sessions, workerSessions} {
		eachLine(t, file, func(t *testing.T, line []byte) {
			steps := member[[]json.RawMessage](readSession(t, line), "steps")
			recorded := record(t, line)
			requireReplays(t, recorded, nil)
			at := 0
			w := NewWalker(func(e *Event) error {
				if e.Call == "" || e.Call == "end" {
					return nil
				}
				for strings.Contains(string(steps[at]), `"wire":null`) || strings.Contains(string(steps[at]), `"reaped":[]`) {
					at++ // a call that has changed nothing
				}
				requireResults(t, plain(steps[at]).(map[string]any), e)
				at++
				return nil
			})
			require.NoError(t, w.Read("", bytes.NewReader(recorded)))
			require.Zero(t, w.Unreplayed)
		})
	}
}

// requireResults requires that a step has the results of one of the conformance data.
func requireResults(t *testing.T, want map[string]any, e *Event) {
	if e.Call != "unreadable" { // one whose payload is too large
		require.Equal(t, want["call"], e.Call)
	}
	for _, result := range []string{"error", "cancelled", "state"} {
		require.Equal(t, want[result], e.Argument(result))
	}
	if e.Call == "drain_outbox" {
		require.Equal(t, want["wire"], string(encode(t, *e.Envelope)))
	}
	if jobs, ok := e.Argument("reaped").([]any); ok {
		require.Len(t, jobs, len(want["reaped"].([]any)))
		for i, job := range want["reaped"].([]any) {
			for _, name := range []string{"job_id", "state", "cause"} {
				require.Equal(t, job.(map[string]any)[name], jobs[i].(map[string]any)[name])
			}
		}
	}
	after := want["after"].(map[string]any)
	if c := e.Coordinator; c != nil {
		require.Equal(t, after["inflight"], plain(c.InflightCount()))
		require.Equal(t, after["outbox"], plain(c.OutboxLen()))
	} else {
		require.Equal(t, after["inflight"], plain(e.Replica.InflightCount()))
		require.Equal(t, after["outbox"], plain(e.Replica.OutboxLen()))
	}
}

func readSession(t *testing.T, line []byte) *object {
	session, err := readObject(line)
	require.NoError(t, err)
	return session
}

// record makes the calls of a session of the conformance data on a recorder, and returns what that writes.
func record(t *testing.T, line []byte) []byte {
	session := readSession(t, line)
	h, steps := readHead(session), member[[]json.RawMessage](session, "steps")
	require.NoError(t, session.err)
	var out bytes.Buffer
	to, err := NewWriter(&out, Options{})
	require.NoError(t, err)
	if h.workerID != nil {
		r := to.RecordWorker(wc.NewWorker(*h.workerID, h.seed))
		repeat(t, steps, workerCalls(), r)
		require.NoError(t, r.Close())
	} else {
		first := *h.setup.FirstDecisionSeq
		r := to.Record(wc.NewCoordinator(h.seed, wc.WithFirstDecisionSeq(first), wc.WithLimits(h.setup.Limits)), *h.setup)
		repeat(t, steps, coordinatorCalls(), r)
		require.NoError(t, r.Close())
	}
	require.NoError(t, to.Close())
	return out.Bytes()
}

// repeat makes the calls of a session on a recorder.
func repeat[R any](t *testing.T, steps []json.RawMessage, calls map[string]call[R], r R) {
	for _, step := range steps {
		data, err := json.Marshal(withBase64(plain(step)))
		require.NoError(t, err)
		in, err := readObject(data)
		require.NoError(t, err)
		calls[in.str("call")].make(r, in)
		require.NoError(t, in.err)
	}
}

// withBase64 replaces payloads that are arrays of numbers.
func withBase64(v any) any {
	members, _ := v.(map[string]any)
	for name, value := range members {
		numbers, ok := value.([]any)
		if name != "payload" || !ok {
			members[name] = withBase64(value)
			continue
		}
		payload := []byte{}
		for _, n := range numbers {
			b, _ := n.(json.Number).Int64()
			payload = append(payload, byte(b))
		}
		members[name] = payload
	}
	return v
}

func TestRecordedSessionsReplayWithoutDivergence(t *testing.T) {
	setup := Setup{new(uint64(1 << 63)), wc.Limits{Boot: 1, Cancel: 2, Drain: 3, Finalize: 4, Poll: 5, Shutdown: 6}}
	newCoordinator := func() *wc.Coordinator {
		return wc.NewCoordinator(1<<64-1, wc.WithFirstDecisionSeq(1<<63), wc.WithLimits(setup.Limits))
	}
	const id = "<w>&\u2028"
	for name, o := range map[string]Options{
		"stream":           {},
		"digests":          {DigestOver: 2},
		"digests of parts": {DigestOver: 100},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			to, err := NewWriter(&out, o)
			require.NoError(t, err)
			r, w := to.Record(newCoordinator(), setup), to.RecordWorker(wc.NewWorker(id, 3))
			everyCall(t, r, w)
			require.NoError(t, r.Close())
			require.NoError(t, w.Close())
			require.NoError(t, to.Close())
			requireReplays(t, out.Bytes(), append(slices.Collect(maps.Keys(coordinatorCalls())), slices.Collect(maps.Keys(workerCalls()))...))
			if o.DigestOver == 2 {
				assert.Contains(t, out.String(), `"payload":{"bytes":3,"sha256":"`)
				assert.Contains(t, out.String(), `"digested":true`)
			}
		})
	}
}

// everyCall makes every call of both halves, some of them refused.
func everyCall(t *testing.T, r *Recorder, w *WorkerRecorder) {
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

	for _, bad := range []string{"not JSON", "{}", "\xff", strings.Repeat(" ", 2000)} {
		_, err := r.Receive([]byte(bad))
		assert.ErrorIs(t, err, wc.ErrMalformed)
		_, err = w.Receive([]byte(bad))
		assert.ErrorIs(t, err, wc.ErrMalformed)
	}
	late := wc.NewWorkerEnvelope("<w>&\u2028", wc.Header{SeqNo: 99}, wc.JobCompleted{JobID: last, Outcome: wc.OutcomeOk{Payload: []byte("four")}})
	assert.ErrorIs(t, r.HandleInbound(&late), wc.ErrWorkerSessionMismatch)
	verified, err := wc.Verify(encode(t, late))
	require.NoError(t, err)
	assert.ErrorIs(t, r.HandleVerified(verified), wc.ErrWorkerSessionMismatch)
	assert.ErrorIs(t, r.HandleText(verified, encode(t, late)), wc.ErrWorkerSessionMismatch)
	r.Refuse(&late, "not \xff now\n")
	w.Refuse(&late, "not \xff now\n")
	late.Op = wc.JobCompleted{JobID: last, Outcome: wc.OutcomeOk{Payload: bytes.Repeat([]byte{7}, 2*packOver)}}
	late.ReplayHash = wc.ReplayHash(late.Header, late.WorkerID, late.Op)
	r.Refuse(&late, "")
	late.ReplayHash++
	assert.ErrorIs(t, r.HandleInbound(&late), wc.ErrReplayHashMismatch)
	_, err = r.Receive([]byte(" " + strings.Replace(string(encode(t, late)), ",", "\n,\r", 1)))
	assert.ErrorIs(t, err, wc.ErrReplayHashMismatch)
}

// exchange delivers messages until there are none left.
func exchange(t *testing.T, r *Recorder, w *WorkerRecorder) {
	for r.OutboxLen()+w.OutboxLen() > 0 {
		dst := []byte("before")
		if text, _, ok := r.AppendNext(dst); ok {
			_, err := w.Receive(text[len(dst):])
			require.NoError(t, err)
		}
		if text, _, ok := w.AppendNext(dst); ok {
			_, err := r.Receive(text[len(dst):])
			require.NoError(t, err)
		}
		var batch [2]wc.Outgoing
		_, n := r.AppendBatch(dst, batch[:], 1<<10)
		for _, m := range batch[:n] {
			_, err := w.Receive(m.Text)
			require.NoError(t, err)
		}
		_, n = w.AppendBatch(dst, batch[:], 1<<10)
		for _, m := range batch[:n] {
			_, err := r.Receive(m.Text)
			require.NoError(t, err)
		}
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

// requireReplays requires that a journal replays without divergence, and that it has every call.
func requireReplays(t *testing.T, journal []byte, calls []string) {
	called := map[string]bool{}
	w := NewWalker(func(e *Event) error {
		called[e.Call] = true
		for _, d := range e.Divergences {
			t.Errorf("%s:%d: %+v", e.File, e.Line, d)
		}
		return nil
	})
	require.NoError(t, w.Read("journal", bytes.NewReader(journal)))
	require.Equal(t, bytes.Count(journal, []byte(`"call":`)), w.Steps)
	require.Zero(t, w.Unreplayed)
	for _, name := range calls {
		require.True(t, called[name], "%s has not been called", name)
	}
}

func TestCallsThatJSONCannotHoldAreNotRecorded(t *testing.T) {
	const bad = "\xff"
	var out bytes.Buffer
	to, err := NewWriter(&out, Options{})
	require.NoError(t, err)
	r, w := to.Record(wc.NewCoordinator(1), Setup{}), to.RecordWorker(wc.NewWorker("w", 1))
	begun := out.String()
	assert.ErrorIs(t, r.CancelJob(1, bad), wc.ErrInvalidValue)
	assert.ErrorIs(t, r.RequestShutdown(bad), wc.ErrInvalidValue)
	assert.ErrorIs(t, r.ShutdownWhenIdle(bad), wc.ErrInvalidValue)
	_, err = r.CloseRegion(1, bad)
	assert.ErrorIs(t, err, wc.ErrInvalidValue)
	r.RetireWorker(bad)

	assert.ErrorIs(t, w.Fail(bad), wc.ErrInvalidValue)
	assert.ErrorIs(t, w.Report(1, bad), wc.ErrInvalidValue)
	assert.ErrorIs(t, w.Complete(1, nil), wc.ErrInvalidValue)
	assert.ErrorIs(t, w.Diagnose(wc.Diagnostic{Message: bad}), wc.ErrInvalidValue)
	assert.ErrorIs(t, r.HandleInbound(&wc.Envelope{Version: 1}), wc.ErrInvalidValue)
	assert.ErrorIs(t, r.HandleVerified(wc.Verified{}), wc.ErrInvalidValue)
	assert.Equal(t, begun, out.String())
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

func TestATextIsRecordedAsItCame(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, Options{})
	require.NoError(t, err)
	r, k := w.Record(wc.NewCoordinator(1), Setup{}), wc.NewWorker("w-1", 1)
	require.NoError(t, k.Announce())
	text, _, _ := k.AppendNext(nil)
	text = bytes.Replace(text, []byte(`,"seq_no"`), []byte(` , "seq_no"`), 1)
	v, err := wc.Verify(text)
	require.NoError(t, err)
	require.NoError(t, r.HandleText(v, text))
	require.True(t, r.WorkerReady())
	require.NoError(t, r.Close())
	require.Contains(t, out.String(), `"wire":`+string(text)+`,"error":null`)
	requireReplays(t, out.Bytes(), nil)
}

// Whether messages are taken together or not, and whatever else is among them, the journal is the same.
func TestMessagesTakenTogetherAreRecordedAsIfOneByOne(t *testing.T) {
	var journals []string
	for _, most := range []int{0, 1, 2, 5, 100} {
		var out bytes.Buffer
		w, err := NewWriter(&out, Options{})
		require.NoError(t, err)
		limits := wc.Limits{Boot: 9, Cancel: 4, Drain: 3, Finalize: 2, Poll: 5, Shutdown: 9}
		r, k := w.Record(wc.NewCoordinator(1, wc.WithLimits(limits)), Setup{Limits: limits}), w.RecordWorker(wc.NewWorker("w-1", 1))
		require.NoError(t, k.Announce())
		type half interface {
			AppendNext([]byte) ([]byte, wc.Envelope, bool)
			AppendBatch([]byte, []wc.Outgoing, int) ([]byte, int)
		}
		take := func(from half, to receiver) {
			for {
				batch := make([]wc.Outgoing, most)
				n := 0
				if most > 0 {
					_, n = from.AppendBatch(nil, batch, 1<<20)
				} else if text, _, ok := from.AppendNext(nil); ok {
					batch, n = []wc.Outgoing{{Text: text}}, 1
				}
				if n == 0 {
					return
				}
				for _, m := range batch[:n] {
					_, err := to.Receive(m.Text)
					require.NoError(t, err)
				}
			}
		}
		take(k, r)
		spawn := func(from, to uint64) {
			for id := from; id <= to; id++ {
				require.NoError(t, r.SpawnJob(wc.SpawnJob{JobID: id}))
			}
		}
		spawn(1, 7)
		take(r, k)
		r.AdvanceTurn()
		spawn(8, 9)
		require.NoError(t, r.PollStatus(2))
		require.NoError(t, r.CancelJob(3, ""))
		spawn(10, 11)
		require.NoError(t, r.PollStatus(10))
		take(r, k)
		spawn(12, 14)
		for id := uint64(4); id <= 6; id++ {
			require.NoError(t, k.Start(id))
			require.NoError(t, k.Complete(id, wc.OutcomeOk{}))
		}
		require.NoError(t, k.AcknowledgeCancel(3))
		take(k, r)
		r.Reap()
		take(r, k)
		require.NoError(t, k.CompleteDrain(3))
		spawn(15, 16)
		take(k, r)
		spawn(17, 18)
		take(r, k)
		spawn(19, 20)
		require.NoError(t, r.RequestShutdown(""))
		take(r, k)
		require.NoError(t, r.Close())
		require.NoError(t, k.Close())
		requireReplays(t, out.Bytes(), nil)
		sessions := map[bool]string{} // true is the host's
		for line := range strings.Lines(regexp.MustCompile(`,"at":\d+|"crc":".{8}"`).ReplaceAllString(out.String(), "")) {
			sessions[strings.Contains(line, `"session":1,`)] += line
		}
		journals = append(journals, sessions[true]+sessions[false])
	}
	assert.Contains(t, journals[0], `"op":"CancelJob","job_id":3,`)
	for _, j := range journals[1:] {
		require.Equal(t, journals[0], j)
	}
}
