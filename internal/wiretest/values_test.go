package workerchannel

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An operation of somebody else's making, which the seal of Op does not keep out.
type (
	embedsOp      struct{ Op }
	embedsSpawn   struct{ SpawnJob }
	embedsOutcome struct{ Outcome }
)

// impossibleOps are operations that only a Go program can have, with the wire name of what is at fault.
func impossibleOps() map[string][]Op {
	ops := map[string][]Op{
		"op": {nil, embedsOp{}, embedsOp{PollStatus{1}}, &embedsOp{}, embedsSpawn{}, &embedsSpawn{}, (*embedsSpawn)(nil)},
		"outcome": {
			JobCompleted{1, nil}, JobCompleted{1, &OutcomeOk{}}, JobCompleted{1, (*OutcomeOk)(nil)}, JobCompleted{1, &OutcomeErr{}},
			JobCompleted{1, (*OutcomeCancelled)(nil)}, JobCompleted{1, (*OutcomePanicked)(nil)}, JobCompleted{1, embedsOutcome{}},
			JobCompleted{1, embedsOutcome{OutcomeOk{}}}, JobCompleted{1, &embedsOutcome{}},
		},
		"state": {StatusSnapshot{1, 8, nil}, StatusSnapshot{1, 255, nil}},
		"level": {Diagnostic{Level: 3}, Diagnostic{Level: 255}},
	}
	for _, op := range everyOp("w") {
		pointer := reflect.New(reflect.TypeOf(op)) // to a copy, and to nothing
		pointer.Elem().Set(reflect.ValueOf(op))
		ops["op"] = append(ops["op"], pointer.Interface().(Op), reflect.Zero(pointer.Type()).Interface().(Op))

		for name, members := range illFormedCopies(reflect.ValueOf(op)) {
			for _, member := range members {
				ops[name] = append(ops[name], member.Interface().(Op))
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
		if outcome, ok := v.Field(i).Interface().(Outcome); ok {
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
			s := newScene(t, "begin with w")
			for _, op := range ops {
				_ = ReplayHash(Header{}, nil, op)
				for _, env := range []Envelope{NewEnvelope(Header{SeqNo: 1000}, op), NewWorkerEnvelope("w", Header{SeqNo: 1000}, op)} {
					assertCannotBeSent(s, env, name)
				}
			}
		})
	}
	t.Run("the envelope's worker id", func(t *testing.T) {
		assertCannotBeSent(newScene(t, "begin with w"), NewWorkerEnvelope(illFormed, Header{SeqNo: 1000}, CancelAcknowledged{1}), "worker_id")
	})
}

func assertCannotBeSent(s *scene, env Envelope, field string) {
	s.t.Helper()
	var e *ValueError
	err := env.Validate()
	assert.ErrorIs(s.t, err, ErrInvalidValue)
	require.ErrorAs(s.t, err, &e, "%#v", env.Op)
	assert.Equal(s.t, field, e.Field)

	data, unwritable := env.AppendJSON([]byte("as it was"))
	assert.Equal(s.t, err, unwritable)
	assert.Equal(s.t, "as it was", string(data))
	data, unwritable = env.MarshalJSON()
	assert.Equal(s.t, err, unwritable)
	assert.Empty(s.t, data)

	assertRefused(s, err, func(s *scene) error { return s.c.HandleInbound(&env) })
	assertRefused(s, err, func(s *scene) error { return s.worker().HandleInbound(&env) })
	switch op := env.Op.(type) {
	case JobCompleted:
		assertRefused(s, err, workerCall("Complete", arguments{id: op.JobID, outcome: op.Outcome}))
	case Diagnostic:
		assertRefused(s, err, workerCall("Diagnose", arguments{diagnostic: op}))
	}
}
