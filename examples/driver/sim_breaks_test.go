package driver_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var breaks = flag.Bool("sim.breaks", false, "break the driver in many ways, each of which the simulation must find")

// A mistake is one that could be made in the driver: a change of its source.
type mistake struct {
	what     string
	finds    string // what the simulation must say
	file     string
	old, new string // old occurs once
}

var mistakes = []mistake{
	{"everybody who was given is charged", "promise 2: an innocent call given up because of others", "leave.go", "if given == 1 {", "if given > 0 {"},
	{"nobody is charged", "promise 2: a guilty call ended too many workers", "leave.go", "c.charged++", "c.charged += 0"},
	{"suspects are not told from others", "promise 2", "leave.go", "c.leaves, c.suspect = 0, true", "c.leaves, c.suspect = 0, false"},
	{"a suspect goes to a worker that has calls", "promise 2", "slot.go", "len(w.calls) == 0 && w.reserved == 0", "w.suspect == nil"},
	{"no worker is emptied for a suspect", "promise 3: a suspect waits", "leave.go", "w.emptying = true", "w.emptying = false"},
	{"an orderly end is taken for a crash", "promise 2", "closing.go", "how = endedInOrder", "how = endedByItself"},
	{"orderly ends are not counted", "promise 2: begun by too many workers", "leave.go", "if c.leaves++; s.rules.attempts > 0", "if c.leaves += 0; s.rules.attempts > 0"},
	{"a call that was not begun is lost when its worker leaves", "promise 2: tries 1: lost", "leave.go", "(how != endedInOrder || c.begun || !w.said)", "true"},
	{"a call runs again though it has one try", "promise 2: tries 1: begun twice", "leave.go", "case s.tries == 1:", "case s.tries == 0:"},
	{"a call that has one try waits at a worker", "promise 2: tries 1: a call waits at a worker", "balance.go", "!w.said || s.tries == 1 || w.stuck", "!w.said || w.stuck"},
	{"nothing is taken back", "promise 3: waits at a worker", "scheduler.go", "	s.takeBack()\n}", "}"},
	{"the lead never shrinks", "promise 3: too many calls in advance", "balance.go", "return int(min(max(time.Millisecond/max(p.mean, 1), 1), maxLead))", "return maxLead"},
	{"a handler that gets free gets nothing", "promise 3: waits at", "scheduler.go", "	s.progressed(w, ran)\n	s.dispatch()\n", "	s.progressed(w, ran)\n"},
	{"half of the handlers are used", "promise 3", "scheduler.go", "	w.said = true\n", "	w.said, n = true, (n+1)/2\n"},
	{"a handler stays reserved", "promise 3", "balance.go", "to.reserved--", "to.reserved -= 0"},
	{"a call that is taken back is answered as cancelled", "promise 1: wrong answer", "balance.go", "	s.detach(c)\n	if s.tries == 1 {", "	s.settle(c, nil, &CancelError{Cause: errTakenBack})\n	if c.settled {\n		return\n	}\n	if s.tries == 1 {"},
	{"regions take no turns", "promise 3: regions do not take turns", "backlog.go", "	if l := b.lineOf(c); l.calls.len > 0 {", "	if l := b.lineOf(c); l.calls.len > 1000 {"},
	{"a turn that came to nothing counts", "promise 3: a turn comes to nothing", "backlog.go", "		b.back.add(c)\n", "		c.turn = 0\n		b.lineOf(c).calls.append(&c.link)\n		b.queue(b.lineOf(c))\n"},
	{"a handler stays reserved for a call at a worker that does not answer", "promise 3", "balance.go", "if c.attempt == attempt {", "if c.attempt == 0 {"},
	{"a call is given back to a worker that still lets go of it", "promise 2: a worker that does well is ended", "scheduler.go", "		if w.rest[c.id] {", "		if len(w.rest) < 0 {"},
	{"a call that a free worker still lets go of is not taken back for another", "promise 3", "balance.go", "if to = s.roomElsewhere(c); to == nil || to.free() <= 0 {\n", "if to.rest[c.id] {\n"},
	{"a call that a worker has is not cancelled", "promise 4: returned late", "scheduler.go", "		s.order(c.slot, orderCancel, c)\n", ""},
	{"an answer is not counted", "promise 1: counters", "scheduler.go", "	s.counts.count(err)\n", ""},
	{"calls that wait are forgotten when there is no worker", "promise 1: no answer", "leave.go", "		s.backlog.remove(c)\n		s.settle(c, nil, &NoWorkerError{s.attempts, why})\n", "		s.backlog.remove(c)\n"},
	{"a worker is not asked for a sign of life", "promise", "watch.go", "case !s.polled && passed(s.heard, s.turns.silence):", "case false:"},
}

// TestMistakesInTheDriverAreFound makes each mistake and simulates 3,000 plans, and the situations that operators know. One
// of them must fail.
func TestMistakesInTheDriverAreFound(t *testing.T) {
	if !*breaks {
		t.Skip("compiles the driver many times; run it with -sim.breaks")
	}
	for _, m := range mistakes {
		t.Run(strings.ReplaceAll(m.what, " ", "_"), func(t *testing.T) {
			t.Parallel()
			out, err := m.simulate(t)
			assert.Error(t, err)
			assert.Contains(t, out, m.finds, "%s", out[max(0, len(out)-2000):])
		})
	}
}

// simulate runs the simulation with the mistake, and returns what it prints.
func (m mistake) simulate(t *testing.T) (string, error) {
	text, err := os.ReadFile(m.file)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), m.old), "%s has %q once", m.file, m.old)
	dir := t.TempDir()
	changed := filepath.Join(dir, "changed.go")
	require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o644))
	file, err := filepath.Abs(m.file)
	require.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	require.NoError(t, err)
	replace := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(replace, overlay, 0o644))
	out, err := exec.Command("go", "test", "-overlay", replace, "-vet=off", "-count=1", "-timeout=2m", "-failfast", "-ldflags=-s -w", "-run=^(TestHostsKeepTheirPromises|TestPromisesAreKeptInSituationsThatOperatorsKnow)$",
		"-rapid.checks=3000", "-rapid.shrinktime=0s", "-rapid.nofailfile", "-sim.only="+m.finds, ".").CombinedOutput()
	return string(out), err
}
