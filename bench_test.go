package workerchannel

import (
	"bytes"
	"encoding/json"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
)

// The floor of everything is BenchmarkChain: the bare loop of PROTOCOL section 4 over an operation's
// canonical text that was written beforehand. Every other figure is best read as a multiple of it, from
// the same run.

// Results go here, so that no work is optimised away.
var (
	sinkNumber   uint64
	sinkBytes    []byte
	sinkEnvelope Envelope
	sinkVerified Verified
	sinkError    error
)

// A benchMessage is one message that the benchmarks write and read.
type benchMessage struct {
	name string
	env  Envelope
	text []byte // canonical
}

const benchSeed = 42

func benchPayload(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	p := make([]byte, n)
	r.Read(p)
	return p
}

// benchMessages are a worker's and a coordinator's messages, of which the worker's are numbered so that
// a coordinator accepts each as the second of a session.
func benchMessages() []benchMessage {
	header := Header{MessageID: 2, SeqNo: 2, DecisionSeq: 2, Seed: benchSeed, IssuedAtTurn: 1}
	meta := "attempt=3"
	all := []benchMessage{
		{name: "snapshot", env: NewWorkerEnvelope("worker-1", header, StatusSnapshot{JobID: 7, State: StateRunning})},
		{name: "diagnostic", env: NewWorkerEnvelope("worker-1", header, Diagnostic{
			Level: LevelWarn, Category: "io", Message: "retrying after a short read, 512 of 4096 bytes", Metadata: &meta})},
	}
	for _, size := range []struct {
		name  string
		bytes int
	}{{"spawn64", 64}, {"spawn1k", 1 << 10}, {"spawn64k", 64 << 10}, {"spawn256k", 256 << 10}} {
		all = append(all, benchMessage{name: size.name, env: NewEnvelope(header,
			SpawnJob{JobID: 7, RegionID: 1, TaskID: 2, ObligationID: 3, Payload: benchPayload(size.bytes)})})
	}
	for i := range all {
		text, err := all[i].env.AppendJSON(nil)
		if err != nil {
			panic(err)
		}
		all[i].text = text
	}
	return all
}

func eachMessage(b *testing.B, run func(b *testing.B, m benchMessage)) {
	for _, m := range benchMessages() {
		b.Run(m.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(m.text)))
			run(b, m)
		})
	}
}

// BenchmarkChain is the floor. Each round goes on from the digest of the last, as one message's chain does
// from byte to byte, so that the processor cannot run two rounds at once.
func BenchmarkChain(b *testing.B) {
	run := func(b *testing.B, op Op) {
		text, h := opJSON(op), uint64(2)
		for b.Loop() {
			for i := range len(text) {
				h = (bits.RotateLeft64(h, 5) ^ uint64(text[i])) * 0x100000001B3
			}
		}
		sinkNumber = h
	}
	b.Run("poll", func(b *testing.B) { run(b, PollStatus{7}) })
	eachMessage(b, func(b *testing.B, m benchMessage) { run(b, m.env.Op) })
}

func BenchmarkReplayHash(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		for b.Loop() {
			sinkNumber = ReplayHash(m.env.Header, m.env.WorkerID, m.env.Op)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		buf := make([]byte, 0, 2<<20)
		for b.Loop() {
			sinkBytes, sinkError = m.env.AppendJSON(buf)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		for b.Loop() {
			sinkError = sinkEnvelope.UnmarshalJSON(m.text)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		for b.Loop() {
			sinkEnvelope, sinkError = ParseEnvelope(m.text)
		}
	})
}

// BenchmarkParseIndented reads the same from JSON with white space.
func BenchmarkParseIndented(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		var text bytes.Buffer
		must(b, json.Indent(&text, m.text, "", "  "))
		for b.Loop() {
			sinkEnvelope, sinkError = ParseEnvelope(text.Bytes())
		}
	})
}

// benchReceiver is what receives a message: a coordinator a worker's, a worker a coordinator's. Reset
// makes it as it was before, so that the same message can come again.
type benchReceiver struct {
	receive func([]byte) (Envelope, error)
	inbound func(*Envelope) error
	checked func(Verified) error
	reset   func()
}

func newBenchReceiver(b *testing.B, m benchMessage) benchReceiver {
	if m.env.Op.Type().Sender() == SenderCoordinator {
		w := NewWorker("worker-1", benchSeed)
		must(b, w.Announce())
		return benchReceiver{w.Receive, w.HandleInbound, w.HandleVerified, func() {
			w.lastSeen = 1
			w.jobs.remove(7)
		}}
	}
	c := readyCoordinator(b)
	must(b, c.SpawnJob(SpawnJob{JobID: 7}))
	c.jobs.byID.m[7].state = StateRunning
	return benchReceiver{c.Receive, c.HandleInbound, c.HandleVerified, func() { c.lastSeen = 1 }}
}

func readyCoordinator(tb testing.TB) *Coordinator {
	c := NewCoordinator(benchSeed)
	ready := NewWorkerEnvelope("worker-1", Header{MessageID: 1, SeqNo: 1}, BootstrapReady{"worker-1"})
	must(tb, c.HandleInbound(&ready))
	return c
}

func must(tb testing.TB, err error) {
	if err != nil {
		tb.Helper()
		tb.Fatal(err)
	}
}

func BenchmarkReceive(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		r := newBenchReceiver(b, m)
		for b.Loop() {
			r.reset()
			sinkEnvelope, sinkError = r.receive(m.text)
			must(b, sinkError)
		}
	})
}

func BenchmarkHandleInbound(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		r := newBenchReceiver(b, m)
		for b.Loop() {
			r.reset()
			must(b, r.inbound(&m.env))
		}
	})
}

// The jobs' completions stand for spawns here: what a coordinator receives with a payload.
func BenchmarkHandleVerified(b *testing.B) {
	header := Header{MessageID: 2, SeqNo: 2}
	for name, op := range map[string]Op{
		"snapshot":  StatusSnapshot{JobID: 7, State: StateRunning},
		"spawn256k": JobCompleted{7, OutcomeOk{benchPayload(256 << 10)}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			env := NewWorkerEnvelope("worker-1", header, op)
			text, err := env.AppendJSON(nil)
			must(b, err)
			v, err := Verify(text)
			must(b, err)
			c := readyCoordinator(b)
			must(b, c.SpawnJob(SpawnJob{JobID: 7}))
			j := c.jobs.byID.m[7]
			for b.Loop() {
				c.lastSeen = 1
				if j.state.Terminal() { // put the job back in flight
					c.jobs.ended.remove(j)
					c.jobs.live.push(j)
					c.jobs.inflight++
					j.region.inflight++
				}
				j.state = StateRunning
				must(b, c.HandleVerified(v))
			}
		})
	}
}

func BenchmarkVerifyParallel(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				v, err := Verify(m.text)
				must(b, err)
				runtime.KeepAlive(v)
			}
		})
	})
}

func BenchmarkVerify(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		for b.Loop() {
			sinkVerified, sinkError = Verify(m.text)
		}
	})
}

// BenchmarkSend makes, seals and writes a message that the coordinator sends, into a reused buffer.
func BenchmarkSend(b *testing.B) {
	buf := make([]byte, 0, 2<<20)
	send := func(b *testing.B, c *Coordinator) {
		env, ok := c.DrainOutbox()
		if !ok {
			b.Fatal("nothing to send")
		}
		sinkBytes, sinkError = env.AppendJSON(buf)
		must(b, sinkError)
	}
	b.Run("poll", func(b *testing.B) {
		b.ReportAllocs()
		c := readyCoordinator(b)
		must(b, c.SpawnJob(SpawnJob{JobID: 7}))
		c.out.clear()
		for b.Loop() {
			must(b, c.PollStatus(7))
			send(b, c)
		}
	})
	for _, m := range benchMessages() {
		spawn, ok := m.env.Op.(SpawnJob)
		if !ok {
			continue
		}
		b.Run(m.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(m.text)))
			c := readyCoordinator(b)
			for b.Loop() {
				must(b, c.SpawnJob(spawn))
				send(b, c)
				j := c.jobs.live.first
				c.jobs.setState(j, StateFailed, 0)
				c.jobs.forget(j)
			}
		})
	}
}

// BenchmarkSendTogether is BenchmarkSend for four messages at once. It counts messages.
func BenchmarkSendTogether(b *testing.B) {
	const together = 4
	spawn := SpawnJob{Payload: benchPayload(MaxPayloadBytes)}
	for name, make := range map[string]func(*Coordinator, uint64) error{
		"poll":      func(c *Coordinator, _ uint64) error { return c.PollStatus(7) },
		"spawn256k": func(c *Coordinator, id uint64) error { spawn.JobID = id; return c.SpawnJob(spawn) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			c := readyCoordinator(b)
			must(b, c.SpawnJob(SpawnJob{JobID: 7}))
			c.out.clear()
			var batch [together]Outgoing
			for n := uint64(0); n < uint64(b.N); n += together {
				for i := range uint64(together) {
					must(b, make(c, 100+i))
				}
				sinkBytes, _ = c.AppendBatch(sinkBytes[:0], batch[:], math.MaxInt)
				for j := c.jobs.live.last; j.id != 7; j = c.jobs.live.last {
					c.jobs.setState(j, StateFailed, 0)
					c.jobs.forget(j)
				}
			}
		})
	}
}

// BenchmarkRoundTrip is one job: spawn, bytes, the worker reads and completes it with the same payload,
// bytes, the coordinator receives the completion and removes the job.
func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 256 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			payload := benchPayload(size)
			c, w := NewCoordinator(benchSeed), NewWorker("worker-1", benchSeed)
			must(b, w.Announce())
			buf := make([]byte, 0, 2<<20)
			toHost := func() (env Envelope) {
				for m := range w.Outbox() {
					text, err := m.AppendJSON(buf)
					must(b, err)
					env, err = c.Receive(text)
					must(b, err)
				}
				return env
			}
			toHost()
			for b.Loop() {
				must(b, c.SpawnJob(SpawnJob{JobID: 7, Payload: payload}))
				for m := range c.Outbox() {
					text, err := m.AppendJSON(buf)
					must(b, err)
					env, err := w.Receive(text)
					must(b, err)
					must(b, w.Complete(7, OutcomeOk{env.Op.(SpawnJob).Payload}))
				}
				sinkEnvelope = toHost()
				_, err := c.RemoveJob(7)
				must(b, err)
			}
		})
	}
}

// The same reads and writes through encoding/json, on a plain mirror of the types.
type (
	stdEnvelope struct {
		Version      uint32  `json:"version"`
		MessageID    uint64  `json:"message_id"`
		SeqNo        uint64  `json:"seq_no"`
		DecisionSeq  uint64  `json:"decision_seq"`
		Seed         uint64  `json:"seed"`
		IssuedAtTurn uint64  `json:"issued_at_turn"`
		WorkerID     *string `json:"worker_id,omitempty"`
		ReplayHash   uint64  `json:"replay_hash"`
		Op           stdOp   `json:"op"`
	}
	stdOp struct {
		Type         string   `json:"type"`
		JobID        uint64   `json:"job_id,omitempty"`
		RegionID     uint64   `json:"region_id,omitempty"`
		TaskID       uint64   `json:"task_id,omitempty"`
		ObligationID uint64   `json:"obligation_id,omitempty"`
		Payload      []uint16 `json:"payload,omitempty"` // not bytes, which encoding/json takes for base64
		State        string   `json:"state,omitempty"`
		Detail       *string  `json:"detail,omitempty"`
		Level        string   `json:"level,omitempty"`
		Category     string   `json:"category,omitempty"`
		Message      string   `json:"message,omitempty"`
		Metadata     *string  `json:"metadata,omitempty"`
	}
)

func BenchmarkStdlibDecode(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		var env stdEnvelope
		for b.Loop() {
			env = stdEnvelope{}
			must(b, json.Unmarshal(m.text, &env))
		}
	})
}

func BenchmarkStdlibEncode(b *testing.B) {
	eachMessage(b, func(b *testing.B, m benchMessage) {
		var env stdEnvelope
		must(b, json.Unmarshal(m.text, &env))
		for b.Loop() {
			sinkBytes, sinkError = json.Marshal(env)
		}
	})
}
