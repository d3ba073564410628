package modeltest

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
)

var update = flag.Bool("update", false, "rewrite testdata/rules.jsonl and testdata/worker_rules.jsonl")

// A hostScript plays one session of a coordinator, of which record_test.go keeps the steps. It numbers each worker's
// messages.
type hostScript struct {
	*wc.Coordinator
	record
	last map[string]uint64
}

func (s *hostScript) from(worker string, op wc.Op) {
	s.last[worker]++
	s.at(worker, s.last[worker], op)
}

func (s *hostScript) at(worker string, seqNo uint64, op wc.Op) {
	s.last[worker] = seqNo
	env := wc.NewWorkerEnvelope(worker, wc.NewHeader(seqNo, seqNo, 0, 0), op)
	_ = s.HandleInbound(&env) // an error is part of what is recorded
}

func (s *hostScript) ready(worker string) { s.from(worker, wc.BootstrapReady{WorkerID: worker}) }

func (s *hostScript) spawn(region uint64, jobs ...uint64) {
	for _, id := range jobs {
		_ = s.SpawnJob(wc.SpawnJob{JobID: id, RegionID: region})
	}
}

func (s *hostScript) send() {
	for range s.Outbox() {
	}
}

// begins brings a worker up and gives it jobs.
func (s *hostScript) begins(worker string, jobs ...uint64) {
	s.ready(worker)
	s.spawn(1, jobs...)
	s.send()
}

// until brings a job into a state of its cancellation.
func (s *hostScript) until(worker string, job uint64, state wc.JobState) {
	_ = s.CancelJob(job, "no longer needed")
	s.send()
	if state >= wc.StateDraining {
		s.from(worker, wc.CancelAcknowledged{JobID: job})
		s.send()
	}
	if state == wc.StateFinalizing {
		s.from(worker, wc.DrainCompleted{JobID: job})
		s.send()
	}
}

func snapshot(job uint64, state wc.JobState) wc.Op {
	return wc.StatusSnapshot{JobID: job, State: state}
}

func completed(job uint64) wc.Op { return wc.JobCompleted{JobID: job, Outcome: wc.OutcomeOk{}} }

// hostRules has a session for each rule that a coordinator written from the specification may get wrong.
var hostRules = []struct {
	name   string
	limits wc.Limits
	play   func(*hostScript)
}{
	{"a repeated announcement changes nothing", wc.Limits{}, func(s *hostScript) {
		s.begins("w", 1, 2)
		s.spawn(1, 3)
		s.ready("w")
		_ = s.ShutdownWhenIdle("done")
		s.ready("w")
		s.spawn(1, 4)
		_ = s.RequestShutdown("now")
		s.ready("w")
		s.send()
		s.from("w", completed(1))
	}},
	{"a worker whose session has ended is refused, however it ended", wc.Limits{}, func(s *hostScript) {
		s.begins("replaced", 1)
		s.begins("stopped", 2)
		s.from("stopped", wc.ShutdownCompleted{})
		s.begins("lost", 3)
		s.WorkerLost()
		s.begins("gives up", 4)
		s.from("gives up", wc.BootstrapFailed{WorkerID: "gives up", Reason: "no memory"})
		s.from("never came up", wc.BootstrapFailed{WorkerID: "never came up"})
		s.begins("retired", 5)
		s.RetireWorker("retired")
		s.RetireWorker("retired before it came")
		for _, worker := range []string{"replaced", "stopped", "lost", "gives up", "never came up", "retired", "retired before it came"} {
			s.ready(worker)
			s.from(worker, wc.BootstrapFailed{WorkerID: worker})
			s.at(worker, 0, wc.BootstrapReady{WorkerID: worker})
		}
		s.begins("new", 6)
		for _, worker := range []string{"replaced", "retired"} {
			s.ready(worker)
			s.from(worker, completed(6))
		}
		s.Reap()
	}},
	{"an id that ends again becomes the latest", wc.Limits{}, func(s *hostScript) {
		for i := range 1024 {
			s.RetireWorker(fmt.Sprint("w-", i))
		}
		s.RetireWorker("w-0") // again, which makes it the latest
		s.ready("w-1")
		s.RetireWorker("w-1024")
		s.ready("w-0")
		s.ready("w-2")
		s.ready("w-1")
	}},
	{"a successor numbers its messages from where it likes", wc.Limits{}, func(s *hostScript) {
		s.at("a", 100, wc.BootstrapReady{WorkerID: "a"})
		s.spawn(1, 1)
		s.at("b", 1, wc.BootstrapReady{WorkerID: "b"})
		s.at("a", 101, completed(1))
		s.at("a", 1, completed(1))
		s.at("b", 1, wc.Diagnostic{})
		s.at("b", 2, completed(1))
		s.at("c", 0, wc.BootstrapReady{WorkerID: "c"})
	}},
	{"SpawnJob checks in order", wc.Limits{}, func(s *hostScript) {
		tooLarge := make([]byte, wc.MaxPayloadBytes+1)
		_ = s.RequestShutdown("before there is a worker")
		s.spawn(1, 1)
		s.begins("w", 1)
		s.WorkerLost()
		s.begins("x", 1, 2)
		_, _ = s.CloseRegion(1, "closed")
		_ = s.SpawnJob(wc.SpawnJob{JobID: 2, RegionID: 1, Payload: tooLarge})
		_ = s.SpawnJob(wc.SpawnJob{JobID: 2, RegionID: 2, Payload: tooLarge})
		s.spawn(1, 2)
		s.spawn(2, 2)
		_ = s.SpawnJob(wc.SpawnJob{JobID: 5, RegionID: 2, Payload: tooLarge[1:]})
		_ = s.ShutdownWhenIdle("idle")
		s.spawn(1, 2)
		s.spawn(3, 9)
		_ = s.RequestShutdown("now")
		s.spawn(1, 2)
	}},
	{"ShutdownWhenIdle is asked once, and RequestShutdown may follow", wc.Limits{}, func(s *hostScript) {
		s.begins("w", 1)
		_ = s.ShutdownWhenIdle("first")
		_ = s.ShutdownWhenIdle("second")
		_ = s.RequestShutdown("third")
		_ = s.RequestShutdown("fourth")
		_ = s.ShutdownWhenIdle("fifth")
		s.send()
	}},
	{"snapshots may cross a cancel", wc.Limits{}, func(s *hostScript) {
		s.begins("w", 1, 2, 3, 4)
		s.from("w", snapshot(3, wc.StateRunning))
		s.from("w", snapshot(3, wc.StateRunning))
		s.from("w", snapshot(3, wc.StateQueued))
		for job := range uint64(4) {
			_ = s.CancelJob(job, "crossed")
		}
		s.send()
		s.from("w", snapshot(1, wc.StateQueued))
		s.from("w", snapshot(2, wc.StateRunning))
		for _, state := range []wc.JobState{wc.StateQueued, wc.StateRunning, wc.StateCancelRequested, wc.StateDraining, wc.StateCompleted} {
			s.from("w", snapshot(1, state))
			s.from("w", snapshot(99, state))
		}
		s.from("w", completed(1))
		s.from("w", snapshot(1, wc.StateRunning))
		s.from("w", completed(1))
	}},
	{"nothing but the handshake continues once a cancel is acknowledged", wc.Limits{}, func(s *hostScript) {
		s.begins("w", 1, 2, 3)
		s.until("w", 1, wc.StateCancelRequested)
		s.until("w", 2, wc.StateDraining)
		s.until("w", 3, wc.StateFinalizing)
		for job := uint64(1); job <= 3; job++ {
			for _, op := range []wc.Op{snapshot(job, wc.StateRunning), snapshot(job, wc.StateQueued)} {
				s.from("w", op)
			}
			_ = s.PollStatus(job)
			_ = s.CancelJob(job, "again")
		}
		s.from("w", completed(2))
		s.from("w", completed(3))
		s.from("w", wc.DrainCompleted{JobID: 1})
		s.from("w", wc.FinalizeCompleted{JobID: 1})
		s.from("w", wc.CancelAcknowledged{JobID: 2})
		s.from("w", wc.FinalizeCompleted{JobID: 2})
		s.from("w", wc.CancelAcknowledged{JobID: 3})
		s.from("w", wc.DrainCompleted{JobID: 3})
		s.from("w", wc.FinalizeCompleted{JobID: 3})
		s.from("w", wc.FinalizeCompleted{JobID: 3})
	}},
	{"a job that failed with its session stays failed", wc.Limits{}, func(s *hostScript) {
		s.begins("a", 1, 2)
		s.begins("b")
		s.from("b", completed(1))
		s.from("b", snapshot(1, wc.StateRunning))
		s.from("b", snapshot(1, wc.StateQueued))
		s.from("b", wc.CancelAcknowledged{JobID: 1})
		s.from("b", wc.DrainCompleted{JobID: 2})
		s.from("b", wc.FinalizeCompleted{JobID: 2})
		_ = s.CancelJob(1, "too late")
		_ = s.PollStatus(1)
		s.Reap()
	}},
	{"a shutdown freezes the handshake, and outcomes still count", wc.Limits{}, func(s *hostScript) {
		s.begins("w", 1, 2, 3, 4)
		s.until("w", 1, wc.StateCancelRequested)
		s.until("w", 2, wc.StateDraining)
		s.until("w", 3, wc.StateFinalizing)
		_ = s.RequestShutdown("enough")
		s.from("w", wc.CancelAcknowledged{JobID: 1})
		s.from("w", wc.CancelAcknowledged{JobID: 99})
		s.from("w", wc.DrainCompleted{JobID: 2})
		s.from("w", wc.DrainCompleted{JobID: 99})
		s.from("w", wc.FinalizeCompleted{JobID: 3})
		s.from("w", completed(4))
		s.from("w", completed(1))
		s.send()
		_ = s.CancelJob(99, "unknown")
		_ = s.PollStatus(99)
		_, _ = s.CancelRegion(99, "unknown")
		_, _ = s.CloseRegion(1, "refused")
		s.from("w", wc.ShutdownCompleted{})
		s.begins("x", 5)
		s.Reap()
	}},
	{"regions cancel by ascending id and are forgotten with their last job", wc.Limits{}, func(s *hostScript) {
		s.begins("w")
		s.spawn(7, 30, 10, 20)
		s.spawn(8, 5)
		_, _ = s.CancelRegion(9, "unknown")
		s.send()
		_, _ = s.CloseRegion(7, "together")
		s.send()
		for _, job := range []uint64{20, 30, 10} {
			s.from("w", completed(job))
		}
		s.spawn(7, 40)
		s.Reap()
		s.spawn(7, 40)
		_, _ = s.CancelRegion(7, "again")
	}},
	{"clocks start when a message is sent", wc.Limits{Boot: 2, Cancel: 3, Drain: 3, Finalize: 3, Poll: 3, Shutdown: 4}, func(s *hostScript) {
		s.ExpectWorker()
		s.AdvanceTurn()
		s.begins("w", 1, 2, 3)
		_ = s.CancelJob(1, "late")
		_ = s.PollStatus(2)
		s.AdvanceTurn()
		s.AdvanceTurn()
		s.send()
		s.AdvanceTurn()
		_ = s.PollStatus(2)
		s.send()
		s.AdvanceTurn()
		s.from("w", wc.Diagnostic{})
		s.AdvanceTurn()
		s.from("w", wc.CancelAcknowledged{JobID: 1})
		s.send()
		_ = s.CancelJob(3, "too")
		_ = s.CancelJob(2, "too")
		s.send()
		s.AdvanceTurn()
		_ = s.RequestShutdown("enough")
		s.AdvanceTurn()
		s.AdvanceTurn()
		s.AdvanceTurn()
		s.ExpectWorker()
		s.send()
		s.AdvanceTurn()
		s.WorkerLost()
		s.AdvanceTurn()
		s.AdvanceTurn()
		s.ready("x")
	}},
	{"of requests due at the same time, the earlier message is named", wc.Limits{Cancel: 2, Poll: 2, Drain: 2, Finalize: 2}, func(s *hostScript) {
		s.begins("w", 1, 2, 3)
		_ = s.CancelJob(2, "first")
		_ = s.PollStatus(1)
		_ = s.CancelJob(3, "third")
		s.send()
		s.AdvanceTurn()
		s.AdvanceTurn()
		s.from("w", wc.CancelAcknowledged{JobID: 2})
		s.from("w", wc.CancelAcknowledged{JobID: 3})
		s.send()
		s.AdvanceTurn()
		s.AdvanceTurn()
	}},
	{"a deadline is at most 2^64-1", wc.Limits{Boot: math.MaxUint64, Poll: math.MaxUint64}, func(s *hostScript) {
		s.AdvanceTurn()
		s.ExpectWorker()
		s.AdvanceTurn()
		s.begins("w", 1)
		_ = s.PollStatus(1)
		s.send()
	}},
}

// A workerScript plays one session of a worker. It numbers the coordinator's messages.
type workerScript struct {
	*wc.Worker
	record
	last uint64
}

func (s *workerScript) gets(ops ...wc.Op) {
	for _, op := range ops {
		s.last++
		s.at(s.last, op)
	}
}

func (s *workerScript) at(seqNo uint64, op wc.Op) {
	env := wc.NewEnvelope(wc.NewHeader(seqNo, seqNo, 0, 0), op)
	_ = s.HandleInbound(&env) // an error is part of what is recorded
}

func (s *workerScript) send() {
	for range s.Outbox() {
	}
}

// phases brings jobs 1 to 7 into the phases that a worker tells apart, in their order.
func (s *workerScript) phases() {
	for job := uint64(1); job <= 7; job++ {
		s.gets(wc.SpawnJob{JobID: job})
	}
	for job := uint64(2); job <= 7; job++ {
		_ = s.Start(job)
	}
	for job := uint64(3); job <= 7; job++ {
		s.gets(wc.CancelJob{JobID: job})
	}
	for job := uint64(4); job <= 7; job++ {
		_ = s.AcknowledgeCancel(job)
	}
	for job := uint64(5); job <= 7; job++ {
		s.gets(wc.DrainJob{JobID: job})
	}
	for job := uint64(6); job <= 7; job++ {
		_ = s.CompleteDrain(job)
	}
	s.gets(wc.FinalizeJob{JobID: 7})
	s.send()
}

const anyJob = 8 // jobs 1 to 7 in their phases, and one that the worker does not have

var workerRules = []struct {
	name string
	play func(*workerScript)
}{
	{"before the announcement nothing is answered", func(s *workerScript) {
		s.gets(wc.SpawnJob{JobID: 1}, wc.PollStatus{JobID: 1}, wc.PollStatus{JobID: 2}, wc.CancelJob{JobID: 1})
		_ = s.Start(1)
		_ = s.AcknowledgeCancel(1)
		_ = s.CompleteShutdown()
		_ = s.Announce()
		_ = s.Announce()
		_ = s.AcknowledgeCancel(1)
		s.send()
	}},
	{"a poll is answered for queued and running jobs only", func(s *workerScript) {
		_ = s.Announce()
		s.phases()
		for job := uint64(1); job <= anyJob; job++ {
			s.gets(wc.PollStatus{JobID: job})
			s.send()
		}
	}},
	{"a request that does not fit its job's phase is refused", func(s *workerScript) {
		_ = s.Announce()
		s.phases()
		for job := uint64(1); job <= anyJob; job++ {
			s.gets(wc.DrainJob{JobID: job % 5}, wc.FinalizeJob{JobID: job % 6})
		}
		for job := uint64(3); job <= anyJob; job++ {
			s.gets(wc.CancelJob{JobID: job})
		}
		for job := uint64(1); job < anyJob; job++ {
			s.gets(wc.SpawnJob{JobID: job})
		}
		s.send()
	}},
	{"a call that does not fit its job's phase is refused", func(s *workerScript) {
		_ = s.Announce()
		s.phases()
		for job := uint64(4); job <= anyJob; job++ {
			_ = s.Complete(job, wc.OutcomeOk{})
			_ = s.AcknowledgeCancel(job)
		}
		for job := uint64(2); job <= anyJob; job++ {
			_ = s.Start(job)
		}
		for job := uint64(3); job <= anyJob; job++ {
			_ = s.Report(job, "how it goes")
		}
		for _, job := range []uint64{1, 2, 3, 4, 6, 7, 8} {
			_ = s.CompleteDrain(job)
		}
		for _, job := range []uint64{1, 2, 3, 4, 5, 6, 8} {
			_ = s.CompleteFinalize(job)
		}
		for job := uint64(1); job <= 3; job++ {
			_ = s.Complete(job, wc.OutcomeOk{})
			_ = s.Complete(job, wc.OutcomeOk{})
			s.gets(wc.CancelJob{JobID: job}, wc.PollStatus{JobID: job}, wc.SpawnJob{JobID: job})
		}
		s.send()
	}},
	{"once a shutdown is requested, no answer waits for another request", func(s *workerScript) {
		_ = s.Announce()
		s.phases()
		s.gets(wc.ShutdownWorker{Reason: "enough"})
		_ = s.AcknowledgeCancel(3)
		_ = s.CompleteDrain(5)
		_ = s.CompleteFinalize(7)
		_ = s.Complete(1, wc.OutcomeOk{})
		s.gets(wc.DrainJob{JobID: 4}, wc.FinalizeJob{JobID: 6}, wc.SpawnJob{JobID: 9})
		_ = s.Complete(2, wc.OutcomeOk{})
		_ = s.Complete(9, wc.OutcomeOk{})
		_ = s.CompleteShutdown()
		s.send()
	}},
	{"Complete checks in order", func(s *workerScript) {
		tooLarge := wc.OutcomeOk{Payload: make([]byte, wc.MaxPayloadBytes+1)}
		_ = s.Complete(1, tooLarge)
		_ = s.Announce()
		_ = s.Complete(1, tooLarge)
	}},
	{"a closed worker ignores every valid message", func(s *workerScript) {
		_ = s.Announce()
		s.gets(wc.SpawnJob{JobID: 1})
		_ = s.Fail("no memory")
		_ = s.Fail("again")
		_ = s.Announce()
		_ = s.Start(1)
		_ = s.Complete(1, wc.OutcomeOk{})
		_ = s.CompleteShutdown()
		s.at(1, wc.SpawnJob{JobID: 1})
		s.gets(wc.PollStatus{JobID: 1}, wc.ShutdownWorker{})
		ready := wc.NewWorkerEnvelope("peer", wc.Header{SeqNo: 9}, wc.BootstrapReady{WorkerID: "peer"})
		_ = s.HandleInbound(&ready)
		s.send()
	}},
	{"the direction is checked before the sequence number", func(s *workerScript) {
		_ = s.Announce()
		s.gets(wc.SpawnJob{JobID: 1})
		stale := wc.NewWorkerEnvelope("peer", wc.Header{SeqNo: 1}, wc.Diagnostic{})
		_ = s.HandleInbound(&stale)
		s.at(1, wc.SpawnJob{JobID: 2})
		s.at(0, wc.SpawnJob{JobID: 2})
		s.gets(wc.DrainJob{JobID: 5})
		s.at(s.last, wc.SpawnJob{JobID: 2})
		_ = s.CompleteShutdown()
		s.send()
	}},
}

// TestRulesAreRecorded keeps the sessions of the rules, one a line with the rule's name, which a peer in any language can
// replay.
func TestRulesAreRecorded(t *testing.T) {
	var hosts, workers bytes.Buffer
	for _, rule := range hostRules {
		s := newHostScript(rule.limits)
		rule.play(s)
		s.write(&hosts, "rule", rule.name, "seed", s.Seed(), "first_decision_seq", 1, "limits", limitsJSON(rule.limits))
	}
	for _, rule := range workerRules {
		s := newWorkerScript()
		rule.play(s)
		s.write(&workers, "rule", rule.name, "seed", s.Seed(), "worker_id", s.ID())
	}
	for file, recorded := range map[string][]byte{"rules.jsonl": hosts.Bytes(), "worker_rules.jsonl": workers.Bytes()} {
		want, got := model.Lines(t, file), bytes.Split(bytes.TrimSpace(recorded), []byte("\n"))
		if *update {
			require.NoError(t, os.WriteFile("../../testdata/"+file, recorded, 0o644))
			want = got
		}
		require.Len(t, got, len(want), file)
		for i := range want {
			assert.Equal(t, model.Exact(want[i]), model.Exact(got[i]), "%s, line %d", file, i+1)
		}
	}
}
