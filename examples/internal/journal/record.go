// Package journal records the calls of a Coordinator or a Worker and replays
// them. A journal has one session a line, as a JSON object:
//
//	{"seed":42,"first_decision_seq":1,"limits":{"boot":0,...},"steps":[...]}
//	{"seed":42,"worker_id":"w-1","steps":[...]}
//
// A step has the call and its arguments, its result (error, wire, state, cancelled or reaped), and in after the
// state of the coordinator or the worker after the call, as far as it can be seen. The conformance data in
// testdata/sessions.jsonl and testdata/worker_sessions.jsonl has the same form (PROTOCOL section 12), so a session
// that one implementation has recorded can be replayed by another.
//
// [Record] and [RecordWorker] record, [Replay] replays. [Describe], [Kind] and [JobOf] are of use to other
// programs that print messages and errors.
package journal

import (
	"encoding/json"
	"errors"
	"io"
	"iter"
	"unicode/utf8"

	wc "github.com/workerchannel/workerchannel"
)

// A Session is the line of a journal that a coordinator's calls make.
type Session struct {
	Seed             uint64 `json:"seed"`
	FirstDecisionSeq uint64 `json:"first_decision_seq"`
	Limits           Limits `json:"limits"`
	Steps            []Step `json:"steps"`
}

// A Step is one call with its arguments, its result and the state after it.
type Step map[string]any

// Write writes the session as one line.
func (s *Session) Write(w io.Writer) error { return writeLine(w, s) }

// A WorkerSession is the line of a journal that a worker's calls make.
type WorkerSession struct {
	Seed     uint64 `json:"seed"`
	WorkerID string `json:"worker_id"`
	Steps    []Step `json:"steps"`
}

// Write writes the session as one line.
func (s *WorkerSession) Write(w io.Writer) error { return writeLine(w, s) }

func writeLine(w io.Writer, session any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // for people who read the messages in it
	return e.Encode(session)
}

// A Recorder is a Coordinator that records every call that can change it. Give messages to Receive only:
// HandleInbound and HandleVerified are not recorded. A call that is refused with ErrInvalidValue is not recorded
// either, because JSON cannot hold its arguments; it has changed nothing.
type Recorder struct {
	*wc.Coordinator
	note func(Step)
}

// Record returns the coordinator with each call from now on passed to note.
func Record(c *wc.Coordinator, note func(Step)) *Recorder { return &Recorder{c, note} }

// Receive is recorded as handle_inbound, unless data is malformed: such a message does not reach the coordinator.
func (r *Recorder) Receive(data []byte) (wc.Envelope, error) {
	env, err := r.Coordinator.Receive(data)
	if !errors.Is(err, wc.ErrMalformed) {
		_ = r.step("handle_inbound", err, Step{"wire": string(data)})
	}
	return env, err
}

// SpawnJob is recorded as spawn_job.
func (r *Recorder) SpawnJob(job wc.SpawnJob) error { return r.SpawnTagged(job, nil) }

// SpawnTagged is recorded as spawn_job. The tag is not recorded.
func (r *Recorder) SpawnTagged(job wc.SpawnJob, tag any) error {
	err := r.Coordinator.SpawnTagged(job, tag)
	return r.step("spawn_job", err, Step{
		"job_id": job.JobID, "region_id": job.RegionID, "task_id": job.TaskID, "obligation_id": job.ObligationID,
		"payload": numbers(job.Payload),
	})
}

// CancelJob is recorded as cancel_job.
func (r *Recorder) CancelJob(jobID uint64, reason string) error {
	return r.step("cancel_job", r.Coordinator.CancelJob(jobID, reason), Step{"job_id": jobID, "reason": reason})
}

// CancelRegion is recorded as cancel_region.
func (r *Recorder) CancelRegion(regionID uint64, reason string) (int, error) {
	return r.region("cancel_region", r.Coordinator.CancelRegion, regionID, reason)
}

// CloseRegion is recorded as close_region.
func (r *Recorder) CloseRegion(regionID uint64, reason string) (int, error) {
	return r.region("close_region", r.Coordinator.CloseRegion, regionID, reason)
}

func (r *Recorder) region(name string, call func(uint64, string) (int, error), regionID uint64, reason string) (int, error) {
	cancelled, err := call(regionID, reason)
	s := Step{"region_id": regionID, "reason": reason}
	if err == nil {
		s["cancelled"] = cancelled
	}
	return cancelled, r.step(name, err, s)
}

// PollStatus is recorded as poll_status.
func (r *Recorder) PollStatus(jobID uint64) error {
	return r.step("poll_status", r.Coordinator.PollStatus(jobID), Step{"job_id": jobID})
}

// RequestShutdown is recorded as request_shutdown.
func (r *Recorder) RequestShutdown(reason string) error {
	return r.step("request_shutdown", r.Coordinator.RequestShutdown(reason), Step{"reason": reason})
}

// ShutdownWhenIdle is recorded as shutdown_when_idle.
func (r *Recorder) ShutdownWhenIdle(reason string) error {
	return r.step("shutdown_when_idle", r.Coordinator.ShutdownWhenIdle(reason), Step{"reason": reason})
}

// ExpectWorker is recorded as expect_worker.
func (r *Recorder) ExpectWorker() {
	r.Coordinator.ExpectWorker()
	r.record("expect_worker", Step{})
}

// RetireWorker is recorded as retire_worker, unless the id is not well-formed UTF-8: such an id is ignored.
func (r *Recorder) RetireWorker(workerID string) {
	r.Coordinator.RetireWorker(workerID)
	if utf8.ValidString(workerID) {
		r.record("retire_worker", Step{"worker_id": workerID})
	}
}

// WorkerLost is recorded as worker_lost.
func (r *Recorder) WorkerLost() {
	r.Coordinator.WorkerLost()
	r.record("worker_lost", Step{})
}

// RemoveJob is recorded as remove_job.
func (r *Recorder) RemoveJob(jobID uint64) (wc.JobState, error) {
	state, err := r.Coordinator.RemoveJob(jobID)
	s := Step{"job_id": jobID}
	if err == nil {
		s["state"] = state
	}
	return state, r.step("remove_job", err, s)
}

// Reap is recorded as reap.
func (r *Recorder) Reap() []wc.TrackedJob {
	jobs := r.Coordinator.Reap()
	reaped := []Job{}
	for _, j := range jobs {
		reaped = append(reaped, newJob(j))
	}
	r.record("reap", Step{"reaped": reaped})
	return jobs
}

// AdvanceTurn is recorded as advance_turn.
func (r *Recorder) AdvanceTurn() {
	r.Coordinator.AdvanceTurn()
	r.record("advance_turn", Step{})
}

// DrainOutbox is recorded as drain_outbox.
func (r *Recorder) DrainOutbox() (wc.Envelope, bool) {
	env, ok := r.Coordinator.DrainOutbox()
	r.record("drain_outbox", drained(env, ok))
	return env, ok
}

func drained(env wc.Envelope, ok bool) Step {
	if !ok {
		return Step{"wire": nil}
	}
	data, err := env.AppendJSON(nil)
	if err != nil {
		return Step{"wire": err.Error()}
	}
	return Step{"wire": string(data)}
}

// Outbox records a drain_outbox for each message, and one more that finds none left.
func (r *Recorder) Outbox() iter.Seq[wc.Envelope] { return outbox(r.DrainOutbox) }

func outbox(drain func() (wc.Envelope, bool)) iter.Seq[wc.Envelope] {
	return func(yield func(wc.Envelope) bool) {
		for env, ok := drain(); ok && yield(env); env, ok = drain() {
		}
	}
}

func (r *Recorder) step(call string, err error, s Step) error {
	if !errors.Is(err, wc.ErrInvalidValue) {
		s["error"] = Describe(err)
		r.record(call, s)
	}
	return err
}

func (r *Recorder) record(call string, s Step) {
	s["call"], s["after"] = call, newAfter(r.Coordinator)
	r.note(s)
}

// numbers returns a payload as it stands on the wire; encoding/json would write a []byte as base64.
func numbers(payload []byte) []int {
	n := make([]int, len(payload))
	for i, b := range payload {
		n[i] = int(b)
	}
	return n
}
