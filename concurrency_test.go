package workerchannel

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The documented way to use the package from many goroutines, for the race detector to look at: one
// goroutine owns the coordinator, another the worker, and all else reaches them over channels.

// A request is a job that a producer wants done.
type request struct {
	text   string
	cancel bool
	answer chan<- answer
}

// An answer is how a job ended, with its outcome if it has one.
type answer struct {
	state   JobState
	outcome Outcome
}

// A requestHost owns a coordinator and does what producers request. A worker's death is the end of the
// channel of what it says; then it starts another.
type requestHost struct {
	c        *Coordinator
	requests <-chan request
	start    func() (toWorker chan<- []byte, fromWorker <-chan []byte)
	deaths   int

	lastJob  uint64
	waiting  map[uint64]request
	outcomes map[uint64]Outcome
}

func (h *requestHost) run() {
	toWorker, said := h.start()
	fromWorker := verified(said)
	for stopping := false; ; {
		requests := h.requests
		if !h.c.WorkerReady() || stopping {
			requests = nil // wait with them
		}
		select {
		case v, alive := <-fromWorker:
			if alive {
				h.receive(v)
				break
			}
			close(toWorker)
			if stopping {
				return
			}
			h.deaths++
			h.c.WorkerLost()
			toWorker, said = h.start()
			fromWorker = verified(said)
		case r, open := <-requests:
			if open {
				h.spawn(r)
				break
			}
			stopping = true
			check(h.c.RequestShutdown("nobody requests anything more"))
		}
		for env := range h.c.Outbox() {
			text, err := env.AppendJSON(nil)
			check(err)
			toWorker <- text
		}
		for _, j := range h.c.Reap() {
			h.waiting[j.JobID].answer <- answer{j.State, h.outcomes[j.JobID]}
			delete(h.waiting, j.JobID)
			delete(h.outcomes, j.JobID)
		}
	}
}

func (h *requestHost) receive(v Verified) {
	check(h.c.HandleVerified(v))
	if op, ok := v.Envelope().Op.(JobCompleted); ok {
		h.outcomes[op.JobID] = op.Outcome
	}
}

func (h *requestHost) spawn(r request) {
	h.lastJob++
	check(h.c.SpawnJob(SpawnJob{JobID: h.lastJob, Payload: []byte(r.text)}))
	h.waiting[h.lastJob] = r
	if r.cancel {
		check(h.c.CancelJob(h.lastJob, "on request"))
	}
	check(h.c.PollStatus(h.lastJob))
}

// check is for what cannot fail here, on goroutines that may not end a test.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// verified verifies messages on several goroutines, and hands them on in the order in which they came.
func verified(messages <-chan []byte) <-chan Verified {
	const ahead = 8
	results := make(chan chan Verified, ahead)
	go func() {
		defer close(results)
		for message := range messages {
			result := make(chan Verified, 1)
			results <- result
			go func() {
				v, err := Verify(message)
				check(err)
				result <- v
			}()
		}
	}()
	inOrder := make(chan Verified)
	go func() {
		defer close(inOrder)
		for result := range results {
			inOrder <- <-result
		}
	}()
	return inOrder
}

// reverser is a worker whose jobs reverse their payload, each on a goroutine of its own. It dies in the
// middle of its last job, if it has one.
func reverser(id string, lastJob int, toWorker <-chan []byte, fromWorker chan<- []byte) {
	w := NewWorker(id, 42)
	check(w.Announce())
	done := make(chan JobCompleted)
	var running sync.WaitGroup
	send := func() {
		for env := range w.Outbox() {
			text, err := env.AppendJSON(nil)
			check(err)
			fromWorker <- text
		}
	}
	for spawned := 0; !w.Closed() && (spawned < lastJob || lastJob == 0); {
		send()
		select {
		case text := <-toWorker:
			env, err := w.Receive(text)
			check(err)
			switch op := env.Op.(type) {
			case SpawnJob:
				spawned++
				check(w.Start(op.JobID))
				running.Go(func() {
					slices.Reverse(op.Payload)
					done <- JobCompleted{op.JobID, OutcomeOk{op.Payload}}
				})
			case CancelJob:
				if _, ok := w.JobState(op.JobID); ok {
					check(w.AcknowledgeCancel(op.JobID))
				}
			case DrainJob:
				check(w.CompleteDrain(op.JobID))
			case FinalizeJob:
				check(w.CompleteFinalize(op.JobID))
			case ShutdownWorker:
				check(w.CompleteShutdown())
			}
		case op := <-done:
			if state, _ := w.JobState(op.JobID); state == StateRunning { // or it has been cancelled
				check(w.Complete(op.JobID, op.Outcome))
			}
		}
	}
	if w.Closed() {
		send()
	}
	close(fromWorker)
	go func() {
		running.Wait()
		close(done)
	}()
	for range done {
	}
	for range toWorker { // nobody hears it
	}
}

// endless makes a channel that always takes what is sent: the host must not wait for a worker that waits
// for the host.
func endless() (in chan<- []byte, out <-chan []byte) {
	from, to := make(chan []byte), make(chan []byte)
	go func() {
		defer close(to)
		var queue [][]byte
		for open := true; open; {
			next, first := chan<- []byte(nil), []byte(nil)
			if len(queue) > 0 {
				next, first = to, queue[0]
			}
			select {
			case message, ok := <-from:
				if open = ok; ok {
					queue = append(queue, message)
				}
			case next <- first:
				queue = queue[1:]
			}
		}
	}()
	return from, to
}

func TestManyProducersShareACoordinatorThatOneGoroutineOwns(t *testing.T) {
	const producers, jobsEach = 16, 25
	requests := make(chan request)
	var workers sync.WaitGroup
	instances := 0
	h := &requestHost{
		c:        NewCoordinator(42),
		requests: requests,
		waiting:  map[uint64]request{},
		outcomes: map[uint64]Outcome{},
		start: func() (chan<- []byte, <-chan []byte) {
			instances++
			lastJob := 0 // the third lives
			if instances < 3 {
				lastJob = 50
			}
			toWorker, heard := endless()
			fromWorker := make(chan []byte)
			id := fmt.Sprint("instance ", instances)
			workers.Go(func() { reverser(id, lastJob, heard, fromWorker) })
			return toWorker, fromWorker
		},
	}

	answers := make([]map[JobState]int, producers)
	var all sync.WaitGroup
	for p := range producers {
		answers[p] = map[JobState]int{}
		all.Go(func() {
			for n := range jobsEach {
				text, cancel := fmt.Sprint(p, " ", n), n%5 == 0
				reversed := []byte(text)
				slices.Reverse(reversed)
				for again := true; again; {
					done := make(chan answer, 1)
					requests <- request{text, cancel, done}
					a := <-done
					answers[p][a.state]++
					switch {
					case a.state == StateFailed:
						continue // the worker died; the next one may do it
					case a.outcome != nil:
						assert.Equal(t, OutcomeOk{reversed}, a.outcome)
					default:
						assert.True(t, cancel, "only a job that was cancelled has no outcome")
					}
					again = false
				}
			}
		})
	}
	go func() {
		all.Wait()
		close(requests)
	}()
	h.run()
	workers.Wait()

	failed := 0
	for _, a := range answers {
		assert.Equal(t, jobsEach, a[StateCompleted], "every job has come to its end, once")
		failed += a[StateFailed]
	}
	assert.Equal(t, 2, h.deaths)
	assert.GreaterOrEqual(t, failed, h.deaths, "the job in whose middle a worker died")
	assert.Empty(t, h.waiting)
	assert.Zero(t, h.c.InflightCount())
}

// A Verified may be used on any number of goroutines at a time, each with a coordinator of its own.
func TestVerifyAndItsProofAreSafeForConcurrentUse(t *testing.T) {
	messages := [][]byte{
		forge("w", 1, BootstrapReady{"w"}),
		forge("w", 2, Diagnostic{LevelInfo, "category", "message", new("metadata")}),
		forge("w", 3, StatusSnapshot{1, StateRunning, new("detail")}),
		forge("w", 4, JobCompleted{1, OutcomeOk{[]byte("payload")}}),
	}
	shared := make([]Verified, len(messages))
	for i, message := range messages {
		var err error
		shared[i], err = Verify(message)
		require.NoError(t, err)
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			c := NewCoordinator(42)
			for i, message := range messages {
				v, err := Verify(message)
				assert.NoError(t, err)
				assert.Equal(t, shared[i].Envelope(), v.Envelope())
				env := shared[i].Envelope()
				*env.WorkerID = "changed" // which is the holder's own
				assert.NoError(t, c.HandleVerified(shared[i]))
				if i == 0 {
					assert.NoError(t, c.SpawnJob(SpawnJob{JobID: 1}))
				}
			}
			state, _ := c.JobState(1)
			assert.Equal(t, StateCompleted, state)
		})
	}
	all.Wait()
}
