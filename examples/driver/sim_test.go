package driver_test

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	survey = flag.Int("sim.survey", 0, "simulate so many plans and print how many break which promise, without failing")
	sim    = flag.Bool("sim", false, "simulate hosts, with as many plans as -rapid.checks says")
	only   = flag.String("sim.only", "", "look only for violations whose kind contains this")
)

// needSim skips a test of the simulation: it still finds something in about one plan of 10,000.
func needSim(t *testing.T) {
	if !*sim && *survey == 0 {
		t.Skip("simulates hosts; run it with -sim")
	}
}

// TestHostsKeepTheirPromises carries out plans that rapid draws: 100, or as many as -rapid.checks says.
func TestHostsKeepTheirPromises(t *testing.T) {
	needSim(t)
	if *survey > 0 {
		takeSurvey(t, *survey)
		return
	}
	rapid.Check(t, func(r *rapid.T) {
		p := drawPlan(r)
		broken := slices.DeleteFunc(simulate(t, p, nil).violations, func(v violation) bool { return !strings.Contains(v.kind, *only) })
		if len(broken) > 0 {
			var trace []string
			simulate(t, p, &trace)
			r.Logf("%v\n%v%v", describe(broken), p, strings.Join(trace[:min(len(trace), 2000)], "\n"))
			r.Fatalf("promise %d: %s", broken[0].promise, broken[0].kind) // without times, so that rapid shrinks towards the same kind
		}
	})
}

func describe(broken []violation) string {
	var lines []string
	for _, v := range broken {
		lines = append(lines, fmt.Sprintf("promise %d: %s: %s", v.promise, v.kind, v.detail))
	}
	return strings.Join(lines[:min(len(lines), 10)], "\n")
}

// takeSurvey counts plans by the promises that they break, and of each kind prints the shortest plan.
func takeSurvey(t *testing.T, n int) {
	type finding struct {
		plans    int
		shortest plan
		detail   string
		trace    []string
	}
	plans := rapid.Custom(drawPlan)
	byPromise, byKind, bad := map[int]int{}, map[string]*finding{}, 0
	for seed := range n {
		p := plans.Example(seed)
		var trace []string
		promises, kinds := map[int]bool{}, map[string]bool{}
		for _, v := range simulate(t, p, &trace).violations {
			kind := fmt.Sprintf("promise %d: %s", v.promise, v.kind)
			f := byKind[kind]
			if f == nil {
				f = &finding{}
				byKind[kind] = f
			}
			if f.plans == 0 || len(p.Calls)+len(p.Fleet) < len(f.shortest.Calls)+len(f.shortest.Fleet) {
				f.shortest, f.detail, f.trace = p, v.detail, trace
			}
			promises[v.promise] = true
			if !kinds[kind] {
				kinds[kind] = true
				f.plans++
			}
		}
		for promise := range promises {
			byPromise[promise]++
		}
		bad += btoi(len(promises) > 0)
	}
	fmt.Printf("%d of %d plans break a promise, by promise: %v\n", bad, n, byPromise)
	names := make([]string, 0, len(byKind))
	for kind := range byKind {
		names = append(names, kind)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(byKind[b].plans, byKind[a].plans) })
	for _, kind := range names {
		f := byKind[kind]
		fmt.Printf("%5d %s, such as: %s\n%v%v\n", f.plans, kind, f.detail, f.shortest, strings.Join(f.trace, "\n"))
	}
}
