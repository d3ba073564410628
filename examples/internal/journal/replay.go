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

// A Divergence is one result or one part of the state that differs from the journal.
type Divergence struct {
	Step        int    // the index of the step
	Call        string // the call of the step
	Field       string // such as "error" or "after.jobs[0].state"
	Wanted, Got string // JSON, shortened if long
}

// A call says how to make one kind of call and which members of its step are the result. What the call returns
// is dropped here: the recorder has it.
type call[R any] struct {
	make    func(R, *object)
	results []string
}

var coordinatorCalls = map[string]call[*Recorder]{
	"handle_inbound": {func(r *Recorder, in *object) {
		if _, err := r.Receive([]byte(in.str("wire"))); errors.Is(err, wc.ErrMalformed) {
			in.fail("wire", err)
		}
	}, []string{"error"}},
	"spawn_job": {func(r *Recorder, in *object) {
		r.SpawnJob(wc.SpawnJob{
			JobID: in.number("job_id"), RegionID: in.number("region_id"), TaskID: in.number("task_id"),
			ObligationID: in.number("obligation_id"), Payload: in.bytes("payload"),
		})
	}, []string{"error"}},
	"cancel_job":         {func(r *Recorder, in *object) { r.CancelJob(in.number("job_id"), in.str("reason")) }, []string{"error"}},
	"cancel_region":      {func(r *Recorder, in *object) { r.CancelRegion(in.number("region_id"), in.str("reason")) }, []string{"error", "cancelled"}},
	"close_region":       {func(r *Recorder, in *object) { r.CloseRegion(in.number("region_id"), in.str("reason")) }, []string{"error", "cancelled"}},
	"poll_status":        {func(r *Recorder, in *object) { r.PollStatus(in.number("job_id")) }, []string{"error"}},
	"request_shutdown":   {func(r *Recorder, in *object) { r.RequestShutdown(in.str("reason")) }, []string{"error"}},
	"shutdown_when_idle": {func(r *Recorder, in *object) { r.ShutdownWhenIdle(in.str("reason")) }, []string{"error"}},
	"remove_job":         {func(r *Recorder, in *object) { r.RemoveJob(in.number("job_id")) }, []string{"error", "state"}},
	"reap":               {func(r *Recorder, _ *object) { r.Reap() }, []string{"reaped"}},
	"expect_worker":      {func(r *Recorder, _ *object) { r.ExpectWorker() }, nil},
	"worker_lost":        {func(r *Recorder, _ *object) { r.WorkerLost() }, nil},
	"retire_worker":      {func(r *Recorder, in *object) { r.RetireWorker(in.str("worker_id")) }, nil},
	"advance_turn":       {func(r *Recorder, _ *object) { r.AdvanceTurn() }, nil},
	"drain_outbox":       {func(r *Recorder, _ *object) { r.DrainOutbox() }, []string{"wire"}},
}

var workerCalls = map[string]call[*WorkerRecorder]{
	"handle_inbound": {func(r *WorkerRecorder, in *object) {
		if _, err := r.Receive([]byte(in.str("wire"))); errors.Is(err, wc.ErrMalformed) {
			in.fail("wire", err)
		}
	}, []string{"error"}},
	"announce":           {func(r *WorkerRecorder, _ *object) { r.Announce() }, []string{"error"}},
	"fail":               {func(r *WorkerRecorder, in *object) { r.Fail(in.str("reason")) }, []string{"error"}},
	"start":              {func(r *WorkerRecorder, in *object) { r.Start(in.number("job_id")) }, []string{"error"}},
	"report":             {func(r *WorkerRecorder, in *object) { r.Report(in.number("job_id"), in.str("detail")) }, []string{"error"}},
	"complete":           {func(r *WorkerRecorder, in *object) { r.Complete(in.number("job_id"), in.outcome("outcome")) }, []string{"error"}},
	"acknowledge_cancel": {func(r *WorkerRecorder, in *object) { r.AcknowledgeCancel(in.number("job_id")) }, []string{"error"}},
	"complete_drain":     {func(r *WorkerRecorder, in *object) { r.CompleteDrain(in.number("job_id")) }, []string{"error"}},
	"complete_finalize":  {func(r *WorkerRecorder, in *object) { r.CompleteFinalize(in.number("job_id")) }, []string{"error"}},
	"diagnose":           {func(r *WorkerRecorder, in *object) { r.Diagnose(in.diagnostic("diagnostic")) }, []string{"error"}},
	"complete_shutdown":  {func(r *WorkerRecorder, _ *object) { r.CompleteShutdown() }, []string{"error"}},
	"advance_turn":       {func(r *WorkerRecorder, _ *object) { r.AdvanceTurn() }, nil},
	"drain_outbox":       {func(r *WorkerRecorder, _ *object) { r.DrainOutbox() }, []string{"wire"}},
}

// Replay makes the calls of a session, which is one line of a journal, on a new coordinator, or on a new worker if
// the session has a worker_id. It passes every divergence to diverged and returns the number of steps that it
// made. If the line cannot be read, the error says where and why. Unknown members are ignored, and limits that are
// missing are 0.
func Replay(line []byte, diverged func(Divergence)) (steps int, err error) {
	session, err := readObject(line)
	if err != nil {
		return 0, err
	}
	seed, workerID, limits := session.number("seed"), "", wc.Limits{}
	_, isWorker := session.members["worker_id"]
	var first uint64
	if isWorker {
		workerID = session.str("worker_id")
	} else {
		first = session.number("first_decision_seq")
		if _, ok := session.members["limits"]; ok {
			limits = wc.Limits(member[Limits](session, "limits"))
		}
	}
	recorded := member[[]json.RawMessage](session, "steps")
	if session.err != nil {
		return 0, session.err
	}
	var noted Step
	note := func(s Step) { noted = s }
	var replay func(*object) []string
	if isWorker {
		r := RecordWorker(wc.NewWorker(workerID, seed), note)
		replay = func(in *object) []string { return makeCall(workerCalls, r, in) }
	} else {
		r := Record(wc.NewCoordinator(seed, wc.WithFirstDecisionSeq(first), wc.WithLimits(limits)), note)
		replay = func(in *object) []string { return makeCall(coordinatorCalls, r, in) }
	}
	for i, data := range recorded {
		in, err := readObject(data)
		if err == nil {
			results := replay(in)
			c := comparison{in, func(field string, wanted, got any) {
				w, g := cut(show(wanted), show(got))
				diverged(Divergence{Step: i, Call: in.str("call"), Field: field, Wanted: w, Got: g})
			}}
			if in.err == nil {
				c.step(results, noted)
			}
			err = in.err
		}
		if err != nil {
			return i, fmt.Errorf("step %d: %w", i, err)
		}
	}
	return len(recorded), nil
}

// makeCall makes the call of a step and returns the names of its results.
func makeCall[R any](calls map[string]call[R], r R, in *object) (results []string) {
	name := in.str("call")
	call, known := calls[name]
	if !known {
		in.fail("call", fmt.Errorf("unknown name %s", show(name)))
		return nil
	}
	call.make(r, in)
	return call.results
}

// A comparison compares a recorded step with the same step made again.
type comparison struct {
	in     *object
	report func(field string, wanted, got any)
}

func (c *comparison) step(results []string, noted Step) {
	got := plain(noted).(map[string]any)
	for _, field := range results {
		c.whole(field, c.in.result(field), got[field])
	}
	c.parts("after", c.in.result("after"), got["after"])
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
