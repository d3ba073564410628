package main

import wc "github.com/workerchannel/workerchannel"

// A request is a job that somebody waits for. The coordinator keeps it as the job's tag.
type request struct {
	spawn  wc.SpawnJob
	settle func(wc.TrackedJob) // called exactly once, unless refuse is
	refuse func(error)
}

// hostLoop is the host's event loop, that of the README. Nothing else uses the coordinator, which is a *wc.Coordinator in
// your program. start starts a worker and returns the channels from and to it, kill stops it without waiting, and calls
// are what else the program does with the coordinator.
func hostLoop(c *story, start func() (<-chan []byte, chan<- []byte), kill func(error), observe func(wc.Envelope),
	requests <-chan *request, calls <-chan func(), turns, done <-chan struct{}) {
	fromWorker, toWorker := start()
	c.ExpectWorker()
	var next []byte // the message to be sent next; nil if there is none
	for {
		if next == nil {
			next, _, _ = c.AppendNext(nil)
		}
		out := toWorker
		if next == nil {
			out = nil // a nil channel is never ready
		}
		select {
		case out <- next: // sending never keeps the loop from receiving
			next = nil
		case data, alive := <-fromWorker: // closed when the worker is gone and all that it sent has been read
			if !alive {
				c.WorkerLost()
				next = nil // it was for that worker
				fromWorker, toWorker = start()
				c.ExpectWorker()
				break
			}
			switch env, err := c.Receive(data); {
			case err == nil:
				observe(env)
			case !wc.IsStray(err):
				kill(err) // a broken worker; fromWorker closes soon
			}
		case job := <-requests:
			if err := c.SpawnTagged(job.spawn, job); err != nil {
				job.refuse(err)
			}
		case call := <-calls:
			call()
		case <-turns:
			c.AdvanceTurn()
			if late, ok := c.Overdue(); ok {
				kill(late)
			}
		case <-done:
			return
		}
		for _, job := range c.Reap() {
			job.Tag.(*request).settle(job) // exactly once, with outcome and cause
		}
	}
}
