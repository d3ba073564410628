package workerchannel_test

import (
	"errors"
	"fmt"

	wc "github.com/workerchannel/workerchannel"
)

// exchange carries messages between two halves in one process until neither has any.
func exchange(c *wc.Coordinator, w *wc.Worker) {
	for c.OutboxLen()+w.OutboxLen() > 0 {
		for env := range w.Outbox() {
			if err := c.HandleInbound(&env); err != nil {
				fmt.Println(err)
			}
		}
		for env := range c.Outbox() {
			if err := w.HandleInbound(&env); err != nil {
				fmt.Println(err)
			}
		}
	}
}

// pair returns a coordinator and a worker that has announced itself.
func pair(opts ...wc.Option) (*wc.Coordinator, *wc.Worker) {
	c, w := wc.NewCoordinator(42, opts...), wc.NewWorker("worker-1", 42)
	_ = w.Announce()
	exchange(c, w)
	return c, w
}

// A worker that is lost takes its jobs with it, at once and for certain. A late message of it is refused.
func ExampleCoordinator_WorkerLost() {
	c, w := pair()
	_ = c.SpawnJob(wc.SpawnJob{JobID: 1})
	_ = c.SpawnJob(wc.SpawnJob{JobID: 2})
	_ = w.Diagnose(wc.Diagnostic{Message: "still on its way when the process was killed"})

	c.WorkerLost()
	exchange(c, w)
	for _, job := range c.Reap() {
		fmt.Println("job", job.JobID, job.State, "because", job.Cause)
	}
	// Output:
	// workerchannel: message is not of the active worker: worker "worker-1", expected none
	// job 1 failed because worker_lost
	// job 2 failed because worker_lost
}

// Cancelling is a handshake: request, acknowledge, drain, finalize.
func ExampleCoordinator_CancelJob() {
	c, w := pair()
	_ = c.SpawnJob(wc.SpawnJob{JobID: 1})
	exchange(c, w)
	_ = c.CancelJob(1, "the user went away")
	for _, answer := range []func(uint64) error{w.AcknowledgeCancel, w.CompleteDrain, w.CompleteFinalize} {
		state, _ := c.JobState(1)
		fmt.Println(state)
		exchange(c, w)
		_ = answer(1)
		exchange(c, w)
	}
	job, _ := c.Job(1)
	fmt.Println(job.State, job.Cause, job.Outcome.(wc.OutcomeCancelled).Reason)
	// Output:
	// cancel_requested
	// draining
	// finalizing
	// completed cancelled the user went away
}

// Reap returns each job that has ended, once, with its outcome, its cause, and the tag that it was spawned with.
func ExampleCoordinator_Reap() {
	c, w := pair()
	for id, name := range []string{"first", "second"} {
		_ = c.SpawnTagged(wc.SpawnJob{JobID: uint64(id)}, name)
	}
	exchange(c, w)
	_ = w.Complete(0, wc.OutcomeOk{Payload: []byte("done")})
	_ = w.Complete(1, wc.OutcomeErr{Code: "E1", Message: "no such file"})
	exchange(c, w)
	for _, job := range c.Reap() {
		switch out := job.Outcome.(type) {
		case wc.OutcomeOk:
			fmt.Printf("%s: %s\n", job.Tag, out.Payload)
		case wc.OutcomeErr:
			fmt.Printf("%s: %s: %s\n", job.Tag, out.Code, out.Message)
		}
	}
	fmt.Println(len(c.Reap()), "left")
	// Output:
	// first: done
	// second: E1: no such file
	// 0 left
}

// With limits, a worker that hangs is noticed. Nothing happens by itself: the host stops the worker.
func ExampleCoordinator_Overdue() {
	c, w := pair(wc.WithLimits(wc.Limits{Cancel: 2}))
	_ = c.SpawnJob(wc.SpawnJob{JobID: 1})
	_ = c.CancelJob(1, "too slow")
	exchange(c, w) // the worker never answers
	for range 2 {
		c.AdvanceTurn()
		if late, ok := c.Overdue(); ok {
			fmt.Println(late)
			c.WorkerLost() // after the host has killed it
		}
	}
	state, _ := c.JobState(1)
	fmt.Println("job 1", state)
	// Output:
	// workerchannel: worker is late: CancelJob of job 1 sent in turn 0 was due in turn 2
	// job 1 failed
}

// Closing a region cancels its jobs and takes no more. It is quiescent when none is in flight.
func ExampleCoordinator_CloseRegion() {
	c, w := pair()
	_ = c.SpawnJob(wc.SpawnJob{JobID: 1, RegionID: 7})
	_ = c.SpawnJob(wc.SpawnJob{JobID: 2, RegionID: 7})
	exchange(c, w)
	fmt.Println(c.CloseRegion(7, "the window was closed"))
	fmt.Println(c.SpawnJob(wc.SpawnJob{JobID: 3, RegionID: 7}))

	exchange(c, w)
	_ = w.Complete(1, wc.OutcomeOk{}) // it ended by itself before it saw the cancel
	for _, answer := range []func(uint64) error{w.AcknowledgeCancel, w.CompleteDrain, w.CompleteFinalize} {
		_ = answer(2)
		exchange(c, w)
	}
	region, _ := c.Region(7)
	fmt.Printf("%d in flight of %d\n", region.Inflight, region.Tracked)
	// Output:
	// 2 <nil>
	// workerchannel: region is closed: region 7
	// 0 in flight of 2
}

// ShutdownWhenIdle lets the jobs in flight end before it asks the worker to stop.
func ExampleCoordinator_ShutdownWhenIdle() {
	c, w := pair()
	_ = c.SpawnJob(wc.SpawnJob{JobID: 1})
	exchange(c, w)
	_ = c.ShutdownWhenIdle("end of day")
	fmt.Println(c.SpawnJob(wc.SpawnJob{JobID: 2}))
	fmt.Println("asked to stop:", c.ShutdownRequested())

	_ = w.Complete(1, wc.OutcomeOk{})
	exchange(c, w)
	fmt.Println("asked to stop:", c.ShutdownRequested())
	// Output:
	// workerchannel: shutdown is in progress
	// asked to stop: false
	// asked to stop: true
}

// A worker does what the operation of each message asks.
func ExampleWorker() {
	c, w := pair()
	_ = c.SpawnJob(wc.SpawnJob{JobID: 1, Payload: []byte("work")})
	_ = c.SpawnJob(wc.SpawnJob{JobID: 2})
	_ = c.CancelJob(2, "not needed")
	_ = c.ShutdownWhenIdle("done")

	for !w.Closed() {
		for env := range c.Outbox() {
			if err := w.HandleInbound(&env); err != nil {
				_ = w.Fail(err.Error()) // the coordinator does not keep to the protocol
			}
			switch op := env.Op.(type) {
			case wc.SpawnJob:
				if len(op.Payload) > 0 {
					_ = w.Complete(op.JobID, wc.OutcomeOk{Payload: op.Payload})
				}
			case wc.CancelJob:
				_ = w.AcknowledgeCancel(op.JobID)
			case wc.DrainJob:
				_ = w.CompleteDrain(op.JobID)
			case wc.FinalizeJob:
				_ = w.CompleteFinalize(op.JobID)
			case wc.ShutdownWorker:
				_ = w.CompleteShutdown()
			}
		}
		for env := range w.Outbox() {
			fmt.Println(env)
			_ = c.HandleInbound(&env)
		}
	}
	// Output:
	// worker-1 → JobCompleted job 1: ok, 4 bytes
	// worker-1 → CancelAcknowledged job 2
	// worker-1 → DrainCompleted job 2
	// worker-1 → FinalizeCompleted job 2
	// worker-1 → ShutdownCompleted
}

// Verify may run on any goroutine, so the one that owns the coordinator has little to do for a large message.
func ExampleVerify() {
	hello := wc.NewWorkerEnvelope("worker-1", wc.Header{MessageID: 1, SeqNo: 1}, wc.BootstrapReady{WorkerID: "worker-1"})
	data, _ := hello.AppendJSON(nil)

	verified := make(chan wc.Verified)
	go func() {
		v, err := wc.Verify(data)
		if err != nil {
			panic(err)
		}
		verified <- v
	}()
	c := wc.NewCoordinator(42)
	fmt.Println(c.HandleVerified(<-verified), c.WorkerReady())
	// Output: <nil> true
}

// Each kind of error has a sentinel for errors.Is and, if it carries data, a type for errors.As.
func ExampleJobError() {
	c := wc.NewCoordinator(42)
	err := c.PollStatus(7)
	fmt.Println(errors.Is(err, wc.ErrUnknownJobID))
	if e := new(wc.JobError); errors.As(err, &e) {
		fmt.Println(e.JobID)
	}
	fmt.Println(err)
	// Output:
	// true
	// 7
	// workerchannel: job id is not tracked: job 7
}

// A message of another session is harmless. Any other refused message means that the worker is broken.
func ExampleIsStray() {
	c, _ := pair()
	stranger := wc.NewWorkerEnvelope("worker-0", wc.Header{SeqNo: 9}, wc.JobCompleted{Outcome: wc.OutcomeOk{}})
	repeated := wc.NewWorkerEnvelope("worker-1", wc.Header{SeqNo: 1}, wc.JobCompleted{Outcome: wc.OutcomeOk{}})
	for _, env := range []wc.Envelope{stranger, repeated} {
		err := c.HandleInbound(&env)
		fmt.Println(wc.IsStray(err), err)
	}
	// Output:
	// true workerchannel: message is not of the active worker: worker "worker-0", expected "worker-1"
	// false workerchannel: inbound sequence number is not fresh: expected more than 1, got 1
}

// Canonical JSON goes on the wire. The replay digest covers that of the operation.
func ExampleEnvelope_AppendJSON() {
	env := wc.NewEnvelope(wc.Header{MessageID: 1, SeqNo: 1, DecisionSeq: 1, Seed: 42},
		wc.SpawnJob{JobID: 7, RegionID: 1, TaskID: 2, ObligationID: 3, Payload: []byte{1, 2, 255}})
	data, err := env.AppendJSON(nil)
	fmt.Println(string(data), err)
	// Output:
	// {"version":1,"message_id":1,"seq_no":1,"decision_seq":1,"seed":42,"issued_at_turn":0,"replay_hash":352996006952626323,"op":{"type":"SpawnJob","job_id":7,"region_id":1,"task_id":2,"obligation_id":3,"payload":[1,2,255]}} <nil>
}

func ExampleEnvelope_String() {
	fmt.Println(wc.NewEnvelope(wc.Header{}, wc.CancelJob{JobID: 7, Reason: "too slow"}))
	fmt.Println(wc.NewWorkerEnvelope("w-1", wc.Header{}, wc.StatusSnapshot{JobID: 7, State: wc.StateRunning}))
	fmt.Println(wc.NewWorkerEnvelope("w-1", wc.Header{}, wc.JobCompleted{JobID: 7, Outcome: wc.OutcomeOk{Payload: []byte("hello")}}))
	// Output:
	// coordinator → CancelJob job 7: "too slow"
	// w-1 → StatusSnapshot job 7: running
	// w-1 → JobCompleted job 7: ok, 5 bytes
}

// The error for a malformed message says what was expected, and where.
func ExampleParseEnvelope() {
	_, err := wc.ParseEnvelope([]byte(`{"version": 1, "message_id": 1.5}`))
	fmt.Println(err)
	// Output:
	// workerchannel: malformed message: at byte 29: expected an integer without fraction or exponent
}

// A message as bytes, in one call: what is in an outbox can always be written.
func ExampleCoordinator_AppendNext() {
	c, _ := pair()
	_ = c.SpawnJob(wc.SpawnJob{JobID: 1, Payload: []byte("hi")})
	_ = c.PollStatus(1)
	var buf []byte // used again for each message
	for {
		text, env, ok := c.AppendNext(buf[:0])
		if !ok {
			break
		}
		fmt.Println(env.Op.Type(), len(text) > 0)
		buf = text
	}
	// Output:
	// SpawnJob true
	// PollStatus true
}

// Several messages for a transport that takes them together.
func ExampleCoordinator_AppendBatch() {
	c, _ := pair()
	for id := range uint64(3) {
		_ = c.SpawnJob(wc.SpawnJob{JobID: id, Payload: []byte("hi")})
	}
	var batch [16]wc.Outgoing
	_, n := c.AppendBatch(nil, batch[:], 64<<10)
	for _, m := range batch[:n] {
		v, err := wc.Verify(m.Text)
		fmt.Println(v.Op().Type(), m.Envelope.SeqNo, err)
	}
	// Output:
	// SpawnJob 1 <nil>
	// SpawnJob 2 <nil>
	// SpawnJob 3 <nil>
}

// What the worker has to answer, and by when.
func ExampleCoordinator_Requests() {
	c, w := pair(wc.WithLimits(wc.Limits{Cancel: 5, Poll: 3}))
	_ = c.SpawnJob(wc.SpawnJob{JobID: 1})
	_ = c.SpawnJob(wc.SpawnJob{JobID: 2})
	exchange(c, w)
	_ = c.CancelJob(1, "the user went away")
	_ = c.PollStatus(2)
	for range c.Outbox() { // the clocks start when the messages are taken
	}
	for request := range c.Requests() {
		fmt.Println(request.Request, "of job", request.JobID, "is due in turn", request.Deadline)
	}
	// Output:
	// PollStatus of job 2 is due in turn 3
	// CancelJob of job 1 is due in turn 5
}

// An operation alone, as it is on the wire.
func ExampleParseOp() {
	op, err := wc.ParseOp([]byte(`{"type": "PollStatus", "job_id": 7}`))
	if err != nil {
		panic(err)
	}
	jobID, _ := wc.JobOf(op)
	text, _ := wc.PollStatus{JobID: jobID + 1}.MarshalJSON()
	fmt.Printf("%T, job %d\n%s\n", op, jobID, text)
	// Output:
	// workerchannel.PollStatus, job 7
	// {"type":"PollStatus","job_id":8}
}

// A name for a metric or a log, the same in every implementation.
func ExampleKindOf() {
	err := wc.NewCoordinator(42).SpawnJob(wc.SpawnJob{JobID: 1})
	fmt.Printf("%q %q\n", wc.KindOf(err), wc.KindOf(errors.New("another error")))
	// Output: "WorkerNotReady" ""
}

// Two copies of a message are equal by value; == would compare pointers, or panic.
func ExampleEnvelope_Equal() {
	header := wc.NewHeader(2, 2, 42, 0)
	a := wc.NewWorkerEnvelope("w", header, wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{}})
	b := wc.NewWorkerEnvelope("w", header, wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{Payload: []byte{}}})
	fmt.Println(a.Equal(b))
	// Output: true
}

// A job's state machine for a host of one's own, such as one that shows what a journal says.
func ExampleTrackedJob_TransitionTo() {
	job := wc.TrackedJob{JobID: 7, State: wc.StateQueued}
	from, err := job.TransitionTo(wc.StateRunning)
	fmt.Println(from, "to", job.State, err)
	_, err = job.TransitionTo(wc.StateFinalizing)
	fmt.Println(err)
	fmt.Println(job.State.AllowedInStatusSnapshot(), wc.StateFinalizing.AllowedInStatusSnapshot())
	// Output:
	// queued to running <nil>
	// workerchannel: invalid job state transition: job 7 from running to finalizing
	// true false
}
