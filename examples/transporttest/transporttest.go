package transporttest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// Test checks the transport whose connected pairs open makes, in a subtest for each kind of fault. It ends with the
// first fault, and the subtests after it are skipped.
//
// It asks for the deadline that -timeout sets, and ends before it. With -short it does about a fifth. With -v it prints
// what each subtest has covered: connections, messages, bytes and closes.
func Test(t *testing.T, open Opener, opts ...Option) {
	t.Helper()
	r := newRun(open, opts)
	if deadline, ok := t.Deadline(); ok {
		r.endBefore(deadline)
	}
	var failed string
	list := r.phases()
	for i, p := range list {
		t.Run(p.name, func(t *testing.T) {
			t.Helper()
			if failed != "" {
				t.Skip("not run, as " + failed + " has failed")
			}
			r.reproduce = seedEnv + "=%d go test -run '" + strings.ReplaceAll(pattern(t.Name()), "%", "%%") + "'"
			if d := r.check(p, len(list)-i); d != nil {
				failed = p.name
				t.Fatal(d.Error())
			}
			t.Log(r.summary())
		})
	}
}

// Check is like [Test] for callers that have no *testing.T, and for testing/synctest bubbles, in which there can be no
// subtests. It returns nil if it finds no fault, or an error whose text is the report, several lines long. If calls of
// the transport never return, a bubble cannot end; Check then panics with the report.
func Check(open Opener, opts ...Option) error {
	r := newRun(open, opts)
	list := r.phases()
	for i, p := range list {
		if d := r.check(p, len(list)-i); d != nil {
			report := p.name + ": " + d.Error()
			if d.stuck && d.fault != slow && inBubble() {
				panic(report)
			}
			return errors.New(report)
		}
	}
	return nil
}

// inBubble reports whether the caller is in a bubble of testing/synctest.
func inBubble() bool {
	head, _, _ := bytes.Cut(debug.Stack(), []byte("\n"))
	return bytes.Contains(head, []byte("synctest bubble"))
}

func newRun(open Opener, opts []Option) *run {
	r := &run{config: newConfig(open, opts), short: testing.Testing() && testing.Short(), label: fmt.Sprint(rand.Uint64())}
	r.reproduce = "set " + seedEnv + "=%d in the environment"
	r.capacity, r.lingers = map[bool]int{}, map[bool]bool{}
	r.unhurried, r.patience, r.hangs = 50*time.Millisecond, patience, r.timeout
	if r.idle == defaultIdle {
		r.idle = time.Duration(r.budgeted(int(r.idle) * min(r.budget, 10_000) / 10_000)).Round(time.Millisecond)
	}
	now := time.Now()
	allowed := r.allowed * time.Duration(max(r.budget, 10_000)) / 10_000
	r.end = now.Add(2*max(r.idle, 0) + time.Duration(float64(allowed)*max(r.timeout.Seconds()/defaultTimeout.Seconds(), 1)))
	r.deadline = now.Add(max(r.end.Sub(now), 10*time.Minute))
	return r
}

// endBefore has the run end before the test's deadline, and leave time for a report.
func (r *run) endBefore(deadline time.Time) {
	left := time.Until(deadline)
	r.deadline = deadline.Add(-min(left/5, 10*time.Second))
	if end := r.deadline.Add(-left / 2); end.Before(r.end) { // what must be done needs some time, too
		r.end = end
	}
	if r.timeout == defaultTimeout { // nobody asked for it
		r.timeout = min(r.timeout, max(left/5, time.Second))
		r.hangs = r.timeout
	}
}

// check runs a subtest. What it can leave out may take its share of the time that is left.
func (r *run) check(p phase, left int) (d *diagnosis) {
	r.phase, r.began, r.leftOut = p, time.Now(), false
	r.until = r.began.Add(r.end.Sub(r.began) / time.Duration(min(left, 3))) // most subtests take less than their share
	r.covered = r.stats
	r.labelled(func() { d = r.checkPlans(p.plans(r)) })
	return d
}

// pattern returns the regular expression for -run that names one test.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}
