package modeltest

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"pgregory.net/rapid"
)

// Properties in time: nobody waits forever, and nobody is suspected without a reason.

// drawShortLimits draws limits that are all set.
func drawShortLimits(t *rapid.T) wc.Limits {
	draw := func(label string) uint64 { return rapid.Uint64Range(1, 4).Draw(t, label) }
	return wc.Limits{Boot: draw("boot"), Cancel: draw("cancel"), Drain: draw("drain"), Finalize: draw("finalize"), Poll: draw("poll"), Shutdown: draw("shutdown")}
}

// TestWorkerThatAnswersAtOnceIsNeverOverdue keeps messages in the outbox for as long as it likes, but once the
// worker has one, the answer comes in the same turn.
func TestWorkerThatAnswersAtOnceIsNeverOverdue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newPairing(drawShortLimits(t))
		answer := func(t *rapid.T, l *pairing) {
			l.receiveByWorker(t, math.MaxInt)
			l.obey()
			if l.worker.ShutdownRequested() {
				_ = l.worker.CompleteShutdown() // for it may just have announced itself
			}
			l.send(t, math.MaxInt, l.worker.DrainOutbox, &l.toHost)
			l.receiveByHost(t, math.MaxInt)
		}
		begin := func(t *rapid.T, l *pairing) {
			if l.worker.Closed() {
				l.replaceWorker()
			}
			answer(t, l)
		}
		begin(t, l)
		prompt := linkCalls{
			"messages are taken and answered": func(t *rapid.T) linkCall {
				n := rapid.IntRange(1, 3).Draw(t, "messages")
				return func(t *rapid.T, l *pairing) {
					for range n {
						l.send(t, 1, l.host.DrainOutbox, &l.toWorker)
						answer(t, l)
					}
				}
			},
			"session ends, seldom": func(t *rapid.T) linkCall {
				how := rapid.IntRange(0, 40).Draw(t, "how")
				return func(t *rapid.T, l *pairing) {
					switch how {
					case 19:
						_ = l.host.RequestShutdown("why")
					case 20:
						_ = l.host.ShutdownWhenIdle("why")
					case 21:
						_ = l.worker.Fail("why")
					case 22:
						l.replaceWorker()
					}
					begin(t, l)
				}
			},
		}
		l.drawCalls(t, func(t *rapid.T) {
			late, ok := l.host.Overdue()
			require.False(t, ok, "%v in turn %d", late, l.host.Turn())
		}, callsOfHost, callsOfWorker, prompt)
	})
}

// TestShutdownWhenIdleLosesNothing has an honest worker end every job, by an outcome or by the whole cancel
// handshake, although the host wants to stop.
func TestShutdownWhenIdleLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newPairing(wc.Limits{})
		l.drawCalls(t, noCheck, callsOfHost, callsOfWorker, callsOfCarrier)
		l.untilQuiet(t, l.obey)
		require.NoError(t, l.host.ShutdownWhenIdle("why"))
		jobs := len(l.lives)
		l.drawCalls(t, noCheck, callsOfHost, callsOfWorker, callsOfCarrier)
		require.LessOrEqual(t, len(l.lives), jobs, "no job is taken any more")
		l.untilQuiet(t, l.work)
		require.True(t, l.worker.Closed())
		_, active := l.host.ActiveWorker()
		require.False(t, active)
		for j := range l.host.Jobs() {
			require.Equal(t, wc.StateCompleted, j.State)
		}
		l.reap(t)
		require.Empty(t, l.lives)
		require.Zero(t, l.failed)
	})
}

// TestClosedRegionBecomesQuiescent has a worker do no more than it is asked for: jobs of other regions go on, those
// of a closed region end. That the region gets no job is checked with every job that is spawned.
func TestClosedRegionBecomesQuiescent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newPairing(wc.Limits{})
		l.drawCalls(t, noCheck, callsOfHost, callsOfWorker, callsOfCarrier, callsThatEnd)
		l.untilQuiet(t, l.obey)
		for id, closed := range l.closed {
			r, ok := l.host.Region(id)
			require.Equal(t, closed, ok && r.Closed, "region %d", id)
			require.False(t, closed && r.Inflight > 0, "region %d", id)
		}
		l.reap(t)
		for id := range l.closed {
			r, _ := l.host.Region(id)
			require.False(t, r.Closed, "a region is forgotten with its last job")
		}
	})
}

// A watch is a host that has set all limits and reports a late worker lost, with any worker. It counts the turns
// that each thing under a limit has left.
type watch struct {
	*pairing
	limits           wc.Limits
	liar             bool             // the worker sends whatever it likes
	seq              uint64           // of the last message that it made up
	taken            uint64           // number of the last message taken from the outbox
	boot, poll, stop uint64           // turns left; 0 if nothing is under that limit
	handshakes       map[*life]uint64 // turns left for each job that was cancelled
	polled           map[uint64]*life // by the sequence number of the poll
}

// TestBoundedResponse has the worker do anything, or nothing: every job that was cancelled and every session that is
// stopping ends within the sum of its limits, not counting the turns that its message waits in the outbox.
func TestBoundedResponse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := drawShortLimits(t)
		limits.Boot += 4 // so that there are more sessions to watch
		w := &watch{pairing: newPairing(limits), limits: limits, handshakes: map[*life]uint64{}, polled: map[uint64]*life{}}
		w.liar = rapid.Bool().Draw(t, "liar")
		w.boot = limits.Boot
		plainly := func(call func(*rapid.T)) func(*rapid.T) linkCall {
			return func(*rapid.T) linkCall { return func(t *rapid.T, _ *pairing) { call(t) } }
		}
		w.drawCalls(t, w.note, callsOfHost, linkCalls{
			"turns":          plainly(w.turn),
			"host polls":     plainly(func(*rapid.T) {}), // which begin does, but seldom
			"host sends":     plainly(w.take),
			"worker acts":    plainly(w.act),
			"worker goes on": plainly(w.act),
			"host acts":      plainly(w.begin),
		})
		most := limits.Cancel + limits.Drain + limits.Finalize + limits.Shutdown
		for range most {
			for w.host.OutboxLen() > 0 {
				w.take(t)
			}
			w.note(t)
			w.turn(t)
			w.note(t)
		}
		for j := range w.host.Jobs() {
			require.True(t, j.State.Terminal() || j.State == wc.StateQueued || j.State == wc.StateRunning, "job %d is %v", j.JobID, j.State)
		}
		require.Zero(t, w.stop)
	})
}

// begin polls or stops the worker, seldom, or begins with the next when the session has ended.
func (w *watch) begin(t *rapid.T) {
	switch rapid.IntRange(0, 25).Draw(t, "how") {
	case 14:
		_ = w.host.RequestShutdown("why")
	case 15:
		_ = w.host.ShutdownWhenIdle("why")
	case 16, 17:
		if id := linkJobs.Draw(t, "job id"); w.host.PollStatus(id) == nil {
			j, _ := w.host.Job(id)
			w.polled[j.LastSeqNo] = w.lives[id]
		}
	}
	if _, active := w.host.ActiveWorker(); !active && w.boot == 0 {
		w.replace()
	}
}

// replace has another worker come, from which nothing is wanted but its bootstrap.
func (w *watch) replace() {
	w.replaceWorker()
	w.seq, w.boot, w.poll, w.stop = 0, w.limits.Boot, 0, 0
	clear(w.handshakes)
}

// note notices what has just come under a limit and what has ended.
func (w *watch) note(t *rapid.T) {
	for id, job := range w.lives {
		j, _ := w.host.Job(id)
		_, noted := w.handshakes[job]
		switch {
		case j.State.Terminal():
			delete(w.handshakes, job)
		case j.State >= wc.StateCancelRequested && !noted:
			w.handshakes[job] = w.limits.Cancel + w.limits.Drain + w.limits.Finalize
		}
	}
	switch stopping := w.host.ShutdownRequested(); {
	case !stopping:
		w.stop = 0
	case w.stop == 0: // which freezes the handshakes
		w.stop, w.poll = w.limits.Shutdown, 0
		for job := range w.handshakes {
			w.handshakes[job] += w.limits.Shutdown
		}
	}
	if _, active := w.host.ActiveWorker(); active {
		w.boot = 0
	} else {
		w.poll = 0
	}
	require.False(t, w.host.Closing() && w.host.InflightCount() == 0, "a shutdown when idle waits for nothing else")
}

// take takes messages from the outbox, and gives them to the worker unless it is one that makes up its own.
func (w *watch) take(t *rapid.T) {
	for range fewMessages.Draw(t, "messages") {
		env, ok := w.host.DrainOutbox()
		if !ok {
			return
		}
		w.taken = env.SeqNo
		if op, ok := env.Op.(wc.PollStatus); ok && w.poll == 0 {
			state, _ := w.host.JobState(op.JobID)
			if w.polled[env.SeqNo] == w.lives[op.JobID] && !state.Terminal() {
				w.poll = w.limits.Poll
			}
		}
		if !w.liar {
			require.NoError(t, w.worker.HandleInbound(&env))
		}
	}
}

// act has the worker do something, mostly wrong or late.
func (w *watch) act(t *rapid.T) {
	if w.host.ShutdownRequested() && rapid.Bool().Draw(t, "ignores the shutdown") {
		return
	}
	id := linkJobs.Draw(t, "job id")
	for cancelled := range w.host.Jobs() { // of which there is more to tell
		if cancelled.State >= wc.StateCancelRequested && !cancelled.State.Terminal() && rapid.Bool().Draw(t, "about this job") {
			id = cancelled.JobID
			break
		}
	}
	var env wc.Envelope
	switch begins := !w.host.WorkerReady() && rapid.Bool().Draw(t, "begins"); {
	case w.liar && begins:
		w.seq++
		env = wc.NewWorkerEnvelope(w.worker.ID(), wc.Header{SeqNo: w.seq}, wc.BootstrapReady{WorkerID: w.worker.ID()})
	case begins:
		_ = w.worker.Announce()
		env, _ = w.worker.DrainOutbox()
	case w.liar:
		w.seq++
		op := rapid.SampledFrom([]wc.Op{
			wc.BootstrapReady{WorkerID: w.worker.ID()}, wc.StatusSnapshot{JobID: id, State: wc.StateRunning},
			wc.JobCompleted{JobID: id, Outcome: wc.OutcomeOk{Payload: []byte{}}},
			wc.CancelAcknowledged{JobID: id}, wc.DrainCompleted{JobID: id}, wc.FinalizeCompleted{JobID: id},
			wc.DrainCompleted{JobID: id}, wc.Diagnostic{}, wc.ShutdownCompleted{},
		}).Draw(t, "op")
		env = wc.NewWorkerEnvelope(w.worker.ID(), wc.Header{SeqNo: w.seq}, op)
	default:
		_ = rapid.SampledFrom([]func() error{
			func() error { return w.worker.Start(id) }, func() error { return w.complete(id, wc.OutcomeOk{Payload: []byte{}}) },
			func() error { return w.answer(id) }, func() error { return w.answer(id) }, func() error { return w.answer(id) }, w.worker.CompleteShutdown,
		}).Draw(t, "call")()
		env, _ = w.worker.DrainOutbox()
	}
	if env.Op == nil {
		return
	}
	err := w.host.HandleInbound(&env)
	if !wc.IsStray(err) {
		w.poll = 0 // even if the message does not fit its job
	}
	if err != nil {
		return
	}
	switch op := env.Op.(type) {
	case wc.JobCompleted:
		w.lives[op.JobID].said = op.Outcome
	case wc.ShutdownCompleted:
		w.sessionEnds(wc.CauseShutdown)
	}
}

// turn begins the next turn. What waits in the outbox takes no time from the worker.
func (w *watch) turn(t *rapid.T) {
	waits := map[*life]bool{}
	for id, job := range w.lives { // of a job that is cancelled, the last message is that of its phase
		j, _ := w.host.Job(id)
		waits[job] = j.LastSeqNo > w.taken
	}
	stopWaits := w.host.ShutdownRequested() && w.host.OutboxLen() > 0 // nothing else waits then
	pass := func(left uint64) uint64 { return left - min(left, 1) }
	for job, left := range w.handshakes {
		if !waits[job] && !stopWaits {
			w.handshakes[job] = pass(left)
		}
	}
	booting, polling, stopping := w.boot > 0, w.poll > 0, w.stop > 0
	w.boot, w.poll = pass(w.boot), pass(w.poll)
	if !stopWaits {
		w.stop = pass(w.stop)
	}

	w.host.AdvanceTurn()
	if _, late := w.host.Overdue(); late {
		w.replace()
		require.Zero(t, w.host.InflightCount())
		return
	}
	for _, left := range w.handshakes {
		require.NotZero(t, left, "a cancelled job ends, or the host is told")
	}
	require.False(t, booting && w.boot == 0, "a worker comes, or the host is told")
	require.False(t, polling && w.poll == 0, "a poll is answered, or the host is told")
	require.False(t, stopping && w.stop == 0, "a session that is stopping ends, or the host is told")
}
