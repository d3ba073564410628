package workerchannel_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"

	"github.com/workerchannel/workerchannel"
)

// A host and its worker exchange bytes over two channels. The host's goroutine owns the coordinator, and
// everything reaches it over channels.
func Example() {
	const seed = 42
	toWorker, fromWorker := make(chan []byte, 16), make(chan []byte, 16)
	requests := make(chan workerchannel.SpawnJob, 1)
	workerDied := make(chan struct{})
	done := make(chan struct{})

	send := func(env workerchannel.Envelope) {
		text, err := env.AppendJSON(nil)
		if err != nil {
			log.Fatal(err) // never: the coordinator queues nothing that cannot be written
		}
		toWorker <- text
	}
	ready := func() { requests <- workerchannel.SpawnJob{JobID: 7, Payload: []byte("shout")} }
	deliver := func(job workerchannel.JobCompleted) {
		fmt.Printf("job %d: %s\n", job.JobID, job.Outcome.(workerchannel.OutcomeOk).Payload)
	}
	refuse := func(job workerchannel.SpawnJob, err error) { fmt.Println("refused:", job.JobID, err) }
	settle := func(job workerchannel.TrackedJob) {
		fmt.Printf("job %d has ended: %s\n", job.JobID, job.State)
		close(done)
	}

	go shout(toWorker, fromWorker)
	loop := func() {
		// README: begin
		c := workerchannel.NewCoordinator(seed)
		for {
			select {
			case data := <-fromWorker: // the bytes of one message
				env, err := c.Receive(data) // read, verify and apply in one pass
				if err != nil {
					log.Print(err)
					break
				}
				switch op := env.Op.(type) {
				case workerchannel.BootstrapReady:
					ready()
				case workerchannel.JobCompleted:
					deliver(op)
				}
			case job := <-requests:
				if err := c.SpawnJob(job); err != nil {
					refuse(job, err)
				}
			case <-workerDied:
				c.WorkerLost()
			case <-done:
				return
			}
			for env := range c.Outbox() {
				send(env)
			}
			for _, job := range c.Reap() { // nobody waits forever
				settle(job)
			}
		}
		// README: end
	}
	loop()
	// Output:
	// job 7: SHOUT
	// job 7 has ended: completed
}

// shout is a worker that answers each job with its payload in capitals.
func shout(in <-chan []byte, out chan<- []byte) {
	w := workerchannel.NewWorker("shouter-1", 42)
	err := w.Announce()
	for err == nil {
		for env := range w.Outbox() {
			text, err := env.AppendJSON(nil)
			if err != nil {
				log.Fatal(err)
			}
			out <- text
		}
		var env workerchannel.Envelope
		if env, err = w.Receive(<-in); err != nil {
			log.Fatal(err)
		}
		if job, ok := env.Op.(workerchannel.SpawnJob); ok {
			err = w.Complete(job.JobID, workerchannel.OutcomeOk{Payload: bytes.ToUpper(job.Payload)})
		}
	}
	log.Fatal(err)
}

// A worker that dies takes its jobs with it, at once and for certain; a late message of it is refused.
func ExampleCoordinator_WorkerLost() {
	c := workerchannel.NewCoordinator(42)
	w := workerchannel.NewWorker("worker-1", 42)
	carry := func() { // everything the worker has to say
		for env := range w.Outbox() {
			if err := c.HandleInbound(&env); err != nil {
				fmt.Println(err)
			}
		}
	}
	_ = w.Announce()
	carry()
	_ = c.SpawnJob(workerchannel.SpawnJob{JobID: 1})
	_ = c.SpawnJob(workerchannel.SpawnJob{JobID: 2})

	_ = w.Diagnose(workerchannel.Diagnostic{Message: "still on its way when the process was killed"})
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
	c := workerchannel.NewCoordinator(42)
	w := workerchannel.NewWorker("worker-1", 42)
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
	_ = c.SpawnJob(workerchannel.SpawnJob{JobID: 1})
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
	verified := make(chan workerchannel.Verified)
	go func() {
		for data := range fromWorker {
			v, err := workerchannel.Verify(data)
			if err != nil {
				log.Print(err)
				continue
			}
			verified <- v
		}
		close(verified)
	}()

	hello := workerchannel.NewWorkerEnvelope("worker-1", workerchannel.Header{MessageID: 1, SeqNo: 1},
		workerchannel.BootstrapReady{WorkerID: "worker-1"})
	text, _ := hello.AppendJSON(nil)
	fromWorker <- text
	close(fromWorker)

	c := workerchannel.NewCoordinator(42)
	for v := range verified {
		fmt.Println(c.HandleVerified(v), c.WorkerReady())
	}
	// Output: <nil> true
}

// Each kind of error has a sentinel for errors.Is, and a type with its data for errors.As.
func ExampleJobError() {
	c := workerchannel.NewCoordinator(42)
	err := c.PollStatus(7)
	fmt.Println(errors.Is(err, workerchannel.ErrUnknownJobID))
	if e, ok := errors.AsType[*workerchannel.JobError](err); ok {
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
	env := workerchannel.NewEnvelope(workerchannel.Header{MessageID: 1, SeqNo: 1, DecisionSeq: 1, Seed: 42},
		workerchannel.SpawnJob{JobID: 7, RegionID: 1, TaskID: 2, ObligationID: 3, Payload: []byte{1, 2, 255}})
	text, err := env.AppendJSON(nil)
	fmt.Println(string(text), err)
	// Output:
	// {"version":1,"message_id":1,"seq_no":1,"decision_seq":1,"seed":42,"issued_at_turn":0,"replay_hash":352996006952626323,"op":{"type":"SpawnJob","job_id":7,"region_id":1,"task_id":2,"obligation_id":3,"payload":[1,2,255]}} <nil>
}

// A message that is refused says why, and where.
func ExampleParseEnvelope() {
	_, err := workerchannel.ParseEnvelope([]byte(`{"version": 1, "message_id": 1.5}`))
	fmt.Println(err)
	// Output:
	// workerchannel: text that is no message: at byte 29: a plain integer is needed, without fraction or exponent
}
