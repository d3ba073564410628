package transporttest

import (
	"math/rand/v2"
	"time"

	"github.com/workerchannel/workerchannel"
)

// A half is one side of the protocol.
type half interface {
	AppendNext(dst []byte) ([]byte, workerchannel.Envelope, bool)
	OutboxLen() int
	Receive([]byte) (workerchannel.Envelope, error)
}

// A conversation is what a host and a worker say to each other by the protocol.
type conversation struct {
	*link
	coordinator *workerchannel.Coordinator
	workerHalf  *workerchannel.Worker
	spawned     int
}

func newConversation(l *link) *conversation {
	c := &conversation{l, workerchannel.NewCoordinator(1), workerchannel.NewWorker("w", 1), 0}
	l.host.half, l.worker.half = c.coordinator, c.workerHalf
	return c
}

// conversationPlans have both applications do anything, until they come to rest or an end is closed.
func (r *run) conversationPlans() []plan {
	first := r.plan(playConversation, musts(step{do: "worker sends"}, step{do: "host receives"}, step{do: "host spawns", size: 100})...)
	return append(drawn(r, r.scale(60), drawActions, playConversation), first)
}

// largestPlans send the largest payloads, and let them pass each other.
func (r *run) largestPlans() []plan {
	p := r.plan(playConversation)
	p.seed += 1 - p.seed%3 // so that it comes to rest
	for _, do := range []string{"worker sends", "host receives", "host spawns", "host sends", "worker receives", "worker completes", "host spawns",
		"host sends", "worker sends"} {
		p.steps = append(p.steps, step{do: do, size: workerchannel.MaxPayloadBytes, must: true})
	}
	return []plan{p}
}

// drawActions draws what the applications do next, each with numbers that choose among what there is then.
func drawActions(rng *rand.Rand) (steps []step) {
	for range 5 + rng.IntN(40) {
		s := step{do: actions[rng.IntN(len(actions))].name, n: rng.IntN(1 << 16), size: rng.IntN(64)}
		switch rng.IntN(10) {
		case 0:
			s.size = rng.IntN(workerchannel.MaxPayloadBytes + 1)
		case 1, 2:
			s.size = rng.IntN(5_000)
		}
		steps = append(steps, s)
	}
	return steps
}

// playConversation has both applications do as they like. Then they come to rest, or an end is closed.
func playConversation(l *link, steps []step) {
	c := newConversation(l)
	c.begin()
	for _, s := range steps {
		s.size = min(s.size, (l.max-512)/4) // so that the message is not too large
		if !s.must && !l.replays && time.Now().Add(l.backlog()+8*l.speed.carry(4*s.size)).After(l.until) {
			l.leftOut = true
			continue
		}
		l.played = append(l.played, s)
		for _, a := range actions {
			if a.name == s.do {
				a.take(c, s)
			}
		}
	}
	if l.seed%3 == 0 {
		c.say(l.host)
		c.say(l.worker)
		l.part(l.either())
		c.coordinator.WorkerLost()
	} else {
		c.finish()
		l.part(l.either())
	}
	c.check()
}

// say sends what an end's half has to say.
func (c *conversation) say(e *end) {
	for data, env, ok := e.half.AppendNext(nil); ok; data, env, ok = e.half.AppendNext(nil) {
		c.put(e, data, env.Op.Type().String(), false)
	}
}

// take gives a message that has arrived to the half.
func (l *link) take(e *end, m *message, data []byte) {
	if _, err := e.half.Receive(data); err != nil {
		l.fail(refused, "%v arrived as it was sent, and the %s refused it: %v", m, e.name, err)
	}
}

// begin has the worker announce itself.
func (c *conversation) begin() {
	c.must(c.workerHalf.Announce())
	c.say(c.worker)
}

// finish has the worker do its part until every job has ended, and then stop.
func (c *conversation) finish() {
	for c.rest(); c.workerHalf.InflightCount() > 0; c.rest() {
		for job := range c.workerHalf.Jobs() {
			if !c.answer(job.JobID) {
				c.must(c.workerHalf.Complete(job.JobID, workerchannel.OutcomeOk{}))
			}
		}
	}
	if n := c.coordinator.InflightCount(); n > 0 {
		c.fail(refused, "everything arrived, and %s not ended", count(n, "job"))
	}
	c.log.say("the host asks the worker to stop")
	c.must(c.coordinator.RequestShutdown("enough"))
	c.rest()
	c.must(c.workerHalf.CompleteShutdown())
	c.rest()
	c.settle()
}

// rest has both sides send and receive until there is nothing more to say.
func (c *conversation) rest() {
	for {
		c.say(c.host)
		c.say(c.worker)
		if c.host.got == len(c.worker.sent) && c.worker.got == len(c.host.sent) {
			return
		}
		for _, e := range c.ends() {
			c.await(e, len(e.peer.sent))
		}
	}
}

// check checks that the session is over and every job has ended, once.
func (c *conversation) check() {
	if _, active := c.coordinator.ActiveWorker(); active || c.coordinator.InflightCount() > 0 {
		c.fail(refused, "the session has not ended")
	}
	if n := len(c.coordinator.Reap()); n != c.spawned {
		c.fail(refused, "%s ended of %d", count(n, "job"), c.spawned)
	}
}

// must is for calls that cannot be refused at this point.
func (c *conversation) must(err error) {
	if err != nil {
		c.fail(refused, "%v", err)
	}
}
