package workerchannel

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// What tracking jobs costs, in time and in memory, however many there are.

const million = 1_000_000

// trackJobs tracks n jobs, each in a region of its own if it is told to, none of whose messages is left to be sent.
func trackJobs(b *testing.B, c *Coordinator, n int, ownRegions bool) {
	for id := range uint64(n) {
		spawn := SpawnJob{JobID: 1000 + id}
		if ownRegions {
			spawn.RegionID = spawn.JobID
		}
		must(b, c.SpawnJob(spawn))
		if c.OutboxLen() == 1024 {
			c.out.clear()
		}
	}
	c.out.clear()
}

// BenchmarkTracked is one job spawned, completed and removed, with many others in flight.
func BenchmarkTracked(b *testing.B) {
	eachSize(b, func(b *testing.B, jobs int) {
		b.ReportAllocs()
		c := readyCoordinator(b)
		trackJobs(b, c, jobs, false)
		done := NewWorkerEnvelope("worker-1", Header{MessageID: 2, SeqNo: 2}, JobCompleted{7, OutcomeOk{}})
		for b.Loop() {
			c.lastSeen = 1
			must(b, c.SpawnJob(SpawnJob{JobID: 7}))
			sinkEnvelope, _ = c.DrainOutbox()
			must(b, c.HandleInbound(&done))
			_, err := c.RemoveJob(7)
			must(b, err)
		}
	})
}

// eachSize runs a benchmark with a thousand and with a million jobs.
func eachSize(b *testing.B, run func(b *testing.B, jobs int)) {
	b.Run("1k", func(b *testing.B) { run(b, 1000) })
	b.Run("1M", func(b *testing.B) { run(b, million) })
}

// BenchmarkSessionEnd ends a session with many jobs in flight, and asks how many are left.
func BenchmarkSessionEnd(b *testing.B) {
	eachSize(b, func(b *testing.B, jobs int) {
		c := readyCoordinator(b)
		trackJobs(b, c, jobs, false)
		current, live := c.session, c.jobs.live
		for b.Loop() {
			c.WorkerLost()
			sinkNumber = uint64(c.InflightCount())
			c.session, c.worker = current, "worker-1" // and as it was before
			current.cause, c.jobs.live, c.jobs.ended, c.jobs.inflight = CauseNone, live, jobList{}, jobs
			clear(c.retired.keys)
			c.retired.order = c.retired.order[:0]
		}
	})
}

// everyLimit has every limit set, far away.
var everyLimit = Limits{Boot: 1 << 40, Cancel: 1 << 40, Drain: 1 << 40, Finalize: 1 << 40, Poll: 1 << 40, Shutdown: 1 << 40}

// timeJobs tracks jobs that have all been asked to cancel, with the request sent and under a limit.
func timeJobs(b *testing.B, jobs int) *Coordinator {
	c := readyCoordinator(b)
	WithLimits(everyLimit)(c)
	for id := range uint64(jobs) {
		must(b, c.SpawnJob(SpawnJob{JobID: 1000 + id}))
		c.out.clear()
		must(b, c.CancelJob(1000+id, ""))
		if _, ok := c.DrainOutbox(); !ok {
			b.Fatal("nothing to send")
		}
	}
	return c
}

// BenchmarkOverdue asks for the request that is due first, with many outstanding, of which one is overdue.
func BenchmarkOverdue(b *testing.B) {
	eachSize(b, func(b *testing.B, jobs int) {
		c := timeJobs(b, jobs)
		c.out.last.IssuedAtTurn = 1 << 41
		for b.Loop() {
			late, ok := c.Overdue()
			if !ok {
				b.Fatal("nothing is overdue")
			}
			sinkNumber = late.JobID
		}
	})
}

func BenchmarkNextDeadline(b *testing.B) {
	eachSize(b, func(b *testing.B, jobs int) {
		c := timeJobs(b, jobs)
		for b.Loop() {
			sinkNumber, _ = c.NextDeadline()
		}
	})
}

// BenchmarkLeavePhase takes one job through the cancel handshake and removes it, with many others under clocks.
func BenchmarkLeavePhase(b *testing.B) {
	answers := []Envelope{
		NewWorkerEnvelope("worker-1", Header{SeqNo: 2}, CancelAcknowledged{7}),
		NewWorkerEnvelope("worker-1", Header{SeqNo: 3}, DrainCompleted{7}),
		NewWorkerEnvelope("worker-1", Header{SeqNo: 4}, FinalizeCompleted{7}),
	}
	eachSize(b, func(b *testing.B, jobs int) {
		b.ReportAllocs()
		c := timeJobs(b, jobs)
		for b.Loop() {
			c.lastSeen = 1
			must(b, c.SpawnJob(SpawnJob{JobID: 7}))
			must(b, c.CancelJob(7, ""))
			for i := range answers {
				for range c.Outbox() {
				}
				must(b, c.HandleInbound(&answers[i]))
			}
			_, err := c.RemoveJob(7)
			must(b, err)
		}
	})
}

// BenchmarkCloseRegion closes a region of 10 jobs among many others, and makes it again.
func BenchmarkCloseRegion(b *testing.B) {
	const own = 10
	eachSize(b, func(b *testing.B, jobs int) {
		c := readyCoordinator(b)
		trackJobs(b, c, jobs, false)
		for id := range uint64(own) {
			must(b, c.SpawnJob(SpawnJob{JobID: id, RegionID: 7}))
		}
		for b.Loop() {
			cancelled, err := c.CloseRegion(7, "")
			if must(b, err); cancelled != own {
				b.Fatal("cancelled", cancelled)
			}
			c.out.clear()
			for id := range uint64(own) { // and as it was before
				c.jobs.byID.m[id].state = StateQueued
			}
		}
	})
}

// BenchmarkRefusedBootstrap refuses a worker that has ended, with 1,024 others remembered, by the length of its id and of
// theirs. The digest of its own id, if that is longer than 64 bytes, is all that takes longer.
func BenchmarkRefusedBootstrap(b *testing.B) {
	for _, length := range []struct{ its, theirs int }{{8, 8}, {8, 64 << 10}, {64 << 10, 64 << 10}} {
		b.Run(fmt.Sprintf("%dB among %dB", length.its, length.theirs), func(b *testing.B) {
			b.ReportAllocs()
			c := NewCoordinator(benchSeed)
			for n := range retiredMost {
				c.RetireWorker(strings.Repeat("x", length.theirs) + strconv.Itoa(n))
			}
			id := strings.Repeat("y", length.its)
			c.RetireWorker(id)
			v, err := Verify(written(fromWorker(id, 1, BootstrapReady{id})))
			must(b, err)
			for b.Loop() { // without reading it, which takes time in proportion to the message
				if sinkError = c.HandleVerified(v); sinkError == nil {
					b.Fatal("not refused")
				}
			}
		})
	}
}

// BenchmarkMemory reports what stays alive: of each of 1,000,000 jobs in flight, all in one region, or each in its own;
// after as many have been spawned, completed and reaped one by one; after they all failed at once and were reaped; and
// of an outbox of 100,000 messages when it has been drained one by one, or discarded by a shutdown.
func BenchmarkMemory(b *testing.B) {
	const jobs, messages = million, 100_000
	run := func(name, unit string, each float64, use func(c *Coordinator)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c := readyCoordinator(b)
				before := heapInUse()
				use(c)
				b.ReportMetric((heapInUse()-before)/each, unit)
				runtime.KeepAlive(c)
			}
		})
	}
	run("tracked1M", "B/job", jobs, func(c *Coordinator) { trackJobs(b, c, jobs, false) })
	run("regions1M", "B/job", jobs, func(c *Coordinator) { trackJobs(b, c, jobs, true) })
	run("reaped1M", "B", 1, func(c *Coordinator) {
		done := NewWorkerEnvelope("worker-1", Header{SeqNo: 2}, JobCompleted{7, OutcomeOk{}})
		for range jobs {
			c.lastSeen = 1
			must(b, c.SpawnJob(SpawnJob{JobID: 7}))
			sinkEnvelope, _ = c.DrainOutbox()
			must(b, c.HandleInbound(&done))
			c.Reap()
		}
	})
	run("failed1M", "B", 1, func(c *Coordinator) {
		trackJobs(b, c, jobs, false)
		c.WorkerLost()
		if n := len(c.Reap()); n != jobs {
			b.Fatal("reaped", n)
		}
	})
	fill := func(c *Coordinator) {
		must(b, c.SpawnJob(SpawnJob{JobID: 7}))
		for c.OutboxLen() < messages {
			must(b, c.PollStatus(7))
		}
	}
	run("filled100k", "B/message", messages, fill)
	run("drained100k", "B", 1, func(c *Coordinator) {
		fill(c)
		for range c.Outbox() {
		}
	})
	run("discarded100k", "B", 1, func(c *Coordinator) {
		fill(c)
		must(b, c.RequestShutdown(""))
	})
}

// BenchmarkIdle makes 100,000 coordinators with a ready worker each, and then has each receive a message, long after it was
// last looked at. It reports how many bytes stay alive of each, before and after.
func BenchmarkIdle(b *testing.B) {
	const coordinators = 100_000
	text := written(fromWorker("worker-1", 2, Diagnostic{Level: LevelInfo, Category: "c", Message: "m"}))
	for b.Loop() {
		all := make([]*Coordinator, coordinators)
		empty := heapInUse()
		for i := range all {
			all[i] = readyCoordinator(b)
		}
		b.ReportMetric((heapInUse()-empty)/coordinators, "B/coordinator")
		start := b.Elapsed()
		for _, c := range all {
			_, err := c.Receive(text)
			must(b, err)
		}
		b.ReportMetric(float64((b.Elapsed()-start).Nanoseconds())/coordinators, "ns/message")
		b.ReportMetric((heapInUse()-empty)/coordinators, "B/coordinator-after")
		runtime.KeepAlive(all)
	}
}

// BenchmarkReap is what the end of a session has put off, for each of its jobs.
func BenchmarkReap(b *testing.B) {
	const jobs = 100_000
	for b.Loop() {
		b.StopTimer()
		c := readyCoordinator(b)
		trackJobs(b, c, jobs, false)
		c.WorkerLost()
		b.StartTimer()
		c.Reap()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/jobs, "ns/job")
}
