package workerchannel

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOperationsAreNamedForTheirTypes(t *testing.T) {
	seen := make(map[OpType]bool)
	for _, op := range everyOp("w") {
		assert.Equal(t, reflect.TypeOf(op).Name(), op.Type().String())
		seen[op.Type()] = true
	}
	assert.Len(t, seen, 15)
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
