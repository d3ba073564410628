package modeltest

import (
	"bytes"
	"encoding/json"
	"iter"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
)

// A record keeps the steps of a session in the form of the conformance data (PROTOCOL section 12).
type record struct {
	steps []json.RawMessage
	after func() map[string]any // what there is to see
}

// saw keeps the step of a call that cannot fail, with its members as names and values.
func (r *record) saw(call string, members ...any) {
	r.steps = append(r.steps, object(append(append([]any{"call", call}, members...), "after", r.after())...))
}

// did is saw for a call that can fail.
func (r *record) did(err error, call string, members ...any) error {
	r.saw(call, append(members, "error", model.Describe(err))...)
	return err
}

// write writes the session as one line.
func (r *record) write(to *bytes.Buffer, members ...any) {
	to.Write(object(append(members, "steps", r.steps)...))
	to.WriteByte('\n')
}

// object returns a JSON object with the members in this order.
func object(members ...any) []byte {
	text := []byte{'{'}
	for i, m := range members {
		value, err := json.Marshal(m)
		if err != nil {
			panic(err)
		}
		if text = append(text, value...); i%2 == 0 {
			text = append(text, ':')
		} else if i < len(members)-1 {
			text = append(text, ',')
		}
	}
	return append(text, '}')
}

func limitsJSON(l wc.Limits) json.RawMessage {
	return object("boot", l.Boot, "cancel", l.Cancel, "drain", l.Drain, "finalize", l.Finalize, "poll", l.Poll, "shutdown", l.Shutdown)
}

// numbers returns a payload as it stands on the wire.
func numbers(payload []byte) []uint16 {
	list := make([]uint16, len(payload))
	for i, b := range payload {
		list[i] = uint16(b)
	}
	return list
}

// A sender is a half.
type sender interface {
	AppendNext(dst []byte) ([]byte, wc.Envelope, bool)
}

// outbox takes the messages, and looks once more.
func (r *record) outbox(from sender) iter.Seq[wc.Envelope] {
	return func(yield func(wc.Envelope) bool) {
		for more := true; more; {
			text, env, ok := from.AppendNext(nil)
			if ok {
				r.saw("drain_outbox", "wire", string(text))
			} else {
				r.saw("drain_outbox", "wire", nil)
			}
			more = ok && yield(env)
		}
	}
}

func (r *record) handled(env *wc.Envelope, err error) error {
	text, cannot := env.AppendJSON(nil)
	if cannot != nil {
		panic(cannot)
	}
	return r.did(err, "handle_inbound", "wire", string(text))
}

func newHostScript(limits wc.Limits) *hostScript {
	c := wc.NewCoordinator(7, wc.WithLimits(limits))
	return &hostScript{c, record{after: func() map[string]any { return hostAfter(c) }}, map[string]uint64{}}
}

func (s *hostScript) HandleInbound(env *wc.Envelope) error {
	return s.handled(env, s.Coordinator.HandleInbound(env))
}

func (s *hostScript) Outbox() iter.Seq[wc.Envelope] { return s.outbox(s.Coordinator) }

func (s *hostScript) SpawnJob(job wc.SpawnJob) error {
	return s.did(s.Coordinator.SpawnJob(job), "spawn_job", "job_id", job.JobID, "region_id", job.RegionID, "task_id", job.TaskID,
		"obligation_id", job.ObligationID, "payload", numbers(job.Payload))
}

func (s *hostScript) CancelJob(job uint64, reason string) error {
	return s.did(s.Coordinator.CancelJob(job, reason), "cancel_job", "job_id", job, "reason", reason)
}

func (s *hostScript) CancelRegion(region uint64, reason string) (int, error) {
	n, err := s.Coordinator.CancelRegion(region, reason)
	return n, s.cancelled("cancel_region", region, reason, n, err)
}

func (s *hostScript) CloseRegion(region uint64, reason string) (int, error) {
	n, err := s.Coordinator.CloseRegion(region, reason)
	return n, s.cancelled("close_region", region, reason, n, err)
}

func (s *hostScript) cancelled(call string, region uint64, reason string, n int, err error) error {
	members := []any{"region_id", region, "reason", reason}
	if err == nil {
		members = append(members, "cancelled", n)
	}
	return s.did(err, call, members...)
}

func (s *hostScript) PollStatus(job uint64) error {
	return s.did(s.Coordinator.PollStatus(job), "poll_status", "job_id", job)
}

func (s *hostScript) RequestShutdown(reason string) error {
	return s.did(s.Coordinator.RequestShutdown(reason), "request_shutdown", "reason", reason)
}

func (s *hostScript) ShutdownWhenIdle(reason string) error {
	return s.did(s.Coordinator.ShutdownWhenIdle(reason), "shutdown_when_idle", "reason", reason)
}

func (s *hostScript) Reap() { s.saw("reap", "reaped", journalJobs(s.Coordinator.Reap())) }

func (s *hostScript) ExpectWorker() {
	s.Coordinator.ExpectWorker()
	s.saw("expect_worker")
}

func (s *hostScript) WorkerLost() {
	s.Coordinator.WorkerLost()
	s.saw("worker_lost")
}

func (s *hostScript) AdvanceTurn() {
	s.Coordinator.AdvanceTurn()
	s.saw("advance_turn")
}

func (s *hostScript) RetireWorker(id string) {
	s.Coordinator.RetireWorker(id)
	s.saw("retire_worker", "worker_id", id)
}

func newWorkerScript() *workerScript {
	w := wc.NewWorker("w", 7)
	return &workerScript{w, record{after: func() map[string]any { return workerAfter(w) }}, 0}
}

func (s *workerScript) HandleInbound(env *wc.Envelope) error {
	return s.handled(env, s.Worker.HandleInbound(env))
}

func (s *workerScript) Outbox() iter.Seq[wc.Envelope] { return s.outbox(s.Worker) }

func (s *workerScript) Announce() error { return s.did(s.Worker.Announce(), "announce") }

func (s *workerScript) Fail(reason string) error {
	return s.did(s.Worker.Fail(reason), "fail", "reason", reason)
}

func (s *workerScript) Start(job uint64) error {
	return s.did(s.Worker.Start(job), "start", "job_id", job)
}

func (s *workerScript) Report(job uint64, detail string) error {
	return s.did(s.Worker.Report(job, detail), "report", "job_id", job, "detail", detail)
}

func (s *workerScript) Complete(job uint64, o wc.OutcomeOk) error {
	outcome := json.RawMessage(object("status", "Ok", "payload", numbers(o.Payload)))
	return s.did(s.Worker.Complete(job, o), "complete", "job_id", job, "outcome", outcome)
}

func (s *workerScript) AcknowledgeCancel(job uint64) error {
	return s.did(s.Worker.AcknowledgeCancel(job), "acknowledge_cancel", "job_id", job)
}

func (s *workerScript) CompleteDrain(job uint64) error {
	return s.did(s.Worker.CompleteDrain(job), "complete_drain", "job_id", job)
}

func (s *workerScript) CompleteFinalize(job uint64) error {
	return s.did(s.Worker.CompleteFinalize(job), "complete_finalize", "job_id", job)
}

func (s *workerScript) CompleteShutdown() error {
	return s.did(s.Worker.CompleteShutdown(), "complete_shutdown")
}
