package workerchannel

import (
	"math"
	"math/rand/v2"

	"pgregory.net/rapid"
)

// Generators of values, operations and envelopes.

var (
	anyNumber = rapid.OneOf(
		rapid.SampledFrom([]uint64{0, 1, 9, 10, 99, 100, 1<<32 - 1, 1 << 32, 1<<53 + 1, 1 << 63, math.MaxUint64/10 + 1, math.MaxUint64 - 1, math.MaxUint64}),
		rapid.Uint64(),
	)
	oddRunes    = []rune("\"\\/<>&{}[]:,\b\t\n\f\r\x00\x01\x1f \x7f\u0080\u2028\u2029\ufeff\ufffd\uffff\ud7ff\ue000\U00010000\U0001f600\U0010ffffau0")
	anyText     = rapid.OneOf(rapid.StringOf(rapid.RuneFrom(oddRunes)), rapid.String())
	anyDetail   = rapid.Ptr(anyText, true)
	anyJobState = rapid.Map(rapid.IntRange(int(StateCreated), int(StateFailed)), func(s int) JobState { return JobState(s) })
	anyLevel    = rapid.SampledFrom([]Level{LevelInfo, LevelWarn, LevelError})

	smallPayload = rapid.SliceOfN(rapid.Byte(), 0, 40)
	anyPayload   = rapid.OneOf(smallPayload, rapid.Map(rapid.IntRange(41, 5000), randomPayload))
)

// randomPayload returns so many bytes: too many to draw one by one.
func randomPayload(size int) []byte {
	r := rand.New(rand.NewPCG(uint64(size), 0))
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(r.Uint32())
	}
	return payload
}

// drawOp draws any of the 15 operations.
func drawOp(t *rapid.T, jobID *rapid.Generator[uint64], payload *rapid.Generator[[]byte]) Op {
	job := func() uint64 { return jobID.Draw(t, "job id") }
	number := func(label string) uint64 { return anyNumber.Draw(t, label) }
	text := func(label string) string { return anyText.Draw(t, label) }
	switch op := OpType(rapid.IntRange(1, 15).Draw(t, "op")); op {
	case OpBootstrapReady:
		return BootstrapReady{text("worker id")}
	case OpBootstrapFailed:
		return BootstrapFailed{text("worker id"), text("reason")}
	case OpSpawnJob:
		return SpawnJob{job(), number("region"), number("task"), number("obligation"), payload.Draw(t, "payload")}
	case OpPollStatus:
		return PollStatus{job()}
	case OpStatusSnapshot:
		return StatusSnapshot{job(), anyJobState.Draw(t, "state"), anyDetail.Draw(t, "detail")}
	case OpJobCompleted:
		return JobCompleted{job(), drawOutcome(t, payload)}
	case OpCancelJob:
		return CancelJob{job(), text("reason")}
	case OpCancelAcknowledged:
		return CancelAcknowledged{job()}
	case OpDrainJob:
		return DrainJob{job()}
	case OpDrainCompleted:
		return DrainCompleted{job()}
	case OpFinalizeJob:
		return FinalizeJob{job()}
	case OpFinalizeCompleted:
		return FinalizeCompleted{job()}
	case OpShutdownWorker:
		return ShutdownWorker{text("reason")}
	case OpShutdownCompleted:
		return ShutdownCompleted{}
	default:
		return Diagnostic{anyLevel.Draw(t, "level"), text("category"), text("message"), anyDetail.Draw(t, "metadata")}
	}
}

func drawOutcome(t *rapid.T, payload *rapid.Generator[[]byte]) Outcome {
	switch rapid.IntRange(1, 4).Draw(t, "outcome") {
	case 1:
		return OutcomeOk{payload.Draw(t, "payload")}
	case 2:
		return OutcomeErr{anyText.Draw(t, "code"), anyText.Draw(t, "message")}
	case 3:
		return OutcomeCancelled{anyText.Draw(t, "reason")}
	default:
		return OutcomePanicked{anyText.Draw(t, "message")}
	}
}

// drawEnvelope draws a valid envelope, sealed by the plain rule.
func drawEnvelope(t *rapid.T, payload *rapid.Generator[[]byte]) Envelope {
	env := Envelope{
		Version: 1,
		Header: Header{
			anyNumber.Draw(t, "message id"), anyNumber.Draw(t, "seq no"), anyNumber.Draw(t, "decision seq"),
			anyNumber.Draw(t, "seed"), anyNumber.Draw(t, "turn"),
		},
		Op: drawOp(t, anyNumber, payload),
	}
	switch op := env.Op.(type) {
	case BootstrapReady:
		env.WorkerID = &op.WorkerID
	case BootstrapFailed:
		env.WorkerID = &op.WorkerID
	default:
		if !fromCoordinator(op) {
			env.WorkerID = ptr(anyText.Draw(t, "worker id"))
		}
	}
	return plainSeal(env)
}

// drawDamage changes an envelope so that it may be valid no longer, though it can still be written.
func drawDamage(t *rapid.T, env Envelope) Envelope {
	switch rapid.SampledFrom([]string{"digest", "version", "number", "worker id", "forged worker id", "no worker id", "forged no worker id"}).Draw(t, "damage") {
	case "digest":
		env.ReplayHash ^= 1 << rapid.IntRange(0, 63).Draw(t, "bit")
	case "version":
		env.Version = rapid.Uint32().Draw(t, "version")
	case "number":
		env.SeqNo = anyNumber.Draw(t, "seq no")
	case "worker id":
		env.WorkerID = ptr(anyText.Draw(t, "worker id"))
	case "forged worker id":
		env.WorkerID = ptr(anyText.Draw(t, "worker id"))
		env = plainSeal(env)
	case "no worker id":
		env.WorkerID = nil
	case "forged no worker id":
		env.WorkerID = nil
		env = plainSeal(env)
	}
	return env
}

func ptr(s string) *string { return &s }

// Few ids, so that they meet often.
var (
	fewJobIDs   = []uint64{0, 1, 2, 3, 4, math.MaxUint64}
	fewRegions  = []uint64{0, 1, math.MaxUint64}
	fewJobs     = rapid.SampledFrom(fewJobIDs)
	fewRegion   = rapid.SampledFrom(fewRegions)
	fewTexts    = rapid.SampledFrom([]string{"", "why", "\u2028\"", "ill-formed \xff"})
	fewPayloads = rapid.SampledFrom([][]byte{{}, {0, 9, 10, 99, 100, 255}})
	fewOutcomes = rapid.SampledFrom([]Outcome{OutcomeOk{[]byte{}}, OutcomeOk{[]byte{1, 2}}, OutcomeErr{"code", "message"}, OutcomeCancelled{"by itself"}, OutcomePanicked{"message"}})
	tooLarge    = make([]byte, MaxPayloadBytes+1)
)

// drawLimits draws limits of few turns, so that requests become overdue together, or of none, or of too many.
func drawLimits(t *rapid.T) Limits {
	limit := rapid.SampledFrom([]uint64{0, 1, 1, 2, 2, 3, 4, math.MaxUint64 - 1, math.MaxUint64})
	draw := func(label string) uint64 { return limit.Draw(t, label) }
	if n := draw("all alike"); n > 1 {
		return Limits{n, n, n, n, n, n}
	}
	return Limits{draw("boot"), draw("cancel"), draw("drain"), draw("finalize"), draw("poll"), draw("shutdown")}
}

// drawUnwritable draws an envelope that no peer can send.
func drawUnwritable(t *rapid.T, sender *string, seq uint64) Envelope {
	env := Envelope{Version: uint32(rapid.IntRange(1, 2).Draw(t, "version")), Header: Header{SeqNo: seq}, WorkerID: sender}
	if rapid.Bool().Draw(t, "ill-formed id") {
		env.WorkerID, env.Op = ptr("\xc0\x80"), Diagnostic{}
		return env
	}
	if rapid.IntRange(0, 30).Draw(t, "too large") == 30 {
		env.Op = rapid.SampledFrom([]Op{SpawnJob{Payload: tooLarge}, JobCompleted{1, OutcomeOk{tooLarge}}}).Draw(t, "op")
		return plainSeal(env)
	}
	env.Op = rapid.SampledFrom([]Op{
		nil, &PollStatus{1}, struct{ PollStatus }{}, (*Diagnostic)(nil),
		JobCompleted{}, JobCompleted{1, &OutcomeOk{}}, JobCompleted{1, struct{ OutcomeOk }{}},
		StatusSnapshot{State: 8}, StatusSnapshot{State: 255}, Diagnostic{Level: 3}, Diagnostic{Level: 255},
		StatusSnapshot{Detail: ptr("\xff")}, Diagnostic{Category: "\xed\xa0\x80"}, Diagnostic{Message: "\x80"}, Diagnostic{Metadata: ptr("\xe2\x82")},
		JobCompleted{1, OutcomeErr{Code: "\xff"}}, JobCompleted{1, OutcomeErr{Message: "\xff"}}, JobCompleted{1, OutcomeCancelled{"\xff"}}, JobCompleted{1, OutcomePanicked{"\xff"}},
		CancelJob{1, "\xff"}, ShutdownWorker{"\xff"}, BootstrapReady{"\xff"}, BootstrapFailed{"\xff", ""}, BootstrapFailed{"", "\xff"},
	}).Draw(t, "op")
	return env
}
