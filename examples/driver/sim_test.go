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
	only   = flag.String("sim.only", "", "look only for what contains this, such as 'promise 3: waits'")
)

// TestHostsKeepTheirPromises carries out plans that rapid draws: 100, or as many as -rapid.checks says.
func TestHostsKeepTheirPromises(t *testing.T) {
	if *survey > 0 {
		takeSurvey(t, *survey)
		return
	}
	rapid.Check(t, func(r *rapid.T) {
		p := drawPlan(r)
		if broken := lookedFor(simulate(t, p, nil).violations); len(broken) > 0 {
			var trace []string
			simulate(t, p, &trace)
			r.Logf("%v\n%v%v", describe(broken), p, strings.Join(trace[:min(len(trace), 2000)], "\n"))
			r.Fatal(broken[0]) // without times, so that rapid shrinks towards the same kind
		}
	})
}

// lookedFor returns the violations that -sim.only wants.
func lookedFor(all []violation) []violation {
	return slices.DeleteFunc(all, func(v violation) bool { return !strings.Contains(v.String(), *only) })
}

func describe(broken []violation) string {
	var lines []string
	for _, v := range broken {
		lines = append(lines, v.String()+": "+v.detail)
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
			kind := v.String()
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
