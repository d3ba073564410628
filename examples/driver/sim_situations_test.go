package driver_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"
)

// A situation is a plan that operators know. All promises are kept, and the calls that it is about are answered in time.
type situation struct {
	name   string
	within time.Duration // from when the call was made
	plan   plan
	of     func(callPlan) bool // nil: all calls that end no worker
}

var situations = slices.Concat(badOnes(), []situation{
	{"a cold start", 2100 * time.Millisecond, plan{
		Places: 4, Fleet: []workerPlan{{Handlers: 1, Start: 10 * time.Millisecond}, {Handlers: 1, Start: 40 * time.Millisecond}},
		Calls: calls(8, callPlan{Run: time.Second}),
	}, nil},
	{"one long call before short ones", 330 * time.Millisecond, plan{
		Places: 2, Fleet: []workerPlan{{Handlers: 1}},
		Calls: slices.Concat(calls(1, callPlan{At: at, Run: 6 * time.Second}), calls(15, callPlan{At: at, Run: 20 * time.Millisecond})),
	}, short},
	{"workers that are ready late", 4100 * time.Millisecond, plan{
		Places: 4, Fleet: []workerPlan{{Handlers: 1}, {Handlers: 1, Start: 2 * time.Second}, {Handlers: 1, Start: 2 * time.Second}, {Handlers: 1, Start: 2 * time.Second}},
		Calls: calls(10, callPlan{Run: time.Second}),
	}, nil},
	{"a call that does not return", 350 * time.Millisecond, plan{
		Places: 2, Fleet: []workerPlan{{Handlers: 1}},
		Calls: slices.Concat(calls(1, callPlan{At: at, Does: ignores, Run: time.Hour, Limit: 3 * time.Second}), calls(30, callPlan{At: at, Run: 10 * time.Millisecond})),
	}, short},
	{"calls that exit at once", 5 * time.Second, plan{
		Places: 4, Fleet: []workerPlan{{Handlers: 1}, {Handlers: 1, Kept: 1}},
		Calls: mixed(callPlan{At: at, Run: time.Millisecond}, 190, callPlan{At: at, Does: exits}, 10),
	}, nil},
	{"a poison call, 1 worker", 2800 * time.Millisecond, poison(1), nil}, // four times 150 ms, four that run alone, three rounds of four
	{"a poison call, 2 workers", 2800 * time.Millisecond, poison(2), nil},
	{"a poison call, 4 workers", 2800 * time.Millisecond, poison(4), nil},
	{"leaving after 1 job", 10 * time.Second, leaving(1, 1, 3), nil},
	{"leaving after 1 job, 4 handlers", 10 * time.Second, leaving(1, 4, 3), nil},
	{"leaving after 2 jobs", 10 * time.Second, leaving(2, 1, 3), nil},
	{"leaving after 2 jobs, 4 handlers", 10 * time.Second, leaving(2, 4, 3), nil},
	{"leaving after 10 jobs", 10 * time.Second, leaving(10, 1, 3), nil},
	{"leaving after 10 jobs, 4 handlers", 10 * time.Second, leaving(10, 4, 3), nil},
	{"leaving after 1 job, tries 1", 10 * time.Second, leaving(1, 1, 1), nil},
	{"leaving after 2 jobs, tries 1", 10 * time.Second, leaving(2, 1, 1), nil},
	{"leaving after 2 jobs, 4 handlers, tries 1", 10 * time.Second, leaving(2, 4, 1), nil},
	{"leaving after 10 jobs, 4 handlers, tries 1", 10 * time.Second, leaving(10, 4, 1), nil},
	{"asked to end again and again", time.Minute, plan{
		Places: 1, Fleet: []workerPlan{{Handlers: 1, AskedAfter: 700 * time.Millisecond}}, Calls: calls(1, callPlan{Run: 1200 * time.Millisecond}),
	}, nil},
	{"a neighbour of calls that ignore their contexts", 13 * time.Minute, plan{
		Places: 1, Fleet: []workerPlan{{Handlers: 2}},
		Calls: []callPlan{
			{At: at, Run: 10 * time.Minute},
			{At: time.Second, Does: ignores, Run: time.Hour, Limit: time.Second},
			{At: time.Minute, Does: ignores, Run: time.Hour, Limit: time.Second},
			{At: 2 * time.Minute, Does: ignores, Run: time.Hour, Limit: time.Second},
		},
	}, nil},
	{"beside a call that ignores its context", 76 * time.Second, plan{ // they run twice, and at the same time
		Tries: 2, Places: 1, Fleet: []workerPlan{{Handlers: 4}},
		Calls: slices.Concat(calls(1, callPlan{At: at, Does: ignores, Run: time.Hour, Limit: time.Second}), calls(2, callPlan{At: at, Run: 40 * time.Second})),
	}, func(c callPlan) bool { return c.Does != ignores }},
	{"one call after very many of another region", 30 * time.Millisecond, plan{
		Places: 1, Fleet: []workerPlan{{Handlers: 1}},
		Calls: slices.Concat(calls(1000, callPlan{Region: 1, Run: 5 * time.Millisecond}), calls(1, callPlan{Region: 2, At: at})),
	}, func(c callPlan) bool { return c.Region == 2 }},
	{"a call that an idle worker still lets go of, and another idle one", 400 * time.Millisecond, plan{
		Places: 4, Fleet: []workerPlan{{Handlers: 1, Start: 50 * time.Millisecond, Delay: 40 * time.Millisecond}, {Boot: diesEarly}},
		Calls: []callPlan{{Run: 20 * time.Millisecond}, {At: at, Run: time.Second}, {Run: time.Millisecond}},
	}, short},
	{"a call with a run limit that has begun before it can be taken back", 450 * time.Millisecond, plan{
		Places: 2, Fleet: []workerPlan{{Handlers: 2, Delay: 40 * time.Millisecond}},
		Calls: []callPlan{{}, {Run: time.Second}, {Run: time.Millisecond, RunLimit: 10 * time.Millisecond}},
	}, short},
	{"on demand, a short call after a long one", 330 * time.Millisecond, plan{
		Places: 2, Staff: staffPlan{Least: 1, Idle: time.Minute}, Fleet: []workerPlan{{Handlers: 1, Start: 50 * time.Millisecond}},
		Calls: slices.Concat(calls(1, callPlan{At: at, Run: 6 * time.Second}), calls(1, callPlan{At: at, Run: 20 * time.Millisecond})),
	}, short},
	{"two regions and workers that leave after each job", time.Second, plan{
		Places: 1, Fleet: []workerPlan{{Handlers: 1, LeaveAfter: 1}},
		Calls: slices.Concat(calls(8, callPlan{At: at, Region: 1}), calls(1, callPlan{At: at, Region: 2}), calls(8, callPlan{At: at, Region: 1})),
	}, nil},
})

// short reports whether the call is a short one.
func short(c callPlan) bool { return c.Run <= 20*time.Millisecond }

// badOnes are calls among which some end their workers, at once or later.
func badOnes() (all []situation) {
	for _, handlers := range []int{1, 4} {
		for _, workers := range []int{1, 2, 4} {
			p := plan{Places: workers, Fleet: []workerPlan{{Handlers: handlers}}}
			for i := range 60 {
				c := callPlan{At: at, Run: time.Duration(i%4) * time.Millisecond}
				if i%20 == 7 {
					c.Does, c.Run = exits, time.Duration(i%3*20)*time.Millisecond
				}
				p.Calls = append(p.Calls, c)
			}
			all = append(all, situation{fmt.Sprintf("bad calls, %d workers, %d handlers", workers, handlers), 5 * time.Second, p, nil})
		}
	}
	return all
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
			s.plan.Fleet[i].Delay = cmp.Or(s.plan.Fleet[i].Delay, time.Millisecond)
		}
		t.Run(s.name, func(t *testing.T) {
			done := simulate(t, s.plan, nil)
			if longest := done.longest(s.of); longest > s.within {
				done.report(3, "answered late", "after %v, expected within %v", longest, s.within)
			}
			if broken := lookedFor(done.violations); len(broken) > 0 {
				t.Errorf("%v\n%v", describe(broken), s.plan)
			}
		})
	}
}
