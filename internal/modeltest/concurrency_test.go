package modeltest

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// The documented way to use the package from many goroutines, for the race detector to look at: one goroutine owns the
// coordinator, another one the worker, and all others reach them over channels.

// An order is a job that a producer wants done.
type order struct {
	text   string
	cancel bool
	done   chan<- wc.TrackedJob
}

// mustNot is for what cannot fail here, on goroutines that may not end a test.
func mustNot(err error) {
	if err != nil {
		panic(err)
	}
}

// written returns the message's canonical JSON. Only what can be written may be given to it.
func written(env wc.Envelope) []byte {
	data, err := env.AppendJSON(nil)
	mustNot(err)
	return data
}

// serve owns a coordinator and does what producers request, until nobody does so any more. When a worker dies, which is
// the end of the channel from it, it starts another one. It returns how many have died.
func serve(orders <-chan order, start func() (toWorker chan<- []byte, fromWorker <-chan wc.Verified)) (deaths int) {
	c := wc.NewCoordinator(42)
	toWorker, fromWorker := start()
	var next []byte // the message to be sent next
	for lastJob := uint64(0); ; {
		if next == nil {
			if env, ok := c.DrainOutbox(); ok {
				next = written(env)
			}
		}
		out, in := toWorker, orders
		if next == nil {
			out = nil
		}
		if !c.WorkerReady() {
			in = nil // they wait
		}
		select {
		case out <- next: // never keeps the loop from receiving
			next = nil
		case v, alive := <-fromWorker:
			switch {
			case alive:
				mustNot(c.HandleVerified(v))
			case orders == nil:
				return deaths
			default:
				deaths++
				c.WorkerLost()
				next = nil // it was for that worker
				toWorker, fromWorker = start()
			}
		case r, open := <-in:
			if !open {
				orders = nil
				mustNot(c.ShutdownWhenIdle("nobody orders anything more"))
				break
			}
			lastJob++
			mustNot(c.SpawnTagged(wc.SpawnJob{JobID: lastJob, Payload: []byte(r.text)}, r))
			if r.cancel {
				mustNot(c.CancelJob(lastJob, "on request"))
			} else {
				mustNot(c.PollStatus(lastJob))
			}
		}
		for _, job := range c.Reap() {
			job.Tag.(order).done <- job
		}
	}
}

// verified verifies messages on several goroutines, and hands them on in the order in which they came.
func verified(messages <-chan []byte) <-chan wc.Verified {
	const ahead = 8
	results := make(chan chan wc.Verified, ahead)
	go func() {
		defer close(results)
		for message := range messages {
			result := make(chan wc.Verified, 1)
			results <- result
			go func() {
				v, err := wc.Verify(message)
				mustNot(err)
				result <- v
			}()
		}
	}()
	inOrder := make(chan wc.Verified)
	go func() {
		defer close(inOrder)
		for result := range results {
			inOrder <- <-result
		}
	}()
	return inOrder
}

// reverser is a worker whose jobs reverse their payload, each on a goroutine of its own. It dies in the middle of its last
// job, if it has one.
func reverser(id string, lastJob int, toWorker <-chan []byte, fromWorker chan<- []byte) {
	defer close(fromWorker)
	w := wc.NewWorker(id, 42)
	mustNot(w.Announce())
	done := make(chan wc.JobCompleted)
	dead := make(chan struct{})
	defer close(dead)
	for spawned := 0; ; {
		for env := range w.Outbox() {
			fromWorker <- written(env)
		}
		if w.Closed() {
			return
		}
		select {
		case data := <-toWorker:
			env, err := w.Receive(data)
			mustNot(err)
			switch op := env.Op.(type) {
			case wc.SpawnJob:
				if spawned++; spawned == lastJob {
					return
				}
				mustNot(w.Start(op.JobID))
				go func() {
					slices.Reverse(op.Payload)
					select {
					case done <- wc.JobCompleted{JobID: op.JobID, Outcome: wc.OutcomeOk{Payload: op.Payload}}:
					case <-dead:
					}
				}()
			case wc.CancelJob:
				if _, ok := w.JobState(op.JobID); ok {
					mustNot(w.AcknowledgeCancel(op.JobID))
				}
			case wc.DrainJob:
				mustNot(w.CompleteDrain(op.JobID))
			case wc.FinalizeJob:
				mustNot(w.CompleteFinalize(op.JobID))
			case wc.ShutdownWorker:
				mustNot(w.CompleteShutdown())
			}
		case op := <-done:
			if state, _ := w.JobState(op.JobID); state == wc.StateRunning { // or it has been cancelled
				mustNot(w.Complete(op.JobID, op.Outcome))
			}
		}
	}
}

func TestManyProducersShareACoordinatorThatOneGoroutineOwns(t *testing.T) {
	const producers, jobsEach = 16, 25
	orders := make(chan order)
	instances := 0
	start := func() (chan<- []byte, <-chan wc.Verified) {
		instances++
		lastJob := 0 // the third lives
		if instances < 3 {
			lastJob = 50
		}
		toWorker, fromWorker := make(chan []byte), make(chan []byte)
		go reverser(fmt.Sprint("instance ", instances), lastJob, toWorker, fromWorker)
		return toWorker, verified(fromWorker)
	}

	completed, failed := make([]int, producers), make([]int, producers)
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			for n := range jobsEach {
				text, cancel := fmt.Sprint(p, " ", n), n%5 == 0
				reversed := []byte(text)
				slices.Reverse(reversed)
				for again := true; again; {
					done := make(chan wc.TrackedJob, 1)
					orders <- order{text, cancel, done}
					job := <-done
					if again = job.State == wc.StateFailed; again { // the next worker may do it
						assert.Equal(t, wc.CauseWorkerLost, job.Cause)
						failed[p]++
						continue
					}
					completed[p]++
					if job.Cause == wc.CauseCancelled {
						assert.True(t, cancel)
						assert.Equal(t, wc.OutcomeCancelled{Reason: "on request"}, job.Outcome)
					} else {
						assert.Equal(t, wc.OutcomeOk{Payload: reversed}, job.Outcome)
					}
				}
			}
		})
	}
	go func() {
		all.Wait()
		close(orders)
	}()
	deaths := serve(orders, start)

	lost := 0
	for p := range producers {
		assert.Equal(t, jobsEach, completed[p], "every job comes to its end, once")
		lost += failed[p]
	}
	assert.Equal(t, 2, deaths)
	assert.GreaterOrEqual(t, lost, deaths, "each worker died in the middle of a job")
}

// A Verified may be used on any number of goroutines at a time, each with a coordinator of its own.
func TestVerifyAndVerifiedAreSafeForConcurrentUse(t *testing.T) {
	var messages [][]byte
	for i, op := range []wc.Op{
		wc.BootstrapReady{WorkerID: "w"},
		wc.Diagnostic{Level: wc.LevelInfo, Category: "category", Message: "message", Metadata: new("metadata")},
		wc.StatusSnapshot{JobID: 1, State: wc.StateRunning, Detail: new("detail")},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{Payload: []byte("payload")}},
	} {
		messages = append(messages, written(wc.NewWorkerEnvelope("w", wc.Header{SeqNo: uint64(i) + 1}, op)))
	}
	shared := make([]wc.Verified, len(messages))
	for i, message := range messages {
		var err error
		shared[i], err = wc.Verify(message)
		require.NoError(t, err)
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			c := wc.NewCoordinator(42)
			for i, message := range messages {
				v, err := wc.Verify(message)
				assert.NoError(t, err)
				assert.Equal(t, shared[i].Envelope(), v.Envelope())
				env := shared[i].Envelope()
				*env.WorkerID = "changed" // which is the holder's own
				assert.NoError(t, c.HandleVerified(shared[i]))
				if i == 0 {
					assert.NoError(t, c.SpawnJob(wc.SpawnJob{JobID: 1}))
				}
			}
			state, _ := c.JobState(1)
			assert.Equal(t, wc.StateCompleted, state)
		})
	}
	all.Wait()
}
