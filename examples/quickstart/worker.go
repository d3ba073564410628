package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	wc "github.com/workerchannel/workerchannel"
)

// work is the worker's event loop. Here it runs in a goroutine; it could be another process. receive waits for the next
// message; it returns nil when the host is gone.
func work(id string, send func([]byte), receive func() []byte) {
	w := wc.NewWorker(id, seed)
	for err := w.Announce(); ; {
		if err != nil && !w.Closed() {
			_ = w.Fail(err.Error())
		}
		for data, _, ok := w.AppendNext(nil); ok; data, _, ok = w.AppendNext(nil) {
			send(data)
		}
		if w.Closed() {
			return
		}
		data := receive()
		w.AdvanceTurn()
		if data != nil {
			var env wc.Envelope
			if env, err = w.Receive(data); err == nil {
				err = answer(w, env.Op)
			}
			continue
		}
		err = errors.New("the host is gone")
		for j := range w.Jobs() {
			_ = w.Complete(j.JobID, wc.OutcomeErr{Code: "lost", Message: err.Error()})
		}
	}
}

const stuckJob = 8 // it never lets go

// answer does what the host asks for. The Worker answers polls by itself.
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
		if _, ok := w.Job(op.JobID); ok { // or it has ended while the request travelled
			return w.AcknowledgeCancel(op.JobID)
		}
	case wc.DrainJob:
		if op.JobID != stuckJob {
			return w.CompleteDrain(op.JobID)
		}
	case wc.FinalizeJob:
		return w.CompleteFinalize(op.JobID)
	case wc.ShutdownWorker:
		return w.CompleteShutdown()
	}
	return nil
}

// do does a task. It returns nil for a task that goes on until it is cancelled.
func do(task string) (outcome wc.Outcome) {
	defer func() {
		if cause := recover(); cause != nil {
			outcome = wc.OutcomePanicked{Message: fmt.Sprint(cause)}
		}
	}()
	var a, b int
	switch _, err := fmt.Sscanf(task, "divide %d by %d", &a, &b); {
	case strings.HasPrefix(task, "watch "), strings.HasPrefix(task, "hold "):
		return nil
	case err != nil:
		return wc.OutcomeErr{Code: "bad_task", Message: err.Error()}
	}
	return wc.OutcomeOk{Payload: strconv.AppendInt(nil, int64(a/b), 10)}
}
