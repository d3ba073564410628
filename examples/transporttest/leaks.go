package transporttest

import (
	"bufio"
	"bytes"
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

// checkLeaks opens and closes pairs in several ways. What the first pair leaves may be there for good, as a server that all
// use; what each of the following leaves is a leak.
func (r *run) checkLeaks() *diagnosis {
	fill := step{do: "fill", n: 4, size: 1000}
	ways := []plan{
		r.plan(playMessages, step{do: "send", n: 1, size: 20, padding: randomOnly}),
		{r.seed &^ 7, []step{fill}, playClose},
		{r.seed | 7, []step{{do: "fill", worker: true, n: 4, size: 1000}}, playClose},
		r.plan(playLeave, fill, step{do: "fill", worker: true, n: 4, size: 1000}),
	}
	for i, p := range ways {
		if i > 0 && r.timeUp() || r.tooLate() {
			return nil
		}
		if d := r.try(p); d != nil {
			return r.shrunk(p, d)
		}
		if d := r.leaks(p); d != nil {
			d.reproduce = fmt.Sprintf(r.reproduce, p.seed)
			return d
		}
	}
	return nil
}

// playLeave closes both ends, and nobody receives what is under way.
func playLeave(l *link, steps []step) {
	if l.jrpc2 {
		return
	}
	l.do(steps)
	l.closeAll(l.host, l.worker)
	if !l.wait(l.hangs, func() bool { return l.host.closes+l.worker.closes == 0 }) {
		l.failAt(hang, "Close", "Close had not returned after %v, though it had been called at both ends", l.timeout)
	}
}

// leaks plays a plan several times. The goroutines that stay are known to be the transport's. The file descriptors may be
// those of another test that runs at the same time, unless each pair leaves the same number, however many pairs there are.
func (r *run) leaks(p plan) (d *diagnosis) {
	perPair, wait := 0, r.timeout
	for _, pairs := range []int{3, 5, 4} {
		goroutines := r.goroutines()
		files, err := descriptors()
		if err != nil {
			return tooManyFiles(err.Error())
		}
		for range pairs {
			if r.tooLate() {
				return nil
			}
			if d := r.try(p); d != nil {
				return r.shrunk(p, d)
			}
		}
		left := 0
		d, left = r.staying(goroutines, files, pairs, wait)
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

// staying waits until there are fewer goroutines and descriptors than a leak for each pair would leave. Otherwise it returns
// how many descriptors there are.
func (r *run) staying(before []string, filesBefore map[string]bool, pairs int, limit time.Duration) (*diagnosis, int) {
	left, err := descriptors()
	maps.DeleteFunc(left, func(file string, _ bool) bool { return filesBefore[file] })
	for wait := time.Millisecond; ; wait *= 2 {
		after := r.goroutines()
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
		case len(after)-len(before) < pairs && len(left) < pairs:
			return nil, 0
		case wait < limit/2:
			time.Sleep(wait)
		case len(after)-len(before) >= pairs:
			return &diagnosis{fault: leak, where: "goroutine", what: fmt.Sprintf("%s, %d more goroutines are running than before, for example:\n%s",
				told, len(after)-len(before), added(before, after))}, 0
		default:
			return &diagnosis{fault: leak, where: "descriptor", what: fmt.Sprintf("%s, %d more file descriptors are open than before, for example %s",
				told, len(left), slices.Min(slices.Collect(maps.Keys(left))))}, len(left)
		}
	}
}

// goroutines returns the stacks of the run's goroutines, but for its own.
func (r *run) goroutines() (stacks []string) {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	for record := range strings.SplitSeq(profile.String(), "\n\n") {
		if !strings.Contains(record, fmt.Sprintf("%q:%q", labelKey, r.label)) || strings.Contains(record, "transporttest.(*run).goroutines") {
			continue
		}
		n := 1
		if i := strings.LastIndex(record, "\n# labels"); i > 0 {
			head := record[:i]
			_, _ = fmt.Sscanf(head[strings.LastIndexByte(head, '\n')+1:], "%d @", &n)
		}
		var b strings.Builder
		for lines := bufio.NewScanner(strings.NewReader(record)); lines.Scan(); {
			if f := strings.Fields(lines.Text()); len(f) >= 4 && f[0] == "#" && strings.HasPrefix(f[1], "0x") {
				fmt.Fprintf(&b, "      in %s (%s)\n", f[2], f[3][strings.LastIndexByte(f[3], '/')+1:])
			}
		}
		for range n {
			stacks = append(stacks, b.String())
		}
	}
	return stacks
}

// added returns a stack that there are more of after than before.
func added(before, after []string) string {
	n := map[string]int{}
	for _, s := range before {
		n[s]--
	}
	most := ""
	for _, s := range after {
		n[s]++
		if n[s] > n[most] {
			most = s
		}
	}
	return strings.TrimSuffix(most, "\n")
}

// tooManyFiles returns the diagnosis when the process can open no further file.
func tooManyFiles(what string) *diagnosis {
	return &diagnosis{fault: leak, where: "limit", what: what + " (unless the program has opened as many files elsewhere, each pair leaves some)"}
}

// descriptors returns what the process has open, where the system tells. It needs a descriptor itself, and returns an error
// if there is none left.
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
