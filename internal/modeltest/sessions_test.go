package modeltest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
)

// A journalStep is a call of either half, its result, and what there is to see after it (PROTOCOL section 12).
type journalStep struct {
	Call string

	Wire         *string
	JobID        uint64 `json:"job_id"`
	RegionID     uint64 `json:"region_id"`
	TaskID       uint64 `json:"task_id"`
	ObligationID uint64 `json:"obligation_id"`
	Payload      []uint16
	Reason       string
	Detail       string
	WorkerID     string `json:"worker_id"`
	Outcome      json.RawMessage
	Diagnostic   json.RawMessage

	Error     json.RawMessage
	State     json.RawMessage
	Cancelled json.RawMessage
	Reaped    json.RawMessage

	After json.RawMessage
}

func TestSessionsOfAnIndependentImplementation(t *testing.T) { replaySessions(t, "sessions.jsonl") }

func TestSessionsOfTheRules(t *testing.T) { replaySessions(t, "rules.jsonl") }

func TestWorkerSessionsOfAnIndependentImplementation(t *testing.T) {
	replayWorkerSessions(t, "worker_sessions.jsonl")
}

func TestWorkerSessionsOfTheRules(t *testing.T) { replayWorkerSessions(t, "worker_rules.jsonl") }

func replaySessions(t *testing.T, file string) {
	model.EachLine(t, file, func(t *testing.T, line []byte) {
		var session struct {
			Seed             uint64
			FirstDecisionSeq uint64 `json:"first_decision_seq"`
			Limits           wc.Limits
			Steps            []journalStep
		}
		require.NoError(t, json.Unmarshal(line, &session))
		fresh := func() *wc.Coordinator {
			return wc.NewCoordinator(session.Seed, wc.WithFirstDecisionSeq(session.FirstDecisionSeq), wc.WithLimits(session.Limits))
		}
		replay(t, session.Steps, fresh(), fresh(), hostAfter)
	})
}

func replayWorkerSessions(t *testing.T, file string) {
	model.EachLine(t, file, func(t *testing.T, line []byte) {
		var session struct {
			WorkerID string `json:"worker_id"`
			Seed     uint64
			Steps    []journalStep
		}
		require.NoError(t, json.Unmarshal(line, &session))
		fresh := func() *wc.Worker { return wc.NewWorker(session.WorkerID, session.Seed) }
		replay(t, session.Steps, fresh(), fresh(), workerAfter)
	})
}

// replay makes the same calls of two halves, of which the second takes its messages another way.
func replay[H Half](t *testing.T, steps []journalStep, h, twin H, after func(H) map[string]any) {
	for i, step := range steps {
		results := map[string]any{"error": nil}
		switch name := step.goName(); name {
		case "HandleInbound":
			results["error"] = model.Describe(step.arrive(t, h, twin))
		case "DrainOutbox":
			step.drain(t, h)
			step.drain(t, twin)
		default:
			result, err := call(h, name, step.arguments(t))
			again, twinErr := call(twin, name, step.arguments(t))
			assert.Equal(t, result, again)
			assert.Equal(t, err, twinErr)
			results["error"] = model.Describe(err)
			switch result := result.(type) {
			case wc.JobState:
				results["state"] = result
			case int:
				results["cancelled"] = result
			case []wc.TrackedJob:
				results["reaped"] = journalJobs(result)
			}
		}
		step.compare(t, results, after(h))
		assert.Equal(t, h, twin, "Receive and HandleInbound do the same")
		require.False(t, t.Failed(), "step %d, %s", i, step.Call)
	}
}

// arrive gives the message to each half another way.
func (step *journalStep) arrive(t *testing.T, h, twin Half) error {
	_, err := h.Receive([]byte(*step.Wire))
	var env wc.Envelope
	require.NoError(t, env.UnmarshalJSON([]byte(*step.Wire)))
	assert.Equal(t, err, twin.HandleInbound(&env))
	return err
}

func (step *journalStep) drain(t *testing.T, h Half) {
	env, ok := h.DrainOutbox()
	require.Equal(t, step.Wire != nil, ok)
	if ok {
		text, err := env.AppendJSON(nil)
		require.NoError(t, err)
		assert.Equal(t, *step.Wire, string(text))
	}
}

// goName returns the name of the call in Go: "poll_status" is PollStatus.
func (step *journalStep) goName() (name string) {
	for word := range strings.SplitSeq(step.Call, "_") {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return name
}

func (step *journalStep) arguments(t *testing.T) arguments {
	a := arguments{
		id: step.JobID, region: step.RegionID, task: step.TaskID, obligation: step.ObligationID,
		payload: []byte{}, text: step.Reason + step.Detail + step.WorkerID, // a call takes one of them
	}
	for _, b := range step.Payload {
		a.payload = append(a.payload, byte(b))
	}
	var ok struct {
		Status  string
		Payload []uint16 // not bytes, which encoding/json takes for base64
	}
	_ = json.Unmarshal(step.Outcome, &ok)
	switch {
	case len(ok.Payload) > wc.MaxPayloadBytes: // no envelope has it
		a.outcome = wc.OutcomeOk{Payload: make([]byte, len(ok.Payload))}
	case step.Outcome != nil:
		op, err := wc.ParseOp([]byte(`{"type":"JobCompleted","job_id":0,"outcome":` + string(step.Outcome) + `}`))
		require.NoError(t, err)
		a.outcome = op.(wc.JobCompleted).Outcome
	}
	if step.Diagnostic != nil {
		op, err := wc.ParseOp([]byte(`{"type":"Diagnostic",` + string(step.Diagnostic[1:])))
		require.NoError(t, err)
		a.diagnostic = op.(wc.Diagnostic)
	}
	return a
}

// compare compares every result that the journal has, and every member of "after".
func (step *journalStep) compare(t *testing.T, results, after map[string]any) {
	for name, want := range map[string]json.RawMessage{
		"error": step.Error, "state": step.State, "cancelled": step.Cancelled, "reaped": step.Reaped,
	} {
		assert.Equal(t, model.Exact(want), asJSON(results[name]), name)
	}
	assert.Equal(t, model.Exact(step.After), asJSON(after))
}

// asJSON returns what Exact makes of the value's JSON.
func asJSON(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return model.Exact(data)
}

func hostAfter(c *wc.Coordinator) map[string]any {
	after := map[string]any{
		"worker_ready": c.WorkerReady(), "shutdown_requested": c.ShutdownRequested(), "closing": c.Closing(), "active_worker": nil,
		"inflight": c.InflightCount(), "outbox": c.OutboxLen(), "next_deadline": nil, "overdue": nil,
		"regions": []any{}, "jobs": journalJobs(slices.Collect(c.Jobs())),
	}
	if id, ok := c.ActiveWorker(); ok {
		after["active_worker"] = id
	}
	if turn, ok := c.NextDeadline(); ok {
		after["next_deadline"] = turn
	}
	if late, ok := c.Overdue(); ok {
		overdue := map[string]any{"request": "Bootstrap", "job_id": nil, "since": late.Since}
		if late.Request != 0 {
			overdue["request"] = late.Request.String()
		}
		if late.Request != 0 && late.Request != wc.OpShutdownWorker {
			overdue["job_id"] = late.JobID
		}
		after["overdue"] = overdue
	}
	for r := range c.Regions() {
		after["regions"] = append(after["regions"].([]any), map[string]any{
			"region_id": r.RegionID, "tracked": r.Tracked, "inflight": r.Inflight, "closed": r.Closed,
		})
	}
	return after
}

func journalJobs(jobs []wc.TrackedJob) any {
	list := []any{}
	for _, j := range jobs {
		job := map[string]any{
			"job_id": j.JobID, "region_id": j.RegionID, "task_id": j.TaskID, "obligation_id": j.ObligationID,
			"state": j.State, "since": j.Since, "last_seq_no": j.LastSeqNo, "outcome": nil, "cause": nil,
		}
		if j.Cause != wc.CauseNone {
			job["cause"] = j.Cause
		}
		if j.Outcome != nil {
			job["outcome"] = j.Outcome
		}
		list = append(list, job)
	}
	return list
}

func workerAfter(w *wc.Worker) map[string]any {
	jobs := []any{}
	for j := range w.Jobs() {
		jobs = append(jobs, map[string]any{"job_id": j.JobID, "region_id": j.RegionID, "state": j.State, "last_seq_no": j.LastSeqNo})
	}
	return map[string]any{
		"ready": w.Ready(), "closed": w.Closed(), "shutdown_requested": w.ShutdownRequested(),
		"inflight": w.InflightCount(), "outbox": w.OutboxLen(), "jobs": jobs,
	}
}
