package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
)

// labelKey is the profiler label by which the goroutines of a run are recognised: those that open and the calls of
// the connection start inherit it, and others that the program has do not count.
const labelKey = "transporttest"

// labelled calls f with the label of the run.
func (r *run) labelled(f func()) {
	pprof.Do(context.Background(), pprof.Labels(labelKey, r.label), func(context.Context) { f() })
}

// leakPlans open and close pairs in several ways. What the first pair leaves may be there for good, as a server that
// all use; what each of the following leaves is a leak.
func (r *run) leakPlans() []plan {
	fill := func(worker bool) step { return step{do: "fill", worker: worker, n: 4, size: 1000} }
	plans := []plan{
		r.plan(playMessages, musts(send(false, 1, 20))...),
		{seed: r.seed &^ 7, steps: []step{fill(false)}, play: playClose},
		{seed: r.seed | 7, steps: []step{fill(true)}, play: playClose},
		r.plan(playLeave, fill(false), fill(true)),
		r.plan(playMessages, send(false, 300, 20), send(true, 300, 20)), // a goroutine may be left once in a hundred messages
	}
	for i := range plans {
		plans[i].leaks = true
	}
	return plans
}

// playLeave closes both ends, and nobody receives what is under way.
func playLeave(l *link, steps []step) {
	if l.jrpc2 {
		return
	}
	l.do(steps)
	l.closeAll(l.host, l.worker)
	if !l.returns(returned(l.ends()...)) {
		l.hung("Close", "both had been closed")
	}
}

// leaks plays a plan several times. The goroutines that stay are known to be the transport's. The file descriptors may
// be those of another test that runs at the same time, unless each pair leaves the same number, however many pairs
// there are.
func (r *run) leaks(p plan) (d *diagnosis) {
	perPair, wait := 0, r.timeout
	for _, pairs := range []int{3, 5, 4} {
		goroutines, stacks, _ := r.goroutines(nil)
		files, err := descriptors()
		if err != nil {
			return tooManyFiles(err.Error())
		}
		for range pairs {
			if d := r.try(p); d != nil {
				return d
			}
		}
		left := 0
		d, left = r.staying(goroutines, stacks, files, pairs, wait)
		if d == nil || d.where != "descriptor" {
			return d
		}
		if left%pairs != 0 || perPair > 0 && left != perPair*pairs {
			return nil
		}
		perPair, wait = left/pairs, patience
	}
	return d
}

// staying waits until there are fewer goroutines and descriptors than a leak for each pair would leave. Otherwise it
// returns how many descriptors there are.
func (r *run) staying(before int, stacks map[string]int, filesBefore map[string]bool, pairs int, limit time.Duration) (*diagnosis, int) {
	left, err := descriptors()
	maps.DeleteFunc(left, func(file string, _ bool) bool { return filesBefore[file] })
	for wait := time.Millisecond; ; wait *= 2 {
		after, _, most := r.goroutines(stacks)
		var files map[string]bool
		if err == nil {
			files, err = descriptors()
		}
		if err != nil {
			return tooManyFiles(err.Error()), 0
		}
		maps.DeleteFunc(left, func(file string, _ bool) bool { return !files[file] })
		told := fmt.Sprintf("%d pairs were opened and closed at both ends, and stopped; %v later", pairs, limit)
		switch {
		case after-before < pairs && len(left) < pairs:
			return nil, 0
		case wait < limit/2:
			time.Sleep(wait)
		case after-before >= pairs:
			return &diagnosis{fault: leak, where: "goroutine", what: fmt.Sprintf("%s, %d more goroutines are running than before, for example:%s",
				told, after-before, most)}, 0
		default:
			return &diagnosis{fault: leak, where: "descriptor", what: fmt.Sprintf("%s, %d more file descriptors are open than before, for example %s",
				told, len(left), slices.Min(slices.Collect(maps.Keys(left))))}, len(left)
		}
	}
}

// goroutines returns how many goroutines the run has, but for its own, and the stacks of those that there are more of
// than before.
func (r *run) goroutines(before map[string]int) (total int, stacks map[string]int, most string) {
	var profile strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	stacks = map[string]int{}
	for record := range strings.SplitSeq(profile.String(), "\n\n") {
		head, frames, ok := strings.Cut(record, "\n# labels")
		if !ok || !strings.Contains(frames, fmt.Sprintf("%q:%q", labelKey, r.label)) || strings.Contains(frames, "transporttest.(*run).goroutines") {
			continue
		}
		n := 1
		_, _ = fmt.Sscanf(head[strings.LastIndexByte(head, '\n')+1:], "%d @", &n)
		stack := ""
		for line := range strings.SplitSeq(frames, "\n") {
			if f := strings.Fields(line); len(f) >= 4 && f[0] == "#" && strings.HasPrefix(f[1], "0x") {
				stack += fmt.Sprintf("\n      in %s (%s)", f[2], f[3][strings.LastIndexByte(f[3], '/')+1:])
			}
		}
		total += n
		if stacks[stack] += n; stacks[stack]-before[stack] > stacks[most]-before[most] {
			most = stack
		}
	}
	return total, stacks, most
}

// tooManyFiles returns the diagnosis when the process can open no further file.
func tooManyFiles(what string) *diagnosis {
	return &diagnosis{fault: leak, where: "limit", what: what + " (unless the program has opened as many files elsewhere, each pair leaves some)"}
}

// descriptors returns what the process has open, where the system tells. It needs a descriptor itself, and returns an
// error if there is none left.
func descriptors() (map[string]bool, error) {
	const dir = "/dev/fd"
	open := map[string]bool{}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, syscall.EMFILE) {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		switch file, err := os.Readlink(dir + "/" + name); {
		case errors.Is(err, fs.ErrNotExist):
			continue // it was the directory's own
		case err == nil:
			name = file + " (" + name + ")"
		}
		open[name] = true
	}
	return open, nil
}
