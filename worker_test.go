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

// A workerScene is a worker under test. The scene speaks for the coordinator, in bytes, so that a test
// reads as a transcript of what is heard, called and sent.
type workerScene struct {
	*Worker
	t   *testing.T
	seq uint64 // the coordinator's last message
}

func newWorkerScene(t *testing.T) *workerScene {
	return &workerScene{Worker: NewWorker("w", 42), t: t}
}

// readyWorkerScene begins when the worker has announced itself.
func readyWorkerScene(t *testing.T) *workerScene {
	w := newWorkerScene(t)
	w.ok(w.Announce())
	w.sends(BootstrapReady{"w"})
	return w
}

// workerPhases are the phases of a job on the worker's side, in the order of a life.
var workerPhases = []string{"queued", "running", "cancel_requested", "acknowledged", "draining", "drained", "finalizing"}

// busyWorkerScene is in the middle of everything: jobs 0 to 6 in each of the phases; a later turn; two
// reports to be sent.
func busyWorkerScene(t *testing.T) *workerScene {
	w := readyWorkerScene(t)
	for id, phase := range workerPhases {
		w.into(uint64(id), phase)
	}
	w.AdvanceTurn()
	w.ok(w.Report(0, "waiting"))
	w.ok(w.Report(1, "half way"))
	return w
}

// from delivers a message of the coordinator.
func (w *workerScene) from(seq uint64, op Op) error {
	w.t.Helper()
	text, err := fromHost(seq, op).AppendJSON(nil)
	require.NoError(w.t, err)
	_, err = w.Receive(text)
	return err
}

// hears delivers the coordinator's next messages, which are all in order.
func (w *workerScene) hears(ops ...Op) {
	w.t.Helper()
	for _, op := range ops {
		w.seq++
		require.NoError(w.t, w.from(w.seq, op))
	}
}

// objects delivers the coordinator's next message, which counts as received and changes nothing else.
func (w *workerScene) objects(want error, op Op) {
	w.t.Helper()
	w.seq++
	after := cloneWorker(w.Worker)
	after.lastSeen = w.seq
	assert.Equal(w.t, want, w.from(w.seq, op))
	assert.Equal(w.t, after, w.Worker, "nothing changes but the highest sequence seen")
}

// refuses makes a call that is refused and changes nothing.
func (w *workerScene) refuses(want error, call func() error) {
	w.t.Helper()
	before := cloneWorker(w.Worker)
	assert.Equal(w.t, want, call())
	assert.Equal(w.t, before, w.Worker, "a refusal changes nothing")
}

func (w *workerScene) ok(err error) {
	w.t.Helper()
	require.NoError(w.t, err)
}

// sends empties the outbox, in which these messages are, all of them valid, and no others.
func (w *workerScene) sends(want ...Op) {
	w.t.Helper()
	var got []Op
	for env := range w.Outbox() {
		assert.NoError(w.t, env.Validate())
		assert.Equal(w.t, w.ID(), *env.WorkerID)
		got = append(got, env.Op)
	}
	assert.Equal(w.t, want, got)
}

// is compares the state of a job.
func (w *workerScene) is(id uint64, want JobState) {
	w.t.Helper()
	got, ok := w.JobState(id)
	assert.True(w.t, ok, "the worker has job %d", id)
	assert.Equal(w.t, want.String(), got.String(), "state of job %d", id)
}

// forgot tells that the worker has no such job.
func (w *workerScene) forgot(id uint64) {
	w.t.Helper()
	job, ok := w.Job(id)
	assert.False(w.t, ok, "the worker has job %d", id)
	assert.Zero(w.t, job)
}

// into gives the worker a job and takes it to a phase, and all messages on the way are sent.
func (w *workerScene) into(id uint64, phase string) {
	w.t.Helper()
	if phase == "unknown" {
		return
	}
	steps := []func(){
		func() { w.hears(jobOf(id)) },
		func() { w.ok(w.Start(id)) },
		func() { w.hears(CancelJob{id, "enough"}) },
		func() { w.ok(w.AcknowledgeCancel(id)) },
		func() { w.hears(DrainJob{id}) },
		func() { w.ok(w.CompleteDrain(id)) },
		func() { w.hears(FinalizeJob{id}) },
	}
	for _, step := range steps[:1+slices.Index(workerPhases, phase)] {
		step()
	}
	for range w.Outbox() {
	}
}

// A life.

func TestAWorkersWholeLife(t *testing.T) {
	w := newWorkerScene(t)
	assert.Equal(t, "w", w.ID())
	assert.Equal(t, uint64(42), w.Seed())
	assert.False(t, w.Ready())
	w.ok(w.Announce())
	assert.True(t, w.Ready())
	w.sends(BootstrapReady{"w"})

	w.hears(jobOf(1), jobOf(2))
	assert.Equal(t, []TrackedJob{{JobID: 1, RegionID: 10, State: StateQueued, LastSeqNo: 0}, {JobID: 2, RegionID: 20, State: StateQueued, LastSeqNo: 0}}, collect(w.Jobs()))
	assert.Equal(t, 2, w.InflightCount())
	w.ok(w.Start(1))
	w.is(1, StateRunning)
	w.ok(w.Report(1, "half way"))
	w.ok(w.Diagnose(Diagnostic{LevelWarn, "gc", "slow", nil}))
	w.ok(w.Complete(1, OutcomeOk{[]byte("result")}))
	w.forgot(1)
	w.ok(w.Complete(2, OutcomeErr{"E", "no"}))
	assert.Equal(t, 0, w.InflightCount())
	w.sends(
		StatusSnapshot{1, StateRunning, nil},
		StatusSnapshot{1, StateRunning, new("half way")},
		Diagnostic{LevelWarn, "gc", "slow", nil},
		JobCompleted{1, OutcomeOk{[]byte("result")}},
		JobCompleted{2, OutcomeErr{"E", "no"}},
	)

	w.hears(ShutdownWorker{"closing time"})
	assert.True(t, w.ShutdownRequested())
	assert.False(t, w.Closed())
	w.ok(w.CompleteShutdown())
	w.sends(ShutdownCompleted{})
	assert.True(t, w.Closed())
	assert.False(t, w.Ready())
}

func TestAWorkerThatCannotStartFailsWithAReason(t *testing.T) {
	w := newWorkerScene(t)
	w.ok(w.Fail("no memory"))
	w.sends(BootstrapFailed{"w", "no memory"})
	assert.True(t, w.Closed())
	assert.False(t, w.Ready())
}

func TestAReadyWorkerMayFailToo(t *testing.T) {
	w := readyWorkerScene(t)
	w.into(1, "running")
	w.ok(w.Report(1, "so far so good"))
	w.ok(w.Fail("out of memory"))
	w.sends(StatusSnapshot{1, StateRunning, new("so far so good")}, BootstrapFailed{"w", "out of memory"})
	assert.True(t, w.Closed())
	w.forgot(1)
}

func TestAWorkerMayCompleteItsShutdownUnaskedAndWithJobs(t *testing.T) {
	w := busyWorkerScene(t)
	assert.False(t, w.ShutdownRequested())
	for range w.Outbox() {
	}
	w.ok(w.CompleteShutdown())
	w.sends(ShutdownCompleted{})
	assert.Empty(t, collect(w.Jobs()))
	assert.Equal(t, 0, w.InflightCount())
}

func TestAWorkerGoesOnWithItsJobsAfterAShutdownRequest(t *testing.T) {
	w := readyWorkerScene(t)
	w.into(1, "queued")
	w.into(2, "cancel_requested")
	w.hears(ShutdownWorker{""})
	w.ok(w.Start(1))
	w.ok(w.Complete(1, OutcomeOk{}))
	w.ok(w.AcknowledgeCancel(2))
	w.sends(StatusSnapshot{1, StateRunning, nil}, JobCompleted{1, OutcomeOk{}}, CancelAcknowledged{2})
}

func TestAWorkerSendsNothingButItsBootstrapBeforeItHasAnnouncedItself(t *testing.T) {
	w := newWorkerScene(t)
	w.hears(jobOf(1), jobOf(2), PollStatus{1}, CancelJob{2, ""}) // what arrives counts all the same
	w.is(1, StateQueued)
	w.is(2, StateCancelRequested)
	for name, call := range applicationCalls(1) {
		if name != "Announce" && name != "Fail" {
			w.refuses(ErrWorkerNotReady, func() error { return call(w.Worker) })
		}
	}
	w.sends()
	w.ok(w.Announce())
	w.sends(BootstrapReady{"w"})
	w.hears(PollStatus{1})
	w.ok(w.AcknowledgeCancel(2))
	w.sends(StatusSnapshot{1, StateQueued, nil}, CancelAcknowledged{2})
}

func TestAWorkerAnnouncesItselfOnce(t *testing.T) {
	w := readyWorkerScene(t)
	w.refuses(ErrAlreadyAnnounced, w.Announce)
	w.sends()
}

func TestAClosedWorkerRefusesEveryCallAndIgnoresWhateverArrives(t *testing.T) {
	for name, end := range map[string]func(w *Worker) error{
		"failed before it was ready": func(w *Worker) error { return w.Fail("no") },
		"failed":                     func(w *Worker) error { return first(w.Announce(), w.Fail("no")) },
		"completed its shutdown":     func(w *Worker) error { return first(w.Announce(), w.CompleteShutdown()) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorkerScene(t)
			w.hears(jobOf(1))
			w.ok(end(w.Worker))
			for range w.Outbox() {
			}
			for _, call := range applicationCalls(1) {
				w.refuses(ErrWorkerNotReady, func() error { return call(w.Worker) })
			}
			for _, op := range everyOp("w") {
				if op.Type().Sender() == SenderCoordinator {
					for _, seq := range []uint64{w.seq + 1, w.seq, 0} {
						w.refuses(nil, func() error { return w.from(seq, op) })
					}
				}
			}
			w.sends()
		})
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// applicationCalls are the application's calls, those about a job with the id.
func applicationCalls(id uint64) map[string]func(w *Worker) error {
	return map[string]func(w *Worker) error{
		"Announce":          (*Worker).Announce,
		"Fail":              func(w *Worker) error { return w.Fail("no") },
		"Start":             func(w *Worker) error { return w.Start(id) },
		"Report":            func(w *Worker) error { return w.Report(id, "half way") },
		"Complete":          func(w *Worker) error { return w.Complete(id, OutcomeOk{}) },
		"AcknowledgeCancel": func(w *Worker) error { return w.AcknowledgeCancel(id) },
		"CompleteDrain":     func(w *Worker) error { return w.CompleteDrain(id) },
		"CompleteFinalize":  func(w *Worker) error { return w.CompleteFinalize(id) },
		"Diagnose":          func(w *Worker) error { return w.Diagnose(Diagnostic{}) },
		"CompleteShutdown":  (*Worker).CompleteShutdown,
	}
}

// Jobs.

func TestTheWorkersHalfOfTheCancelHandshake(t *testing.T) {
	for _, phase := range []string{"queued", "running"} {
		w := readyWorkerScene(t)
		w.into(1, phase)
		w.hears(CancelJob{1, "not needed"})
		w.is(1, StateCancelRequested)
		w.sends() // the answer is the application's
		w.ok(w.AcknowledgeCancel(1))
		w.sends(CancelAcknowledged{1})
		w.hears(DrainJob{1})
		w.is(1, StateDraining)
		w.ok(w.CompleteDrain(1))
		w.sends(DrainCompleted{1})
		w.hears(FinalizeJob{1})
		w.is(1, StateFinalizing)
		assert.Equal(t, 1, w.InflightCount())
		w.ok(w.CompleteFinalize(1))
		w.sends(FinalizeCompleted{1})
		w.forgot(1)
		assert.Equal(t, 0, w.InflightCount())
	}
}

// callsInPhases is section 10: what a call of the application, or a message of the coordinator, does for
// each phase of the job that it is about. A state is where the job goes, "gone" that it has ended, "-"
// that it stays where it is, with what is then sent; else it is the error's kind. A job that is
// acknowledged or drained has been answered by the application, and waits for the coordinator.
const callsInPhases = `
call              unknown      queued                     running                  cancel_requested           acknowledged               draining                   drained                    finalizing
Start             UnknownJobID running+StatusSnapshot     InvalidTransition        InvalidTransition          InvalidTransition          InvalidTransition          InvalidTransition          InvalidTransition
Report            UnknownJobID -+StatusSnapshot           -+StatusSnapshot         InvalidStatusSnapshotState InvalidStatusSnapshotState InvalidStatusSnapshotState InvalidStatusSnapshotState InvalidStatusSnapshotState
Complete          UnknownJobID gone+JobCompleted          gone+JobCompleted        gone+JobCompleted          UnexpectedCompletionPhase  UnexpectedCompletionPhase  UnexpectedCompletionPhase  UnexpectedCompletionPhase
AcknowledgeCancel UnknownJobID InvalidTransition          InvalidTransition        -+CancelAcknowledged       InvalidTransition          InvalidTransition          InvalidTransition          InvalidTransition
CompleteDrain     UnknownJobID InvalidTransition          InvalidTransition        InvalidTransition          InvalidTransition          -+DrainCompleted           InvalidTransition          InvalidTransition
CompleteFinalize  UnknownJobID InvalidTransition          InvalidTransition        InvalidTransition          InvalidTransition          InvalidTransition          InvalidTransition          gone+FinalizeCompleted

SpawnJob          queued       DuplicateJobID             DuplicateJobID           DuplicateJobID             DuplicateJobID             DuplicateJobID             DuplicateJobID             DuplicateJobID
PollStatus        -            -+StatusSnapshot           -+StatusSnapshot         -                          -                          -                          -                          -
CancelJob         -            cancel_requested           cancel_requested         InvalidTransition          InvalidTransition          InvalidTransition          InvalidTransition          InvalidTransition
DrainJob          UnknownJobID InvalidTransition          InvalidTransition        InvalidTransition          draining                   InvalidTransition          InvalidTransition          InvalidTransition
FinalizeJob       UnknownJobID InvalidTransition          InvalidTransition        InvalidTransition          InvalidTransition          InvalidTransition          finalizing                 InvalidTransition
`

func TestEveryCallAndMessageInEveryPhaseOfAJobDoesWhatTheTableSays(t *testing.T) {
	calls := applicationCalls(1)
	messages := map[string]Op{
		"SpawnJob": jobOf(1), "PollStatus": PollStatus{1}, "CancelJob": CancelJob{1, ""}, "DrainJob": DrainJob{1}, "FinalizeJob": FinalizeJob{1},
	}
	next := map[string]JobState{ // for the InvalidTransition
		"Start": StateRunning, "AcknowledgeCancel": StateDraining, "CompleteDrain": StateFinalizing, "CompleteFinalize": StateCompleted,
		"CancelJob": StateCancelRequested, "DrainJob": StateDraining, "FinalizeJob": StateFinalizing,
	}
	eachCell(callsInPhases, func(row, column, cell string) {
		t.Run(row+" when "+column, func(t *testing.T) {
			w := readyWorkerScene(t)
			w.into(1, column)
			before, _ := w.JobState(1)
			op, inbound := messages[row]

			want, refused := map[string]error{
				"UnknownJobID":               &JobError{Kind: ErrUnknownJobID, JobID: 1},
				"DuplicateJobID":             &JobError{Kind: ErrDuplicateJobID, JobID: 1},
				"InvalidTransition":          &TransitionError{1, before, next[row]},
				"InvalidStatusSnapshotState": &JobError{ErrInvalidStatusSnapshotState, 1, before},
				"UnexpectedCompletionPhase":  &JobError{ErrUnexpectedCompletionPhase, 1, before},
			}[cell]
			switch {
			case refused && inbound:
				w.objects(want, op)
				return
			case refused:
				w.refuses(want, func() error { return calls[row](w.Worker) })
				return
			case inbound:
				w.hears(op)
			default:
				w.ok(calls[row](w.Worker))
			}

			state, sent, _ := strings.Cut(cell, "+")
			after, ok := w.JobState(1)
			switch state {
			case "gone":
				assert.False(t, ok)
			case "-":
				assert.Equal(t, column != "unknown", ok)
				assert.Equal(t, before, after)
			default:
				assert.Equal(t, state, after.String())
			}
			var types []string
			for env := range w.Outbox() {
				types = append(types, env.Op.Type().String())
				if job, ok := w.Job(1); ok {
					assert.Equal(t, env.SeqNo, job.LastSeqNo)
				}
			}
			assert.Equal(t, sent, strings.Join(types, " "))
		})
	})
}

func TestPollsAreAnsweredForQueuedAndRunningJobsAndElseInSilence(t *testing.T) {
	w := busyWorkerScene(t)
	for range w.Outbox() {
	}
	w.hears(PollStatus{0})
	w.sends(StatusSnapshot{0, StateQueued, nil})
	w.hears(PollStatus{1})
	w.sends(StatusSnapshot{1, StateRunning, nil})
	for id := uint64(2); id < 7; id++ {
		w.objects(nil, PollStatus{id})
	}
	w.ok(w.Complete(0, OutcomeOk{}))
	w.sends(JobCompleted{0, OutcomeOk{}})
	w.objects(nil, PollStatus{0}) // it ended while the poll travelled
	w.objects(nil, PollStatus{99})
}

func TestEveryOutcomeCompletesAJob(t *testing.T) {
	for _, outcome := range []Outcome{
		OutcomeOk{}, OutcomeOk{oversized[1:]}, OutcomeErr{"E", "no"}, OutcomeCancelled{"gave up"}, OutcomePanicked{"boom"},
	} {
		for _, phase := range []string{"queued", "running", "cancel_requested"} {
			w := readyWorkerScene(t)
			w.into(1, phase)
			w.ok(w.Complete(1, outcome))
			w.sends(JobCompleted{1, outcome})
			w.forgot(1)
		}
	}
}

func TestALateCancelOfAJobThatHasEndedIsDropped(t *testing.T) {
	w := readyWorkerScene(t)
	w.into(1, "running")
	w.ok(w.Complete(1, OutcomeOk{}))
	w.sends(JobCompleted{1, OutcomeOk{}})
	w.objects(nil, CancelJob{1, "too late"})
	w.forgot(1)
}

func TestTheIDOfAJobThatHasEndedMayComeAgain(t *testing.T) {
	for name, end := range map[string]func(w *workerScene){
		"completed queued":     func(w *workerScene) { w.into(1, "queued"); w.ok(w.Complete(1, OutcomeOk{})) },
		"completed running":    func(w *workerScene) { w.into(1, "running"); w.ok(w.Complete(1, OutcomeOk{})) },
		"completed the cancel": func(w *workerScene) { w.into(1, "finalizing"); w.ok(w.CompleteFinalize(1)) },
		"won the race":         func(w *workerScene) { w.into(1, "cancel_requested"); w.ok(w.Complete(1, OutcomeOk{})) },
	} {
		t.Run(name, func(t *testing.T) {
			w := readyWorkerScene(t)
			for range 3 {
				end(w)
				w.forgot(1)
			}
			w.into(1, "queued")
			job, ok := w.Job(1)
			assert.True(t, ok)
			assert.Equal(t, TrackedJob{JobID: 1, RegionID: 10, State: StateQueued, LastSeqNo: 0}, job)
		})
	}
}

// Refusals.

func TestOutOfOrderMessagesOfTheCoordinatorAreRefused(t *testing.T) {
	w := readyWorkerScene(t)
	w.seq = 10
	w.hears(jobOf(1)) // a gap is no harm: a shutdown drops messages
	for _, stale := range []uint64{11, 10, 5, 0} {
		w.refuses(&SequenceError{11, stale}, func() error { return w.from(stale, CancelJob{1, ""}) })
	}
	w.refuses(&SequenceError{11, 0}, func() error { return w.from(0, ShutdownWorker{""}) })
	w.seq = math.MaxUint64 - 1
	w.hears(PollStatus{1})
}

func TestAWorkersOwnMessagesAreRefused(t *testing.T) {
	w := readyWorkerScene(t)
	for _, op := range everyOp("w") {
		if op.Type().Sender() == SenderWorker {
			echo := fromWorker("w", 1000, op)
			w.refuses(&DirectionError{op.Type()}, func() error { return w.HandleInbound(&echo) })
		}
	}
	w.hears(jobOf(1)) // the sequence is untouched
}

func TestIllFormedArgumentsAreRefusedBeforeAnythingElse(t *testing.T) {
	for name, w := range map[string]*workerScene{"starting": newWorkerScene(t), "ready": readyWorkerScene(t)} {
		t.Run(name, func(t *testing.T) {
			for field, call := range map[string]func() error{
				"reason":   func() error { return w.Fail(illFormed) },
				"detail":   func() error { return w.Report(99, illFormed) },
				"code":     func() error { return w.Complete(99, OutcomeErr{illFormed, ""}) },
				"message":  func() error { return w.Complete(99, OutcomePanicked{illFormed}) },
				"category": func() error { return w.Diagnose(Diagnostic{Category: illFormed}) },
				"metadata": func() error { return w.Diagnose(Diagnostic{Metadata: new(illFormed)}) },
			} {
				w.refuses(invalid(field, notText), call)
			}
			w.refuses(invalid("level", "is not one of the three"), func() error { return w.Diagnose(Diagnostic{Level: 3}) })
			for _, outcome := range []Outcome{nil, &OutcomeOk{}, (*OutcomeOk)(nil), struct{ OutcomeOk }{}, struct{ Outcome }{}} {
				w.refuses(invalid("outcome", "is none of the four outcomes, as a plain value"), func() error { return w.Complete(99, outcome) })
			}
		})
	}
}

func TestAWorkerWithAnIllFormedIDCanSayNothing(t *testing.T) {
	w := &workerScene{Worker: NewWorker(illFormed, 42), t: t}
	w.refuses(invalid("worker_id", notText), w.Announce)
	w.refuses(invalid("worker_id", notText), func() error { return w.Fail("") })
	for name, call := range applicationCalls(1) {
		assert.Error(t, call(w.Worker), name)
	}
	w.sends()
}

func TestAWorkerWithAnEmptyIDSaysSo(t *testing.T) {
	w := &workerScene{Worker: NewWorker("", 42), t: t}
	w.ok(w.Announce())
	w.sends(BootstrapReady{""})
}

func TestRefusalsLeaveTheWorkerDeeplyEqual(t *testing.T) {
	type refusal struct {
		name  string
		want  error
		setup func(w *Worker) error // of a busyWorkerScene; may be nil
		call  func(w *workerScene) error
	}
	const fresh = 1000
	mark := busyWorkerScene(t).seq
	arrives := func(env Envelope) func(w *workerScene) error {
		return func(w *workerScene) error { return arrivesAt(w.t, w, env) }
	}
	rows := []refusal{
		{"announced twice", ErrAlreadyAnnounced, nil, func(w *workerScene) error { return w.Announce() }},
		{"fail, text", invalid("reason", notText), nil, func(w *workerScene) error { return w.Fail(illFormed) }},
		{"report, text", invalid("detail", notText), nil, func(w *workerScene) error { return w.Report(1, illFormed) }},
		{"report, state", &JobError{ErrInvalidStatusSnapshotState, 2, StateCancelRequested}, nil, func(w *workerScene) error { return w.Report(2, "") }},
		{"complete, outcome", invalid("outcome", "is none of the four outcomes, as a plain value"), nil, func(w *workerScene) error { return w.Complete(1, nil) }},
		{"complete, size", &PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes}, nil, func(w *workerScene) error { return w.Complete(1, OutcomeOk{oversized}) }},
		{"complete, state", &JobError{ErrUnexpectedCompletionPhase, 3, StateCancelRequested}, nil, func(w *workerScene) error { return w.Complete(3, OutcomeOk{}) }},
		{"start, state", &TransitionError{1, StateRunning, StateRunning}, nil, func(w *workerScene) error { return w.Start(1) }},
		{"acknowledge, state", &TransitionError{3, StateCancelRequested, StateDraining}, nil, func(w *workerScene) error { return w.AcknowledgeCancel(3) }},
		{"drain, state", &TransitionError{5, StateDraining, StateFinalizing}, nil, func(w *workerScene) error { return w.CompleteDrain(5) }},
		{"finalize, state", &TransitionError{5, StateDraining, StateCompleted}, nil, func(w *workerScene) error { return w.CompleteFinalize(5) }},
		{"diagnose, level", invalid("level", "is not one of the three"), nil, func(w *workerScene) error { return w.Diagnose(Diagnostic{Level: 255}) }},

		{"sequence repeated", &SequenceError{mark, mark}, nil, arrives(fromHost(mark, PollStatus{1}))},
		{"sequence zero", &SequenceError{mark, 0}, nil, arrives(fromHost(0, ShutdownWorker{}))},

		{"no envelope", invalid("envelope", "is nil"), nil, func(w *workerScene) error { return w.HandleInbound(nil) }},
		{"no proof", invalid("envelope", "was not made by Verify"), nil, func(w *workerScene) error { return w.HandleVerified(Verified{}) }},
	}
	for name, call := range applicationCalls(1) {
		rows = append(rows, refusal{name + ", closed", ErrWorkerNotReady, (*Worker).CompleteShutdown, func(w *workerScene) error { return call(w.Worker) }})
	}
	for name, call := range applicationCalls(99) {
		switch name {
		case "Announce", "Fail", "Diagnose", "CompleteShutdown": // are about no job
		default:
			rows = append(rows, refusal{name + ", unknown", &JobError{Kind: ErrUnknownJobID, JobID: 99}, nil, func(w *workerScene) error { return call(w.Worker) }})
		}
	}
	for _, op := range everyOp("w") {
		if op.Type().Sender() == SenderWorker {
			rows = append(rows, refusal{"direction, " + op.Type().String(), &DirectionError{op.Type()}, nil, arrives(fromWorker("w", fresh, op))})
		}
	}
	for name, r := range refusedEnvelopes() {
		rows = append(rows, refusal{name, r.want, nil, arrives(r.env)})
	}
	for name, r := range refusedTexts {
		rows = append(rows, refusal{name, r.want, nil, func(w *workerScene) error {
			env, err := w.Receive([]byte(r.text))
			assert.Zero(w.t, env)
			return err
		}})
	}

	untested := maps.Clone(errorKinds)
	for _, answer := range []string{ // to a message that counts as received, or of the other half
		"DuplicateJobID", "WorkerSessionMismatch", "RetiredWorker", "BootstrapFailed", "TerminalStatusSnapshot",
		"JobNotInFlight", "JobNotTerminal", "ShutdownInProgress",
	} {
		delete(untested, answer)
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			w := busyWorkerScene(t)
			if r.setup != nil {
				w.ok(r.setup(w.Worker))
			}
			w.refuses(r.want, func() error { return r.call(w) })
		})
		delete(untested, kindOf(r.want))
	}
	assert.Empty(t, untested, "every kind of refusal is in the table")
}

// A workerCase is a call of the application: its arguments may be at fault, and the state of the worker.
type workerCase struct {
	*workerScene
	id      uint64
	text    string
	outcome Outcome
}

func TestChecksOfWorkerCallsComeInTheirOrder(t *testing.T) {
	type reasons = []reason[*workerCase]
	var (
		ready    = func() *workerCase { return &workerCase{busyWorkerScene(t), 1, "", OutcomeOk{}} }
		text     = reason[*workerCase]{ErrInvalidValue, func(c *workerCase) { c.text = illFormed }}
		notReady = reason[*workerCase]{ErrWorkerNotReady, func(c *workerCase) { c.ok(c.CompleteShutdown()) }}
		size     = reason[*workerCase]{ErrPayloadTooLarge, func(c *workerCase) { c.outcome = OutcomeOk{oversized} }}
		unknown  = reason[*workerCase]{ErrUnknownJobID, func(c *workerCase) { c.id = 99 }}
		state    = func(kind error) reason[*workerCase] {
			return reason[*workerCase]{kind, func(c *workerCase) { c.id = 3 }}
		}
	)
	complete := func(c *workerCase) error {
		if c.text != "" {
			c.outcome = OutcomeErr{c.text, ""}
		}
		return c.Complete(c.id, c.outcome)
	}
	report := func(c *workerCase) error { return c.Report(c.id, c.text) }
	firstReasonWins(t, reasons{text, notReady, size, unknown}, ready, complete)
	firstReasonWins(t, reasons{text, notReady, size, state(ErrUnexpectedCompletionPhase)}, ready, complete)
	firstReasonWins(t, reasons{text, notReady, unknown}, ready, report)
	firstReasonWins(t, reasons{text, notReady, state(ErrInvalidStatusSnapshotState)}, ready, report)
	firstReasonWins(t, reasons{text, notReady}, ready, func(c *workerCase) error { return c.Fail(c.text) })
	firstReasonWins(t, reasons{text, notReady}, ready, func(c *workerCase) error { return c.Diagnose(Diagnostic{Message: c.text}) })

	queued := func() *workerCase { return &workerCase{busyWorkerScene(t), 0, "", nil} }
	start := func(c *workerCase) error { return c.Start(c.id) }
	firstReasonWins(t, reasons{notReady, unknown}, queued, start)
	firstReasonWins(t, reasons{notReady, state(ErrInvalidTransition)}, queued, start)
}

func TestChecksOfMessagesToAWorkerComeInTheirOrder(t *testing.T) {
	reasons := []reason[*inboundCase]{
		{ErrVersionMismatch, func(c *inboundCase) { c.version = 2 }},
		{ErrReplayHashMismatch, func(c *inboundCase) { c.damage = 1 }},
		{ErrUnexpectedDirection, func(c *inboundCase) { c.worker, c.op = new("w"), Diagnostic{} }},
		{ErrInboundSequenceNotFresh, func(c *inboundCase) { c.seq = 1 }},
		{ErrDuplicateJobID, func(c *inboundCase) {
			if c.worker == nil {
				c.op = jobOf(1)
			}
		}},
	}
	start := func() *inboundCase { return &inboundCase{nil, 1000, PollStatus{99}, 1, 0} }
	firstReasonWins(t, reasons, start, func(c *inboundCase) error {
		w := busyWorkerScene(t)
		env := c.envelope()
		return w.HandleInbound(&env)
	})
}

// Numbers, the outbox, and looking at jobs.

func TestAWorkersMessagesCarryItsOwnNumbersSeedAndTurn(t *testing.T) {
	w := newWorkerScene(t)
	w.ok(w.Announce())
	w.AdvanceTurn()
	w.seq = 70
	w.hears(jobOf(1))
	w.ok(w.Start(1))
	assert.Error(t, w.Start(1)) // a refused call takes no number
	w.AdvanceTurn()
	assert.Equal(t, uint64(2), w.Turn())
	w.ok(w.Fail("no"))
	var headers []Header
	for env := range w.Outbox() {
		assert.Equal(t, ProtocolVersion, env.Version)
		headers = append(headers, env.Header)
	}
	assert.Equal(t, []Header{{1, 1, 1, 42, 0}, {2, 2, 2, 42, 1}, {3, 3, 3, 42, 2}}, headers)
	env, ok := w.DrainOutbox()
	assert.False(t, ok)
	assert.Zero(t, env)
}

func TestTheZeroWorkerIsOneWithAnEmptyIDAndSeedZero(t *testing.T) {
	play := func(worker *Worker) (texts []string) {
		w := &workerScene{Worker: worker, t: t}
		assert.Empty(t, collect(w.Jobs()))
		assert.ErrorIs(t, w.Start(1), ErrWorkerNotReady)
		w.ok(w.Announce())
		assert.ErrorIs(t, w.Start(1), ErrUnknownJobID)
		w.hears(PollStatus{1}, CancelJob{1, ""}, jobOf(1), PollStatus{1})
		w.ok(w.Complete(1, OutcomeOk{}))
		w.ok(w.CompleteShutdown())
		for env := range w.Outbox() {
			texts = append(texts, textOf(t, env))
		}
		return texts
	}
	assert.Equal(t, play(NewWorker("", 0)), play(new(Worker)))
}

func TestADiagnosticIsSentAsItWasWhenItWasGiven(t *testing.T) {
	w := readyWorkerScene(t)
	metadata := "before"
	w.ok(w.Diagnose(Diagnostic{Metadata: &metadata}))
	metadata = "after"
	w.sends(Diagnostic{Metadata: new("before")})
}

func TestADrainedEnvelopeIsItsHoldersOwn(t *testing.T) {
	w := readyWorkerScene(t)
	w.ok(w.Diagnose(Diagnostic{}))
	env, _ := w.DrainOutbox()
	*env.WorkerID = "changed"
	w.ok(w.Diagnose(Diagnostic{}))
	env, _ = w.DrainOutbox()
	assert.Equal(t, w.ID(), *env.WorkerID)
	assert.NotEqual(t, "changed", w.ID())
}

func TestAWorkersOutboxStopsEarlyWithoutLosingTheRest(t *testing.T) {
	w := newWorkerScene(t)
	w.ok(w.Announce())
	w.ok(w.Diagnose(Diagnostic{Message: "1"}))
	w.ok(w.Diagnose(Diagnostic{Message: "2"}))
	assert.Equal(t, 3, w.OutboxLen())
	for env := range w.Outbox() {
		assert.Equal(t, BootstrapReady{"w"}, env.Op)
		break
	}
	assert.Equal(t, 2, w.OutboxLen())
	w.sends(Diagnostic{Message: "1"}, Diagnostic{Message: "2"})
}

// TestAWorkerKeepsNoPayloadAlive watches payloads by weak pointers, which a collection clears once
// nothing else refers to them.
func TestAWorkerKeepsNoPayloadAlive(t *testing.T) {
	const n, size = 100, 1 << 10
	w := readyWorkerScene(t)
	var payloads []weak.Pointer[byte]
	for id := range uint64(n) {
		payload := make([]byte, size)
		payloads = append(payloads, weak.Make(&payload[0]))
		env := fromHost(id+1, SpawnJob{JobID: id, Payload: payload})
		w.ok(w.HandleInbound(&env))
		result := make([]byte, size)
		payloads = append(payloads, weak.Make(&result[0]))
		if id%2 == 0 { // the others stay with the worker
			w.ok(w.Complete(id, OutcomeOk{result}))
		}
	}
	for range w.Outbox() {
	}
	runtime.GC()
	for i, p := range payloads {
		assert.Nil(t, p.Value(), "payload %d", i)
	}
	runtime.KeepAlive(w)
}

func TestAWorkersJobsAreListedByAscendingIDAndItMayBeCalledMeanwhile(t *testing.T) {
	w := readyWorkerScene(t)
	for _, id := range []uint64{5, math.MaxUint64, 0, 3} {
		w.hears(SpawnJob{JobID: id})
	}
	var ids []uint64
	for job := range w.Jobs() {
		ids = append(ids, job.JobID)
		if job.JobID == 0 {
			w.ok(w.Complete(3, OutcomeOk{}))
			w.hears(jobOf(4))
		}
	}
	assert.Equal(t, []uint64{0, 5, math.MaxUint64}, ids)
	for job := range w.Jobs() {
		assert.Equal(t, uint64(0), job.JobID)
		break
	}
}

// Both halves.

// A pairScene joins both halves by an ordered lossless transport of bytes, and neither may refuse the other.
type pairScene struct {
	*hostScene
	w      *workerScene
	toHost [][]byte
	toWork [][]byte
}

func newPairScene(t *testing.T) *pairScene {
	p := &pairScene{hostScene: newHostScene(t), w: newWorkerScene(t)}
	p.ok(p.w.Announce())
	p.settle()
	return p
}

// post puts what both sides have to say on its way; what is on its way has not arrived.
func (p *pairScene) post() {
	for env := range p.Outbox() {
		text, err := env.AppendJSON(nil)
		p.ok(err)
		p.toWork = append(p.toWork, text)
	}
	for env := range p.w.Outbox() {
		text, err := env.AppendJSON(nil)
		p.ok(err)
		p.toHost = append(p.toHost, text)
	}
}

// settle lets everything arrive, until nothing is on its way.
func (p *pairScene) settle() {
	p.t.Helper()
	for p.post(); len(p.toWork)+len(p.toHost) > 0; p.post() {
		for _, text := range p.toWork {
			_, err := p.w.Receive(text)
			assert.NoError(p.t, err, "%s", text)
		}
		for _, text := range p.toHost {
			_, err := p.Receive(text)
			assert.NoError(p.t, err, "%s", text)
		}
		p.toWork, p.toHost = nil, nil
	}
}

func TestMessagesMayCrossOnTheWire(t *testing.T) {
	// Each pair is called on both sides before either hears of the other's.
	for name, cross := range map[string]struct {
		host   func(p *pairScene) error
		worker func(p *pairScene) error
		want   JobState
	}{
		"cancel and start":      {func(p *pairScene) error { return p.CancelJob(1, "") }, func(p *pairScene) error { return p.w.Start(1) }, StateCancelRequested},
		"cancel and report":     {func(p *pairScene) error { return p.CancelJob(1, "") }, func(p *pairScene) error { return p.w.Report(1, "") }, StateCancelRequested},
		"cancel and completion": {func(p *pairScene) error { return p.CancelJob(1, "") }, func(p *pairScene) error { return p.w.Complete(1, OutcomeOk{}) }, StateCompleted},
		"cancel and failure":    {func(p *pairScene) error { return p.CancelJob(1, "") }, func(p *pairScene) error { return p.w.CompleteShutdown() }, StateFailed},
		"poll and start":        {func(p *pairScene) error { return p.PollStatus(1) }, func(p *pairScene) error { return p.w.Start(1) }, StateRunning},
		"poll and completion":   {func(p *pairScene) error { return p.PollStatus(1) }, func(p *pairScene) error { return p.w.Complete(1, OutcomeOk{}) }, StateCompleted},
		"shutdown and start":    {func(p *pairScene) error { return p.RequestShutdown("") }, func(p *pairScene) error { return p.w.Start(1) }, StateRunning},
		"shutdown and report":   {func(p *pairScene) error { return p.RequestShutdown("") }, func(p *pairScene) error { return p.w.Report(1, "") }, StateQueued},
		"shutdown and shutdown": {func(p *pairScene) error { return p.RequestShutdown("") }, func(p *pairScene) error { return p.w.CompleteShutdown() }, StateFailed},
		"spawn and shutdown":    {func(p *pairScene) error { return p.SpawnJob(jobOf(2)) }, func(p *pairScene) error { return p.w.CompleteShutdown() }, StateFailed},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPairScene(t)
			p.ok(p.SpawnJob(jobOf(1)))
			p.settle()
			p.ok(cross.host(p))
			p.ok(cross.worker(p))
			p.settle()
			p.is(1, cross.want)
		})
	}
}

func TestBothHalvesTakeEveryJobToItsEnd(t *testing.T) {
	p := newPairScene(t)
	for id := range uint64(6) {
		p.ok(p.SpawnJob(jobOf(id)))
	}
	p.settle()
	for id := range uint64(3) {
		p.ok(p.w.Start(id))
		p.ok(p.CancelJob(id+1, "job "+strconv.Itoa(int(id))))
	}
	p.settle()
	p.ok(p.w.Complete(0, OutcomeOk{}))
	p.ok(p.w.Complete(1, OutcomeCancelled{"as asked"}))
	p.ok(p.w.AcknowledgeCancel(2))
	p.ok(p.w.AcknowledgeCancel(3))
	p.settle()
	p.ok(p.w.CompleteDrain(2))
	p.ok(p.w.CompleteDrain(3))
	p.settle()
	p.ok(p.w.CompleteFinalize(2))
	p.settle()
	p.ok(p.RequestShutdown(""))
	p.settle()
	assert.True(t, p.w.ShutdownRequested())
	p.ok(p.w.Complete(4, OutcomeOk{}))
	p.ok(p.w.CompleteShutdown())
	p.settle()
	var states []JobState
	for _, job := range p.Reap() {
		states = append(states, job.State)
	}
	assert.Equal(t, []JobState{StateCompleted, StateCompleted, StateCompleted, StateFailed, StateCompleted, StateFailed}, states)
	assert.Equal(t, 0, p.InflightCount())
}
