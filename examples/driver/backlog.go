package driver

import (
	"container/heap"
	"slices"
)

// A backlog has the calls that no worker has. What is done with one that has come back from a worker takes time that
// grows with the logarithm of their number, anything else constant time.
type backlog struct {
	suspects queue        // calls that run alone, before all others
	back     queue        // others that have had their turn and have come back from a worker
	turns    chain[*line] // the lines in which calls wait for their first turn, the next first
	parked   chain[*call] // those that only a worker could take that still lets go of them
	others   line         // of the calls without a region
	taken    uint64       // the turns that there have been
	len      int
}

// A line has the calls of a region that have had no turn. Lines take turns, so that a region with many calls does not hold
// up others.
type line struct {
	calls chain[*call]
	turn  link[*line]
}

// add puts a new call at the end of its line.
func (b *backlog) add(c *call) {
	b.len++
	l := b.lineOf(c)
	l.calls.append(&c.link)
	b.queue(l)
}

// giveBack puts a call that a worker had where its turn was.
func (b *backlog) giveBack(c *call) {
	b.len++
	if c.suspect {
		b.suspects.add(c)
	} else {
		b.back.add(c)
	}
}

// park puts a call aside.
func (b *backlog) park(c *call) {
	b.len++
	b.parked.append(&c.link)
}

// remove takes any call out.
func (b *backlog) remove(c *call) {
	b.len--
	if c.queue != nil {
		c.queue.remove(c)
		return
	}
	c.link.remove()
	if l := b.lineOf(c); l.calls.len == 0 {
		l.turn.remove()
	}
}

// next returns the call whose turn it is, but no suspect; nil if there is none.
func (b *backlog) next() *call {
	if c := b.back.first(); c != nil {
		return c
	}
	if b.turns.len == 0 {
		return nil
	}
	return b.turns.first.of.calls.first.of
}

// take takes out the call that next has returned. If that has its first turn, it is the last of its line for now.
func (b *backlog) take(c *call) {
	b.remove(c)
	if c.turn > 0 {
		return
	}
	b.taken++
	c.turn = b.taken
	if l := b.lineOf(c); l.calls.len > 0 {
		l.turn.remove()
		b.queue(l)
	}
}

// any returns one of the calls that wait; nil if none does.
func (b *backlog) any() *call {
	if c := b.suspects.first(); c != nil {
		return c
	}
	if b.parked.len > 0 {
		return b.parked.first.of
	}
	return b.next()
}

// each calls f with calls that wait: all that workers have had, and of each line at most so many; in no order.
func (b *backlog) each(most int, f func(*call)) {
	some := func(calls *chain[*call], most int) {
		for l := calls.first; l != nil && most > 0; l, most = l.next, most-1 {
			f(l.of)
		}
	}
	for _, c := range slices.Concat(b.suspects, b.back) {
		f(c)
	}
	some(&b.parked, b.parked.len)
	for l := b.turns.first; l != nil; l = l.next {
		some(&l.of.calls, most)
	}
}

func (b *backlog) lineOf(c *call) *line {
	if c.region != nil {
		return &c.region.line
	}
	return &b.others
}

// queue has a line wait for its turn, if it does not already.
func (b *backlog) queue(l *line) {
	if l.turn.chain == nil {
		l.turn.of = l
		b.turns.append(&l.turn)
	}
}

// A queue has calls by their turns. It is a heap.
type queue []*call

// first returns the call that had its turn first; nil if there is none.
func (q queue) first() *call {
	if len(q) == 0 {
		return nil
	}
	return q[0]
}

func (q *queue) add(c *call) {
	c.queue = q
	heap.Push(q, c)
}

func (q *queue) remove(c *call) {
	heap.Remove(q, c.place)
	c.queue = nil
}

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].turn < q[j].turn }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *queue) Push(c any) {
	c.(*call).place = len(*q)
	*q = append(*q, c.(*call))
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	c := (*q)[last]
	(*q)[last] = nil
	if *q = (*q)[:last]; last == 0 {
		*q = nil // a few minutes ago there may have been very many
	}
	return c
}
