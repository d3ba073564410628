package driver_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// A plan is everything that is going to happen in a simulation except what the driver decides: what each worker is
// like, what each call does to the worker that runs it, and who loses patience when. So a plan knows who is guilty.
type plan struct {
	Tries   int  // WithTries; 0: the default
	Window  int  // WithWindow; 0: the default
	Places  int  // WithWorkers
	Bounded bool // WithBacklog(Backlog)
	Backlog int
	Staff   staffPlan
	Fleet   []workerPlan
	Calls   []callPlan

	Stop     time.Duration // when the host is stopped; 0: once every call has been answered
	Patience time.Duration // of Stop
	Cancel   regionCancel
}

// A workerPlan is a worker that a Dial starts. The workers of a plan start in turn, over and over.
type workerPlan struct {
	Handlers       int
	Silent         bool // it does not say how many handlers it has, and has one
	Boot           boot
	Start          time.Duration // until it announces itself, or whatever its boot comes to
	Delay          time.Duration // of a message, each way
	BytesPerSecond int           // each way; 0: any number
	LeaveAfter     int           // jobs that have ended, whereupon it takes nothing more, finishes what runs and leaves in order; 0: it stays
	AskedAfter     time.Duration // since its start: it is asked to end, drops what runs and leaves in order; 0: never
	DieAfter       time.Duration // since its start, whatever it does; 0: never
	Kept           int           // messages under way that still arrive when it dies; the others are lost with it
}

type boot uint8

const (
	boots     boot = iota
	hangs          // never says anything
	diesEarly      // before it announces itself
	noDial         // Dial returns an error
)

func (b boot) String() string { return [...]string{"boots", "hangs", "diesEarly", "noDial"}[b] }

// A callPlan is a call, and what its handler does.
type callPlan struct {
	At       time.Duration
	Does     deed
	Run      time.Duration // before it does that
	Bytes    int           // of its payload, at least
	Limit    time.Duration // of its context; 0: none
	AtOnce   bool          // ReturnAtOnce
	RunLimit time.Duration // WithRunLimit; 0: none
	Region   int           // 0: none
}

// A deed is what a handler does.
type deed uint8

const (
	returns deed = iota
	fails
	panics
	ignores // returns, but not because its context ends
	exits   // ends the worker
	freezes // stops the worker, which lives on
)

func (d deed) String() string {
	return [...]string{"returns", "fails", "panics", "ignores", "exits", "freezes"}[d]
}

// guilty reports whether the deed ends the worker.
func (d deed) guilty() bool { return d == exits || d == freezes }

type regionCancel struct {
	At     time.Duration // 0: never
	Region int
}

// What else a host can be asked for belongs here as well: a field of plan or callPlan, its draw below, a line in
// simulation.run, and what the promises make of it.

// regions is how many regions the calls of a plan may be in.
const regions = 3

// drawPlan draws a plan. It has at most three kinds of trouble, so that what goes wrong has few possible reasons.
func drawPlan(t *rapid.T) plan {
	troubles := map[string]bool{}
	for range rapid.IntRange(0, 3).Draw(t, "troubles") {
		troubles[rapid.SampledFrom([]string{
			"exits", "freezes", "long", "leaving", "asked", "dying", "booting", "deadlines", "run limits", "regions", "stop", "large", "window", "backlog", "silent", "staff",
		}).Draw(t, "trouble")] = true
	}
	p := plan{
		Tries:  rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "tries"),
		Places: rapid.IntRange(1, 4).Draw(t, "places"),
	}
	if troubles["window"] {
		p.Window = rapid.SampledFrom([]int{1, 2, 8, 16}).Draw(t, "window")
	}
	if troubles["backlog"] {
		p.Bounded, p.Backlog = true, rapid.SampledFrom([]int{0, 1, 2, 4}).Draw(t, "backlog")
	}
	if troubles["staff"] {
		p.Staff = drawStaff(t, p.Places)
	}
	for range rapid.IntRange(1, 4).Draw(t, "kinds of worker") {
		p.Fleet = append(p.Fleet, drawWorker(t, troubles))
	}
	for range rapid.IntRange(1, 24).Draw(t, "calls") {
		p.Calls = append(p.Calls, drawCall(t, troubles))
	}
	bound(p.Calls)
	if p.Staff.Age > 0 && slices.ContainsFunc(p.Calls, func(c callPlan) bool { return c.Run > time.Second || c.Does == freezes }) {
		p.Staff.Age = time.Minute // there are not to be too many workers
	}
	if troubles["stop"] {
		p.Stop = duration(t, "stop", time.Millisecond+3, 300*time.Millisecond+3, 3*time.Second+3, 30*time.Second+3) // when no call is made
		p.Patience = duration(t, "patience", 0, time.Second, time.Minute)
	}
	if troubles["regions"] {
		p.Cancel = regionCancel{duration(t, "cancel of a region", 0, 0, 10*time.Millisecond+5, time.Second+5), rapid.IntRange(1, regions-1).Draw(t, "region")}
	}
	return p
}

func duration(t *rapid.T, label string, of ...time.Duration) time.Duration {
	return rapid.SampledFrom(of).Draw(t, label)
}

func drawWorker(t *rapid.T, troubles map[string]bool) workerPlan {
	w := workerPlan{
		Handlers: rapid.SampledFrom([]int{1, 1, 2, 4}).Draw(t, "handlers"),
		Start:    duration(t, "start", 0, 0, 50*time.Millisecond, 2*time.Second),
		Delay:    duration(t, "delay", 10*time.Microsecond, time.Millisecond, 40*time.Millisecond),
	}
	if troubles["silent"] && !troubles["window"] && rapid.Bool().Draw(t, "silent") {
		w.Silent, w.Handlers = true, 1
	}
	if troubles["large"] {
		w.BytesPerSecond = rapid.SampledFrom([]int{0, 1 << 20}).Draw(t, "bytes per second")
	}
	if troubles["leaving"] {
		w.LeaveAfter = rapid.SampledFrom([]int{1, 2, 10}).Draw(t, "leave after")
	}
	if troubles["asked"] {
		w.AskedAfter = duration(t, "asked after", 700*time.Millisecond, 0, time.Millisecond, 5*time.Second)
	}
	if troubles["dying"] {
		w.DieAfter = duration(t, "die after", 0, time.Millisecond, 700*time.Millisecond, 10*time.Second)
	}
	if troubles["booting"] {
		w.Boot = rapid.SampledFrom([]boot{boots, boots, hangs, diesEarly, noDial}).Draw(t, "boot")
	}
	if troubles["exits"] || troubles["dying"] {
		w.Kept = rapid.IntRange(0, 3).Draw(t, "kept")
	}
	return w
}

func drawCall(t *rapid.T, troubles map[string]bool) callPlan {
	deeds := []deed{returns, returns, returns, returns, returns, returns, fails, panics}
	if troubles["exits"] {
		deeds = append(deeds, exits, exits)
	}
	if troubles["freezes"] {
		deeds = append(deeds, freezes)
	}
	c := callPlan{
		At:   duration(t, "at", 0, 0, 0, time.Millisecond, 100*time.Millisecond, time.Second, 2500*time.Millisecond),
		Does: rapid.SampledFrom(deeds).Draw(t, "does"),
		Run:  duration(t, "run", 0, time.Millisecond, 20*time.Millisecond, time.Second),
	}
	if troubles["long"] {
		c.Run = duration(t, "long run", c.Run, c.Run, c.Run, 6*time.Second, 10*time.Minute)
	}
	if troubles["deadlines"] {
		c.Limit = duration(t, "limit", 0, 0, time.Millisecond, 1005*time.Millisecond, 3*time.Second) // 1005 ms: a result and a cancel may cross
		c.AtOnce = c.Limit > 0 && rapid.Bool().Draw(t, "at once")
	}
	if troubles["run limits"] {
		c.RunLimit = duration(t, "run limit", 0, 0, 10*time.Millisecond, 950*time.Millisecond, 3*time.Second)
	}
	if (troubles["deadlines"] || troubles["run limits"]) && rapid.IntRange(0, 7).Draw(t, "ignores") == 7 {
		c.Does, c.Run = ignores, 10*time.Minute
	}
	if troubles["regions"] {
		c.Region = rapid.IntRange(0, regions-1).Draw(t, "in region")
	}
	if troubles["large"] {
		c.Bytes = rapid.SampledFrom([]int{0, 1000, 20_000}).Draw(t, "bytes")
	}
	return c
}

// bound lets only a few calls be long, so that a simulation ends soon.
func bound(calls []callPlan) {
	long := 0
	for i := range calls {
		if calls[i].Run > time.Minute {
			if long++; long > 2 {
				calls[i].Run = 6 * time.Second
			}
		}
	}
}

// String writes the plan down, without what is zero. Equal calls and workers that follow each other are written once.
func (p plan) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d workers, tries %d", p.Places, p.tries())
	s.WriteString(unless(!p.Bounded, "backlog %d", p.Backlog) + p.Staff.String())
	s.WriteString(unless(p.Window == 0, "window %d", p.Window) + unless(p.Stop == 0, "stopped at %v", p.Stop) + unless(p.Stop == 0, "with patience of %v", p.Patience))
	s.WriteString(unless(p.Cancel.At == 0, "region %d", p.Cancel.Region) + unless(p.Cancel.At == 0, "cancelled at %v", p.Cancel.At) + "\n")
	var lines []string
	for _, w := range p.Fleet {
		line := fmt.Sprintf("worker: %d handlers, delay %v", w.Handlers, w.Delay)
		line += unless(!w.Silent, "silent: %v", w.Silent) + unless(w.Boot == boots, "%v", w.Boot) + unless(w.Start == 0, "after %v", w.Start)
		line += unless(w.BytesPerSecond == 0, "%d B/s", w.BytesPerSecond) + unless(w.LeaveAfter == 0, "leaves after %d jobs", w.LeaveAfter)
		line += unless(w.AskedAfter == 0, "asked to end after %v", w.AskedAfter) + unless(w.DieAfter == 0, "dies after %v", w.DieAfter)
		lines = append(lines, line+unless(w.Kept == 0, "keeps %d messages", w.Kept))
	}
	for _, c := range p.Calls {
		line := fmt.Sprintf("call: at %v %v after %v", c.At, c.Does, c.Run)
		line += unless(c.Limit == 0, "limit %v", c.Limit) + unless(!c.AtOnce, "at once: %v", c.AtOnce) + unless(c.RunLimit == 0, "run limit %v", c.RunLimit)
		line += unless(c.Region == 0, "region %d", c.Region)
		lines = append(lines, line+unless(c.Bytes == 0, "%d bytes", c.Bytes))
	}
	for i, n := 0, 0; i < len(lines); i += n {
		for n = 1; i+n < len(lines) && lines[i+n] == lines[i]; {
			n++
		}
		fmt.Fprintf(&s, "\t%s%s\n", lines[i], unless(n == 1, "× %d", n))
	}
	return s.String()
}

func unless(not bool, format string, arg any) string {
	if not {
		return ""
	}
	return ", " + fmt.Sprintf(format, arg)
}

// tries returns what WithTries comes to.
func (p plan) tries() int { return cmp.Or(p.Tries, 3) }

// long reports whether all calls run so long that a worker needs no more than one in advance.
func (p plan) long() bool {
	return !slices.ContainsFunc(p.Calls, func(c callPlan) bool { return c.Run < 20*time.Millisecond })
}

// usable returns how many handlers of the worker the host may use.
func (p plan) usable(w workerPlan) int {
	if p.Window > 0 {
		return min(w.Handlers, p.Window)
	}
	return min(w.Handlers, 8) // the window of a host that is not told otherwise has room for them
}
