// Package journal records what happens to a coordinator and replays it. A journal has one session a
// line, as a JSON object:
//
//	{"seed":42,"first_decision_seq":1,"steps":[...]}
//
// A step has the call and its arguments, what was answered (error, wire, state or reaped), and in after
// what can be seen of the coordinator then. The conformance data in testdata/sessions.jsonl has this
// form, too, so that a session recorded by one implementation can be replayed by another.
package journal

import (
	"encoding/json"
	"errors"
	"io"

	wc "github.com/workerchannel/workerchannel"
)

// A Session is one line of a journal.
type Session struct {
	Seed             uint64 `json:"seed"`
	FirstDecisionSeq uint64 `json:"first_decision_seq"`
	Steps            []Step `json:"steps"`
}

// A Step is one call with its arguments, its answer and the state after it.
type Step map[string]any

// After is what can be seen of a coordinator.
type After struct {
	WorkerReady       bool  `json:"worker_ready"`
	ShutdownRequested bool  `json:"shutdown_requested"`
	Inflight          int   `json:"inflight"`
	Outbox            int   `json:"outbox"` // its length
	Jobs              []Job `json:"jobs"`   // by ascending id
}

// A Job is one tracked job.
type Job struct {
	JobID     uint64      `json:"job_id"`
	RegionID  uint64      `json:"region_id"`
	State     wc.JobState `json:"state"`
	LastSeqNo uint64      `json:"last_seq_no"`
}

// A Reaped is one job that Reap forgot.
type Reaped struct {
	JobID uint64      `json:"job_id"`
	State wc.JobState `json:"state"`
}

// Write writes the session as one line.
func (s *Session) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // for people who read the wire texts
	return e.Encode(s)
}

// A Recorder is a Coordinator that notes every call that can change it. Of the ways in, it knows
// Receive only.
type Recorder struct {
	*wc.Coordinator
	note func(Step)
}

// Record returns the coordinator with a note taken of each call from now on.
func Record(c *wc.Coordinator, note func(Step)) *Recorder { return &Recorder{c, note} }

// Receive is noted as handle_inbound, unless the text is no envelope: that never gets as far as the
// coordinator.
func (r *Recorder) Receive(data []byte) (wc.Envelope, error) {
	env, err := r.Coordinator.Receive(data)
	if !errors.Is(err, wc.ErrMalformed) {
		r.step("handle_inbound", Step{"wire": string(data), "error": Describe(err)})
	}
	return env, err
}

// SpawnJob is noted as spawn_job.
func (r *Recorder) SpawnJob(job wc.SpawnJob) error {
	err := r.Coordinator.SpawnJob(job)
	r.step("spawn_job", Step{
		"job_id": job.JobID, "region_id": job.RegionID, "task_id": job.TaskID, "obligation_id": job.ObligationID,
		"payload": numbers(job.Payload), "error": Describe(err),
	})
	return err
}

// CancelJob is noted as cancel_job.
func (r *Recorder) CancelJob(jobID uint64, reason string) error {
	err := r.Coordinator.CancelJob(jobID, reason)
	r.step("cancel_job", Step{"job_id": jobID, "reason": reason, "error": Describe(err)})
	return err
}

// PollStatus is noted as poll_status.
func (r *Recorder) PollStatus(jobID uint64) error {
	err := r.Coordinator.PollStatus(jobID)
	r.step("poll_status", Step{"job_id": jobID, "error": Describe(err)})
	return err
}

// RequestShutdown is noted as request_shutdown.
func (r *Recorder) RequestShutdown(reason string) error {
	err := r.Coordinator.RequestShutdown(reason)
	r.step("request_shutdown", Step{"reason": reason, "error": Describe(err)})
	return err
}

// WorkerLost is noted as worker_lost.
func (r *Recorder) WorkerLost() {
	r.Coordinator.WorkerLost()
	r.step("worker_lost", Step{})
}

// RemoveJob is noted as remove_job.
func (r *Recorder) RemoveJob(jobID uint64) (wc.JobState, error) {
	state, err := r.Coordinator.RemoveJob(jobID)
	s := Step{"job_id": jobID, "error": Describe(err)}
	if err == nil {
		s["state"] = state
	}
	r.step("remove_job", s)
	return state, err
}

// Reap is noted as reap.
func (r *Recorder) Reap() []wc.TrackedJob {
	jobs := r.Coordinator.Reap()
	reaped := []Reaped{}
	for _, j := range jobs {
		reaped = append(reaped, Reaped{j.JobID, j.State})
	}
	r.step("reap", Step{"reaped": reaped})
	return jobs
}

// AdvanceTurn is noted as advance_turn.
func (r *Recorder) AdvanceTurn() {
	r.Coordinator.AdvanceTurn()
	r.step("advance_turn", Step{})
}

// DrainOutbox is noted as drain_outbox.
func (r *Recorder) DrainOutbox() (wc.Envelope, bool) {
	env, ok := r.Coordinator.DrainOutbox()
	s := Step{"wire": nil}
	if ok {
		text, err := env.AppendJSON(nil)
		if s["wire"] = string(text); err != nil {
			s["wire"] = err.Error()
		}
	}
	r.step("drain_outbox", s)
	return env, ok
}

// Outbox notes a drain_outbox for each message, and one more for finding that there is none left.
func (r *Recorder) Outbox() func(yield func(wc.Envelope) bool) {
	return func(yield func(wc.Envelope) bool) {
		for env, ok := r.DrainOutbox(); ok && yield(env); env, ok = r.DrainOutbox() {
		}
	}
}

func (r *Recorder) step(call string, s Step) {
	after := After{
		WorkerReady:       r.WorkerReady(),
		ShutdownRequested: r.ShutdownRequested(),
		Inflight:          r.InflightCount(),
		Outbox:            r.OutboxLen(),
		Jobs:              []Job{},
	}
	for j := range r.Jobs() {
		after.Jobs = append(after.Jobs, Job(j))
	}
	s["call"], s["after"] = call, after
	r.note(s)
}

// numbers gives bytes the form of an array, where encoding/json would write base64.
func numbers(payload []byte) []int {
	n := make([]int, len(payload))
	for i, b := range payload {
		n[i] = int(b)
	}
	return n
}
