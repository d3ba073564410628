package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel"
)

func TestJobsOfAKilledWorkerFailAtOnceAndRunAgainInItsSuccessor(t *testing.T) {
	s := newStage(t, DefaultLimits, "stuck", "hash")
	calls := s.calls(6)
	<-calls[0].begun
	s.kill()
	requireHashes(t, calls) // without a tick: nothing waits for a deadline
	assert.Equal(t, 2, s.started())
	s.Stop()
	require.NoError(t, <-s.ran)
	assert.Equal(t, []string{"signal: killed", "exit status 0"}, s.exits())
	assert.Len(t, s.ids, 2)
	assert.NotEqual(t, s.ids[0], s.ids[1])

	spawned, completed := s.history()
	assert.Equal(t, []uint64{1, 2, 3, 4, 1, 2, 3, 4, 5, 6}, spawned, "the window is four jobs")
	assert.Equal(t, []uint64{1, 2, 3, 4, 5, 6}, completed)
}

func TestCancelledJobOfADeadWorkerDoesNotRunAgain(t *testing.T) {
	s := newStage(t, DefaultLimits, "stuck", "hash")
	calls := s.calls(3)
	<-calls[0].begun
	calls[0].cancel()
	calls[1].cancel()
	s.await(workerchannel.DrainJob{JobID: 1})
	s.kill()
	requireHashes(t, calls[2:])
	assert.ErrorIs(t, (<-calls[0].result).err, errCancelled)
	assert.ErrorIs(t, (<-calls[1].result).err, errCancelled)
}

func TestEveryBrokenWorkerIsReplacedAndItsJobsRunAgain(t *testing.T) {
	for name, cause := range map[string]string{
		"garbage":        workerchannel.ErrMalformed.Error(),
		"echo":           workerchannel.ErrUnexpectedDirection.Error(),
		"half a line":    errHalfLine.Error(),
		"endless line":   errLongLine.Error(),
		"exits":          "EOF",
		"stops its ears": "killed",
		"leaves":         errUnasked.Error(),
		"fails":          "nothing to work with",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, DefaultLimits, name, name, "hash")
			requireHashes(t, s.calls(6))
			assert.Equal(t, 3, s.started())
			require.Len(t, s.log, 2)
			assert.Contains(t, s.log[0], cause)
			assert.Contains(t, s.log[1], cause)
		})
	}
}

func TestWorkerThatHangsInDrainIsKilledAtItsDeadlineAndNotBefore(t *testing.T) {
	limits := DefaultLimits
	limits.Worker.Drain = 7
	s := newStage(t, limits, "stuck", "hash")
	calls := s.calls(3)
	<-calls[0].begun
	calls[0].cancel()
	s.await(workerchannel.DrainJob{JobID: 1})
	for range 6 {
		s.tick()
	}
	calls = append(calls, s.calls(1)...) // the loop has handled the sixth tick when it receives this
	assert.Equal(t, 1, s.started())
	s.tick()
	requireHashes(t, calls[1:])
	assert.ErrorIs(t, (<-calls[0].result).err, errCancelled)
	assert.Equal(t, 2, s.started())
	assert.Equal(t, []string{"lost the worker: workerchannel: worker is late: DrainJob of job 1 sent in turn 0 was due in turn 7"}, s.log)
}

func TestCancelledJobLetsTheWorkerLive(t *testing.T) {
	limits := DefaultLimits
	limits.Window = 2
	s := newStage(t, limits, "obedient")
	running, queued, waiting := s.call(nil), (*call)(nil), (*call)(nil)
	<-running.begun
	queued = s.call(nil)
	s.await(workerchannel.SpawnJob{JobID: 2, TaskID: 2, Payload: nil})
	waiting = s.call(nil)
	for _, c := range []*call{waiting, queued, running} {
		c.cancel()
		assert.Equal(t, result{nil, context.Canceled}, <-c.result)
	}
	assert.Equal(t, 1, s.started())
	assert.Empty(t, s.log)
}

func TestWorkerThatNeverAnnouncesItselfIsKilledAtItsDeadline(t *testing.T) {
	limits := DefaultLimits
	limits.Worker.Boot = 5
	s := newStage(t, limits, "mute", "hash")
	calls := s.calls(2)
	for range 4 {
		s.tick()
	}
	calls = append(calls, s.calls(1)...)
	assert.Equal(t, 1, s.started())
	s.tick()
	requireHashes(t, calls)
	assert.Equal(t, 2, s.started())
}

// A worker that does not read fills the pipe. The cancel cannot be sent, so its limit does not apply.
func TestWorkerThatDoesNotReadIsKilledAndDoesNotBlockTheHost(t *testing.T) {
	s := newStage(t, DefaultLimits, "deaf", "hash")
	payload := bytes.Repeat([]byte{255}, workerchannel.MaxPayloadBytes)
	first := s.submit(payload)
	calls := []*call{s.submit(payload), s.submit(payload), s.submit(payload)}
	s.await(workerchannel.SpawnJob{JobID: 2, TaskID: 2, Payload: payload})
	first.cancel()
	for range DefaultLimits.Send {
		s.tick()
	}
	requireHashes(t, calls)
	assert.Equal(t, errCancelled, (<-first.result).err)
	assert.Equal(t, 2, s.started())
	assert.Equal(t, []string{"lost the worker: " + errDeaf.Error()}, s.log)
}

// The message is in the pipe, so it counts as sent.
func TestWorkerThatDoesNotAnswerAPollIsKilled(t *testing.T) {
	limits := DefaultLimits
	limits.Beat, limits.Worker.Poll, limits.Send = 2, 3, 1_000_000_000
	s := newStage(t, limits, "deaf", "hash")
	calls := s.calls(2)
	s.await(workerchannel.SpawnJob{JobID: 2, TaskID: 2, Payload: calls[1].payload})
	for s.started() < 2 {
		s.tick()
	}
	requireHashes(t, calls)
	require.Len(t, s.log, 1)
	assert.Contains(t, s.log[0], "worker is late: PollStatus of job 1 ")
}

func TestBusyWorkerAnswersPollsAndLives(t *testing.T) {
	limits := DefaultLimits
	limits.Beat, limits.Worker.Poll = 1, 1
	s := newStage(t, limits, "gated")
	calls := s.calls(1)
	<-calls[0].begun
	<-s.plain // it has started
	for range 20 {
		s.tick()
		<-s.plain
	}
	s.gate.Close()
	requireHashes(t, calls)
	assert.Equal(t, 1, s.started())
}

// The worker closes its standard input, so that the host cannot write and kills it, with the outcome in the pipe.
func TestOutcomeWrittenBeforeTheDeathCounts(t *testing.T) {
	s := newStage(t, DefaultLimits, "stops its ears after its outcome", "hash")
	payload := bytes.Repeat([]byte{255}, workerchannel.MaxPayloadBytes)
	requireHashes(t, []*call{s.submit(payload), s.submit(payload), s.submit(payload)})
	s.Stop()
	require.NoError(t, <-s.ran)
	assert.Equal(t, 2, s.started())
	spawned, _ := s.history()
	assert.Equal(t, 1, countOf(spawned, 1), "job 1 has not run again: %v", spawned)
}

func TestWorkerThatAnnouncesItselfAgainIsKilled(t *testing.T) {
	s := newStage(t, DefaultLimits, "announces again", "hash")
	requireHashes(t, s.calls(2))
	assert.Equal(t, 2, s.started())
	assert.Equal(t, []string{"lost the worker: " + errTwice.Error()}, s.log)
}

func TestStrayMessageIsIgnored(t *testing.T) {
	s := newStage(t, DefaultLimits, "forwards")
	requireHashes(t, s.calls(1))
	assert.Equal(t, 1, s.started())
	require.Len(t, s.log, 1)
	assert.Contains(t, s.log[0], `ignored a stray message: workerchannel: message is not of the active worker: worker "another"`)
}

func TestProcessThatHoldsStandardOutputDoesNotHideTheDeathOfItsWorker(t *testing.T) {
	s := newStage(t, DefaultLimits, "leaves a child", "hash")
	requireHashes(t, s.calls(2))
	assert.Equal(t, 2, s.started())
	require.Len(t, s.log, 1)
	assert.Contains(t, s.log[0], exec.ErrWaitDelay.Error())
}

func TestBothPipesMayBeFullAtOnce(t *testing.T) {
	s := newStage(t, DefaultLimits, "talkative")
	var calls []*call
	for i := range 8 {
		calls = append(calls, s.call(bytes.Repeat([]byte{200 + byte(i)}, workerchannel.MaxPayloadBytes)))
	}
	for _, c := range calls {
		res := <-c.result
		require.NoError(t, res.err)
		require.True(t, bytes.Equal(c.payload, res.payload))
	}
	assert.Equal(t, 1, s.started())
}

func TestStopLetsTheJobsOfTheWorkerEnd(t *testing.T) {
	s := newStage(t, DefaultLimits, "gated")
	calls := s.calls(6)
	<-calls[0].begun
	s.Stop()
	s.Stop()
	late := s.calls(1)[0]
	s.gate.Close()
	requireHashes(t, calls[:4])
	for _, c := range append(calls[4:], late) {
		assert.Equal(t, result{nil, ErrStopped}, <-c.result)
	}
	require.NoError(t, <-s.ran)
	assert.Equal(t, []string{"exit status 0"}, s.exits())
	_, err := s.Do(t.Context(), nil, nil)
	assert.Equal(t, ErrStopped, err)
}

func TestStopDoesNotBreakOffACancel(t *testing.T) {
	s := newStage(t, DefaultLimits, "obedient")
	call := s.calls(1)[0]
	<-call.begun
	call.cancel()
	s.Stop()
	s.await(workerchannel.FinalizeCompleted{JobID: 1})
	assert.Equal(t, errCancelled, (<-call.result).err)
	require.NoError(t, <-s.ran)
	assert.Equal(t, []string{"exit status 0"}, s.exits())
}

// First its jobs are given up, then the worker.
func TestWorkerThatDoesNotStopIsKilledAtItsDeadline(t *testing.T) {
	limits := DefaultLimits
	limits.Stop, limits.Worker.Shutdown = 3, 2
	s := newStage(t, limits, "stuck")
	calls := s.calls(2)
	<-calls[0].begun
	s.Stop()
	for range 3 {
		s.tick()
	}
	s.await(workerchannel.ShutdownWorker{Reason: "the host stops"})
	s.await(stopsLater)
	s.tick()
	select {
	case err := <-s.ran:
		t.Fatal("the host ended before the deadline: ", err)
	case s.ticks <- time.Time{}:
	}
	for _, c := range calls {
		assert.Equal(t, result{nil, ErrStopped}, <-c.result)
	}
	require.NoError(t, <-s.ran)
	assert.Equal(t, []string{"signal: killed"}, s.exits())
}

func TestWorkerThatHasShutDownAndDoesNotExitIsKilled(t *testing.T) {
	limits := DefaultLimits
	limits.Worker.Shutdown = 2
	s := newStage(t, limits, "lingers")
	requireHashes(t, s.calls(1))
	s.Stop()
	s.await(workerchannel.ShutdownCompleted{})
	s.tick()
	select {
	case err := <-s.ran:
		t.Fatal("the host ended before the deadline: ", err)
	case s.ticks <- time.Time{}:
	}
	require.NoError(t, <-s.ran)
	assert.Equal(t, []string{"signal: killed"}, s.exits())
}

func TestJobThatKillsItsWorkersIsGivenUp(t *testing.T) {
	s := newStage(t, DefaultLimits, "moody")
	calls := []*call{s.call([]byte("die")), s.call([]byte("die"))}
	for range 10 {
		calls = append(calls, s.call([]byte("live")))
	}
	for _, c := range calls[:2] {
		assert.Equal(t, result{nil, ErrGivenUp}, <-c.result)
	}
	requireHashes(t, calls[2:])
	assert.GreaterOrEqual(t, s.started(), 2*DefaultLimits.Tries, "each was tried")
}

func TestJobThatEndsBadlyLetsTheWorkerLive(t *testing.T) {
	s := newStage(t, DefaultLimits, "moody")
	for payload, want := range map[string]workerchannel.Outcome{
		"panic": workerchannel.OutcomePanicked{Message: "the job panics\uFFFD"},
		"fail":  workerchannel.OutcomeErr{Code: "failed", Message: "the job fails"},
		"burst": workerchannel.OutcomeErr{Code: "too_large", Message: "the result has 262145 bytes"},
	} {
		var bad *OutcomeError
		require.ErrorAs(t, (<-s.call([]byte(payload)).result).err, &bad)
		assert.Equal(t, want, bad.Outcome)
	}
	requireHashes(t, []*call{s.call([]byte("live"))})
	assert.Equal(t, 1, s.started())

	_, err := s.Do(t.Context(), make([]byte, workerchannel.MaxPayloadBytes+1), nil)
	assert.ErrorIs(t, err, workerchannel.ErrPayloadTooLarge)
}

func TestHostGivesUpWhenNoWorkerBeginsAJob(t *testing.T) {
	s := newStage(t, DefaultLimits, "fails")
	calls := s.calls(3)
	for _, c := range calls {
		assert.Equal(t, result{nil, ErrNoWorker}, <-c.result)
	}
	assert.Equal(t, ErrNoWorker, <-s.ran)
	assert.Equal(t, DefaultLimits.Losses, s.started())
}

func TestHostGivesUpWhenTheWorkerCannotBeStarted(t *testing.T) {
	h := NewHost(Config{Limits: DefaultLimits, Command: func() *exec.Cmd { return exec.Command("/nowhere/worker.exe") }})
	var callErr error
	var wg sync.WaitGroup
	wg.Go(func() { _, callErr = h.Do(t.Context(), nil, nil) })
	err := h.Run(nil)
	wg.Wait()
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.Equal(t, err, callErr)
}
