package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

// stats counts. Its memory does not depend on how much there is to count.
type stats struct {
	out     io.Writer
	kinds   map[string]*kindCount
	refused map[string]int // by kind of error, cut to its first word
	phases  [10]phaseCount
	slowest []*job
	ended   map[string]int     // calls
	again   map[callKey]string // how calls have ended that may be given to another worker
	jobs    int
	entries int
}

type kindCount struct{ messages, bytes, refused int }

type phaseCount struct {
	jobs       int
	total, max uint64
}

// maxKinds and mostSlow are how many rows the tables have at most.
const (
	maxKinds = 100
	mostSlow = 10
)

func newStats(out io.Writer) *stats {
	return &stats{out: out, kinds: map[string]*kindCount{}, refused: map[string]int{}, ended: map[string]int{}, again: map[callKey]string{}}
}

func (s *stats) entry(e *entry) error {
	s.entries++
	if e.verdict.bad() {
		first, _, _ := strings.Cut(e.wrong, ":")
		if e.journal {
			first, _, _ = strings.Cut(first, " ")
		}
		if len(s.refused) < maxKinds {
			s.refused[first]++
		}
	}
	kind := e.op
	if kind == "" {
		if e.verdict == called || e.verdict == refused {
			return nil
		}
		kind = "unreadable"
	}
	k := s.kinds[kind]
	if k == nil {
		if len(s.kinds) >= maxKinds {
			return nil
		}
		k = new(kindCount)
		s.kinds[kind] = k
	}
	k.messages++
	k.bytes += e.size
	if e.verdict.bad() {
		k.refused++
	}
	return nil
}

// jobBegan takes back that a call has ended, if the job is another attempt of it.
func (s *stats) jobBegan(j *job) {
	if how, ok := s.again[j.call]; ok {
		delete(s.again, j.call)
		s.ended[how]--
	}
}

// jobEnded counts a job that has ended. One that was lost or taken back may be an attempt of a call that goes on.
func (s *stats) jobEnded(j *job) {
	how := j.how
	switch {
	case j.state == wc.StateFailed:
		how = "lost"
	case how == "": // what is left of a session
		how = j.state.String()
	}
	s.jobs++
	s.ended[how]++
	if (how == "lost" || how == "cancelled") && j.call.task != 0 && len(s.again) < maxTracked {
		s.again[j.call] = how
	}
	for state := range j.turns {
		if !j.visited[state] {
			continue
		}
		p := &s.phases[state]
		p.jobs++
		p.total += j.turns[state]
		p.max = max(p.max, j.turns[state])
	}
	at, _ := slices.BinarySearchFunc(s.slowest, j, func(a, b *job) int {
		return cmp.Or(cmp.Compare(b.took(), a.took()), cmp.Compare(a.id, b.id))
	})
	if at < mostSlow {
		s.slowest = slices.Insert(s.slowest, at, j)
		s.slowest = s.slowest[:min(len(s.slowest), mostSlow)]
	}
}

// took returns the job's turns from its spawn to its end.
func (j *job) took() uint64 { return j.since - min(j.since, j.began) }

func (s *stats) finish() error {
	fmt.Fprintf(s.out, "%-20s  %9s  %9s  %12s\n", "message", "messages", "refused", "bytes")
	var all kindCount
	for _, kind := range slices.SortedFunc(maps.Keys(s.kinds), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.kinds[b].messages, s.kinds[a].messages), cmp.Compare(a, b))
	}) {
		k := s.kinds[kind]
		s.row(kind, k)
		all.messages, all.refused, all.bytes = all.messages+k.messages, all.refused+k.refused, all.bytes+k.bytes
	}
	s.row("all", &all)
	if len(s.refused) > 0 {
		fmt.Fprintf(s.out, "\n%-32s  %9s\n", "refused with", "times")
		for _, why := range slices.Sorted(maps.Keys(s.refused)) {
			fmt.Fprintf(s.out, "%-32s  %9d\n", safe(why), s.refused[why])
		}
	}
	if len(s.slowest) == 0 {
		return nil
	}
	fmt.Fprintf(s.out, "\n%-20s  %9s  %9s  %9s\n", "phase", "jobs", "mean", "longest")
	for state, p := range s.phases {
		if p.jobs > 0 {
			fmt.Fprintf(s.out, "%-20s  %9d  %9.1f  %9d  turns\n", wc.JobState(state), p.jobs, float64(p.total)/float64(p.jobs), p.max)
		}
	}
	calls := 0
	fmt.Fprintf(s.out, "\n%-20s  %9s\n", "calls that ended", "calls")
	for _, how := range slices.Sorted(maps.Keys(s.ended)) {
		if n := s.ended[how]; n > 0 {
			calls += n
			fmt.Fprintf(s.out, "%-20s  %9d\n", how, n)
		}
	}
	fmt.Fprintf(s.out, "%-20s  %9d  in %s\n", "all", calls, tool.Count(s.jobs, "job"))
	fmt.Fprintf(s.out, "\n%-20s  %9s  longest in\n", "slowest jobs", "turns")
	for _, j := range s.slowest {
		longest := wc.StateQueued
		for state, turns := range j.turns {
			if turns > j.turns[longest] {
				longest = wc.JobState(state)
			}
		}
		fmt.Fprintf(s.out, "job %-16d  %9d  %s, %s\n", j.id, j.took(), longest, tool.Count(j.turns[longest], "turn"))
	}
	return nil
}

func (s *stats) row(kind string, k *kindCount) {
	bytes := fmt.Sprint(k.bytes)
	if k.bytes == 0 {
		bytes = ""
	}
	fmt.Fprintf(s.out, "%-20s  %9d  %9d  %12s\n", safe(kind), k.messages, k.refused, bytes)
}
