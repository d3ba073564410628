package driver_test

import (
	"slices"
	"testing"
	"time"
)

// situations are plans that operators know. In each all promises are kept, and the last of the innocent calls is answered
// within the time.
var situations = []struct {
	name   string
	within time.Duration
	plan   plan
}{
	{"a cold start", 2100 * time.Millisecond, plan{
		Places: 4, Fleet: []workerPlan{{Handlers: 1, Start: 10 * time.Millisecond}, {Handlers: 1, Start: 40 * time.Millisecond}},
		Calls: calls(8, callPlan{Run: time.Second}),
	}},
	{"one long call before short ones", 6200 * time.Millisecond, plan{
		Places: 2, Fleet: []workerPlan{{Handlers: 1}},
		Calls: slices.Concat(calls(1, callPlan{At: at, Run: 6 * time.Second}), calls(15, callPlan{At: at, Run: 20 * time.Millisecond})),
	}},
	{"workers that are ready late", 5200 * time.Millisecond, plan{
		Places: 4, Fleet: []workerPlan{{Handlers: 1}, {Handlers: 1, Start: 2 * time.Second}, {Handlers: 1, Start: 2 * time.Second}, {Handlers: 1, Start: 2 * time.Second}},
		Calls: calls(12, callPlan{Run: time.Second}),
	}},
	{"a call that does not return", 35 * time.Second, plan{
		Places: 2, Fleet: []workerPlan{{Handlers: 1}},
		Calls: slices.Concat(calls(1, callPlan{At: at, Does: ignores, Run: time.Hour, Limit: 3 * time.Second}), calls(30, callPlan{At: at, Run: 10 * time.Millisecond})),
	}},
	{"calls that exit at once", 5 * time.Second, plan{
		Places: 4, Fleet: []workerPlan{{Handlers: 1}, {Handlers: 1, Kept: 1}},
		Calls: mixed(callPlan{At: at, Run: time.Millisecond}, 190, callPlan{At: at, Does: exits}, 10),
	}},
	{"a poison call, 1 worker", 10 * time.Second, poison(1)},
	{"a poison call, 2 workers", 10 * time.Second, poison(2)},
	{"a poison call, 4 workers", 10 * time.Second, poison(4)},
	{"leaving after 1 job", 10 * time.Second, leaving(1, 1, 3)},
	{"leaving after 1 job, 4 handlers", 10 * time.Second, leaving(1, 4, 3)},
	{"leaving after 2 jobs", 10 * time.Second, leaving(2, 1, 3)},
	{"leaving after 2 jobs, 4 handlers", 10 * time.Second, leaving(2, 4, 3)},
	{"leaving after 10 jobs", 10 * time.Second, leaving(10, 1, 3)},
	{"leaving after 10 jobs, 4 handlers", 10 * time.Second, leaving(10, 4, 3)},
	{"leaving after 1 job, tries 1", 10 * time.Second, leaving(1, 1, 1)},
	{"leaving after 2 jobs, tries 1", 10 * time.Second, leaving(2, 1, 1)},
	{"leaving after 2 jobs, 4 handlers, tries 1", 10 * time.Second, leaving(2, 4, 1)},
	{"leaving after 10 jobs, 4 handlers, tries 1", 10 * time.Second, leaving(10, 4, 1)},
	{"asked to end again and again", time.Minute, plan{
		Places: 1, Fleet: []workerPlan{{Handlers: 1, AskedAfter: 700 * time.Millisecond}}, Calls: calls(1, callPlan{Run: 1200 * time.Millisecond}),
	}},
	{"a neighbour of calls that ignore their contexts", 13 * time.Minute, plan{
		Places: 1, Fleet: []workerPlan{{Handlers: 2}},
		Calls: []callPlan{
			{At: at, Run: 10 * time.Minute},
			{At: time.Second, Does: ignores, Run: time.Hour, Limit: time.Second},
			{At: time.Minute, Does: ignores, Run: time.Hour, Limit: time.Second},
			{At: 2 * time.Minute, Does: ignores, Run: time.Hour, Limit: time.Second},
		},
	}},
	{"one call after very many of another region", 10 * time.Second, plan{
		Places: 1, Fleet: []workerPlan{{Handlers: 2}},
		Calls: slices.Concat(calls(400, callPlan{Region: 1, Run: 10 * time.Millisecond}), calls(1, callPlan{Region: 2, At: 100 * time.Millisecond})),
	}},
	{"two regions and workers that leave after each job", time.Second, plan{
		Places: 1, Fleet: []workerPlan{{Handlers: 1, LeaveAfter: 1}},
		Calls: slices.Concat(calls(8, callPlan{At: at, Region: 1}), calls(1, callPlan{At: at, Region: 2}), calls(8, callPlan{At: at, Region: 1})),
	}},
}

// at is a time at which workers are ready.
const at = 100 * time.Millisecond

func calls(n int, c callPlan) []callPlan { return slices.Repeat([]callPlan{c}, n) }

// mixed returns calls of two kinds, the rare ones among the others.
func mixed(often callPlan, n int, rare callPlan, m int) (all []callPlan) {
	for range m {
		all = append(all, slices.Concat(calls(n/m/2, often), []callPlan{rare}, calls(n/m-n/m/2, often))...)
	}
	return all
}

func poison(workers int) plan {
	return plan{
		Places: workers, Fleet: []workerPlan{{Handlers: 4}},
		Calls: slices.Concat(calls(1, callPlan{At: at, Does: exits, Run: 50 * time.Millisecond}), calls(15, callPlan{At: at, Run: 300 * time.Millisecond})),
	}
}

func leaving(after, handlers, tries int) plan {
	return plan{
		Tries: tries, Places: 2, Fleet: []workerPlan{{Handlers: handlers, LeaveAfter: after}}, Calls: calls(40, callPlan{At: at, Run: 20 * time.Millisecond}),
	}
}

func TestPromisesAreKeptInSituationsThatOperatorsKnow(t *testing.T) {
	for _, s := range situations {
		for i := range s.plan.Fleet {
			s.plan.Fleet[i].Delay = time.Millisecond
		}
		t.Run(s.name, func(t *testing.T) {
			done := simulate(t, s.plan, nil)
			if broken := lookedFor(done.violations); len(broken) > 0 {
				t.Errorf("%v\n%v", describe(broken), s.plan)
			}
			if last := done.innocents(); last > s.within && *only == "" {
				t.Errorf("expected the last answer within %v, it came after %v", s.within, last)
			}
		})
	}
}
