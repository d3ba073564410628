package workerchannel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The ends of every range. A siege without an attacker is a wornSession of two sides that exchange bytes.

const maxUint64 uint64 = math.MaxUint64

// wornSession returns the wornSession of two sides, with a job running.
func wornSession(t *testing.T, c *Coordinator, w *Worker, jobID uint64) *siege {
	s := &siege{c, w}
	require.NoError(t, w.Announce())
	require.NoError(t, s.exchange())
	require.NoError(t, c.SpawnJob(SpawnJob{JobID: jobID}))
	require.NoError(t, s.exchange())
	require.NoError(t, w.Start(jobID))
	require.NoError(t, s.exchange())
	return s
}

func TestDecisionNumbersBeginAnywhereAndWrap(t *testing.T) {
	for first, second := range map[uint64]uint64{0: 1, 1: 2, maxUint64 - 1: maxUint64, maxUint64: 0} {
		c := NewCoordinator(42, WithFirstDecisionSeq(first))
		s := wornSession(t, c, NewWorker("w", 42), 1)
		require.NoError(t, c.PollStatus(1))
		env, _ := c.DrainOutbox()
		assert.Equal(t, second, env.DecisionSeq, "after %d", first)
		assert.Equal(t, uint64(2), env.SeqNo, "which is a number of its own")
		assert.NoError(t, s.w.HandleInbound(&env), "nobody looks at the order of decisions")
	}
}

// A sender that has used the highest number has none left that its reader could take. At a million
// messages a second that is in half a million years.
func TestTheHighestNumberIsTheLast(t *testing.T) {
	last := Header{MessageID: maxUint64 - 1, SeqNo: maxUint64 - 1, DecisionSeq: maxUint64 - 1, Seed: maxUint64, IssuedAtTurn: maxUint64}

	t.Run("of a coordinator", func(t *testing.T) {
		s := wornSession(t, NewCoordinator(42), NewWorker("w", 42), 1)
		s.c.out.last = last
		require.NoError(t, s.c.PollStatus(1))
		require.NoError(t, s.exchange(), "2^64-1 is a number like others")
		j, _ := s.c.Job(1)
		assert.Equal(t, maxUint64, j.LastSeqNo)

		require.NoError(t, s.c.PollStatus(1))
		assert.Equal(t, &SequenceError{LastSeen: maxUint64, Actual: 0}, s.exchange())
	})
	t.Run("of a worker", func(t *testing.T) {
		s := wornSession(t, NewCoordinator(42), NewWorker("w", 42), 1)
		s.w.out.last = last
		require.NoError(t, s.w.Report(1, ""))
		require.NoError(t, s.exchange(), "2^64-1 is a number like others")

		require.NoError(t, s.w.Complete(1, OutcomeOk{}))
		assert.Equal(t, &SequenceError{LastSeen: maxUint64, Actual: 0}, s.exchange())
		s.recovers(t)
	})
	t.Run("of turns", func(t *testing.T) {
		s := wornSession(t, NewCoordinator(maxUint64), NewWorker("w", maxUint64), 1)
		s.c.out.last.IssuedAtTurn, s.w.out.last.IssuedAtTurn = maxUint64, maxUint64
		require.NoError(t, s.c.PollStatus(1))
		env, _ := s.c.DrainOutbox()
		assert.Equal(t, maxUint64, env.IssuedAtTurn)
		assert.Equal(t, maxUint64, env.Seed)
		require.NoError(t, s.w.HandleInbound(&env))
		require.NoError(t, s.exchange())
		s.c.AdvanceTurn()
		s.w.AdvanceTurn()
		assert.Zero(t, s.c.Turn(), "turns wrap")
		assert.Zero(t, s.w.Turn(), "turns wrap")
	})
}

func TestTheEndOfASessionEndsAllJobsWhateverTheirNumbers(t *testing.T) {
	for _, seq := range []uint64{2, maxUint64 - 1, maxUint64} {
		s := wornSession(t, NewCoordinator(42), NewWorker("w", 42), 1)
		s.c.out.last.SeqNo = seq - 1 // wornSession has used one
		require.NoError(t, s.c.PollStatus(1))
		s.c.WorkerLost()
		state, _ := s.c.JobState(1)
		assert.Equal(t, StateFailed, state, "last written about under %d", seq)
	}
}

func TestJobIDsAreAnyNumber(t *testing.T) {
	ids := []uint64{0, maxUint64}
	for i, id := range ids {
		other := ids[1-i]
		s := wornSession(t, NewCoordinator(42), NewWorker("w", 42), id)
		require.NoError(t, s.c.SpawnJob(SpawnJob{other, other, other, other, nil}))
		require.NoError(t, s.exchange())
		j, _ := s.c.Job(other)
		assert.Equal(t, other, j.RegionID)
		j, _ = s.w.Job(other)
		assert.Equal(t, other, j.RegionID)
		assert.ErrorIs(t, s.c.SpawnJob(SpawnJob{JobID: id}), ErrDuplicateJobID)

		for _, call := range []func() error{
			func() error { return s.c.CancelJob(id, "") },
			func() error { return s.w.AcknowledgeCancel(id) },
			func() error { return s.w.CompleteDrain(id) },
			func() error { return s.w.CompleteFinalize(id) },
			func() error { return s.w.Complete(other, OutcomeOk{}) },
		} {
			require.NoError(t, call())
			require.NoError(t, s.exchange())
		}
		reaped := s.c.Reap()
		require.Len(t, reaped, 2)
		assert.Equal(t, ids, []uint64{reaped[0].JobID, reaped[1].JobID})
		assert.Equal(t, StateCompleted, reaped[0].State)
		assert.Equal(t, StateCompleted, reaped[1].State)
	}
}

func TestAnEmptyWorkerIDIsAnIDLikeOthers(t *testing.T) {
	c := NewCoordinator(42)
	_, active := c.ActiveWorker()
	assert.False(t, active)
	_, err := c.Receive(forge("w", 1, Diagnostic{}))
	e := new(WorkerError)
	require.ErrorAs(t, err, &e)
	assert.Nil(t, e.Expected, "nobody is expected")

	s := wornSession(t, c, NewWorker("", 42), 1)
	id, active := c.ActiveWorker()
	assert.True(t, active)
	assert.Empty(t, id)
	_, err = c.Receive(forge("w", 1, Diagnostic{}))
	require.ErrorAs(t, err, &e)
	assert.Equal(t, new(""), e.Expected, "the one without a name is expected")

	require.NoError(t, s.w.Complete(1, OutcomeOk{}))
	require.NoError(t, s.w.CompleteShutdown())
	require.NoError(t, s.exchange())
	_, err = c.Receive(forge("", maxUint64, BootstrapReady{""}))
	assert.ErrorIs(t, err, ErrRetiredWorker)
	s.recovers(t)
}

func TestAPayloadOfNilIsAnEmptyOne(t *testing.T) {
	none, empty := SpawnJob{JobID: 1}, SpawnJob{JobID: 1, Payload: []byte{}}
	assert.Equal(t, ReplayHash(Header{}, nil, empty), ReplayHash(Header{}, nil, none))
	text, err := NewEnvelope(Header{SeqNo: 1}, none).AppendJSON(nil)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"payload":[]`)
	env, err := ParseEnvelope(text)
	require.NoError(t, err)
	assert.Equal(t, empty, env.Op, "what is read is never nil")
}

func TestAPayloadHasAtMost262144Bytes(t *testing.T) {
	full, over := make([]byte, 262144), make([]byte, 262145)
	s := wornSession(t, NewCoordinator(42), NewWorker("w", 42), 1)

	require.NoError(t, s.c.SpawnJob(SpawnJob{JobID: 2, Payload: full}))
	require.NoError(t, s.exchange())
	require.NoError(t, s.w.Complete(2, OutcomeOk{full}))
	require.NoError(t, s.exchange())
	state, _ := s.c.JobState(2)
	assert.Equal(t, StateCompleted, state)

	tooLarge := &PayloadError{Size: 262145, Max: 262144}
	assert.Equal(t, tooLarge, s.c.SpawnJob(SpawnJob{JobID: 3, Payload: over}))
	assert.Equal(t, tooLarge, s.w.Complete(1, OutcomeOk{over}))
	for _, env := range []Envelope{
		NewEnvelope(Header{SeqNo: 1}, SpawnJob{Payload: over}),
		NewWorkerEnvelope("w", Header{SeqNo: 1}, JobCompleted{1, OutcomeOk{over}}),
	} {
		assert.Equal(t, tooLarge, env.Validate())
		_, err := env.AppendJSON(nil)
		assert.Equal(t, tooLarge, err)
	}
	_, err := s.c.Receive(payloadOf(zeros(262145) + `]}}}`))
	e := new(PayloadError)
	require.ErrorAs(t, err, &e)
	assert.Equal(t, tooLarge, e)
	require.NoError(t, s.w.Complete(1, OutcomeOk{}))
	assert.NoError(t, s.exchange(), "the wornSession does not mind")
}

func TestAMillionJobsAndNothingOfThemLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	const million = 1_000_000
	s := wornSession(t, NewCoordinator(42), NewWorker("w", 42), maxUint64)
	empty := heap()
	for id := range uint64(million) {
		require.NoError(t, s.c.SpawnJob(SpawnJob{JobID: id}))
		if _, ok := s.c.DrainOutbox(); !ok {
			t.Fatal("nothing to send")
		}
	}
	assert.Equal(t, million+1, s.c.InflightCount())

	// One completes while all others are there.
	_, err := s.c.Receive(forge("w", next, JobCompleted{million / 2, OutcomeOk{}}))
	require.NoError(t, err)
	state, err := s.c.RemoveJob(million / 2)
	require.NoError(t, err)
	assert.Equal(t, StateCompleted, state)
	assert.Equal(t, million, s.c.InflightCount())

	s.c.WorkerLost()
	assert.Zero(t, s.c.InflightCount())
	reaped := s.c.Reap()
	require.Len(t, reaped, million)
	for i, j := range reaped {
		if j.State != StateFailed || i > 0 && j.JobID <= reaped[i-1].JobID {
			t.Fatal(i, j)
		}
	}
	assert.Less(t, heap(), empty+1<<20, "bytes kept")
	s.recovers(t)
}
