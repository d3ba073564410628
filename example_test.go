package workerchannel_test

import (
	"bytes"
	"errors"
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
	var next []byte // the message to be sent next
	for {
		if next == nil {
			if env, ok := c.DrainOutbox(); ok {
				next, _ = env.AppendJSON(nil) // the coordinator queues nothing that cannot be written
			}
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

// shout is a worker that completes each job with its payload in capitals.
func shout(in <-chan []byte, out chan<- []byte) {
	w := wc.NewWorker("shouter-1", 42)
	err := w.Announce()
	for err == nil {
		for env := range w.Outbox() {
			data, _ := env.AppendJSON(nil) // the worker queues nothing that cannot be written
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

// A worker that dies takes its jobs with it, at once and for certain; a late message of it is refused.
func ExampleCoordinator_WorkerLost() {
	c := wc.NewCoordinator(42)
	w := wc.NewWorker("worker-1", 42)
	carry := func() { // everything the worker has to say
		for env := range w.Outbox() {
			if err := c.HandleInbound(&env); err != nil {
				fmt.Println(err)
			}
		}
	}
	_ = w.Announce()
	carry()
	_ = c.SpawnJob(wc.SpawnJob{JobID: 1})
	_ = c.SpawnJob(wc.SpawnJob{JobID: 2})

	_ = w.Diagnose(wc.Diagnostic{Message: "still on its way when the process was killed"})
	c.WorkerLost()
	carry()
	for _, job := range c.Reap() {
		fmt.Println("job", job.JobID, job.State)
	}
	// Output:
	// workerchannel: message of a worker that is not the active one: worker "worker-1", expected none
	// job 1 failed
	// job 2 failed
}

// Cancelling is a handshake: request, acknowledge, drain, finalize.
func ExampleCoordinator_CancelJob() {
	c := wc.NewCoordinator(42)
	w := wc.NewWorker("worker-1", 42)
	_ = w.Announce()
	toHost := func() {
		for env := range w.Outbox() {
			if err := c.HandleInbound(&env); err != nil {
				fmt.Println(err)
			}
		}
	}
	toWorker := func() {
		for env := range c.Outbox() {
			if err := w.HandleInbound(&env); err != nil {
				fmt.Println(err)
			}
			state, _ := c.JobState(1)
			fmt.Printf("%s sent, job %s\n", env.Op.Type(), state)
		}
	}
	toHost()
	_ = c.SpawnJob(wc.SpawnJob{JobID: 1})
	toWorker()
	_ = c.CancelJob(1, "the user went away")
	toWorker()
	for _, answer := range []func(uint64) error{w.AcknowledgeCancel, w.CompleteDrain, w.CompleteFinalize} {
		_ = answer(1)
		toHost()
		toWorker()
	}
	state, _ := c.JobState(1)
	fmt.Println("in the end, job", state)
	// Output:
	// SpawnJob sent, job queued
	// CancelJob sent, job cancel_requested
	// DrainJob sent, job draining
	// FinalizeJob sent, job finalizing
	// in the end, job completed
}

// Verify may run on any goroutine, so that the loop that owns the coordinator has next to nothing to do
// for a large message.
func ExampleVerify() {
	fromWorker := make(chan []byte, 1)
	verified := make(chan wc.Verified)
	go func() {
		for data := range fromWorker {
			v, err := wc.Verify(data)
			if err != nil {
				log.Print(err)
				continue
			}
			verified <- v
		}
		close(verified)
	}()

	hello := wc.NewWorkerEnvelope("worker-1", wc.Header{MessageID: 1, SeqNo: 1},
		wc.BootstrapReady{WorkerID: "worker-1"})
	text, _ := hello.AppendJSON(nil)
	fromWorker <- text
	close(fromWorker)

	c := wc.NewCoordinator(42)
	for v := range verified {
		fmt.Println(c.HandleVerified(v), c.WorkerReady())
	}
	// Output: <nil> true
}

// Each kind of error has a sentinel for errors.Is, and a type with its data for errors.As.
func ExampleJobError() {
	c := wc.NewCoordinator(42)
	err := c.PollStatus(7)
	fmt.Println(errors.Is(err, wc.ErrUnknownJobID))
	if e, ok := errors.AsType[*wc.JobError](err); ok {
		fmt.Println(e.JobID)
	}
	fmt.Println(err)
	// Output:
	// true
	// 7
	// workerchannel: job id is not tracked: job 7
}

// The canonical text is what goes on the wire, and what the replay digest is taken over.
func ExampleEnvelope_AppendJSON() {
	env := wc.NewEnvelope(wc.Header{MessageID: 1, SeqNo: 1, DecisionSeq: 1, Seed: 42},
		wc.SpawnJob{JobID: 7, RegionID: 1, TaskID: 2, ObligationID: 3, Payload: []byte{1, 2, 255}})
	text, err := env.AppendJSON(nil)
	fmt.Println(string(text), err)
	// Output:
	// {"version":1,"message_id":1,"seq_no":1,"decision_seq":1,"seed":42,"issued_at_turn":0,"replay_hash":352996006952626323,"op":{"type":"SpawnJob","job_id":7,"region_id":1,"task_id":2,"obligation_id":3,"payload":[1,2,255]}} <nil>
}

// A message that is refused says why, and where.
func ExampleParseEnvelope() {
	_, err := wc.ParseEnvelope([]byte(`{"version": 1, "message_id": 1.5}`))
	fmt.Println(err)
	// Output:
	// workerchannel: text that is no message: at byte 29: a plain integer is needed, without fraction or exponent
}
