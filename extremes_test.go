package workerchannel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const maxUint64 uint64 = math.MaxUint64

// A sender that has used the highest number has none left that its reader could take. At a million messages a second
// that is in half a million years.
func TestHighestSequenceNumberIsTheLast(t *testing.T) {
	last := Header{MessageID: maxUint64 - 1, SeqNo: maxUint64 - 1, DecisionSeq: maxUint64 - 1, Seed: maxUint64, IssuedAtTurn: maxUint64}
	t.Run("of a coordinator", func(t *testing.T) {
		s := newScene(t, "begin with w", "given job 1 running")
		s.c.out.last = last
		s.play("host PollStatus 1", "deliver")
		job, _ := s.c.Job(1)
		assert.Equal(t, maxUint64, job.LastSeqNo)
		s.play("host PollStatus 1")
		assert.Equal(t, &SequenceError{LastSeen: maxUint64, Actual: 0}, s.do("deliver"))
	})
	t.Run("of a worker", func(t *testing.T) {
		s := newScene(t, "begin with w", "given job 1 running")
		s.worker().out.last = last
		s.play("w Report 1", "deliver", "w Complete 1 Ok")
		assert.Equal(t, &SequenceError{LastSeen: maxUint64, Actual: 0}, s.do("deliver"))
		assertRecovers(s)
	})
	t.Run("while turns wrap", func(t *testing.T) {
		s := newScene(t, "begin with w", "given job 1 running")
		s.c.out.last.IssuedAtTurn, s.worker().out.last.IssuedAtTurn = maxUint64, maxUint64
		s.play("host PollStatus 1")
		env, _ := s.c.DrainOutbox()
		assert.Equal(t, maxUint64, env.IssuedAtTurn)
		assert.NoError(t, s.worker().HandleInbound(&env))
		s.c.AdvanceTurn()
		s.worker().AdvanceTurn()
		assert.Zero(t, s.c.Turn())
		assert.Zero(t, s.worker().Turn())
	})
}

func TestJobAndRegionIDsAreAnyNumber(t *testing.T) {
	ids := []uint64{0, maxUint64}
	for i, id := range ids {
		other := ids[1-i]
		s := newScene(t, "begin with w")
		require.NoError(t, s.c.SpawnJob(SpawnJob{id, other, id, other, nil}))
		require.NoError(t, s.c.SpawnJob(SpawnJob{other, id, other, id, nil}))
		s.play("deliver")
		for _, half := range []interface {
			Job(uint64) (TrackedJob, bool)
		}{s.c, s.worker()} {
			job, ok := half.Job(id)
			assert.True(t, ok)
			assert.Equal(t, []uint64{other, id, other}, []uint64{job.RegionID, job.TaskID, job.ObligationID})
		}
		cancelled, err := s.c.CancelRegion(other, "")
		assert.NoError(t, err)
		assert.Equal(t, 1, cancelled)
		s.play("deliver")
		for _, call := range []func() error{
			func() error { return s.worker().AcknowledgeCancel(id) }, func() error { return s.worker().CompleteDrain(id) },
			func() error { return s.worker().CompleteFinalize(id) }, func() error { return s.worker().Complete(other, OutcomeOk{}) },
		} {
			require.NoError(t, call())
			s.play("deliver")
		}
		assert.Equal(t, ids, idsOf(s.c.Reap()))
	}
}

func TestEmptyWorkerIDIsAnIDLikeOthers(t *testing.T) {
	c := NewCoordinator(42)
	_, active := c.ActiveWorker()
	assert.False(t, active)
	require.NoError(t, bootstrap(c, ""))
	id, active := c.ActiveWorker()
	assert.True(t, active)
	assert.Empty(t, id)
	_, err := c.Receive(forge("w", 1, Diagnostic{}))
	assert.Equal(t, &WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "w", Expected: new("")}, err)
	c.RetireWorker("")
	_, active = c.ActiveWorker()
	assert.False(t, active)
	assert.ErrorIs(t, bootstrap(c, ""), ErrRetiredWorker)
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
