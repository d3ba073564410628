// Package wiretest tests what is written and read: values, their canonical JSON, and whatever else may come.
package wiretest

import (
	wc "github.com/workerchannel/workerchannel"
)

// everyOp returns all operations, each with what its members can be.
func everyOp(worker string) []wc.Op {
	return []wc.Op{
		wc.BootstrapReady{WorkerID: worker},
		wc.BootstrapFailed{WorkerID: worker},
		wc.BootstrapFailed{WorkerID: worker, Reason: "no \"memory\"\n\\ \x00\x1f\x7f/<>&\u2028é€😀"},
		wc.SpawnJob{JobID: 1, RegionID: 2, TaskID: 3, ObligationID: 4, Payload: []byte{}},
		wc.SpawnJob{JobID: 1 << 63, TaskID: 1<<64 - 1, ObligationID: 10, Payload: []byte{0, 1, 9, 10, 99, 100, 255}},
		wc.PollStatus{JobID: 5},
		wc.StatusSnapshot{JobID: 6, State: wc.StateCreated},
		wc.StatusSnapshot{JobID: 6, State: wc.StateQueued, Detail: new("")},
		wc.StatusSnapshot{JobID: 6, State: wc.StateCancelRequested, Detail: new("half")},
		wc.JobCompleted{JobID: 7, Outcome: wc.OutcomeOk{Payload: []byte{}}},
		wc.JobCompleted{JobID: 7, Outcome: wc.OutcomeOk{Payload: []byte("result")}},
		wc.JobCompleted{JobID: 7, Outcome: wc.OutcomeErr{Code: "code", Message: "message"}},
		wc.JobCompleted{JobID: 7, Outcome: wc.OutcomeCancelled{Reason: "reason"}},
		wc.JobCompleted{JobID: 7, Outcome: wc.OutcomePanicked{Message: "message"}},
		wc.CancelJob{JobID: 8, Reason: "reason"},
		wc.CancelAcknowledged{JobID: 9},
		wc.DrainJob{JobID: 10},
		wc.DrainCompleted{JobID: 11},
		wc.FinalizeJob{JobID: 12},
		wc.FinalizeCompleted{JobID: 13},
		wc.ShutdownWorker{Reason: "reason"},
		wc.ShutdownCompleted{},
		wc.Diagnostic{Level: wc.LevelInfo, Category: "category", Message: "message"},
		wc.Diagnostic{Level: wc.LevelWarn, Metadata: new("")},
		wc.Diagnostic{Level: wc.LevelError, Category: "category", Message: "message", Metadata: new("metadata")},
	}
}

// everyEnvelope returns a valid envelope of every operation, with an empty worker id among them.
func everyEnvelope() (all []wc.Envelope) {
	h := wc.Header{MessageID: 1 << 63, SeqNo: 3, DecisionSeq: 4, Seed: 1<<64 - 1}
	for _, worker := range []string{"w", "", "wörker \"7\""} {
		for _, op := range everyOp(worker) {
			if op.Type().Sender() == wc.SenderWorker {
				all = append(all, wc.NewWorkerEnvelope(worker, h, op))
			} else {
				all = append(all, wc.NewEnvelope(h, op))
			}
		}
	}
	return all
}

// jsonOf returns the message's canonical JSON.
func jsonOf(env wc.Envelope) string {
	text, err := env.AppendJSON(nil)
	if err != nil {
		panic(err)
	}
	return string(text)
}
