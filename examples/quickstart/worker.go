package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	wc "github.com/workerchannel/workerchannel"
)

// A line carries bytes between the host and one worker, until it breaks.
type line struct {
	worker   string
	toWorker chan []byte
	toHost   chan<- []byte
	broken   chan struct{}   // closed when it breaks
	late     chan []byte     // what the worker has sent on the broken line
	moving   *sync.WaitGroup // see story
}

// work is the worker's event loop. Here it runs in a goroutine; it could be another process.
func work(l line) {
	w := wc.NewWorker(l.worker, seed)
	err := w.Announce()
	for {
		if err != nil && !w.Closed() {
			w.Diagnose(wc.Diagnostic{Level: wc.LevelError, Category: "worker", Message: err.Error()})
		}
		for env := range w.Outbox() {
			l.send(env)
		}
		l.moving.Done()
		if w.Closed() {
			return
		}
		w.AdvanceTurn()
		select {
		case data := <-l.toWorker:
			var env wc.Envelope
			if env, err = w.Receive(data); err == nil {
				err = answer(w, env.Op)
			}
		case <-l.broken:
			err = giveUp(w)
		}
	}
}

// answer does what the host asks for. A poll needs no answer of ours.
func answer(w *wc.Worker, op wc.Op) error {
	switch op := op.(type) {
	case wc.SpawnJob:
		if err := w.Start(op.JobID); err != nil {
			return err
		}
		if outcome := do(string(op.Payload)); outcome != nil {
			return w.Complete(op.JobID, outcome)
		}
	case wc.CancelJob:
		if _, ok := w.Job(op.JobID); ok { // or it ended while the request travelled
			return w.AcknowledgeCancel(op.JobID)
		}
	case wc.DrainJob:
		return w.CompleteDrain(op.JobID)
	case wc.FinalizeJob:
		return w.CompleteFinalize(op.JobID)
	case wc.ShutdownWorker:
		if err := completeAll(w, wc.OutcomeOk{Payload: []byte("all quiet")}); err != nil {
			return err
		}
		return w.CompleteShutdown()
	}
	return nil
}

// giveUp says the last words of a worker that has lost its host.
func giveUp(w *wc.Worker) error {
	return errors.Join(
		completeAll(w, wc.OutcomeErr{Code: "lost", Message: "no host to watch for"}),
		w.Fail("no host to work for"),
	)
}

func completeAll(w *wc.Worker, outcome wc.Outcome) error {
	for j := range w.Jobs() {
		if err := w.Complete(j.JobID, outcome); err != nil {
			return err
		}
	}
	return nil
}

// do does a task. Its outcome is nil for one that goes on until somebody ends it.
func do(task string) (outcome wc.Outcome) {
	defer func() {
		if cause := recover(); cause != nil {
			outcome = wc.OutcomePanicked{Message: fmt.Sprint(cause)}
		}
	}()
	if strings.HasPrefix(task, "watch ") {
		return nil
	}
	var a, b int
	if _, err := fmt.Sscanf(task, "divide %d by %d", &a, &b); err != nil {
		return wc.OutcomeErr{Code: "bad_task", Message: err.Error()}
	}
	return wc.OutcomeOk{Payload: strconv.AppendInt(nil, int64(a/b), 10)}
}

// send puts a message on its way. On a broken line it is not lost but late.
func (l *line) send(env wc.Envelope) {
	data, err := env.AppendJSON(nil)
	if err != nil {
		return // the worker takes nothing that cannot be sent
	}
	select {
	case <-l.broken:
		l.late <- data
	default:
		l.moving.Add(1)
		l.toHost <- data
	}
}
