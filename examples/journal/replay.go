package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"reflect"
	"slices"

	wc "github.com/workerchannel/workerchannel"
)

// A Divergence is one result or one part of the state that differs from the journal.
type Divergence struct {
	Step        uint64 // counted from 0
	Call        string // the call of the step
	Field       string // such as "error" or "after.jobs[0].state"; "crc" if the line is not as it was written
	Wanted, Got string // JSON, shortened if long: what the journal has, and what replaying gave
}

// A capture is the sink of a recorder that replays: it keeps the line.
type capture struct{ line []byte }

func (c *capture) begin(head, *line) uint64 { return 0 }
func (c *capture) step(_ uint64, l *line)   { c.line = l.seal() }
func (c *capture) end(uint64, *line)        {}
func (c *capture) Err() error               { return nil }

// A replayer makes the steps of one session again.
type replayer struct {
	coordinator *Recorder
	worker      *WorkerRecorder
	to          *recording // of the one that is not nil
	made        capture
}

func newReplayer(h head, full bool) *replayer {
	p := new(replayer)
	to := recording{to: &p.made, full: full, at: never}
	if h.WorkerID != nil {
		p.worker = &WorkerRecorder{wc.NewWorker(*h.WorkerID, h.Seed), to}
		p.to = &p.worker.to
		return p
	}
	c := wc.NewCoordinator(h.Seed, wc.WithFirstDecisionSeq(*h.Setup.FirstDecisionSeq), wc.WithLimits(h.Setup.Limits))
	p.coordinator = &Recorder{c, to}
	p.to = &p.coordinator.to
	return p
}

// readHead reads what a session begins with.
func readHead(o *object) (h head) {
	h.Seed = o.number("seed")
	if _, ok := o.members["worker_id"]; ok {
		id := o.str("worker_id")
		h.WorkerID = &id
		return h
	}
	first := o.number("first_decision_seq")
	h.Setup = &Setup{FirstDecisionSeq: &first}
	if _, ok := o.members["limits"]; ok {
		h.Setup.Limits = wc.Limits(member[Limits](o, "limits"))
	}
	return h
}

// step makes the call of a recorded step and reports how it differs. A step that cannot be read leaves in.err.
func (p *replayer) step(in *object, text []byte, diverged func(field, wanted, got string)) *wc.Envelope {
	p.made.line = nil
	p.to.at = in.at // what replaying makes has the time of the step
	var env *wc.Envelope
	var results []string
	if p.worker != nil {
		env, results = makeCall(workerCalls, p.worker, in)
	} else {
		env, results = makeCall(coordinatorCalls, p.coordinator, in)
	}
	if in.err != nil || bytes.Equal(bytes.TrimSuffix(p.made.line, []byte("\n")), text) {
		return env
	}
	if p.made.line == nil { // such as a drain_outbox that gives nothing
		p.to.step(in.str("call"))
		p.finish()
	}
	c := comparison{in, func(field string, wanted, got any) {
		w, g := cut(show(wanted), show(got))
		diverged(field, w, g)
	}}
	got := plain(json.RawMessage(p.made.line)).(map[string]any)
	if !p.to.full {
		results = streamed(results, in, got)
	}
	for _, field := range results {
		c.whole(field, in.result(field), got[field])
	}
	if p.to.full {
		c.parts("after", in.result("after"), got["after"])
	} else {
		c.whole("after", in.result("after"), got["after"])
	}
	return env
}

func (p *replayer) finish() {
	if p.worker != nil {
		p.worker.finish()
	} else {
		p.coordinator.finish()
	}
}

// streamed returns the results that a line of a stream has in place of those of a whole session.
func streamed(results []string, in *object, got map[string]any) []string {
	if !slices.Contains(results, "wire") {
		return results
	}
	results = []string{"op", "job_id", "seq_no", "replay_hash"}
	if _, digested := in.members["digested"]; digested {
		results = results[:3]
	}
	if _, about := in.members["job_id"]; !about && got["job_id"] == nil {
		results = slices.Delete(slices.Clone(results), 1, 2)
	}
	return results
}

// makeCall makes the call of a step and returns its message and the names of its results.
func makeCall[R any](calls map[string]call[R], r R, in *object) (env *wc.Envelope, results []string) {
	name := in.str("call")
	call, known := calls[name]
	if !known {
		in.fail("call", fmt.Errorf("unknown name %s", show(name)))
		return nil, nil
	}
	return call.make(r, in), call.results
}

// checkSum returns whether a line has a checksum; if not, the right one for all of it; and if it is wrong, the wrong
// one and the right one.
func checkSum(text []byte) (has bool, wanted, got string) {
	const start, size = `,"crc":"`, len(`,"crc":"12345678"}`)
	at := len(text) - size
	if at < 0 || string(text[at:at+len(start)]) != start || string(text[len(text)-2:]) != `"}` {
		return false, "", fmt.Sprintf("%08x", crc32.Checksum(bytes.TrimSuffix(text, []byte("}")), castagnoli))
	}
	wanted = string(text[at+len(start) : len(text)-2])
	if sum := fmt.Appendf(nil, "%08x", crc32.Checksum(text[:at], castagnoli)); string(sum) != wanted {
		return true, wanted, string(sum)
	}
	return true, "", ""
}

// Replay makes the calls of a whole session, which is one line of a journal, on a new coordinator, or on a new
// worker if the session has a worker_id. It passes every divergence to diverged and returns the number of steps
// that it made. If the line cannot be read, the error says where and why. Unknown members are ignored, and limits
// that are missing are 0. For other journals see [Walker].
func Replay(line []byte, diverged func(Divergence)) (steps int, err error) {
	err = replayWhole(line, func(in *object, i int, _ *replayer, _ *wc.Envelope, d []Divergence) error {
		for _, d := range d {
			diverged(d)
		}
		steps = i + 1
		return nil
	})
	return steps, err
}

// replayWhole replays a whole session and calls visit for each step.
func replayWhole(line []byte, visit func(in *object, i int, p *replayer, env *wc.Envelope, d []Divergence) error) error {
	session, err := readObject(line)
	if err != nil {
		return err
	}
	h := readHead(session)
	recorded := member[[]json.RawMessage](session, "steps")
	if session.err != nil {
		return session.err
	}
	p := newReplayer(h, true)
	for i, data := range recorded {
		in, err := readObject(data)
		var d []Divergence
		var env *wc.Envelope
		if err == nil {
			env = p.step(in, data, func(field, wanted, got string) {
				d = append(d, Divergence{uint64(i), in.str("call"), field, wanted, got})
			})
			err = in.err
		}
		if err == nil || len(d) > 0 {
			if stop := visit(in, i, p, env, d); stop != nil {
				return stop
			}
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// A comparison compares a recorded step with the same step made again.
type comparison struct {
	in     *object
	report func(field string, wanted, got any)
}

func (c *comparison) whole(field string, wanted, got any) {
	if c.in.err == nil && !reflect.DeepEqual(wanted, got) {
		c.report(field, wanted, got)
	}
}

// parts compares objects member by member, and arrays of the same length element by element.
func (c *comparison) parts(field string, wanted, got any) {
	switch got := got.(type) {
	case map[string]any:
		if wanted, ok := wanted.(map[string]any); ok {
			for _, name := range slices.Sorted(maps.Keys(got)) {
				path := field + "." + name
				if v, ok := wanted[name]; ok {
					c.parts(path, v, got[name])
				} else {
					c.in.fail(path, errMissing)
				}
			}
			return
		}
	case []any:
		if wanted, ok := wanted.([]any); ok && len(wanted) == len(got) {
			for i := range got {
				c.parts(fmt.Sprintf("%s[%d]", field, i), wanted[i], got[i])
			}
			return
		}
	}
	c.whole(field, wanted, got)
}
