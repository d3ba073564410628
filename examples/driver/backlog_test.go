package driver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// finish has a worker end the oldest of its calls, and returns it.
func (s *scheduler) finish(w *slot) *call {
	c := sortedCalls(w.calls)[0]
	s.callEnded(w, c, 0, wc.CauseOutcome, wc.OutcomeOk{})
	return c
}

func TestRegionsTakeTurns(t *testing.T) {
	s := newScheduler(rules{window: 1})
	a, b := newRegion(1), newRegion(1)
	name := map[*Region]string{a: "a", b: "b", nil: "-"}
	for _, r := range []*Region{a, a, a, a, nil, nil, b, a} {
		require.NoError(t, s.submit(&call{region: r}))
	}
	w, turns := readySlot(s), ""
	for range 8 {
		turns += name[s.finish(w).region]
	}
	assert.Equal(t, "a-ba-aaa", turns)
}

func TestACallThatAWorkerLeavesHasItsTurnAgain(t *testing.T) {
	s := newScheduler(rules{})
	r := newRegion(1)
	for _, r := range []*Region{nil, nil, nil, nil, nil, r, r} {
		require.NoError(t, s.submit(&call{region: r}))
	}
	var first []uint64
	for range 4 {
		w := readySlot(s)
		s.workerCapacity(w, 1)
		s.takeOrders(w)
		c := w.unbegun.first.of
		first = append(first, c.id)
		for _, c := range w.calls {
			s.callGiven(w, c)
		}
		s.workerCapacity(w, 0)
		s.callEnded(w, c, 0, wc.CauseOutcome, wc.OutcomeOk{})
		s.workerLeft(w, endedInOrder, errLeft)
	}
	assert.Equal(t, []uint64{1, 6, 2, 7}, first)
}
