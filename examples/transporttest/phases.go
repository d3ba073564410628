package transporttest

import (
	"math/rand/v2"
	"slices"
	"time"
)

// A phase is a subtest.
type phase struct {
	name   string
	sends  string
	checks string
	names  []fault // that its failure can have, beside those of anyPhase
	plans  func(*run) []plan
	needs  func(*config) bool // whether it suits the options; nil if it always does
}

// anyPhase are the names that a failure of every phase can have.
var anyPhase = []fault{lost, repeated, reordered, truncated, split, merged, corrupted, invented, empty, kept, changed, reused, shared,
	broken, open, late, hang, panics, unopened, leak, slow}

// phases are all that there are, the simplest first: what they find is told best.
var phases = []phase{
	{"Messages", "one message at a time, special content, a few messages while ends do not receive",
		"each arrives, also if no other is behind it", []fault{halfDuplex}, (*run).messagePlans, nil},
	{"Kill", "as Messages", "the host notices that the worker's peer is killed", []fault{unnoticed}, (*run).killPlans,
		func(c *config) bool { return c.kill != nil }},
	{"Boundaries", "messages of every size that may be special", "each arrives", []fault{halfDuplex}, (*run).boundaryPlans, nil},
	{"Stream", "many messages over one connection, large ones both ways, and thousands one at a time", "each arrives",
		[]fault{halfDuplex}, (*run).streamPlans, nil},
	{"Full", "messages that nobody receives, until Send blocks", "all arrive later; Close ends a blocked Send", []fault{halfDuplex},
		(*run).fullPlans, nil},
	// Before Close, which opens so many pairs that a leak leaves no descriptor.
	{"Leaks", "a few messages, and some hundreds", "no goroutine and no descriptor is left", nil, (*run).leakPlans, nil},
	{"Close", "as Messages", "when ends are closed, all calls return", nil, (*run).closePlans, nil},
	{"Idle", "nothing for some time, and then more than is received", "the connection works as before", []fault{idle},
		(*run).idlePlans, func(c *config) bool { return c.idle > 0 }},
	{"Conversation", "what a Coordinator and a Worker say", "all jobs end", []fault{refused, halfDuplex}, (*run).conversationPlans, speaks},
	{"Largest", "the largest payloads of the protocol", "all jobs end", []fault{refused, halfDuplex}, (*run).largestPlans, speaks},
}

// speaks reports whether the protocol's messages fit.
func speaks(c *config) bool { return c.max >= 1024 }

// phases returns those that suit the options.
func (c *config) phases() []phase {
	return slices.DeleteFunc(slices.Clone(phases), func(p phase) bool { return p.needs != nil && !p.needs(c) })
}

// plan returns a plan with the first seed.
func (r *run) plan(play func(*link, []step), steps ...step) plan {
	return plan{seed: r.seed, steps: steps, play: play}
}

// shortest returns a plan of a few messages, which is played even if the transport is slow.
func (r *run) shortest(play func(*link, []step)) plan {
	return r.plan(play, musts(send(false, 2, 100), send(true, 2, 100))...)
}

// send is the step to send n messages without special content.
func send(worker bool, n, size int) step {
	return step{do: "send", worker: worker, n: n, size: size, padding: randomOnly}
}

// musts marks steps as what must be played, however slow the transport is.
func musts(steps ...step) []step {
	for i := range steps {
		steps[i].must = true
	}
	return steps
}

// messagePlans are short conversations: first the shortest, with no message behind another, then one with every special
// content, then any.
func (r *run) messagePlans() []plan {
	var single []step
	for _, size := range []int{20, 1000, 5000, 20_000, 70_000} {
		single = append(single, send(false, 1, size), step{do: "hear", worker: true}, send(true, 1, size), step{do: "hear"})
	}
	var special, same []step
	for i := range specials {
		one := step{do: "send", n: 1, size: 40, padding: i, must: i < 10}
		other := one
		other.worker = true
		special = append(special, one, other)
	}
	for _, size := range []int{40, 1000, 70_000} {
		for _, worker := range []bool{false, true} {
			same = append(same, send(worker, 1, size), step{do: "again", worker: worker, n: 2})
		}
	}
	first := []plan{r.plan(playMessages, musts(single...)...), r.plan(playMessages, special...), r.plan(playMessages, same...)}
	return append(first, drawn(r, r.scale(60), r.drawSteps, playMessages)...)
}

// boundaryPlans send messages of every size that may be special, each way.
func (r *run) boundaryPlans() (plans []plan) {
	var steps []step
	for _, worker := range []bool{false, true} {
		steps = append(steps, send(worker, 1, 0), step{do: "again", worker: worker, n: 2})
		for _, size := range r.sizes([]around{{1, 0}, {125, 1}, {1024, 1}, {4096, 1}, {65536, 1}, {r.max, 0}}) {
			steps = append(steps, send(worker, 1, size))
		}
	}
	plans = append(plans, r.plan(playMessages, musts(steps...)...))
	for _, worker := range []bool{false, true} {
		steps, bytes := []step(nil), 0
		for _, size := range r.boundaries() {
			steps = append(steps, send(worker, 1, size))
			if bytes += size; bytes > 4<<20 || len(steps) == 400 {
				plans = append(plans, r.plan(playMessages, steps...))
				steps, bytes = nil, 0
			}
		}
		plans = append(plans, r.plan(playMessages, steps...))
	}
	return plans
}

// An around is a number and those near it, as far as by.
type around struct{ n, by int }

// sizes returns the sizes that messages can have, each once.
func (r *run) sizes(of []around) (sizes []int) {
	known := map[int]bool{}
	for _, a := range of {
		for n := max(a.n-a.by, 0); n <= min(a.n+a.by, r.max); n++ {
			if !known[n] && r.size(n) == n {
				sizes = append(sizes, n)
			}
			known[n] = true
		}
	}
	return sizes
}

// What messages are cut into: by networks with the usual headers and tunnels, and by programs.
var fragments = []int{508, 512, 536, 548, 576, 1024, 1200, 1232, 1252, 1280, 1350, 1400, 1432, 1440, 1448, 1452, 1460, 1464, 1472, 1492, 1500}

// boundaries are sizes, those first at which transports fail most.
func (r *run) boundaries() []int {
	list := []around{{64 << 10, 12}, {4096, 20}}
	for n := 1; n <= r.max; n *= 2 {
		list = append(list, around{n, 1})
	}
	list = append(list, around{r.max, 1})
	for n := 3; n < 16; n += 2 {
		list = append(list, around{n * 4096, 0}, around{n * 1024, 0}, around{n << 16, 0})
	}
	for n := 10; n <= r.max; n *= 10 {
		list = append(list, around{n, 1}, around{5 * n, 1})
	}
	for _, n := range fragments {
		list = append(list, around{n, 1}, around{2 * n, 1})
	}
	list = append(list, around{8972, 1}, around{9000, 1}, around{16 << 10, 24}, around{48_000, 1}, around{65_507, 1}, around{32 << 10, 8})
	if r.short {
		return r.sizes(list)
	}
	list = append(list, around{750, 750}, around{8960, 50}, around{8192, 24}, around{65_507, 28})
	for _, n := range fragments {
		list = append(list, around{3 * n, 1})
	}
	for n := 1000; n <= 70_000; n += 1000 {
		list = append(list, around{n, 0})
	}
	rng := newRand(r.seed)
	for n := 1; n <= r.max; n *= 2 {
		list = append(list, around{rng.IntN(2 * n), 0})
	}
	return r.sizes(list)
}

// streamPlans send many messages over one connection: larger ones both ways at once, one at a time, and as many as
// possible.
func (r *run) streamPlans() []plan {
	both := func(n, size int) []step { return []step{send(false, n, size), send(true, n, size)} }
	large := musts(both(8, 24)...)
	for i, size := range []int{24, 1 << 10, 60_000, 250_000, r.max / 2} {
		for range 3 {
			large = append(append(large, both(64>>i, size)...), step{do: "settle"})
		}
	}
	budget := r.budget
	if budget <= 10_000 { // nobody asked for more
		budget = r.budgeted(budget)
	}
	var small, flood []step
	draw := newRand(r.seed)
	for n := budget; n > 0; {
		part := min(n, 50+draw.IntN(500))
		small = append(small, send(false, (part+1)/2, 8+draw.IntN(56)), send(true, (part+1)/2, 8+draw.IntN(56)))
		if draw.IntN(3) == 0 {
			small = append(small, step{do: "pause", worker: draw.IntN(2) == 0})
		}
		small = append(small, step{do: "settle"})
		n -= part
	}
	plans := []plan{r.plan(playMessages, large...), r.plan(playMessages, small...), r.plan(playMessages, step{do: "exchange", n: budget / 2, size: 20})}
	if r.short || r.budget < 10_000 {
		return plans
	}
	for range flooding / 1000 {
		flood = append(append(flood, both(1000, 8)...), step{do: "receive", n: 1000}, step{do: "receive", worker: true, n: 1000})
	}
	return append(plans, r.plan(playFlood, flood...))
}

// flooding is more messages than 16 bits can count.
const flooding = 70_000

// playFlood sends many messages, if that takes little time.
func playFlood(l *link, steps []step) {
	if l.replays || 2*flooding*l.speed.pace < 600*time.Millisecond {
		playMessages(l, steps)
	}
}

// idlePlans send nothing for a while, and then more than is received. The pauses take the same time, however slow the
// transport is.
func (r *run) idlePlans() []plan {
	large := min(r.max, 16<<10)
	n := 4 << 20 / large
	fill := step{do: "fill", n: n, size: large, must: time.Duration(n)*(r.speed.pace+r.speed.carry(large)) < defaultTimeout}
	back := fill
	back.worker = true
	one, settle, pause := []step{send(false, 1, 20), send(true, 1, 20)}, step{do: "settle"}, step{do: "idle"}
	return []plan{
		r.plan(playIdle, musts(one[0], one[1], settle, pause, one[0], one[1])...),
		r.plan(playIdle, append([]step{fill, back}, musts(pause, settle, one[0], one[1])...)...),
	}
}

// playIdle blames the pause for what goes wrong.
func playIdle(l *link, steps []step) {
	defer func() {
		v := recover()
		if d, ok := v.(*diagnosis); ok && slices.ContainsFunc(l.played, func(s step) bool { return s.do == "idle" }) {
			d.fault, d.what = idle, "after "+l.idle.String()+" without messages, "+d.what
		}
		if v != nil {
			panic(v)
		}
	}()
	playMessages(l, steps)
}

func (r *run) killPlans() []plan {
	return append(drawn(r, max(r.scale(6), 2), r.drawSteps, playKill), r.shortest(playKill))
}

// playKill has the worker's peer die, which the host must notice.
func playKill(l *link, steps []step) {
	l.do(steps)
	if l.seed%2 == 0 {
		l.settle()
	}
	l.log.say("the peer at the worker's end is killed")
	l.closing = true
	if crash := caught(func() { l.kill(l.host.conn, l.worker.conn) }); crash != "" {
		l.failAt(panics, "kill", "the function of WithKill panicked: %s", crash)
	}
	l.resume(l.host)
	if !l.returns(func() bool { return l.host.err != nil }) {
		l.failAt(unnoticed, "Recv", "the worker's end was killed, and Recv had not returned an error at the host's end after %v", l.timeout)
	}
	if !l.returns(func() bool { return l.host.queued == len(l.host.sent) && !l.host.sending }) {
		l.failAt(unnoticed, "Send", "the worker's end was killed, and Send had not returned at the host's end after %v", l.timeout)
	}
	l.hearOut(l.host)
	l.finish()
}

// closePlans close ends while messages are under way, and then very often while none are: what goes wrong only if two
// calls of Close meet within some nanoseconds takes many attempts.
func (r *run) closePlans() []plan {
	nothing := func(*rand.Rand) []step { return nil }
	plans := append(drawn(r, r.scale(80), r.drawSteps, playClose), r.shortest(playClose))
	return append(plans, drawn(r, r.scale(400), nothing, playClose)...)
}
