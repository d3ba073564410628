package driver

import "slices"

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
