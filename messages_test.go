package workerchannel

// everyOp returns all operations, each with what its members can be.
func everyOp(worker string) []Op {
	return []Op{
		BootstrapReady{worker},
		BootstrapFailed{worker, ""},
		BootstrapFailed{worker, "no \"memory\"\n\\ \x00\x1f\x7f/<>&\u2028é€😀"},
		SpawnJob{1, 2, 3, 4, []byte{}},
		SpawnJob{1 << 63, 0, 1<<64 - 1, 10, []byte{0, 1, 9, 10, 99, 100, 255}},
		PollStatus{5},
		StatusSnapshot{6, StateCreated, nil},
		StatusSnapshot{6, StateQueued, new("")},
		StatusSnapshot{6, StateCancelRequested, new("half")},
		JobCompleted{7, OutcomeOk{[]byte{}}},
		JobCompleted{7, OutcomeOk{[]byte("result")}},
		JobCompleted{7, OutcomeErr{"code", "message"}},
		JobCompleted{7, OutcomeCancelled{"reason"}},
		JobCompleted{7, OutcomePanicked{"message"}},
		CancelJob{8, "reason"},
		CancelAcknowledged{9},
		DrainJob{10},
		DrainCompleted{11},
		FinalizeJob{12},
		FinalizeCompleted{13},
		ShutdownWorker{"reason"},
		ShutdownCompleted{},
		Diagnostic{LevelInfo, "category", "message", nil},
		Diagnostic{LevelWarn, "", "", new("")},
		Diagnostic{LevelError, "category", "message", new("metadata")},
	}
}

// everyEnvelope returns a valid envelope of every operation, with an empty worker id among them.
func everyEnvelope() (all []Envelope) {
	h := Header{1 << 63, 3, 4, 1<<64 - 1, 0}
	for _, worker := range []string{"w", "", "wörker \"7\""} {
		for _, op := range everyOp(worker) {
			if op.Type().Sender() == SenderWorker {
				all = append(all, NewWorkerEnvelope(worker, h, op))
			} else {
				all = append(all, NewEnvelope(h, op))
			}
		}
	}
	return all
}

// jsonOf returns the message's canonical JSON.
func jsonOf(env Envelope) string { return string(written(env)) }
