package workerchannel

import (
	"iter"
	"maps"
	"slices"
)

// A table is a map by id that releases memory as it gets smaller, which a Go map does not.
type table[V any] struct {
	m    map[uint64]V
	peak int // the most entries that m has had
}

func (t *table[V]) get(id uint64) (v V, ok bool) {
	v, ok = t.m[id]
	return v, ok
}

func (t *table[V]) len() int { return len(t.m) }

func (t *table[V]) put(id uint64, v V) {
	if t.m == nil {
		t.m = make(map[uint64]V)
	}
	t.m[id] = v
	t.peak = max(t.peak, len(t.m))
}

// remove removes an entry. It copies the map when less than an eighth of it is in use, which is
// seldom enough for the average cost of a call to stay constant.
func (t *table[V]) remove(id uint64) {
	delete(t.m, id)
	const small = 1024
	if t.peak > small && len(t.m) < t.peak/8 {
		smaller := make(map[uint64]V, len(t.m))
		maps.Copy(smaller, t.m)
		t.m, t.peak = smaller, len(smaller)
	}
}

// ascending yields what find returns for each id of t, by ascending id. It reads the ids only when the
// iteration starts; one that find no longer knows when its turn comes is left out.
func ascending[V, T any](t *table[V], find func(uint64) (T, bool)) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, id := range slices.Sorted(maps.Keys(t.m)) {
			if v, ok := find(id); ok && !yield(v) {
				return
			}
		}
	}
}
