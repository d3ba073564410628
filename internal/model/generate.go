package model

import (
	"math"
	"math/rand/v2"

	wc "github.com/workerchannel/workerchannel"
	"pgregory.net/rapid"
)

// Generators of values.
var (
	AnyNumber = rapid.OneOf(
		rapid.SampledFrom([]uint64{0, 1, 9, 10, 99, 100, 1<<32 - 1, 1 << 32, 1<<53 + 1, 1 << 63, math.MaxUint64/10 + 1, math.MaxUint64 - 1, math.MaxUint64}),
		rapid.Uint64(),
	)
	oddRunes    = []rune("\"\\/<>&{}[]:,\b\t\n\f\r\x00\x01\x1f \x7f\u0080\u2028\u2029\ufeff\ufffd\uffff\ud7ff\ue000\U00010000\U0001f600\U0010ffffau0")
	AnyText     = rapid.OneOf(rapid.StringOf(rapid.RuneFrom(oddRunes)), rapid.String())
	AnyDetail   = rapid.Ptr(AnyText, true)
	AnyJobState = rapid.Map(rapid.IntRange(int(wc.StateCreated), int(wc.StateFailed)), func(s int) wc.JobState { return wc.JobState(s) })
	anyLevel    = rapid.SampledFrom([]wc.Level{wc.LevelInfo, wc.LevelWarn, wc.LevelError})

	SmallPayload = rapid.SliceOfN(rapid.Byte(), 0, 40)
	AnyPayload   = rapid.OneOf(SmallPayload, rapid.Map(rapid.IntRange(41, 5000), RandomPayload))
)

// RandomPayload returns so many bytes: too many to draw one by one.
func RandomPayload(size int) []byte {
	r := rand.New(rand.NewPCG(uint64(size), 0))
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(r.Uint32())
	}
	return payload
}

// lastOp is the last of the operations.
var lastOp = func() (last wc.OpType) {
	for (last + 1).Sender() != 0 {
		last++
	}
	return last
}()

// DrawOp draws any of the operations.
func DrawOp(t *rapid.T, jobID *rapid.Generator[uint64], payload *rapid.Generator[[]byte]) wc.Op {
	job := func() uint64 { return jobID.Draw(t, "job id") }
	number := func(label string) uint64 { return AnyNumber.Draw(t, label) }
	text := func(label string) string { return AnyText.Draw(t, label) }
	switch op := wc.OpType(rapid.IntRange(1, int(lastOp)).Draw(t, "op")); op {
	case wc.OpBootstrapReady:
		return wc.BootstrapReady{WorkerID: text("worker id")}
	case wc.OpBootstrapFailed:
		return wc.BootstrapFailed{WorkerID: text("worker id"), Reason: text("reason")}
	case wc.OpSpawnJob:
		return wc.SpawnJob{JobID: job(), RegionID: number("region"), TaskID: number("task"), ObligationID: number("obligation"), Payload: payload.Draw(t, "payload")}
	case wc.OpPollStatus:
		return wc.PollStatus{JobID: job()}
	case wc.OpStatusSnapshot:
		return wc.StatusSnapshot{JobID: job(), State: AnyJobState.Draw(t, "state"), Detail: AnyDetail.Draw(t, "detail")}
	case wc.OpJobCompleted:
		return wc.JobCompleted{JobID: job(), Outcome: DrawOutcome(t, payload)}
	case wc.OpCancelJob:
		return wc.CancelJob{JobID: job(), Reason: text("reason")}
	case wc.OpCancelAcknowledged:
		return wc.CancelAcknowledged{JobID: job()}
	case wc.OpDrainJob:
		return wc.DrainJob{JobID: job()}
	case wc.OpDrainCompleted:
		return wc.DrainCompleted{JobID: job()}
	case wc.OpFinalizeJob:
		return wc.FinalizeJob{JobID: job()}
	case wc.OpFinalizeCompleted:
		return wc.FinalizeCompleted{JobID: job()}
	case wc.OpShutdownWorker:
		return wc.ShutdownWorker{Reason: text("reason")}
	case wc.OpShutdownCompleted:
		return wc.ShutdownCompleted{}
	case wc.OpDiagnostic:
		return wc.Diagnostic{Level: anyLevel.Draw(t, "level"), Category: text("category"), Message: text("message"), Metadata: AnyDetail.Draw(t, "metadata")}
	default:
		panic("DrawOp has no case for " + op.String())
	}
}

// DrawOutcome draws any of the four outcomes.
func DrawOutcome(t *rapid.T, payload *rapid.Generator[[]byte]) wc.Outcome {
	switch rapid.IntRange(1, 4).Draw(t, "outcome") {
	case 1:
		return wc.OutcomeOk{Payload: payload.Draw(t, "payload")}
	case 2:
		return wc.OutcomeErr{Code: AnyText.Draw(t, "code"), Message: AnyText.Draw(t, "message")}
	case 3:
		return wc.OutcomeCancelled{Reason: AnyText.Draw(t, "reason")}
	default:
		return wc.OutcomePanicked{Message: AnyText.Draw(t, "message")}
	}
}

// DrawEnvelope draws a valid envelope, sealed by the plain rule.
func DrawEnvelope(t *rapid.T, payload *rapid.Generator[[]byte]) wc.Envelope {
	env := wc.Envelope{
		Version: 1,
		Header: wc.Header{
			MessageID: AnyNumber.Draw(t, "message id"), SeqNo: AnyNumber.Draw(t, "seq no"), DecisionSeq: AnyNumber.Draw(t, "decision seq"),
			Seed: AnyNumber.Draw(t, "seed"), IssuedAtTurn: AnyNumber.Draw(t, "turn"),
		},
		Op: DrawOp(t, AnyNumber, payload),
	}
	switch op := env.Op.(type) {
	case wc.BootstrapReady:
		env.WorkerID = &op.WorkerID
	case wc.BootstrapFailed:
		env.WorkerID = &op.WorkerID
	default:
		if !FromCoordinator(op) {
			env.WorkerID = new(AnyText.Draw(t, "worker id"))
		}
	}
	return Seal(env)
}

// DrawDamage changes an envelope so that it may be valid no longer, though it can still be written.
func DrawDamage(t *rapid.T, env wc.Envelope) wc.Envelope {
	switch rapid.SampledFrom([]string{"digest", "version", "number", "worker id", "forged worker id", "no worker id", "forged no worker id"}).Draw(t, "damage") {
	case "digest":
		env.ReplayHash ^= 1 << rapid.IntRange(0, 63).Draw(t, "bit")
	case "version":
		env.Version = rapid.Uint32().Draw(t, "version")
	case "number":
		env.SeqNo = AnyNumber.Draw(t, "seq no")
	case "worker id":
		env.WorkerID = new(AnyText.Draw(t, "worker id"))
	case "forged worker id":
		env.WorkerID = new(AnyText.Draw(t, "worker id"))
		env = Seal(env)
	case "no worker id":
		env.WorkerID = nil
	case "forged no worker id":
		env.WorkerID = nil
		env = Seal(env)
	}
	return env
}

// Generators of few values, so that the same meet often.
var (
	FewJobIDs   = []uint64{0, 1, 2, 3, 4, math.MaxUint64}
	FewRegions  = []uint64{0, 1, math.MaxUint64}
	FewJobs     = rapid.SampledFrom(FewJobIDs)
	FewRegion   = rapid.SampledFrom(FewRegions)
	FewTexts    = rapid.SampledFrom([]string{"", "why", "\u2028\"", "ill-formed \xff"})
	FewPayloads = rapid.SampledFrom([][]byte{{}, {0, 9, 10, 99, 100, 255}})
	FewOutcomes = rapid.SampledFrom([]wc.Outcome{
		wc.OutcomeOk{Payload: []byte{}}, wc.OutcomeOk{Payload: []byte{1, 2}}, wc.OutcomeErr{Code: "code", Message: "message"},
		wc.OutcomeCancelled{Reason: "by itself"}, wc.OutcomePanicked{Message: "message"},
	})
	TooLarge = make([]byte, wc.MaxPayloadBytes+1)
)

// DrawLimits draws limits of few turns, so that requests become overdue together, or of none, or of too many.
func DrawLimits(t *rapid.T) wc.Limits {
	limit := rapid.SampledFrom([]uint64{0, 1, 1, 2, 2, 3, 4, math.MaxUint64 - 1, math.MaxUint64})
	draw := func(label string) uint64 { return limit.Draw(t, label) }
	if n := draw("all alike"); n > 1 {
		return wc.Limits{Boot: n, Cancel: n, Drain: n, Finalize: n, Poll: n, Shutdown: n}
	}
	return wc.Limits{Boot: draw("boot"), Cancel: draw("cancel"), Drain: draw("drain"), Finalize: draw("finalize"), Poll: draw("poll"), Shutdown: draw("shutdown")}
}

// DrawUnwritable draws an envelope that no peer can send.
func DrawUnwritable(t *rapid.T, sender *string, seq uint64) wc.Envelope {
	env := wc.Envelope{Version: uint32(rapid.IntRange(1, 2).Draw(t, "version")), Header: wc.Header{SeqNo: seq}, WorkerID: sender}
	if rapid.Bool().Draw(t, "ill-formed id") {
		env.WorkerID, env.Op = new("\xc0\x80"), wc.Diagnostic{}
		return env
	}
	if rapid.IntRange(0, 30).Draw(t, "too large") == 30 {
		env.Op = rapid.SampledFrom([]wc.Op{wc.SpawnJob{Payload: TooLarge}, wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{Payload: TooLarge}}}).Draw(t, "op")
		return Seal(env)
	}
	env.Op = rapid.SampledFrom([]wc.Op{
		nil, &wc.PollStatus{JobID: 1}, struct{ wc.PollStatus }{}, (*wc.Diagnostic)(nil),
		wc.JobCompleted{}, wc.JobCompleted{JobID: 1, Outcome: &wc.OutcomeOk{}}, wc.JobCompleted{JobID: 1, Outcome: struct{ wc.OutcomeOk }{}},
		wc.StatusSnapshot{State: 8}, wc.StatusSnapshot{State: 255}, wc.Diagnostic{Level: 3}, wc.Diagnostic{Level: 255},
		wc.StatusSnapshot{Detail: new("\xff")}, wc.Diagnostic{Category: "\xed\xa0\x80"}, wc.Diagnostic{Message: "\x80"},
		wc.Diagnostic{Metadata: new("\xe2\x82")},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeErr{Code: "\xff"}},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeErr{Message: "\xff"}},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeCancelled{Reason: "\xff"}},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomePanicked{Message: "\xff"}},
		wc.CancelJob{JobID: 1, Reason: "\xff"}, wc.ShutdownWorker{Reason: "\xff"}, wc.BootstrapReady{WorkerID: "\xff"},
		wc.BootstrapFailed{WorkerID: "\xff"}, wc.BootstrapFailed{Reason: "\xff"},
	}).Draw(t, "op")
	return env
}
