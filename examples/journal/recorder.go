package journal

import (
	"iter"
	"unicode/utf8"

	wc "github.com/workerchannel/workerchannel"
)

// A Setup is what a coordinator was made with and does not tell by itself.
type Setup struct {
	FirstDecisionSeq *uint64   // what was given to WithFirstDecisionSeq; nil without it
	Limits           wc.Limits // what was given to WithLimits
}

// A Recorder is a Coordinator that records every call that can change it. The methods that change nothing are those
// of the Coordinator. A call that is refused with ErrInvalidValue is not recorded, because JSON cannot hold its
// arguments; it has changed nothing.
//
// A journal that cannot be written never disturbs the session: the calls go on, and Err says what is wrong.
type Recorder struct {
	*wc.Coordinator
	to *session
}

// Record returns the coordinator with each call from now on written to the journal, as a session of its own. The
// coordinator must be new: a session is replayed from its first call. It is still used by one goroutine at a
// time, but recorders of the same Writer may be used by several.
func (w *Writer) Record(c *wc.Coordinator, s Setup) *Recorder {
	r := &Recorder{Coordinator: c}
	r.to = w.begin(head{seed: c.Seed(), setup: &s}, r.state)
	return r
}

// Close ends the session in the journal and returns Err. Calls after it still work and are not recorded.
func (r *Recorder) Close() error { return r.End(Ending{}) }

// End is Close for a session of which it is known how it ended.
func (r *Recorder) End(e Ending) error { return r.to.end(e) }

// Err returns a *WriteError if a step could not be written. Nothing has been recorded from there on.
func (r *Recorder) Err() error { return r.to.w.Err() }

// Receive is recorded as handle_inbound. A message that cannot be read does not reach the coordinator; it is
// recorded as unreadable, with its first bytes.
func (r *Recorder) Receive(data []byte) (wc.Envelope, error) {
	env, err := r.Coordinator.Receive(data)
	r.to.received(data, func() wc.Envelope { return env }, err)
	return env, err
}

// HandleInbound is recorded as handle_inbound, with the canonical text of the message.
func (r *Recorder) HandleInbound(env *wc.Envelope) error {
	err := r.Coordinator.HandleInbound(env)
	r.to.handled(env, err)
	return err
}

// HandleVerified is recorded as handle_inbound, with the canonical text of the message.
func (r *Recorder) HandleVerified(v wc.Verified) error {
	err := r.Coordinator.HandleVerified(v)
	env := v.Envelope()
	r.to.handled(&env, err)
	return err
}

// HandleText is HandleVerified for a caller that still has the text of the message, which is recorded as it came. That
// takes less time.
func (r *Recorder) HandleText(v wc.Verified, text []byte) error {
	err := r.Coordinator.HandleVerified(v)
	r.to.received(text, v.Envelope, err)
	return err
}

// Refuse records, as refuse, a message that arrived and was not given to the coordinator, because the program refused
// it for a reason of its own. Replaying passes over it.
func (r *Recorder) Refuse(env *wc.Envelope, reason string) { r.to.refused(env, reason) }

// SpawnJob is recorded as spawn_job.
func (r *Recorder) SpawnJob(job wc.SpawnJob) error { return r.SpawnTagged(job, nil) }

// SpawnTagged is recorded as spawn_job. The tag is not recorded.
func (r *Recorder) SpawnTagged(job wc.SpawnJob, tag any) error {
	return r.SpawnLabeled(job, tag, "")
}

// SpawnLabeled is SpawnTagged for a job that has a label, by which people find it in the journal. An empty label is
// none.
func (r *Recorder) SpawnLabeled(job wc.SpawnJob, tag any, label string) error {
	err := r.Coordinator.SpawnTagged(job, tag)
	if l := r.to.step("spawn_job"); l != nil {
		if label != "" {
			l.lossy(`,"label":`, label)
		}
		l.number(`,"job_id":`, job.JobID).number(`,"region_id":`, job.RegionID)
		l.number(`,"task_id":`, job.TaskID).number(`,"obligation_id":`, job.ObligationID)
		r.to.payload(job.Payload)
		r.to.result(err)
	}
	return err
}

// CancelJob is recorded as cancel_job.
func (r *Recorder) CancelJob(jobID uint64, reason string) error {
	err := r.Coordinator.CancelJob(jobID, reason)
	if l := r.to.call("cancel_job", err); l != nil {
		l.number(`,"job_id":`, jobID).text(`,"reason":`, reason)
		r.to.result(err)
	}
	return err
}

// CancelRegion is recorded as cancel_region.
func (r *Recorder) CancelRegion(regionID uint64, reason string) (int, error) {
	cancelled, err := r.Coordinator.CancelRegion(regionID, reason)
	r.region("cancel_region", regionID, reason, cancelled, err)
	return cancelled, err
}

// CloseRegion is recorded as close_region.
func (r *Recorder) CloseRegion(regionID uint64, reason string) (int, error) {
	cancelled, err := r.Coordinator.CloseRegion(regionID, reason)
	r.region("close_region", regionID, reason, cancelled, err)
	return cancelled, err
}

func (r *Recorder) region(call string, regionID uint64, reason string, cancelled int, err error) {
	if l := r.to.call(call, err); l != nil {
		l.number(`,"region_id":`, regionID).text(`,"reason":`, reason)
		if err == nil {
			l.number(`,"cancelled":`, uint64(cancelled))
		}
		r.to.result(err)
	}
}

// PollStatus is recorded as poll_status.
func (r *Recorder) PollStatus(jobID uint64) error {
	return r.to.about("poll_status", jobID, r.Coordinator.PollStatus(jobID))
}

// RequestShutdown is recorded as request_shutdown.
func (r *Recorder) RequestShutdown(reason string) error {
	return r.to.says("request_shutdown", `,"reason":`, reason, r.Coordinator.RequestShutdown(reason))
}

// ShutdownWhenIdle is recorded as shutdown_when_idle.
func (r *Recorder) ShutdownWhenIdle(reason string) error {
	return r.to.says("shutdown_when_idle", `,"reason":`, reason, r.Coordinator.ShutdownWhenIdle(reason))
}

// ExpectWorker is recorded as expect_worker.
func (r *Recorder) ExpectWorker() {
	r.Coordinator.ExpectWorker()
	r.to.plain("expect_worker")
}

// RetireWorker is recorded as retire_worker, unless the id is not well-formed UTF-8: such an id is ignored.
func (r *Recorder) RetireWorker(workerID string) {
	r.Coordinator.RetireWorker(workerID)
	if utf8.ValidString(workerID) {
		if l := r.to.step("retire_worker"); l != nil {
			l.text(`,"worker_id":`, workerID)
			r.to.finish()
		}
	}
}

// WorkerLost is recorded as worker_lost.
func (r *Recorder) WorkerLost() {
	r.Coordinator.WorkerLost()
	r.to.plain("worker_lost")
}

// RemoveJob is recorded as remove_job.
func (r *Recorder) RemoveJob(jobID uint64) (wc.JobState, error) {
	state, err := r.Coordinator.RemoveJob(jobID)
	if l := r.to.step("remove_job"); l != nil {
		l.number(`,"job_id":`, jobID)
		if err == nil {
			l.name(`,"state":`, nameOf(state))
		}
		r.to.result(err)
	}
	return state, err
}

// Reap is recorded as reap.
func (r *Recorder) Reap() []wc.TrackedJob {
	jobs := r.Coordinator.Reap()
	r.to.reaped(jobs)
	return jobs
}

// AdvanceTurn is recorded as advance_turn.
func (r *Recorder) AdvanceTurn() {
	r.Coordinator.AdvanceTurn()
	r.to.plain("advance_turn")
}

// DrainOutbox is recorded as drain_outbox.
func (r *Recorder) DrainOutbox() (wc.Envelope, bool) {
	env, ok := r.Coordinator.DrainOutbox()
	r.to.drained(&env, ok)
	return env, ok
}

// AppendNext is recorded as drain_outbox.
func (r *Recorder) AppendNext(dst []byte) (text []byte, env wc.Envelope, ok bool) {
	text, env, ok = r.Coordinator.AppendNext(dst)
	r.to.drained(&env, ok)
	return text, env, ok
}

// AppendBatch records a drain_outbox for each message. It takes one after the other if that may start clocks, since a step
// has the next deadline.
func (r *Recorder) AppendBatch(dst []byte, batch []wc.Outgoing, size int) (text []byte, n int) {
	if !r.to.mixed {
		text, n = r.Coordinator.AppendBatch(dst, batch, size)
		r.to.batch(batch[:n])
		return text, n
	}
	for text = dst; n < len(batch) && (n == 0 || len(text)-len(dst) < size); n++ {
		more, env, ok := r.AppendNext(text)
		if !ok {
			break
		}
		batch[n] = wc.Outgoing{Envelope: env, Text: more[len(text):len(more):len(more)]}
		text = more
	}
	return text, n
}

// Outbox records a drain_outbox for each message.
func (r *Recorder) Outbox() iter.Seq[wc.Envelope] { return outbox(r.DrainOutbox) }

func outbox(drain func() (wc.Envelope, bool)) iter.Seq[wc.Envelope] {
	return func(yield func(wc.Envelope) bool) {
		for env, ok := drain(); ok && yield(env); env, ok = drain() {
		}
	}
}

// state returns what a step tells of the state after it.
func (r *Recorder) state() after {
	state := "waiting"
	switch {
	case r.ShutdownRequested():
		state = "stopping"
	case r.Closing():
		state = "closing"
	case r.WorkerReady():
		state = "ready"
	}
	due, hasDue := r.NextDeadline()
	return after{r.Turn(), state, r.InflightCount(), r.OutboxLen(), due, hasDue}
}
