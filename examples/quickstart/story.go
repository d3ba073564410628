package main

import (
	"bufio"
	"errors"
	"fmt"
	"sync"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// perform runs the whole story.
func perform(out *bufio.Writer, c *journal.Recorder) {
	h := &host{
		c:        c,
		requests: make(chan func() error),
		turns:    make(chan struct{}),
		jobs:     make(map[uint64]*job),
		out:      out,
		moving:   new(sync.WaitGroup),
	}
	h.moving.Add(1) // until the loop waits for the first event
	go tell(&story{h})
	h.loop()
}

// A story is the rest of the host's program: it asks for jobs, and it is to blame for what happens to the workers.
//
// It waits until nothing moves before it goes on, so that the transcript is always the same. For this it counts,
// in moving, the messages, requests and turns that are on their way. Your program needs nothing like it.
type story struct {
	h *host
}

func tell(s *story) {
	h := s.h
	h.moving.Wait()
	h.title()

	h.scene("A worker starts", "It announces itself with an id that no other worker has had. It gets no job before that.")
	s.ask(
		func() error { return h.start("w-1") },
		s.refused(wc.ErrWorkerNotReady, func() error { return h.spawn(1, 1, "divide 84 by 2") }),
	)

	h.scene("Three jobs", "One returns a result, one an error, and one panics. The worker survives all three.")
	s.ask(
		func() error { return h.spawn(1, 1, "divide 84 by 2") },
		func() error { return h.spawn(2, 1, "divide 84 by two") },
		func() error { return h.spawn(3, 1, "divide 84 by 0") },
	)
	h.table()

	h.scene("A poll", "A long job sends nothing by itself, so the host asks for its status.")
	s.ask(func() error { return h.spawn(4, 1, "watch the oven") })
	s.ask(func() error { return h.c.PollStatus(4) })
	h.table()

	h.scene("A cancel", "It is a handshake, not a kill: the worker acknowledges it (the job will report no outcome),\nlets go of what the job has under way (drain), and cleans up (finalize).")
	s.ask(func() error { return h.c.CancelJob(4, "dinner is ready") })
	h.table()

	h.scene("A cancel that comes too late", "The job has ended before the request arrives. Its result counts.")
	s.ask(
		func() error { return h.spawn(5, 1, "divide 1000 by 8") },
		func() error { return h.c.CancelJob(5, "never mind") },
	)
	h.table()

	h.scene("A worker is lost", "The network fails. All jobs of the worker fail at once, so nobody waits for them. The worker does not know\nthat, and what it sends now arrives late. The host refuses it, because the session of that worker has ended.")
	s.ask(
		func() error { return h.spawn(6, 2, "watch the door") },
		func() error { return h.spawn(7, 2, "watch the tide") },
	)
	late := s.cutLine()
	s.deliver(late)
	h.table()

	h.scene("Its successor", "A new worker runs the failed jobs again. Two more late messages of the first worker, one of them about\nthe same job, change nothing.")
	s.ask(func() error { return h.start("w-2") })
	s.ask(
		func() error { return h.spawn(6, 2, "watch the door") },
		func() error { return h.spawn(7, 2, "watch the tide") },
	)
	s.deliver(late)
	s.deliver(late)
	h.table()

	h.scene("A worker hangs", fmt.Sprintf("Job 8 is cancelled, but it never lets go of what it holds: the worker does not answer DrainJob and does\nnothing else any more. The host allows it %d turns. Then it kills the worker, and another one takes over.", limits.Drain))
	s.ask(func() error { return h.spawn(stuckTask, 1, "hold the rope") })
	s.ask(func() error { return h.c.CancelJob(stuckTask, "let go") })
	for range limits.Drain {
		s.turn()
	}
	s.ask(func() error { return h.start("w-3") })
	s.ask(
		func() error { return h.spawn(6, 2, "watch the door") },
		func() error { return h.spawn(7, 2, "watch the tide") },
	)
	h.table()

	h.scene("A region is closed", "Jobs 6 and 7 belong to region 2, the others to region 1. Closing a region cancels its jobs and lets no new\none in. The host waits until all of them have ended.")
	s.ask(
		func() error { return h.closeRegion(2, "the night is over") },
		s.refused(wc.ErrRegionClosed, func() error { return h.spawn(9, 2, "watch the moon") }),
	)
	h.table()

	h.scene("Shutdown", "The host takes no new jobs, lets those in flight end, and then asks the worker to stop.")
	s.ask(
		func() error { return h.spawn(9, 1, "divide 81 by 9") },
		func() error { return h.c.ShutdownWhenIdle("the day is over") },
		s.refused(wc.ErrShutdownInProgress, func() error { return h.spawn(10, 1, "divide 100 by 10") }),
	)
	h.table()

	h.end()
	close(h.requests)
}

// ask begins a turn, makes calls in it, and waits for everything that follows from them.
func (s *story) ask(calls ...func() error) {
	s.turn()
	s.request(func() error {
		for _, call := range calls {
			if err := call(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *story) request(call func() error) {
	s.h.moving.Add(1)
	s.h.requests <- call
	s.h.moving.Wait()
}

// refused makes a call that must be refused.
func (s *story) refused(want error, call func() error) func() error {
	return func() error {
		err := call()
		if !errors.Is(err, want) {
			return fmt.Errorf("expected %v, got %v", want, err)
		}
		s.h.event("a job is refused, as it should be: %s", describeError(err))
		return nil
	}
}

// turn begins a turn of the host.
func (s *story) turn() {
	s.h.moving.Add(1)
	s.h.turns <- struct{}{}
	s.h.moving.Wait()
}

// cutLine cuts the line to the worker. It returns what the worker sends after that.
func (s *story) cutLine() (late <-chan []byte) {
	l := s.h.line
	s.turn()
	s.request(func() error {
		s.h.event("the line to %s breaks", l.worker)
		l.cut()
		return nil
	})
	return l.late
}

// deliver has one late message arrive.
func (s *story) deliver(late <-chan []byte) {
	s.turn()
	s.request(func() error {
		s.h.receive(<-late)
		return nil
	})
}
