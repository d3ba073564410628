package workerchannel

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidateReturnsTheErrorAndItsData(t *testing.T) {
	for name, r := range refusedEnvelopes() {
		assert.Equal(t, r.want, r.env.Validate(), name)
		if text, err := r.env.AppendJSON(nil); err == nil { // what cannot be written cannot come
			_, err = ParseEnvelope(text)
			assert.Equal(t, r.want, err, name)
		}
	}
}

func TestValidateNoticesEveryChangedField(t *testing.T) {
	valid := NewWorkerEnvelope("w", Header{1, 2, 3, 4, 5}, StatusSnapshot{6, StateRunning, new("detail")})
	for name, change := range map[string]func(env *Envelope){
		"version":   func(env *Envelope) { env.Version++ },
		"message":   func(env *Envelope) { env.MessageID++ },
		"sequence":  func(env *Envelope) { env.SeqNo++ },
		"decision":  func(env *Envelope) { env.DecisionSeq++ },
		"seed":      func(env *Envelope) { env.Seed++ },
		"turn":      func(env *Envelope) { env.IssuedAtTurn++ },
		"worker":    func(env *Envelope) { env.WorkerID = new("x") },
		"no worker": func(env *Envelope) { env.WorkerID = nil },
		"digest":    func(env *Envelope) { env.ReplayHash++ },
		"operation": func(env *Envelope) { env.Op = CancelAcknowledged{6} },
		"a member":  func(env *Envelope) { env.Op = StatusSnapshot{6, StateQueued, new("detail")} },
		"a text":    func(env *Envelope) { *env.Op.(StatusSnapshot).Detail = "changed" },
	} {
		text := jsonOf(valid)
		env, err := ParseEnvelope([]byte(text))
		require.NoError(t, err)
		require.NoError(t, env.Validate())
		change(&env)
		assert.Error(t, env.Validate(), name)
		assertRefused(newScene(t, "begin with w"), env.Validate(), func(s *scene) error { return s.c.HandleInbound(&env) })
	}
}

func TestVerifiedDoesNotChangeWithItsEnvelope(t *testing.T) {
	for _, op := range []Op{
		StatusSnapshot{1, StateRunning, new("detail")},
		Diagnostic{LevelWarn, "c", "m", new("metadata")},
		JobCompleted{1, OutcomeOk{[]byte("result")}},
	} {
		s := newScene(t, "begin with w", "given job 1 queued")
		valid := fromWorker("w", 1000, op)
		v, err := Verify([]byte(jsonOf(valid)))
		require.NoError(t, err)

		env := v.Envelope()
		assert.Equal(t, valid, env)
		*env.WorkerID = "x"
		switch op := env.Op.(type) {
		case StatusSnapshot:
			*op.Detail = "changed"
		case Diagnostic:
			*op.Metadata = "changed"
		}
		env.Op, env.SeqNo, env.WorkerID = nil, 0, nil
		assert.Equal(t, valid, v.Envelope())
		twin := v // a copy is as good
		require.NoError(t, s.c.HandleVerified(v))
		assert.Equal(t, &SequenceError{1000, 1000}, s.c.HandleVerified(twin))
	}
}

func TestNilAndZeroEnvelopesAreErrors(t *testing.T) {
	var none *Envelope
	assert.Equal(t, invalid("envelope", "is nil"), none.Validate())
	assert.ErrorIs(t, new(Envelope).Validate(), ErrVersionMismatch)
	_, err := Envelope{}.AppendJSON(nil)
	assert.ErrorIs(t, err, ErrInvalidValue)
	assert.Zero(t, Verified{}.Envelope())
}

func TestEnvelopeStringIsOneBoundedLine(t *testing.T) {
	for want, op := range map[string]Op{
		`BootstrapReady`:                           BootstrapReady{"w"},
		`BootstrapFailed: "no\nmemory"`:            BootstrapFailed{"w", "no\nmemory"},
		`StatusSnapshot job 7: running`:            StatusSnapshot{7, StateRunning, nil},
		`StatusSnapshot job 7: queued, ""`:         StatusSnapshot{7, StateQueued, new("")},
		`JobCompleted job 7: ok, 3 bytes`:          JobCompleted{7, OutcomeOk{[]byte{1, 2, 255}}},
		`JobCompleted job 7: err, "E", "no"`:       JobCompleted{7, OutcomeErr{"E", "no"}},
		`JobCompleted job 7: cancelled, "gave up"`: JobCompleted{7, OutcomeCancelled{"gave up"}},
		`JobCompleted job 7: panicked, "boom"`:     JobCompleted{7, OutcomePanicked{"boom"}},
		`FinalizeCompleted job 7`:                  FinalizeCompleted{7},
		`ShutdownCompleted`:                        ShutdownCompleted{},
		`Diagnostic: warn, "gc", "slow", "10 ms"`:  Diagnostic{LevelWarn, "gc", "slow", new("10 ms")},
		`Diagnostic: error, "` + strings.Repeat("x", 64) + `"... (1000000 bytes), ""`: Diagnostic{LevelError, strings.Repeat("x", 1_000_000), "", nil},
	} {
		assert.Equal(t, "w → "+want, fromWorker("w", 1, op).String())
	}
	for want, op := range map[string]Op{
		`SpawnJob job 7: 2 bytes`: SpawnJob{7, 1, 2, 3, []byte{1, 2}}, `CancelJob job 7: "why"`: CancelJob{7, "why"}, `PollStatus job 7`: PollStatus{7},
	} {
		assert.Equal(t, "coordinator → "+want, fromHost(1, op).String())
	}
	for id, want := range map[string]string{
		"w-1": "w-1", "a.B_9:/@-z": "a.B_9:/@-z", "": `""`, "two words": `"two words"`, "line\nfeed": `"line\nfeed"`, illFormed: `"\xff"`, "é": `"é"`,
		"[": `"["`, "`": "\"`\"", "{": `"{"`, "A": "A", "Z": "Z", "a": "a", "z": "z", "0": "0", "9": "9", ";": `";"`,
		strings.Repeat("x", 64): strings.Repeat("x", 64), strings.Repeat("x", 65): `"` + strings.Repeat("x", 64) + `"... (65 bytes)`,
	} {
		assert.Equal(t, want+" → ShutdownCompleted", fromWorker(id, 1, ShutdownCompleted{}).String())
	}
	assert.Equal(t, "unknown sender → no operation", Envelope{}.String())
	assert.Equal(t, "w → JobCompleted job 7: no outcome", fromWorker("w", 1, JobCompleted{7, nil}).String())
}

func TestNilPayloadIsTheEmptyOne(t *testing.T) {
	none, empty := SpawnJob{JobID: 1}, SpawnJob{JobID: 1, Payload: []byte{}}
	assert.Equal(t, ReplayHash(Header{}, nil, empty), ReplayHash(Header{}, nil, none))
	data := written(fromHost(1, none))
	assert.Contains(t, string(data), `"payload":[]`)
	env, err := ParseEnvelope(data)
	require.NoError(t, err)
	assert.Equal(t, empty, env.Op, "what is read is never nil")
}

func TestPayloadHasAtMost262144Bytes(t *testing.T) {
	full, over := make([]byte, 262144), make([]byte, 262145)
	s := newScene(t, "begin with w", "given job 1 running")
	require.NoError(t, s.c.SpawnJob(SpawnJob{JobID: 2, Payload: full}))
	s.play("deliver")
	require.NoError(t, s.worker().Complete(2, OutcomeOk{full}))
	s.play("deliver")
	job, _ := s.c.Job(2)
	assert.Equal(t, OutcomeOk{full}, job.Outcome)

	want := &PayloadError{Size: 262145, Max: 262144}
	assert.Equal(t, want, s.c.SpawnJob(SpawnJob{JobID: 3, Payload: over}))
	assert.Equal(t, want, s.worker().Complete(1, OutcomeOk{over}))
	for _, env := range []Envelope{fromHost(1, SpawnJob{Payload: over}), fromWorker("w", 1, JobCompleted{1, OutcomeOk{over}})} {
		assert.Equal(t, want, env.Validate())
		data, err := env.AppendJSON([]byte("as it was"))
		assert.Equal(t, want, err)
		assert.Equal(t, "as it was", string(data))
	}
}
