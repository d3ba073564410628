package driver

import (
	"iter"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// A coordinator is what a session calls: a workerchannel.Coordinator, or a journal.Recorder of one.
type coordinator interface {
	ExpectWorker()
	WorkerLost()
	AdvanceTurn()
	SpawnTagged(job workerchannel.SpawnJob, tag any) error
	CancelJob(jobID uint64, reason string) error
	PollStatus(jobID uint64) error
	ShutdownWhenIdle(reason string) error
	HandleVerified(v workerchannel.Verified) error
	Receive(data []byte) (workerchannel.Envelope, error)
	AppendBatch(dst []byte, batch []workerchannel.Outgoing, size int) (text []byte, n int)
	Reap() []workerchannel.TrackedJob

	Job(jobID uint64) (workerchannel.TrackedJob, bool)
	Jobs() iter.Seq[workerchannel.TrackedJob]
	InflightCount() int
	OutboxLen() int
	Turn() uint64
	NextDeadline() (turn uint64, ok bool)
	Overdue() (workerchannel.Overdue, bool)
	Requests() iter.Seq[workerchannel.Overdue]
}

// handle gives a message to a coordinator, with its text if it is recorded.
func handle(c coordinator, v workerchannel.Verified, text []byte) error {
	if r, ok := c.(*journal.Recorder); ok {
		return r.HandleText(v, text)
	}
	return c.HandleVerified(v)
}

// spawnLabeled gives a job to a coordinator, with its label if that is recorded.
func spawnLabeled(c coordinator, job workerchannel.SpawnJob, tag any, label string) error {
	if r, ok := c.(*journal.Recorder); ok {
		return r.SpawnLabeled(job, tag, label)
	}
	return c.SpawnTagged(job, tag)
}

// A refuser also records a message that a session or a server refuses by itself.
type refuser interface {
	Refuse(env *workerchannel.Envelope, reason string)
}

// A recordFunc returns a coordinator that records its calls, and what ends the record.
type recordFunc func(*workerchannel.Coordinator, workerchannel.Limits) (coordinator, func(journal.Ending))

func recordNothing(c *workerchannel.Coordinator, _ workerchannel.Limits) (coordinator, func(journal.Ending)) {
	return c, func(journal.Ending) {}
}

// A half is what a server calls: a workerchannel.Worker, or a journal.WorkerRecorder of one.
type half interface {
	Announce() error
	Fail(reason string) error
	Start(jobID uint64) error
	Report(jobID uint64, detail string) error
	Complete(jobID uint64, outcome workerchannel.Outcome) error
	AcknowledgeCancel(jobID uint64) error
	CompleteDrain(jobID uint64) error
	CompleteFinalize(jobID uint64) error
	Diagnose(d workerchannel.Diagnostic) error
	CompleteShutdown() error
	HandleVerified(v workerchannel.Verified) error
	Receive(data []byte) (workerchannel.Envelope, error)
	AppendBatch(dst []byte, batch []workerchannel.Outgoing, size int) (text []byte, n int)

	Job(jobID uint64) (workerchannel.TrackedJob, bool)
	JobState(jobID uint64) (workerchannel.JobState, bool)
	OutboxLen() int
	ShutdownRequested() bool
	Closed() bool
}

// refused records a message that is refused before it reaches a half, if that is recorded.
func refused(half any, env *workerchannel.Envelope, why error) error {
	if r, ok := half.(refuser); ok {
		r.Refuse(env, why.Error())
	}
	return why
}

// recordIn returns a function that records in a journal.
func recordIn(w *journal.Writer) recordFunc {
	return func(c *workerchannel.Coordinator, limits workerchannel.Limits) (coordinator, func(journal.Ending)) {
		r := w.Record(c, journal.Setup{Limits: limits})
		return r, func(e journal.Ending) { _ = r.End(e) } // the Writer has the error, too
	}
}
