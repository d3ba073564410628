package workerchannel

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// clone copies a coordinator so that nothing is shared with the original.
func clone(c *Coordinator) *Coordinator {
	d := &Coordinator{
		jobs: c.jobs, clocks: c.clocks, retired: c.retired, worker: c.worker, lastSeen: c.lastSeen,
		ready: c.ready, shutdown: c.shutdown, closing: c.closing, closingReason: c.closingReason,
	}
	copyOutbox(&d.out, &c.out)
	d.retired.keys, d.retired.order = maps.Clone(c.retired.keys), slices.Clone(c.retired.order)
	sessions := map[*session]*session{}
	twinSession := func(s *session) *session {
		if s != nil && sessions[s] == nil {
			twin := *s
			sessions[s] = &twin
		}
		return sessions[s]
	}
	d.session = twinSession(c.session)
	d.jobs.regions.m = maps.Clone(c.jobs.regions.m)
	for id, r := range d.jobs.regions.m {
		twin := *r
		twin.session = twinSession(r.session)
		d.jobs.regions.m[id] = &twin
	}
	twins := map[*job]*job{}
	d.jobs.byID.m = maps.Clone(c.jobs.byID.m)
	for id, j := range d.jobs.byID.m {
		twin := *j
		twin.session, twin.region = twinSession(j.session), d.jobs.regions.m[j.region.id]
		twins[j], d.jobs.byID.m[id] = &twin, &twin
	}
	for _, j := range twins {
		for i := range j.links {
			j.links[i] = link{twins[j.links[i].prev], twins[j.links[i].next]}
		}
	}
	lists := []*jobList{&d.jobs.live, &d.jobs.timed[0], &d.jobs.timed[1], &d.jobs.timed[2], &d.jobs.ended}
	for _, r := range d.jobs.regions.m {
		lists = append(lists, &r.jobs)
	}
	for _, l := range lists {
		l.first, l.last = twins[l.first], twins[l.last]
	}
	for i, m := range d.out.queue {
		if m.job != nil && twins[m.job] == nil { // it has been forgotten
			twin := *m.job
			twins[m.job] = &twin
		}
		d.out.queue[i].job = twins[m.job]
	}
	return d
}

// cloneWorker copies a worker so that nothing is shared with the original.
func cloneWorker(w *Worker) *Worker {
	d := &Worker{id: w.id, phase: w.phase, shutdown: w.shutdown, lastSeen: w.lastSeen, jobs: w.jobs}
	copyOutbox(&d.out, &w.out)
	d.jobs.m = maps.Clone(w.jobs.m)
	for id, j := range d.jobs.m {
		twin := *j
		d.jobs.m[id] = &twin
	}
	return d
}

func copyOutbox(to, from *outbox) {
	to.last, to.head, to.queue = from.last, from.head, slices.Clone(from.queue)
}

// flatten returns the flat form of op.
func flatten(op Op) (f flatOp) {
	f.set(op)
	return f
}

func opJSON(op Op) string {
	f := flatten(op)
	return string(jsonText(nil).object(&opShapes[f.typ], &f))
}

// collect is slices.Collect, but nil for an empty sequence.
func collect[T any](seq func(func(T) bool)) (all []T) {
	for v := range seq {
		all = append(all, v)
	}
	return all
}

// waiting returns the messages in an outbox, which have no worker id and no digest before they are taken.
func waiting(o *outbox) (envelopes []Envelope) {
	for i := range o.len() {
		env := Envelope{Op: o.queue[o.head+i].op}
		o.number(&env, i)
		envelopes = append(envelopes, env)
	}
	return envelopes
}

// heapInUse returns how many bytes are alive.
func heapInUse() float64 {
	runtime.GC()
	runtime.GC() // finishes the sweep of the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// allocatedBy returns how many bytes a call takes from the heap, including what it gives back.
func allocatedBy(call func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// needClone skips a test in the downloaded module, which has no testdata and no docs.
func needClone(t testing.TB) {
	if _, err := os.Stat("testdata"); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the downloaded module has no test data; run this test in a clone of the repository")
	}
}

func fromWorker(worker string, seq uint64, op Op) Envelope {
	return NewWorkerEnvelope(worker, Header{MessageID: seq, SeqNo: seq, DecisionSeq: seq, Seed: 42}, op)
}

func fromHost(seq uint64, op Op) Envelope {
	return NewEnvelope(Header{MessageID: seq, SeqNo: seq, DecisionSeq: seq, Seed: 42}, op)
}

// written returns the message's canonical JSON. Only what can be written may be given to it.
func written(env Envelope) []byte {
	data, err := env.AppendJSON(nil)
	if err != nil {
		panic(err)
	}
	return data
}

// everyOp returns all operations, each with what its members can be.
func everyOp(worker string) []Op {
	return []Op{
		BootstrapReady{worker},
		BootstrapFailed{worker, ""},
		BootstrapFailed{worker, "no \"memory\"\n\\ \x00\x1f\x7f/<>&\u2028é€😀"},
		SpawnJob{1, 2, 3, 4, []byte{}},
		SpawnJob{1 << 63, 0, 1<<64 - 1, 10, []byte{0, 1, 9, 10, 99, 100, 255}},
		PollStatus{5},
		StatusSnapshot{6, StateCreated, nil},
		StatusSnapshot{6, StateQueued, new("")},
		StatusSnapshot{6, StateCancelRequested, new("half")},
		JobCompleted{7, OutcomeOk{[]byte{}}},
		JobCompleted{7, OutcomeOk{[]byte("result")}},
		JobCompleted{7, OutcomeErr{"code", "message"}},
		JobCompleted{7, OutcomeCancelled{"reason"}},
		JobCompleted{7, OutcomePanicked{"message"}},
		CancelJob{8, "reason"},
		CancelAcknowledged{9},
		DrainJob{10},
		DrainCompleted{11},
		FinalizeJob{12},
		FinalizeCompleted{13},
		ShutdownWorker{"reason"},
		ShutdownCompleted{},
		Diagnostic{LevelInfo, "category", "message", nil},
		Diagnostic{LevelWarn, "", "", new("")},
		Diagnostic{LevelError, "category", "message", new("metadata")},
	}
}

// jsonOf returns the message's canonical JSON.
func jsonOf(env Envelope) string { return string(written(env)) }

// Texts that tests change.
const (
	header         = `{"version":1,"message_id":2,"seq_no":3,"decision_seq":4,"seed":5,"issued_at_turn":6,`
	pollText       = header + `"replay_hash":7,"op":{"type":"PollStatus","job_id":8}}`
	stopText       = header + `"replay_hash":7,"op":{"type":"ShutdownWorker","reason":"r"}}`
	spawnText      = header + `"replay_hash":7,"op":{"type":"SpawnJob","job_id":8,"region_id":9,"task_id":10,"obligation_id":11,"payload":[1,2,255]}}`
	snapshotText   = header + `"worker_id":"w","replay_hash":7,"op":{"type":"StatusSnapshot","job_id":8,"state":"Running","detail":"d"}}`
	doneText       = header + `"worker_id":"w","replay_hash":7,"op":{"type":"JobCompleted","job_id":8,"outcome":{"status":"Ok","payload":[1,2,255]}}}`
	errText        = header + `"worker_id":"w","replay_hash":7,"op":{"type":"JobCompleted","job_id":8,"outcome":{"status":"Err","code":"c","message":"m"}}}`
	diagnosticText = header + `"worker_id":"w","replay_hash":7,"op":{"type":"Diagnostic","level":"Warn","category":"c","message":"m","metadata":"d"}}`
)

func payloadText(size int) string {
	return "[" + strings.TrimSuffix(strings.Repeat("7,", size), ",") + "]"
}

func replaceOnce(t *testing.T, text, old, new string) string {
	t.Helper()
	require.Equal(t, 1, strings.Count(text, old), "%q in %q", old, text)
	return strings.Replace(text, old, new, 1)
}
