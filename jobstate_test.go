package workerchannel

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTransitionsAreThoseOfTheTable(t *testing.T) {
	const table = `
from to          created queued running cancel_requested draining finalizing completed failed
created          -       yes    -       -                -        -          -         yes
queued           -       -      yes     yes              -        -          yes       yes
running          -       -      -       yes              -        -          yes       yes
cancel_requested -       -      -       -                yes      -          yes       yes
draining         -       -      -       -                -        yes        -         yes
finalizing       -       -      -       -                -        -          yes       yes
completed        -       -      -       -                -        -          -         -
failed           -       -      -       -                -        -          -         -
`
	states := map[string]JobState{}
	for s := StateCreated; s <= StateFailed; s++ {
		states[s.String()] = s
		assert.Equal(t, s == StateCompleted || s == StateFailed, s.Terminal(), s.String())
		assert.Equal(t, s == StateQueued || s == StateRunning, s.AllowedInStatusSnapshot(), s.String())
	}
	eachCell(strings.Replace(table, "from to", "state from to", 1), func(row, column, cell string) {
		from, to := states[row], states[column]
		job := TrackedJob{JobID: 7, State: from}
		was, err := job.TransitionTo(to)
		assert.Equal(t, from, was)
		assert.Equal(t, cell == "yes", from.CanTransitionTo(to), "%v to %v", from, to)
		if cell == "yes" {
			assert.NoError(t, err)
			assert.Equal(t, TrackedJob{JobID: 7, State: to}, job)
		} else {
			assert.Equal(t, &TransitionError{7, from, to}, err)
			assert.Equal(t, TrackedJob{JobID: 7, State: from}, job)
		}
	})
	for _, unknown := range []JobState{8, stateAcknowledged, stateDrained, 255} {
		for s := StateCreated; s <= StateFailed; s++ {
			assert.False(t, s.CanTransitionTo(unknown))
			assert.False(t, unknown.CanTransitionTo(s))
		}
		job := TrackedJob{State: unknown}
		_, err := job.TransitionTo(StateFailed)
		assert.ErrorIs(t, err, ErrInvalidTransition)
		assert.False(t, unknown.AllowedInStatusSnapshot())
		assert.False(t, unknown.Terminal())
	}
}

func TestJobStatesHaveTheirNamesOnTheWire(t *testing.T) {
	for state, name := range map[JobState]string{
		StateCreated: "Created", StateQueued: "Queued", StateRunning: "Running", StateCancelRequested: "CancelRequested",
		StateDraining: "Draining", StateFinalizing: "Finalizing", StateCompleted: "Completed", StateFailed: "Failed",
	} {
		text, err := state.MarshalText()
		assert.NoError(t, err)
		assert.Equal(t, name, string(text))
		read := JobState(255)
		assert.NoError(t, read.UnmarshalText(text))
		assert.Equal(t, state, read)
		assert.Contains(t, string(written(NewWorkerEnvelope("w", Header{}, StatusSnapshot{1, state, nil}))), `"state":"`+name+`"`)
	}
	_, err := JobState(8).MarshalText()
	assert.Equal(t, invalid("state", "is not a job state"), err)
	state := StateRunning
	for _, name := range []string{"", "running", "Running ", "cancel_requested", strings.Repeat("R", 1<<20)} {
		err := state.UnmarshalText([]byte(name))
		assert.ErrorIs(t, err, ErrInvalidValue)
		assert.Less(t, len(err.Error()), 300)
		assert.Equal(t, StateRunning, state)
	}
}

func TestEndCausesHaveTheirNamesInJournalsAndForPeople(t *testing.T) {
	for cause, names := range map[EndCause][2]string{
		CauseNone: {"", "none"}, CauseOutcome: {"Outcome", "outcome"}, CauseCancelled: {"Cancelled", "cancelled"},
		CauseWorkerLost: {"WorkerLost", "worker_lost"}, CauseReplaced: {"Replaced", "replaced"},
		CauseShutdown: {"Shutdown", "shutdown"}, CauseBootstrapFailed: {"BootstrapFailed", "bootstrap_failed"},
	} {
		text, err := cause.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, names, [2]string{string(text), cause.String()})
	}
	_, err := EndCause(7).MarshalText()
	assert.ErrorIs(t, err, ErrInvalidValue)
	assert.Equal(t, "unknown_cause_7", EndCause(7).String())
}

// hostTable has a row for each row of hostRules, and a column for each state of a job: what a call of the host or
// a message of the worker does then (PROTOCOL section 7). A cell is the state that the job gets to, "gone" if it
// is forgotten, "-" if it stays as it is, with the message that is sent; or the kind of the error.
const hostTable = `
call or message     unknown          queued                      running                     cancel_requested   draining                  finalizing                completed                 failed
SpawnJob            queued+SpawnJob  DuplicateJobID              DuplicateJobID              DuplicateJobID     DuplicateJobID            DuplicateJobID            DuplicateJobID            DuplicateJobID
CancelJob           UnknownJobID     cancel_requested+CancelJob  cancel_requested+CancelJob  InvalidTransition  InvalidTransition         InvalidTransition         InvalidTransition         InvalidTransition
PollStatus          UnknownJobID     -+PollStatus                -+PollStatus                JobNotPollable     JobNotPollable            JobNotPollable            JobNotPollable            JobNotPollable
RemoveJob           UnknownJobID     JobNotTerminal              JobNotTerminal              JobNotTerminal     JobNotTerminal            JobNotTerminal            gone                      gone

snapshot_queued     UnknownJobID     -                           InvalidTransition           -                  InvalidTransition         InvalidTransition         InvalidTransition         InvalidTransition
snapshot_running    UnknownJobID     running                     -                           -                  InvalidTransition         InvalidTransition         InvalidTransition         InvalidTransition
JobCompleted        UnknownJobID     completed                   completed                   completed          UnexpectedCompletionPhase UnexpectedCompletionPhase UnexpectedCompletionPhase UnexpectedCompletionPhase
CancelAcknowledged  UnknownJobID     InvalidTransition           InvalidTransition           draining+DrainJob  InvalidTransition         InvalidTransition         InvalidTransition         InvalidTransition
DrainCompleted      UnknownJobID     InvalidTransition           InvalidTransition           InvalidTransition  finalizing+FinalizeJob    InvalidTransition         InvalidTransition         InvalidTransition
FinalizeCompleted   UnknownJobID     InvalidTransition           InvalidTransition           InvalidTransition  InvalidTransition         completed                 InvalidTransition         InvalidTransition
`

// Once a shutdown is requested only these rows differ.
const hostShutdownTable = `
call or message     unknown            queued             running            cancel_requested   draining           finalizing         completed          failed
SpawnJob            ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress
CancelJob           ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress
PollStatus          ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress ShutdownInProgress
CancelAcknowledged  UnknownJobID       -                  -                  -                  -                  -                  -                  -
DrainCompleted      UnknownJobID       -                  -                  -                  -                  -                  -                  -
`

// workerTable is the same for workerRules (section 10). In a phase that is "acknowledged" or "drained" the
// application has answered and waits for the host.
const workerTable = `
call or message   unknown      queued                 running                    cancel_requested                 acknowledged               draining                   drained                    finalizing
SpawnJob          queued       DuplicateJobID         DuplicateJobID             DuplicateJobID                   DuplicateJobID             DuplicateJobID             DuplicateJobID             DuplicateJobID
PollStatus        -            -+StatusSnapshot       -+StatusSnapshot           -                                -                          -                          -                          -
CancelJob         -            cancel_requested       cancel_requested           InvalidTransition                InvalidTransition          InvalidTransition          InvalidTransition          InvalidTransition
DrainJob          UnknownJobID InvalidTransition      InvalidTransition          InvalidTransition                draining                   InvalidTransition          InvalidTransition          InvalidTransition
FinalizeJob       UnknownJobID InvalidTransition      InvalidTransition          InvalidTransition                InvalidTransition          InvalidTransition          finalizing                 InvalidTransition
ShutdownWorker    -            -                      -                          -                                gone                       -                          gone                       -

Start             UnknownJobID running+StatusSnapshot InvalidTransition          InvalidTransition                InvalidTransition          InvalidTransition          InvalidTransition          InvalidTransition
Report            UnknownJobID -+StatusSnapshot       -+StatusSnapshot           InvalidStatusSnapshotState       InvalidStatusSnapshotState InvalidStatusSnapshotState InvalidStatusSnapshotState InvalidStatusSnapshotState
Complete          UnknownJobID gone+JobCompleted      gone+JobCompleted          gone+JobCompleted                UnexpectedCompletionPhase  UnexpectedCompletionPhase  UnexpectedCompletionPhase  UnexpectedCompletionPhase
AcknowledgeCancel UnknownJobID InvalidTransition      InvalidTransition          acknowledged+CancelAcknowledged  InvalidTransition          InvalidTransition          InvalidTransition          InvalidTransition
CompleteDrain     UnknownJobID InvalidTransition      InvalidTransition          InvalidTransition                InvalidTransition          drained+DrainCompleted     InvalidTransition          InvalidTransition
CompleteFinalize  UnknownJobID InvalidTransition      InvalidTransition          InvalidTransition                InvalidTransition          InvalidTransition          InvalidTransition          gone+FinalizeCompleted
`

// Once a shutdown is requested only these rows differ, and no job waits for the host.
const workerShutdownTable = `
call or message   unknown      cancel_requested         draining
AcknowledgeCancel UnknownJobID gone+CancelAcknowledged  InvalidTransition
CompleteDrain     UnknownJobID InvalidTransition        gone+DrainCompleted
`

// refusedTransitions has the state that goes with the InvalidTransition of a row.
var refusedTransitions = map[string]JobState{
	"CancelJob": StateCancelRequested, "snapshot_queued": StateQueued, "snapshot_running": StateRunning, "CancelAcknowledged": StateDraining,
	"DrainCompleted": StateFinalizing, "FinalizeCompleted": StateCompleted, "DrainJob": StateDraining, "FinalizeJob": StateFinalizing,
	"Start": StateRunning, "AcknowledgeCancel": StateDraining, "CompleteDrain": StateFinalizing, "CompleteFinalize": StateCompleted,
}

// messagesAboutJob1 has the rows that are messages.
var messagesAboutJob1 = map[string]Op{
	"snapshot_queued": StatusSnapshot{1, StateQueued, nil}, "snapshot_running": StatusSnapshot{1, StateRunning, nil},
	"JobCompleted": JobCompleted{1, OutcomeErr{"E", "no"}}, "CancelAcknowledged": CancelAcknowledged{1},
	"DrainCompleted": DrainCompleted{1}, "FinalizeCompleted": FinalizeCompleted{1},
	"SpawnJob": SpawnJob{JobID: 1}, "PollStatus": PollStatus{1}, "CancelJob": CancelJob{1, "why"}, "DrainJob": DrainJob{1},
	"FinalizeJob": FinalizeJob{1}, "ShutdownWorker": ShutdownWorker{"closing time"},
}

// eachCell reads a table of words, in which lines may be empty.
func eachCell(table string, do func(row, column, cell string)) (rows int) {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	columns := strings.Fields(lines[0])[3:]
	for _, line := range lines[1:] {
		cells := strings.Fields(line)
		for i := 1; i < len(cells); i++ {
			do(cells[0], columns[i-1], cells[i])
		}
		if len(cells) > 0 {
			rows++
		}
	}
	return rows
}

// refusalOf returns the error that a cell names; false if it names none.
func refusalOf(row, cell string, state JobState) (error, bool) {
	switch kind, ok := errorKinds[cell]; {
	case !ok:
		return nil, false
	case kind == ErrShutdownInProgress:
		return kind, true
	case kind == ErrInvalidTransition:
		return &TransitionError{1, state, refusedTransitions[row]}, true
	case kind == ErrUnknownJobID || kind == ErrDuplicateJobID:
		return &JobError{Kind: kind, JobID: 1}, true
	default:
		return &JobError{kind, 1, state}, true
	}
}

// stateOf splits a cell into the state of the job afterwards, which a forgotten job has not, and the message sent.
func stateOf(cell, column string) (state, sent string) {
	state, sent, _ = strings.Cut(cell, "+")
	switch state {
	case "-":
		state = column
	case "gone":
		state = "unknown"
	}
	return state, sent
}

func TestHostDoesWhatTheTableSaysInEveryStateOfAJob(t *testing.T) {
	for _, shutdown := range []bool{false, true} {
		cells := map[string]func(t *testing.T){}
		add := func(table string) int {
			return eachCell(table, func(row, column, cell string) {
				cells[row+" when "+column] = func(t *testing.T) { hostCell(t, row, column, cell, shutdown) }
			})
		}
		require.Len(t, hostRules, add(hostTable))
		name := "working/"
		if shutdown {
			name = "shutting down/"
			add(hostShutdownTable)
		}
		for cell, test := range cells {
			t.Run(name+cell, test)
		}
	}
}

func hostCell(t *testing.T, row, column, cell string, shutdown bool) {
	s := newScene(t, "begin with w")
	switch column {
	case "unknown":
	case "failed":
		s.play("given job 1 running", "host WorkerLost", "worker w2", "w2 Announce", "deliver")
	default:
		s.play("given job 1 " + column)
	}
	if shutdown {
		s.play("host RequestShutdown")
	}
	s.play("send host", "host AdvanceTurn")
	before := clone(s.c)
	state, _ := s.c.JobState(1)

	var err error
	op, inbound := messagesAboutJob1[row]
	if inbound = inbound && op.Type().Sender() == SenderWorker; inbound {
		err = arrivesAt(t, s.c, func() endpoint { return clone(before) }, fromWorker(s.worker().ID(), 1000, op))
		before.lastSeen = 1000
	} else {
		_, err = hostCalls[row](s.c, arguments{id: 1, text: "why"})
	}
	if want, refused := refusalOf(row, cell, state); refused {
		assert.Equal(t, want, err)
		assert.Equal(t, before, s.c, "nothing else changes")
		return
	}
	require.NoError(t, err)
	if cell == "-" {
		assert.Equal(t, before, s.c, "nothing else changes")
		return
	}
	want, sent := stateOf(cell, column)
	job, tracked := s.c.Job(1)
	require.Equal(t, want != "unknown", tracked)
	assertJobState(t, s.c, job, tracked)
	if tracked {
		assert.Equal(t, want, job.State.String())
		assert.Equal(t, want != column, job.Since == 1)
		assert.Equal(t, job.State == StateCompleted, job.Cause != CauseNone && job.Outcome != nil)
	}
	env, ok := s.c.DrainOutbox()
	require.Equal(t, sent != "", ok)
	if ok {
		assert.NoError(t, env.Validate())
		assert.Equal(t, sent, env.Op.Type().String())
		assert.Equal(t, env.SeqNo, job.LastSeqNo)
		assert.Zero(t, s.c.OutboxLen())
	}
}

// assertJobState compares what JobState and Job return for job 1.
func assertJobState(t *testing.T, half interface{ JobState(uint64) (JobState, bool) }, job TrackedJob, tracked bool) {
	state, ok := half.JobState(1)
	assert.Equal(t, tracked, ok)
	assert.Equal(t, job.State, state)
}

func TestWorkerDoesWhatTheTableSaysInEveryStateOfAJob(t *testing.T) {
	require.Len(t, workerRules, eachCell(workerTable, func(row, column, cell string) {
		t.Run("working/"+row+" when "+column, func(t *testing.T) { workerCell(t, row, column, cell) })
	}))
	eachCell(workerShutdownTable, func(row, column, cell string) {
		t.Run("shutting down/"+row+" when "+column, func(t *testing.T) { workerCell(t, row, column, cell, "forge host #900 ShutdownWorker") })
	})
}

func workerCell(t *testing.T, row, column, cell string, lines ...string) {
	s := newScene(t, "begin with w")
	w := s.worker()
	if column != "unknown" {
		s.play("given job 1 " + column)
	}
	s.play(append(lines, "send w", "w AdvanceTurn")...)
	before := cloneWorker(w)
	state, _ := w.JobState(1)

	var err error
	op, inbound := messagesAboutJob1[row]
	if inbound {
		err = arrivesAt(t, w, func() endpoint { return cloneWorker(before) }, fromHost(1000, op))
		before.lastSeen = 1000
		before.shutdown = before.shutdown || row == "ShutdownWorker"
	} else {
		err = workerCalls[row](w, arguments{id: 1, text: "half way", outcome: OutcomeOk{}})
	}
	if want, refused := refusalOf(row, cell, state); refused {
		assert.Equal(t, want, err)
		assert.Equal(t, before, w, "nothing else changes")
		return
	}
	require.NoError(t, err)
	if cell == "-" {
		assert.Equal(t, before, w, "nothing else changes")
		return
	}
	want, sent := stateOf(cell, column)
	job, tracked := w.Job(1)
	require.Equal(t, want != "unknown", tracked)
	assertJobState(t, w, job, tracked)
	if tracked {
		internal := w.jobs.m[1].state
		answered := map[string]JobState{"acknowledged": stateAcknowledged, "drained": stateDrained}
		if state, ok := answered[want]; ok {
			assert.Equal(t, state, internal)
		} else {
			assert.Equal(t, want, internal.String())
		}
		since := uint64(0)
		if job.State != state { // to the host, a job that is acknowledged is still CancelRequested
			since = 1
		}
		assert.Equal(t, since, job.Since)
	}
	env, ok := w.DrainOutbox()
	require.Equal(t, sent != "", ok)
	if ok {
		assert.NoError(t, env.Validate())
		assert.Equal(t, sent, env.Op.Type().String())
		if tracked {
			assert.Equal(t, env.SeqNo, job.LastSeqNo)
		}
		assert.Zero(t, w.OutboxLen())
	}
}

// arrivesAt gives a message to a half, and to twins of it in each of the other ways that there are: all do the
// same. It returns the half's error.
func arrivesAt(t testing.TB, h endpoint, twin func() endpoint, env Envelope) error {
	verified, received := twin(), twin()
	before := env
	err := h.HandleInbound(&env)
	assert.Equal(t, before, env, "the envelope is the caller's")
	data, unwritable := env.AppendJSON(nil)
	if unwritable != nil {
		return err
	}
	_, again := received.Receive(data)
	assert.Equal(t, err, again, "Receive returns what HandleInbound does")
	v, again := Verify(data)
	if again == nil {
		again = verified.HandleVerified(v)
	}
	assert.Equal(t, err, again, "Verify and HandleVerified return what HandleInbound does")
	assert.Equal(t, h, received, "and do the same")
	assert.Equal(t, h, verified, "and do the same")
	return err
}
