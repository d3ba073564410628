// Package journal records what happens to a coordinator or a worker and replays it. A journal has one
// session a line, as a JSON object:
//
//	{"seed":42,"first_decision_seq":1,"limits":{"boot":0,...},"steps":[...]}
//	{"seed":42,"worker_id":"w-1","steps":[...]}
//
// A step has the call and its arguments, its result (error, wire, state, cancelled or reaped), and in after
// what can be seen of the coordinator or the worker then. The conformance data in testdata/sessions.jsonl and
// testdata/worker_sessions.jsonl has this form, too, so that a session recorded by one implementation can be
// replayed by another (PROTOCOL section 12).
package journal

import (
	"encoding/json"
	"errors"
	"io"

	wc "github.com/workerchannel/workerchannel"
)

// A Session is one line of a journal of a coordinator.
type Session struct {
	Seed             uint64 `json:"seed"`
	FirstDecisionSeq uint64 `json:"first_decision_seq"`
	Limits           Limits `json:"limits"`
	Steps            []Step `json:"steps"`
}

// A Step is one call with its arguments, its result and the state after it.
type Step map[string]any

// Write writes the session as one line.
func (s *Session) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // for people who read the wire texts
	return e.Encode(s)
}

// A Recorder is a Coordinator that records every call that can change it. Use only Receive of the three ways in.
type Recorder struct {
	*wc.Coordinator
	note func(Step)
}

// Record returns the coordinator with each call from now on passed to note.
func Record(c *wc.Coordinator, note func(Step)) *Recorder { return &Recorder{c, note} }

// Receive is recorded as handle_inbound, unless data is malformed: that never reaches the coordinator.
func (r *Recorder) Receive(data []byte) (wc.Envelope, error) {
	env, err := r.Coordinator.Receive(data)
	if !errors.Is(err, wc.ErrMalformed) {
		r.step("handle_inbound", Step{"wire": string(data), "error": Describe(err)})
	}
	return env, err
}

// SpawnJob is recorded as spawn_job.
func (r *Recorder) SpawnJob(job wc.SpawnJob) error { return r.SpawnTagged(job, nil) }

// SpawnTagged is recorded as spawn_job. The tag is not recorded.
func (r *Recorder) SpawnTagged(job wc.SpawnJob, tag any) error {
	err := r.Coordinator.SpawnTagged(job, tag)
	r.step("spawn_job", Step{
		"job_id": job.JobID, "region_id": job.RegionID, "task_id": job.TaskID, "obligation_id": job.ObligationID,
		"payload": numbers(job.Payload), "error": Describe(err),
	})
	return err
}

// CancelJob is recorded as cancel_job.
func (r *Recorder) CancelJob(jobID uint64, reason string) error {
	err := r.Coordinator.CancelJob(jobID, reason)
	r.step("cancel_job", Step{"job_id": jobID, "reason": reason, "error": Describe(err)})
	return err
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
	s := Step{"region_id": regionID, "reason": reason, "error": Describe(err)}
	if err == nil {
		s["cancelled"] = cancelled
	}
	r.step(name, s)
	return cancelled, err
}

// PollStatus is recorded as poll_status.
func (r *Recorder) PollStatus(jobID uint64) error {
	err := r.Coordinator.PollStatus(jobID)
	r.step("poll_status", Step{"job_id": jobID, "error": Describe(err)})
	return err
}

// RequestShutdown is recorded as request_shutdown.
func (r *Recorder) RequestShutdown(reason string) error {
	err := r.Coordinator.RequestShutdown(reason)
	r.step("request_shutdown", Step{"reason": reason, "error": Describe(err)})
	return err
}

// ShutdownWhenIdle is recorded as shutdown_when_idle.
func (r *Recorder) ShutdownWhenIdle(reason string) error {
	err := r.Coordinator.ShutdownWhenIdle(reason)
	r.step("shutdown_when_idle", Step{"reason": reason, "error": Describe(err)})
	return err
}

// ExpectWorker is recorded as expect_worker.
func (r *Recorder) ExpectWorker() {
	r.Coordinator.ExpectWorker()
	r.step("expect_worker", Step{})
}

// RetireWorker is recorded as retire_worker.
func (r *Recorder) RetireWorker(workerID string) {
	r.Coordinator.RetireWorker(workerID)
	r.step("retire_worker", Step{"worker_id": workerID})
}

// WorkerLost is recorded as worker_lost.
func (r *Recorder) WorkerLost() {
	r.Coordinator.WorkerLost()
	r.step("worker_lost", Step{})
}

// RemoveJob is recorded as remove_job.
func (r *Recorder) RemoveJob(jobID uint64) (wc.JobState, error) {
	state, err := r.Coordinator.RemoveJob(jobID)
	s := Step{"job_id": jobID, "error": Describe(err)}
	if err == nil {
		s["state"] = state
	}
	r.step("remove_job", s)
	return state, err
}

// Reap is recorded as reap.
func (r *Recorder) Reap() []wc.TrackedJob {
	jobs := r.Coordinator.Reap()
	reaped := []Job{}
	for _, j := range jobs {
		reaped = append(reaped, newJob(j))
	}
	r.step("reap", Step{"reaped": reaped})
	return jobs
}

// AdvanceTurn is recorded as advance_turn.
func (r *Recorder) AdvanceTurn() {
	r.Coordinator.AdvanceTurn()
	r.step("advance_turn", Step{})
}

// DrainOutbox is recorded as drain_outbox.
func (r *Recorder) DrainOutbox() (wc.Envelope, bool) {
	env, ok := r.Coordinator.DrainOutbox()
	r.step("drain_outbox", drained(env, ok))
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
func (r *Recorder) Outbox() func(yield func(wc.Envelope) bool) {
	return func(yield func(wc.Envelope) bool) {
		for env, ok := r.DrainOutbox(); ok && yield(env); env, ok = r.DrainOutbox() {
		}
	}
}

func (r *Recorder) step(call string, s Step) {
	s["call"], s["after"] = call, newAfter(r.Coordinator)
	r.note(s)
}

// numbers returns bytes as a JSON array; encoding/json would write base64.
func numbers(payload []byte) []int {
	n := make([]int, len(payload))
	for i, b := range payload {
		n[i] = int(b)
	}
	return n
}
