package driver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// saying adds a worker that says its capacity.
func saying(s *scheduler, capacity int) *slot {
	w := s.joinStaff()
	s.workerReady(w)
	s.workerCapacity(w, capacity)
	return w
}

// obeyed takes the orders for a worker, and returns their kinds.
func (s *scheduler) obeyed(w *slot) (kinds []orderKind) {
	for _, o := range s.takeOrders(w) {
		kinds = append(kinds, o.kind)
		if o.kind == orderSpawn {
			s.callGiven(w, o.call)
		}
	}
	return kinds
}

// behindALongCall returns a worker with one handler that runs a call, and another call that waits there.
func behindALongCall(t *testing.T) (s *scheduler, w *slot, runs, waits *call) {
	s = newScheduler(rules{})
	w = saying(s, 1)
	runs, waits = submitted(t, s), submitted(t, s)
	require.Equal(t, []orderKind{orderSpawn, orderSpawn}, s.obeyed(w))
	s.callBegun(w, runs)
	return s, w, runs, waits
}

func TestSchedulerGivesWhatAWorkerCanRunAndALead(t *testing.T) {
	for name, test := range map[string]struct {
		rules    rules
		ran      time.Duration
		capacity int
		want     int
	}{
		"long calls":                    {rules{}, time.Second, 4, 5},
		"short calls":                   {rules{}, 100 * time.Microsecond, 4, 13},
		"very short calls":              {rules{}, time.Microsecond, 4, 36},
		"one try":                       {rules{tries: 1}, time.Microsecond, 4, 4},
		"window that leaves a lead":     {rules{window: 10}, time.Microsecond, 4, 10},
		"window that leaves none":       {rules{window: 3}, time.Microsecond, 4, 3},
		"more than a worker can have":   {rules{}, time.Second, 1 << 30, maxCapacity + 1},
		"nothing":                       {rules{}, time.Second, 0, 0},
		"nothing, so window is no help": {rules{window: 5}, time.Second, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(test.rules)
			for range 100 {
				s.pace.add(test.ran)
			}
			w := saying(s, test.capacity)
			for range 2 * maxCapacity {
				submitted(t, s)
			}
			assert.Len(t, w.calls, test.want)
			assert.Equal(t, 2*maxCapacity-test.want, s.backlog.len)
		})
	}
}

func TestSchedulerGivesAWorkerThatSaysNothingTheWindow(t *testing.T) {
	for window, want := range map[int]int{0: 1, 5: 5} {
		s := newScheduler(rules{window: window})
		w := readySlot(s)
		for range 10 {
			submitted(t, s)
		}
		assert.Len(t, w.calls, want)
	}
}

func TestSchedulerLeadShrinksWhenCallsGetLong(t *testing.T) {
	var p pace
	for range 100 {
		p.add(time.Microsecond)
	}
	require.Equal(t, maxLead, p.lead())
	p.add(time.Second)
	assert.Equal(t, 1, p.lead())
}

func TestSchedulerTakesBackWhatWaitsWhenAnotherWorkerGetsReady(t *testing.T) {
	s, w, runs, waits := behindALongCall(t)
	other := saying(s, 1)
	assert.Equal(t, []orderKind{orderReturn}, s.obeyed(w))
	later := submitted(t, s)
	assert.Nil(t, later.slot, "the handler is reserved")
	s.callAcknowledged(w, waits)
	assert.Equal(t, other, waits.slot, "before the handshake is over")
	assert.Equal(t, w, runs.slot)
	s.callEnded(w, waits, 0, wc.CauseCancelled, wc.OutcomeCancelled{})
	assert.False(t, waits.settled, "that was the end of the handshake")
	s.callEnded(other, waits, 0, wc.CauseOutcome, wc.OutcomeOk{})
	assert.NoError(t, waits.result.err)
	assert.Equal(t, uint64(1), s.counts.Succeeded)
}

func TestSchedulerTakesBackWhatHasNotBeenOrderedAtOnce(t *testing.T) {
	s := newScheduler(rules{})
	w := saying(s, 1)
	submitted(t, s)
	waits := submitted(t, s)
	other := saying(s, 1)
	assert.Equal(t, other, waits.slot)
	assert.Equal(t, []orderKind{orderSpawn}, s.obeyed(w))
	assert.Equal(t, []orderKind{orderSpawn}, s.obeyed(other))
}

func TestSchedulerRunsACallAgainThatHadBegunWhenItWasTakenBack(t *testing.T) {
	s, w, _, waits := behindALongCall(t)
	other := saying(s, 1)
	s.obeyed(w)
	s.callBegun(w, waits)
	assert.Zero(t, other.reserved, "nobody knows when it comes")
	s.callAcknowledged(w, waits)
	assert.Equal(t, w, waits.slot, "until its handler has returned")
	s.callEnded(w, waits, 0, wc.CauseCancelled, wc.OutcomeCancelled{})
	assert.Equal(t, other, waits.slot)
	assert.Zero(t, waits.charged)
}

func TestSchedulerKeepsTheOutcomeThatCrossesWhatTakesACallBack(t *testing.T) {
	s, w, _, waits := behindALongCall(t)
	other := saying(s, 1)
	s.obeyed(w)
	s.callEnded(w, waits, 0, wc.CauseOutcome, wc.OutcomeOk{Payload: []byte("done")})
	assert.Equal(t, result{payload: []byte("done")}, waits.result)
	assert.Equal(t, other, submitted(t, s).slot, "the handler is free again")
}

func TestSchedulerCancelsACallThatIsBeingTakenBack(t *testing.T) {
	s, w, _, waits := behindALongCall(t)
	other := saying(s, 1)
	s.obeyed(w)
	s.cancelCall(waits, errTest, "enough")
	s.callAcknowledged(w, waits)
	s.callEnded(w, waits, 0, wc.CauseCancelled, wc.OutcomeCancelled{})
	assert.Equal(t, &CancelError{Cause: errTest}, waits.result.err)
	assert.Equal(t, other, submitted(t, s).slot)
}

func TestSchedulerDoesNotTakeBackACallThatHasBegunMeanwhile(t *testing.T) {
	s, w, _, waits := behindALongCall(t)
	other := saying(s, 1)
	s.callBegun(w, waits)
	assert.Empty(t, s.obeyed(w), "the order is void")
	assert.Equal(t, other, submitted(t, s).slot)
}

func TestSchedulerGivesNoWorkerACallThatItStillLetsGoOf(t *testing.T) {
	s, w, runs, waits := behindALongCall(t)
	other := saying(s, 1)
	s.obeyed(w)
	s.callAcknowledged(w, waits)
	s.callGiven(other, waits)
	s.workerLeft(other, endedInOrder, errLeft)
	assert.Nil(t, waits.slot, "w has its id in use")
	s.callEnded(w, runs, 0, wc.CauseOutcome, wc.OutcomeOk{})
	assert.Nil(t, waits.slot)
	s.callEnded(w, waits, 0, wc.CauseCancelled, wc.OutcomeCancelled{})
	assert.Equal(t, w, waits.slot)
}

func TestSchedulerTakesBackWhatALeavingWorkerHasNotBegun(t *testing.T) {
	s, w, runs, waits := behindALongCall(t)
	s.workerCapacity(w, 0)
	assert.Equal(t, []orderKind{orderReturn}, s.obeyed(w), "though no worker is free")
	s.callAcknowledged(w, waits)
	assert.Nil(t, waits.slot)
	assert.Equal(t, w, runs.slot)
	assert.Equal(t, waits, saying(s, 1).unbegun.first.of)
}

func TestSchedulerTakesBackWhatWaitsBehindALongCallWhileOthersEnd(t *testing.T) {
	s, w, _, waits := behindALongCall(t)
	for range 20 { // so that other always has calls
		submitted(t, s)
	}
	other := saying(s, 1)
	require.Empty(t, s.obeyed(w))
	n := 0
	for ; waits.slot == w && n < 10; n++ {
		s.obeyed(other)
		s.callEnded(other, other.unbegun.first.of, time.Second, wc.CauseOutcome, wc.OutcomeOk{})
		if len(s.obeyed(w)) > 0 {
			s.callAcknowledged(w, waits)
		}
	}
	assert.Equal(t, 2, n, "when others have ended a call for each handler")
	assert.True(t, w.stuck)
	assert.Len(t, w.calls, 1, "no others wait there instead")
}

func TestSchedulerDoesNotKeepAHandlerForAWorkerThatDoesNotAnswer(t *testing.T) {
	s, w, _, waits := behindALongCall(t)
	other := saying(s, 1)
	require.Equal(t, []*call{waits}, s.takeEffects().taken)
	later := submitted(t, s)
	require.Nil(t, later.slot)
	s.unreserve(waits, waits.attempt-1)
	require.Nil(t, later.slot, "that was another time")
	s.unreserve(waits, waits.attempt)
	assert.Equal(t, other, later.slot)
	s.obeyed(w)
	s.callAcknowledged(w, waits)
	assert.Equal(t, other, waits.slot, "there it is the next")
	assert.Len(t, other.calls, 2)
}

func TestSchedulerLeavesShortCallsTheirTime(t *testing.T) {
	s, w, _, waits := behindALongCall(t)
	for range 100 {
		s.pace.add(time.Microsecond)
	}
	other := saying(s, 1)
	assert.True(t, s.takeEffects().balance)
	next := submitted(t, s)
	assert.Equal(t, other, next.slot, "who makes the next call at once has the handler")
	s.balance()
	assert.Equal(t, w, waits.slot)
	assert.False(t, waits.returning)
	s.callEnded(other, next, time.Microsecond, wc.CauseOutcome, wc.OutcomeOk{})
	assert.True(t, s.takeEffects().balance)
	s.balance()
	assert.True(t, waits.returning)
}

func TestSchedulerGivesACallThatOneWorkerStillLetsGoOfToTheNextThatIsReady(t *testing.T) {
	s, w, _, waits := behindALongCall(t)
	to := saying(s, 1)
	require.Equal(t, []orderKind{orderReturn}, s.obeyed(w))
	s.workerLeft(to, endedByItself, errDied)
	s.callAcknowledged(w, waits)
	require.Nil(t, waits.slot, "the only worker still lets go of it")
	assert.Same(t, saying(s, 1), waits.slot)
}

func TestAWorkerThatLetsGoOfNothingGetsNoMoreCalls(t *testing.T) {
	s := newScheduler(rules{})
	w := readySlot(s)
	var calls []*call
	for range 10 * maxCapacity {
		calls = append(calls, submitted(t, s))
	}
	for range 100 {
		s.workerCapacity(w, maxCapacity)
		for _, o := range s.takeOrders(w) {
			s.callGiven(w, o.call)
		}
		s.workerCapacity(w, 0)
		s.takeOrders(w)
		for _, c := range calls {
			s.callAcknowledged(w, c)
		}
	}
	s.workerCapacity(w, maxCapacity)
	assert.Empty(t, w.calls)
	assert.Less(t, len(w.rest), 3*maxCapacity)
	for _, c := range calls {
		if w.rest[c.id] {
			s.callEnded(w, c, 0, wc.CauseCancelled, wc.OutcomeCancelled{})
		}
	}
	assert.Len(t, w.calls, maxCapacity+1)
}

func TestCallsDoNotWaitAtADismissedWorkerThatCanRunFewer(t *testing.T) {
	s := newScheduler(rules{})
	a, b := readySlot(s), readySlot(s)
	s.workerCapacity(a, 2)
	s.workerCapacity(b, 2)
	for range 4 {
		submitted(t, s)
	}
	s.takeOrders(a)
	require.Len(t, a.calls, 2)
	s.dismiss(a)
	assert.Zero(t, a.returning)
	s.workerCapacity(a, 1)
	assert.Equal(t, 1, a.returning)
}
