package driver

// A chain is a list whose links are parts of what it lists, so that adding to it and removing from it take constant time.
type chain[T any] struct {
	first, last *link[T]
	len         int
}

// A link is in one chain at a time, or in none.
type link[T any] struct {
	of             T
	chain          *chain[T]
	previous, next *link[T]
}

func (c *chain[T]) append(l *link[T])  { c.insert(l, c.last, nil) }
func (c *chain[T]) prepend(l *link[T]) { c.insert(l, nil, c.first) }

func (c *chain[T]) insert(l, before, after *link[T]) {
	l.chain, l.previous, l.next = c, before, after
	*c.nextOf(before), *c.previousOf(after) = l, l
	c.len++
}

// remove takes a link out of its chain, if it is in one.
func (l *link[T]) remove() {
	c := l.chain
	if c == nil {
		return
	}
	*c.nextOf(l.previous), *c.previousOf(l.next) = l.next, l.previous
	l.chain, l.previous, l.next = nil, nil, nil
	c.len--
}

// nextOf returns the pointer that leads on from l, or to the first link if l is nil.
func (c *chain[T]) nextOf(l *link[T]) **link[T] {
	if l == nil {
		return &c.first
	}
	return &l.next
}

// previousOf returns the pointer that leads back from l, or to the last link if l is nil.
func (c *chain[T]) previousOf(l *link[T]) **link[T] {
	if l == nil {
		return &c.last
	}
	return &l.previous
}

// emptied returns a list without its elements, to be filled again, unless it is longer than most get.
func emptied[T any](list []T) []T {
	const most = 1024
	if cap(list) > most {
		return nil
	}
	clear(list)
	return list[:0]
}
