package workerchannel

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

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

func TestValidationChecksVersionValuesDigestIdentityAndSizeInThisOrder(t *testing.T) {
	var (
		value      = because(ErrInvalidValue, func(a *attempt) { a.message.worker = new(illFormed) })
		missing    = because(ErrMissingWorkerIdentity, func(a *attempt) { a.message.worker = nil })
		mismatch   = because(ErrWorkerIdentityMismatch, func(a *attempt) { a.message.worker = new("x") })
		size       = because(ErrPayloadTooLarge, func(a *attempt) { a.message.op = JobCompleted{1, OutcomeOk{oversized}} })
		unexpected = because(ErrUnexpectedWorkerIdentity, func(a *attempt) {
			if a.message.worker == nil {
				a.message.worker = new("w")
			}
		})
		spawnSize = because(ErrPayloadTooLarge, func(a *attempt) { a.message.op = SpawnJob{Payload: oversized} })
	)
	validate := func(a *attempt) error { return a.message.envelope().Validate() }
	start := func(worker *string, op Op) func() *attempt {
		return func() *attempt { return arriving(nil, worker, op) }
	}
	firstReasonWins(t, start(nil, SpawnJob{}), validate, wrongVersion, value, wrongDigest, unexpected, spawnSize)
	firstReasonWins(t, start(new("w"), JobCompleted{1, OutcomeOk{}}), validate, wrongVersion, wrongDigest, missing, size)
	firstReasonWins(t, start(new("w"), BootstrapReady{"w"}), validate, wrongVersion, wrongDigest, missing)
	firstReasonWins(t, start(new("w"), BootstrapReady{"w"}), validate, wrongVersion, wrongDigest, mismatch)
	firstReasonWins(t, start(new("w"), BootstrapFailed{"w", "no"}), validate, wrongVersion, wrongDigest, mismatch)
}
