package transporttest

import (
	"iter"
	"slices"
)

// smaller returns plans that are a little smaller, the smallest first.
func (p plan) smaller() iter.Seq[plan] {
	return func(yield func(plan) bool) {
		with := func(steps []step) bool { return yield(plan{seed: p.seed, steps: steps, play: p.play}) }
		for _, steps := range p.joined() {
			if !with(steps) {
				return
			}
		}
		for n := len(p.steps); n > 0; n /= 2 {
			for from := 0; from+n <= len(p.steps); from += n {
				if !with(slices.Concat(p.steps[:from], p.steps[from+n:])) {
					return
				}
			}
		}
		for i, s := range p.steps {
			for _, less := range s.smaller() {
				steps := slices.Clone(p.steps)
				steps[i] = less
				if !with(steps) {
					return
				}
			}
		}
	}
}

// joined returns plans in which one end sends as much as before, and nothing else happens.
func (p plan) joined() (plans [][]step) {
	for _, worker := range []bool{false, true} {
		all := step{do: "send", worker: worker, size: 20, padding: randomOnly}
		for _, s := range p.steps {
			switch {
			case s.do == "send" && s.worker == worker:
				all.n += s.n
			case s.do == "settle":
				all.n += 2 // the probes
			}
		}
		if len(p.steps) > 3 && all.n > len(p.steps) {
			plans = append(plans, []step{all})
		}
	}
	return plans
}

// smaller returns steps that are a little smaller, the smallest first.
func (s step) smaller() (steps []step) {
	if s.padding > randomOnly {
		t := s
		t.padding = randomOnly
		steps = append(steps, t)
	}
	for _, n := range less(s.n) {
		t := s
		t.n = n
		steps = append(steps, t)
	}
	for _, size := range less(s.size) {
		t := s
		t.size = size
		steps = append(steps, t)
	}
	return steps
}

// less returns numbers below n, down to 1, in steps that become smaller.
func less(n int) (list []int) {
	for _, m := range []int{1, 16, n / 2, n - n/8, n - n/64, n - max(n/512, 1)} {
		if m > 0 && m < n {
			list = append(list, m)
		}
	}
	return list
}
