package workerchannel

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func bootstrap(c *Coordinator, id string) error {
	env := fromWorker(id, 1, BootstrapReady{id})
	return c.HandleInbound(&env)
}

// An id is remembered as it is up to 64 bytes, and by its beginning, length and digest beyond.
func TestLatest1024EndedWorkersAreRemembered(t *testing.T) {
	for name, id := range map[string]func(n int) string{
		"short ids": strconv.Itoa,
		"long ids":  func(n int) string { return strings.Repeat("x", 100) + strconv.Itoa(n) },
	} {
		t.Run(name, func(t *testing.T) {
			c := NewCoordinator(42)
			for n := range 3000 {
				require.NoError(t, bootstrap(c, id(n)))
			}
			assert.Len(t, c.retired.keys, 1024)
			assert.LessOrEqual(t, cap(c.retired.order), 2*1024)
			for n := 3000 - 1 - 1024; n < 3000-1; n++ {
				require.ErrorIs(t, bootstrap(c, id(n)), ErrRetiredWorker, n)
			}
			require.NoError(t, bootstrap(c, id(3000-1-1024-1)), "older ones are forgotten, oldest first")
			require.ErrorIs(t, bootstrap(c, id(2999)), ErrRetiredWorker)
			require.NoError(t, bootstrap(c, id(3000-1-1024)), "each new one drives one out")
			require.ErrorIs(t, bootstrap(c, id(3000-1-1024+2)), ErrRetiredWorker)
		})
	}
}

// TestRetiringARememberedWorkerMakesItTheLatest compares with a plain list, newest last.
func TestRetiringARememberedWorkerMakesItTheLatest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, ids := range []int{10, 1024, 1025, 1500} {
		var r retiredIDs
		var list []string
		for step := range 3 * ids {
			id := strconv.Itoa(random.IntN(ids))
			r.add(id)
			list = append(slices.DeleteFunc(list, func(other string) bool { return other == id }), id)
			list = list[max(0, len(list)-1024):]
			if step%197 != 0 {
				continue
			}
			var order []string
			for _, key := range slices.Concat(r.order[r.start:], r.order[:r.start]) {
				order = append(order, key.beginning)
			}
			require.Equal(t, list, order)
			require.Len(t, r.keys, len(list))
			remembered := map[string]bool{}
			for _, id := range list {
				remembered[id] = true
			}
			for n := range ids {
				if id := strconv.Itoa(n); remembered[id] != r.has(id) {
					require.Equal(t, remembered[id], r.has(id), id)
				}
			}
		}
	}
}

func TestRetiringOneWorkerAgainAndAgainForgetsNoOther(t *testing.T) {
	c := NewCoordinator(42)
	c.RetireWorker("a")
	for range 3000 {
		c.RetireWorker("b")
	}
	assert.ErrorIs(t, bootstrap(c, "a"), ErrRetiredWorker)
	assert.ErrorIs(t, bootstrap(c, "b"), ErrRetiredWorker)
	c.RetireWorker(illFormed)
	assert.Len(t, c.retired.order, 2, "an id that no worker can have is not kept")
}

// What long ids differ in, only their digest or length can tell.
func TestLongIDsAreToldApart(t *testing.T) {
	c := NewCoordinator(42)
	long := strings.Repeat("x", 1000)
	c.RetireWorker(long + "a")
	c.RetireWorker(long[:64] + "b")
	c.RetireWorker(long[:63])
	for _, id := range []string{long + "b", long, long + "aa", long[:64], long[:65], long[:62], "y" + long + "a"} {
		assert.NoError(t, bootstrap(NewCoordinator(1), id))
		assert.False(t, c.retired.has(id), "%d bytes", len(id))
	}
	for _, id := range []string{long + "a", long[:64] + "b", long[:63]} {
		assert.True(t, c.retired.has(id), "%d bytes", len(id))
	}
}

// However long the ids of ended workers are, a bounded number of bytes is kept, and a refused bootstrap takes memory
// for its error alone.
func TestRetiredIDsTakeABoundedNumberOfBytes(t *testing.T) {
	const length = 16 << 10
	id := func(n int) string { return strings.Repeat("x", length) + strconv.Itoa(n) }
	c := NewCoordinator(42)
	empty := heapInUse()
	for n := range 1024 {
		c.RetireWorker(id(n))
	}
	assert.LessOrEqual(t, heapInUse()-empty, float64(1024*300), "bytes for all of them")

	old := fromWorker(id(0), 1, BootstrapReady{id(0)})
	none := allocatedBy(func() { require.ErrorIs(t, c.HandleInbound(&old), ErrRetiredWorker) })
	assert.LessOrEqual(t, none, uint64(2<<10), "bytes for a refusal")

	// Messages are not kept alive either by a piece of them that is kept.
	s := newScene(t, "begin")
	empty = heapInUse()
	for n := range 64 {
		for _, op := range []Op{BootstrapReady{id(n)}, BootstrapFailed{id(n), ""}} {
			seqNo := uint64(1 + op.Type())
			_, _ = s.c.Receive(written(fromWorker(id(n), seqNo, op)))
		}
	}
	assert.Len(t, s.c.retired.order, 64)
	assert.LessOrEqual(t, heapInUse()-empty, float64(64<<10))
}

func TestRetiredIDsKeepNoLongerStringAlive(t *testing.T) {
	const size = 1 << 20
	c := NewCoordinator(1)
	before := heapInUse()
	for i := range 64 {
		line := strings.Repeat(string(rune('!'+i)), size)
		c.RetireWorker(line[:6])
	}
	assert.Less(t, heapInUse()-before, float64(16*size), "of 64 MiB that the ids were cut from")
	assert.Len(t, c.retired.order, 64)
}
