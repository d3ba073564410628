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
	old, new string // old occurs once in the package
}

var mistakes = []mistake{
	{"everybody who was given is charged", "promise 2: an innocent call given up because of others", "if given == 1 {", "if given > 0 {"},
	{"nobody is charged", "promise 2: a guilty call ended too many workers", "c.charged++", "c.charged += 0"},
	{"suspects are not told from others", "promise 2", "c.leaves, c.suspect = 0, true", "c.leaves, c.suspect = 0, false"},
	{"a suspect goes to a worker that has calls", "promise 2", "len(w.calls) == 0 && w.reserved == 0", "w.suspect == nil"},
	{"no worker is emptied for a suspect", "promise 3: a suspect waits", "w.emptying = true", "w.emptying = false"},
	{"an orderly end is taken for a crash", "promise 2", "how = endedInOrder", "how = endedByItself"},
	{"orderly ends are not counted", "promise 2: begun by too many workers", "if c.leaves++; s.rules.attempts > 0", "if c.leaves += 0; s.rules.attempts > 0"},
	{"a call that was not begun is lost when its worker leaves", "promise 2: tries 1: lost", "(how != endedInOrder || c.begun || !w.said)", "true"},
	{"a call runs again though it has one try", "promise 2: tries 1: begun twice", "case s.tries == 1:", "case s.tries == 0:"},
	{"a call that has one try waits at a worker", "promise 2: tries 1: a call waits at a worker", "!w.said || s.tries == 1 || w.stuck", "!w.said || w.stuck"},
	{"a worker that says nothing gets a call in advance", "promise 3: waits at a worker", "!w.said || s.tries == 1 || w.stuck", "s.tries == 1 || w.stuck"},
	{"nothing is taken back", "promise 3: waits at a worker", "	s.takeBack()\n	s.hire()\n", "	s.hire()\n"},
	{"the lead never shrinks", "promise 3: too many calls in advance", "return int(min(max(time.Millisecond/max(p.mean, 1), 1), maxLead))", "return maxLead"},
	{"a handler that gets free gets nothing", "promise 3: waits at", "	s.progressed(w, ran)\n	s.dispatch()\n", "	s.progressed(w, ran)\n"},
	{"half of the handlers are used", "promise 3", "	w.said = true\n", "	w.said, n = true, (n+1)/2\n"},
	{"a handler stays reserved", "promise 3", "to.reserved--", "to.reserved -= 0"},
	{"a call that is taken back is answered as cancelled", "promise 1: wrong answer", "	s.detach(c)\n	if s.tries == 1 {", "	s.settle(c, nil, &CancelError{Cause: errTakenBack})\n	if c.settled {\n		return\n	}\n	if s.tries == 1 {"},
	{"regions take no turns", "promise 3: regions do not take turns", "	if l := b.lineOf(c); l.calls.len > 0 {", "	if l := b.lineOf(c); l.calls.len > 1000 {"},
	{"a turn that came to nothing counts", "promise 3: a turn comes to nothing", "		b.back.add(c)\n", "		c.turn = 0\n		b.lineOf(c).calls.append(&c.link)\n		b.queue(b.lineOf(c))\n"},
	{"a handler stays reserved for a call at a worker that does not answer", "promise 3", "if c.attempt == attempt {", "if c.attempt == 0 {"},
	{"a call is given back to a worker that still lets go of it", "promise 2: a worker that does well is ended", "		if w.rest[c.id] {", "		if len(w.rest) < 0 {"},
	{"a call that a free worker still lets go of is not taken back for another", "promise 3", "if to = s.roomElsewhere(c); to == nil || to.free() <= 0 {\n", "if to.rest[c.id] {\n"},
	{"a call that a worker has is not cancelled", "promise 4: returned late", "		s.order(c.slot, orderCancel, c)\n", ""},
	{"the run limit runs on when a worker is lost", "promise 1: wrong answer", "	h.clock.start(limit, func() {\n		s.decide(func(d *scheduler) {\n			if c := h.call; c.slot == s.slot && c.attempt == h.attempt && !c.returning {\n", "	new(runClock).start(limit, func() {\n		s.decide(func(d *scheduler) {\n			if c := h.call; !c.settled {\n"},
	{"a call that is being taken back is still limited", "promise 1: wrong answer", "c.attempt == h.attempt && !c.returning {", "c.attempt == h.attempt {"},
	{"a call may run twice as long", "promise 4: a handler runs too long", "h.clock.start(limit, ", "h.clock.start(2*limit, "},
	{"the run limit counts from sending", "promise 1: wrong answer", "	if !reports {\n", "	if reports = true; reports {\n"},
	{"nobody returns at once", "promise 4: does not return at once", "		case <-c.left:\n			return nil, &CancelError{Cause: c.cancel}\n", ""},
	{"a call that returned at once frees its handler", "promise 2: tries 1: a call waits at a worker", "			s.effects.left = append(s.effects.left, c)\n", "			s.effects.left = append(s.effects.left, c)\n			s.settle(c, nil, nil)\n"},
	{"a call that returned at once counts as what it came to", "promise 1: counted as something else", "	if c.abandoned {\n", "	if c.abandoned && err != nil {\n"},
	{"a call is refused though a worker has room", "promise 1: wrong answer", "s.backlog.len >= s.waiting && s.room() == nil:", "s.backlog.len >= s.waiting:"},
	{"one more call waits than may", "promise 1: too many calls wait", "s.backlog.len >= s.waiting && s.room() == nil:", "s.backlog.len > s.waiting && s.room() == nil:"},
	{"a call that was refused is not counted", "promise 1: counted as something else", "s.counts.Refused++", "s.counts.Refused += 0"},
	{"an answer is not counted", "promise 1: counters", "	s.counts.count(err)\n", ""},
	{"calls that wait are forgotten when there is no worker", "promise 1: no answer", "		s.backlog.remove(c)\n		s.settle(c, nil, s.noWorker(0))\n", "		s.backlog.remove(c)\n"},
	{"crashes for which a call is to blame delay other calls", "promise 3: answered late", "		case tried:\n", "		case tried && false:\n"},
	{"no worker is started for a call that waits at a busy one", "promise 3: no worker is started", "		waiting += s.excess\n", ""},
	{"no worker is started for a call that waits", "promise 3: no worker is started", "	waiting := s.backlog.len + refused\n", "	waiting := refused\n"},
	{"all idle workers leave", "promise 3: fewer workers than the least", "s.staff.posts-s.staff.unmanned > max(s.least, s.staff.awaited)", "s.staff.posts > 0"},
	{"a worker is dismissed before another one is ready", "promise 3: fewer workers than the least", "		s.retire(w, nil)\n", "		s.dismiss(w)\n"},
	{"what waits at a worker that is dismissed stays", "promise 3", "	s.close(w)\n	s.takeBackAll(w)\n	s.order(w, orderStop, nil)\n", "	s.close(w)\n	s.order(w, orderStop, nil)\n"},
	{"a worker that has ended counts for no attempt", "promise 5: two handlers have the same attempt", "		if mayHaveBegun {\n", "		if false {\n"},
	{"a worker is not asked for a sign of life", "promise", "case !s.polled && passed(s.heard, s.turns.silence):", "case false:"},
}

// TestMistakesInTheDriverAreFound makes each mistake and simulates the situations that operators know and 3,000 plans, always
// the same. One of them must fail.
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
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": m.replace(t)})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, text, 0o644))
	out, err := exec.Command("go", "test", "-overlay", overlay, "-vet=off", "-ldflags=-s -w", "-count=1", "-timeout=2m", "-failfast",
		"-rapid.checks=3000", "-rapid.seed=1", "-rapid.shrinktime=0s", "-rapid.nofailfile", "-sim.only="+m.finds,
		"-run=^(TestHostsKeepTheirPromises|TestPromisesAreKeptInSituationsThatOperatorsKnow)$", ".").CombinedOutput()
	return string(out), err
}

// replace makes the mistake, and returns which files of the package others stand for. Tests that simulate nothing are left
// out, so that less has to be compiled.
func (m mistake) replace(t *testing.T) map[string]string {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	by, occurs := map[string]string{}, 0
	for _, name := range files {
		file, err := filepath.Abs(name)
		require.NoError(t, err)
		if strings.HasSuffix(name, "_test.go") {
			if !strings.HasPrefix(name, "sim_") {
				by[file] = ""
			}
			continue
		}
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		if n := strings.Count(string(source), m.old); n > 0 {
			occurs += n
			by[file] = filepath.Join(t.TempDir(), name)
			require.NoError(t, os.WriteFile(by[file], []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o644))
		}
	}
	require.Equal(t, 1, occurs, "%q occurs once", m.old)
	return by
}
