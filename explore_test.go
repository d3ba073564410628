package workerchannel

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// These tests go through every state that a coordinator and a worker can be in together, breadth-first,
// and make every call and every delivery in each: with up to two jobs, queues of bounded length, and
// workers that die and are replaced without end. Both halves are the real ones; what connects them is a
// world. What goes wrong is printed as the shortest sequence of moves that leads to it.

// By default all takes 2 s, with -explore.full 14 s and with -short less than 1 s. On the same machine, which has two cores,
// -explore.full -explore.queue=2 takes 1 minute for the ordered network and 1.5 minutes for the other (0.7 million
// states, 10 million steps in its setup wide); -explore.full -explore.jobs=2 takes 2 minutes for the ordered network, and
// longer than that for the other; -explore.full -explore.twins=1 takes 1.5 minutes for both. Choose a setup with -run,
// such as -run 'Ordered.*/limits$'.
var (
	exploreFull  = flag.Bool("explore.full", false, "explore the large setups whole, too")
	exploreJobs  = flag.Int("explore.jobs", 0, "explore with so many jobs at a time, 1 or 2")
	exploreQueue = flag.Int("explore.queue", 0, "explore with queues of so many messages")
	exploreTwins = flag.Int("explore.twins", 199, "compare every nth pair of equivalent states; 1 compares all, which takes 7 times as long")
)

// Limits that differ where that is affordable, so that one cannot be taken for another.
var (
	differentLimits = Limits{Boot: 1, Cancel: 2, Drain: 1, Finalize: 3, Poll: 2, Shutdown: 2}
	jobLimits       = Limits{Cancel: 2, Drain: 1, Finalize: 1, Poll: 1, Shutdown: 1}
	oneTurn         = Limits{1, 1, 1, 1, 1, 1}
)

// The product of everything is too big, so each setup looks at some of it.
func TestEveryStateOverAnOrderedLosslessNetwork(t *testing.T) {
	explore(t,
		// The protocol with much on its way, and with two jobs, for a worker that fails, stops and dies at any time.
		setup{name: "deep", jobs: 1, room: 2},
		setup{name: "wide", large: true, jobs: 2, room: 1},
		// Regions: two jobs in one or two regions; and one job that comes back after its worker's death.
		setup{name: "regions", large: true, worker: honest, jobs: 2, regions: 2, room: 1, terse: true},
		setup{name: "regions-wild", jobs: 1, regions: 2, room: 1},
		// Limits: all of them; and which of two jobs is due first.
		setup{name: "limits", large: true, long: true, jobs: 1, room: 1, limits: differentLimits},
		setup{name: "limits-wide", large: true, worker: honest, jobs: 2, room: 1, terse: true, limits: jobLimits},
		// What an honest worker is promised: no job of it is lost by a shutdown when idle, and every shutdown ends.
		setup{name: "honest-deep", worker: honest, jobs: 1, room: 2},
		setup{name: "honest-wide", worker: honest, jobs: 2, room: 1},
		// What a prompt worker is promised: it is never overdue.
		setup{name: "prompt-deep", worker: prompt, jobs: 1, room: 2, limits: oneTurn},
		setup{name: "prompt-wide", large: true, worker: prompt, jobs: 2, room: 1, limits: oneTurn},
	)
}

// A worker is wild here: over such a network nobody can tell an honest one from another.
func TestEveryStateOverANetworkThatLosesRepeatsAndReorders(t *testing.T) {
	explore(t,
		setup{name: "deep", large: true, hostile: true, jobs: 1, room: 2},
		setup{name: "wide", large: true, hostile: true, jobs: 2, room: 1},
		setup{name: "regions", hostile: true, jobs: 1, regions: 2, room: 1},
		setup{name: "limits", huge: true, hostile: true, jobs: 1, room: 1, limits: oneTurn},
	)
}

// explore explores each setup. In a large one, unless -explore.full is given, and with -short in all, there is one job,
// queues are of one message, and limits of one turn. -short leaves out those that take long even so; those that are huge are
// explored with -explore.full only.
func explore(t *testing.T, setups ...setup) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // there is much garbage and little else
	for _, s := range setups {
		if testing.Short() && s.long || s.huge && !*exploreFull {
			continue
		}
		if testing.Short() || s.large && !*exploreFull {
			if strings.HasSuffix(s.name, "wide") {
				continue // with one job it is another setup
			}
			s.jobs, s.room = 1, 1
			if s.limits != (Limits{}) {
				s.limits = oneTurn
			}
		}
		s.jobs, s.room = cmp.Or(*exploreJobs, s.jobs), cmp.Or(*exploreQueue, s.room)
		t.Run(s.name, func(t *testing.T) {
			e := &exploration{index: map[string]int32{}, hosts: seen{}, workers: seen{}, seed: maphash.MakeSeed()}
			e.run(t, newWorld(&s))
		})
	}
}

// An exploration is the graph of the worlds found so far.
type exploration struct {
	first          *world
	index          map[string]int32
	nodes          []node
	twins          []twin
	hosts, workers seen // the parts of worlds that have been looked at by themselves
	seed           maphash.Seed
}

// seen is a set of keys.
type seen map[string]struct{}

func (s seen) isNew(key string) bool {
	before := len(s)
	s[key] = struct{}{}
	return len(s) > before
}

type node struct {
	world  *world // until it has been looked at
	parent int32
	by     move
	next   int32  // the world that this becomes when the host asks for nothing more and everybody does their part
	waits  bool   // for that, a job has to complete that has not been cancelled
	busy   string // what is under way that must end without that
	ended  bool   // no job is in flight
	all    uint64 // a digest of all that comes of it
}

// A twin is a world that was left out because one with the same key had been found.
type twin struct {
	world *world
	of    int32
}

// run looks at all worlds that come of one.
func (e *exploration) run(t *testing.T, first *world) {
	first.settle()
	e.first = first.clone()
	e.add(first, first.key(), -1, move{})
	steps := 0
	for i := int32(0); int(i) < len(e.nodes); i++ {
		x := e.nodes[i].world
		broken := judgeWorld(x)
		if broken == "" && e.hosts.isNew(x.hostKey()) {
			broken = judgeHost(x)
		}
		if broken == "" && e.workers.isNew(x.workerKey()) {
			broken = judgeWorkerOutcasts(x)
		}
		if broken != "" {
			t.Fatal(e.transcript(i) + broken)
		}
		next, waits := int32(-1), false
		all, broken := e.expand(x, func(m move, y *world, key string) {
			steps++
			to, known := e.index[key]
			switch {
			case !known:
				to = e.add(y, key, i, m)
			case steps%*exploreTwins == 0:
				e.twins = append(e.twins, twin{y, to})
			}
			if next < 0 && m.kind <= workerCompletes && to != i {
				next, waits = to, m.kind == workerCompletes
			}
		})
		if broken != "" {
			t.Fatal(e.transcript(i) + broken)
		}
		n := &e.nodes[i]
		n.world, n.next, n.waits, n.busy, n.all, n.ended = nil, next, waits, busy(x), all, x.c.InflightCount() == 0
	}
	for _, twin := range e.twins {
		if all, broken := e.expand(twin.world, func(move, *world, string) {}); all != e.nodes[twin.of].all || broken != "" {
			t.Fatalf("%sworlds with one key have one future, but not %v and this: %s", e.transcript(twin.of), twin.world, broken)
		}
	}
	if !first.hostile {
		e.checkEnds(t)
	}
	t.Logf("%d states (%d of the host), %d steps between them, %d pairs of equivalent states compared", len(e.nodes), len(e.hosts), steps, len(e.twins))
}

func (e *exploration) add(x *world, key string, parent int32, by move) int32 {
	i := int32(len(e.nodes))
	e.nodes = append(e.nodes, node{world: x, parent: parent, by: by})
	e.index[key] = i
	return i
}

// expand makes every move in a world and returns a digest of what comes of each, and the promise that one of them
// breaks.
func (e *exploration) expand(x *world, visit func(m move, y *world, key string)) (all uint64, broken string) {
	var refused []move
	y := x.clone()
	for kind := range moves {
		for n := 1; n <= x.count(moves[kind].over); n++ {
			m := move{uint8(kind), uint8(n)}
			err := m.do(y)
			if broken := judgeCall(x, m, err); broken != "" && !errors.Is(err, errNotNow) && kind > hostReceives {
				return 0, m.in(x) + "\n" + broken
			}
			if received := kind <= hostReceives; err != nil && !received || x.hostile && isRefusal(err) {
				refused = append(refused, m)
				continue // with y, which is still x: judgeRefusals makes sure
			}
			if broken := judge(x, y, m, err); broken != "" {
				return 0, m.in(x) + "\n" + broken
			}
			y.settle()
			if fits(x, y, m) {
				key := y.key()
				visit(m, y, key)
				all += maphash.String(e.seed, fmt.Sprint(kind, errors.Unwrap(err))+key)
			}
			y = x.clone()
		}
	}
	return all, judgeRefusals(x, refused)
}

// fits reports whether the queues had room for what a move from x to y put into them. Only the coordinator takes
// what arrives in any case: two sides that wait for room with each other would never get on. A call about a region
// has room for a message about each job.
func fits(x, y *world, m move) bool {
	outbox := max(x.room, x.c.OutboxLen())
	switch m.kind {
	case hostReceives:
		outbox = y.c.OutboxLen()
	case hostCancelsRegion, hostClosesRegion:
		outbox = max(outbox, x.jobs)
	}
	return len(y.toWorker) <= x.room && len(y.toHost) <= x.room && y.c.OutboxLen() <= outbox
}

// busy returns what is under way in a world that ends without any job completing by itself; "" for nothing.
func busy(x *world) string {
	for j := range x.c.Jobs() {
		if isCancelling(j.State) {
			return "a job that is cancelled ends"
		}
	}
	for r := range x.c.Regions() {
		if r.Closed && r.Inflight > 0 {
			return "a closed region ends"
		}
	}
	if x.worker != wild && x.c.ShutdownRequested() && x.c.session != nil {
		return "a session that is stopping ends"
	}
	return ""
}

// checkEnds follows every world to what becomes of it once the host asks for nothing more.
func (e *exploration) checkEnds(t *testing.T) {
	const promise = "once the host asks for nothing more and the worker does its part, "
	good := make([]bool, len(e.nodes))
	for i := range e.nodes {
		var path []int32
		at := int32(i)
		for steps := 0; !good[at]; steps++ {
			path = append(path, at)
			n := e.nodes[at]
			if (n.next < 0 || n.waits) && n.busy != "" {
				t.Fatal(e.transcript(at) + promise + n.busy)
			}
			if n.next < 0 && n.ended {
				break
			}
			if n.next < 0 || steps > len(e.nodes) {
				t.Fatal(e.transcript(int32(i)) + promise + "every job ends")
			}
			at = n.next
		}
		for _, p := range path {
			good[p] = true
		}
	}
}

// transcript tells how a world came about.
func (e *exploration) transcript(i int32) string {
	var path []move
	for ; e.nodes[i].parent >= 0; i = e.nodes[i].parent {
		path = append(path, e.nodes[i].by)
	}
	slices.Reverse(path)
	x := e.first.clone()
	b := new(strings.Builder)
	fmt.Fprintf(b, "the shortest way to break a promise:\n    %v\n", x)
	for k, m := range path {
		fmt.Fprintf(b, "%2d. %s\n", k+1, m.in(x))
		m.do(x)
		x.settle()
		fmt.Fprintf(b, "    %v\n", x)
	}
	return b.String()
}
