package workerchannel_test

import (
	"bytes"
	"fmt"
	"log"
	"time"

	wc "github.com/workerchannel/workerchannel"
)

// A request is a job that somebody waits for. The coordinator keeps it as the job's tag.
type request struct {
	spawn  wc.SpawnJob
	settle func(wc.TrackedJob) // called exactly once, unless refuse is
	refuse func(error)
}

// hostLoop owns the coordinator. start starts a worker and returns its channels; the first is closed when the
// worker is gone and all that it sent has been read. kill makes that happen.
func hostLoop(limits wc.Limits, start func() (<-chan []byte, chan<- []byte), requests <-chan *request,
	turns <-chan time.Time, done <-chan struct{}, kill func(error), observe func(wc.Envelope)) {
	const seed = 42
	// README: begin
	c := wc.NewCoordinator(seed, wc.WithLimits(limits))
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
	// README: end
}

// A host hands a job to a worker in a goroutine. The host's loop owns the coordinator, and everything reaches it
// over channels. See the README for the loop.
func Example() {
	requests, turns, done := make(chan *request), time.NewTicker(time.Second), make(chan struct{})
	ready := make(chan struct{})
	start := func() (<-chan []byte, chan<- []byte) {
		toWorker, fromWorker := make(chan []byte), make(chan []byte)
		go shout(toWorker, fromWorker)
		return fromWorker, toWorker
	}
	observe := func(env wc.Envelope) {
		fmt.Println(env)
		if env.Op.Type() == wc.OpBootstrapReady {
			close(ready)
		}
	}
	go hostLoop(wc.Limits{Boot: 5, Cancel: 5, Drain: 5, Finalize: 5, Poll: 5, Shutdown: 5}, start, requests, turns.C, done,
		func(err error) { log.Print(err) }, observe)

	<-ready
	settled := make(chan wc.TrackedJob)
	requests <- &request{
		spawn:  wc.SpawnJob{JobID: 7, Payload: []byte("shout")},
		settle: func(job wc.TrackedJob) { settled <- job },
		refuse: func(err error) { log.Print(err) },
	}
	job := <-settled
	fmt.Printf("job %d has %s: %s\n", job.JobID, job.State, job.Outcome.(wc.OutcomeOk).Payload)
	close(done)
	// Output:
	// shouter-1 → BootstrapReady
	// shouter-1 → JobCompleted job 7: ok, 5 bytes
	// job 7 has completed: SHOUT
}

// A coordinator alone. The worker is in the same process, so its messages need not be bytes.
func ExampleCoordinator() {
	worker := wc.NewWorker("worker-1", 42)
	_ = worker.Announce()
	hello, _ := worker.DrainOutbox()
	answer := func(env wc.Envelope) *wc.Envelope {
		_ = worker.HandleInbound(&env)
		job := env.Op.(wc.SpawnJob)
		_ = worker.Complete(job.JobID, wc.OutcomeOk{Payload: bytes.ToUpper(job.Payload)})
		completed, _ := worker.DrainOutbox()
		return &completed
	}
	// README: begin
	c := wc.NewCoordinator(42)
	err := c.HandleInbound(&hello) // the worker's BootstrapReady
	err = c.SpawnJob(wc.SpawnJob{JobID: 7, Payload: []byte("shout")})
	env, ok := c.DrainOutbox()         // the SpawnJob for the worker
	err = c.HandleInbound(answer(env)) // the worker's JobCompleted
	jobs := c.Reap()                   // the jobs that have ended, each once, with outcome and cause
	// README: end
	fmt.Printf("%v %v %d %s\n", err, ok, jobs[0].JobID, jobs[0].Outcome.(wc.OutcomeOk).Payload)
	// Output: <nil> true 7 SHOUT
}

// shout is a worker that completes each job with its payload in capitals.
func shout(in <-chan []byte, out chan<- []byte) {
	w := wc.NewWorker("shouter-1", 42)
	err := w.Announce()
	for err == nil {
		for data, _, ok := w.AppendNext(nil); ok; data, _, ok = w.AppendNext(nil) {
			out <- data
		}
		var env wc.Envelope
		if env, err = w.Receive(<-in); err != nil {
			log.Fatal(err)
		}
		if job, ok := env.Op.(wc.SpawnJob); ok {
			err = w.Complete(job.JobID, wc.OutcomeOk{Payload: bytes.ToUpper(job.Payload)})
		}
	}
	log.Fatal(err)
}
