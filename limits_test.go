package workerchannel

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The scenes overdue_in_each_phase and polls_and_deadlines show what the limits do; here is what they do not.

func overdueJob(t *testing.T, c *Coordinator) Overdue {
	t.Helper()
	late, ok := c.Overdue()
	require.True(t, ok)
	turn, ok := c.NextDeadline()
	assert.True(t, ok)
	assert.Equal(t, late.Deadline, turn)
	return late
}

func TestWithoutLimitsNothingIsEverOverdue(t *testing.T) {
	s := newScene(t, "begin", "host ExpectWorker", "host AdvanceTurn 9", "worker w", "w Announce", "deliver")
	s.play("given job 1 cancel_requested", "given job 2 draining", "given job 3 finalizing", "given job 4 running",
		"host PollStatus 4", "host AdvanceTurn 9", "send host", "host AdvanceTurn 9")
	_, ok := s.c.NextDeadline()
	assert.False(t, ok)
	s.play("host RequestShutdown", "send host", "host AdvanceTurn 9")
	_, ok = s.c.Overdue()
	assert.False(t, ok)
}

// Each limit is for its own request: with the others set, one that is 0 is none.
func TestEachLimitIsForItsOwnRequest(t *testing.T) {
	for name, lines := range map[string][]string{
		"Boot":     {"host ExpectWorker"},
		"Cancel":   {"given job 1 cancel_requested"},
		"Drain":    {"given job 1 draining"},
		"Finalize": {"given job 1 finalizing"},
		"Poll":     {"given job 1 running", "host PollStatus 1", "send host"},
		"Shutdown": {"host RequestShutdown", "send host"},
	} {
		request := map[string]OpType{
			"Cancel": OpCancelJob, "Drain": OpDrainJob, "Finalize": OpFinalizeJob, "Poll": OpPollStatus, "Shutdown": OpShutdownWorker,
		}[name]
		all := map[string]uint64{"Boot": 7, "Cancel": 7, "Drain": 7, "Finalize": 7, "Poll": 7, "Shutdown": 7}
		for _, limit := range []uint64{0, 3} {
			t.Run(fmt.Sprint(name, " ", limit), func(t *testing.T) {
				all[name] = limit
				begin := "begin with w limits"
				for name, turns := range all {
					begin += fmt.Sprint(" ", name, " ", turns)
				}
				s := newScene(t, begin)
				s.play("host AdvanceTurn 5")
				s.play(lines...)
				s.play("host AdvanceTurn 2")
				_, ok := s.c.Overdue()
				assert.False(t, ok)
				turn, ok := s.c.NextDeadline()
				assert.Equal(t, limit != 0, ok)
				if limit != 0 {
					assert.Equal(t, uint64(8), turn)
					s.play("host AdvanceTurn")
					job := uint64(0)
					if request != 0 && request != OpShutdownWorker {
						job = 1
					}
					assert.Equal(t, Overdue{request, job, 5, 8}, overdueJob(t, s.c))
				}
			})
		}
	}
}

func TestOverdueReportsTheRequestThatIsDueFirst(t *testing.T) {
	s := newScene(t, "begin with w limits Boot 4 Cancel 3 Drain 2 Finalize 5 Poll 1")
	s.play("given job 1 finalizing", "given job 2 draining", "given job 3 cancel_requested", "given job 4 cancel_requested",
		"given job 5 running", "host PollStatus 5", "send host", "host ExpectWorker", "host AdvanceTurn 9")
	for i, want := range []Overdue{
		{OpPollStatus, 5, 0, 1}, {OpDrainJob, 2, 0, 2}, {OpCancelJob, 3, 0, 3}, {OpCancelJob, 4, 0, 3}, {0, 0, 0, 4}, {OpFinalizeJob, 1, 0, 5},
	} {
		require.Equal(t, want, overdueJob(t, s.c))
		switch want.Request {
		case OpPollStatus:
			s.play(`forge w #1000 Diagnostic Info "scene" "busy"`)
		case 0:
			s.c.clocks.boot.running = false
		default: // the job leaves its phase
			next := map[OpType]Op{
				OpCancelJob: JobCompleted{want.JobID, OutcomeOk{}}, OpDrainJob: DrainCompleted{want.JobID}, OpFinalizeJob: FinalizeCompleted{want.JobID},
			}[want.Request]
			env := fromWorker("w", 1000+uint64(i), next)
			require.NoError(t, s.c.HandleInbound(&env))
		}
	}
	_, ok := s.c.Overdue()
	assert.False(t, ok)
}

func TestOverdueReportsABootstrapAndThenTheFirstSentOfThoseDueTogether(t *testing.T) {
	s := newScene(t, "begin with w limits Boot 2 Cancel 2 Poll 2 Shutdown 2")
	s.play("given job 1 running", "given job 2 running", "host PollStatus 1", "host CancelJob 2", "send host", "host ExpectWorker", "host AdvanceTurn 2")
	assert.Equal(t, Overdue{0, 0, 0, 2}, overdueJob(t, s.c))
	s.c.clocks.boot.running = false
	assert.Equal(t, OpPollStatus, overdueJob(t, s.c).Request)
	s.c.clocks.poll.running = false
	assert.Equal(t, OpCancelJob, overdueJob(t, s.c).Request)
}

func TestSessionEndStopsEveryClockButTheBootstraps(t *testing.T) {
	for _, end := range []string{"host WorkerLost", `host RetireWorker "w"`, "forge w #1000 ShutdownCompleted", "forge w #1000 BootstrapFailed"} {
		s := newScene(t, "begin with w limits Boot 9 Cancel 1 Drain 1 Finalize 1 Poll 1 Shutdown 1")
		s.play("given job 1 finalizing", "given job 2 draining", "given job 3 cancel_requested", "given job 4 running", "host PollStatus 4", "send host",
			"host ExpectWorker", "host RequestShutdown", "send host", "host AdvanceTurn")
		assert.Equal(t, OpShutdownWorker, overdueJob(t, s.c).Request)
		_ = s.do(end)
		turn, ok := s.c.NextDeadline()
		assert.True(t, ok, end)
		assert.Equal(t, uint64(9), turn, "the next worker is still expected")
		s.play("host WorkerLost")
		_, ok = s.c.NextDeadline()
		assert.False(t, ok, "and no longer, as there was no session")
	}
}

func TestExpectingAnotherWorkerStartsItsClockAgain(t *testing.T) {
	s := newScene(t, "begin limits Boot 5", "host ExpectWorker", "host AdvanceTurn 3", "host ExpectWorker", "host AdvanceTurn 4")
	_, ok := s.c.Overdue()
	assert.False(t, ok)
	s.play("host AdvanceTurn", `host RetireWorker "slow"`)
	assert.Equal(t, Overdue{0, 0, 3, 8}, overdueJob(t, s.c))
	require.Error(t, s.do(`forge slow #1 BootstrapReady`), "a refused bootstrap is none")
	overdueJob(t, s.c)
	require.Error(t, s.do(`forge new #1 BootstrapFailed "no"`))
	_, ok = s.c.NextDeadline()
	assert.False(t, ok, "even a failed one is a bootstrap")
}

func TestDeadlineBeyondTheLastTurnIsTheLastTurn(t *testing.T) {
	c := NewCoordinator(42, WithLimits(Limits{Boot: math.MaxUint64}))
	c.AdvanceTurn()
	c.ExpectWorker()
	turn, ok := c.NextDeadline()
	assert.True(t, ok)
	assert.Equal(t, uint64(math.MaxUint64), turn)
}

func TestCoordinatorMayBeCalledWhileItsRequestsAreListed(t *testing.T) {
	s := newScene(t, "begin with w limits Cancel 1 Poll 2", "given job 1 cancel_requested", "given job 2 running", "host PollStatus 2", "send host")
	for first := range s.c.Requests() {
		assert.Equal(t, Overdue{OpCancelJob, 1, 0, 1}, first)
		break
	}
	var listed []OpType
	for request := range s.c.Requests() {
		listed = append(listed, request.Request)
		s.play("host WorkerLost")
	}
	assert.Equal(t, []OpType{OpCancelJob, OpPollStatus}, listed)
	assert.Empty(t, collect(s.c.Requests()))
}

func TestOverdueIsAnErrorThatNamesTheRequest(t *testing.T) {
	for want, late := range map[string]Overdue{
		"bootstrap sent in turn 1 was due in turn 4":           {0, 0, 1, 4},
		"CancelJob of job 7 sent in turn 1 was due in turn 4":  {OpCancelJob, 7, 1, 4},
		"PollStatus of job 0 sent in turn 1 was due in turn 4": {OpPollStatus, 0, 1, 4},
		"ShutdownWorker sent in turn 1 was due in turn 4":      {OpShutdownWorker, 0, 1, 4},
	} {
		err := fmt.Errorf("stopped: %w", late)
		assert.EqualError(t, err, "stopped: workerchannel: worker is late: "+want)
		var found Overdue
		assert.True(t, errors.As(err, &found))
		assert.Equal(t, late, found)
	}
}
