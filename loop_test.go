package workerchannel_test

import (
	"crypto/rand"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// The README shows the loop of Example. These tests show why each line of it is there: they run the same loop, in
// hostLoop, against workers that die, hang, break the protocol, or do not read.

// A fakeWorker is a worker and its transport, as the worker sees them. Its methods end the goroutine that plays
// the worker once the worker is dead or the test over.
type fakeWorker struct {
	t    *testing.T
	half *wc.Worker
	out  chan []byte // to the host
	in   chan []byte // from the host
	dead chan struct{}
	die  func() // closes dead; what has been sent still arrives
	over chan struct{}
}

func (w *fakeWorker) send() {
	for env := range w.half.Outbox() {
		data, err := env.AppendJSON(nil)
		require.NoError(w.t, err)
		w.sendBytes(data)
	}
}

func (w *fakeWorker) sendBytes(data []byte) {
	select {
	case w.out <- data:
	case <-w.dead:
		runtime.Goexit()
	case <-w.over:
		runtime.Goexit()
	}
}

// receive applies the next message of the host and returns it.
func (w *fakeWorker) receive() (env wc.Envelope) {
	select {
	case data := <-w.in:
		var err error
		env, err = w.half.Receive(data)
		require.NoError(w.t, err)
	case <-w.dead:
		runtime.Goexit()
	case <-w.over:
		runtime.Goexit()
	}
	return env
}

func (w *fakeWorker) announce() {
	require.NoError(w.t, w.half.Announce())
	w.send()
}

// deliver is the transport to the host: it closes the channel when the worker is dead and everything that it had
// sent has been delivered.
func (w *fakeWorker) deliver(toHost chan<- []byte) {
	forward := func(data []byte) {
		select {
		case toHost <- data:
		case <-w.over:
			runtime.Goexit()
		}
	}
	for {
		select {
		case data := <-w.out:
			forward(data)
		case <-w.over:
			return
		case <-w.dead:
			for len(w.out) > 0 {
				forward(<-w.out)
			}
			close(toHost)
			return
		}
	}
}

// A fakeHost runs hostLoop and keeps what it reports.
type fakeHost struct {
	t        *testing.T
	requests chan *request
	killed   []error
	observed []wc.Envelope
	settled  map[uint64][]wc.TrackedJob
}

// runHost runs the loop until drive, which makes requests, returns. Each time the loop starts a worker, the next of
// the functions plays it; after the last one, workers are silent. The transport holds buffer messages in each
// direction.
func runHost(t *testing.T, limits wc.Limits, buffer int, drive func(*fakeHost), workers ...func(*fakeWorker)) *fakeHost {
	h := &fakeHost{t: t, settled: map[uint64][]wc.TrackedJob{}}
	synctest.Test(t, func(t *testing.T) {
		h.requests = make(chan *request)
		over, finished := make(chan struct{}), make(chan struct{})
		var current *fakeWorker
		start := func() (<-chan []byte, chan<- []byte) {
			w := &fakeWorker{
				t: t, half: wc.NewWorker(rand.Text(), 1), over: over,
				out: make(chan []byte, buffer), in: make(chan []byte, buffer), dead: make(chan struct{}),
			}
			w.die = sync.OnceFunc(func() { close(w.dead) })
			current = w
			toHost := make(chan []byte)
			go w.deliver(toHost)
			if len(workers) > 0 {
				go workers[0](w)
				workers = workers[1:]
			}
			return toHost, w.in
		}
		turns := time.NewTicker(time.Second)
		defer turns.Stop()
		go func() {
			defer close(finished)
			hostLoop(limits, start, h.requests, turns.C, over,
				func(err error) { h.killed = append(h.killed, err); current.die() },
				func(env wc.Envelope) { h.observed = append(h.observed, env) })
		}()
		drive(h)
		close(over)
		<-finished
	})
	return h
}

// ask requests a job, and again as long as the worker is not ready.
func (h *fakeHost) ask(id uint64) {
	refused := make(chan error)
	h.requests <- &request{
		spawn:  wc.SpawnJob{JobID: id},
		settle: func(job wc.TrackedJob) { h.settled[id] = append(h.settled[id], job) },
		refuse: func(err error) { refused <- err },
	}
	select {
	case err := <-refused:
		require.ErrorIs(h.t, err, wc.ErrWorkerNotReady)
		time.Sleep(time.Second)
		h.ask(id)
	case <-time.After(time.Millisecond):
	}
}

func TestLoopCountsOutcomesThatArrivedBeforeTheDeath(t *testing.T) {
	const jobs = 1000
	h := runHost(t, wc.Limits{}, 2*jobs,
		func(h *fakeHost) {
			for id := range uint64(jobs) {
				h.ask(id)
			}
			time.Sleep(time.Minute)
		},
		func(w *fakeWorker) {
			w.announce()
			for id := range uint64(jobs) {
				w.receive()
				require.NoError(t, w.half.Complete(id, wc.OutcomeOk{}))
			}
			w.send() // all at once, and then it is gone
			w.die()
		})
	for id := range uint64(jobs) {
		require.Len(t, h.settled[id], 1)
		require.Equal(t, wc.CauseOutcome, h.settled[id][0].Cause)
	}
}

func TestLoopStopsAWorkerWhoseMessageIsRefused(t *testing.T) {
	h := runHost(t, wc.Limits{}, 0,
		func(h *fakeHost) { h.ask(7); time.Sleep(time.Minute) },
		func(w *fakeWorker) {
			w.announce()
			w.receive()
			w.sendBytes([]byte("{}"))
		})
	require.Len(t, h.killed, 1)
	assert.ErrorIs(t, h.killed[0], wc.ErrMalformed)
	require.Len(t, h.settled[7], 1, "nobody waits for the job any longer")
	assert.Equal(t, wc.CauseWorkerLost, h.settled[7][0].Cause)
}

func TestLoopIgnoresStrayMessages(t *testing.T) {
	h := runHost(t, wc.Limits{}, 0,
		func(h *fakeHost) { h.ask(7); time.Sleep(time.Minute) },
		func(w *fakeWorker) {
			w.announce()
			w.receive()
			stray := wc.NewWorkerEnvelope("stranger", wc.Header{SeqNo: 9}, wc.JobCompleted{JobID: 7, Outcome: wc.OutcomeOk{}})
			data, err := stray.AppendJSON(nil)
			require.NoError(t, err)
			w.sendBytes(data)
			require.NoError(t, w.half.Complete(7, wc.OutcomeErr{Code: "real"}))
			w.send()
		})
	assert.Empty(t, h.killed)
	assert.Len(t, h.observed, 2, "the announcement and the completion")
	require.Len(t, h.settled[7], 1)
	assert.Equal(t, wc.OutcomeErr{Code: "real"}, h.settled[7][0].Outcome)
}

func TestLoopReceivesWhileItWaitsToSend(t *testing.T) {
	h := runHost(t, wc.Limits{}, 0,
		func(h *fakeHost) { h.ask(1); h.ask(2); h.ask(3); time.Sleep(time.Minute) },
		func(w *fakeWorker) {
			w.announce()
			time.Sleep(10 * time.Second) // by now the host has something to send
			for range 100 {              // it does not read while it sends, and nothing is buffered
				require.NoError(t, w.half.Diagnose(wc.Diagnostic{}))
			}
			w.send()
			for id := range uint64(3) {
				w.receive()
				require.NoError(t, w.half.Complete(id+1, wc.OutcomeOk{}))
			}
			w.send()
		})
	for id := range uint64(3) {
		require.Len(t, h.settled[id+1], 1)
		assert.Equal(t, wc.CauseOutcome, h.settled[id+1][0].Cause)
	}
}

func TestLoopSendsEveryMessageOnceAndInOrder(t *testing.T) {
	var received []uint64
	runHost(t, wc.Limits{}, 0,
		func(h *fakeHost) { h.ask(1); h.ask(2); h.ask(3); time.Sleep(time.Minute) },
		func(w *fakeWorker) {
			w.announce()
			time.Sleep(10 * time.Second) // turns pass while the first message waits for the transport
			for {
				received = append(received, w.receive().Op.(wc.SpawnJob).JobID)
			}
		})
	assert.Equal(t, []uint64{1, 2, 3}, received)
}

func TestLoopSendsNothingOfAPredecessorsToAWorker(t *testing.T) {
	received := make(chan uint64, 10)
	h := runHost(t, wc.Limits{}, 0,
		func(h *fakeHost) { h.ask(1); h.ask(2); time.Sleep(time.Minute); h.ask(3); time.Sleep(time.Minute) },
		func(w *fakeWorker) { // it never reads, so the first message to it has left the outbox and is not sent
			w.announce()
			time.Sleep(10 * time.Second)
			w.die()
		},
		func(w *fakeWorker) {
			w.announce()
			received <- w.receive().Op.(wc.SpawnJob).JobID
		})
	assert.Equal(t, uint64(3), <-received)
	assert.Equal(t, wc.CauseWorkerLost, h.settled[1][0].Cause)
	assert.Equal(t, wc.CauseWorkerLost, h.settled[2][0].Cause)
}

func TestLoopStopsAWorkerThatHangs(t *testing.T) {
	h := runHost(t, wc.Limits{Boot: 3}, 0, func(h *fakeHost) { time.Sleep(time.Minute) },
		func(w *fakeWorker) {}) // silent from the start
	require.NotEmpty(t, h.killed)
	var late wc.Overdue
	require.True(t, errors.As(h.killed[0], &late))
	assert.Equal(t, wc.Overdue{Since: 0, Deadline: 3}, late)
	assert.InDelta(t, 20, len(h.killed), 1, "each worker in turn, after 3 of 60 seconds")
}
