package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	wc "github.com/workerchannel/workerchannel"
)

// A line carries bytes between the host and one worker, in order, until it is cut.
type line struct {
	worker   string
	toWorker chan []byte
	toHost   chan []byte // closed by the worker when it is gone
	cut      func()      // cuts the line, as if the network failed or the worker's process was killed
	broken   chan struct{}
	late     chan []byte     // what the worker has sent on the broken line
	moving   *sync.WaitGroup // see story
}

func newLine(worker string, moving *sync.WaitGroup) line {
	broken := make(chan struct{})
	return line{
		worker:   worker,
		toWorker: make(chan []byte, 16),
		toHost:   make(chan []byte, 16),
		cut: sync.OnceFunc(func() {
			moving.Add(1)
			close(broken)
		}),
		broken: broken,
		late:   make(chan []byte, 16),
		moving: moving,
	}
}

// send puts a message on the line. On a broken line it comes late.
func (l *line) send(data []byte) {
	select {
	case <-l.broken:
		l.late <- data
	default:
		l.moving.Add(1)
		l.toHost <- data
	}
}

var errKilled = errors.New("killed")

// work is the worker's event loop. Here it runs in a goroutine; it could be another process. It takes any number of
// jobs; one that takes only some at a time says how many after it has announced itself, so that a host of
// examples/driver gives it no more (PROTOCOL.md, section 13).
func work(l line) {
	w := wc.NewWorker(l.worker, seed)
	err := w.Announce()
	for err != errKilled {
		if err != nil && !w.Closed() {
			_ = w.Diagnose(wc.Diagnostic{Level: wc.LevelError, Category: "worker", Message: err.Error()})
			_ = w.Fail(err.Error())
		}
		for data, _, ok := w.AppendNext(nil); ok; data, _, ok = w.AppendNext(nil) {
			l.send(data)
		}
		if w.Closed() {
			break
		}
		l.moving.Done()
		select {
		case data := <-l.toWorker:
			w.AdvanceTurn()
			var env wc.Envelope
			if env, err = w.Receive(data); err == nil {
				err = answer(w, env.Op, &l)
			}
		case <-l.broken:
			err = giveUp(w)
		}
	}
	l.moving.Add(1) // the end of the line reaches the host
	close(l.toHost)
	l.moving.Done()
}

// answer does what the host asks for. The Worker answers polls by itself.
func answer(w *wc.Worker, op wc.Op, l *line) error {
	switch op := op.(type) {
	case wc.SpawnJob:
		if err := w.Start(op.JobID); err != nil {
			return err
		}
		if outcome := do(string(op.Payload)); outcome != nil {
			return w.Complete(op.JobID, outcome)
		}
	case wc.CancelJob:
		if _, ok := w.Job(op.JobID); ok { // or it has ended while the request travelled
			return w.AcknowledgeCancel(op.JobID)
		}
	case wc.DrainJob:
		if j, _ := w.Job(op.JobID); j.TaskID == stuckTask {
			return hang(l)
		}
		return w.CompleteDrain(op.JobID)
	case wc.FinalizeJob:
		return w.CompleteFinalize(op.JobID)
	case wc.ShutdownWorker:
		return w.CompleteShutdown()
	}
	return nil
}

// stuckTask is the task of the job that never lets go.
const stuckTask = 8

// hang never returns, as far as the host can see: only killing the worker ends it.
func hang(l *line) error {
	l.moving.Done()
	<-l.broken
	return errKilled
}

// giveUp sends the last messages of a worker that has lost its host.
func giveUp(w *wc.Worker) error {
	for j := range w.Jobs() {
		if err := w.Complete(j.JobID, wc.OutcomeErr{Code: "lost", Message: "the host is gone"}); err != nil {
			return err
		}
	}
	return w.Fail("the host is gone")
}

// do does a task. It returns nil for a task that goes on until it is cancelled.
func do(task string) (outcome wc.Outcome) {
	defer func() {
		if cause := recover(); cause != nil {
			outcome = wc.OutcomePanicked{Message: fmt.Sprint(cause)}
		}
	}()
	var a, b int
	if !strings.HasPrefix(task, "divide ") {
		return nil
	}
	if _, err := fmt.Sscanf(task, "divide %d by %d", &a, &b); err != nil {
		return wc.OutcomeErr{Code: "bad_task", Message: err.Error()}
	}
	return wc.OutcomeOk{Payload: strconv.AppendInt(nil, int64(a/b), 10)}
}
