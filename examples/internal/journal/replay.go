package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	wc "github.com/workerchannel/workerchannel"
)

// A Divergence is one thing that went another way than the journal says.
type Divergence struct {
	Step        int    // its index in steps
	Call        string // what was called
	Field       string // such as "error" or "after.jobs[0].state"
	Wanted, Got string // JSON texts, cut if long
}

// calls says for every call how to make it, and which members of its step are the answer. What a call
// returns is not lost here: the recorder notes it.
var calls = map[string]struct {
	make    func(*Recorder, *object)
	answers []string
}{
	"handle_inbound": {func(r *Recorder, in *object) {
		if _, err := r.Receive([]byte(in.text("wire"))); errors.Is(err, wc.ErrMalformed) {
			in.fail("wire", err)
		}
	}, []string{"error"}},
	"spawn_job": {func(r *Recorder, in *object) {
		r.SpawnJob(wc.SpawnJob{
			JobID: in.number("job_id"), RegionID: in.number("region_id"), TaskID: in.number("task_id"),
			ObligationID: in.number("obligation_id"), Payload: in.bytes("payload"),
		})
	}, []string{"error"}},
	"cancel_job":       {func(r *Recorder, in *object) { r.CancelJob(in.number("job_id"), in.text("reason")) }, []string{"error"}},
	"poll_status":      {func(r *Recorder, in *object) { r.PollStatus(in.number("job_id")) }, []string{"error"}},
	"request_shutdown": {func(r *Recorder, in *object) { r.RequestShutdown(in.text("reason")) }, []string{"error"}},
	"remove_job":       {func(r *Recorder, in *object) { r.RemoveJob(in.number("job_id")) }, []string{"error", "state"}},
	"reap":             {func(r *Recorder, _ *object) { r.Reap() }, []string{"reaped"}},
	"worker_lost":      {func(r *Recorder, _ *object) { r.WorkerLost() }, nil},
	"advance_turn":     {func(r *Recorder, _ *object) { r.AdvanceTurn() }, nil},
	"drain_outbox":     {func(r *Recorder, _ *object) { r.DrainOutbox() }, []string{"wire"}},
}

// Replay makes the calls of a session, one line of a journal, on a coordinator of its own. It hands
// over every divergence and returns how many steps were made. An error says where the line cannot be
// read, and why; members that no journal has are ignored.
func Replay(line []byte, diverged func(Divergence)) (steps int, err error) {
	session, err := readObject(line)
	if err != nil {
		return 0, err
	}
	seed, first := session.number("seed"), session.number("first_decision_seq")
	texts := member[[]json.RawMessage](session, "steps")
	if session.err != nil {
		return 0, session.err
	}
	r := Record(wc.NewCoordinator(seed, wc.WithFirstDecisionSeq(first)), nil)
	for i, text := range texts {
		err := r.replay(text, func(d Divergence) {
			d.Step = i
			diverged(d)
		})
		if err != nil {
			return i, fmt.Errorf("step %d: %w", i, err)
		}
	}
	return len(texts), nil
}

// replay makes the call of a step and compares.
func (r *Recorder) replay(text []byte, diverged func(Divergence)) error {
	in, err := readObject(text)
	if err != nil {
		return err
	}
	name := in.text("call")
	call, known := calls[name]
	if !known {
		in.fail("call", fmt.Errorf("%s is unknown", show(name)))
		return in.err
	}
	var noted Step
	r.note = func(s Step) { noted = s }
	call.make(r, in)
	if in.err != nil {
		return in.err
	}
	c := comparison{in, func(field string, wanted, got any) {
		w, g := cut(show(wanted), show(got))
		diverged(Divergence{Call: name, Field: field, Wanted: w, Got: g})
	}}
	c.step(call.answers, noted)
	return in.err
}

// A comparison reports what a step wants and has not got.
type comparison struct {
	in     *object
	report func(field string, wanted, got any)
}

func (c *comparison) step(answers []string, noted Step) {
	got := plain(noted).(map[string]any)
	for _, field := range answers {
		c.whole(field, c.in.answer(field), got[field])
	}
	c.parts("after", c.in.answer("after"), got["after"])
}

func (c *comparison) whole(field string, wanted, got any) {
	if c.in.err == nil && !reflect.DeepEqual(wanted, got) {
		c.report(field, wanted, got)
	}
}

// parts compares member by member and element by element as far as the two are alike in form.
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
