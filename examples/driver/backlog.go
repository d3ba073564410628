package driver

// A backlog has the calls that no worker has. Every operation takes constant time.
type backlog struct {
	suspects chain[*call] // calls that run alone, before all others
	turns    chain[*line] // the lines in which calls wait, the next in turn first
	parked   chain[*call] // those that only a worker could take that still lets go of them
	others   line         // of the calls without a region
	len      int
}

// A line has the calls of a region that wait. Lines take turns, so that a region with many calls does not hold up others.
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

// giveBack puts a call that a worker had in front of its line.
func (b *backlog) giveBack(c *call) {
	b.len++
	if c.suspect {
		b.suspects.prepend(&c.link)
		return
	}
	l := b.lineOf(c)
	l.calls.prepend(&c.link)
	l.turn.of = l
	l.turn.remove() // the turn that it has had came to nothing
	b.turns.prepend(&l.turn)
}

// park puts a call aside.
func (b *backlog) park(c *call) {
	b.len++
	b.parked.append(&c.link)
}

// remove takes any call out.
func (b *backlog) remove(c *call) {
	b.len--
	c.link.remove()
	if l := b.lineOf(c); l.calls.len == 0 {
		l.turn.remove()
	}
}

// next returns the call whose turn it is, but no suspect; nil if there is none.
func (b *backlog) next() *call {
	if b.turns.len == 0 {
		return nil
	}
	return b.turns.first.of.calls.first.of
}

// take takes out the call that next has returned, and ends the turn of its line.
func (b *backlog) take(c *call) {
	b.remove(c)
	if l := b.lineOf(c); l.calls.len > 0 {
		l.turn.remove()
		b.queue(l)
	}
}

// any returns one of the calls that wait; nil if none does.
func (b *backlog) any() *call {
	for _, calls := range []*chain[*call]{&b.suspects, &b.parked} {
		if calls.len > 0 {
			return calls.first.of
		}
	}
	return b.next()
}

// each calls f with calls that wait, at most so many of each line, in no order.
func (b *backlog) each(most int, f func(*call)) {
	some := func(calls *chain[*call]) {
		for l, n := calls.first, 0; l != nil && n < most; l, n = l.next, n+1 {
			f(l.of)
		}
	}
	some(&b.suspects)
	some(&b.parked)
	for l := b.turns.first; l != nil; l = l.next {
		some(&l.of.calls)
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
