package workerchannel

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTransitionsAreThoseOfTheTable(t *testing.T) {
	const table = `
from to          created queued running cancel_requested draining finalizing completed failed
created          -       yes    -       -                -        -          -         yes
queued           -       -      yes     yes              -        -          yes       yes
running          -       -      -       yes              -        -          yes       yes
cancel_requested -       -      -       -                yes      -          yes       yes
draining         -       -      -       -                -        yes        -         yes
finalizing       -       -      -       -                -        -          yes       yes
completed        -       -      -       -                -        -          -         -
failed           -       -      -       -                -        -          -         -
`
	states := map[string]JobState{}
	for s := StateCreated; s <= StateFailed; s++ {
		states[s.String()] = s
		assert.Equal(t, s == StateCompleted || s == StateFailed, s.Terminal(), s.String())
		assert.Equal(t, s == StateQueued || s == StateRunning, s.AllowedInStatusSnapshot(), s.String())
	}
	eachCell(strings.Replace(table, "from to", "state from to", 1), func(row, column, cell string) {
		from, to := states[row], states[column]
		job := TrackedJob{JobID: 7, State: from}
		was, err := job.TransitionTo(to)
		assert.Equal(t, from, was)
		assert.Equal(t, cell == "yes", from.CanTransitionTo(to), "%v to %v", from, to)
		if cell == "yes" {
			assert.NoError(t, err)
			assert.Equal(t, TrackedJob{JobID: 7, State: to}, job)
		} else {
			assert.Equal(t, &TransitionError{7, from, to}, err)
			assert.Equal(t, TrackedJob{JobID: 7, State: from}, job)
		}
	})
	for _, unknown := range []JobState{8, stateAcknowledged, stateDrained, 255} {
		for s := StateCreated; s <= StateFailed; s++ {
			assert.False(t, s.CanTransitionTo(unknown))
			assert.False(t, unknown.CanTransitionTo(s))
		}
		job := TrackedJob{State: unknown}
		_, err := job.TransitionTo(StateFailed)
		assert.ErrorIs(t, err, ErrInvalidTransition)
		assert.False(t, unknown.AllowedInStatusSnapshot())
		assert.False(t, unknown.Terminal())
	}
}

func TestJobStatesHaveTheirNamesOnTheWire(t *testing.T) {
	for state, name := range map[JobState]string{
		StateCreated: "Created", StateQueued: "Queued", StateRunning: "Running", StateCancelRequested: "CancelRequested",
		StateDraining: "Draining", StateFinalizing: "Finalizing", StateCompleted: "Completed", StateFailed: "Failed",
	} {
		text, err := state.MarshalText()
		assert.NoError(t, err)
		assert.Equal(t, name, string(text))
		read := JobState(255)
		assert.NoError(t, read.UnmarshalText(text))
		assert.Equal(t, state, read)
		assert.Contains(t, string(written(NewWorkerEnvelope("w", Header{}, StatusSnapshot{1, state, nil}))), `"state":"`+name+`"`)
	}
	_, err := JobState(8).MarshalText()
	assert.Equal(t, invalid("state", "is not a job state"), err)
	state := StateRunning
	for _, name := range []string{"", "running", "Running ", "cancel_requested", strings.Repeat("R", 1<<20)} {
		err := state.UnmarshalText([]byte(name))
		assert.ErrorIs(t, err, ErrInvalidValue)
		assert.Less(t, len(err.Error()), 300)
		assert.Equal(t, StateRunning, state)
	}
}

func TestEndCausesHaveTheirNamesInJournalsAndForPeople(t *testing.T) {
	for cause, names := range map[EndCause][2]string{
		CauseNone: {"", "none"}, CauseOutcome: {"Outcome", "outcome"}, CauseCancelled: {"Cancelled", "cancelled"},
		CauseWorkerLost: {"WorkerLost", "worker_lost"}, CauseReplaced: {"Replaced", "replaced"},
		CauseShutdown: {"Shutdown", "shutdown"}, CauseBootstrapFailed: {"BootstrapFailed", "bootstrap_failed"},
	} {
		text, err := cause.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, names, [2]string{string(text), cause.String()})
	}
	_, err := EndCause(7).MarshalText()
	assert.ErrorIs(t, err, ErrInvalidValue)
	assert.Equal(t, "unknown_cause_7", EndCause(7).String())
}
