package driver

import (
	"cmp"
	"maps"
	"slices"
)

// A callList has the calls that wait for a worker, by ascending id. Adding a new call and removing any call take
// constant time.
type callList struct {
	first, last *call
	len         int
}

// insert puts a call where it belongs. A new call has the highest id, and one that runs again has one of the
// lowest.
func (l *callList) insert(c *call) {
	before, after := l.last, (*call)(nil) // the neighbours
	if before != nil && c.id < before.id {
		before, after = nil, l.first
		for after.id < c.id {
			before, after = after, after.next
		}
	}
	c.previous, c.next = before, after
	*l.nextOf(before), *l.previousOf(after) = c, c
	l.len++
}

// remove takes a call out, which must be in the list.
func (l *callList) remove(c *call) {
	*l.nextOf(c.previous), *l.previousOf(c.next) = c.next, c.previous
	c.previous, c.next = nil, nil
	l.len--
}

// nextOf returns the pointer that leads on from c, or to the first call if c is nil.
func (l *callList) nextOf(c *call) **call {
	if c == nil {
		return &l.first
	}
	return &c.next
}

// previousOf returns the pointer that leads back from c, or to the last call if c is nil.
func (l *callList) previousOf(c *call) **call {
	if c == nil {
		return &l.last
	}
	return &c.previous
}

// sortedCalls returns the calls of a map by ascending id.
func sortedCalls(calls map[uint64]*call) []*call {
	return slices.SortedFunc(maps.Values(calls), func(a, b *call) int { return cmp.Compare(a.id, b.id) })
}
