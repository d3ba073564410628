package transporttest

import (
	"bytes"
	"iter"
	"strings"

	"pgregory.net/rapid"

	"github.com/workerchannel/workerchannel"
)

// playConversation has both sides do as they like, come to rest, and part.
func playConversation(c *conversation, t *rapid.T) {
	c.begin()
	t.Repeat(c.actions())
	c.finish()
	c.part(c.either(t))
}

// playClose has both sides do as they like until one closes its end.
func playClose(c *conversation, t *rapid.T) {
	c.begin()
	t.Repeat(c.actions())
	c.send(c.host)
	c.send(c.worker)
	c.part(c.either(t))
	c.coordinator.WorkerLost()
	c.settle()
}

// playLargest sends the largest payloads, and lets them pass each other.
func playLargest(c *conversation, _ *rapid.T) {
	const jobs = 3
	largest := bytes.Repeat([]byte{255}, workerchannel.MaxPayloadBytes)
	c.begin()
	c.receive(c.host)
	for id := range uint64(jobs) {
		c.spawn(largest)
		c.send(c.host)
		c.receive(c.worker)
		c.complete(id+1, workerchannel.OutcomeOk{Payload: largest})
		c.spawn(largest)
		c.send(c.host)
		c.send(c.worker)
	}
	c.finish()
	c.part(c.worker)
}

func (c *conversation) either(t *rapid.T) *end {
	if rapid.Bool().Draw(t, "worker closes first") {
		return c.worker
	}
	return c.host
}

// begin has the worker announce itself.
func (c *conversation) begin() {
	c.must(c.workerHalf.Announce())
	c.send(c.worker)
}

// finish has the worker do its part until every job has ended, and then stop.
func (c *conversation) finish() {
	for c.rest(); c.workerHalf.InflightCount() > 0; c.rest() {
		for job := range c.workerHalf.Jobs() {
			if !c.answer(job.JobID) {
				c.complete(job.JobID, workerchannel.OutcomeOk{})
			}
		}
	}
	if n := c.coordinator.InflightCount(); n > 0 {
		c.fail(refused, "everything arrived, and %d jobs have not ended", n)
	}
	c.say("the host asks the worker to stop")
	c.must(c.coordinator.RequestShutdown("enough"))
	c.rest()
	c.must(c.workerHalf.CompleteShutdown())
	c.rest()
	c.receiveProbes(c.host)
	c.receiveProbes(c.worker)
	c.settle()
}

// rest has both sides send and receive until nothing is under way.
func (c *conversation) rest() {
	for {
		c.send(c.host)
		c.send(c.worker)
		if !c.host.underWay() && !c.worker.underWay() {
			return
		}
		for _, e := range []*end{c.worker, c.host} {
			for e.underWay() {
				c.receive(e)
			}
		}
	}
}

// settle checks that the session is over and every job has ended, once.
func (c *conversation) settle() {
	if _, active := c.coordinator.ActiveWorker(); active || c.coordinator.InflightCount() > 0 {
		c.fail(refused, "the session has not ended")
	}
	if n := len(c.coordinator.Reap()); n != c.spawned {
		c.fail(refused, "%d jobs have ended of %d", n, c.spawned)
	}
}

// must is for calls that cannot be refused at this point.
func (c *conversation) must(err error) {
	if err != nil {
		c.fail(refused, "%v", err)
	}
}

func (c *conversation) spawn(payload []byte) {
	c.spawned++
	id := uint64(c.spawned)
	c.say("the host spawns job %d with %d bytes", id, len(payload))
	c.must(c.coordinator.SpawnJob(workerchannel.SpawnJob{JobID: id, RegionID: 1, TaskID: id, Payload: payload}))
}

func (c *conversation) complete(id uint64, outcome workerchannel.Outcome) {
	if ok, is := outcome.(workerchannel.OutcomeOk); is {
		c.say("the worker completes job %d with %d bytes", id, len(ok.Payload))
	} else {
		c.say("the worker ends job %d with %T", id, outcome)
	}
	c.must(c.workerHalf.Complete(id, outcome))
}

// answer has the worker take the next step of a job's cancellation; false if the job is not in one.
func (c *conversation) answer(id uint64) bool {
	w := c.workerHalf
	switch {
	case w.AcknowledgeCancel(id) == nil:
		c.say("the worker acknowledges the cancel of job %d", id)
	case w.CompleteDrain(id) == nil:
		c.say("the worker has drained job %d", id)
	case w.CompleteFinalize(id) == nil:
		c.say("the worker has finalized job %d", id)
	default:
		return false
	}
	return true
}

// texts are those that a transport may stumble over.
var texts = rapid.SampledFrom([]string{
	"", "plain", "two\nlines", "\r\n", "\x00", `"quoted"`, "\\n", "a,b:c;d", " ", "é", "\U0001D11E", "\u0085", "\u2028", "\uFEFF",
	"<script>", "%d%s", strings.Repeat("x", 5_000), strings.Repeat("long ", 15_000),
})

// sizes of payloads: small ones mostly, but any.
var sizes = rapid.OneOf(rapid.IntRange(0, 64), rapid.IntRange(0, 64), rapid.IntRange(0, 64), rapid.IntRange(0, 64),
	rapid.IntRange(0, 5_000), rapid.IntRange(0, 5_000), rapid.IntRange(0, 5_000), rapid.IntRange(0, workerchannel.MaxPayloadBytes))

func drawPayload(t *rapid.T) []byte {
	payload := make([]byte, sizes.Draw(t, "size"))
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	return payload
}

var outcomes = rapid.Custom(func(t *rapid.T) workerchannel.Outcome {
	switch rapid.IntRange(0, 3).Draw(t, "outcome") {
	case 1:
		return workerchannel.OutcomeErr{Code: "code", Message: texts.Draw(t, "message")}
	case 2:
		return workerchannel.OutcomeCancelled{Reason: texts.Draw(t, "reason")}
	case 3:
		return workerchannel.OutcomePanicked{Message: texts.Draw(t, "message")}
	}
	return workerchannel.OutcomeOk{Payload: drawPayload(t)}
})

// actions are what the two applications and the connection may do next.
func (c *conversation) actions() map[string]func(*rapid.T) {
	host, w := c.coordinator, c.workerHalf
	return map[string]func(*rapid.T){
		"host sends": func(t *rapid.T) {
			skipUnless(t, c.host.half.OutboxLen() > 0)
			host.AdvanceTurn()
			c.send(c.host)
		},
		"host receives": func(t *rapid.T) {
			skipUnless(t, c.host.underWay())
			c.receive(c.host)
		},
		"host spawns": func(t *rapid.T) {
			skipUnless(t, host.WorkerReady())
			c.spawn(drawPayload(t))
		},
		"host cancels": func(t *rapid.T) {
			id := draw(t, ids(host.Jobs(), func(s workerchannel.JobState) bool { return s.CanTransitionTo(workerchannel.StateCancelRequested) }))
			reason := texts.Draw(t, "reason")
			c.say("the host cancels job %d, for %.20q", id, reason)
			c.must(host.CancelJob(id, reason))
		},
		"host polls": func(t *rapid.T) {
			id := draw(t, ids(host.Jobs(), reportable))
			c.say("the host polls job %d", id)
			c.must(host.PollStatus(id))
		},
		"worker sends": func(t *rapid.T) {
			skipUnless(t, c.worker.half.OutboxLen() > 0)
			w.AdvanceTurn()
			c.send(c.worker)
		},
		"worker receives": func(t *rapid.T) {
			skipUnless(t, c.worker.underWay())
			c.receive(c.worker)
		},
		"worker starts": func(t *rapid.T) {
			id := draw(t, ids(w.Jobs(), func(s workerchannel.JobState) bool { return s == workerchannel.StateQueued }))
			c.say("the worker starts job %d", id)
			c.must(w.Start(id))
		},
		"worker reports": func(t *rapid.T) {
			id := draw(t, ids(w.Jobs(), reportable))
			detail := texts.Draw(t, "detail")
			c.say("the worker reports %.20q about job %d", detail, id)
			c.must(w.Report(id, detail))
		},
		"worker completes": func(t *rapid.T) {
			id := draw(t, ids(w.Jobs(), reportable))
			c.complete(id, outcomes.Draw(t, "outcome"))
		},
		"worker answers": func(t *rapid.T) {
			for job := range w.Jobs() {
				if c.answer(job.JobID) {
					return
				}
			}
			t.SkipNow()
		},
		"worker diagnoses": func(t *rapid.T) {
			message := texts.Draw(t, "message")
			c.say("the worker says %.20q", message)
			c.must(w.Diagnose(workerchannel.Diagnostic{Level: workerchannel.LevelInfo, Category: "test", Message: message}))
		},
	}
}

func reportable(s workerchannel.JobState) bool {
	return s == workerchannel.StateQueued || s == workerchannel.StateRunning
}

// ids are those of the jobs in certain states.
func ids(jobs iter.Seq[workerchannel.TrackedJob], in func(workerchannel.JobState) bool) (list []uint64) {
	for job := range jobs {
		if in(job.State) {
			list = append(list, job.JobID)
		}
	}
	return list
}

func skipUnless(t *rapid.T, possible bool) {
	if !possible {
		t.SkipNow()
	}
}

// draw draws one of the ids, if there is one.
func draw(t *rapid.T, ids []uint64) uint64 {
	skipUnless(t, len(ids) > 0)
	return rapid.SampledFrom(ids).Draw(t, "job")
}
