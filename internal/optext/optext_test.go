package optext_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/optext"
)

func TestEveryOperationHasAName(t *testing.T) {
	for typ := wc.OpBootstrapReady; typ.Sender() != 0; typ++ {
		assert.True(t, optext.Known(typ.String()), typ)
		op, err := wc.ParseOp(optext.JSON("w", []string{typ.String()}))
		require.NoError(t, err, typ)
		assert.Equal(t, typ, op.Type())
	}
	assert.False(t, optext.Known("Ok"), "an outcome is no operation")
	assert.Panics(t, func() { optext.JSON("w", []string{"CancelTask"}) })
	assert.Panics(t, func() { optext.JSON("w", []string{"DrainJob", "1", "2"}) })
}

func TestOperationsAreReadAsTheyAreWritten(t *testing.T) {
	empty, detail := "", "half way"
	for text, want := range map[string]wc.Op{
		`BootstrapReady`:                               wc.BootstrapReady{WorkerID: "w"},
		`BootstrapReady "v w"`:                         wc.BootstrapReady{WorkerID: "v w"},
		`BootstrapFailed "x"`:                          wc.BootstrapFailed{WorkerID: "w", Reason: "x"},
		`SpawnJob 7 b00ff 8`:                           wc.SpawnJob{JobID: 7, RegionID: 8, TaskID: 2, ObligationID: 3, Payload: []byte{0, 255}},
		`SpawnJob 7 b*2 0 0 0`:                         wc.SpawnJob{JobID: 7, Payload: []byte{255, 254}},
		`CancelJob 1 "a\x00\" é"`:                      wc.CancelJob{JobID: 1, Reason: "a\x00\" é"},
		`CancelJob 1 s*3`:                              wc.CancelJob{JobID: 1, Reason: "abc"},
		`StatusSnapshot 18446744073709551615 Queued -`: wc.StatusSnapshot{JobID: 1<<64 - 1, State: wc.StateQueued},
		`StatusSnapshot 1 Running "half way"`:          wc.StatusSnapshot{JobID: 1, State: wc.StateRunning, Detail: &detail},
		`JobCompleted 1 Ok "text"`:                     wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{Payload: []byte("text")}},
		`JobCompleted 1 Ok b`:                          wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{Payload: []byte{}}},
		`JobCompleted 1 Err "c" "m"`:                   wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeErr{Code: "c", Message: "m"}},
		`Diagnostic Warn "c" "m" ""`:                   wc.Diagnostic{Level: wc.LevelWarn, Category: "c", Message: "m", Metadata: &empty},
	} {
		op, err := wc.ParseOp(optext.JSON("w", optext.Words(text)))
		require.NoError(t, err, text)
		assert.Equal(t, want, op, text)
	}
}
