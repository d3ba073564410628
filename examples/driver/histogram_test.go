package driver

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAHistogramCountsEachTimeInItsBucketAndThoseAfter(t *testing.T) {
	times := []time.Duration{-1, 0, 100 * time.Microsecond, 100*time.Microsecond + 1, time.Second, 5000 * time.Second, 5000*time.Second + 1, 200 * time.Hour}
	var h histogram
	sum := time.Duration(0)
	for _, d := range times {
		h.add(d)
		sum += d
	}
	p := h.public()
	require.Len(t, p.Buckets, 24)
	assert.Equal(t, []any{uint64(len(times)), sum}, []any{p.Count, p.Sum})
	assert.Equal(t, []time.Duration{100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond},
		[]time.Duration{p.Buckets[0].Most, p.Buckets[1].Most, p.Buckets[2].Most, p.Buckets[3].Most})
	assert.Equal(t, 5000*time.Second, p.Buckets[23].Most)
	for _, b := range p.Buckets {
		n := 0
		for _, d := range times {
			n += btoi(d <= b.Most)
		}
		assert.Equal(t, uint64(n), b.Count, b.Most)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { h.add(time.Second) }))
}

// upTo returns how many times are not longer than the bound of a bucket; all if it has none of that bound.
func (h Histogram) upTo(d time.Duration) uint64 {
	for _, b := range h.Buckets {
		if b.Most == d {
			return b.Count
		}
	}
	return h.Count
}

func TestStatsTellHowLongCallsWaitedAndRan(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		long := do(h, t.Context(), "8s")
		time.Sleep(time.Second)
		short := do(h, t.Context(), "2s") // waits for 7 s
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, second(h.Do(ctx, nil))) // waits for 1 s, and is not begun
		require.NoError(t, (<-long).err)
		require.Equal(t, uint64(1), h.Stats().Ran.Count)
		require.NoError(t, (<-short).err)
		s := h.Stats()
		const all = math.MaxInt64
		for d, want := range map[time.Duration]uint64{100 * time.Microsecond: 1, 500 * time.Millisecond: 1, time.Second: 2, 5 * time.Second: 2, 10 * time.Second: 3, all: 3} {
			assert.Equal(t, want, s.Waited.upTo(d), "waited for up to %v", d)
		}
		for d, want := range map[time.Duration]uint64{time.Second: 0, 2500 * time.Millisecond: 1, 5 * time.Second: 1, 10 * time.Second: 2, all: 2} {
			assert.Equal(t, want, s.Ran.upTo(d), "ran for up to %v", d)
		}
		assert.Equal(t, []time.Duration{8 * time.Second, 10 * time.Second}, []time.Duration{s.Waited.Sum, s.Ran.Sum})
	}, WithWorkers(1, play(t, serving(takes, WithConcurrency(1)))))
}

func TestAWorkerHasTheEndsOfThoseThatHadItsPlace(t *testing.T) {
	dies := func(p *peer) { p.announce(); p.sleep(time.Minute) }
	numbers := func(ends []WorkerEnd) (list []uint64) {
		for _, e := range ends {
			list = append(list, e.Number)
		}
		return list
	}
	withHost(t, func(t *testing.T, h *Host) {
		conn, _ := play(t, serving(echo))(t.Context())
		require.NoError(t, h.Attach(conn)) // has nobody's place
		time.Sleep(30 * time.Minute)
		require.NoError(t, h.Replace(t.Context()))
		s := h.Stats()
		require.Len(t, s.Workers, 3)
		places := map[bool]int{}
		for _, w := range s.Workers {
			if len(w.Predecessors) == 0 {
				places[false]++
				assert.False(t, w.Idle.IsZero())
				continue
			}
			places[true]++
			list := numbers(w.Predecessors)
			require.Len(t, list, 3)
			assert.IsIncreasing(t, list)
			assert.Equal(t, []bool{false, false, true}, []bool{w.Predecessors[0].Asked, w.Predecessors[1].Asked, w.Predecessors[2].Asked})
			assert.ErrorContains(t, w.Predecessors[0].Err, "EOF")
			assert.NoError(t, w.Predecessors[2].Err)
		}
		assert.Equal(t, map[bool]int{false: 1, true: 2}, places)
		assert.NotSubset(t, numbers(s.Workers[1].Predecessors), numbers(s.Workers[2].Predecessors))
	}, WithWorkers(2, locked(play(t, dies, dies, dies, dies, dies, dies, dies, dies, serving(echo)))))
}
