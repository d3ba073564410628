package driver

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/workerchannel/workerchannel"
)

// An EventKind says what an Event is about.
type EventKind uint8

const (
	EventSent     EventKind = iota + 1 // a message is being sent to the worker
	EventReceived                      // a message of the worker was accepted
	EventRefused                       // a message of the worker was refused, for Err, and the worker is being ended
	EventStray                         // a message of another session was ignored, for Err
	EventEnded                         // the connection of the worker has ended, for Err; nil: the worker has shut down
)

// String returns one word.
func (k EventKind) String() string {
	names := [...]string{"unknown", "sent", "received", "refused", "stray", "ended"}
	if int(k) >= len(names) {
		k = 0
	}
	return names[k]
}

// An Event is something that happens between a host and a worker.
type Event struct {
	Kind     EventKind
	Worker   uint64                 // its number, see WorkerStats
	Turn     uint64                 // the host's, for this worker
	Job      uint64                 // the number of the call that the message is about; 0: none
	Label    string                 // of that call, see WithLabel
	Envelope workerchannel.Envelope // Op is nil if there is no message, or it could not be read. Do not change it
	Size     int                    // of the message as text, in bytes
	Err      error                  // as Kind says; otherwise nil
}

type observer struct{ f func(Event) }

// add adds an observer, and returns what removes it.
func (o *observers) add(f func(Event)) (remove func()) {
	one := &observer{f}
	o.change(func(list []*observer) []*observer { return append(slices.Clone(list), one) })
	return func() {
		o.change(func(list []*observer) []*observer {
			return slices.DeleteFunc(slices.Clone(list), func(other *observer) bool { return other == one })
		})
	}
}

// observers is a list that is replaced when it changes.
type observers struct {
	changing sync.Mutex
	list     atomic.Pointer[[]*observer] // nil: none
}

func (o *observers) change(f func([]*observer) []*observer) {
	o.changing.Lock()
	defer o.changing.Unlock()
	var list []*observer
	if p := o.list.Load(); p != nil {
		list = *p
	}
	if list = f(list); len(list) == 0 {
		o.list.Store(nil)
		return
	}
	o.list.Store(&list)
}
