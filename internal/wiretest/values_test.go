package wiretest

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
)

// An operation of somebody else's making, which the seal of Op does not keep out.
type (
	embedsOp      struct{ wc.Op }
	embedsSpawn   struct{ wc.SpawnJob }
	embedsOutcome struct{ wc.Outcome }
)

// impossibleOps are operations that only a Go program can have, with the wire name of what is at fault.
func impossibleOps() map[string][]wc.Op {
	ops := map[string][]wc.Op{
		"op": {nil, embedsOp{}, embedsOp{wc.PollStatus{JobID: 1}}, &embedsOp{}, embedsSpawn{}, &embedsSpawn{}, (*embedsSpawn)(nil)},
		"outcome": {
			wc.JobCompleted{JobID: 1, Outcome: nil}, wc.JobCompleted{JobID: 1, Outcome: &wc.OutcomeOk{}},
			wc.JobCompleted{JobID: 1, Outcome: (*wc.OutcomeOk)(nil)}, wc.JobCompleted{JobID: 1, Outcome: &wc.OutcomeErr{}},
			wc.JobCompleted{JobID: 1, Outcome: (*wc.OutcomeCancelled)(nil)},
			wc.JobCompleted{JobID: 1, Outcome: (*wc.OutcomePanicked)(nil)}, wc.JobCompleted{JobID: 1, Outcome: embedsOutcome{}},
			wc.JobCompleted{JobID: 1, Outcome: embedsOutcome{wc.OutcomeOk{}}}, wc.JobCompleted{JobID: 1, Outcome: &embedsOutcome{}},
		},
		"state": {wc.StatusSnapshot{JobID: 1, State: 8}, wc.StatusSnapshot{JobID: 1, State: 255}},
		"level": {wc.Diagnostic{Level: 3}, wc.Diagnostic{Level: 255}},
	}
	for _, op := range everyOp("w") {
		pointer := reflect.New(reflect.TypeOf(op)) // to a copy, and to nothing
		pointer.Elem().Set(reflect.ValueOf(op))
		ops["op"] = append(ops["op"], pointer.Interface().(wc.Op), reflect.Zero(pointer.Type()).Interface().(wc.Op))

		for name, members := range illFormedCopies(reflect.ValueOf(op)) {
			for _, member := range members {
				ops[name] = append(ops[name], member.Interface().(wc.Op))
			}
		}
	}
	return ops
}

// illFormedCopies returns copies of a struct, each with one of its texts ill-formed, by the wire name of
// the text.
func illFormedCopies(v reflect.Value) map[string][]reflect.Value {
	copies := make(map[string][]reflect.Value)
	change := func(field int, name string, to reflect.Value) {
		twin := reflect.New(v.Type()).Elem()
		twin.Set(v)
		twin.Field(field).Set(to)
		copies[name] = append(copies[name], twin)
	}
	for i := range v.NumField() {
		name := strings.ToLower(v.Type().Field(i).Name)
		if name == "workerid" {
			name = "worker_id"
		}
		for _, bad := range []string{"\xff", "a\x80", "\xe2\x82", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "good\n\xc3"} {
			switch v.Field(i).Interface().(type) {
			case string:
				change(i, name, reflect.ValueOf(bad))
			case *string:
				change(i, name, reflect.ValueOf(&bad))
			}
		}
		if outcome, ok := v.Field(i).Interface().(wc.Outcome); ok {
			for name, twins := range illFormedCopies(reflect.ValueOf(outcome)) {
				for _, twin := range twins {
					change(i, name, twin)
				}
			}
		}
	}
	return copies
}

func TestValuesThatCannotBeSentAreNeverWritten(t *testing.T) {
	ops := impossibleOps()
	for _, name := range []string{"op", "outcome", "state", "level", "worker_id", "reason", "detail", "code", "category", "message", "metadata"} {
		assert.NotEmpty(t, ops[name], name)
	}
	for name, ops := range ops {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			for _, op := range ops {
				_ = wc.ReplayHash(wc.Header{}, nil, op)
				p.assertCannotBeSent(wc.NewEnvelope(wc.Header{SeqNo: 1000}, op), name)
				p.assertCannotBeSent(wc.NewWorkerEnvelope("w", wc.Header{SeqNo: 1000}, op), name)
			}
		})
	}
	t.Run("the envelope's worker id", func(t *testing.T) {
		newPair(t).assertCannotBeSent(wc.NewWorkerEnvelope("\xff", wc.Header{SeqNo: 1000}, wc.CancelAcknowledged{JobID: 1}), "worker_id")
	})
}

// A pair is a coordinator with its worker, which are both ready, and twins of them that never see what is refused.
type pair struct {
	t        *testing.T
	c, cTwin *wc.Coordinator
	w, wTwin *wc.Worker
}

func newPair(t *testing.T) *pair {
	begin := func() (*wc.Coordinator, *wc.Worker) {
		c, w := wc.NewCoordinator(42), wc.NewWorker("w", 42)
		require.NoError(t, w.Announce())
		ready, _ := w.DrainOutbox()
		require.NoError(t, c.HandleInbound(&ready))
		return c, w
	}
	p := &pair{t: t}
	p.c, p.w = begin()
	p.cTwin, p.wTwin = begin()
	return p
}

func (p *pair) assertCannotBeSent(env wc.Envelope, field string) {
	p.t.Helper()
	var e *wc.ValueError
	err := env.Validate()
	assert.ErrorIs(p.t, err, wc.ErrInvalidValue)
	require.ErrorAs(p.t, err, &e, "%#v", env.Op)
	assert.Equal(p.t, field, e.Field)

	data, unwritable := env.AppendJSON([]byte("as it was"))
	assert.Equal(p.t, err, unwritable)
	assert.Equal(p.t, "as it was", string(data))
	data, unwritable = env.MarshalJSON()
	assert.Equal(p.t, err, unwritable)
	assert.Empty(p.t, data)

	assert.Equal(p.t, err, p.c.HandleInbound(&env))
	assert.Equal(p.t, err, p.w.HandleInbound(&env))
	switch op := env.Op.(type) {
	case wc.JobCompleted:
		assert.Equal(p.t, err, p.w.Complete(op.JobID, op.Outcome))
	case wc.Diagnostic:
		assert.Equal(p.t, err, p.w.Diagnose(op))
	}
	assert.Equal(p.t, p.cTwin, p.c)
	assert.Equal(p.t, p.wTwin, p.w)
}

func TestJobOfIsTheJobIDOnTheWire(t *testing.T) {
	for _, op := range everyOp("w") {
		var members struct {
			JobID *uint64 `json:"job_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(model.OpText(op)), &members))
		jobID, ok := wc.JobOf(op)
		assert.Equal(t, members.JobID != nil, ok, "%T", op)
		if ok {
			assert.Equal(t, *members.JobID, jobID, "%T", op)
		}
	}
	for _, op := range []wc.Op{nil, &wc.PollStatus{JobID: 7}} {
		jobID, ok := wc.JobOf(op)
		assert.False(t, ok)
		assert.Zero(t, jobID)
	}
}

func TestValuesAloneMarshalToWhatIsOnTheWire(t *testing.T) {
	for _, op := range everyOp("w") {
		text, err := op.(json.Marshaler).MarshalJSON()
		require.NoError(t, err)
		assert.Equal(t, model.OpText(op), string(text))
		if completed, ok := op.(wc.JobCompleted); ok {
			outcome, err := completed.Outcome.(json.Marshaler).MarshalJSON()
			require.NoError(t, err)
			assert.Contains(t, string(text), `"outcome":`+string(outcome)+`}`)
		}
	}
	text, err := json.Marshal(map[string]any{"state": wc.StateCancelRequested, "level": wc.LevelWarn, "reason": wc.CancelJob{Reason: "<&>"}})
	require.NoError(t, err)
	assert.Equal(t, `{"level":"Warn","reason":{"type":"CancelJob","job_id":0,"reason":"\u003c\u0026\u003e"},"state":"CancelRequested"}`, string(text))

	large, illFormed := make([]byte, wc.MaxPayloadBytes+1), "\xff"
	for want, values := range map[error][]json.Marshaler{
		wc.ErrPayloadTooLarge: {wc.SpawnJob{Payload: large}, wc.JobCompleted{Outcome: wc.OutcomeOk{Payload: large}}, wc.OutcomeOk{Payload: large}},
		wc.ErrInvalidValue:    {wc.JobCompleted{}, wc.StatusSnapshot{State: 8}, wc.Diagnostic{Level: 3}, wc.ShutdownWorker{Reason: illFormed}, wc.OutcomeErr{Code: illFormed}},
	} {
		for _, value := range values {
			text, err := value.MarshalJSON()
			assert.ErrorIs(t, err, want, "%T", value)
			assert.Nil(t, text, "%T", value)
		}
	}
	_, err = wc.Level(3).MarshalText()
	assert.ErrorIs(t, err, wc.ErrInvalidValue)
	level := wc.LevelWarn
	assert.ErrorIs(t, level.UnmarshalText([]byte("warn")), wc.ErrInvalidValue)
	assert.Equal(t, wc.LevelWarn, level, "a refused name changes nothing")
	require.NoError(t, level.UnmarshalText([]byte("Error")))
	assert.Equal(t, wc.LevelError, level)
}

func TestWhatIsNotAnOperationEqualsNothing(t *testing.T) {
	var zero wc.Envelope
	pointer, outcome := zero, zero
	pointer.Op, outcome.Op = &wc.PollStatus{}, wc.JobCompleted{Outcome: &wc.OutcomeErr{}}
	none := wc.Envelope{Op: wc.JobCompleted{}}
	assert.True(t, zero.Equal(wc.Envelope{}))
	assert.True(t, none.Equal(wc.Envelope{Op: wc.JobCompleted{}}))
	for _, e := range []wc.Envelope{pointer, outcome} {
		for _, other := range []wc.Envelope{zero, pointer, outcome, none} {
			assert.False(t, e.Equal(other))
			assert.False(t, other.Equal(e))
		}
	}
	assert.False(t, none.Equal(zero))
}

func TestNewHeaderDecidesInTheOrderOfSending(t *testing.T) {
	assert.Equal(t, wc.Header{MessageID: 1, SeqNo: 2, DecisionSeq: 2, Seed: 3, IssuedAtTurn: 4}, wc.NewHeader(1, 2, 3, 4))
}

func TestOperationAloneNestsNoDeeperThanInAnEnvelope(t *testing.T) {
	for depth, want := range map[int]error{125: nil, 126: wc.ErrMalformed} { // the envelope and the operation are two more
		_, err := wc.ParseOp([]byte(`{"type":"ShutdownCompleted","x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`))
		assert.ErrorIs(t, err, want)
	}
	for text, want := range map[string]string{
		"":                               "workerchannel: malformed message: at byte 0: expected an object",
		`null`:                           "workerchannel: malformed message: at byte 0: expected an object",
		` {"type":"Nothing"}`:            "workerchannel: malformed message: at byte 9: unknown operation type",
		`{"type":""}`:                    "workerchannel: malformed message: at byte 8: unknown operation type",
		`{"type":"PollStatus"}`:          "workerchannel: malformed message: at byte 0: member job_id is missing",
		`{"type":"DrainJob"}{}`:          "workerchannel: malformed message: at byte 0: member job_id is missing",
		`{"type":"ShutdownCompleted"} {`: "workerchannel: malformed message: at byte 29: expected the end of the input after the operation",
	} {
		_, err := wc.ParseOp([]byte(text))
		assert.EqualError(t, err, want, "%s", text)
	}
}
