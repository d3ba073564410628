package driver_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// A staffPlan is what is asked of a host about the workers that it starts.
type staffPlan struct {
	Least   int           // WithOnDemand, if there is Idle
	Idle    time.Duration // 0: all workers are always kept
	Recycle int           // WithRecycle
	Age     time.Duration
	Drain   time.Duration // when the worker with the lowest number is drained; 0: never
	Replace time.Duration // when all are replaced; 0: never
}

func drawStaff(t *rapid.T, places int) (p staffPlan) {
	if rapid.Bool().Draw(t, "on demand") {
		p.Least, p.Idle = rapid.IntRange(0, places).Draw(t, "least"), duration(t, "idle", time.Millisecond, 60*time.Millisecond, time.Minute)
	}
	p.Recycle = rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "recycle")
	p.Age = duration(t, "age", 0, 0, 100*time.Millisecond, 2*time.Second)
	p.Drain = duration(t, "drain", 0, 30*time.Millisecond+5, time.Second+5)
	p.Replace = duration(t, "replace", 0, 30*time.Millisecond+9, time.Second+9)
	return p
}

func (p staffPlan) String() string {
	text := unless(p.Idle == 0, "at least %d workers", p.Least) + unless(p.Idle == 0, "idle for %v", p.Idle)
	text += unless(p.Recycle == 0, "recycled after %d calls", p.Recycle) + unless(p.Age == 0, "and at the age of %v", p.Age)
	return text + unless(p.Drain == 0, "one drained at %v", p.Drain) + unless(p.Replace == 0, "replaced at %v", p.Replace)
}

// options returns what NewHost is to be told.
func (p staffPlan) options() (opts []driver.Option) {
	if p.Idle > 0 {
		opts = append(opts, driver.WithOnDemand(p.Least, p.Idle))
	}
	if p.Recycle > 0 || p.Age > 0 {
		opts = append(opts, driver.WithRecycle(p.Recycle, p.Age))
	}
	return opts
}

// reliable reports whether workers of the plan end only because the host asks them to.
func (p plan) reliable() bool {
	for _, w := range p.Fleet {
		if w.Boot != boots || w.LeaveAfter > 0 || w.AskedAfter > 0 || w.DieAfter > 0 {
			return false
		}
	}
	for _, c := range p.Calls {
		if c.Does.guilty() || c.Does == ignores {
			return false
		}
	}
	return true
}

// manage asks of the host what the plan says, until stop is called, which waits for it.
func (s *simulation) manage() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	p := s.plan.Staff
	if p.Drain > 0 {
		s.running.Go(func() {
			if sleep(ctx, p.Drain) {
				if workers := s.host.Stats().Workers; len(workers) > 0 {
					if err := s.host.Drain(workers[0].Number); err != nil {
						s.report(1, "a worker cannot be drained", "%v", err)
					}
				}
			}
		})
	}
	if p.Replace > 0 {
		s.running.Go(func() {
			if !sleep(ctx, p.Replace) {
				return
			}
			old := s.host.Stats()
			err := s.host.Replace(ctx)
			switch {
			case ctx.Err() != nil || errors.Is(err, driver.ErrStopped):
			case err != nil:
				if s.plan.reliable() {
					s.report(1, "workers cannot be replaced", "%v", err)
				}
			default:
				for _, w := range s.host.Stats().Workers {
					for _, o := range old.Workers {
						if w.Number == o.Number && !o.Stopping {
							s.report(1, "a worker was not replaced", "%d", w.Number)
						}
					}
				}
			}
		})
	}
	return cancel
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// dismissed notes that the host asks a worker to shut down though it does not stop itself. The host has given it no calls since
// it decided that, which was after the last one that it gave.
func (w *simWorker) dismissed() {
	if !w.stopped.IsZero() || w.asked {
		return
	}
	w.asked = true
	if n := w.has(); n > 0 {
		w.note(2, "a worker that has calls is asked to shut down", "%v has %d", w, n)
	}
	w.dismissedBefore()
	if !w.simulation.plan.reliable() {
		return
	}
	p, left := w.simulation.plan.Staff, 0
	mayStart := p.Recycle+int(p.Age+p.Replace) > 0 // it is relieved by another one though others that are needed are not ready
	if places := w.simulation.plan.Places; p.Idle == 0 && len(w.workers) >= places {
		mayStart = slices.ContainsFunc(w.workers[:places], func(first *simWorker) bool { return first.began.IsZero() })
	}
	for _, other := range w.workers {
		left += btoi((mayStart || !other.began.IsZero()) && other.over.IsZero() && !other.asked)
	}
	if least := w.simulation.plan.least(); left < least && p.Drain == 0 {
		w.note(3, "fewer workers than the least", "%d are left when %v is asked to shut down", left, w)
	}
}

// dismissedBefore notes that the host may have decided to dismiss the worker at any time after it gave it the last call.
func (w *simWorker) dismissedBefore() {
	last := w.began
	if n := len(w.sends); n > 0 {
		last = w.sends[n-1].sent
	}
	for _, periods := range []*spans{&w.able, &w.free, &w.empty} {
		periods.cut(last)
	}
}

// lookForDismissed finds the workers that may have been dismissed, and had calls until the end.
func (s *simulation) lookForDismissed() {
	p := s.plan.Staff
	for _, w := range s.workers {
		if !w.asked && p.Recycle+int(p.Age+p.Drain+p.Replace) > 0 {
			w.dismissedBefore()
		}
	}
}

// least returns how many workers are always kept.
func (p plan) least() int {
	if p.Staff.Idle > 0 {
		return p.Staff.Least
	}
	return p.Places
}

// cut removes what is after a moment.
func (s *spans) cut(at time.Time) {
	for len(s.list) > 0 && s.list[len(s.list)-1].from.After(at) {
		s.list, s.open = s.list[:len(s.list)-1], false
	}
	if n := len(s.list); n > 0 && (s.list[n-1].to.IsZero() || s.list[n-1].to.After(at)) {
		s.list[n-1].to, s.open = at, false
	}
}

// checkStaff checks that a call does not wait while there may be one more worker (promise 3), if workers end only because the
// host asks them to: it is started for the call, which then waits for that, at the most.
func (s *simulation) checkStaff(c *simCall) {
	if !s.plan.reliable() || len(c.waits.list) == 0 {
		return
	}
	wait := c.waits.list[0]
	end := wait.to
	for _, t := range []time.Time{s.stopped, s.impatient(c)} {
		if !t.IsZero() && end.After(t) {
			end = t
		}
	}
	at := wait.from.Add(4 * s.latency.most) // it may be being taken back
	if !at.Before(end) {
		return
	}
	there, starting := 0, 0
	for _, w := range s.workers {
		if w.dialed.After(at) || !w.over.IsZero() && w.over.Before(at) {
			continue
		}
		there++
		starting += btoi(w.began.IsZero() || w.began.After(wait.from))
	}
	if there < s.plan.Places && starting == 0 {
		s.note(3, "no worker is started for a call that waits", "call %d waits from %v to %v; %d workers are there", c.index,
			wait.from.Sub(s.started), end.Sub(s.started), there)
	}
}
