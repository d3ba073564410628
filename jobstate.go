package workerchannel

import "slices"

// A JobState is a state of a job (PROTOCOL section 6). Every job ends in StateCompleted or StateFailed, and
// stays there.
type JobState uint8

// The job states, in the order of a life.
const (
	StateCreated         JobState = iota // not handed to a worker; no tracked job is in it
	StateQueued                          // handed to the worker
	StateRunning                         // the worker has begun
	StateCancelRequested                 // the worker has been asked to cancel it
	StateDraining                        // the worker lets go of what the job has under way
	StateFinalizing                      // the worker cleans up after the job
	StateCompleted                       // the job has ended, with an outcome or cancelled to the end
	StateFailed                          // the worker's session ended before the job
)

// A worker also distinguishes whether the application has answered the phase. To everyone else these are
// StateCancelRequested and StateDraining; see public.
const (
	stateAcknowledged = StateFailed + 1 + iota
	stateDrained
)

// jobStates is the state machine of section 6: for each state its name on the wire, its name for people, and
// the states that may follow.
var jobStates = [...]struct {
	wire, human string
	to          []JobState
}{
	StateCreated:         {"Created", "created", []JobState{StateQueued, StateFailed}},
	StateQueued:          {"Queued", "queued", []JobState{StateRunning, StateCancelRequested, StateCompleted, StateFailed}},
	StateRunning:         {"Running", "running", []JobState{StateCancelRequested, StateCompleted, StateFailed}},
	StateCancelRequested: {"CancelRequested", "cancel_requested", []JobState{StateDraining, StateCompleted, StateFailed}},
	StateDraining:        {"Draining", "draining", []JobState{StateFinalizing, StateFailed}},
	StateFinalizing:      {"Finalizing", "finalizing", []JobState{StateCompleted, StateFailed}},
	StateCompleted:       {"Completed", "completed", nil},
	StateFailed:          {"Failed", "failed", nil},
}

// untracked stands for a job that is not tracked, on both sides.
const untracked = StateCreated

// A jobRule says what one message or call does to the job that it is about.
type jobRule struct {
	from      stateSet // the states in which it is accepted
	to        JobState // the state that it leads to
	sends     OpType   // the message that is then sent; 0 for none
	ignored   stateSet // the states in which it is accepted and does nothing
	otherwise refusal  // what it is refused with in any other state
}

// hostRules is the table of section 7, "What may happen to a job".
var hostRules = [...]jobRule{
	hostSpawn:           {in(untracked), StateQueued, OpSpawnJob, none, refusal{kind: ErrDuplicateJobID}},
	hostCancel:          {in(StateQueued, StateRunning), StateCancelRequested, OpCancelJob, none, transitionTo(StateCancelRequested)},
	hostPoll:            {in(StateQueued, StateRunning), stateSame, OpPollStatus, none, refusal{kind: ErrJobNotPollable}},
	hostRemove:          {in(StateCompleted, StateFailed), untracked, 0, none, refusal{kind: ErrJobNotTerminal}},
	hostSnapshotQueued:  {in(StateQueued), stateSame, 0, in(StateCancelRequested), transitionTo(StateQueued)},
	hostSnapshotRunning: {in(StateQueued), StateRunning, 0, in(StateRunning, StateCancelRequested), transitionTo(StateRunning)},
	hostCompleted:       {in(StateQueued, StateRunning, StateCancelRequested), StateCompleted, 0, none, refusal{kind: ErrUnexpectedCompletionPhase}},
	hostAcknowledged:    {in(StateCancelRequested), StateDraining, OpDrainJob, none, transitionTo(StateDraining)},
	hostDrained:         {in(StateDraining), StateFinalizing, OpFinalizeJob, none, transitionTo(StateFinalizing)},
	hostFinalized:       {in(StateFinalizing), StateCompleted, 0, none, transitionTo(StateCompleted)},
}

// The rows of hostRules: first the calls of the host, then the messages of the worker.
const (
	hostSpawn = iota
	hostCancel
	hostPoll
	hostRemove
	hostSnapshotQueued
	hostSnapshotRunning
	hostCompleted
	hostAcknowledged
	hostDrained
	hostFinalized
)

// workerRules is the table of section 10, "What may happen to a job".
var workerRules = [...]jobRule{
	workerSpawned:     {in(untracked), StateQueued, 0, none, refusal{kind: ErrDuplicateJobID}},
	workerPolled:      {in(StateQueued, StateRunning), stateSame, OpStatusSnapshot, anyState, refusal{}},
	workerCancelled:   {in(StateQueued, StateRunning), StateCancelRequested, 0, in(untracked), transitionTo(StateCancelRequested)},
	workerDrain:       {in(stateAcknowledged), StateDraining, 0, none, transitionTo(StateDraining)},
	workerFinalize:    {in(stateDrained), StateFinalizing, 0, none, transitionTo(StateFinalizing)},
	workerShutDown:    {in(stateAcknowledged, stateDrained), untracked, 0, anyState, refusal{}},
	workerStart:       {in(StateQueued), StateRunning, OpStatusSnapshot, none, transitionTo(StateRunning)},
	workerReport:      {in(StateQueued, StateRunning), stateSame, OpStatusSnapshot, none, refusal{kind: ErrInvalidStatusSnapshotState}},
	workerComplete:    {in(StateQueued, StateRunning, StateCancelRequested), untracked, OpJobCompleted, none, refusal{kind: ErrUnexpectedCompletionPhase}},
	workerAcknowledge: {in(StateCancelRequested), stateAcknowledged, OpCancelAcknowledged, none, transitionTo(StateDraining)},
	workerDrained:     {in(StateDraining), stateDrained, OpDrainCompleted, none, transitionTo(StateFinalizing)},
	workerFinalized:   {in(StateFinalizing), untracked, OpFinalizeCompleted, none, transitionTo(StateCompleted)},
}

// The rows of workerRules: first the messages of the coordinator, then the calls of the application.
const (
	workerSpawned = iota
	workerPolled
	workerCancelled
	workerDrain
	workerFinalize
	workerShutDown
	workerStart
	workerReport
	workerComplete
	workerAcknowledge
	workerDrained
	workerFinalized
)

// stateSame, as the state that a rule leads to, is the state that the job is in.
const stateSame JobState = 255

// A stateSet is a set of job states, a bit for each.
type stateSet uint16

const (
	none     stateSet = 0
	anyState stateSet = 1<<16 - 1
)

func in(states ...JobState) (set stateSet) {
	for _, s := range states {
		set |= 1 << s
	}
	return set
}

func (set stateSet) has(s JobState) bool { return set>>s&1 != 0 }

// A refusal is the kind of an error about a job; with ErrInvalidTransition goes the state refused.
type refusal struct {
	kind   error
	toward JobState
}

func transitionTo(s JobState) refusal { return refusal{ErrInvalidTransition, s} }

// accepts reports whether a job in state s takes the step.
func (r *jobRule) accepts(s JobState) bool { return r.from.has(s) }

// leadsTo returns the state that a job in state s gets to.
func (r *jobRule) leadsTo(s JobState) JobState {
	if r.to == stateSame {
		return s
	}
	return r.to
}

// refuse returns the error for a job in a state that r does not accept; nil if the step is ignored.
func (r *jobRule) refuse(jobID uint64, s JobState) error {
	switch kind := r.otherwise.kind; {
	case r.ignored.has(s):
		return nil
	case s == untracked:
		return &JobError{Kind: ErrUnknownJobID, JobID: jobID}
	case kind == ErrInvalidTransition:
		return &TransitionError{jobID, s.public(), r.otherwise.toward}
	case kind == ErrDuplicateJobID:
		return &JobError{Kind: kind, JobID: jobID}
	default:
		return &JobError{kind, jobID, s.public()}
	}
}

// public returns the state by the name that the protocol has for it.
func (s JobState) public() JobState {
	switch s {
	case stateAcknowledged:
		return StateCancelRequested
	case stateDrained:
		return StateDraining
	}
	return s
}

func (s JobState) known() bool { return int(s) < len(jobStates) }

// String returns the state's name for people, such as "cancel_requested".
func (s JobState) String() string {
	if !s.known() {
		return "unknown_state_" + utoa(uint64(s))
	}
	return jobStates[s].human
}

// wire returns the state's name on the wire, such as "CancelRequested"; "" for an unknown state.
func (s JobState) wire() string {
	if !s.known() {
		return ""
	}
	return jobStates[s].wire
}

// check returns ErrInvalidValue for an unknown state.
func (s JobState) check() error {
	if !s.known() {
		return &ValueError{"state", "is not a job state"}
	}
	return nil
}

// MarshalText returns the state's name on the wire, such as "CancelRequested". For an unknown state it returns
// ErrInvalidValue.
func (s JobState) MarshalText() ([]byte, error) { return []byte(s.wire()), s.check() }

// UnmarshalText reads the state's name on the wire. For any other name it returns ErrInvalidValue.
func (s *JobState) UnmarshalText(name []byte) error {
	for i := range jobStates {
		if jobStates[i].wire == string(name) {
			*s = JobState(i)
			return nil
		}
	}
	return &ValueError{"state", "has the unknown name " + quote(name)}
}

// AllowedInStatusSnapshot reports whether a worker may report the state in a StatusSnapshot: StateQueued or StateRunning.
func (s JobState) AllowedInStatusSnapshot() bool { return s == StateQueued || s == StateRunning }

// Terminal reports whether a job in this state has ended.
func (s JobState) Terminal() bool { return s == StateCompleted || s == StateFailed }

// CanTransitionTo reports whether the table of section 6 has the transition.
func (s JobState) CanTransitionTo(to JobState) bool {
	return s.known() && slices.Contains(jobStates[s].to, to)
}

// An EndCause says why a job ended (PROTOCOL section 7).
type EndCause uint8

// The causes. With the first two a job is StateCompleted, with all others StateFailed.
const (
	CauseNone            EndCause = iota // the job has not ended
	CauseOutcome                         // the worker reported an outcome, which may be an error
	CauseCancelled                       // the cancel handshake was completed
	CauseWorkerLost                      // WorkerLost or RetireWorker was called
	CauseReplaced                        // another worker took the session over
	CauseShutdown                        // the worker completed its shutdown
	CauseBootstrapFailed                 // the worker gave up
)

var endCauses = [...]struct{ wire, human string }{
	CauseNone:            {"", "none"},
	CauseOutcome:         {"Outcome", "outcome"},
	CauseCancelled:       {"Cancelled", "cancelled"},
	CauseWorkerLost:      {"WorkerLost", "worker_lost"},
	CauseReplaced:        {"Replaced", "replaced"},
	CauseShutdown:        {"Shutdown", "shutdown"},
	CauseBootstrapFailed: {"BootstrapFailed", "bootstrap_failed"},
}

// String returns the cause's name for people, such as "worker_lost".
func (c EndCause) String() string {
	if int(c) >= len(endCauses) {
		return "unknown_cause_" + utoa(uint64(c))
	}
	return endCauses[c].human
}

// MarshalText returns the cause's name in journals (PROTOCOL section 12), such as "WorkerLost"; "" for
// CauseNone. For an unknown cause it returns ErrInvalidValue.
func (c EndCause) MarshalText() ([]byte, error) {
	if int(c) >= len(endCauses) {
		return nil, &ValueError{"cause", "is not a cause"}
	}
	return []byte(endCauses[c].wire), nil
}
