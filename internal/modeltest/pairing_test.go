package modeltest

import (
	"fmt"
	"math"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"pgregory.net/rapid"
)

// A pairing joins a coordinator and a worker by ordered lossless channels of bytes, and keeps account of every
// job that the host has spawned.
type pairing struct {
	host             *wc.Coordinator
	worker           *wc.Worker
	toHost, toWorker [][]byte
	sent             []string
	workers          int                 // how many there have been
	endings          map[int]wc.EndCause // how the session of each ended
	lives            map[uint64]*life    // the jobs that the host has not yet been given back
	closed           map[uint64]bool     // the regions that were closed and still have such a job
	failed           int                 // jobs given back that have failed
}

// A life is what happened to one job. It is the job's tag.
type life struct {
	session int
	region  uint64
	said    wc.Outcome // what the worker completed it with
	reason  string     // of its cancel
	ended   bool       // the host has been given it back
}

func newPairing(limits wc.Limits) *pairing {
	l := &pairing{host: wc.NewCoordinator(7, wc.WithLimits(limits)), endings: map[int]wc.EndCause{}, lives: map[uint64]*life{}, closed: map[uint64]bool{}}
	l.startWorker()
	return l
}

// startWorker gives the host another worker with channels of its own.
func (l *pairing) startWorker() {
	l.workers++
	l.worker = wc.NewWorker(fmt.Sprint("worker ", l.workers), 7)
	l.toHost, l.toWorker = nil, nil
	l.host.ExpectWorker()
}

// replaceWorker has the worker die, and another come.
func (l *pairing) replaceWorker() {
	l.sessionEnds(wc.CauseWorkerLost)
	if id, ok := l.host.ActiveWorker(); ok && l.workers%2 == 0 {
		l.host.RetireWorker(id)
	} else {
		l.host.WorkerLost()
	}
	l.startWorker()
}

// takeOver has another worker announce itself before the host has noticed the death of the first.
func (l *pairing) takeOver(t *rapid.T) {
	l.sessionEnds(wc.CauseReplaced)
	l.startWorker()
	require.NoError(t, l.worker.Announce())
	l.send(t, 1, l.worker.DrainOutbox, &l.toHost)
	l.receiveByHost(t, 1)
}

// sessionEnds notes how the session of the present worker ends.
func (l *pairing) sessionEnds(cause wc.EndCause) {
	if l.endings[l.workers] == wc.CauseNone {
		l.endings[l.workers] = cause
	}
}

func (l *pairing) spawn(t *rapid.T, spawn wc.SpawnJob) error {
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
		if j.RegionID == regionID && (j.State == wc.StateQueued || j.State == wc.StateRunning) {
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

func (l *pairing) complete(jobID uint64, outcome wc.Outcome) error {
	err := l.worker.Complete(jobID, outcome)
	if err == nil {
		l.lives[jobID].said = outcome
	}
	return err
}

// settle takes a job that the host has been given back, and checks that its end fits all that happened to it.
func (l *pairing) settle(t *rapid.T, j wc.TrackedJob) {
	job := j.Tag.(*life)
	require.False(t, job.ended, "a job is given back once")
	require.Same(t, l.lives[j.JobID], job)
	job.ended = true
	delete(l.lives, j.JobID)
	l.closed[job.region] = l.closed[job.region] && l.lived(job.region)

	switch j.Cause {
	case wc.CauseOutcome:
		require.Equal(t, wc.StateCompleted, j.State)
		require.Equal(t, job.said, j.Outcome)
		require.NotNil(t, j.Outcome)
	case wc.CauseCancelled:
		require.Equal(t, wc.StateCompleted, j.State)
		require.Equal(t, wc.OutcomeCancelled{Reason: job.reason}, j.Outcome)
		require.Nil(t, job.said)
	default:
		l.failed++
		require.Equal(t, wc.StateFailed, j.State)
		require.Nil(t, j.Outcome)
		require.Equal(t, l.endings[job.session], j.Cause)
		if j.Cause == wc.CauseShutdown || j.Cause == wc.CauseBootstrapFailed {
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
func (l *pairing) send(t *rapid.T, n int, drain func() (wc.Envelope, bool), channel *[][]byte) {
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
		case wc.BootstrapFailed:
			require.ErrorIs(t, err, wc.ErrBootstrapFailed)
			l.sessionEnds(wc.CauseBootstrapFailed)
			err = nil
		case wc.ShutdownCompleted:
			l.sessionEnds(wc.CauseShutdown)
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
	case wc.StateDraining:
		return l.worker.CompleteDrain(jobID)
	case wc.StateFinalizing:
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
		worked = l.worker.Start(j.JobID) == nil || l.complete(j.JobID, wc.OutcomeOk{Payload: []byte{}}) == nil || worked
	}
	return worked
}

// untilQuiet carries all messages and lets the worker do its part until nothing happens any more.
func (l *pairing) untilQuiet(t *rapid.T, part func() bool) {
	for rounds := 0; l.carry(t) || part(); rounds++ {
		require.Less(t, rounds, 100, "it must come to an end")
	}
}
