package workerchannel

import (
	"slices"
	"strings"
)

// retiredMost is the number of ended workers that are remembered.
const retiredMost = 1024

// retiredIDs remembers the latest workers whose sessions ended, in a bounded number of bytes.
type retiredIDs struct {
	keys  map[retiredKey]struct{}
	order []retiredKey // by age; once there are retiredMost, a ring whose oldest is at start
	start int
}

// A retiredKey is what is remembered of a worker id: the id itself up to 64 bytes, otherwise its beginning,
// length and digest. A worker whose long id has the key of an ended one is refused, too.
type retiredKey struct {
	beginning string
	length    int
	digest    digest
}

func newRetiredKey(workerID string) retiredKey {
	const most = 64
	if len(workerID) <= most {
		return retiredKey{beginning: workerID, length: len(workerID)}
	}
	return retiredKey{workerID[:most], len(workerID), chain(0, workerID)}
}

func (r *retiredIDs) has(workerID string) bool {
	_, ok := r.keys[newRetiredKey(workerID)]
	return ok
}

// add remembers an id as the latest.
func (r *retiredIDs) add(workerID string) {
	key := newRetiredKey(workerID)
	if r.keys == nil {
		r.keys = make(map[retiredKey]struct{})
	}
	if _, ok := r.keys[key]; ok { // seldom: only RetireWorker names an id again
		r.order, r.start = slices.Concat(r.order[r.start:], r.order[:r.start]), 0
		i := slices.Index(r.order, key)
		r.order = append(slices.Delete(r.order, i, i+1), key)
		return
	}
	key.beginning = strings.Clone(key.beginning) // or it could keep a longer string alive
	r.keys[key] = struct{}{}
	if len(r.order) < retiredMost {
		r.order = append(r.order, key)
		return
	}
	delete(r.keys, r.order[r.start])
	r.order[r.start] = key
	r.start = (r.start + 1) % retiredMost
}
