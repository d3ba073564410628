package driver

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	wc "github.com/workerchannel/workerchannel"
)

var errDied = errors.New("died")

// readySlot adds a worker that is ready.
func readySlot(s *scheduler) *slot {
	w := s.join(true)
	s.workerReady(w)
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
	if r.window == 0 {
		r.window = 2
	}
	if r.tries == 0 {
		r.tries = 3
	}
	if r.waiting == 0 {
		r.waiting = -1
	}
	return &scheduler{rules: r}
}

func TestSchedulerGivesCallsToTheWorkerWithTheFewest(t *testing.T) {
	s := newScheduler(rules{})
	a, b := readySlot(s), readySlot(s)
	var calls []*call
	for range 5 {
		calls = append(calls, submitted(t, s))
	}
	assert.Equal(t, []*slot{a, b, a, b, nil}, []*slot{calls[0].slot, calls[1].slot, calls[2].slot, calls[3].slot, calls[4].slot})
	s.callEnded(b, calls[1], wc.CauseOutcome, wc.OutcomeOk{})
	assert.Equal(t, b, calls[4].slot, "the call that waited gets the room")
}

func TestSchedulerRunsCallsOfALostWorkerAgainInOrder(t *testing.T) {
	s := newScheduler(rules{window: 3})
	a := readySlot(s)
	for range 5 {
		submitted(t, s)
	}
	s.workerLeft(a, errDied)
	assert.Empty(t, s.takeEffects().settled)
	b := readySlot(s)
	var ids []uint64
	for _, o := range s.takeOrders(b) {
		ids = append(ids, o.call.id)
	}
	assert.Equal(t, []uint64{1, 2, 3}, ids)
	assert.Equal(t, uint64(3), s.counts.Retries)
}

func TestSchedulerChargesWhatTheWorkerHadBegun(t *testing.T) {
	s := newScheduler(rules{window: 3, tries: 2})
	w := readySlot(s)
	begun, given, unsent := submitted(t, s), submitted(t, s), submitted(t, s)
	s.callGiven(begun)
	s.callGiven(given)
	s.callBegun(begun)
	s.workerLeft(w, errDied)
	assert.Equal(t, []int{1, 0, 0}, []int{begun.charged, given.charged, unsent.charged})
	w = readySlot(s)
	s.callBegun(begun)
	s.workerLeft(w, errDied)
	require.ErrorIs(t, begun.result.err, ErrGivenUp)
	assert.ErrorIs(t, begun.result.err, errDied)
	assert.False(t, given.settled)
	assert.False(t, unsent.settled)
}

func TestSchedulerWithOneTryGivesNoCallTwice(t *testing.T) {
	s := newScheduler(rules{window: 3, tries: 1})
	w := readySlot(s)
	begun, given, unsent := submitted(t, s), submitted(t, s), submitted(t, s)
	s.callGiven(begun)
	s.callGiven(given)
	s.callBegun(begun)
	s.workerLeft(w, errDied)
	assert.ErrorIs(t, begun.result.err, ErrGivenUp)
	assert.ErrorIs(t, given.result.err, ErrGivenUp, "it may have been begun")
	assert.False(t, unsent.settled)
}

func TestSchedulerChargesWhatAWorkerTookAndDidNotBegin(t *testing.T) {
	s := newScheduler(rules{tries: 2})
	c := submitted(t, s)
	for range 2 {
		assert.False(t, c.settled)
		w := readySlot(s)
		s.callGiven(c)
		s.workerLeft(w, errDied)
	}
	var e *GivenUpError
	require.ErrorAs(t, c.result.err, &e)
	assert.Equal(t, &GivenUpError{2, errDied}, e)
}

func TestSchedulerDoesNotChargeWhatWasNotSent(t *testing.T) {
	s := newScheduler(rules{tries: 1})
	c := submitted(t, s)
	for range 10 {
		s.workerLeft(readySlot(s), errDied)
	}
	assert.False(t, c.settled)
}

func TestSchedulerSettlesACancelledCallWhenItsWorkerLetsGoOrLeaves(t *testing.T) {
	for name, end := range map[string]func(*scheduler, *slot, *call){
		"lets go": func(s *scheduler, w *slot, c *call) {
			s.callEnded(w, c, wc.CauseCancelled, wc.OutcomeCancelled{Reason: "r"})
		},
		"leaves": func(s *scheduler, w *slot, c *call) { s.workerLeft(w, errDied) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScheduler(rules{})
			w := readySlot(s)
			c := submitted(t, s)
			s.cancelCall(c, context.DeadlineExceeded, "no longer needed")
			s.cancelCall(c, context.Canceled, "no longer needed") // the first counts
			assert.False(t, c.settled, "it may still run")
			assert.Equal(t, []order{{orderSpawn, c}, {orderCancel, c}}, s.takeOrders(w))
			end(s, w, c)
			assert.Equal(t, &CancelError{Cause: context.DeadlineExceeded}, c.result.err)
		})
	}
}

func TestSchedulerSettlesAWaitingCallThatIsCancelledAtOnce(t *testing.T) {
	s := newScheduler(rules{})
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
	s.callEnded(w, first, wc.CauseOutcome, wc.OutcomeOk{})
	submitted(t, s)
	assert.Equal(t, uint64(1), s.counts.Refused)
}

func TestSchedulerGivesUpWithoutWorkers(t *testing.T) {
	s := newScheduler(rules{attempts: 3})
	c := submitted(t, s)
	s.attemptFailed(errors.New("not found"))
	s.workerLeft(s.join(true), errors.New("did not boot"))
	assert.False(t, c.settled)
	s.attemptFailed(errDied)
	assert.Equal(t, &NoWorkerError{3, errDied}, c.result.err)

	w := readySlot(s)
	c = submitted(t, s)
	s.callGiven(c)
	waiting := submitted(t, s)
	_ = submitted(t, s)
	for range 5 {
		s.attemptFailed(errDied)
	}
	assert.False(t, waiting.settled, "there is a worker")
	s.workerLeft(w, errDied)
	assert.False(t, c.settled)
}

func TestSchedulerGivesUpOnWorkersThatLeaveBeforeTheyAreGivenACall(t *testing.T) {
	s := newScheduler(rules{attempts: 3, window: 1, tries: 3})
	c := submitted(t, s)
	for range 3 {
		assert.False(t, c.settled)
		w := s.join(true)
		s.workerReady(w) // c is assigned to it, and not sent
		s.workerLeft(w, errLeft)
	}
	assert.Equal(t, &NoWorkerError{3, errLeft}, c.result.err)
}

func TestSchedulerGivesNothingToAWorkerThatEnds(t *testing.T) {
	s := newScheduler(rules{})
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
	assert.Equal(t, order{orderStop, nil}, s.takeOrders(w)[1])
	s.workerLeft(w, errDied)
	assert.Equal(t, ErrStopped, running.result.err)
}

func TestSchedulerClosesARegion(t *testing.T) {
	s := newScheduler(rules{window: 1})
	w := readySlot(s)
	quiet := 0
	r := &regionState{calls: map[uint64]*call{}, quiet: func() { quiet++ }}
	running, waiting, other := &call{region: r}, &call{region: r}, new(call)
	for _, c := range []*call{running, waiting, other} {
		require.NoError(t, s.submit(c))
	}
	cause := errors.New("enough")
	assert.Equal(t, 2, s.closeRegion(r, cause, "no longer needed"))
	assert.ErrorIs(t, waiting.result.err, cause)
	assert.Equal(t, ErrRegionClosed, s.submit(&call{region: r}))
	assert.Zero(t, quiet, "one still runs")
	s.callEnded(w, running, wc.CauseCancelled, wc.OutcomeCancelled{})
	assert.ErrorIs(t, running.result.err, cause)
	assert.Equal(t, 1, quiet)
	assert.Equal(t, w, other.slot)
	s.closeRegion(r, cause, "no longer needed")
	assert.Equal(t, 1, quiet)
}

// Whatever happens in whatever order, a call is in one place, is settled once, and none is forgotten.
func TestSchedulerSettlesEveryCallOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScheduler(rules{window: rapid.IntRange(1, 3).Draw(t, "window"), tries: rapid.IntRange(1, 3).Draw(t, "tries"), attempts: 2})
		region := &regionState{calls: map[uint64]*call{}, quiet: func() {}}
		var all []*call
		settled := map[*call]int{}
		pick := func() (w *slot, c *call) {
			if len(s.slots) == 0 {
				return nil, nil
			}
			w = rapid.SampledFrom(s.slots).Draw(t, "worker")
			if len(w.calls) > 0 {
				c = rapid.SampledFrom(sortedCalls(w.calls)).Draw(t, "its call")
			}
			return w, c
		}
		actions := map[string]func(*rapid.T){
			"submit": func(t *rapid.T) {
				c := new(call)
				if rapid.Bool().Draw(t, "in the region") {
					c.region = region
				}
				if s.submit(c) == nil {
					all = append(all, c)
				}
			},
			"cancel": func(t *rapid.T) {
				if len(all) > 0 {
					s.cancelCall(rapid.SampledFrom(all).Draw(t, "call"), context.Canceled, "no longer needed")
				}
			},
			"join": func(*rapid.T) { s.join(true) },
			"ready": func(*rapid.T) {
				if w, _ := pick(); w != nil {
					s.workerReady(w)
				}
			},
			"work": func(t *rapid.T) {
				if w, c := pick(); c != nil {
					s.callGiven(c)
					if rapid.Bool().Draw(t, "begin") {
						s.callBegun(c)
					}
					if rapid.Bool().Draw(t, "end") {
						s.callEnded(w, c, wc.CauseOutcome, wc.OutcomeOk{})
					}
				}
			},
			"leave": func(*rapid.T) {
				if w, _ := pick(); w != nil {
					s.workerLeft(w, errDied)
					s.workerLeft(w, errDied)
				}
			},
			"fail":          func(*rapid.T) { s.attemptFailed(errDied) },
			"cancel region": func(*rapid.T) { s.cancelRegion(region, context.Canceled, "no longer needed") },
			"": func(t *rapid.T) {
				for _, c := range s.takeEffects().settled {
					settled[c]++
				}
				waiting := 0
				for c := s.backlog.first; c != nil; c = c.next {
					waiting++
					if c.next != nil && c.next.id <= c.id {
						t.Fatal("the backlog is not in order")
					}
				}
				assigned := 0
				for _, w := range s.slots {
					if len(w.calls) > s.window {
						t.Fatal("more than the window")
					}
					assigned += len(w.calls)
				}
				if waiting != s.backlog.len || waiting+assigned+len(settled) != len(all) {
					t.Fatalf("%d waiting (%d), %d assigned, %d settled of %d", waiting, s.backlog.len, assigned, len(settled), len(all))
				}
				for c, n := range settled {
					if n != 1 || !c.settled || c.slot != nil {
						t.Fatal("settled twice, or not")
					}
				}
				if waiting > 0 && s.freest() != nil {
					t.Fatal("a call waits though a worker has room")
				}
			},
		}
		t.Repeat(actions)
		s.stop()
		for len(s.slots) > 0 {
			s.workerLeft(s.slots[0], errDied)
		}
		actions[""](t)
		require.Len(t, settled, len(all), "nobody waits")
		n := s.counts
		require.Equal(t, n.Calls, n.Succeeded+n.Failed+n.Panicked+n.Cancelled+n.GivenUp+n.NoWorker+n.Stopped, fmt.Sprint(n))
	})
}
