package workerchannel

import (
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A hostScene is a coordinator under test. The scene speaks for its workers, in bytes, so that a test
// reads as a transcript of what is called, heard and sent.
type hostScene struct {
	*Coordinator
	t      *testing.T
	worker string // who speaks
	seq    uint64 // its last message
}

func newHostScene(t *testing.T) *hostScene {
	return &hostScene{Coordinator: NewCoordinator(42), t: t}
}

// readyHostScene begins when the worker "w" has announced itself.
func readyHostScene(t *testing.T) *hostScene {
	h := newHostScene(t)
	h.announces("w")
	return h
}

// busyHostScene is in the middle of everything: one job in every state but StateCreated, each with
// the number of its state for an id; the ended worker "old"; a later turn; two polls to be sent.
func busyHostScene(t *testing.T) *hostScene {
	h := newHostScene(t)
	h.announces("old")
	h.into(uint64(StateFailed), StateQueued)
	h.announces("w")
	for s := StateQueued; s <= StateCompleted; s++ {
		h.into(uint64(s), s)
	}
	h.AdvanceTurn()
	h.ok(h.PollStatus(uint64(StateQueued)))
	h.ok(h.PollStatus(uint64(StateRunning)))
	return h
}

// announces makes a worker speak from here on, and lets it announce itself.
func (h *hostScene) announces(worker string) {
	h.t.Helper()
	h.worker, h.seq = worker, 0
	h.hears(BootstrapReady{worker})
}

// from delivers a message of any worker.
func (h *hostScene) from(worker string, seq uint64, op Op) error {
	h.t.Helper()
	text, err := fromWorker(worker, seq, op).AppendJSON(nil)
	require.NoError(h.t, err)
	_, err = h.Receive(text)
	return err
}

// hears delivers the next messages of the worker that speaks, which are all in order.
func (h *hostScene) hears(ops ...Op) {
	h.t.Helper()
	for _, op := range ops {
		h.seq++
		require.NoError(h.t, h.from(h.worker, h.seq, op))
	}
}

// objects delivers the next message of the worker that speaks, which counts as received and changes
// nothing else.
func (h *hostScene) objects(want error, op Op) {
	h.t.Helper()
	h.seq++
	after := clone(h.Coordinator)
	after.lastSeen = h.seq
	assert.Equal(h.t, want, h.from(h.worker, h.seq, op))
	assert.Equal(h.t, after, h.Coordinator, "nothing changes but the high-water mark")
}

// refuses makes a call that is refused and changes nothing.
func (h *hostScene) refuses(want error, call func() error) {
	h.t.Helper()
	before := clone(h.Coordinator)
	assert.Equal(h.t, want, call())
	assert.Equal(h.t, before, h.Coordinator, "a refusal changes nothing")
}

// ignores is refuses for a message.
func (h *hostScene) ignores(want error, worker string, seq uint64, op Op) {
	h.t.Helper()
	h.refuses(want, func() error { return h.from(worker, seq, op) })
}

func (h *hostScene) ok(err error) {
	h.t.Helper()
	require.NoError(h.t, err)
}

// sends empties the outbox, in which these messages are, all of them valid, and no others.
func (h *hostScene) sends(want ...Op) {
	h.t.Helper()
	var got []Op
	for env := range h.Outbox() {
		assert.NoError(h.t, env.Validate())
		got = append(got, env.Op)
	}
	assert.Equal(h.t, want, got)
}

// is compares the state of a job.
func (h *hostScene) is(id uint64, want JobState) {
	h.t.Helper()
	got, ok := h.JobState(id)
	assert.True(h.t, ok, "job %d is tracked", id)
	assert.Equal(h.t, want.String(), got.String(), "state of job %d", id)
}

// into spawns a job and takes it to a state, and all messages on the way are sent.
func (h *hostScene) into(id uint64, state JobState) {
	h.t.Helper()
	h.ok(h.SpawnJob(jobOf(id)))
	switch state {
	case StateRunning:
		h.hears(StatusSnapshot{id, StateRunning, nil})
	case StateCancelRequested, StateDraining, StateFinalizing:
		h.ok(h.CancelJob(id, "enough"))
		if state >= StateDraining {
			h.hears(CancelAcknowledged{id})
		}
		if state >= StateFinalizing {
			h.hears(DrainCompleted{id})
		}
	case StateCompleted:
		h.hears(JobCompleted{id, OutcomeOk{}})
	case StateFailed:
		h.announces(h.worker + "+")
	}
	for range h.Outbox() {
	}
	h.is(id, state)
}

func jobOf(id uint64) SpawnJob { return SpawnJob{id, 10 * id, 100 * id, 1000 * id, []byte{1, 2, 255}} }

func fromWorker(worker string, seq uint64, op Op) Envelope {
	return NewWorkerEnvelope(worker, Header{MessageID: seq, SeqNo: seq, DecisionSeq: seq, Seed: 42}, op)
}

func fromHost(seq uint64, op Op) Envelope {
	return NewEnvelope(Header{MessageID: seq, SeqNo: seq, DecisionSeq: seq, Seed: 42}, op)
}

var oversized = make([]byte, MaxPayloadBytes+1)

// Starting, running, ending.

func TestSpawnIsRefusedBeforeBootstrapAndAcceptedAfter(t *testing.T) {
	h := newHostScene(t)
	h.refuses(ErrWorkerNotReady, func() error { return h.SpawnJob(jobOf(1)) })
	h.announces("w")
	assert.True(t, h.WorkerReady())
	h.ok(h.SpawnJob(jobOf(1)))
	h.sends(jobOf(1))
	assert.Equal(t, []TrackedJob{{JobID: 1, RegionID: 10, State: StateQueued, LastSeqNo: 1}}, collect(h.Jobs()))
	assert.Equal(t, 1, h.InflightCount())
}

func TestAJobLivesFromSpawnToCompletionWithAndWithoutARunningReport(t *testing.T) {
	outcomes := []Outcome{OutcomeOk{[]byte("fine")}, OutcomeErr{"E1", "no"}, OutcomeCancelled{"by itself"}, OutcomePanicked{"boom"}}
	for _, outcome := range outcomes {
		t.Run("with", func(t *testing.T) {
			h := readyHostScene(t)
			h.ok(h.SpawnJob(jobOf(1)))
			h.is(1, StateQueued)
			h.hears(StatusSnapshot{1, StateQueued, nil})
			h.is(1, StateQueued)
			h.hears(StatusSnapshot{1, StateRunning, nil})
			h.is(1, StateRunning)
			h.ok(h.PollStatus(1))
			h.hears(StatusSnapshot{1, StateRunning, new("half way")})
			h.is(1, StateRunning)
			assert.Equal(t, 1, h.InflightCount())
			h.hears(JobCompleted{1, outcome})
			h.is(1, StateCompleted)
			assert.Equal(t, 0, h.InflightCount())
			h.sends(jobOf(1), PollStatus{1})
		})
		t.Run("without", func(t *testing.T) {
			h := readyHostScene(t)
			h.ok(h.SpawnJob(jobOf(1)))
			h.hears(JobCompleted{1, outcome})
			h.is(1, StateCompleted)
			assert.Equal(t, 0, h.InflightCount())
			h.sends(jobOf(1))
		})
	}
}

func TestTheRecordOfAJobNamesTheLastMessageSentAboutIt(t *testing.T) {
	h := readyHostScene(t)
	last := func(want uint64) {
		t.Helper()
		job, ok := h.Job(1)
		assert.True(t, ok)
		assert.Equal(t, want, job.LastSeqNo)
		assert.Equal(t, uint64(10), job.RegionID)
	}
	h.ok(h.SpawnJob(jobOf(1)))
	h.ok(h.SpawnJob(jobOf(2)))
	last(1)
	h.ok(h.PollStatus(1))
	last(3)
	h.hears(StatusSnapshot{1, StateRunning, nil}) // received, not sent
	last(3)
	h.ok(h.CancelJob(1, ""))
	last(4)
	h.hears(CancelAcknowledged{1})
	last(5)
	h.hears(DrainCompleted{1})
	last(6)
	h.hears(FinalizeCompleted{1})
	last(6)
}

func TestDiagnosticsAreAcceptedAndChangeNothing(t *testing.T) {
	h := busyHostScene(t)
	h.objects(nil, Diagnostic{LevelError, "gc", "slow", nil})
}

// Cancelling.

func TestTheWholeCancelHandshakeEmitsTheDrainAndFinalizeRequests(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	h.ok(h.CancelJob(1, "not needed"))
	h.is(1, StateCancelRequested)
	h.sends(CancelJob{1, "not needed"})
	h.hears(CancelAcknowledged{1})
	h.is(1, StateDraining)
	h.sends(DrainJob{1})
	h.hears(DrainCompleted{1})
	h.is(1, StateFinalizing)
	h.sends(FinalizeJob{1})
	assert.Equal(t, 1, h.InflightCount())
	h.hears(FinalizeCompleted{1})
	h.is(1, StateCompleted)
	h.sends()
	assert.Equal(t, 0, h.InflightCount())
}

func TestAJobCanBeCancelledBeforeItRuns(t *testing.T) {
	h := readyHostScene(t)
	h.ok(h.SpawnJob(jobOf(1)))
	h.ok(h.CancelJob(1, "changed my mind"))
	h.is(1, StateCancelRequested)
	h.sends(jobOf(1), CancelJob{1, "changed my mind"})
	h.hears(CancelAcknowledged{1}, DrainCompleted{1}, FinalizeCompleted{1})
	h.is(1, StateCompleted)
	h.sends(DrainJob{1}, FinalizeJob{1})
}

func TestACompletionThatRacesACancelIsAcceptedWithNothingMoreSent(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateCancelRequested)
	h.hears(JobCompleted{1, OutcomeOk{[]byte("made it")}})
	h.is(1, StateCompleted)
	h.sends()
	assert.Equal(t, 0, h.InflightCount())
}

func TestASnapshotThatCrossedACancelIsIgnored(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateCancelRequested)
	h.objects(nil, StatusSnapshot{1, StateRunning, nil})
	h.objects(nil, StatusSnapshot{1, StateQueued, new("late")})
	h.hears(CancelAcknowledged{1}) // and the handshake goes on
	h.sends(DrainJob{1})
}

func TestTerminalSnapshotsAreRefused(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	for _, state := range []JobState{StateCompleted, StateFailed} {
		h.objects(&JobError{ErrTerminalStatusSnapshot, 1, state}, StatusSnapshot{1, state, nil})
		h.objects(&JobError{ErrTerminalStatusSnapshot, 99, state}, StatusSnapshot{99, state, nil})
	}
}

func TestSnapshotsOfCancelDrainAndFinalizePhasesAreRefused(t *testing.T) {
	for _, reported := range []JobState{StateCreated, StateCancelRequested, StateDraining, StateFinalizing} {
		for _, state := range []JobState{StateRunning, StateCancelRequested, StateDraining, StateFinalizing, StateCompleted} {
			h := readyHostScene(t)
			h.into(1, state)
			h.objects(&JobError{ErrInvalidStatusSnapshotState, 1, reported}, StatusSnapshot{1, reported, nil})
			h.objects(&JobError{ErrInvalidStatusSnapshotState, 99, reported}, StatusSnapshot{99, reported, nil})
		}
	}
}

func TestCompletionIsRefusedWhileDrainingOrFinalizing(t *testing.T) {
	for _, state := range []JobState{StateDraining, StateFinalizing} {
		h := readyHostScene(t)
		h.into(1, state)
		h.objects(&JobError{ErrUnexpectedCompletionPhase, 1, state}, JobCompleted{1, OutcomeOk{}})
		assert.Equal(t, 1, h.InflightCount())
	}
}

// messagesInStates is section 7, Inbound, step 5: what a message about a job does for each state of the
// job. A state is where the job goes, with what is then sent; "-" is nothing; else the error's kind.
const messagesInStates = `
message            unknown       queued            running           cancel_requested   draining                    finalizing                completed                 failed
snapshot_queued    UnknownJobID  -                 InvalidTransition -                  InvalidTransition           InvalidTransition         InvalidTransition         InvalidTransition
snapshot_running   UnknownJobID  running           -                 -                  InvalidTransition           InvalidTransition         InvalidTransition         InvalidTransition
completed          UnknownJobID  completed         completed         completed          UnexpectedCompletionPhase   UnexpectedCompletionPhase UnexpectedCompletionPhase UnexpectedCompletionPhase
acknowledged       UnknownJobID  InvalidTransition InvalidTransition draining+DrainJob  InvalidTransition           InvalidTransition         InvalidTransition         InvalidTransition
drained            UnknownJobID  InvalidTransition InvalidTransition InvalidTransition  finalizing+FinalizeJob      InvalidTransition         InvalidTransition         InvalidTransition
finalized          UnknownJobID  InvalidTransition InvalidTransition InvalidTransition  InvalidTransition           completed                 InvalidTransition         InvalidTransition
`

// In a shutdown only these differ: nothing more is asked of the worker.
const messagesInShutdown = `
message            unknown       queued            running           cancel_requested   draining                    finalizing                completed                 failed
snapshot_running   UnknownJobID  running           -                 -                  InvalidTransition           InvalidTransition         InvalidTransition         InvalidTransition
completed          UnknownJobID  completed         completed         completed          UnexpectedCompletionPhase   UnexpectedCompletionPhase UnexpectedCompletionPhase UnexpectedCompletionPhase
acknowledged       UnknownJobID  -                 -                 -                  -                           -                         -                         -
drained            UnknownJobID  -                 -                 -                  -                           -                         -                         -
finalized          UnknownJobID  InvalidTransition InvalidTransition InvalidTransition  InvalidTransition           completed                 InvalidTransition         InvalidTransition
`

func TestEveryMessageInEveryStateOfAJobDoesWhatTheTableSays(t *testing.T) {
	messages := map[string]struct {
		op Op
		to JobState // for the InvalidTransition
	}{
		"snapshot_queued":  {StatusSnapshot{1, StateQueued, nil}, StateQueued},
		"snapshot_running": {StatusSnapshot{1, StateRunning, nil}, StateRunning},
		"completed":        {JobCompleted{1, OutcomeOk{}}, StateCompleted},
		"acknowledged":     {CancelAcknowledged{1}, StateDraining},
		"drained":          {DrainCompleted{1}, StateFinalizing},
		"finalized":        {FinalizeCompleted{1}, StateCompleted},
	}
	for _, shutdown := range []bool{false, true} {
		table := messagesInStates
		if shutdown {
			table = messagesInShutdown
		}
		eachCell(table, func(row, column, cell string) {
			t.Run(row+" when "+column+", shutdown "+strconv.FormatBool(shutdown), func(t *testing.T) {
				h := readyHostScene(t)
				state, tracked := stateNamed(column)
				if tracked {
					h.into(1, state)
				}
				if shutdown {
					h.ok(h.RequestShutdown(""))
					h.sends(ShutdownWorker{""})
				}
				m := messages[row]
				switch cell {
				case "-":
					h.objects(nil, m.op)
				case "UnknownJobID":
					h.objects(&JobError{Kind: ErrUnknownJobID, JobID: 1}, m.op)
				case "InvalidTransition":
					h.objects(&TransitionError{1, state, m.to}, m.op)
				case "UnexpectedCompletionPhase":
					h.objects(&JobError{ErrUnexpectedCompletionPhase, 1, state}, m.op)
				default:
					h.hears(m.op)
					want, request, _ := strings.Cut(cell, "+")
					got, _ := h.JobState(1)
					assert.Equal(t, want, got.String())
					switch request {
					case "":
						h.sends()
					case "DrainJob":
						h.sends(DrainJob{1})
					case "FinalizeJob":
						h.sends(FinalizeJob{1})
					}
				}
			})
		})
	}
}

// eachCell reads a table of words, in which lines may be empty.
func eachCell(table string, do func(row, column, cell string)) {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	columns := strings.Fields(lines[0])[1:]
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		for i := 1; i < len(cells); i++ {
			do(cells[0], columns[i-1], cells[i])
		}
	}
}

func stateNamed(human string) (JobState, bool) {
	for s := StateCreated; s <= StateFailed; s++ {
		if s.String() == human {
			return s, true
		}
	}
	return 0, false
}

// Refused calls.

func TestAnOversizedPayloadIsRefusedOnSpawn(t *testing.T) {
	h := readyHostScene(t)
	spawn := jobOf(1)
	spawn.Payload = oversized
	h.refuses(&PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes}, func() error { return h.SpawnJob(spawn) })
	spawn.Payload = oversized[:MaxPayloadBytes]
	h.ok(h.SpawnJob(spawn))
	h.sends(spawn)
}

func TestDuplicateJobIDsAreRefusedAlsoOfJobsThatHaveEnded(t *testing.T) {
	h := busyHostScene(t)
	for state := StateQueued; state <= StateFailed; state++ {
		id := uint64(state)
		h.refuses(&JobError{Kind: ErrDuplicateJobID, JobID: id}, func() error { return h.SpawnJob(jobOf(id)) })
	}
}

func TestUnknownJobIDsAreRefused(t *testing.T) {
	h := busyHostScene(t)
	unknown := &JobError{Kind: ErrUnknownJobID, JobID: 99}
	h.refuses(unknown, func() error { return h.CancelJob(99, "") })
	h.refuses(unknown, func() error { return h.PollStatus(99) })
	h.refuses(unknown, func() error { _, err := h.RemoveJob(99); return err })
	_, ok := h.Job(99)
	assert.False(t, ok)
	_, ok = h.JobState(99)
	assert.False(t, ok)
	for _, op := range []Op{
		StatusSnapshot{99, StateRunning, nil}, JobCompleted{99, OutcomeOk{}},
		CancelAcknowledged{99}, DrainCompleted{99}, FinalizeCompleted{99},
	} {
		h.objects(unknown, op)
	}
}

func TestOnlyQueuedAndRunningJobsCanBeCancelled(t *testing.T) {
	for state := StateQueued; state <= StateFailed; state++ {
		h := busyHostScene(t)
		id := uint64(state)
		if state == StateQueued || state == StateRunning {
			h.ok(h.CancelJob(id, ""))
			h.is(id, StateCancelRequested)
			continue
		}
		h.refuses(&TransitionError{id, state, StateCancelRequested}, func() error { return h.CancelJob(id, "") })
	}
}

func TestOnlyJobsInFlightCanBePolled(t *testing.T) {
	h := busyHostScene(t)
	for range h.Outbox() {
	}
	for state := StateQueued; state <= StateFailed; state++ {
		id := uint64(state)
		if state >= StateCompleted {
			h.refuses(&JobError{ErrJobNotPollable, id, state}, func() error { return h.PollStatus(id) })
			continue
		}
		h.ok(h.PollStatus(id))
		h.is(id, state)
		h.sends(PollStatus{id})
	}
}

// A hostRefusal is a call of the host, or a message, that must leave the coordinator as it was.
type hostRefusal struct {
	name  string
	want  error
	setup func(h *hostScene) // of a busyHostScene; may be nil
	call  func(h *hostScene) error
}

// arrives is the call that gives an envelope to the coordinator, in every way that there is.
func arrives(env Envelope) func(h *hostScene) error {
	return func(h *hostScene) error { return arrivesAt(h.t, h, env) }
}

// arrivesAt gives an envelope to a half of the protocol, in every way that there is.
func arrivesAt(t *testing.T, half interface {
	HandleInbound(*Envelope) error
	HandleVerified(Verified) error
	Receive([]byte) (Envelope, error)
}, env Envelope) error {
	before := env
	err := half.HandleInbound(&env)
	assert.Equal(t, before, env, "the envelope is the caller's")
	text, unwritable := env.AppendJSON(nil)
	if unwritable != nil {
		return err
	}
	_, again := half.Receive(text)
	assert.Equal(t, err, again, "Receive answers as HandleInbound does")
	v, again := Verify(text)
	if again == nil {
		again = half.HandleVerified(v)
	}
	assert.Equal(t, err, again, "Verify and HandleVerified answer as HandleInbound does")
	return err
}

// arrivesAs is arrives for a text that is no envelope.
func arrivesAs(text string) func(h *hostScene) error {
	return func(h *hostScene) error {
		env, err := h.Receive([]byte(text))
		assert.Zero(h.t, env)
		return err
	}
}

func changed(env Envelope, change func(env *Envelope)) Envelope {
	change(&env)
	return env
}

func invalid(field, cause string) error { return &ValueError{field, cause} }

const (
	illFormed    = "\xff"
	notText      = "is not well-formed UTF-8"
	notOperation = "is none of the 15 operations, as a plain value"
)

// refusedEnvelopes are those that fail in section 5, whichever half they come to.
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
		"size of an outcome": {fromWorker("w", 1000, JobCompleted{1, OutcomeOk{oversized}}),
			&PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes}},
		"size of a spawn": {fromHost(1000, SpawnJob{Payload: oversized}),
			&PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes}},
		"no operation":        {fromWorker("w", 1000, nil), invalid("op", notOperation)},
		"a pointer":           {fromWorker("w", 1000, &BootstrapReady{"w"}), invalid("op", notOperation)},
		"no outcome":          {fromWorker("w", 1000, JobCompleted{1, nil}), invalid("outcome", "is none of the four outcomes, as a plain value")},
		"an unknown state":    {fromWorker("w", 1000, StatusSnapshot{1, 8, nil}), invalid("state", "is not one of the eight")},
		"an unknown level":    {fromWorker("w", 1000, Diagnostic{Level: 3}), invalid("level", "is not one of the three")},
		"ill-formed text":     {fromWorker("w", 1000, BootstrapFailed{"w", illFormed}), invalid("reason", notText)},
		"ill-formed identity": {fromWorker(illFormed, 1000, BootstrapReady{illFormed}), invalid("worker_id", notText)},
	}
}

// refusedTexts are those that are no envelopes.
var refusedTexts = map[string]struct {
	text string
	want error
}{
	"no object": {"[]", &ParseError{Offset: 0, Cause: "an object is needed"}},
	"size while reading": {`{"op":{"type":"SpawnJob","payload":[` + strings.Repeat("0,", MaxPayloadBytes) + `0]}}`,
		&ParseError{Offset: 36 + 2*MaxPayloadBytes, Err: &PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes}}},
}

func hostRefusals() []hostRefusal {
	const fresh = 1000
	var (
		mark     = uint64(6) // the messages that the worker "w" of a busyHostScene has sent
		shutdown = func(h *hostScene) { h.ok(h.RequestShutdown("enough")) }
		lost     = func(h *hostScene) { h.WorkerLost() }
		spawn    = func(job SpawnJob) func(h *hostScene) error {
			return func(h *hostScene) error { return h.SpawnJob(job) }
		}
		cancel = func(id uint64, reason string) func(h *hostScene) error {
			return func(h *hostScene) error { return h.CancelJob(id, reason) }
		}
		poll = func(id uint64) func(h *hostScene) error { return func(h *hostScene) error { return h.PollStatus(id) } }
		stop = func(reason string) func(h *hostScene) error {
			return func(h *hostScene) error { return h.RequestShutdown(reason) }
		}
		remove = func(id uint64) func(h *hostScene) error {
			return func(h *hostScene) error { _, err := h.RemoveJob(id); return err }
		}
		unknownID = &JobError{Kind: ErrUnknownJobID, JobID: 99}
	)
	rows := []hostRefusal{
		{"spawn, not ready", ErrWorkerNotReady, lost, spawn(jobOf(99))},
		{"spawn, shutdown", ErrShutdownInProgress, shutdown, spawn(jobOf(99))},
		{"spawn, size", &PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes}, nil, spawn(SpawnJob{JobID: 99, Payload: oversized})},
		{"spawn, duplicate", &JobError{Kind: ErrDuplicateJobID, JobID: 1}, nil, spawn(jobOf(1))},

		{"cancel, text", invalid("reason", notText), nil, cancel(1, illFormed)},
		{"cancel, shutdown", ErrShutdownInProgress, shutdown, cancel(1, "")},
		{"cancel, unknown", unknownID, nil, cancel(99, "")},
		{"cancel, state", &TransitionError{4, StateDraining, StateCancelRequested}, nil, cancel(4, "")},

		{"poll, shutdown", ErrShutdownInProgress, shutdown, poll(1)},
		{"poll, unknown", unknownID, nil, poll(99)},
		{"poll, state", &JobError{ErrJobNotPollable, 7, StateFailed}, nil, poll(7)},

		{"shutdown, text", invalid("reason", notText), nil, stop(illFormed)},
		{"shutdown, shutdown", ErrShutdownInProgress, shutdown, stop("again")},

		{"remove, unknown", unknownID, nil, remove(99)},
		{"remove, state", &JobError{ErrJobNotTerminal, 5, StateFinalizing}, nil, remove(5)},

		{"sequence repeated", &SequenceError{mark, mark}, nil, arrives(fromWorker("w", mark, Diagnostic{}))},
		{"sequence stale", &SequenceError{mark, 1}, nil, arrives(fromWorker("w", 1, JobCompleted{2, OutcomeOk{}}))},
		{"sequence zero", &SequenceError{mark, 0}, nil, arrives(fromWorker("w", 0, ShutdownCompleted{}))},
		{"sequence of a repeated bootstrap", &SequenceError{mark, 1}, nil, arrives(fromWorker("w", 1, BootstrapReady{"w"}))},
		{"sequence zero of a bootstrap", &SequenceError{0, 0}, nil, arrives(fromWorker("new", 0, BootstrapReady{"new"}))},
		{"sequence zero of a bootstrap, nobody active", &SequenceError{0, 0}, lost, arrives(fromWorker("new", 0, BootstrapFailed{"new", ""}))},
		{"stranger", &WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "x", Expected: new("w")}, nil, arrives(fromWorker("x", fresh, Diagnostic{}))},
		{"stranger, nobody active", &WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "w"}, lost, arrives(fromWorker("w", fresh, Diagnostic{}))},
		{"stranger without a name", &WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "", Expected: new("w")}, nil, arrives(fromWorker("", fresh, Diagnostic{}))},
		{"retired, ready", &WorkerError{Kind: ErrRetiredWorker, WorkerID: "old"}, nil, arrives(fromWorker("old", fresh, BootstrapReady{"old"}))},
		{"retired, failed", &WorkerError{Kind: ErrRetiredWorker, WorkerID: "old"}, nil, arrives(fromWorker("old", fresh, BootstrapFailed{"old", ""}))},
		{"retired, nobody active", &WorkerError{Kind: ErrRetiredWorker, WorkerID: "w"}, lost, arrives(fromWorker("w", fresh, BootstrapReady{"w"}))},

		{"no envelope", invalid("envelope", "is nil"), nil, func(h *hostScene) error { return h.HandleInbound(nil) }},
		{"no proof", invalid("envelope", "was not made by Verify"), nil, func(h *hostScene) error { return h.HandleVerified(Verified{}) }},
	}
	for _, op := range everyOp("w") {
		if op.Type().Sender() == SenderCoordinator {
			rows = append(rows, hostRefusal{"direction, " + op.Type().String(), &DirectionError{op.Type()}, nil, arrives(fromHost(fresh, op))})
		}
	}
	for name, r := range refusedEnvelopes() {
		rows = append(rows, hostRefusal{name, r.want, nil, arrives(r.env)})
	}
	for name, r := range refusedTexts {
		rows = append(rows, hostRefusal{name, r.want, nil, arrivesAs(r.text)})
	}
	return rows
}

func TestRefusalsLeaveTheCoordinatorDeeplyEqual(t *testing.T) {
	untested := maps.Clone(errorKinds)
	for _, answer := range []string{ // to a message that counts as received, or of the other half
		"TerminalStatusSnapshot", "InvalidStatusSnapshotState", "UnexpectedCompletionPhase", "BootstrapFailed", "AlreadyAnnounced",
	} {
		delete(untested, answer)
	}
	for _, r := range hostRefusals() {
		t.Run(r.name, func(t *testing.T) {
			h := busyHostScene(t)
			if r.setup != nil {
				r.setup(h)
			}
			h.refuses(r.want, func() error { return r.call(h) })
		})
		delete(untested, kindOf(r.want))
	}
	assert.Empty(t, untested, "every kind of refusal is in the table")
}

func kindOf(err error) string { return describeError(err).(map[string]any)["kind"].(string) }

// The order of checks.

// A reason makes a case one to be refused.
type reason[Case any] struct {
	kind  error
	cause func(c Case)
}

// firstReasonWins tries every combination of reasons, which stand in the order of the checks: the
// answer is that of the first. Without any, the call is not refused.
func firstReasonWins[Case any](t *testing.T, reasons []reason[Case], start func() Case, call func(c Case) error) {
	t.Helper()
	for set := range 1 << len(reasons) {
		var want error
		c := start()
		for i, r := range reasons {
			if set>>i&1 == 0 {
				continue
			}
			r.cause(c)
			if want == nil {
				want = r.kind
			}
		}
		assert.ErrorIs(t, call(c), want, "reasons %0*b, read from the right", len(reasons), set)
	}
}

// A hostCase is a call of the host: its arguments may be at fault, and the state of the coordinator.
type hostCase struct {
	*hostScene
	job    SpawnJob
	reason string
}

func TestChecksOfHostCallsComeInTheOrderOfTheTable(t *testing.T) {
	type reasons = []reason[*hostCase]
	var (
		notReady = reason[*hostCase]{ErrWorkerNotReady, func(c *hostCase) { c.WorkerLost() }}
		shutdown = reason[*hostCase]{ErrShutdownInProgress, func(c *hostCase) { c.ok(c.RequestShutdown("")) }}
		size     = reason[*hostCase]{ErrPayloadTooLarge, func(c *hostCase) { c.job.Payload = oversized }}
		text     = reason[*hostCase]{ErrInvalidValue, func(c *hostCase) { c.reason = illFormed }}
		job      = func(id JobState, kind error) reason[*hostCase] {
			return reason[*hostCase]{kind, func(c *hostCase) { c.job.JobID = uint64(id) }}
		}
		spawn    = func(c *hostCase) error { return c.SpawnJob(c.job) }
		cancel   = func(c *hostCase) error { return c.CancelJob(c.job.JobID, c.reason) }
		poll     = func(c *hostCase) error { return c.PollStatus(c.job.JobID) }
		stop     = func(c *hostCase) error { return c.RequestShutdown(c.reason) }
		newID    = JobState(99)
		startNew = func() *hostCase { return &hostCase{busyHostScene(t), jobOf(99), ""} }
		startOld = func() *hostCase { return &hostCase{busyHostScene(t), jobOf(1), ""} }
	)
	firstReasonWins(t, reasons{notReady, shutdown, size, job(StateQueued, ErrDuplicateJobID)}, startNew, spawn)
	firstReasonWins(t, reasons{notReady, shutdown, size, job(StateCompleted, ErrDuplicateJobID)}, startNew, spawn)
	firstReasonWins(t, reasons{text, shutdown, job(newID, ErrUnknownJobID)}, startOld, cancel)
	firstReasonWins(t, reasons{text, shutdown, job(StateFailed, ErrInvalidTransition)}, startOld, cancel)
	firstReasonWins(t, reasons{shutdown, job(newID, ErrUnknownJobID)}, startOld, poll)
	firstReasonWins(t, reasons{shutdown, job(StateCompleted, ErrJobNotPollable)}, startOld, poll)
	firstReasonWins(t, reasons{text, shutdown}, startOld, stop)
}

// An inboundCase is a message to a busyHostScene, and how it is damaged.
type inboundCase struct {
	worker  *string
	seq     uint64
	op      Op
	version uint32
	damage  uint64
}

func (c *inboundCase) envelope() Envelope {
	h := Header{MessageID: c.seq, SeqNo: c.seq}
	env := NewEnvelope(h, c.op)
	if c.worker != nil {
		env = NewWorkerEnvelope(*c.worker, h, c.op)
	}
	env.Version = c.version
	env.ReplayHash += c.damage
	return env
}

func TestChecksOfInboundMessagesComeInTheOrderOfTheSteps(t *testing.T) {
	type reasons = []reason[*inboundCase]
	var (
		version = reason[*inboundCase]{ErrVersionMismatch, func(c *inboundCase) { c.version = 2 }}
		damage  = reason[*inboundCase]{ErrReplayHashMismatch, func(c *inboundCase) { c.damage = 1 }}
		toHost  = reason[*inboundCase]{ErrUnexpectedDirection, func(c *inboundCase) { c.worker, c.op = nil, PollStatus{99} }}
		seqZero = reason[*inboundCase]{ErrInboundSequenceNotFresh, func(c *inboundCase) { c.seq = 0 }}
		job     = reason[*inboundCase]{ErrUnknownJobID, func(c *inboundCase) {
			if c.worker != nil {
				c.op = JobCompleted{99, OutcomeOk{}}
			}
		}}
		from = func(worker string, kind error) reason[*inboundCase] {
			return reason[*inboundCase]{kind, func(c *inboundCase) {
				if c.worker == nil {
					return
				}
				c.worker = &worker
				if c.op.Type() == OpBootstrapReady {
					c.op = BootstrapReady{worker}
				}
			}}
		}
		message   = func() *inboundCase { return &inboundCase{new("w"), 1000, Diagnostic{}, 1, 0} }
		bootstrap = func() *inboundCase { return &inboundCase{new("new"), 1000, BootstrapReady{"new"}, 1, 0} }
		deliver   = func(c *inboundCase) error {
			h := busyHostScene(t)
			env := c.envelope()
			return h.HandleInbound(&env)
		}
	)
	firstReasonWins(t, reasons{version, damage, toHost, seqZero, job}, message, deliver)
	firstReasonWins(t, reasons{version, damage, toHost, from("old", ErrWorkerSessionMismatch), seqZero, job}, message, deliver)
	firstReasonWins(t, reasons{version, damage, toHost, from("old", ErrRetiredWorker), seqZero}, bootstrap, deliver)
}

func TestASnapshotIsCheckedForItsStateBeforeItsJob(t *testing.T) {
	h := busyHostScene(t)
	h.objects(&JobError{ErrTerminalStatusSnapshot, 99, StateFailed}, StatusSnapshot{99, StateFailed, nil})
	h.objects(&JobError{ErrInvalidStatusSnapshotState, 99, StateCreated}, StatusSnapshot{99, StateCreated, nil})
	h.objects(&JobError{ErrTerminalStatusSnapshot, 3, StateCompleted}, StatusSnapshot{3, StateCompleted, nil})
	h.objects(&JobError{ErrInvalidStatusSnapshotState, 3, StateCancelRequested}, StatusSnapshot{3, StateCancelRequested, nil})
}

// Shutting down.

func TestShutdownFromRequestToCompletion(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	h.into(2, StateRunning)
	h.ok(h.RequestShutdown("closing time"))
	assert.True(t, h.ShutdownRequested())
	assert.True(t, h.WorkerReady())
	h.sends(ShutdownWorker{"closing time"})
	h.hears(JobCompleted{1, OutcomeOk{}}) // a job may still make it
	h.is(1, StateCompleted)
	h.hears(ShutdownCompleted{})
	h.is(1, StateCompleted)
	h.is(2, StateFailed)
	assert.False(t, h.ShutdownRequested())
	assert.False(t, h.WorkerReady())
	_, active := h.ActiveWorker()
	assert.False(t, active)
	h.sends()
}

func TestShutdownNeedsNoReadyWorker(t *testing.T) {
	h := newHostScene(t)
	h.ok(h.RequestShutdown("early"))
	h.sends(ShutdownWorker{"early"})
	h.announces("w") // which begins anew
	assert.False(t, h.ShutdownRequested())
	h.ok(h.SpawnJob(jobOf(1)))
}

func TestShutdownCompletionEndsTheSessionUnaskedToo(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	h.hears(ShutdownCompleted{})
	h.is(1, StateFailed)
	assert.False(t, h.WorkerReady())
}

func TestSpawnCancelAndPollAreRefusedDuringShutdownWithoutChangingTheJob(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	h.ok(h.RequestShutdown(""))
	h.refuses(ErrShutdownInProgress, func() error { return h.SpawnJob(jobOf(2)) })
	h.refuses(ErrShutdownInProgress, func() error { return h.CancelJob(1, "") })
	h.refuses(ErrShutdownInProgress, func() error { return h.PollStatus(1) })
	h.refuses(ErrShutdownInProgress, func() error { return h.RequestShutdown("again") })
	assert.Equal(t, []TrackedJob{{JobID: 1, RegionID: 10, State: StateRunning, LastSeqNo: 1}}, collect(h.Jobs()))
	h.sends(ShutdownWorker{""})
}

func TestShutdownDropsQueuedSpawnsPollsAndCancels(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	h.into(2, StateRunning)
	h.ok(h.SpawnJob(jobOf(3)))
	h.ok(h.PollStatus(1))
	h.ok(h.CancelJob(2, ""))
	h.ok(h.RequestShutdown("now"))
	h.sends(ShutdownWorker{"now"})
	h.is(3, StateQueued) // it fails when the worker is done
	h.hears(ShutdownCompleted{})
	h.is(3, StateFailed)
}

func TestAcknowledgementAndDrainCompletionDuringShutdownEmitNothing(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateCancelRequested)
	h.into(2, StateDraining)
	h.ok(h.RequestShutdown(""))
	h.sends(ShutdownWorker{""})
	h.objects(nil, CancelAcknowledged{1})
	h.objects(nil, DrainCompleted{2})
	h.sends()
	h.is(1, StateCancelRequested)
	h.is(2, StateDraining)
}

func TestJobsInEveryPhaseFailWhenShutdownCompletes(t *testing.T) {
	h := busyHostScene(t)
	h.ok(h.RequestShutdown(""))
	h.hears(ShutdownCompleted{})
	for s := StateQueued; s <= StateFailed; s++ {
		if s == StateCompleted {
			h.is(uint64(s), StateCompleted)
			continue
		}
		h.is(uint64(s), StateFailed)
	}
	assert.Equal(t, 0, h.InflightCount())
	h.sends()
}

// Sessions.

func TestMessagesInTheWrongDirectionAreRefusedAndLeaveTheInboundSequence(t *testing.T) {
	h := readyHostScene(t)
	for _, op := range everyOp("w") {
		if op.Type().Sender() == SenderCoordinator {
			echo := fromHost(math.MaxUint64, op)
			h.refuses(&DirectionError{op.Type()}, func() error { return h.HandleInbound(&echo) })
		}
	}
	h.hears(Diagnostic{}) // the worker is not locked out
}

func TestRepeatedOutOfOrderAndStaleSequencesAreRefused(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	h.seq = 10
	h.hears(Diagnostic{})                                // a gap is no harm
	for _, stale := range []uint64{11, 10, 5, 2, 1, 0} { // 5 never came, and comes too late
		h.ignores(&SequenceError{11, stale}, "w", stale, JobCompleted{1, OutcomeOk{}})
	}
	h.seq = math.MaxUint64 - 1
	h.hears(Diagnostic{})
	h.ignores(&SequenceError{math.MaxUint64, 0}, "w", 0, Diagnostic{})
}

func TestAMessageThatIsAnsweredWithAnErrorStillCounts(t *testing.T) {
	h := readyHostScene(t)
	h.objects(&JobError{Kind: ErrUnknownJobID, JobID: 1}, JobCompleted{1, OutcomeOk{}})
	h.ignores(&SequenceError{h.seq, h.seq}, "w", h.seq, JobCompleted{1, OutcomeOk{}})
}

func TestAFreshBootstrapAfterShutdownOpensANewSession(t *testing.T) {
	h := readyHostScene(t)
	h.ok(h.RequestShutdown(""))
	h.hears(ShutdownCompleted{})
	h.announces("next")
	assert.True(t, h.WorkerReady())
	h.into(1, StateRunning)
}

func TestAFreshBootstrapAfterAFailedOneOpensANewSession(t *testing.T) {
	h := newHostScene(t)
	failed := &WorkerError{Kind: ErrBootstrapFailed, WorkerID: "w", Reason: "no memory"}
	assert.Equal(t, failed, h.from("w", 1, BootstrapFailed{"w", "no memory"}))
	assert.False(t, h.WorkerReady())
	_, active := h.ActiveWorker()
	assert.False(t, active)
	h.announces("next")
	h.into(1, StateRunning)
}

func TestAFreshBootstrapOverALiveSessionEndsIt(t *testing.T) {
	h := busyHostScene(t)
	h.ok(h.RequestShutdown(""))
	h.announces("next")
	worker, active := h.ActiveWorker()
	assert.True(t, active)
	assert.Equal(t, "next", worker)
	assert.True(t, h.WorkerReady())
	assert.False(t, h.ShutdownRequested())
	assert.Equal(t, 0, h.InflightCount())
	h.sends()
	h.into(100, StateRunning)
	assert.Equal(t, 1, h.InflightCount())
}

func TestAFailedBootstrapOverALiveSessionEndsBoth(t *testing.T) {
	h := busyHostScene(t)
	failed := &WorkerError{Kind: ErrBootstrapFailed, WorkerID: "next", Reason: "no"}
	assert.Equal(t, failed, h.from("next", 1, BootstrapFailed{"next", "no"}))
	assert.False(t, h.WorkerReady())
	_, active := h.ActiveWorker()
	assert.False(t, active)
	assert.Equal(t, 0, h.InflightCount())
	h.is(uint64(StateRunning), StateFailed)
	h.sends()
	for _, ended := range []string{"w", "next"} {
		h.ignores(&WorkerError{Kind: ErrRetiredWorker, WorkerID: ended}, ended, 1000, BootstrapReady{ended})
	}
}

func TestTheActiveWorkerMayAnnounceItselfAgainOrFail(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	h.ok(h.RequestShutdown(""))
	h.hears(BootstrapReady{"w"}) // the same session goes on, without the shutdown
	assert.False(t, h.ShutdownRequested())
	h.is(1, StateRunning)
	h.sends(ShutdownWorker{""})
	failed := &WorkerError{Kind: ErrBootstrapFailed, WorkerID: "w", Reason: "gone"}
	assert.Equal(t, failed, h.from("w", h.seq+1, BootstrapFailed{"w", "gone"}))
	h.is(1, StateFailed)
	assert.False(t, h.WorkerReady())
}

// TestQueuedAndRunningWorkEndsWithItsWorker has a job with a message about it still in the outbox, and
// the worker gone in every way: the job fails, and the message never goes to the next worker.
func TestQueuedAndRunningWorkEndsWithItsWorker(t *testing.T) {
	work := map[string]func(h *hostScene){
		"a running job":     func(h *hostScene) { h.into(1, StateRunning) },
		"a queued spawn":    func(h *hostScene) { h.ok(h.SpawnJob(jobOf(1))) },
		"a queued poll":     func(h *hostScene) { h.into(1, StateRunning); h.ok(h.PollStatus(1)) },
		"a queued cancel":   func(h *hostScene) { h.into(1, StateRunning); h.ok(h.CancelJob(1, "")) },
		"a queued drain":    func(h *hostScene) { h.into(1, StateCancelRequested); h.hears(CancelAcknowledged{1}) },
		"a queued finalize": func(h *hostScene) { h.into(1, StateDraining); h.hears(DrainCompleted{1}) },
	}
	ends := map[string]func(h *hostScene){
		"is replaced": func(h *hostScene) { h.announces("next") },
		"is done":     func(h *hostScene) { h.hears(ShutdownCompleted{}); h.announces("next") },
		"fails": func(h *hostScene) {
			assert.Error(h.t, h.from("w", h.seq+1, BootstrapFailed{"w", ""}))
			h.announces("next")
		},
		"is followed by none": func(h *hostScene) { assert.Error(h.t, h.from("x", 1, BootstrapFailed{"x", ""})); h.announces("next") },
		"is lost":             func(h *hostScene) { h.WorkerLost(); h.announces("next") },
	}
	for queued, prepare := range work {
		for ends, end := range ends {
			t.Run(queued+" when the worker "+ends, func(t *testing.T) {
				h := readyHostScene(t)
				prepare(h)
				assert.Equal(t, 1, h.InflightCount())
				end(h)
				h.is(1, StateFailed)
				assert.Equal(t, 0, h.InflightCount())
				h.sends()
				assert.True(t, h.WorkerReady())
				h.objects(&JobError{ErrUnexpectedCompletionPhase, 1, StateFailed}, JobCompleted{1, OutcomeOk{}})
			})
		}
	}
}

func TestTheHighWaterMarkIsKeptUntilTheNextBootstrap(t *testing.T) {
	for name, end := range map[string]func(h *hostScene){
		"done": func(h *hostScene) { h.hears(ShutdownCompleted{}) },
		"lost": func(h *hostScene) { h.seq++; h.hears(Diagnostic{}); h.WorkerLost() },
	} {
		t.Run(name, func(t *testing.T) {
			h := readyHostScene(t)
			h.seq = 40
			end(h)
			assert.Equal(t, h.seq, h.lastSeen)
			h.ignores(&WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "w"}, "w", h.seq+1, Diagnostic{})
			h.announces("next")
			assert.Equal(t, uint64(1), h.lastSeen)
			h.hears(Diagnostic{})
		})
	}
}

func TestReplayedBootstrapsOfTheSameSessionAreRefused(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	h.ignores(&SequenceError{h.seq, 1}, "w", 1, BootstrapReady{"w"})
	h.ignores(&SequenceError{h.seq, 1}, "w", 1, BootstrapFailed{"w", ""})
	h.is(1, StateRunning)
	assert.True(t, h.WorkerReady())
}

func TestABootstrapOfAnEndedWorkerIsRefused(t *testing.T) {
	for name, end := range map[string]func(h *hostScene){
		"done":     func(h *hostScene) { h.hears(ShutdownCompleted{}) },
		"failed":   func(h *hostScene) { assert.Error(t, h.from("w", 2, BootstrapFailed{"w", ""})) },
		"lost":     func(h *hostScene) { h.WorkerLost() },
		"replaced": func(h *hostScene) { h.announces("next"); h.into(1, StateRunning) },
	} {
		t.Run(name, func(t *testing.T) {
			h := readyHostScene(t)
			end(h)
			for _, seq := range []uint64{0, 1, 2, 1000} {
				h.ignores(&WorkerError{Kind: ErrRetiredWorker, WorkerID: "w"}, "w", seq, BootstrapReady{"w"})
				h.ignores(&WorkerError{Kind: ErrRetiredWorker, WorkerID: "w"}, "w", seq, BootstrapFailed{"w", ""})
			}
		})
	}
}

func TestALateBootstrapOfAnEndedWorkerLeavesItsSuccessorAlone(t *testing.T) {
	h := newHostScene(t)
	for _, worker := range []string{"a", "b", "c"} {
		h.announces(worker)
	}
	h.into(1, StateRunning)
	for _, ended := range []string{"a", "b"} {
		h.ignores(&WorkerError{Kind: ErrRetiredWorker, WorkerID: ended}, ended, 1000, BootstrapReady{ended})
	}
	h.hears(JobCompleted{1, OutcomeOk{}})
	h.is(1, StateCompleted)
}

func TestMessagesOfTheOldWorkerAreRefusedAfterTheNewOneIsUp(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	h.announces("next")
	h.into(2, StateCancelRequested)
	for _, op := range everyOp("w") {
		if op.Type().Sender() == SenderWorker && !op.Type().bootstrap() {
			h.ignores(&WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "w", Expected: new("next")}, "w", 1000, op)
		}
	}
}

func TestARefusedBootstrapLeavesTheLiveSessionAlone(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	h.ignores(&SequenceError{0, 0}, "next", 0, BootstrapReady{"next"})
	h.hears(JobCompleted{1, OutcomeOk{}})
	h.announces("next") // and the refused one is not taken for an ended worker
}

func TestAWorkerWithAnEmptyIDIsAWorkerLikeAnother(t *testing.T) {
	h := newHostScene(t)
	h.announces("")
	worker, active := h.ActiveWorker()
	assert.True(t, active)
	assert.Empty(t, worker)
	h.into(1, StateRunning)
	h.announces("next")
	h.ignores(&WorkerError{Kind: ErrRetiredWorker, WorkerID: ""}, "", 1, BootstrapReady{""})
}

func TestTheLatest1024EndedWorkersAreRememberedAndTheOldestForgottenFirst(t *testing.T) {
	h := newHostScene(t)
	for i := range 1027 { // 1026 end, and 0 and 1 are forgotten
		h.announces(strconv.Itoa(i))
	}
	assert.Len(t, h.retired.order, 1024)
	assert.LessOrEqual(t, cap(h.retired.order), 2*1024)
	for i := 2; i < 1026; i++ {
		worker := strconv.Itoa(i)
		err := h.from(worker, 1, BootstrapReady{worker})
		require.Equal(t, &WorkerError{Kind: ErrRetiredWorker, WorkerID: worker}, err)
	}
	h.announces("1")
	h.announces("0")
}

// A lost worker.

func TestWorkerLostFailsJobsInEveryPhase(t *testing.T) {
	h := busyHostScene(t)
	h.ok(h.RequestShutdown(""))
	h.WorkerLost()
	for s := StateQueued; s <= StateFailed; s++ {
		if s == StateCompleted {
			h.is(uint64(s), StateCompleted)
			continue
		}
		h.is(uint64(s), StateFailed)
	}
	assert.Equal(t, 0, h.InflightCount())
	assert.False(t, h.WorkerReady())
	assert.False(t, h.ShutdownRequested())
	_, active := h.ActiveWorker()
	assert.False(t, active)
	h.sends()
	h.ignores(&WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "w"}, "w", 1000, Diagnostic{})
}

func TestWorkerLostTwiceIsWorkerLostOnce(t *testing.T) {
	h := busyHostScene(t)
	h.WorkerLost()
	once := clone(h.Coordinator)
	h.WorkerLost()
	assert.Equal(t, once, h.Coordinator)
	h.announces("next")
	h.into(100, StateCompleted)
}

func TestWorkerLostBeforeBootstrapDoesNoHarm(t *testing.T) {
	h := newHostScene(t)
	h.WorkerLost()
	assert.False(t, h.WorkerReady())
	assert.Empty(t, h.Reap())
	h.sends()
	h.announces("w")
	h.into(1, StateCompleted)

	h = newHostScene(t)
	h.ok(h.RequestShutdown("too early"))
	h.WorkerLost() // the request was meant for the worker that never came up
	assert.False(t, h.ShutdownRequested())
	h.sends()
}

// Forgetting.

func TestRemoveForgetsAJobThatHasEndedAndAnswersItsLastState(t *testing.T) {
	h := busyHostScene(t)
	for s := StateQueued; s <= StateFailed; s++ {
		id := uint64(s)
		if s < StateCompleted {
			h.refuses(&JobError{ErrJobNotTerminal, id, s}, func() error { _, err := h.RemoveJob(id); return err })
			continue
		}
		state, err := h.RemoveJob(id)
		h.ok(err)
		assert.Equal(t, s, state)
		_, tracked := h.Job(id)
		assert.False(t, tracked)
		h.refuses(&JobError{Kind: ErrUnknownJobID, JobID: id}, func() error { _, err := h.RemoveJob(id); return err })
	}
	assert.Equal(t, 5, h.InflightCount())
}

func TestReapForgetsEveryJobThatHasEndedByAscendingID(t *testing.T) {
	h := readyHostScene(t)
	for _, id := range []uint64{9, math.MaxUint64, 3, 0, 5} {
		h.into(id, StateRunning)
	}
	assert.Empty(t, h.Reap())
	h.hears(JobCompleted{9, OutcomeOk{}}, JobCompleted{0, OutcomeErr{}})
	assert.Equal(t, []TrackedJob{{JobID: 0, RegionID: 0, State: StateCompleted, LastSeqNo: 4}, {JobID: 9, RegionID: 90, State: StateCompleted, LastSeqNo: 1}}, h.Reap())
	assert.Empty(t, h.Reap())
	h.hears(JobCompleted{5, OutcomeOk{}})
	h.WorkerLost()
	top := uint64(math.MaxUint64)
	assert.Equal(t, []TrackedJob{{JobID: 3, RegionID: 30, State: StateFailed, LastSeqNo: 3}, {JobID: 5, RegionID: 50, State: StateCompleted, LastSeqNo: 5}, {JobID: top, RegionID: 10 * top, State: StateFailed, LastSeqNo: 2}}, h.Reap())
	assert.Empty(t, collect(h.Jobs()))
}

func TestJobsCanBeRemovedInAnyOrder(t *testing.T) {
	ids := []uint64{1, 2, 3, 4}
	for _, order := range [][]uint64{{1, 2, 3, 4}, {4, 3, 2, 1}, {2, 3, 1, 4}, {3, 1, 4, 2}} {
		h := readyHostScene(t)
		for _, id := range ids {
			h.into(id, StateCompleted)
		}
		for i, id := range order {
			_, err := h.RemoveJob(id)
			h.ok(err)
			left := slices.Sorted(slices.Values(order[i+1:]))
			var tracked []uint64
			for job := range h.Jobs() {
				tracked = append(tracked, job.JobID)
			}
			assert.Equal(t, left, tracked)
		}
		assert.Empty(t, h.Reap())
	}
}

func TestARemovedIDMayBeUsedAgain(t *testing.T) {
	for name, forget := range map[string]func(h *hostScene){
		"remove": func(h *hostScene) { _, err := h.RemoveJob(1); h.ok(err) },
		"reap":   func(h *hostScene) { assert.Len(t, h.Reap(), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			h := readyHostScene(t)
			for range 3 {
				h.into(1, StateCompleted)
				forget(h)
			}
			h.into(1, StateRunning)
			h.WorkerLost()
			forget(h)
			h.announces("next")
			h.into(1, StateFinalizing)
			h.hears(FinalizeCompleted{1})
			h.is(1, StateCompleted)
		})
	}
}

func TestTheRoomOfManyForgottenJobsIsGivenBackAndNoneOfTheOthersLost(t *testing.T) {
	const many = 2000
	h := readyHostScene(t)
	for range 2 {
		for id := range uint64(many) {
			h.ok(h.SpawnJob(SpawnJob{JobID: id}))
		}
		for id := range uint64(many - 1) {
			h.hears(JobCompleted{id, OutcomeOk{}})
		}
		assert.Len(t, h.Reap(), many-1)
		h.is(many-1, StateQueued)
		h.WorkerLost()
		assert.Len(t, h.Reap(), 1)
		assert.Nil(t, h.jobs, "a map never shrinks")
		h.announces(h.worker + "+")
	}
	h.into(1, StateCompleted)
}

// Numbers.

func TestSequencesRiseByOneAMessageAcrossSessionsAndDroppedMessages(t *testing.T) {
	h := readyHostScene(t)
	drain := func(want ...uint64) {
		t.Helper()
		var got []uint64
		for env := range h.Outbox() {
			assert.Equal(t, Header{env.SeqNo, env.SeqNo, env.SeqNo, 42, h.Turn()}, env.Header)
			got = append(got, env.SeqNo)
		}
		assert.Equal(t, want, got)
	}
	h.ok(h.SpawnJob(jobOf(1)))
	h.ok(h.PollStatus(1))
	drain(1, 2)
	h.AdvanceTurn()
	h.ok(h.PollStatus(1))
	assert.Error(t, h.PollStatus(99)) // a refused call takes no number
	h.ok(h.CancelJob(1, ""))
	h.ok(h.RequestShutdown("")) // 3 and 4 are dropped
	drain(5)
	h.hears(ShutdownCompleted{})
	h.announces("next")
	h.ok(h.SpawnJob(jobOf(2)))
	drain(6)
}

func TestTheDecisionSequenceIsACounterOfItsOwn(t *testing.T) {
	for _, first := range []uint64{1, 100, 0, math.MaxUint64} {
		c := NewCoordinator(42, WithFirstDecisionSeq(first))
		h := &hostScene{Coordinator: c, t: t}
		h.announces("w")
		h.ok(h.SpawnJob(jobOf(1)))
		h.ok(h.PollStatus(1))
		for i, env := range slices.Collect(h.Outbox()) {
			n := uint64(i)
			assert.Equal(t, Header{n + 1, n + 1, first + n, 42, 0}, env.Header)
		}
	}
}

func TestMessagesCarryTheSeedAndTheTurnInWhichTheyWereMade(t *testing.T) {
	h := readyHostScene(t)
	assert.Equal(t, uint64(42), h.Seed())
	h.ok(h.SpawnJob(jobOf(1)))
	h.AdvanceTurn()
	h.AdvanceTurn()
	assert.Equal(t, uint64(2), h.Turn())
	h.ok(h.PollStatus(1))
	h.AdvanceTurn() // after the fact
	var turns []uint64
	for env := range h.Outbox() {
		assert.Equal(t, uint64(42), env.Seed)
		assert.Nil(t, env.WorkerID)
		turns = append(turns, env.IssuedAtTurn)
	}
	assert.Equal(t, []uint64{0, 2}, turns)
}

func TestTheZeroCoordinatorIsOneWithSeedZero(t *testing.T) {
	play := func(c *Coordinator) (texts []string) {
		h := &hostScene{Coordinator: c, t: t}
		assert.Empty(t, h.Reap())
		assert.Empty(t, collect(h.Jobs()))
		h.sends()
		h.announces("w")
		h.ok(h.SpawnJob(jobOf(1)))
		h.ok(h.CancelJob(1, ""))
		h.hears(CancelAcknowledged{1})
		for env := range h.Outbox() {
			text, err := env.AppendJSON(nil)
			h.ok(err)
			texts = append(texts, string(text))
		}
		return texts
	}
	assert.Equal(t, play(NewCoordinator(0)), play(new(Coordinator)))
}

// The outbox, and looking at jobs.

func TestTheOutboxIsFirstInFirstOut(t *testing.T) {
	for _, burst := range []int{1, 3, 64, 65, 1000} { // drained whole, and in part
		h := readyHostScene(t)
		var queued, taken uint64
		for range 5 {
			for range burst {
				queued++
				h.ok(h.SpawnJob(SpawnJob{JobID: queued}))
			}
			for range (burst + 1) / 2 {
				taken++
				env, ok := h.DrainOutbox()
				require.True(t, ok)
				require.Equal(t, SpawnJob{JobID: taken}, env.Op)
				require.Equal(t, taken, env.SeqNo)
			}
		}
		for env := range h.Outbox() {
			taken++
			require.Equal(t, SpawnJob{JobID: taken}, env.Op)
		}
		assert.Equal(t, queued, taken)
		env, ok := h.DrainOutbox()
		assert.False(t, ok)
		assert.Zero(t, env)
	}
}

func TestOutboxStopsEarlyWithoutLosingTheRest(t *testing.T) {
	h := readyHostScene(t)
	h.ok(h.SpawnJob(jobOf(1)))
	h.ok(h.PollStatus(1))
	h.ok(h.CancelJob(1, ""))
	for env := range h.Outbox() {
		assert.Equal(t, jobOf(1), env.Op)
		break
	}
	h.sends(PollStatus{1}, CancelJob{1, ""})
}

func TestMessagesQueuedWhileTheOutboxIsDrainedAreDrainedToo(t *testing.T) {
	h := readyHostScene(t)
	h.ok(h.SpawnJob(jobOf(1)))
	var ops []Op
	for env := range h.Outbox() {
		ops = append(ops, env.Op)
		if len(ops) == 1 {
			h.ok(h.PollStatus(1))
		}
	}
	assert.Equal(t, []Op{jobOf(1), PollStatus{1}}, ops)
}

func TestOutboxLenTellsHowManyMessagesWait(t *testing.T) {
	h := readyHostScene(t)
	assert.Equal(t, 0, h.OutboxLen())
	h.ok(h.SpawnJob(jobOf(1)))
	h.ok(h.PollStatus(1))
	h.ok(h.CancelJob(1, ""))
	assert.Equal(t, 3, h.OutboxLen())
	_, ok := h.DrainOutbox()
	assert.True(t, ok)
	assert.Equal(t, 2, h.OutboxLen())
	h.ok(h.RequestShutdown(""))
	assert.Equal(t, 1, h.OutboxLen())
	h.WorkerLost()
	assert.Equal(t, 0, h.OutboxLen())
}

func TestALongOutboxGivesItsMemoryBackAsItIsDrained(t *testing.T) {
	const long = 1000
	o := newOutbox[*job](0)
	for range long {
		o.push(PollStatus{1}, nil)
	}
	memory, moves := cap(o.queue), 0
	for o.len() > 0 {
		was := &o.queue[0]
		o.pop(nil)
		if o.len() > 0 && &o.queue[0] != was {
			moves++
		}
		if o.len() <= long/2 {
			assert.Less(t, cap(o.queue), memory*3/4)
		}
	}
	assert.LessOrEqual(t, cap(o.queue), 64)
	assert.LessOrEqual(t, moves, 5, "each copies half of what the one before did")
}

func TestAShortOutboxKeepsItsMemory(t *testing.T) {
	const short = 64
	o := outbox[*job]{queue: make([]queued[*job], 0, short)}
	memory := &o.queue[:1][0]
	for range 3 {
		for range short {
			o.push(PollStatus{1}, nil)
		}
		for o.len() > 0 {
			o.pop(nil)
		}
		assert.Equal(t, short, cap(o.queue))
		assert.Same(t, memory, &o.queue[:1][0])
	}
}

func TestTableReleasesMemoryAsItGetsSmaller(t *testing.T) {
	const many = 100_000
	var jobs table[int]
	for id := range uint64(many) {
		jobs.put(id, int(id))
	}
	for id := range uint64(many - 1) {
		jobs.remove(id)
	}
	assert.Equal(t, map[uint64]int{many - 1: many - 1}, jobs.m)
	assert.LessOrEqual(t, jobs.peak, 1024, "the map is a copy that never had more entries")
}

// TestDrainedAndDiscardedMessagesAreNotKeptAlive watches payloads by weak pointers, which a collection
// clears once nothing else refers to them.
func TestDrainedAndDiscardedMessagesAreNotKeptAlive(t *testing.T) {
	const size = 1 << 10 // not so small that several share an allocation
	for _, n := range []int{10, 200} {
		for name, discard := range map[string]func(h *hostScene){
			"shutdown": func(h *hostScene) { h.ok(h.RequestShutdown("")) },
			"lost":     func(h *hostScene) { h.WorkerLost() },
			"replaced": func(h *hostScene) { h.announces("next") },
			"drained":  func(h *hostScene) { assert.Len(t, slices.Collect(h.Outbox()), n-n*3/4) },
		} {
			t.Run(name+" "+strconv.Itoa(n), func(t *testing.T) {
				h := readyHostScene(t)
				payloads := make([]weak.Pointer[byte], n)
				for i := range payloads {
					payload := make([]byte, size)
					payloads[i] = weak.Make(&payload[0])
					h.ok(h.SpawnJob(SpawnJob{JobID: uint64(i), Payload: payload}))
				}
				alive := func() (count int) {
					runtime.GC()
					for _, p := range payloads {
						if p.Value() != nil {
							count++
						}
					}
					return count
				}
				assert.Equal(t, n, alive(), "what is queued is kept")
				for range n * 3 / 4 {
					_, ok := h.DrainOutbox()
					require.True(t, ok)
				}
				assert.Equal(t, n-n*3/4, alive(), "what is drained is not")
				discard(h)
				assert.Zero(t, alive(), "nor what is discarded")
				runtime.KeepAlive(h)
			})
		}
	}
}

func TestJobsAreListedByAscendingID(t *testing.T) {
	h := readyHostScene(t)
	for _, id := range []uint64{5, math.MaxUint64, 0, 3} {
		h.ok(h.SpawnJob(SpawnJob{JobID: id, RegionID: 1}))
	}
	assert.Equal(t, []TrackedJob{
		{JobID: 0, RegionID: 1, State: StateQueued, LastSeqNo: 3}, {JobID: 3, RegionID: 1, State: StateQueued, LastSeqNo: 4}, {JobID: 5, RegionID: 1, State: StateQueued, LastSeqNo: 1}, {JobID: math.MaxUint64, RegionID: 1, State: StateQueued, LastSeqNo: 2},
	}, collect(h.Jobs()))
	for job := range h.Jobs() {
		assert.Equal(t, uint64(0), job.JobID)
		break
	}
}

func TestTheCoordinatorMayBeCalledWhileItsJobsAreListed(t *testing.T) {
	h := readyHostScene(t)
	for id := range uint64(5) {
		h.into(id, StateRunning)
	}
	h.hears(JobCompleted{2, OutcomeOk{}})
	var seen []TrackedJob
	for job := range h.Jobs() {
		seen = append(seen, job)
		switch job.JobID {
		case 0:
			h.Reap()                    // 2 is forgotten
			h.ok(h.SpawnJob(jobOf(10))) // and 10 comes too late
		case 1:
			h.ok(h.CancelJob(3, ""))
			h.WorkerLost()
		}
	}
	assert.Equal(t, []TrackedJob{
		{JobID: 0, RegionID: 0, State: StateRunning, LastSeqNo: 1}, {JobID: 1, RegionID: 10, State: StateRunning, LastSeqNo: 2}, {JobID: 3, RegionID: 30, State: StateFailed, LastSeqNo: 7}, {JobID: 4, RegionID: 40, State: StateFailed, LastSeqNo: 5},
	}, seen)
}

func TestAJobThatWasHandedOutIsACopy(t *testing.T) {
	h := readyHostScene(t)
	h.into(1, StateRunning)
	for job := range h.Jobs() {
		require.NoError(t, job.TransitionTo(StateCompleted))
	}
	job, _ := h.Job(1)
	require.NoError(t, job.TransitionTo(StateFailed))
	h.is(1, StateRunning)
}

// Job states.

func TestTransitionsAreThoseOfTheTable(t *testing.T) {
	const table = `
from\to          created queued running cancel_requested draining finalizing completed failed
created          -       yes    -       -                -        -          -         yes
queued           -       -      yes     yes              -        -          yes       yes
running          -       -      -       yes              -        -          yes       yes
cancel_requested -       -      -       -                yes      -          yes       yes
draining         -       -      -       -                -        yes        -         yes
finalizing       -       -      -       -                -        -          yes       yes
completed        -       -      -       -                -        -          -         -
failed           -       -      -       -                -        -          -         -
`
	eachCell(table, func(row, column, cell string) {
		from, ok := stateNamed(row)
		require.True(t, ok)
		to, ok := stateNamed(column)
		require.True(t, ok)
		job := TrackedJob{JobID: 7, RegionID: 8, State: from, LastSeqNo: 9}
		err := job.TransitionTo(to)
		assert.Equal(t, cell == "yes", from.CanTransitionTo(to), "%v to %v", from, to)
		if cell == "yes" {
			assert.NoError(t, err, "%v to %v", from, to)
			assert.Equal(t, TrackedJob{JobID: 7, RegionID: 8, State: to, LastSeqNo: 9}, job)
		} else {
			assert.Equal(t, &TransitionError{7, from, to}, err, "%v to %v", from, to)
			assert.Equal(t, TrackedJob{JobID: 7, RegionID: 8, State: from, LastSeqNo: 9}, job)
		}
	})
	for _, unknown := range []JobState{8, 255} {
		for s := StateCreated; s <= StateFailed; s++ {
			assert.False(t, s.CanTransitionTo(unknown))
			assert.False(t, unknown.CanTransitionTo(s))
		}
		job := TrackedJob{State: unknown}
		assert.ErrorIs(t, job.TransitionTo(StateFailed), ErrInvalidTransition)
		assert.False(t, unknown.Terminal())
	}
}

func TestOnlyCompletedAndFailedAreTerminal(t *testing.T) {
	for s := StateCreated; s <= StateFailed; s++ {
		assert.Equal(t, s == StateCompleted || s == StateFailed, s.Terminal(), s.String())
	}
}
