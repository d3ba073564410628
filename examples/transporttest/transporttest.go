package transporttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Test checks the transport whose connected pairs open makes, in a subtest for each kind of fault. It ends with the first
// fault, and the subtests after it are skipped.
//
// It asks for the deadline that -timeout sets, and ends before it. With -short it does about a fifth. With -v it prints what
// each subtest has covered: connections, messages, bytes and closes.
func Test(t *testing.T, open Opener, opts ...Option) {
	t.Helper()
	r := newRun(open, opts)
	if deadline, ok := t.Deadline(); ok {
		r.endBefore(deadline)
	}
	var failed string
	list := r.subtests()
	for i, s := range list {
		t.Run(s.name, func(t *testing.T) {
			t.Helper()
			if failed != "" {
				t.Skip("not run, as " + failed + " has found a fault")
			}
			if r.tooLate() {
				t.Skip("not run, as too little is left of the test's -timeout")
			}
			r.reproduce = seedEnv + "=%d go test -run '" + strings.ReplaceAll(pattern(t.Name()), "%", "%%") + "'"
			d := r.check(s, len(list)-i)
			if d != nil {
				failed = s.name
				t.Fatal(d.Error())
			}
			t.Log(r.summary())
		})
	}
}

// Check is like [Test] for callers that have no *testing.T, and for testing/synctest bubbles, in which there can be no
// subtests. It returns nil if it finds no fault, or an error whose text is the report, several lines long.
func Check(open Opener, opts ...Option) error {
	r := newRun(open, opts)
	list := r.subtests()
	for i, s := range list {
		if d := r.check(s, len(list)-i); d != nil {
			return errors.New(s.name + ": " + d.Error())
		}
	}
	return nil
}

func newRun(open Opener, opts []Option) *run {
	r := &run{config: newConfig(open, opts), short: testing.Testing() && testing.Short(), label: fmt.Sprint(rand.Uint64())}
	r.reproduce = "set " + seedEnv + "=%d in the environment"
	r.unhurried = 50 * time.Millisecond
	r.limit(r.allowed * time.Duration(max(r.budget, 10_000)) / 10_000)
	return r
}

// endBefore has the run end before the test's deadline, and leave time for a report.
func (r *run) endBefore(deadline time.Time) {
	left := time.Until(deadline)
	r.limit(left)
	r.deadline = deadline.Add(-min(left/5, 10*time.Second))
}

// limit sets how long the run may take, if that is less than before. Some time is left for reports.
func (r *run) limit(d time.Duration) {
	d -= min(d/5, 10*time.Second)
	end := time.Now().Add(d)
	if r.end.IsZero() || end.Before(r.end) {
		r.end = end
		r.timeout = min(r.timeout, max(d/4, time.Second))
		r.hangs = r.timeout
	}
}

// check runs a subtest, which may take its share of the time that is left.
func (r *run) check(s subtest, left int) (d *diagnosis) {
	began := time.Now()
	r.until = began.Add(r.end.Sub(began) / time.Duration(min(left, 3))) // most subtests take less than their share
	r.covered.set(&r.stats)
	r.began = began
	r.labelled(func() { d = s.check(r) })
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

// summary says what the last subtest has covered.
func (r *run) summary() string {
	cut := ""
	if r.timeUp() {
		cut = "; cut short, as the transport is slow"
	}
	s, c := &r.stats, &r.covered
	n := func(after, before int64) int { return int(after - before) }
	return fmt.Sprintf("%s, %s, %s, %s in %v%s",
		count(n(s.connections.Load(), c.connections.Load()), "connection"), count(n(s.messages.Load(), c.messages.Load()), "message"),
		count(n(s.bytes.Load(), c.bytes.Load()), "byte"), count(n(s.closes.Load(), c.closes.Load()), "close"), time.Since(r.began).Round(time.Millisecond), cut)
}
