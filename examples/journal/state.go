package journal

import wc "github.com/workerchannel/workerchannel"

// Limits are a coordinator's limits, in turns.
type Limits struct {
	Boot     uint64 `json:"boot"`
	Cancel   uint64 `json:"cancel"`
	Drain    uint64 `json:"drain"`
	Finalize uint64 `json:"finalize"`
	Poll     uint64 `json:"poll"`
	Shutdown uint64 `json:"shutdown"`
}

// After is the state of a coordinator, as far as it can be seen.
type After struct {
	WorkerReady       bool     `json:"worker_ready"`
	ShutdownRequested bool     `json:"shutdown_requested"`
	Closing           bool     `json:"closing"`
	ActiveWorker      *string  `json:"active_worker"`
	Inflight          int      `json:"inflight"`
	Outbox            int      `json:"outbox"` // the number of messages
	NextDeadline      *uint64  `json:"next_deadline"`
	Overdue           *Overdue `json:"overdue"`
	Regions           []Region `json:"regions"` // by ascending id
	Jobs              []Job    `json:"jobs"`    // by ascending id
}

// An Overdue is the request of a workerchannel.Overdue.
type Overdue struct {
	Request string  `json:"request"` // the name of the operation, or Bootstrap
	JobID   *uint64 `json:"job_id"`  // nil if it is about no job
	Since   uint64  `json:"since"`
}

// A Region is one region of a coordinator.
type Region struct {
	RegionID uint64 `json:"region_id"`
	Tracked  int    `json:"tracked"`
	Inflight int    `json:"inflight"`
	Closed   bool   `json:"closed"`
}

// A Job is one tracked job of a coordinator.
type Job struct {
	JobID        uint64       `json:"job_id"`
	RegionID     uint64       `json:"region_id"`
	TaskID       uint64       `json:"task_id"`
	ObligationID uint64       `json:"obligation_id"`
	State        wc.JobState  `json:"state"`
	Since        uint64       `json:"since"`
	LastSeqNo    uint64       `json:"last_seq_no"`
	Outcome      wc.Outcome   `json:"outcome"` // nil if there is none
	Cause        *wc.EndCause `json:"cause"`   // nil if the job has not ended
}

func newAfter(c *wc.Coordinator) After {
	after := After{
		WorkerReady:       c.WorkerReady(),
		ShutdownRequested: c.ShutdownRequested(),
		Closing:           c.Closing(),
		Inflight:          c.InflightCount(),
		Outbox:            c.OutboxLen(),
		Regions:           []Region{},
		Jobs:              []Job{},
	}
	if id, ok := c.ActiveWorker(); ok {
		after.ActiveWorker = &id
	}
	if turn, ok := c.NextDeadline(); ok {
		after.NextDeadline = &turn
	}
	if late, ok := c.Overdue(); ok {
		after.Overdue = newOverdue(late)
	}
	for r := range c.Regions() {
		after.Regions = append(after.Regions, Region(r))
	}
	for j := range c.Jobs() {
		after.Jobs = append(after.Jobs, newJob(j))
	}
	return after
}

func newOverdue(late wc.Overdue) *Overdue {
	o := &Overdue{Request: "Bootstrap", Since: late.Since}
	if late.Request != 0 {
		o.Request = late.Request.String()
	}
	if late.Request != 0 && late.Request != wc.OpShutdownWorker {
		o.JobID = &late.JobID
	}
	return o
}

func newJob(j wc.TrackedJob) Job {
	job := Job{
		JobID: j.JobID, RegionID: j.RegionID, TaskID: j.TaskID, ObligationID: j.ObligationID,
		State: j.State, Since: j.Since, LastSeqNo: j.LastSeqNo, Outcome: j.Outcome,
	}
	if j.Cause != wc.CauseNone {
		job.Cause = &j.Cause
	}
	return job
}

// WorkerAfter is the state of a worker, as far as it can be seen.
type WorkerAfter struct {
	Ready             bool        `json:"ready"`
	Closed            bool        `json:"closed"`
	ShutdownRequested bool        `json:"shutdown_requested"`
	Inflight          int         `json:"inflight"`
	Outbox            int         `json:"outbox"` // the number of messages
	Jobs              []WorkerJob `json:"jobs"`   // by ascending id
}

// A WorkerJob is one job of a worker.
type WorkerJob struct {
	JobID     uint64      `json:"job_id"`
	RegionID  uint64      `json:"region_id"`
	State     wc.JobState `json:"state"`
	LastSeqNo uint64      `json:"last_seq_no"`
}

func newWorkerAfter(w *wc.Worker) WorkerAfter {
	after := WorkerAfter{
		Ready:             w.Ready(),
		Closed:            w.Closed(),
		ShutdownRequested: w.ShutdownRequested(),
		Inflight:          w.InflightCount(),
		Outbox:            w.OutboxLen(),
		Jobs:              []WorkerJob{},
	}
	for j := range w.Jobs() {
		after.Jobs = append(after.Jobs, WorkerJob{j.JobID, j.RegionID, j.State, j.LastSeqNo})
	}
	return after
}
