package workerchannel

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

var oversized = make([]byte, MaxPayloadBytes+1)

const (
	illFormed    = "\xff"
	notUTF8      = "is not well-formed UTF-8"
	notOperation = "is not an operation as a plain value"
	notOutcome   = "is not an outcome as a plain value"
)

func invalid(field, cause string) error { return &ValueError{field, cause} }

func tooLargeError() error { return &PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes} }

func changed(env Envelope, change func(env *Envelope)) Envelope {
	change(&env)
	return env
}

// busyScene has a job in every state, each with the number of its state for an id. Its host is that of worker "w", whose
// predecessor "old" has ended; region 70 is closed; messages wait on both sides.
func busyScene(t testing.TB, more ...string) *scene {
	s := newScene(t, "begin with old", "given job 7 running", "worker w", "w Announce", "deliver")
	s.play("given job 1 queued", "given job 2 running", "given job 3 cancel_requested", "given job 4 draining",
		"given job 5 finalizing", "given job 6 completed", "host SpawnJob 10 region 70", `host CloseRegion 70 "end"`, "deliver",
		"host AdvanceTurn", "w AdvanceTurn", "host PollStatus 2", "w Report 2")
	s.play(more...)
	return s
}

// A refusedCall is a call of either half, or a message to it, that must leave both as they are.
type refusedCall struct {
	name  string
	want  error
	setup []string // more lines of a busyScene
	call  func(s *scene) error
}

func hostCall(name string, a arguments) func(*scene) error {
	return func(s *scene) error { _, err := hostCalls[name](s.c, a); return err }
}

func workerCall(name string, a arguments) func(*scene) error {
	return func(s *scene) error { return workerCalls[name](s.worker(), a) }
}

// refusedEnvelopes are those that section 5 refuses, whichever half they come to.
func refusedEnvelopes() map[string]struct {
	env  Envelope
	want error
} {
	type refused = struct {
		env  Envelope
		want error
	}
	good := fromWorker("w", 1000, Diagnostic{})
	return map[string]refused{
		"version": {changed(good, func(env *Envelope) { env.Version = 2 }),
			&MismatchError{ErrVersionMismatch, 1, 2}},
		"digest": {changed(good, func(env *Envelope) { env.ReplayHash++ }),
			&MismatchError{ErrReplayHashMismatch, good.ReplayHash, good.ReplayHash + 1}},
		"unexpected identity": {fromWorker("w", 1000, PollStatus{1}),
			&WorkerError{Kind: ErrUnexpectedWorkerIdentity, WorkerID: "w"}},
		"missing identity": {fromHost(1000, JobCompleted{1, OutcomeOk{}}), ErrMissingWorkerIdentity},
		"identity mismatch, ready": {fromWorker("w", 1000, BootstrapReady{"x"}),
			&WorkerError{Kind: ErrWorkerIdentityMismatch, WorkerID: "w", Expected: new("x")}},
		"identity mismatch, failed": {fromWorker("w", 1000, BootstrapFailed{"x", ""}),
			&WorkerError{Kind: ErrWorkerIdentityMismatch, WorkerID: "w", Expected: new("x")}},
		"size of an outcome":  {fromWorker("w", 1000, JobCompleted{1, OutcomeOk{oversized}}), tooLargeError()},
		"size of a spawn":     {fromHost(1000, SpawnJob{Payload: oversized}), tooLargeError()},
		"no operation":        {fromWorker("w", 1000, nil), invalid("op", notOperation)},
		"a pointer":           {fromWorker("w", 1000, &BootstrapReady{"w"}), invalid("op", notOperation)},
		"no outcome":          {fromWorker("w", 1000, JobCompleted{1, nil}), invalid("outcome", notOutcome)},
		"an unknown state":    {fromWorker("w", 1000, StatusSnapshot{1, 8, nil}), invalid("state", "is not a job state")},
		"unknown level":       {fromWorker("w", 1000, Diagnostic{Level: 3}), invalid("level", "is not a level")},
		"an ill-formed text":  {fromWorker("w", 1000, BootstrapFailed{"w", illFormed}), invalid("reason", notUTF8)},
		"ill-formed identity": {fromWorker(illFormed, 1000, BootstrapReady{illFormed}), invalid("worker_id", notUTF8)},
	}
}

func hostRefusals(t *testing.T) []refusedCall {
	const fresh = 1000
	mark := busyScene(t).c.lastSeen
	unknown := &JobError{Kind: ErrUnknownJobID, JobID: 99}
	stop, lost := []string{`host RequestShutdown "enough"`}, []string{"host WorkerLost"}
	closing := []string{`host ShutdownWhenIdle "enough"`}
	message := func(name string, want error, setup []string, env Envelope) refusedCall {
		return refusedCall{name, want, setup, func(s *scene) error {
			twin := clone(s.c)
			return arrivesAt(s.t, s.c, func() endpoint { return clone(twin) }, env)
		}}
	}
	stranger := func(id string, expected *string) error {
		return &WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: id, Expected: expected}
	}
	retired := func(id string) error { return &WorkerError{Kind: ErrRetiredWorker, WorkerID: id} }
	rows := []refusedCall{
		{"spawn, not ready", ErrWorkerNotReady, lost, hostCall("SpawnJob", arguments{id: 99})},
		{"spawn, shutdown", ErrShutdownInProgress, stop, hostCall("SpawnJob", arguments{id: 99})},
		{"spawn, closing", ErrShutdownInProgress, closing, hostCall("SpawnJob", arguments{id: 99})},
		{"spawn, region", &RegionError{ErrRegionClosed, 70}, nil, hostCall("SpawnJob", arguments{id: 99, region: 70})},
		{"spawn, size", tooLargeError(), nil, hostCall("SpawnJob", arguments{id: 99, payload: oversized})},

		{"cancel, text", invalid("reason", notUTF8), nil, hostCall("CancelJob", arguments{id: 1, text: illFormed})},
		{"cancel, unknown", unknown, nil, hostCall("CancelJob", arguments{id: 99})},
		{"poll, unknown", unknown, nil, hostCall("PollStatus", arguments{id: 99})},
		{"remove, unknown", unknown, nil, hostCall("RemoveJob", arguments{id: 99})},

		{"request, text", invalid("reason", notUTF8), nil, hostCall("RequestShutdown", arguments{text: illFormed})},
		{"request, shutdown", ErrShutdownInProgress, stop, hostCall("RequestShutdown", arguments{})},
		{"when idle, text", invalid("reason", notUTF8), nil, hostCall("ShutdownWhenIdle", arguments{text: illFormed})},
		{"when idle, shutdown", ErrShutdownInProgress, stop, hostCall("ShutdownWhenIdle", arguments{})},
		{"when idle, closing", ErrShutdownInProgress, closing, hostCall("ShutdownWhenIdle", arguments{})},
		{"retire, text", nil, nil, hostCall("RetireWorker", arguments{text: illFormed})},

		message("sequence repeated", &SequenceError{mark, mark}, nil, fromWorker("w", mark, Diagnostic{})),
		message("sequence stale", &SequenceError{mark, 1}, nil, fromWorker("w", 1, JobCompleted{2, OutcomeOk{}})),
		message("sequence zero", &SequenceError{mark, 0}, nil, fromWorker("w", 0, ShutdownCompleted{})),
		message("sequence of a repeated bootstrap", &SequenceError{mark, 1}, nil, fromWorker("w", 1, BootstrapReady{"w"})),
		message("sequence zero of a bootstrap", &SequenceError{0, 0}, nil, fromWorker("new", 0, BootstrapReady{"new"})),
		message("sequence zero of a bootstrap, nobody active", &SequenceError{0, 0}, lost, fromWorker("new", 0, BootstrapFailed{"new", ""})),
		message("stranger", stranger("x", new("w")), nil, fromWorker("x", fresh, Diagnostic{})),
		message("stranger, nobody active", stranger("w", nil), lost, fromWorker("w", fresh, Diagnostic{})),
		message("stranger without a name", stranger("", new("w")), nil, fromWorker("", fresh, Diagnostic{})),
		message("retired, ready", retired("old"), nil, fromWorker("old", fresh, BootstrapReady{"old"})),
		message("retired, failed", retired("old"), nil, fromWorker("old", fresh, BootstrapFailed{"old", ""})),
		message("retired, nobody active", retired("w"), lost, fromWorker("w", fresh, BootstrapReady{"w"})),
		message("retired, by call", retired("slow"), []string{`host RetireWorker "slow"`}, fromWorker("slow", 1, BootstrapReady{"slow"})),

		{"no envelope", invalid("envelope", "is nil"), nil, func(s *scene) error { return s.c.HandleInbound(nil) }},
		{"no proof", invalid("envelope", "was not made by Verify"), nil, func(s *scene) error { return s.c.HandleVerified(Verified{}) }},
	}
	for _, region := range []string{"CancelRegion", "CloseRegion"} {
		rows = append(rows,
			refusedCall{region + ", text", invalid("reason", notUTF8), nil, hostCall(region, arguments{region: 70, text: illFormed})},
			refusedCall{region + ", shutdown", ErrShutdownInProgress, stop, hostCall(region, arguments{region: 70})},
			refusedCall{region + ", unknown", &RegionError{ErrUnknownRegionID, 99}, nil, hostCall(region, arguments{region: 99})},
		)
	}
	for _, op := range everyOp("w") {
		if op.Type().Sender() == SenderCoordinator {
			rows = append(rows, message("direction, "+op.Type().String(), &DirectionError{op.Type()}, nil, fromHost(fresh, op)))
		}
	}
	for name, r := range refusedEnvelopes() {
		rows = append(rows, message(name, r.want, nil, r.env))
	}
	return rows
}

func workerRefusals(t *testing.T) []refusedCall {
	mark := busyScene(t).worker().lastSeen
	message := func(name string, want error, env Envelope) refusedCall {
		return refusedCall{name, want, nil, func(s *scene) error {
			twin := cloneWorker(s.worker())
			return arrivesAt(s.t, s.worker(), func() endpoint { return cloneWorker(twin) }, env)
		}}
	}
	rows := []refusedCall{
		{"announced twice", ErrAlreadyAnnounced, nil, workerCall("Announce", arguments{})},
		{"fail, text", invalid("reason", notUTF8), nil, workerCall("Fail", arguments{text: illFormed})},
		{"report, text", invalid("detail", notUTF8), nil, workerCall("Report", arguments{id: 1, text: illFormed})},
		{"complete, outcome", invalid("outcome", notOutcome), nil, workerCall("Complete", arguments{id: 1})},
		{"complete, size", tooLargeError(), nil, workerCall("Complete", arguments{id: 1, outcome: OutcomeOk{oversized}})},
		{"diagnose, level", invalid("level", "is not a level"), nil, workerCall("Diagnose", arguments{diagnostic: Diagnostic{Level: 255}})},

		message("sequence repeated", &SequenceError{mark, mark}, fromHost(mark, PollStatus{1})),
		message("sequence zero", &SequenceError{mark, 0}, fromHost(0, ShutdownWorker{})),

		{"no envelope", invalid("envelope", "is nil"), nil, func(s *scene) error { return s.worker().HandleInbound(nil) }},
		{"no proof", invalid("envelope", "was not made by Verify"), nil, func(s *scene) error { return s.worker().HandleVerified(Verified{}) }},
	}
	for name := range workerCalls {
		call := workerCall(name, arguments{id: 1, outcome: OutcomeOk{}})
		if name == "AdvanceTurn" {
			continue
		}
		rows = append(rows, refusedCall{name + ", shut down", ErrWorkerClosed, []string{"w CompleteShutdown"}, call},
			refusedCall{name + ", failed", ErrWorkerClosed, []string{`w Fail "no"`}, call})
		if name != "Announce" && name != "Fail" {
			rows = append(rows, refusedCall{name + ", starting", ErrWorkerNotReady, []string{"worker late"}, call})
		}
	}
	for _, op := range everyOp("w") {
		if op.Type().Sender() == SenderWorker {
			rows = append(rows, message("direction, "+op.Type().String(), &DirectionError{op.Type()}, fromWorker("w", 1000, op)))
		}
	}
	for name, r := range refusedEnvelopes() {
		rows = append(rows, message(name, r.want, r.env))
	}
	for _, op := range everyOp("w") { // which a closed worker ignores
		if op.Type().Sender() == SenderCoordinator {
			row := message("closed, "+op.Type().String(), nil, fromHost(1000, op))
			row.setup = []string{"w CompleteShutdown"}
			rows = append(rows, row)
		}
	}
	return rows
}

// assertRefused makes a call that is refused and changes neither half.
func assertRefused(s *scene, want error, call func(s *scene) error) {
	s.t.Helper()
	c, w := clone(s.c), cloneWorker(s.worker())
	assert.Equal(s.t, want, call(s))
	assert.Equal(s.t, c, s.c)
	assert.Equal(s.t, w, s.worker())
}

// TestRefusalsChangeNothing is about both halves. The refusals that depend on the state of a job are in the tables of
// jobstate_test.go.
func TestRefusalsChangeNothing(t *testing.T) {
	untested := maps.Clone(errorKinds)
	for _, elsewhere := range []string{
		"InvalidTransition", "TerminalStatusSnapshot", "InvalidStatusSnapshotState", "UnexpectedCompletionPhase", "JobNotPollable",
		"JobNotTerminal", "DuplicateJobID", "BootstrapFailed",
	} {
		delete(untested, elsewhere)
	}
	run := func(half string, rows []refusedCall) {
		for _, r := range rows {
			t.Run(half+"/"+r.name, func(t *testing.T) {
				assertRefused(busyScene(t, r.setup...), r.want, r.call)
			})
			if r.want != nil {
				delete(untested, kindOf(r.want))
			}
		}
	}
	run("host", hostRefusals(t))
	run("worker", workerRefusals(t))
	for name, r := range map[string]struct {
		data string
		want error
	}{
		"no object": {"[]", &ParseError{Offset: 0, Cause: "expected an object"}},
		"size while reading": {`{"op":{"type":"SpawnJob","payload":[` + strings.Repeat("0,", MaxPayloadBytes) + `0]}}`,
			&ParseError{Offset: 36 + 2*MaxPayloadBytes, Err: tooLargeError()}},
	} {
		read := func(h func(s *scene) endpoint) func(*scene) error {
			return func(s *scene) error {
				env, err := h(s).Receive([]byte(r.data))
				assert.Zero(t, env)
				return err
			}
		}
		run("host", []refusedCall{{name, r.want, nil, read(func(s *scene) endpoint { return s.c })}})
		run("worker", []refusedCall{{name, r.want, nil, read(func(s *scene) endpoint { return s.worker() })}})
	}
	assert.Empty(t, untested, "every kind of refusal is in the table")
}

// A reason makes an attempt one that is refused with this kind of error.
type reason struct {
	kind  error
	cause func(a *attempt)
}

// An attempt is a call, or a message, in a busyScene.
type attempt struct {
	*scene
	arguments
	message inboundMessage
}

// An inboundMessage is a message that may be damaged.
type inboundMessage struct {
	worker  *string
	seqNo   uint64
	op      Op
	version uint32
	damage  uint64
}

func (m *inboundMessage) envelope() *Envelope {
	h := Header{MessageID: m.seqNo, SeqNo: m.seqNo}
	env := NewEnvelope(h, m.op)
	if m.worker != nil {
		env = NewWorkerEnvelope(*m.worker, h, m.op)
	}
	env.Version = m.version
	env.ReplayHash += m.damage
	return &env
}

// firstReasonWins tries every combination of reasons, which stand in the order in which the specification has them: the
// first one is the result. Without any, the attempt is not refused.
func firstReasonWins(t *testing.T, start func() *attempt, try func(a *attempt) error, reasons ...reason) {
	t.Helper()
	for set := range 1 << len(reasons) {
		var want error
		a := start()
		for i, r := range reasons {
			if set>>i&1 == 0 {
				continue
			}
			r.cause(a)
			if want == nil {
				want = r.kind
			}
		}
		assert.ErrorIs(t, try(a), want, "reasons %0*b, read from the right", len(reasons), set)
	}
}

func because(kind error, cause func(a *attempt)) reason { return reason{kind, cause} }

// becauseOf is a reason that lines of the scene bring about.
func becauseOf(kind error, lines ...string) reason {
	return reason{kind, func(a *attempt) { a.play(lines...) }}
}

func TestHostCallsAreCheckedInTheOrderOfTheTable(t *testing.T) {
	about := func(jobID uint64) func() *attempt {
		return func() *attempt { return &attempt{scene: busyScene(t), arguments: arguments{id: jobID, region: 1}} }
	}
	region := func(id uint64) func() *attempt {
		return func() *attempt { return &attempt{scene: busyScene(t), arguments: arguments{region: id}} }
	}
	host := func(name string) func(a *attempt) error {
		return func(a *attempt) error { _, err := hostCalls[name](a.c, a.arguments); return err }
	}
	job := func(state JobState, kind error) reason {
		return because(kind, func(a *attempt) { a.id = uint64(state) })
	}
	var (
		notReady    = becauseOf(ErrWorkerNotReady, "host WorkerLost")
		shutdown    = because(ErrShutdownInProgress, func(a *attempt) { _ = a.c.RequestShutdown("") })
		closing     = because(ErrShutdownInProgress, func(a *attempt) { _ = a.c.ShutdownWhenIdle("") })
		closed      = because(ErrRegionClosed, func(a *attempt) { a.region = 70 })
		size        = because(ErrPayloadTooLarge, func(a *attempt) { a.payload = oversized })
		text        = because(ErrInvalidValue, func(a *attempt) { a.text = illFormed })
		unknownJob  = because(ErrUnknownJobID, func(a *attempt) { a.id = 99 })
		noSuchGroup = because(ErrUnknownRegionID, func(a *attempt) { a.region = 99 })
	)
	for _, busy := range []reason{shutdown, closing} {
		firstReasonWins(t, about(99), host("SpawnJob"), notReady, busy, closed, size, job(StateQueued, ErrDuplicateJobID))
		firstReasonWins(t, about(99), host("SpawnJob"), notReady, busy, closed, size, job(StateCompleted, ErrDuplicateJobID))
		firstReasonWins(t, about(1), host("ShutdownWhenIdle"), text, busy)
	}
	firstReasonWins(t, about(1), host("CancelJob"), text, shutdown, unknownJob)
	firstReasonWins(t, about(1), host("CancelJob"), text, shutdown, job(StateFailed, ErrInvalidTransition))
	firstReasonWins(t, about(1), host("PollStatus"), shutdown, unknownJob)
	firstReasonWins(t, about(1), host("PollStatus"), shutdown, job(StateCompleted, ErrJobNotPollable))
	firstReasonWins(t, about(1), host("RequestShutdown"), text, shutdown)
	firstReasonWins(t, region(70), host("CancelRegion"), text, shutdown, noSuchGroup)
	firstReasonWins(t, region(70), host("CloseRegion"), text, shutdown, noSuchGroup)
}

func TestWorkerCallsAreCheckedInTheOrderOfSection10(t *testing.T) {
	about := func(jobID uint64) func() *attempt {
		return func() *attempt {
			return &attempt{scene: busyScene(t), arguments: arguments{id: jobID, outcome: OutcomeOk{}}}
		}
	}
	worker := func(name string) func(a *attempt) error {
		return func(a *attempt) error {
			a.diagnostic.Message = a.text
			if a.text != "" {
				a.outcome = OutcomeErr{a.text, ""}
			}
			return workerCalls[name](a.worker(), a.arguments)
		}
	}
	state := func(kind error) reason { return because(kind, func(a *attempt) { a.id = uint64(StateDraining) }) }
	var (
		text    = because(ErrInvalidValue, func(a *attempt) { a.text = illFormed })
		size    = because(ErrPayloadTooLarge, func(a *attempt) { a.outcome = OutcomeOk{oversized} })
		unknown = because(ErrUnknownJobID, func(a *attempt) { a.id = 99 })
	)
	for _, notNow := range []reason{
		becauseOf(ErrWorkerClosed, "w CompleteShutdown"), becauseOf(ErrWorkerClosed, "w Fail"), becauseOf(ErrWorkerNotReady, "worker late"),
	} {
		firstReasonWins(t, about(2), worker("Complete"), text, notNow, size, unknown)
		firstReasonWins(t, about(2), worker("Complete"), text, notNow, size, state(ErrUnexpectedCompletionPhase))
		firstReasonWins(t, about(2), worker("Report"), text, notNow, unknown)
		firstReasonWins(t, about(2), worker("Report"), text, notNow, state(ErrInvalidStatusSnapshotState))
		firstReasonWins(t, about(1), worker("Start"), notNow, unknown)
		firstReasonWins(t, about(1), worker("Start"), notNow, state(ErrInvalidTransition))
		firstReasonWins(t, about(1), worker("Diagnose"), text, notNow)
	}
	firstReasonWins(t, about(1), worker("Fail"), text, becauseOf(ErrWorkerClosed, "w CompleteShutdown"))
}

// Reasons of a message, which the tests below have in the order of sections 5, 7 and 10.
var (
	wrongVersion = because(ErrVersionMismatch, func(a *attempt) { a.message.version = 0 })
	wrongDigest  = because(ErrReplayHashMismatch, func(a *attempt) { a.message.damage = 1 })
)

func arriving(scene *scene, worker *string, op Op) *attempt {
	return &attempt{scene: scene, message: inboundMessage{worker, 1000, op, 1, 0}}
}

func TestMessagesToTheHostAreCheckedInTheOrderOfTheSteps(t *testing.T) {
	var (
		toWorker = because(ErrUnexpectedDirection, func(a *attempt) { a.message.worker, a.message.op = nil, PollStatus{99} })
		seqZero  = because(ErrInboundSequenceNotFresh, func(a *attempt) { a.message.seqNo = 0 })
		job      = because(ErrUnknownJobID, func(a *attempt) {
			if a.message.worker != nil {
				a.message.op = JobCompleted{99, OutcomeOk{}}
			}
		})
		old = func(kind error) reason {
			return because(kind, func(a *attempt) {
				switch {
				case a.message.worker == nil:
					return
				case a.message.op.Type() == OpBootstrapReady:
					a.message.op = BootstrapReady{"old"}
				}
				a.message.worker = new("old")
			})
		}
		message   = func() *attempt { return arriving(busyScene(t), new("w"), Diagnostic{}) }
		bootstrap = func() *attempt { return arriving(busyScene(t), new("new"), BootstrapReady{"new"}) }
		deliver   = func(a *attempt) error { return a.c.HandleInbound(a.message.envelope()) }
	)
	firstReasonWins(t, message, deliver, wrongVersion, wrongDigest, toWorker, seqZero, job)
	firstReasonWins(t, message, deliver, wrongVersion, wrongDigest, toWorker, old(ErrWorkerSessionMismatch), seqZero, job)
	firstReasonWins(t, bootstrap, deliver, wrongVersion, wrongDigest, toWorker, old(ErrRetiredWorker), seqZero)
}

func TestMessagesToAWorkerAreCheckedInTheOrderOfSection10(t *testing.T) {
	start := func() *attempt { return arriving(busyScene(t), nil, PollStatus{99}) }
	deliver := func(a *attempt) error { return a.scene.worker().HandleInbound(a.message.envelope()) }
	firstReasonWins(t, start, deliver, wrongVersion, wrongDigest,
		because(ErrUnexpectedDirection, func(a *attempt) { a.message.worker, a.message.op = new("w"), Diagnostic{} }),
		because(ErrInboundSequenceNotFresh, func(a *attempt) { a.message.seqNo = 1 }),
		because(ErrDuplicateJobID, func(a *attempt) {
			if a.message.worker == nil {
				a.message.op = SpawnJob{JobID: 1}
			}
		}))
}
