package driver

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	wc "github.com/workerchannel/workerchannel"
)

// Whatever happens in whatever order, a call is in one place, is settled once, and none is forgotten.
func TestSchedulerSettlesEveryCallOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScheduler(rules{window: rapid.IntRange(0, 3).Draw(t, "window"), tries: rapid.IntRange(1, 3).Draw(t, "tries"), attempts: 2,
			most: rapid.IntRange(1, 4).Draw(t, "most"), recycle: rapid.IntRange(0, 3).Draw(t, "recycle")})
		s.least = rapid.IntRange(0, s.most).Draw(t, "least")
		var regions []*Region
		for range 2 {
			regions = append(regions, newRegion(1))
		}
		var all []*call
		settled := map[*call]int{}
		type filled struct {
			*post
			worker *slot // the last one that was started for it; nil: none
		}
		var hired []filled
		held := map[*slot]map[*call]bool{} // the jobs of the workers' sessions; true: their messages have left
		pick := func() (w *slot, c *call) {
			if len(s.slots) == 0 {
				return nil, nil
			}
			w = rapid.SampledFrom(s.slots).Draw(t, "worker")
			if calls := held[w]; len(calls) > 0 {
				byID := map[uint64]*call{}
				for c := range calls {
					byID[c.id] = c
				}
				c = rapid.SampledFrom(sortedCalls(byID)).Draw(t, "its call")
			}
			return w, c
		}
		end := func(w *slot, c *call, cause wc.EndCause, outcome wc.Outcome) {
			delete(held[w], c)
			s.callEnded(w, c, time.Duration(rapid.IntRange(0, 2).Draw(t, "ms"))*time.Millisecond, cause, outcome)
		}
		actions := map[string]func(*rapid.T){
			"submit": func(t *rapid.T) {
				c := new(call)
				if i := rapid.IntRange(0, len(regions)).Draw(t, "region"); i > 0 {
					c.region = regions[i-1]
				}
				if s.submit(c) == nil {
					all = append(all, c)
				}
			},
			"cancel": func(t *rapid.T) {
				if len(all) > 0 {
					s.cancelCall(rapid.SampledFrom(all).Draw(t, "call"), context.Canceled, "no longer needed")
				}
			},
			"attach": func(*rapid.T) {
				if len(s.slots) < 4 {
					held[s.join(nil)] = map[*call]bool{}
				}
			},
			"start": func(t *rapid.T) {
				for i, p := range hired {
					if p.worker == nil && !p.closed {
						hired[i].worker = s.join(p.post)
						held[hired[i].worker] = map[*call]bool{}
						return
					}
				}
			},
			"start again": func(t *rapid.T) {
				for i, p := range hired {
					if p.worker == nil || p.worker.stopping {
						if open := !p.closed; s.goOn(p.post) {
							hired[i].worker = nil
							if !open {
								t.Fatal("a closed post goes on")
							}
						} else {
							hired = slices.Delete(hired, i, i+1)
						}
						return
					}
				}
			},
			"retire": func(t *rapid.T) {
				if w, _ := pick(); w != nil {
					s.retire(w, nil)
				}
			},
			"dismiss": func(t *rapid.T) {
				if w, _ := pick(); w != nil {
					s.dismiss(w)
				}
			},
			"idle": func(t *rapid.T) {
				if w, _ := pick(); w != nil {
					s.idleFor(w)
				}
			},
			"await": func(t *rapid.T) {
				s.staff.awaited = rapid.IntRange(0, 5).Draw(t, "awaited")
				s.hire()
			},
			"ready": func(*rapid.T) {
				if w, _ := pick(); w != nil {
					s.workerReady(w)
				}
			},
			"silent": func(*rapid.T) {
				if w, _ := pick(); w != nil && w.ready && s.window > 0 {
					s.workerSilent(w)
				}
			},
			"capacity": func(t *rapid.T) {
				if w, _ := pick(); w != nil && w.ready {
					s.workerCapacity(w, rapid.IntRange(0, 3).Draw(t, "capacity"))
				}
			},
			"obey": func(t *rapid.T) {
				w, _ := pick()
				if w == nil {
					return
				}
				for _, o := range s.takeOrders(w) {
					if o.kind == orderSpawn {
						if _, ok := held[w][o.call]; ok {
							t.Fatal("a worker gets a job whose id is in use")
						}
						held[w][o.call] = false
					}
				}
			},
			"work": func(t *rapid.T) {
				w, c := pick()
				if c == nil {
					return
				}
				if !held[w][c] {
					held[w][c] = true
					s.callGiven(w, c)
					return
				}
				returning := c.slot != w || c.returning || c.cancel != nil
				switch rapid.IntRange(0, 3).Draw(t, "step") {
				case 0:
					s.callBegun(w, c)
				case 1:
					s.callAcknowledged(w, c)
				case 2:
					if c.slot == w {
						end(w, c, wc.CauseOutcome, wc.OutcomeOk{})
					}
				case 3:
					if returning {
						end(w, c, wc.CauseCancelled, wc.OutcomeCancelled{})
					}
				}
			},
			"leave": func(t *rapid.T) {
				if w, _ := pick(); w != nil {
					how := rapid.SampledFrom([]ending{endedByItself, endedInOrder, endedForOne}).Draw(t, "how")
					s.workerLeft(w, how, errDied)
					s.workerLeft(w, how, errDied)
				}
			},
			"ending": func(*rapid.T) {
				if w, _ := pick(); w != nil {
					s.workerEnding(w)
				}
			},
			"unreserve": func(t *rapid.T) {
				if len(all) > 0 {
					c := rapid.SampledFrom(all).Draw(t, "call")
					s.unreserve(c, c.attempt)
				}
			},
			"balance": func(*rapid.T) { s.balance() },
			"fail": func(*rapid.T) {
				for _, p := range hired {
					if p.worker == nil && !p.closed {
						s.attemptFailed(p.post, errDied)
						return
					}
				}
			},
			"": func(t *rapid.T) {
				for _, p := range s.effects.hired {
					hired = append(hired, filled{post: p})
				}
				open, unmanned := 0, 0
				for _, p := range hired {
					open += btoi(!p.closed)
					unmanned += btoi(!p.closed && !p.manned)
					if ready := p.worker != nil && p.worker.ready && !p.worker.stopping; !p.closed && p.manned != ready {
						t.Fatal("a post is manned, or not, and its worker the opposite")
					}
					if old := p.relieves; old != nil && (old.relief != p.post || old.left || old.dismissed) {
						t.Fatal("a worker is to be relieved that need not be")
					}
				}
				if open != s.staff.posts || unmanned != s.staff.unmanned {
					t.Fatalf("%d posts are open, %d of them unmanned; %d and %d are counted", open, unmanned, s.staff.posts, s.staff.unmanned)
				}
				if n := s.missing(0); n > 0 || !s.stopping && open < min(s.most, max(s.least, s.staff.awaited)) {
					t.Fatalf("%d posts are missing", n)
				}
				checkScheduler(t, s, all, settled)
			},
		}
		s.hire()
		t.Repeat(actions)
		s.stop()
		for len(s.slots) > 0 {
			s.workerLeft(s.slots[0], endedByItself, errDied)
		}
		actions[""](t)
		require.Len(t, settled, len(all), "nobody waits")
		n := s.counts
		require.Equal(t, n.Calls, n.Succeeded+n.Failed+n.Panicked+n.Cancelled+n.GivenUp+n.NoWorker+n.Stopped, fmt.Sprint(n))
	})
}

func checkScheduler(t *rapid.T, s *scheduler, all []*call, settled map[*call]int) {
	for _, c := range s.effects.settled {
		settled[c]++
	}
	s.effects.reset()
	waiting := map[*call]bool{}
	s.backlog.each(len(all), func(c *call) { waiting[c] = true })
	if len(waiting) != s.backlog.len {
		t.Fatalf("%d calls wait, %d are counted", len(waiting), s.backlog.len)
	}
	for _, c := range all {
		n := settled[c]
		switch {
		case waiting[c] && (n != 0 || c.slot != nil):
			t.Fatal("a call waits, and is somewhere else, too")
		case !waiting[c] && c.slot != nil && (n != 0 || c.slot.calls[c.id] != c || c.slot.left):
			t.Fatal("a call is with a worker that does not have it")
		case !waiting[c] && c.slot == nil && (n != 1 || !c.settled):
			t.Fatal("settled twice, or not")
		}
	}
	handlers, ready, excess, untold, reserved := 0, 0, 0, 0, map[*slot]int{}
	vacant, shared, emptying := 0, 0, 0
	for i, w := range s.slots {
		vacant += btoi(w.empty())
		shared += btoi(w.able && w.suspect == nil)
		emptying += btoi(w.emptying)
		if w.index != i || w.empty() && w.vacant.chain == nil {
			t.Fatal("a worker cannot be found")
		}
		if c := s.backlog.suspects.first(); c != nil && w.empty() && !w.rest[c.id] {
			t.Fatal("a suspect waits though a worker has no calls")
		}
		unbegun, returning := 0, 0
		for _, c := range w.calls {
			if c.returning && !c.begun {
				returning++
			} else if !c.begun && c.cancel == nil {
				unbegun++
			}
			if c.to != nil {
				reserved[c.to]++
			}
			if c.suspect && len(w.calls) > 1 {
				t.Fatal("a suspect is not alone")
			}
		}
		if unbegun != w.unbegun.len || returning != w.returning {
			t.Fatal("a worker's calls are not counted right")
		}
		if w.ready && !w.stopping {
			ready += btoi(w.capacity > 0)
			handlers += w.capacity
			untold += btoi(w.untold)
			if w.said && s.tries > 1 {
				excess += max(w.excess(), 0)
			}
		}
		if w.takes() && w.free() > 0 && w.place.chain == nil {
			t.Fatal("a worker with a free handler cannot be found")
		}
	}
	for _, w := range s.slots {
		if w.reserved != reserved[w] {
			t.Fatalf("%d handlers are reserved for %d calls", w.reserved, reserved[w])
		}
	}
	if handlers != s.handlers || ready != s.ready || excess != s.excess || untold != s.staff.untold {
		t.Fatalf("%d handlers, %d ready, %d calls that wait there, %d untold; %d, %d, %d and %d are counted",
			handlers, ready, excess, untold, s.handlers, s.ready, s.excess, s.staff.untold)
	}
	if vacant != s.vacant.len || shared != s.shared || emptying != s.emptying {
		t.Fatalf("%d workers have no calls, %d are shared, %d get none; %d, %d and %d are counted",
			vacant, shared, emptying, s.vacant.len, s.shared, s.emptying)
	}
	if want := min(len(s.backlog.suspects), shared); emptying != want {
		t.Fatalf("%d workers get no calls for suspects, expected %d", emptying, want)
	}
	if s.backlog.next() != nil && s.room() != nil {
		t.Fatal("a call waits though a worker has room")
	}
	if s.behind.len > 0 && !s.armed {
		c := s.behind.first.of.unbegun.last.of
		if slices.ContainsFunc(s.slots, func(w *slot) bool { return w.place.chain != nil && w.free() > 0 && !w.rest[c.id] }) {
			t.Fatal("a call waits at a worker though another has a handler free")
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
