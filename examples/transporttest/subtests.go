package transporttest

import (
	"iter"
	"math/rand/v2"
	"slices"
)

// A subtest looks for faults of some kind.
type subtest struct {
	name  string
	check func(*run) *diagnosis
}

// subtests returns those that suit the options, the simplest first: what they find is told best.
func (c *config) subtests() []subtest {
	list := []subtest{{"Messages", of((*run).messagePlans)}}
	if c.kill != nil {
		list = append(list, subtest{"Kill", of((*run).killPlans)})
	}
	list = append(list,
		subtest{"Boundaries", of((*run).boundaryPlans)},
		subtest{"Stream", of((*run).streamPlans)},
		subtest{"Full", of((*run).fullPlans)},
		subtest{"Leaks", (*run).checkLeaks}, // before Close, which opens so many pairs that a leak leaves no descriptor
		subtest{"Close", (*run).checkClose})
	if c.idle > 0 {
		list = append(list, subtest{"Idle", of((*run).idlePlans)})
	}
	if c.max >= 1024 {
		list = append(list, subtest{"Conversation", of((*run).conversationPlans)}, subtest{"Largest", of((*run).largestPlans)})
	}
	return list
}

// of makes a check of plans.
func of(plans func(*run) iter.Seq[plan]) func(*run) *diagnosis {
	return func(r *run) *diagnosis { return r.checkPlans(plans(r)) }
}

// plan returns a plan with the first seed.
func (r *run) plan(play func(*link, []step), steps ...step) plan { return plan{r.seed, steps, play} }

// messagePlans are short conversations: first the shortest, then one with every padding, then any.
func (r *run) messagePlans() iter.Seq[plan] {
	send := func(worker bool) step { return step{do: "send", worker: worker, n: 1, size: 20, padding: randomOnly} }
	receive := func(worker bool) step { return step{do: "receive", worker: worker, n: 1} }
	first := r.plan(playMessages, send(false), receive(true), send(true), receive(false), send(true), send(false))
	var padded []step
	for i := range max(len(paddings), len(textPaddings)) {
		padded = append(padded, step{do: "send", n: 1, size: 40, padding: i}, step{do: "send", worker: true, n: 1, size: 40, padding: i})
	}
	var same []step
	for _, size := range []int{40, 1000, 70_000} {
		for _, worker := range []bool{false, true} {
			same = append(same, step{do: "send", worker: worker, n: 1, size: size, padding: randomOnly}, step{do: "again", worker: worker, n: 2})
		}
	}
	return concat(slices.Values([]plan{first, r.plan(playMessages, padded...), r.plan(playMessages, same...)}), drawn(r, r.scale(60), r.drawSteps, playMessages))
}

func concat(seqs ...iter.Seq[plan]) iter.Seq[plan] {
	return func(yield func(plan) bool) {
		for _, seq := range seqs {
			for p := range seq {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// boundaryPlans send messages of every size that may be special, each way.
func (r *run) boundaryPlans() iter.Seq[plan] {
	return func(yield func(plan) bool) {
		for _, worker := range []bool{false, true} {
			if !yield(r.plan(playMessages, step{do: "send", worker: worker, n: 1, padding: randomOnly}, step{do: "again", worker: worker, n: 2})) {
				return
			}
			var steps []step
			bytes := 0
			for _, size := range r.boundaries() {
				steps = append(steps, step{do: "send", worker: worker, n: 1, size: size, padding: randomOnly})
				bytes += size
				if bytes > 4<<20 || len(steps) == 80 {
					if !yield(r.plan(playMessages, steps...)) {
						return
					}
					steps, bytes = nil, 0
				}
			}
			if !yield(r.plan(playMessages, steps...)) {
				return
			}
		}
	}
}

// boundaries are sizes, those first at which transports fail most.
func (r *run) boundaries() (sizes []int) {
	around := func(n, by int) {
		for size := n - by; size <= n+by; size++ {
			sizes = append(sizes, size)
		}
	}
	sizes = append(sizes, r.max)
	around(64<<10, 1)
	around(4096, 1)
	for n := 1; n <= r.max; n *= 2 {
		around(n, 1)
	}
	around(r.max, 1)
	for n := 3; n < 16; n += 2 {
		sizes = append(sizes, n*4096, n*1024, n*65536)
	}
	for n := 10; n <= r.max; n *= 10 {
		sizes = append(sizes, n, 5*n)
	}
	sizes = append(sizes, 125, 126, 1448, 1460, 1472, 1500, 8972, 9000, 65507, 65508, 1_000_000)
	around(64<<10, 12)
	around(4096, 20)
	around(32<<10, 8)
	if !r.short {
		for n := range 300 {
			sizes = append(sizes, n)
		}
		rng := newRand(r.seed)
		for n := 1; n <= r.max; n *= 2 {
			sizes = append(sizes, rng.IntN(2*n))
		}
	}
	known := map[int]bool{}
	return slices.DeleteFunc(sizes, func(n int) bool {
		out := n > r.max || n < 0 || r.size(n) != n || known[n]
		known[n] = true
		return out
	})
}

// streamPlans send many messages over one connection: small ones, then larger ones both ways at once.
func (r *run) streamPlans() iter.Seq[plan] {
	small := func(draw *rand.Rand, n int) (steps []step) {
		for n > 0 {
			part := min(n, 50+draw.IntN(500))
			for _, worker := range []bool{false, true} {
				steps = append(steps, step{do: "send", worker: worker, n: (part + 1) / 2, size: 8 + draw.IntN(56), padding: randomOnly})
			}
			if draw.IntN(3) == 0 {
				steps = append(steps, step{do: "pause", worker: draw.IntN(2) == 0})
			}
			steps = append(steps, step{do: "settle"})
			n -= part
		}
		return steps
	}
	budget := r.budget
	if budget <= 10_000 { // nobody asked for more
		budget = r.budgeted(budget)
	}
	var large []step
	for i, size := range []int{24, 1 << 10, 60_000, 250_000, r.max / 2} {
		n := 64 >> i
		for range 3 {
			large = append(large, step{do: "send", n: n, size: size, padding: randomOnly},
				step{do: "send", worker: true, n: n, size: size, padding: randomOnly}, step{do: "settle"})
		}
	}
	return slices.Values([]plan{
		r.plan(playMessages, large...),
		r.plan(playMessages, small(newRand(r.seed), budget)...),
	})
}

func (r *run) idlePlans() iter.Seq[plan] {
	return slices.Values([]plan{r.plan(playIdle,
		step{do: "send", n: 1, size: 20, padding: randomOnly}, step{do: "send", worker: true, n: 1, size: 20, padding: randomOnly},
		step{do: "settle"}, step{do: "idle"},
		step{do: "send", n: 1, size: 20, padding: randomOnly}, step{do: "send", worker: true, n: 1, size: 20, padding: randomOnly})})
}

// playIdle blames the pause for what goes wrong.
func playIdle(l *link, steps []step) {
	defer func() {
		v := recover()
		if d, ok := v.(*diagnosis); ok && slices.ContainsFunc(steps, func(s step) bool { return s.do == "idle" }) {
			d.fault, d.what = idle, "after "+l.idle.String()+" without messages, "+d.what
		}
		if v != nil {
			panic(v)
		}
	}()
	playMessages(l, steps)
}

func (r *run) killPlans() iter.Seq[plan] {
	return drawn(r, max(r.scale(6), 2), r.drawSteps, playKill)
}

// playKill has the worker's peer die, which the host must notice.
func playKill(l *link, steps []step) {
	l.do(steps)
	if l.key%2 == 0 {
		l.settle()
	}
	l.log.say("the peer at the worker's end is killed")
	l.closing = true
	if crash := caught(func() { l.kill(l.host.conn, l.worker.conn) }); crash != "" {
		l.failAt(panics, "kill", "the function of WithKill panicked: %s", crash)
	}
	l.resume(l.host)
	if !l.wait(l.hangs, func() bool { return l.host.err != nil }) {
		l.failAt(unnoticed, "Recv", "the worker's end was killed, and Recv had not returned an error at the host's end after %v", l.timeout)
	}
	if !l.wait(l.hangs, func() bool { return l.host.queued == len(l.host.sent) && !l.host.sending }) {
		l.failAt(unnoticed, "Send", "the worker's end was killed, and Send had not returned at the host's end after %v", l.timeout)
	}
	l.hearOut(l.host)
	if l.jrpc2 {
		l.closeAll(l.host, l.worker)
		l.closed(l.host, l.worker)
		return
	}
	l.finish()
}

// checkClose closes ends while messages are under way, and then several times at once.
func (r *run) checkClose() *diagnosis {
	d := r.checkPlans(drawn(r, r.scale(80), r.drawSteps, playClose))
	if d == nil && !r.jrpc2 {
		d = r.closeAtOnce()
	}
	return d
}
