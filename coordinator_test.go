package workerchannel

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func idsOf(jobs []TrackedJob) (ids []uint64) {
	for _, j := range jobs {
		ids = append(ids, j.JobID)
	}
	return ids
}

func TestTrackedJobHasWhatWasSpawnedAndHowItEnded(t *testing.T) {
	s := newScene(t, "begin with w", "host AdvanceTurn 3")
	tag := new(int)
	require.NoError(t, s.c.SpawnTagged(SpawnJob{1, 2, 3, 4, nil}, tag))
	want := TrackedJob{JobID: 1, RegionID: 2, TaskID: 3, ObligationID: 4, State: StateQueued, Since: 3, LastSeqNo: 1, Tag: tag}
	got, ok := s.c.Job(1)
	assert.True(t, ok)
	assert.Equal(t, want, got)

	s.play("host AdvanceTurn", "host PollStatus 1", "deliver", `w Complete 1 Err "E" "no"`, "deliver")
	want.State, want.Since, want.LastSeqNo, want.Outcome, want.Cause = StateCompleted, 4, 2, OutcomeErr{"E", "no"}, CauseOutcome
	got, _ = s.c.Job(1)
	assert.Equal(t, want, got)
	assert.Equal(t, []TrackedJob{want}, collect(s.c.Jobs()))
	assert.Equal(t, []TrackedJob{want}, s.c.Reap())
	assert.Same(t, tag, want.Tag)
}

// TestJobsEndWithTheirWorker has a message about a job still in the outbox, and the worker gone in every way: the job
// fails with the cause, and its message never goes to the next worker.
func TestJobsEndWithTheirWorker(t *testing.T) {
	for name, work := range map[string][]string{
		"a running job":     {"given job 1 running"},
		"a queued spawn":    {"host SpawnJob 1"},
		"a queued poll":     {"given job 1 running", "host PollStatus 1"},
		"a queued cancel":   {"given job 1 running", "host CancelJob 1"},
		"a queued drain":    {"given job 1 acknowledged", "deliver w to host"},
		"a queued finalize": {"given job 1 drained", "deliver w to host"},
	} {
		for cause, end := range map[EndCause]string{
			CauseReplaced:        "forge next #1 BootstrapReady",
			CauseShutdown:        "forge w #1000 ShutdownCompleted",
			CauseBootstrapFailed: "forge w #1000 BootstrapFailed",
			CauseWorkerLost:      "host WorkerLost",
		} {
			t.Run(name+", "+cause.String(), func(t *testing.T) {
				s := newScene(t, "begin with w")
				s.play(work...)
				require.Equal(t, 1, s.c.InflightCount())
				s.play("host AdvanceTurn")
				_ = s.do(end)
				job, _ := s.c.Job(1)
				assert.Equal(t, StateFailed, job.State)
				assert.Equal(t, cause, job.Cause)
				assert.Equal(t, uint64(1), job.Since)
				assert.Nil(t, job.Outcome)
				region, _ := s.c.Region(0)
				assert.Equal(t, Region{Tracked: 1}, region)
				assert.Zero(t, s.c.InflightCount())
				assert.Zero(t, s.c.OutboxLen())
				assert.Len(t, s.c.Reap(), 1)
			})
		}
	}
}

func TestReapReturnsJobsByAscendingID(t *testing.T) {
	s := newScene(t, "begin with w")
	for _, id := range []uint64{9, math.MaxUint64, 3, 0, 5} {
		require.NoError(t, s.c.SpawnJob(SpawnJob{JobID: id}))
	}
	assert.Nil(t, s.c.Reap())
	s.play("deliver", "w Complete 9 Ok", "w Complete 0 Err", "deliver")
	assert.Equal(t, []uint64{0, 9}, idsOf(s.c.Reap()))
	s.play("w Complete 5 Ok", "deliver", "host WorkerLost")
	reaped := s.c.Reap()
	assert.Equal(t, []uint64{3, 5, math.MaxUint64}, idsOf(reaped))
	assert.Equal(t, []EndCause{CauseWorkerLost, CauseOutcome, CauseWorkerLost}, []EndCause{reaped[0].Cause, reaped[1].Cause, reaped[2].Cause})
	assert.Empty(t, collect(s.c.Jobs()))
	assert.Empty(t, collect(s.c.Regions()))
}

func TestJobsCanBeForgottenInAnyOrder(t *testing.T) {
	for _, order := range [][]uint64{{1, 2, 3, 4}, {4, 3, 2, 1}, {2, 3, 1, 4}, {3, 1, 4, 2}} {
		s := newScene(t, "begin with w")
		for id := range uint64(4) {
			require.NoError(t, s.c.SpawnJob(SpawnJob{JobID: id + 1, RegionID: 7}))
		}
		s.play("deliver", "w Complete 1 Ok", "w Complete 2 Ok", "w Complete 3 Ok", "w Complete 4 Ok", "deliver")
		for i, id := range order {
			_, err := s.c.RemoveJob(id)
			require.NoError(t, err)
			assert.Equal(t, slices.Sorted(slices.Values(order[i+1:])), idsOf(collect(s.c.Jobs())))
			region, ok := s.c.Region(7)
			assert.Equal(t, len(order)-i-1, region.Tracked)
			assert.Equal(t, i < len(order)-1, ok)
		}
		assert.Nil(t, s.c.Reap())
	}
}

func TestJobsAndRegionsAreListedByAscendingID(t *testing.T) {
	s := newScene(t, "begin with w")
	for _, id := range []uint64{5, math.MaxUint64, 0, 3} {
		require.NoError(t, s.c.SpawnJob(SpawnJob{JobID: id, RegionID: id}))
	}
	assert.Equal(t, []uint64{0, 3, 5, math.MaxUint64}, idsOf(collect(s.c.Jobs())))
	assert.Equal(t, []Region{{0, 1, 1, false}, {3, 1, 1, false}, {5, 1, 1, false}, {math.MaxUint64, 1, 1, false}}, collect(s.c.Regions()))
	for job := range s.c.Jobs() {
		assert.Zero(t, job.JobID)
		break
	}
	for region := range s.c.Regions() {
		assert.Zero(t, region.RegionID)
		break
	}
	_, ok := s.c.Region(99)
	assert.False(t, ok)
}

func TestCoordinatorMayBeCalledWhileItsJobsAreListed(t *testing.T) {
	s := newScene(t, "begin with w", "given job 0 running", "given job 1 running", "given job 2 completed", "given job 3 running", "given job 4 running")
	var seen []string
	for job := range s.c.Jobs() {
		seen = append(seen, jobLine([]TrackedJob{job}))
		switch job.JobID {
		case 0:
			s.play("host Reap", "host SpawnJob 10") // 2 is forgotten, and 10 comes too late
		case 1:
			s.play("host CancelJob 3", "host WorkerLost")
		}
	}
	assert.Equal(t, []string{"0 running", "1 running", "3 failed (worker_lost)", "4 failed (worker_lost)"}, seen)
}

func TestTrackedJobIsACopy(t *testing.T) {
	s := newScene(t, "begin with w", "given job 1 running")
	before := clone(s.c)
	for job := range s.c.Jobs() {
		_, err := job.TransitionTo(StateCompleted)
		require.NoError(t, err)
	}
	job, _ := s.c.Job(1)
	_, err := job.TransitionTo(StateFailed)
	require.NoError(t, err)
	assert.Equal(t, before, s.c)
	job, _ = s.worker().Job(1)
	_, err = job.TransitionTo(StateFailed)
	require.NoError(t, err)
	state, _ := s.worker().JobState(1)
	assert.Equal(t, StateRunning, state)
}

// A region's jobs are those of its id, whichever worker they were given to; only those of the live session are in flight.
func TestRegionCountsJobsOfSeveralSessions(t *testing.T) {
	s := newScene(t, "begin with w", "host SpawnJob 1 region 7", "host SpawnJob 2 region 7", "host WorkerLost",
		"worker next", "next Announce", "deliver", "host SpawnJob 3 region 7", "host SpawnJob 4 region 7", "deliver", "next Complete 3 Ok", "deliver")
	region, _ := s.c.Region(7)
	assert.Equal(t, Region{7, 4, 1, false}, region)
	cancelled, err := s.c.CancelRegion(7, "")
	assert.NoError(t, err)
	assert.Equal(t, 1, cancelled, "only what can be cancelled is counted")
}

func TestTableReleasesMemoryAsItGetsSmaller(t *testing.T) {
	const many = 100_000
	var jobs table[int]
	for id := range uint64(many) {
		jobs.put(id, int(id))
	}
	for id := range uint64(many - 1) {
		jobs.remove(id)
	}
	assert.Equal(t, map[uint64]int{many - 1: many - 1}, jobs.m)
	assert.LessOrEqual(t, jobs.peak, 1024, "the map is a copy that never had more entries")
}

func TestManyJobsComeAndGoAndLeaveNothing(t *testing.T) {
	const many = 20_000
	for _, region := range []func(id uint64) uint64{func(uint64) uint64 { return 7 }, func(id uint64) uint64 { return id }} {
		c := readyCoordinator(t)
		empty := heapInUse()
		spawn := func(id uint64) {
			require.NoError(t, c.SpawnJob(SpawnJob{JobID: id, RegionID: region(id)}))
			c.DrainOutbox()
		}
		for id := range uint64(many) {
			spawn(id)
		}
		require.Equal(t, many, c.InflightCount())
		assert.LessOrEqual(t, heapInUse()-empty, float64(many*500), "bytes for each job, its region and the tables")

		c.WorkerLost()
		assert.Zero(t, c.InflightCount())
		reaped := c.Reap()
		require.Len(t, reaped, many)
		for i, j := range reaped {
			require.Equal(t, uint64(i), j.JobID)
			require.Equal(t, StateFailed, j.State)
		}
		reaped = nil
		assert.LessOrEqual(t, heapInUse()-empty, float64(64<<10), "bytes kept")
		next := fromWorker("next", 1, BootstrapReady{"next"})
		require.NoError(t, c.HandleInbound(&next))
		spawn(1)
		assert.Equal(t, "1 queued", strings.TrimSpace(jobLine(collect(c.Jobs()))))
	}
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

func TestSnapshotsOfOtherStatesAreErrorsWhateverTheJob(t *testing.T) {
	for state := StateCreated; state <= StateFailed; state++ {
		kind := ErrInvalidStatusSnapshotState
		switch {
		case state == StateQueued || state == StateRunning:
			continue
		case state.Terminal():
			kind = ErrTerminalStatusSnapshot
		}
		for id := range uint64(11) { // of which 0 is unknown
			s := busyScene(t)
			want := clone(s.c)
			want.lastSeen = 1000
			env := fromWorker("w", 1000, StatusSnapshot{id, state, nil})
			assert.Equal(t, &JobError{kind, id, state}, s.c.HandleInbound(&env))
			require.Equal(t, want, s.c)
		}
	}
}
func TestZeroCoordinatorAndZeroWorkerAreThoseOfSeedZero(t *testing.T) {
	play := func(c *Coordinator, w *Worker) (sent []string) {
		s := &scene{t: t, c: c, channels: []*channel{{w: w}}, queued: map[string][]Envelope{}}
		assert.Nil(t, c.Reap())
		assert.Empty(t, collect(c.Jobs()))
		assert.Empty(t, collect(w.Jobs()))
		_, ok := c.Overdue()
		assert.False(t, ok)
		require.NoError(t, w.Announce())
		s.play("deliver", "host SpawnJob 1", "host CancelJob 1", "send host")
		for _, data := range s.channels[0].toWorker {
			_, err := w.Receive(data)
			require.NoError(t, err)
			sent = append(sent, string(data))
		}
		require.NoError(t, w.AcknowledgeCancel(1))
		require.NoError(t, w.CompleteShutdown())
		for env := range w.Outbox() {
			sent = append(sent, string(written(env)))
		}
		return sent
	}
	assert.Equal(t, play(NewCoordinator(0), NewWorker("", 0)), play(new(Coordinator), new(Worker)))
}
