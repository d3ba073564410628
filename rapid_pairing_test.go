package workerchannel

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A pairing joins a coordinator and a worker by ordered lossless channels of bytes, and keeps account of every
// job that the host has spawned.
type pairing struct {
	host             *Coordinator
	worker           *Worker
	toHost, toWorker [][]byte
	sent             []string
	workers          int              // how many there have been
	endings          map[int]EndCause // how the session of each ended
	lives            map[uint64]*life // the jobs that the host has not yet been given back
	closed           map[uint64]bool  // the regions that were closed and still have such a job
	failed           int              // jobs given back that have failed
}

// A life is what happened to one job. It is the job's tag.
type life struct {
	session int
	region  uint64
	said    Outcome // what the worker completed it with
	reason  string  // of its cancel
	ended   bool    // the host has been given it back
}

func newPairing(limits Limits) *pairing {
	l := &pairing{host: NewCoordinator(7, WithLimits(limits)), endings: map[int]EndCause{}, lives: map[uint64]*life{}, closed: map[uint64]bool{}}
	l.startWorker()
	return l
}

// startWorker gives the host another worker with channels of its own.
func (l *pairing) startWorker() {
	l.workers++
	l.worker = NewWorker(fmt.Sprint("worker ", l.workers), 7)
	l.toHost, l.toWorker = nil, nil
	l.host.ExpectWorker()
}

// replaceWorker has the worker die, and another come.
func (l *pairing) replaceWorker() {
	l.sessionEnds(CauseWorkerLost)
	if id, ok := l.host.ActiveWorker(); ok && l.workers%2 == 0 {
		l.host.RetireWorker(id)
	} else {
		l.host.WorkerLost()
	}
	l.startWorker()
}

// takeOver has another worker announce itself before the host has noticed the death of the first.
func (l *pairing) takeOver(t *rapid.T) {
	l.sessionEnds(CauseReplaced)
	l.startWorker()
	require.NoError(t, l.worker.Announce())
	l.send(t, 1, l.worker.DrainOutbox, &l.toHost)
	l.receiveByHost(t, 1)
}

// sessionEnds notes how the session of the present worker ends.
func (l *pairing) sessionEnds(cause EndCause) {
	if l.endings[l.workers] == CauseNone {
		l.endings[l.workers] = cause
	}
}

func (l *pairing) spawn(t *rapid.T, spawn SpawnJob) error {
	job := &life{session: l.workers, region: spawn.RegionID}
	err := l.host.SpawnTagged(spawn, job)
	if err == nil {
		require.NotContains(t, l.lives, spawn.JobID, "an id is used again only when its job has been given back")
		require.False(t, l.closed[spawn.RegionID], "a closed region gets no job")
		l.lives[spawn.JobID] = job
	}
	return err
}

func (l *pairing) cancel(jobID uint64, reason string) {
	if l.host.CancelJob(jobID, reason) == nil {
		l.lives[jobID].reason = reason
	}
}

// closeRegion closes a region and notes which of its jobs that cancels.
func (l *pairing) closeRegion(t *rapid.T, regionID uint64, reason string) {
	cancelled := 0
	for j := range l.host.Jobs() {
		if j.RegionID == regionID && (j.State == StateQueued || j.State == StateRunning) {
			l.lives[j.JobID].reason = reason
			cancelled++
		}
	}
	switch n, err := l.host.CloseRegion(regionID, reason); err {
	case nil:
		require.Equal(t, cancelled, n)
		l.closed[regionID] = true
	default:
		require.True(t, l.host.ShutdownRequested() || !l.lived(regionID), "%v", err)
	}
}

// lived reports whether the host has not been given back all jobs of a region.
func (l *pairing) lived(regionID uint64) bool {
	for _, job := range l.lives {
		if job.region == regionID {
			return true
		}
	}
	return false
}

func (l *pairing) complete(jobID uint64, outcome Outcome) error {
	err := l.worker.Complete(jobID, outcome)
	if err == nil {
		l.lives[jobID].said = outcome
	}
	return err
}

// settle takes a job that the host has been given back, and checks that its end fits all that happened to it.
func (l *pairing) settle(t *rapid.T, j TrackedJob) {
	job := j.Tag.(*life)
	require.False(t, job.ended, "a job is given back once")
	require.Same(t, l.lives[j.JobID], job)
	job.ended = true
	delete(l.lives, j.JobID)
	l.closed[job.region] = l.closed[job.region] && l.lived(job.region)

	switch j.Cause {
	case CauseOutcome:
		require.Equal(t, StateCompleted, j.State)
		require.Equal(t, job.said, j.Outcome)
		require.NotNil(t, j.Outcome)
	case CauseCancelled:
		require.Equal(t, StateCompleted, j.State)
		require.Equal(t, OutcomeCancelled{job.reason}, j.Outcome)
		require.Nil(t, job.said)
	default:
		l.failed++
		require.Equal(t, StateFailed, j.State)
		require.Nil(t, j.Outcome)
		require.Equal(t, l.endings[job.session], j.Cause)
		if j.Cause == CauseShutdown || j.Cause == CauseBootstrapFailed {
			require.Nil(t, job.said, "an outcome that came before the worker's last message counts")
		}
	}
}

func (l *pairing) reap(t *rapid.T) {
	for _, j := range l.host.Reap() {
		l.settle(t, j)
	}
}

// send takes up to n messages from an outbox to its channel.
func (l *pairing) send(t *rapid.T, n int, drain func() (Envelope, bool), channel *[][]byte) {
	for range n {
		env, ok := drain()
		if !ok {
			return
		}
		text, err := env.AppendJSON(nil)
		require.NoError(t, err)
		*channel = append(*channel, text)
		l.sent = append(l.sent, string(text))
	}
}

func (l *pairing) receiveByHost(t *rapid.T, n int) {
	for range min(n, len(l.toHost)) {
		env, err := l.host.Receive(l.toHost[0])
		switch env.Op.(type) {
		case BootstrapFailed:
			require.ErrorIs(t, err, ErrBootstrapFailed)
			l.sessionEnds(CauseBootstrapFailed)
			err = nil
		case ShutdownCompleted:
			l.sessionEnds(CauseShutdown)
		}
		require.NoError(t, err, "%s", l.toHost[0])
		l.toHost = l.toHost[1:]
	}
}

func (l *pairing) receiveByWorker(t *rapid.T, n int) {
	for range min(n, len(l.toWorker)) {
		_, err := l.worker.Receive(l.toWorker[0])
		require.NoError(t, err, "%s", l.toWorker[0])
		l.toWorker = l.toWorker[1:]
	}
}

// answer answers whatever phase of its cancellation a job is in.
func (l *pairing) answer(jobID uint64) error {
	switch state, _ := l.worker.JobState(jobID); state {
	case StateDraining:
		return l.worker.CompleteDrain(jobID)
	case StateFinalizing:
		return l.worker.CompleteFinalize(jobID)
	default:
		return l.worker.AcknowledgeCancel(jobID)
	}
}

// carry takes everything that waits to where it belongs, and reports whether there was anything.
func (l *pairing) carry(t *rapid.T) bool {
	l.send(t, math.MaxInt, l.host.DrainOutbox, &l.toWorker)
	l.send(t, math.MaxInt, l.worker.DrainOutbox, &l.toHost)
	something := len(l.toWorker)+len(l.toHost) > 0
	l.receiveByWorker(t, math.MaxInt)
	l.receiveByHost(t, math.MaxInt)
	return something
}

// obey does what the host has asked the worker for, and reports whether there was anything.
func (l *pairing) obey() bool {
	switch {
	case l.worker.Closed():
		return false
	case !l.worker.Ready():
		return l.worker.Announce() == nil
	case l.worker.ShutdownRequested():
		return l.worker.CompleteShutdown() == nil
	}
	answered := false
	for j := range l.worker.Jobs() {
		answered = l.answer(j.JobID) == nil || answered
	}
	return answered
}

// work is the part of the worker: what it is asked for, and its jobs.
func (l *pairing) work() bool {
	worked := l.obey()
	for j := range l.worker.Jobs() {
		worked = l.worker.Start(j.JobID) == nil || l.complete(j.JobID, OutcomeOk{[]byte{}}) == nil || worked
	}
	return worked
}

// untilQuiet carries all messages and lets the worker do its part until nothing happens any more.
func (l *pairing) untilQuiet(t *rapid.T, part func() bool) {
	for rounds := 0; l.carry(t) || part(); rounds++ {
		require.Less(t, rounds, 100, "it must come to an end")
	}
}

// A linkCall is one call of either application or of the transport between them. That the call is
// refused is nobody's fault; that a message is, would be.
type linkCall func(t *rapid.T, l *pairing)

// linkCalls draw the arguments of calls.
type linkCalls map[string]func(t *rapid.T) linkCall

var (
	linkJobs    = rapid.Uint64Range(1, 12)
	linkRegions = rapid.Uint64Range(1, 3)
	fewMessages = rapid.IntRange(1, 6)
)

// callsOfHost are the calls of the host that do not end a session.
var callsOfHost = linkCalls{
	"host spawns": func(t *rapid.T) linkCall {
		ids, region, payload := rapid.SliceOfN(linkJobs, 1, 4).Draw(t, "job ids"), linkRegions.Draw(t, "region"), fewPayloads.Draw(t, "payload")
		return func(t *rapid.T, l *pairing) {
			for _, id := range ids {
				_ = l.spawn(t, SpawnJob{JobID: id, RegionID: region, Payload: payload})
			}
		}
	},
	"host cancels": func(t *rapid.T) linkCall {
		id, reason := linkJobs.Draw(t, "job id"), anyText.Draw(t, "reason")
		return func(_ *rapid.T, l *pairing) { l.cancel(id, reason) }
	},
	"host closes a region": func(t *rapid.T) linkCall {
		id, seldom := linkRegions.Draw(t, "region"), rapid.IntRange(0, 3).Draw(t, "seldom")
		return func(t *rapid.T, l *pairing) {
			if seldom == 1 {
				l.closeRegion(t, id, "closed")
			}
		}
	},
	"host polls": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.host.PollStatus(id) }
	},
	"host removes": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(t *rapid.T, l *pairing) {
			j, _ := l.host.Job(id)
			if state, err := l.host.RemoveJob(id); err == nil {
				require.Equal(t, j.State, state)
				l.settle(t, j)
			}
		}
	},
	"host reaps": func(t *rapid.T) linkCall {
		return func(t *rapid.T, l *pairing) { l.reap(t) }
	},
	"turns": func(t *rapid.T) linkCall {
		return func(_ *rapid.T, l *pairing) { l.host.AdvanceTurn(); l.worker.AdvanceTurn() }
	},
}

// callsOfWorker are the calls of the worker's application that do not end a session.
var callsOfWorker = linkCalls{
	"worker announces": func(t *rapid.T) linkCall {
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Announce() }
	},
	"worker starts": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Start(id) }
	},
	"worker reports": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Report(id, "half") }
	},
	"worker completes": func(t *rapid.T) linkCall {
		id, outcome := linkJobs.Draw(t, "job id"), drawOutcome(t, smallPayload)
		return func(_ *rapid.T, l *pairing) { _ = l.complete(id, outcome) }
	},
	"worker answers": func(t *rapid.T) linkCall {
		id := linkJobs.Draw(t, "job id")
		return func(_ *rapid.T, l *pairing) { _ = l.answer(id) }
	},
	"worker diagnoses": func(t *rapid.T) linkCall {
		message := anyText.Draw(t, "message")
		return func(_ *rapid.T, l *pairing) { _ = l.worker.Diagnose(Diagnostic{Message: message}) }
	},
}

// callsOfCarrier are those of the transport.
var callsOfCarrier = linkCalls{
	"host sends": func(t *rapid.T) linkCall {
		n := fewMessages.Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.send(t, n, l.host.DrainOutbox, &l.toWorker) }
	},
	"worker sends": func(t *rapid.T) linkCall {
		n := fewMessages.Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.send(t, n, l.worker.DrainOutbox, &l.toHost) }
	},
	"host receives": func(t *rapid.T) linkCall {
		n := fewMessages.Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.receiveByHost(t, n) }
	},
	"worker receives": func(t *rapid.T) linkCall {
		n := fewMessages.Draw(t, "messages")
		return func(t *rapid.T, l *pairing) { l.receiveByWorker(t, n) }
	},
	"all is carried and obeyed": func(t *rapid.T) linkCall {
		return func(t *rapid.T, l *pairing) { l.carry(t); l.obey() }
	},
}

// callsThatEnd end a session, seldom, or begin the next.
var callsThatEnd = linkCalls{
	"session ends, seldom": func(t *rapid.T) linkCall {
		switch rapid.IntRange(0, 30).Draw(t, "how") {
		case 15:
			return func(t *rapid.T, l *pairing) { l.takeOver(t) }
		case 16:
			return func(_ *rapid.T, l *pairing) { l.replaceWorker() }
		case 17:
			return func(_ *rapid.T, l *pairing) { _ = l.host.RequestShutdown("why") }
		case 18:
			return func(_ *rapid.T, l *pairing) { _ = l.host.ShutdownWhenIdle("why") }
		case 19:
			return func(_ *rapid.T, l *pairing) { _ = l.worker.Fail("why") }
		case 20:
			return func(_ *rapid.T, l *pairing) { _ = l.worker.CompleteShutdown() }
		}
		return func(t *rapid.T, l *pairing) { l.carry(t) }
	},
	"worker is replaced once it is closed": func(t *rapid.T) linkCall {
		return func(_ *rapid.T, l *pairing) {
			if l.worker.Closed() {
				l.replaceWorker()
			}
		}
	},
}

// drawCalls makes calls of several kinds in any order, checks after each, and returns them.
func (l *pairing) drawCalls(t *rapid.T, check func(*rapid.T), kinds ...linkCalls) (made []linkCall) {
	calls := map[string]func(*rapid.T){"": check}
	for _, kind := range kinds {
		for name, draw := range maps.All(kind) {
			calls[name] = func(t *rapid.T) {
				call := draw(t)
				call(t, l)
				made = append(made, call)
			}
		}
	}
	for range 20 {
		t.Repeat(calls)
	}
	return made
}

func noCheck(*rapid.T) {}

func TestNeitherSideRefusesTheOtherAndEveryJobEndsExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newPairing(Limits{})
		l.drawCalls(t, noCheck, callsOfHost, callsOfWorker, callsOfCarrier, callsThatEnd)
		l.untilQuiet(t, l.work)
		require.Zero(t, l.host.InflightCount())
		require.Zero(t, l.worker.InflightCount())
		l.reap(t)
		require.Empty(t, l.lives, "every job is given back")
		require.Empty(t, collect(l.host.Regions()))
	})
}

func TestSameCallsGiveSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := drawLimits(t)
		first, second := newPairing(limits), newPairing(limits)
		for _, call := range first.drawCalls(t, noCheck, callsOfHost, callsOfWorker, callsOfCarrier, callsThatEnd) {
			call(t, second)
		}
		require.Equal(t, first.sent, second.sent)
		require.True(t, reflect.DeepEqual(first, second))
	})
}
