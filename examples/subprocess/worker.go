package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/workerchannel/workerchannel"
)

// A task does the work of a job. It may report its progress. It must return soon after the context ends.
type task func(ctx context.Context, payload []byte, report func(string)) ([]byte, error)

// instanceID returns a new id for every process; a process id alone would be used again.
func instanceID() string { return fmt.Sprintf("worker-%d-%s", os.Getpid(), rand.Text()) }

// A workerLoop is the worker's half of the program. One job runs at a time, in a goroutine of its own, so that the
// loop can receive a cancel in the meantime.
type workerLoop struct {
	w     *workerchannel.Worker
	do    task
	queue []workerchannel.SpawnJob

	running   bool
	jobID     uint64 // of the running job
	interrupt context.CancelFunc

	progress chan string // of the running job
	ended    chan workerchannel.Outcome
}

// serve announces a worker and runs its jobs until the host asks it to stop or is gone. It writes without a queue:
// the host always reads.
func serve(id string, in io.Reader, out io.Writer, do task) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l := &workerLoop{
		w:        workerchannel.NewWorker(id, 0),
		do:       do,
		progress: make(chan string),
		ended:    make(chan workerchannel.Outcome),
	}
	lines := make(chan []byte)
	inErr := make(chan error, 1)
	go func() {
		inErr <- readLines(in, func(line []byte) bool {
			select {
			case lines <- line:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()

	err := l.w.Announce()
	for {
		if err == nil {
			err = l.next(ctx)
		}
		if err != nil { // such as a refused message: tell the host and stop
			_ = l.w.Fail(clip(err.Error()))
		}
		var buf []byte
		for env := range l.w.Outbox() {
			buf, _ = appendLine(buf[:0], env) // the worker queues nothing that cannot be written
			if _, err := out.Write(buf); err != nil {
				return err
			}
		}
		if err != nil || l.w.Closed() {
			return err
		}
		select {
		case line := <-lines:
			err = l.receive(line)
		case err := <-inErr:
			return err // nil when the host is gone
		case detail := <-l.progress:
			err = l.report(detail)
		case outcome := <-l.ended:
			err = l.end(outcome)
		}
	}
}

// stopsLater is for the host's log.
var stopsLater = workerchannel.Diagnostic{Level: workerchannel.LevelInfo, Category: "shutdown", Message: "stops when its job has ended"}

// next begins the next job, or stops if the host has asked for that.
func (l *workerLoop) next(ctx context.Context) error {
	switch {
	case l.running:
		return nil
	case l.w.ShutdownRequested():
		return l.w.CompleteShutdown()
	case len(l.queue) == 0:
		return nil
	}
	job := l.queue[0]
	l.queue = l.queue[1:]
	if err := l.w.Start(job.JobID); err != nil {
		return err
	}
	jobCtx, interrupt := context.WithCancel(ctx)
	l.running, l.jobID, l.interrupt = true, job.JobID, interrupt
	go l.run(ctx, jobCtx, job.Payload)
	return nil
}

// run does the job. ctx is the context of the loop: when it has ended, nobody receives the outcome.
func (l *workerLoop) run(ctx, jobCtx context.Context, payload []byte) {
	outcome := l.outcome(jobCtx, payload, func(detail string) {
		select {
		case l.progress <- clip(detail):
		case <-ctx.Done():
		}
	})
	select {
	case l.ended <- outcome:
	case <-ctx.Done():
	}
}

func (l *workerLoop) outcome(ctx context.Context, payload []byte, report func(string)) (o workerchannel.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = workerchannel.OutcomePanicked{Message: clip(fmt.Sprint(p))}
		}
	}()
	answer, err := l.do(ctx, payload, report)
	switch {
	case err != nil:
		return workerchannel.OutcomeErr{Code: "failed", Message: clip(err.Error())}
	case len(answer) > workerchannel.MaxPayloadBytes:
		return workerchannel.OutcomeErr{Code: "too_large", Message: fmt.Sprintf("the result has %d bytes", len(answer))}
	}
	return workerchannel.OutcomeOk{Payload: answer}
}

// clip makes any string short and well-formed, so that it can be sent.
func clip(s string) string {
	const most = 16 << 10
	return strings.ToValidUTF8(s[:min(len(s), most)], "\uFFFD")
}

// receive does what a message of the host asks for.
func (l *workerLoop) receive(line []byte) error {
	env, err := l.w.Receive(line)
	if err != nil {
		return err
	}
	switch op := env.Op.(type) {
	case workerchannel.SpawnJob:
		l.queue = append(l.queue, op)
	case workerchannel.CancelJob:
		if state, _ := l.w.JobState(op.JobID); state != workerchannel.StateCancelRequested {
			return nil // it ended before the request arrived
		}
		if l.running && l.jobID == op.JobID {
			l.interrupt()
		} else {
			l.drop(op.JobID)
		}
		return l.w.AcknowledgeCancel(op.JobID)
	case workerchannel.DrainJob:
		if l.running && l.jobID == op.JobID {
			return nil // end answers when it has returned
		}
		return l.w.CompleteDrain(op.JobID)
	case workerchannel.FinalizeJob:
		return l.w.CompleteFinalize(op.JobID)
	case workerchannel.ShutdownWorker:
		if l.running {
			return l.w.Diagnose(stopsLater)
		}
	}
	return nil
}

func (l *workerLoop) drop(jobID uint64) {
	for i, job := range l.queue {
		if job.JobID == jobID {
			l.queue = append(l.queue[:i], l.queue[i+1:]...)
			return
		}
	}
}

// report sends the progress, unless the job has been cancelled in the meantime.
func (l *workerLoop) report(detail string) error {
	if state, _ := l.w.JobState(l.jobID); state != workerchannel.StateRunning {
		return nil
	}
	return l.w.Report(l.jobID, detail)
}

// end is called when the running job has returned. If its cancel has been acknowledged it has no outcome, and the
// DrainJob is answered now if it has arrived, otherwise when it arrives. A job that the Worker does not track any
// more was cancelled before a shutdown.
func (l *workerLoop) end(outcome workerchannel.Outcome) error {
	l.interrupt()
	l.running = false
	switch state, _ := l.w.JobState(l.jobID); state {
	case workerchannel.StateRunning:
		return l.w.Complete(l.jobID, outcome)
	case workerchannel.StateDraining:
		return l.w.CompleteDrain(l.jobID)
	}
	return nil
}
