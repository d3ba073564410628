//go:build unix

package benchrpc

import (
	"flag"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/workerchannel/workerchannel"
)

var ratios = flag.Bool("ratios", false, "print the table of README.md")

const (
	rounds = 20                    // the best one counts, since other work on the machine only adds
	round  = 20 * time.Millisecond // at least
)

// A load is a row of the table.
type load struct {
	name         string
	size, atOnce int
}

var loads = []load{
	{"64 B, one at a time", 64, 1},
	{"64 B, 64 at once", 64, inFlight},
	{"1 KiB, one at a time", 1024, 1},
	{"1 KiB, 64 at once", 1024, inFlight},
	{"256 KiB, one at a time", 262144, 1},
	{"256 KiB, 64 at once", 262144, inFlight},
}

// TestRatios measures all contenders in turns, so that other work on the machine meets them alike. It prints the time
// of a call, and the processor time of both sides together: of the first contender, and of the others as ratios to it.
func TestRatios(t *testing.T) {
	if !*ratios {
		t.Skip("run it with -ratios; it takes some minutes")
	}
	var callers []caller
	for _, c := range contenders {
		callers = append(callers, connect(t, c, echo))
	}
	wall, cpu := newTable(), newTable()
	digests := slices.Repeat([]time.Duration{math.MaxInt64}, len(loads))
	for n := range rounds {
		for l, load := range loads {
			if load.size*load.atOnce > 1<<20 && n >= rounds/2 {
				continue // a round takes long enough
			}
			for i := range contenders {
				i = (i + n) % len(contenders) // each of them comes first
				w, c := measure(t, callers[i], payloadOf(load.size, 1), load.atOnce)
				wall[l][i], cpu[l][i] = min(wall[l][i], w), min(cpu[l][i], c)
			}
			digests[l] = min(digests[l], fourDigests(payloadOf(load.size, 1)))
		}
	}
	wall.print("time")
	cpu.print("processor time")
	fmt.Print("\nOf the processor time of workerchannel, the four digests of a call take\n\n")
	for l := 0; l < len(loads); l += 2 {
		fmt.Printf("%d B: %.1f µs\n", loads[l].size, float64(digests[l])/1e3)
	}
	fmt.Print("\nWith 64 at once, calls take less time than one at a time by a factor of\n\n")
	for l := 0; l < len(loads); l += 2 {
		fmt.Printf("%d B:", loads[l].size)
		for i, c := range contenders {
			fmt.Printf(" %s %.2f", c.name, wall[l][i].Seconds()/wall[l+1][i].Seconds())
		}
		fmt.Println()
	}
}

// A table has a row for each load and a column for each contender.
type table [][]time.Duration

func newTable() table {
	t := make(table, len(loads))
	for l := range t {
		t[l] = slices.Repeat([]time.Duration{math.MaxInt64}, len(contenders))
	}
	return t
}

func (t table) print(what string) {
	fmt.Printf("\n| %s of a call |", what)
	for _, c := range contenders {
		fmt.Printf(" %s |", c.name)
	}
	fmt.Printf("\n|%s\n", strings.Repeat("---|", 1+len(contenders)))
	for l, row := range t {
		fmt.Printf("| %s | %.1f µs |", loads[l].name, float64(row[0])/1e3)
		for _, other := range row[1:] {
			fmt.Printf(" %.2f |", float64(other)/float64(row[0]))
		}
		fmt.Println()
	}
}

// measure returns the time of a call, and the processor time.
func measure(t *testing.T, c caller, payload []byte, atOnce int) (wall, cpu time.Duration) {
	runtime.GC() // what the others have left
	before, began := cpuTime(t), time.Now()
	var calls atomic.Int64
	callAtOnce(t, c, payload, atOnce, func() bool {
		if calls.Load() >= int64(2*atOnce) && time.Since(began) >= round {
			return false
		}
		calls.Add(1)
		return true
	})
	n := time.Duration(calls.Load())
	return time.Since(began) / n, (cpuTime(t) - before) / n
}

// fourDigests returns the time that the digests of a call take: each of its two messages has one, which the sender and the
// receiver compute.
func fourDigests(payload []byte) time.Duration {
	began, n := time.Now(), time.Duration(0)
	for ; time.Since(began) < round; n++ {
		for range 2 {
			workerchannel.ReplayHash(workerchannel.Header{}, nil, workerchannel.SpawnJob{Payload: payload})
			workerchannel.ReplayHash(workerchannel.Header{}, nil, workerchannel.JobCompleted{Outcome: workerchannel.OutcomeOk{Payload: payload}})
		}
	}
	return time.Since(began) / n
}

// cpuTime returns the processor time of the process so far.
func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
