package main

import (
	"bufio"
	"sync"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/journal"
)

// perform runs the whole story.
func perform(out *bufio.Writer, note func(journal.Step)) {
	h := &host{
		c:           journal.Record(wc.NewCoordinator(seed), note),
		requests:    make(chan func() error),
		fromWorkers: make(chan []byte, 16),
		jobs:        make(map[uint64]*job),
		out:         out,
		moving:      new(sync.WaitGroup),
	}
	go tell(&story{h})
	h.loop()
}

// A story is the rest of the host's program: what asks for jobs, and what happens to it.
//
// It waits until nothing moves before it goes on, so that the transcript is the same every time. That is
// what moving is for, the count of messages and requests on their way; your program needs no such thing.
type story struct {
	h *host
}

func tell(s *story) {
	h := s.h
	h.title()

	h.scene("A worker comes up", "It announces itself under a name that no other has had. Before that, it gets no jobs.")
	s.ask(func() error { h.connect("w-1"); return nil })
	h.table()

	h.scene("Three jobs", "One succeeds, one ends with an error of its own, one panics. The worker survives all three.")
	s.ask(
		func() error { return h.spawn(1, "divide 84 by 2") },
		func() error { return h.spawn(2, "divide 84 by two") },
		func() error { return h.spawn(3, "divide 84 by 0") },
	)
	h.table()

	h.scene("A poll", "A long job says nothing by itself, so the host asks.")
	s.ask(func() error { return h.spawn(4, "watch the oven") })
	s.ask(func() error { return h.c.PollStatus(4) })
	h.table()

	h.scene("A cancel", "It is a handshake rather than a kill: the job stops, lets go of what it holds, and cleans up.")
	s.ask(func() error { return h.c.CancelJob(4, "dinner is ready") })
	h.table()

	h.scene("A cancel that comes too late", "The job has ended before the request arrives. Its result counts, and nobody is confused.")
	s.ask(
		func() error { return h.spawn(5, "divide 1000 by 8") },
		func() error { return h.c.CancelJob(5, "never mind") },
	)
	h.table()

	h.scene("A worker is lost", "Its jobs fail at once, so that nobody waits for them. What it still says comes late, and counts no more.")
	s.ask(
		func() error { return h.spawn(6, "watch the door") },
		func() error { return h.spawn(7, "watch the tide") },
	)
	late := s.breakLine()
	s.deliver(late)
	h.table()

	h.scene("Its successor", "The failed jobs are spawned again. More late words of the first worker come, about the same jobs, and do no harm.")
	s.ask(func() error { h.connect("w-2"); return nil })
	s.ask(
		func() error { return h.spawn(6, "watch the door") },
		func() error { return h.spawn(7, "watch the tide") },
	)
	s.deliver(late)
	s.deliver(late)
	h.table()

	h.scene("Shutdown", "The worker finishes what it has, and stops.")
	s.ask(func() error { return h.c.RequestShutdown("the day is over") })
	h.table()
	h.end()
	close(h.requests)
}

// ask makes calls in one turn of the host, and waits for all that comes of them.
func (s *story) ask(calls ...func() error) {
	s.h.moving.Add(1)
	s.h.requests <- func() error {
		for _, call := range calls {
			if err := call(); err != nil {
				return err
			}
		}
		return nil
	}
	s.h.moving.Wait()
}

// breakLine breaks the line under both ends. The worker's last words come late.
func (s *story) breakLine() (late <-chan []byte) {
	l := s.h.line
	s.h.moving.Add(2)
	close(l.broken)
	s.h.moving.Wait()
	return l.late
}

// deliver lets one late message arrive.
func (s *story) deliver(late <-chan []byte) {
	s.h.moving.Add(1)
	s.h.fromWorkers <- <-late
	s.h.moving.Wait()
}
