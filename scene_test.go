package workerchannel

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/internal/optext"
)

// A scene plays a script to a coordinator and its workers, which are joined by ordered, lossless channels, and
// writes down what comes of each line. testdata/scenes/README.md describes the script; other tests use it to
// bring both halves into a situation.
type scene struct {
	t        testing.TB
	c        *Coordinator
	channels []*channel // of each worker; the host sends to the last one
	out      strings.Builder
	quiet    bool
	shown    map[string]string // the last value of each fact
	queued   map[string][]Envelope
}

// A channel joins a worker with the host.
type channel struct {
	w                *Worker
	toWorker, toHost [][]byte
}

// newScene returns a scene in which some lines have been played, none of which may fail.
func newScene(t testing.TB, lines ...string) *scene {
	s := &scene{t: t}
	s.begin()
	s.play(lines...)
	return s
}

// play plays lines that may not fail.
func (s *scene) play(lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		require.NoError(s.t, s.do(line), line)
	}
}

func (s *scene) begin(opts ...Option) {
	s.c, s.channels = NewCoordinator(42, opts...), nil
	s.queued = map[string][]Envelope{}
	s.showed()
}

// worker returns the latest worker.
func (s *scene) worker() *Worker { return s.channels[len(s.channels)-1].w }

func (s *scene) channel(name string) *channel {
	for _, ch := range s.channels {
		if ch.w.ID() == name {
			return ch
		}
	}
	panic("no worker " + name)
}

// do plays one line and returns the first error that came of it.
func (s *scene) do(line string) (err error) {
	words := optext.Words(line)
	switch words[0] {
	case "begin": // begin [with w] [limits Boot 2 ...]
		s.doBegin(words[1:])
	case "worker": // worker w
		s.channels = append(s.channels, &channel{w: NewWorker(words[1], 42)})
		s.shown[words[1]] = "starting"
	case "given": // given job 1 draining
		s.quietly(func() { err = s.given(words[2], words[3]) })
	case "send": // send host | send w
		s.take(words[1], s.channels[len(s.channels)-1])
	case "deliver": // deliver | deliver host to w | deliver w to host
		err = s.deliver(words[1:])
	case "forge": // forge w #7 ShutdownCompleted
		err = s.forge(words[1], optext.Number(words[2][1:]), words[3:])
	case "host":
		args := parseArguments(words[1], words[2:])
		call, ok := hostCalls[words[1]]
		if !ok {
			panic(line)
		}
		var result any
		for range max(1, args.times) {
			if result, err = call(s.c, args.arguments); err != nil {
				s.write("refused: %s", errorLine(err))
			}
		}
		s.writeResult(result)
	default:
		args := parseArguments(words[1], words[2:])
		call, ok := workerCalls[words[1]]
		if !ok {
			panic(line)
		}
		if err = call(s.channel(words[0]).w, args.arguments); err != nil {
			s.write("refused: %s", errorLine(err))
		}
	}
	s.report()
	return err
}

func (s *scene) doBegin(words []string) {
	with, limits, _ := strings.Cut(strings.Join(words, " "), "limits")
	l := Limits{}
	fields := strings.Fields(limits)
	for i := 0; i < len(fields); i += 2 {
		to := map[string]*uint64{
			"Boot": &l.Boot, "Cancel": &l.Cancel, "Drain": &l.Drain, "Finalize": &l.Finalize, "Poll": &l.Poll, "Shutdown": &l.Shutdown,
		}
		*to[fields[i]] = optext.Number(fields[i+1])
	}
	s.begin(WithLimits(l))
	if name, ok := strings.CutPrefix(with, "with "); ok {
		s.quietly(func() {
			name = strings.TrimSpace(name)
			for _, line := range []string{"worker " + name, name + " Announce", "deliver"} {
				_ = s.do(line)
			}
		})
		s.showed()
	}
}

// given brings a job of both halves into a phase; all messages on the way there are delivered. In the phases
// "acknowledged" and "drained" the worker has answered, and its answer has been sent but not delivered.
func (s *scene) given(job, phase string) error {
	w := s.worker().ID()
	type step struct {
		phase string
		lines []string
	}
	steps := []step{
		{"queued", []string{"host SpawnJob " + job, "deliver"}},
		{"running", []string{w + " Start " + job, "deliver"}},
		{"cancel_requested", []string{"host CancelJob " + job + ` "enough"`, "deliver"}},
		{"acknowledged", []string{w + " AcknowledgeCancel " + job, "send " + w}},
		{"draining", []string{"deliver"}},
		{"drained", []string{w + " CompleteDrain " + job, "send " + w}},
		{"finalizing", []string{"deliver"}},
	}
	if phase == "completed" {
		steps[2] = step{phase, []string{w + " Complete " + job + " Ok", "deliver"}}
	}
	for _, step := range steps {
		for _, line := range step.lines {
			if err := s.do(line); err != nil {
				return err
			}
		}
		if step.phase == phase {
			return nil
		}
	}
	panic("no phase " + phase)
}

func (s *scene) quietly(do func()) {
	was := s.quiet
	s.quiet = true
	do()
	s.quiet = was
}

// take moves everything from the outbox of one side to the channel.
func (s *scene) take(from string, ch *channel) {
	if from == "host" {
		for env := range s.c.Outbox() {
			s.write("host sends #%d %s", env.SeqNo, opLine(env.Op))
			ch.toWorker = append(ch.toWorker, written(env))
		}
		s.queued["host"] = nil
		return
	}
	ch = s.channel(from)
	for env := range ch.w.Outbox() {
		s.write("%s sends #%d %s", from, env.SeqNo, opLine(env.Op))
		ch.toHost = append(ch.toHost, written(env))
	}
	s.queued[from] = nil
}

// deliver hands over all messages in one direction; without one, in both until nothing is left to deliver to or
// from the latest worker.
func (s *scene) deliver(route []string) (first error) {
	if len(route) > 0 {
		from, to := route[0], route[2]
		s.quietly(func() { s.take(from, s.channels[len(s.channels)-1]) })
		if from == "host" {
			return s.arrive(s.channel(to).w, to, &s.channel(to).toWorker)
		}
		return s.arrive(s.c, "host", &s.channel(from).toHost)
	}
	ch := s.channels[len(s.channels)-1]
	for s.c.OutboxLen()+ch.w.OutboxLen()+len(ch.toWorker)+len(ch.toHost) > 0 {
		for _, route := range [][]string{{"host", "to", ch.w.ID()}, {ch.w.ID(), "to", "host"}} {
			if err := s.deliver(route); first == nil {
				first = err
			}
		}
	}
	return first
}

func (s *scene) arrive(at endpoint, name string, messages *[][]byte) (first error) {
	for len(*messages) > 0 {
		data := (*messages)[0]
		*messages = (*messages)[1:]
		env, err := at.Receive(data)
		s.write("%s gets #%d %s", name, env.SeqNo, opLine(env.Op))
		if err != nil {
			s.write("error: %s", errorLine(err))
			if first == nil {
				first = err
			}
		}
		s.report()
	}
	return first
}

// forge delivers a message that its sender would not have sent: of a worker to the host, or of the host to the
// latest worker.
func (s *scene) forge(from string, seqNo uint64, words []string) error {
	op := readOp(from, words)
	if from == "host" {
		w := s.worker()
		return s.arrive(w, w.ID(), &[][]byte{written(fromHost(seqNo, op))})
	}
	return s.arrive(s.c, "host", &[][]byte{written(fromWorker(from, seqNo, op))})
}

func (s *scene) write(format string, args ...any) {
	if !s.quiet {
		fmt.Fprintf(&s.out, "    "+format+"\n", args...)
	}
}

func (s *scene) writeResult(result any) {
	switch result := result.(type) {
	case int:
		s.write("cancelled: %d", result)
	case JobState:
		s.write("removed: %s", result)
	case []TrackedJob:
		s.write("reaped: %s", cmp.Or(jobLine(result), "none"))
	}
}

// report writes what has been queued and dropped, and the facts that have changed, since it was last called.
func (s *scene) report() {
	s.reportQueue("host", waiting(&s.c.out))
	for _, ch := range s.channels {
		s.reportQueue(ch.w.ID(), waiting(&ch.w.out))
	}
	if s.quiet { // they are written when the line ends
		return
	}
	for _, f := range s.facts() {
		if was := s.shown[f.name]; f.value != was {
			s.write("%s: %s", f.name, cmp.Or(f.value, "none"))
		}
	}
	s.showed()
}

// A fact is what there is to see of a side.
type fact struct{ name, value string }

func (s *scene) facts() []fact {
	due, overdue := "", ""
	if turn, ok := s.c.NextDeadline(); ok {
		due = fmt.Sprint("turn ", turn)
	}
	if late, ok := s.c.Overdue(); ok {
		overdue = strings.TrimPrefix(late.Error(), "workerchannel: worker is late: ")
	}
	facts := []fact{
		{"host", hostLine(s.c)}, {"host's jobs", jobLine(collect(s.c.Jobs()))}, {"host's regions", regionLine(s.c)},
		{"next deadline", due}, {"overdue", overdue},
	}
	for _, ch := range s.channels {
		facts = append(facts, fact{ch.w.ID(), workerLine(ch.w)}, fact{ch.w.ID() + "'s jobs", workerJobLine(ch.w)})
	}
	return facts
}

// showed remembers the facts, so that they are not written before they change.
func (s *scene) showed() {
	s.shown = map[string]string{}
	for _, f := range s.facts() {
		s.shown[f.name] = f.value
	}
}

func (s *scene) reportQueue(name string, now []Envelope) {
	was := s.queued[name]
	has := func(in []Envelope, seqNo uint64) bool {
		return slices.ContainsFunc(in, func(env Envelope) bool { return env.SeqNo == seqNo })
	}
	for _, env := range was {
		if !has(now, env.SeqNo) {
			s.write("%s drops #%d %s", name, env.SeqNo, opLine(env.Op))
		}
	}
	for _, env := range now {
		if !has(was, env.SeqNo) {
			s.write("%s queues #%d %s", name, env.SeqNo, opLine(env.Op))
		}
	}
	s.queued[name] = now
}

var update = flag.Bool("update", false, "rewrite testdata/scenes with what happens")

// TestScenes checks that each scene goes as it is written down. `go test -run TestScenes -update .` writes it
// down anew; read what has changed before you keep it.
func TestScenes(t *testing.T) {
	needClone(t)
	files, err := filepath.Glob("testdata/scenes/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			want := string(data)
			s := newScene(t)
			for line := range strings.Lines(want) {
				if strings.HasPrefix(line, "    ") {
					continue
				}
				s.out.WriteString(line)
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					_ = s.do(line) // the error is written down
				}
			}
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(s.out.String()), 0o644))
				return
			}
			assert.Equal(t, want, s.out.String())
		})
	}
}
