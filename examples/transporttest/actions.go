package transporttest

import (
	"iter"
	"strings"

	"github.com/workerchannel/workerchannel"
)

// An action is what one of the applications may do next, if it is possible then.
type action struct {
	name string
	take func(*conversation, step)
}

var actions = []action{
	{"host sends", func(c *conversation, _ step) {
		if c.coordinator.OutboxLen() > 0 {
			c.coordinator.AdvanceTurn()
			c.say(c.host)
		}
	}},
	{"worker sends", func(c *conversation, _ step) {
		if c.workerHalf.OutboxLen() > 0 {
			c.workerHalf.AdvanceTurn()
			c.say(c.worker)
		}
	}},
	{"host receives", func(c *conversation, _ step) { c.await(c.host, min(c.host.got+1, len(c.worker.sent))) }},
	{"worker receives", func(c *conversation, _ step) { c.await(c.worker, min(c.worker.got+1, len(c.host.sent))) }},
	{"host spawns", func(c *conversation, s step) {
		if c.coordinator.WorkerReady() {
			c.spawn(payload(s.size))
		}
	}},
	{"host cancels", func(c *conversation, s step) {
		cancellable := func(s workerchannel.JobState) bool { return s.CanTransitionTo(workerchannel.StateCancelRequested) }
		c.withJob(c.coordinator.Jobs(), cancellable, s, "the host cancels", func(id uint64) error { return c.coordinator.CancelJob(id, c.text(s)) })
	}},
	{"host polls", func(c *conversation, s step) {
		c.withJob(c.coordinator.Jobs(), working, s, "the host polls", c.coordinator.PollStatus)
	}},
	{"worker starts", func(c *conversation, s step) {
		queued := func(s workerchannel.JobState) bool { return s == workerchannel.StateQueued }
		c.withJob(c.workerHalf.Jobs(), queued, s, "the worker starts", c.workerHalf.Start)
	}},
	{"worker reports", func(c *conversation, s step) {
		c.withJob(c.workerHalf.Jobs(), working, s, "the worker reports about", func(id uint64) error { return c.workerHalf.Report(id, c.text(s)) })
	}},
	{"worker completes", func(c *conversation, s step) {
		c.withJob(c.workerHalf.Jobs(), working, s, "the worker ends", func(id uint64) error { return c.workerHalf.Complete(id, c.outcome(s)) })
	}},
	{"worker answers", func(c *conversation, _ step) {
		for job := range c.workerHalf.Jobs() {
			if c.answer(job.JobID) {
				return
			}
		}
	}},
	{"worker diagnoses", func(c *conversation, s step) {
		if c.coordinator.WorkerReady() {
			c.log.say("the worker says %.20q", c.text(s))
			c.must(c.workerHalf.Diagnose(workerchannel.Diagnostic{Level: workerchannel.LevelInfo, Category: "test", Message: c.text(s)}))
		}
	}},
}

func working(s workerchannel.JobState) bool {
	return s == workerchannel.StateQueued || s == workerchannel.StateRunning
}

// withJob does something with one of the jobs in certain states, if there is one.
func (c *conversation) withJob(jobs iter.Seq[workerchannel.TrackedJob], in func(workerchannel.JobState) bool, s step, says string, do func(id uint64) error) {
	var ids []uint64
	for job := range jobs {
		if in(job.State) {
			ids = append(ids, job.JobID)
		}
	}
	if len(ids) > 0 {
		id := ids[s.n%len(ids)]
		c.log.say("%s job %d", says, id)
		c.must(do(id))
	}
}

func (c *conversation) spawn(payload []byte) {
	c.spawned++
	id := uint64(c.spawned)
	c.log.say("the host spawns job %d with %s", id, count(len(payload), "byte"))
	c.must(c.coordinator.SpawnJob(workerchannel.SpawnJob{JobID: id, RegionID: 1, TaskID: id, Payload: payload}))
}

// answer has the worker take the next step of a job's cancellation. It reports false if the job is not in one.
func (c *conversation) answer(id uint64) bool {
	w := c.workerHalf
	switch {
	case w.AcknowledgeCancel(id) == nil:
		c.log.say("the worker acknowledges the cancel of job %d", id)
	case w.CompleteDrain(id) == nil:
		c.log.say("the worker has drained job %d", id)
	case w.CompleteFinalize(id) == nil:
		c.log.say("the worker has finalized job %d", id)
	default:
		return false
	}
	return true
}

// texts are those that a transport may stumble over.
var texts = []string{
	"", "plain", "two\nlines", "\r\n", "\x00", `"quoted"`, "\\n", "a,b:c;d", " ", "é", "\U0001D11E", "\u0085", "\u2028", "\uFEFF",
	"<script>", "%d%s", strings.Repeat("x", 5_000), strings.Repeat("long ", 15_000),
}

// text returns a text that fits into a message.
func (c *conversation) text(s step) string {
	text := texts[s.size%len(texts)]
	if len(text) > c.max-512 {
		return "short"
	}
	return text
}

func (c *conversation) outcome(s step) workerchannel.Outcome {
	switch s.n / 256 % 4 {
	case 1:
		return workerchannel.OutcomeErr{Code: "code", Message: c.text(s)}
	case 2:
		return workerchannel.OutcomeCancelled{Reason: c.text(s)}
	case 3:
		return workerchannel.OutcomePanicked{Message: c.text(s)}
	}
	return workerchannel.OutcomeOk{Payload: payload(s.size)}
}

// payload returns a payload of n bytes, whose message is as large as any if it is the largest.
func payload(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		if data[i] = byte(i*7 + i>>8); n == workerchannel.MaxPayloadBytes {
			data[i] = 255
		}
	}
	return data
}
