package benchrpc

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var ratios = flag.Bool("ratios", false, "print the table of README.md")

const (
	rounds = 10                    // the best one counts, since other work on the machine only adds
	round  = 50 * time.Millisecond // at least
)

// TestRatios measures all contenders in turns, so that other work on the machine meets them alike, and prints how much
// time they take.
func TestRatios(t *testing.T) {
	if !*ratios {
		t.Skip("run it with -ratios; it takes a few minutes")
	}
	best := map[string]time.Duration{} // for a call
	var callers []caller
	for _, c := range contenders {
		callers = append(callers, connect(t, c, echo))
	}
	cell := func(size, atOnce, i int) string { return fmt.Sprint(size, atOnce, i) }
	for n := range rounds {
		for _, size := range sizes {
			payload := payloadOf(size, 1)
			for _, atOnce := range []int{1, inFlight} {
				for i := range contenders {
					i = (i + n) % len(contenders) // each of them comes first
					took := measure(t, callers[i], payload, atOnce)
					key := cell(size, atOnce, i)
					if b, ok := best[key]; !ok || took < b {
						best[key] = took
					}
				}
			}
		}
	}

	table := new(strings.Builder)
	fmt.Fprintf(table, "| payload, calls | %s |", contenders[0].name)
	for _, c := range contenders[1:] {
		fmt.Fprintf(table, " %s |", c.name)
	}
	fmt.Fprintf(table, "\n|%s\n", strings.Repeat("---|", len(contenders)+1))
	for s, size := range sizes {
		for _, atOnce := range []int{1, inFlight} {
			own := best[cell(size, atOnce, 0)]
			fmt.Fprintf(table, "| %s, %s | %.1f µs |", []string{"64 B", "1 KiB", "256 KiB"}[s],
				map[bool]string{true: "one at a time", false: fmt.Sprint(atOnce, " at once")}[atOnce == 1], float64(own)/1e3)
			for i := range contenders[1:] {
				fmt.Fprintf(table, " %.2f |", float64(best[cell(size, atOnce, i+1)])/float64(own))
			}
			fmt.Fprintln(table)
		}
	}
	for _, size := range sizes {
		fmt.Fprintf(table, "%d B: with %d at once, the rate of one at a time times:", size, inFlight)
		for i, c := range contenders {
			fmt.Fprintf(table, " %s %.2f", c.name, float64(best[cell(size, 1, i)])/float64(best[cell(size, inFlight, i)]))
		}
		fmt.Fprintln(table)
	}
	fmt.Print(table)
}

// measure returns the time for a call.
func measure(t *testing.T, c caller, payload []byte, atOnce int) time.Duration {
	runtime.GC() // what the others have left
	began := time.Now()
	var calls atomic.Int64
	callAtOnce(t, c, payload, atOnce, func() bool {
		if calls.Load() >= int64(2*atOnce) && time.Since(began) >= round {
			return false
		}
		calls.Add(1)
		return true
	})
	return time.Since(began) / time.Duration(calls.Load())
}
