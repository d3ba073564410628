package driver

import "slices"

// effects are what the scheduler asks of its host.
type effects struct {
	settled []*call   // their result is set: tell the callers
	ordered []*slot   // they have new orders: wake their loops
	balance bool      // call balance when those have been told
	left    []*call   // they are cancelled: tell the callers, who do not wait for more
	quiet   []*Region // they are closed, and their last calls are settled
	ready   []*slot   // call workerSilent if they do not say their capacity soon, and retire when they are old
	taken   []*call   // call unreserve if they do not come back soon
	hired   []*post   // start a worker for them
	idle    []*slot   // they have no calls: call idleFor if that lasts
	dry     bool      // no worker is ready any more: call expireAll if that lasts
	early   []*call   // no worker is ready: call expireCall if that lasts
	barren  error     // why those who wait for workers need not wait any longer
}

// reset forgets the effects, which have taken place.
func (e *effects) reset() {
	e.settled, e.ordered, e.ready, e.balance = emptied(e.settled), emptied(e.ordered), emptied(e.ready), false
	e.left, e.quiet, e.taken, e.hired, e.idle, e.early = emptied(e.left), emptied(e.quiet), emptied(e.taken), emptied(e.hired), emptied(e.idle), emptied(e.early)
	e.dry, e.barren = false, nil
}

// An order asks the loop of a worker to do something.
type order struct {
	kind    orderKind
	call    *call
	attempt uint64 // of the call; if it has another one by now, the order is void
}

type orderKind uint8

const (
	orderSpawn  orderKind = iota // hand the call to the worker
	orderCancel                  // begin the cancel handshake
	orderReturn                  // the same, to run the call elsewhere
	orderStop                    // shut down when idle
)

// takeOrders returns the orders for a slot, oldest first, but those that are void. The list is valid until the next call.
func (s *scheduler) takeOrders(w *slot) []order {
	w.orders, w.spare = emptied(w.spare), w.orders
	taken, kept := w.spare[:0], false
	for _, o := range w.spare {
		c := o.call
		switch {
		case o.void(w):
			continue
		case o.kind == orderSpawn:
			c.ordered = true
		case o.kind == orderReturn && !c.returning:
			continue // it is being cancelled
		case o.kind == orderReturn && c.begun:
			s.keep(c)
			kept = true
			continue
		}
		taken = append(taken, o)
	}
	clear(w.spare[len(taken):])
	if kept {
		s.dispatch()
	}
	return taken
}

// void reports whether the call of an order is elsewhere.
func (o order) void(w *slot) bool {
	return o.call != nil && (o.call.slot != w || o.call.attempt != o.attempt)
}

func (s *scheduler) order(w *slot, kind orderKind, c *call) {
	if n := len(w.orders); n >= 4*maxCapacity && n == cap(w.orders) { // its loop waits for the worker, which may say anything meanwhile
		w.orders = slices.DeleteFunc(w.orders, func(o order) bool { return o.void(w) })
		w.orders = slices.Grow(w.orders, len(w.orders)) // so that this is seldom
	}
	o := order{kind: kind, call: c}
	if c != nil {
		o.attempt = c.attempt
	}
	w.orders = append(w.orders, o)
	s.effects.ordered = append(s.effects.ordered, w)
}
