package workerchannel

import (
	"encoding/json"
	"reflect"
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
		for _, op := range []Op{env.Op, v.Op()} {
			assert.Equal(t, valid.Op, op)
			switch op := op.(type) {
			case StatusSnapshot:
				*op.Detail = "changed"
			case Diagnostic:
				*op.Metadata = "changed"
			}
			assert.Equal(t, valid.Op, v.Op())
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
	assert.Nil(t, Verified{}.Op())
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

func TestOperationsAreNamedForTheirTypes(t *testing.T) {
	seen := make(map[OpType]bool)
	for _, op := range everyOp("w") {
		assert.Equal(t, reflect.TypeOf(op).Name(), op.Type().String())
		seen[op.Type()] = true
	}
	assert.Len(t, seen, len(opTable)-1)
}

func TestStringReturnsTheNames(t *testing.T) {
	for got, want := range map[any]string{
		StateCreated: "created", StateQueued: "queued", StateRunning: "running", StateCancelRequested: "cancel_requested",
		StateDraining: "draining", StateFinalizing: "finalizing", StateCompleted: "completed", StateFailed: "failed",
		JobState(8): "unknown_state_8", JobState(255): "unknown_state_255",
		LevelInfo: "Info", LevelWarn: "Warn", LevelError: "Error", Level(3): "UnknownLevel3",
		SenderCoordinator: "coordinator", SenderWorker: "worker", Sender(0): "unknown_sender_0", Sender(3): "unknown_sender_3",
		TransferStructuredClone: "structured_clone", TransferArrayBuffer: "transfer_array_buffer", PayloadTransferMode(2): "unknown_transfer_mode_2",
		OpSpawnJob: "SpawnJob", OpDiagnostic: "Diagnostic", OpType(0): "UnknownOp0", OpType(16): "UnknownOp16",
	} {
		assert.Equal(t, want, got.(interface{ String() string }).String())
	}
	assert.Zero(t, OpType(0).Sender())
	assert.Zero(t, OpType(16).Sender())
}

func TestPayloadTransferModesHaveTheirNamesInJSON(t *testing.T) {
	for mode, name := range map[PayloadTransferMode]string{
		TransferStructuredClone: `"structured_clone"`, TransferArrayBuffer: `"transfer_array_buffer"`,
	} {
		text, err := json.Marshal(mode)
		assert.NoError(t, err)
		assert.Equal(t, name, string(text))
		read := PayloadTransferMode(255)
		assert.NoError(t, json.Unmarshal(text, &read))
		assert.Equal(t, mode, read)
	}
	_, err := PayloadTransferMode(2).MarshalText()
	assert.Equal(t, invalid("transfer_mode", "is not a transfer mode"), err)
	mode := TransferArrayBuffer
	for _, name := range []string{"", "StructuredClone", strings.Repeat("t", 1<<20)} {
		err := mode.UnmarshalText([]byte(name))
		assert.ErrorIs(t, err, ErrInvalidValue)
		assert.Less(t, len(err.Error()), 300)
		assert.Equal(t, TransferArrayBuffer, mode)
	}
}

func TestPayloadsAreOwnedAndTravelByStructuredClone(t *testing.T) {
	assert.True(t, SpawnJob{}.OwnsPayload())
	assert.Equal(t, TransferStructuredClone, SpawnJob{}.PayloadTransferMode())
	for outcome, want := range map[string]struct {
		Outcome
		has bool
	}{
		"ok": {OutcomeOk{}, true}, "err": {OutcomeErr{}, false}, "cancelled": {OutcomeCancelled{}, false}, "panicked": {OutcomePanicked{}, false},
	} {
		mode, has := want.PayloadTransferMode()
		assert.Equal(t, want.has, has, outcome)
		assert.Equal(t, TransferStructuredClone, mode, outcome)
	}
}

func TestValidationChecksVersionValuesDigestIdentityAndSizeInThisOrder(t *testing.T) {
	var (
		value      = because(ErrInvalidValue, func(a *attempt) { a.message.worker = new(illFormed) })
		missing    = because(ErrMissingWorkerIdentity, func(a *attempt) { a.message.worker = nil })
		mismatch   = because(ErrWorkerIdentityMismatch, func(a *attempt) { a.message.worker = new("x") })
		size       = because(ErrPayloadTooLarge, func(a *attempt) { a.message.op = JobCompleted{1, OutcomeOk{oversized}} })
		unexpected = because(ErrUnexpectedWorkerIdentity, func(a *attempt) {
			if a.message.worker == nil {
				a.message.worker = new("w")
			}
		})
		spawnSize = because(ErrPayloadTooLarge, func(a *attempt) { a.message.op = SpawnJob{Payload: oversized} })
	)
	validate := func(a *attempt) error { return a.message.envelope().Validate() }
	start := func(worker *string, op Op) func() *attempt {
		return func() *attempt { return arriving(nil, worker, op) }
	}
	firstReasonWins(t, start(nil, SpawnJob{}), validate, wrongVersion, value, wrongDigest, unexpected, spawnSize)
	firstReasonWins(t, start(new("w"), JobCompleted{1, OutcomeOk{}}), validate, wrongVersion, wrongDigest, missing, size)
	firstReasonWins(t, start(new("w"), BootstrapReady{"w"}), validate, wrongVersion, wrongDigest, missing)
	firstReasonWins(t, start(new("w"), BootstrapReady{"w"}), validate, wrongVersion, wrongDigest, mismatch)
	firstReasonWins(t, start(new("w"), BootstrapFailed{"w", "no"}), validate, wrongVersion, wrongDigest, mismatch)
}
