package workerchannel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryOutcomeCompletesAJobOnBothSides(t *testing.T) {
	for _, outcome := range []Outcome{
		OutcomeOk{[]byte{}}, OutcomeOk{oversized[1:]}, OutcomeErr{"E", "no"}, OutcomeCancelled{"gave up"}, OutcomePanicked{"boom"},
	} {
		for _, phase := range []string{"queued", "running", "cancel_requested"} {
			s := newScene(t, "begin with w", "given job 1 "+phase)
			require.NoError(t, s.worker().Complete(1, outcome))
			_, ok := s.worker().Job(1)
			assert.False(t, ok, "the worker forgets it")
			s.play("deliver")
			job, _ := s.c.Job(1)
			assert.Equal(t, StateCompleted, job.State)
			assert.Equal(t, CauseOutcome, job.Cause)
			assert.True(t, assert.ObjectsAreEqual(outcome, job.Outcome))
		}
	}
}

func TestIDOfAnEndedJobMayComeAgainToTheWorker(t *testing.T) {
	for name, end := range map[string][]string{
		"completed queued":     {"given job 1 queued", "w Complete 1 Ok"},
		"completed running":    {"given job 1 running", "w Complete 1 Ok"},
		"completed the cancel": {"given job 1 finalizing", "w CompleteFinalize 1"},
		"won the race":         {"given job 1 cancel_requested", "w Complete 1 Ok"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "begin with w")
			for range 3 {
				s.play(end...)
				s.play("deliver", "host Reap")
			}
			s.play("w AdvanceTurn")
			require.NoError(t, s.c.SpawnJob(SpawnJob{1, 2, 3, 4, nil}))
			s.play("deliver")
			job, ok := s.worker().Job(1)
			assert.True(t, ok)
			assert.Equal(t, TrackedJob{JobID: 1, RegionID: 2, TaskID: 3, ObligationID: 4, State: StateQueued, Since: 1}, job)
		})
	}
}

func TestWorkerWithAnEmptyIDSendsIt(t *testing.T) {
	w := NewWorker("", 7)
	assert.Equal(t, "", w.ID())
	assert.Equal(t, uint64(7), w.Seed())
	require.NoError(t, w.Announce())
	env, _ := w.DrainOutbox()
	assert.Equal(t, BootstrapReady{""}, env.Op)
	assert.Equal(t, new(""), env.WorkerID, "an empty id is an id")
}

func TestWorkerMayBeCalledWhileItsJobsAreListed(t *testing.T) {
	s := newScene(t, "begin with w")
	for _, id := range []uint64{5, math.MaxUint64, 0, 3} {
		require.NoError(t, s.c.SpawnJob(SpawnJob{JobID: id}))
	}
	s.play("deliver")
	var ids []uint64
	for job := range s.worker().Jobs() {
		if ids = append(ids, job.JobID); job.JobID == 0 {
			s.play("w Complete 3 Ok", "host SpawnJob 4", "deliver")
		}
	}
	assert.Equal(t, []uint64{0, 5, math.MaxUint64}, ids)
	for job := range s.worker().Jobs() {
		assert.Zero(t, job.JobID)
		break
	}
}

// TestEveryAnswerIsTheLastWordAfterAShutdownRequest gives the answers before and after the request: in each order no
// job is left, so that the worker knows when to stop.
func TestEveryAnswerIsTheLastWordAfterAShutdownRequest(t *testing.T) {
	for phase, answer := range map[string]string{
		"running": "w Complete 1 Ok", "cancel_requested": "w AcknowledgeCancel 1", "draining": "w CompleteDrain 1", "finalizing": "w CompleteFinalize 1",
	} {
		for _, order := range [][]string{{answer, "host RequestShutdown", "deliver host to w"}, {"host RequestShutdown", "deliver host to w", answer}} {
			s := newScene(t, "begin with w", "given job 1 "+phase)
			s.play(order...)
			assert.Zero(t, s.worker().InflightCount(), "%s: %v", phase, order)
			s.play("w CompleteShutdown", "deliver")
			assert.Zero(t, s.c.InflightCount())
		}
	}
}

func TestWorkerWithAnIllFormedIDCanSendNothing(t *testing.T) {
	w := NewWorker(illFormed, 42)
	for name, call := range workerCalls {
		if name == "AdvanceTurn" {
			continue
		}
		err := call(w, arguments{id: 1, outcome: OutcomeOk{}})
		if name == "Announce" || name == "Fail" {
			assert.Equal(t, invalid("worker_id", notUTF8), err)
		}
		assert.Error(t, err, name)
	}
	assert.Equal(t, NewWorker(illFormed, 42), w)
}
