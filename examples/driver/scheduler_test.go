package driver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

var errDied = errors.New("died")

// joinStaff adds a worker of the staff.
func (s *scheduler) joinStaff() *slot {
	p := new(post)
	s.enter(p)
	return s.join(p)
}

// readySlot adds a worker that is ready.
func readySlot(s *scheduler) *slot {
	w := s.joinStaff()
	s.workerReady(w)
	if s.window > 0 {
		s.workerSilent(w)
	}
	return w
}

// takeEffects returns what has been asked since the last call.
func (s *scheduler) takeEffects() (e effects) {
	e, s.effects = s.effects, effects{}
	return e
}

func submitted(t require.TestingT, s *scheduler) *call {
	c := new(call)
	require.NoError(t, s.submit(c))
	return c
}

func newScheduler(r rules) *scheduler {
	if r.tries == 0 {
		r.tries = 3
	}
	if r.waiting == 0 {
		r.waiting = -1
	}
	return &scheduler{rules: r}
}

func TestSchedulerGivesCallsToTheWorkerWithTheFewest(t *testing.T) {
	s := newScheduler(rules{window: 2})
	a, b := readySlot(s), readySlot(s)
	var calls []*call
	for range 5 {
		calls = append(calls, submitted(t, s))
	}
	assert.Equal(t, []*slot{a, b, a, b, nil}, []*slot{calls[0].slot, calls[1].slot, calls[2].slot, calls[3].slot, calls[4].slot})
	s.callEnded(b, calls[1], 0, wc.CauseOutcome, wc.OutcomeOk{})
	assert.Equal(t, b, calls[4].slot, "the call that waited gets the room")
}

func TestSchedulerRunsCallsOfALostWorkerAgainInOrder(t *testing.T) {
	s := newScheduler(rules{window: 3})
	a := readySlot(s)
	for range 5 {
		submitted(t, s)
	}
	s.workerLeft(a, endedByItself, errDied)
	assert.Empty(t, s.takeEffects().settled)
	b := readySlot(s)
	var ids []uint64
	for _, o := range s.takeOrders(b) {
		ids = append(ids, o.call.id)
	}
	assert.Equal(t, []uint64{1, 2, 3}, ids)
	assert.Equal(t, uint64(3), s.counts.Retries)
}

// crash ends a worker that has been given all its calls.
func (s *scheduler) crash(w *slot) {
	for _, c := range w.calls {
		s.callGiven(w, c)
	}
	s.workerLeft(w, endedByItself, errDied)
}

func TestSchedulerRunsSuspectsAloneAndChargesThemThen(t *testing.T) {
	s := newScheduler(rules{window: 3, tries: 2})
	a := readySlot(s)
	one, two, unsent := submitted(t, s), submitted(t, s), submitted(t, s)
	s.callGiven(a, one)
	s.callGiven(a, two)
	s.callBegun(a, one) // says nothing about two, whose news may have been lost
	s.workerLeft(a, endedByItself, errDied)
	assert.Equal(t, []int{0, 0, 0}, []int{one.charged, two.charged, unsent.charged})
	for range 2 {
		require.False(t, one.settled)
		w := readySlot(s)
		require.Equal(t, map[uint64]*call{one.id: one}, w.calls, "before others, and alone")
		s.crash(w)
	}
	assert.Equal(t, &GivenUpError{2, errDied}, one.result.err)
	w := readySlot(s)
	assert.Equal(t, map[uint64]*call{two.id: two}, w.calls)
	s.callEnded(w, two, 0, wc.CauseOutcome, wc.OutcomeOk{})
	assert.NoError(t, two.result.err)
	assert.Equal(t, w, unsent.slot)
}

func TestSchedulerEmptiesTheWorkerWithTheFewestCallsForASuspect(t *testing.T) {
	s := newScheduler(rules{window: 3})
	a, b, c := readySlot(s), readySlot(s), readySlot(s)
	var calls []*call
	for range 6 {
		calls = append(calls, submitted(t, s))
	}
	s.callEnded(b, calls[4], 0, wc.CauseOutcome, wc.OutcomeOk{})
	s.crash(c) // it had two
	assert.True(t, a.emptying)
	assert.True(t, b.emptying)
	later := submitted(t, s)
	assert.Nil(t, later.slot, "it waits for the suspects")
	s.callEnded(b, calls[1], 0, wc.CauseOutcome, wc.OutcomeOk{})
	assert.Equal(t, map[uint64]*call{calls[2].id: calls[2]}, b.calls)
	assert.Nil(t, later.slot, "a suspect is alone")
	s.cancelCall(calls[5], errTest, "")
	assert.Equal(t, a, later.slot, "no suspect waits")
}

func TestSchedulerEmptiesAnotherWorkerForASuspectIfOneTakesNoMoreCalls(t *testing.T) {
	for name, ends := range map[string]func(*scheduler, *slot){
		"leaving": func(s *scheduler, w *slot) { s.workerCapacity(w, 0) },
		"ending":  (*scheduler).workerEnding,
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(rules{window: 2})
			a, b, c := readySlot(s), readySlot(s), readySlot(s)
			for range 5 {
				submitted(t, s)
			}
			s.crash(c) // it had one
			require.Equal(t, []bool{true, false}, []bool{a.emptying, b.emptying})
			ends(s, a)
			assert.Equal(t, []bool{false, true}, []bool{a.emptying, b.emptying})
			assert.Equal(t, 1, s.emptying)
		})
	}
}

func TestSchedulerWithOneTryGivesUpWhatMayHaveBegunWhoeverWasGuilty(t *testing.T) {
	for how, want := range map[ending][]bool{endedByItself: {true, true, false}, endedForOne: {true, true, false}, endedInOrder: {true, false, false}} {
		s := newScheduler(rules{tries: 1})
		w := readySlot(s)
		s.workerCapacity(w, 3)
		begun, given, unsent := submitted(t, s), submitted(t, s), submitted(t, s)
		s.callGiven(w, begun)
		s.callGiven(w, given)
		s.callBegun(w, begun)
		s.workerLeft(w, how, errDied)
		assert.Equal(t, want, []bool{begun.settled, given.settled, unsent.settled})
	}
}

func TestSchedulerChargesNobodyForAnOrderlyEnd(t *testing.T) {
	s := newScheduler(rules{tries: 2, attempts: 3})
	c := submitted(t, s)
	leave := func(how ending) {
		require.False(t, c.settled)
		w := readySlot(s)
		s.callGiven(w, c)
		s.callBegun(w, c)
		s.workerLeft(w, how, errLeft)
	}
	for _, how := range []ending{endedInOrder, endedInOrder, endedForOne, endedInOrder, endedInOrder, endedByItself, endedInOrder, endedInOrder, endedInOrder} {
		leave(how)
	}
	assert.Equal(t, &NoWorkerError{Attempts: 3, Last: errLeft}, c.result.err)
	assert.Equal(t, 1, c.charged)
}

func TestSchedulerChargesOnlyTheCallForWhichAWorkerWasEnded(t *testing.T) {
	s := newScheduler(rules{window: 2, tries: 2})
	w := readySlot(s)
	guilty, beside := submitted(t, s), submitted(t, s)
	s.callGiven(w, guilty)
	s.callGiven(w, beside)
	s.cancelCall(guilty, errTest, "")
	s.workerLeft(w, endedForOne, errDied)
	assert.ErrorIs(t, guilty.result.err, errTest)
	assert.False(t, beside.suspect)
}

func TestSchedulerWithOneTryGivesNoCallTwice(t *testing.T) {
	s := newScheduler(rules{window: 3, tries: 1})
	w := readySlot(s)
	begun, given, unsent := submitted(t, s), submitted(t, s), submitted(t, s)
	s.callGiven(w, begun)
	s.callGiven(w, given)
	s.callBegun(w, begun)
	s.workerLeft(w, endedByItself, errDied)
	assert.ErrorIs(t, begun.result.err, ErrGivenUp)
	assert.ErrorIs(t, given.result.err, ErrGivenUp, "it may have been begun")
	assert.False(t, unsent.settled)
}

func TestSchedulerChargesWhatAWorkerTookAndDidNotBegin(t *testing.T) {
	s := newScheduler(rules{window: 2, tries: 2})
	c := submitted(t, s)
	for range 2 {
		assert.False(t, c.settled)
		s.crash(readySlot(s))
	}
	var e *GivenUpError
	require.ErrorAs(t, c.result.err, &e)
	assert.Equal(t, &GivenUpError{2, errDied}, e)
}

func TestSchedulerDoesNotChargeWhatWasNotSent(t *testing.T) {
	s := newScheduler(rules{window: 2, tries: 1})
	c := submitted(t, s)
	for range 10 {
		s.workerLeft(readySlot(s), endedByItself, errDied)
	}
	assert.False(t, c.settled)
}

func TestSchedulerSettlesACancelledCallWhenItsWorkerLetsGoOrLeaves(t *testing.T) {
	for name, end := range map[string]func(*scheduler, *slot, *call){
		"lets go": func(s *scheduler, w *slot, c *call) {
			s.callEnded(w, c, 0, wc.CauseCancelled, wc.OutcomeCancelled{Reason: "r"})
		},
		"leaves": func(s *scheduler, w *slot, c *call) { s.workerLeft(w, endedByItself, errDied) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(rules{window: 2})
			w := readySlot(s)
			c := submitted(t, s)
			s.cancelCall(c, context.DeadlineExceeded, "no longer needed")
			s.cancelCall(c, context.Canceled, "no longer needed") // the first counts
			assert.False(t, c.settled, "it may still run")
			assert.Equal(t, []order{{orderSpawn, c, 1}, {orderCancel, c, 1}}, s.takeOrders(w))
			end(s, w, c)
			assert.Equal(t, &CancelError{Cause: context.DeadlineExceeded}, c.result.err)
		})
	}
}

func TestSchedulerSettlesAWaitingCallThatIsCancelledAtOnce(t *testing.T) {
	s := newScheduler(rules{window: 2})
	c := submitted(t, s)
	s.cancelCall(c, context.Canceled, "no longer needed")
	assert.Equal(t, []*call{c}, s.takeEffects().settled)
	assert.Equal(t, 0, s.backlog.len)
}

func TestSchedulerRefusesWhatIsMoreThanTheBacklog(t *testing.T) {
	s := newScheduler(rules{window: 1, waiting: 1})
	w := readySlot(s)
	first := submitted(t, s)
	submitted(t, s)
	assert.ErrorIs(t, s.submit(new(call)), ErrBusy)
	s.callEnded(w, first, 0, wc.CauseOutcome, wc.OutcomeOk{})
	submitted(t, s)
	assert.Equal(t, uint64(1), s.counts.Refused)
}

func TestSchedulerGivesUpWithoutWorkers(t *testing.T) {
	s := newScheduler(rules{window: 2, attempts: 3})
	c := submitted(t, s)
	s.attemptFailed(new(post), errors.New("not found"))
	s.workerLeft(s.joinStaff(), endedByItself, errors.New("did not boot"))
	assert.False(t, c.settled)
	s.attemptFailed(new(post), errDied)
	assert.Equal(t, &NoWorkerError{Attempts: 3, Last: errDied}, c.result.err)

	w := readySlot(s)
	c = submitted(t, s)
	s.callGiven(w, c)
	waiting := submitted(t, s)
	_ = submitted(t, s)
	for range 5 {
		s.attemptFailed(new(post), errDied)
	}
	assert.False(t, waiting.settled, "there is a worker")
	s.workerLeft(w, endedByItself, errDied)
	assert.False(t, c.settled)
}

func TestSchedulerGivesUpOnWorkersThatLeaveBeforeTheyAreGivenACall(t *testing.T) {
	s := newScheduler(rules{attempts: 3, window: 1, tries: 3})
	c := submitted(t, s)
	for range 3 {
		assert.False(t, c.settled)
		w := s.joinStaff()
		s.workerReady(w) // c is assigned to it, and not sent
		s.workerLeft(w, endedInOrder, errLeft)
	}
	assert.Equal(t, &NoWorkerError{Attempts: 3, Last: errLeft}, c.result.err)
}

func TestSchedulerGivesNothingToAWorkerThatEnds(t *testing.T) {
	s := newScheduler(rules{window: 2})
	w := readySlot(s)
	s.workerEnding(w)
	c := submitted(t, s)
	assert.Nil(t, c.slot)
	assert.Equal(t, 1, s.backlog.len)
}

func TestSchedulerStops(t *testing.T) {
	s := newScheduler(rules{window: 1})
	w := readySlot(s)
	running, waiting := submitted(t, s), submitted(t, s)
	s.stop()
	assert.Equal(t, ErrStopped, waiting.result.err)
	assert.Equal(t, ErrStopped, s.submit(new(call)))
	assert.False(t, running.settled)
	assert.Equal(t, order{kind: orderStop}, s.takeOrders(w)[1])
	s.workerLeft(w, endedByItself, errDied)
	assert.Equal(t, ErrStopped, running.result.err)
}

func TestSchedulerClosesARegion(t *testing.T) {
	s := newScheduler(rules{window: 1})
	w := readySlot(s)
	r := newRegion(1)
	running, waiting, other := &call{region: r}, &call{region: r}, new(call)
	for _, c := range []*call{running, waiting, other} {
		require.NoError(t, s.submit(c))
	}
	cause := errors.New("enough")
	assert.Equal(t, 2, s.closeRegion(r, cause, "no longer needed"))
	assert.ErrorIs(t, waiting.result.err, cause)
	assert.Equal(t, ErrRegionClosed, s.submit(&call{region: r}))
	assert.Empty(t, s.effects.quiet, "one still runs")
	s.callEnded(w, running, 0, wc.CauseCancelled, wc.OutcomeCancelled{})
	assert.ErrorIs(t, running.result.err, cause)
	assert.Equal(t, []*Region{r}, s.effects.quiet)
	assert.Equal(t, w, other.slot)
	s.closeRegion(r, cause, "no longer needed")
	assert.Len(t, s.effects.quiet, 1)
}

func TestNoWorkerStartsForCallsThatAreAboutToBeTakenBack(t *testing.T) {
	s := newScheduler(rules{most: 9})
	s.pace = pace{true, time.Microsecond} // so that some wait at a worker, and are taken back a little later
	a := readySlot(s)
	s.workerCapacity(a, 1)
	for range 3 {
		submitted(t, s)
	}
	hired := s.takeEffects().hired
	assert.Len(t, hired, 2, "two calls wait")
	s.takeOrders(a)
	s.workerCapacity(readySlot(s), 1)
	assert.True(t, s.takeEffects().balance)
	for _, p := range hired {
		s.shut(p)
	}
	assert.LessOrEqual(t, s.missing(0), 0)
	s.balance()
	assert.Equal(t, 1, s.missing(0), "for the one that still waits there")
}

func TestOrdersDoNotGrowWhileAWorkerDoesNotRead(t *testing.T) {
	s := newScheduler(rules{})
	w := readySlot(s)
	for range 2 * maxCapacity {
		submitted(t, s)
	}
	for range 100 {
		s.workerCapacity(w, 0)
		s.workerCapacity(w, maxCapacity)
	}
	assert.Less(t, len(w.orders), 8*maxCapacity)
	assert.Len(t, s.takeOrders(w), len(w.calls))
}
