package transporttest

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// closeAtOnce opens many pairs, and has two goroutines close one end of each at the same time. What goes wrong only if the
// two meet within some nanoseconds takes many attempts.
func (r *run) closeAtOnce() *diagnosis {
	var rounds atomic.Int64
	found := make(chan *diagnosis, 1)
	go func() { found <- r.closeRounds(&rounds) }()
	watch := time.NewTicker(r.timeout)
	defer watch.Stop()
	for before := rounds.Load(); ; before = rounds.Load() {
		select {
		case d := <-found:
			return d
		case <-watch.C:
			if rounds.Load() == before {
				return &diagnosis{fault: hang, where: "Close", what: fmt.Sprintf("Close had not returned after %v, when two goroutines called it at the same time", r.timeout)}
			}
		}
	}
}

// A call is one that two goroutines make at the same time.
type call struct {
	f      func()
	delay  int
	at     time.Time
	ready  atomic.Bool
	result chan string // what it panicked with
}

func (c *call) make() {
	c.result <- caught(func() {
		spin(c.delay)
		c.at = time.Now()
		c.f()
	})
}

//go:noinline
func spin(n int) {
	for range n {
		_ = rounding.Load()
	}
}

var rounding atomic.Int64 // something to look at while spinning

// A partner is a goroutine that takes part in calls. It spins between them, as long as they follow each other, so that it stays
// on a processor of its own.
type partner struct {
	next   atomic.Pointer[call]
	asleep atomic.Bool
	wake   chan struct{}
	over   atomic.Bool
	behind int // how long it must wait to meet the other, in turns of a loop
	met    int // how often the two met within 100 nanoseconds
}

func (p *partner) take(c *call) {
	p.next.Store(c)
	if p.asleep.Load() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *partner) run() {
	for n := 0; !p.over.Load(); n++ {
		if c := p.next.Swap(nil); c != nil {
			n = 0
			c.ready.Store(true)
			c.make()
			continue
		}
		if n < 20_000 {
			continue
		}
		p.asleep.Store(true)
		if p.next.Load() == nil && !p.over.Load() {
			<-p.wake
		}
		p.asleep.Store(false)
		n = 0
	}
}

func (p *partner) end() {
	p.over.Store(true)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (r *run) closeRounds(rounds *atomic.Int64) *diagnosis {
	p := &partner{wake: make(chan struct{}, 1)}
	defer p.end()
	go p.run()
	began, limit := time.Now(), time.Duration(r.scale(3_000))*time.Millisecond
	for i := range r.scale(10_000) {
		if i > 1 && (p.met >= 1500 || time.Since(began) > limit) {
			break // without two idle processors, they hardly meet
		}
		rounds.Add(1)
		if d := r.closeTwice(i, p); d != nil {
			d.reproduce = fmt.Sprintf(r.reproduce, r.seed)
			return d
		}
	}
	return nil
}

// closeTwice has this goroutine and its partner close an end of a new pair, as nearly at the same time as can be
// had. The other end is closed meanwhile, since Close may wait for that.
func (r *run) closeTwice(i int, p *partner) *diagnosis {
	host, worker, stop, err := r.open()
	if err != nil {
		return r.openFailed(err)
	}
	r.stats.connections.Add(1)
	r.stats.closes.Add(3)
	name, conn, peer := "host", host, worker
	if i%2 == 0 {
		name, conn, peer = "worker", worker, host
	}
	closing := func() { _ = conn.Close() }
	// What matters is a moment of nanoseconds, so the two try to meet ever more closely, give or take a little.
	behind := p.behind + i%16 - 8
	here := &call{f: closing, delay: max(-behind, 0), result: make(chan string, 1)}
	there := &call{f: closing, delay: max(behind, 0), result: make(chan string, 1)}
	other := &call{f: func() { _ = peer.Close() }, result: make(chan string, 1)}
	late := time.AfterFunc(time.Millisecond, other.make) // Close may wait for the other end
	p.take(there)
	for n := 1; !there.ready.Load(); n++ {
		if n%20_000 == 0 {
			runtime.Gosched()
		}
	}
	here.make()
	crashes := []string{<-here.result, <-there.result}
	if late.Stop() {
		other.make()
	}
	crashes = append(crashes, <-other.result)
	early := here.at.Sub(there.at)
	if early.Abs() < 100*time.Nanosecond {
		p.met++
	}
	switch {
	case early > 0 && early < 2*time.Microsecond:
		p.behind += 2
	case early < 0 && early > -2*time.Microsecond:
		p.behind -= 2
	}
	if stop != nil {
		crashes = append(crashes, caught(stop))
	}
	for _, crash := range crashes {
		if crash != "" {
			return &diagnosis{fault: panics, where: "Close", what: fmt.Sprintf("Close panicked when two goroutines closed the %s's end at the same time: %s", name, crash)}
		}
	}
	return nil
}
