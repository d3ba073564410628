package workerchannel

import (
	"math"
	"runtime"
	"strconv"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOutboxIsFirstInFirstOut(t *testing.T) {
	for _, burst := range []uint64{1, 3, 64, 65, 1000} { // drained whole, and in part
		var o outbox
		var pushed, popped uint64
		jobs := make([]job, 5*burst+1)
		pop := func() {
			popped++
			var env Envelope
			job, ok := o.pop(&env, new(flatOp), nil)
			require.True(t, ok)
			require.Equal(t, PollStatus{popped}, env.Op)
			require.Equal(t, popped, env.SeqNo)
			require.Same(t, &jobs[popped], job)
		}
		for range 5 {
			for range burst {
				pushed++
				o.push(PollStatus{pushed}, &jobs[pushed])
			}
			for range (burst + 1) / 2 {
				pop()
			}
		}
		for o.len() > 0 {
			require.Equal(t, int(pushed-popped), o.len())
			pop()
		}
		assert.Equal(t, pushed, popped)
		var env Envelope
		_, ok := o.pop(&env, new(flatOp), nil)
		assert.False(t, ok)
		assert.Zero(t, env)
	}
}

func TestOutboxIteratorStopsEarlyAndTakesWhatIsQueuedMeanwhile(t *testing.T) {
	s := newScene(t, "begin with w", "host SpawnJob 1", "host PollStatus 1", "w Diagnose Warn \"scene\" \"1\"", "w Diagnose Warn \"scene\" \"2\"")
	for env := range s.c.Outbox() {
		assert.Equal(t, OpSpawnJob, env.Op.Type())
		break
	}
	for env := range s.worker().Outbox() {
		assert.Equal(t, "1", env.Op.(Diagnostic).Message)
		break
	}
	assert.Equal(t, 1, s.c.OutboxLen())
	assert.Equal(t, 1, s.worker().OutboxLen())
	var ops []OpType
	for env := range s.c.Outbox() {
		if ops = append(ops, env.Op.Type()); len(ops) == 1 {
			s.play("host CancelJob 1")
		}
	}
	assert.Equal(t, []OpType{OpPollStatus, OpCancelJob}, ops)
}

func TestLongOutboxReleasesMemoryAsItIsDrained(t *testing.T) {
	const long = 1000
	var o outbox
	for range long {
		o.push(PollStatus{1}, nil)
	}
	memory, moves := cap(o.queue), 0
	for o.len() > 0 {
		was := &o.queue[0]
		o.pop(new(Envelope), new(flatOp), nil)
		if o.len() > 0 && &o.queue[0] != was {
			moves++
		}
		if o.len() <= long/2 {
			assert.Less(t, cap(o.queue), memory*3/4)
		}
	}
	assert.LessOrEqual(t, cap(o.queue), 64)
	assert.LessOrEqual(t, moves, 5, "each copies half of what the one before did")
}

func TestShortOutboxKeepsItsMemory(t *testing.T) {
	const short = 64
	o := outbox{queue: make([]queued, 0, short)}
	memory := &o.queue[:1][0]
	for range 3 {
		for range short {
			o.push(PollStatus{1}, nil)
		}
		for o.len() > 0 {
			o.pop(new(Envelope), new(flatOp), nil)
		}
		assert.Equal(t, short, cap(o.queue))
		assert.Same(t, memory, &o.queue[:1][0])
	}
}

// Whether something is kept alive is seen from a weak pointer to it, which a collection clears otherwise.
type watched []weak.Pointer[byte]

func (w *watched) payload() []byte {
	p := make([]byte, 1<<10) // not so small that several share an allocation
	*w = append(*w, weak.Make(&p[0]))
	return p
}

func (w *watched) alive() (count int) {
	runtime.GC()
	for _, p := range *w {
		if p.Value() != nil {
			count++
		}
	}
	return count
}

func TestDrainedAndDroppedMessagesAreNotKeptAlive(t *testing.T) {
	for _, n := range []int{10, 200} {
		for name, line := range map[string]string{
			"shutdown": "host RequestShutdown", "lost": "host WorkerLost", "replaced": "forge next #1 BootstrapReady", "drained": "deliver",
		} {
			t.Run(name+" "+strconv.Itoa(n), func(t *testing.T) {
				s := newScene(t, "begin with w")
				var payloads watched
				for i := range n {
					require.NoError(t, s.c.SpawnJob(SpawnJob{JobID: uint64(i), Payload: payloads.payload()}))
				}
				assert.Equal(t, n, payloads.alive(), "what is queued is kept")
				for range n * 3 / 4 {
					_, ok := s.c.DrainOutbox()
					require.True(t, ok)
				}
				assert.Equal(t, n-n*3/4, payloads.alive(), "what is drained is not")
				s.play(line)
				assert.Zero(t, payloads.alive(), "nor what is dropped")
				runtime.KeepAlive(s)
			})
		}
	}
}

func TestWorkerKeepsNoPayloadAlive(t *testing.T) {
	w := NewWorker("w", 42)
	require.NoError(t, w.Announce())
	var payloads watched
	for id := range uint64(100) {
		env := fromHost(id+1, SpawnJob{JobID: id, Payload: payloads.payload()})
		require.NoError(t, w.HandleInbound(&env))
		result := payloads.payload()
		if id%2 == 0 { // the others stay with the worker
			require.NoError(t, w.Complete(id, OutcomeOk{result}))
		}
	}
	for range w.Outbox() {
	}
	assert.Zero(t, payloads.alive())
	runtime.KeepAlive(w)
}

func TestMessagesCarrySeedTurnAndNumbersOfTheirOwn(t *testing.T) {
	for _, first := range []uint64{0, 1, 100, math.MaxUint64 - 1, math.MaxUint64} {
		c := NewCoordinator(42, WithFirstDecisionSeq(first), nil)
		s := &scene{t: t}
		s.begin()
		s.c = c
		s.play("worker w", "w Announce", "deliver", "host SpawnJob 1", "host AdvanceTurn 2", "host PollStatus 1", "host AdvanceTurn")
		var headers []Header
		for env := range c.Outbox() {
			assert.Nil(t, env.WorkerID)
			assert.NoError(t, s.worker().HandleInbound(&env), "no receiver looks at the order of decisions")
			headers = append(headers, env.Header)
		}
		assert.Equal(t, []Header{{1, 1, first, 42, 0}, {2, 2, first + 1, 42, 2}}, headers)
		assert.Equal(t, uint64(42), c.Seed())
		assert.Equal(t, uint64(3), c.Turn())
	}
	w := NewWorker("w", 42)
	require.NoError(t, w.Announce())
	w.AdvanceTurn()
	require.NoError(t, w.Fail("no"))
	var headers []Header
	for env := range w.Outbox() {
		assert.Equal(t, "w", *env.WorkerID)
		headers = append(headers, env.Header)
	}
	assert.Equal(t, []Header{{1, 1, 1, 42, 0}, {2, 2, 2, 42, 1}}, headers)
	assert.Equal(t, uint64(42), w.Seed())
	assert.Equal(t, uint64(1), w.Turn())
}

func TestDrainedEnvelopeIsItsHoldersOwn(t *testing.T) {
	w := NewWorker("w", 42)
	require.NoError(t, w.Announce())
	metadata := "before"
	require.NoError(t, w.Diagnose(Diagnostic{Metadata: &metadata}))
	metadata = "after"
	env, _ := w.DrainOutbox()
	*env.WorkerID = "changed"
	env, _ = w.DrainOutbox()
	assert.Equal(t, "w", *env.WorkerID)
	assert.Equal(t, Diagnostic{Metadata: new("before")}, env.Op, "a diagnostic is sent as it was when it was given")
	assert.Equal(t, "w", w.ID())
}

const maxUint64 uint64 = math.MaxUint64

// A sender that has used the highest number has none left that its reader could take. At a million messages a second
// that is in half a million years.
func TestHighestSequenceNumberIsTheLast(t *testing.T) {
	last := Header{MessageID: maxUint64 - 1, SeqNo: maxUint64 - 1, DecisionSeq: maxUint64 - 1, Seed: maxUint64, IssuedAtTurn: maxUint64}
	t.Run("of a coordinator", func(t *testing.T) {
		s := newScene(t, "begin with w", "given job 1 running")
		s.c.out.last = last
		s.play("host PollStatus 1", "deliver")
		job, _ := s.c.Job(1)
		assert.Equal(t, maxUint64, job.LastSeqNo)
		s.play("host PollStatus 1")
		assert.Equal(t, &SequenceError{LastSeen: maxUint64, Actual: 0}, s.do("deliver"))
	})
	t.Run("of a worker", func(t *testing.T) {
		s := newScene(t, "begin with w", "given job 1 running")
		s.worker().out.last = last
		s.play("w Report 1", "deliver", "w Complete 1 Ok")
		assert.Equal(t, &SequenceError{LastSeen: maxUint64, Actual: 0}, s.do("deliver"))
		assertRecovers(s)
	})
	t.Run("while turns wrap", func(t *testing.T) {
		s := newScene(t, "begin with w", "given job 1 running")
		s.c.out.last.IssuedAtTurn, s.worker().out.last.IssuedAtTurn = maxUint64, maxUint64
		s.play("host PollStatus 1")
		env, _ := s.c.DrainOutbox()
		assert.Equal(t, maxUint64, env.IssuedAtTurn)
		assert.NoError(t, s.worker().HandleInbound(&env))
		s.c.AdvanceTurn()
		s.worker().AdvanceTurn()
		assert.Zero(t, s.c.Turn())
		assert.Zero(t, s.worker().Turn())
	})
}
