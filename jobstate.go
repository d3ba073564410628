package workerchannel

import "slices"

// A JobState is where a job stands (PROTOCOL section 6). Every job ends in StateCompleted or
// StateFailed, and stays there.
type JobState uint8

// The job states, in the order of a life.
const (
	StateCreated         JobState = iota // not handed to a worker; no tracked job is in it
	StateQueued                          // handed to the worker
	StateRunning                         // the worker has begun
	StateCancelRequested                 // the worker has been asked to cancel it
	StateDraining                        // it lets go of what it has under way
	StateFinalizing                      // it cleans up
	StateCompleted                       // it has ended: with an outcome, or cancelled to the end
	StateFailed                          // its worker's session ended first
)

// jobStates is the state machine: for each state its name on the wire, its name for people, and the
// states that may follow.
var jobStates = [...]struct {
	wire, human string
	next        []JobState
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

func (s JobState) known() bool { return int(s) < len(jobStates) }

// String returns the state's name for people, such as "cancel_requested".
func (s JobState) String() string {
	if !s.known() {
		return "unknown_state_" + utoa(uint64(s))
	}
	return jobStates[s].human
}

// wire returns the state's name on the wire, such as "CancelRequested"; nothing for an unknown state.
func (s JobState) wire() string {
	if !s.known() {
		return ""
	}
	return jobStates[s].wire
}

func (s JobState) check() error {
	if !s.known() {
		return &ValueError{"state", "is not one of the eight"}
	}
	return nil
}

// MarshalText returns the state's name on the wire, such as "CancelRequested". An unknown state is an
// ErrInvalidValue.
func (s JobState) MarshalText() ([]byte, error) { return []byte(s.wire()), s.check() }

// UnmarshalText reads the state's name on the wire. Any other text is an ErrInvalidValue.
func (s *JobState) UnmarshalText(name []byte) error {
	for i := range jobStates {
		if jobStates[i].wire == string(name) {
			*s = JobState(i)
			return nil
		}
	}
	return &ValueError{"state", "has the unknown name " + quote(string(name))}
}

// Terminal tells whether a job in this state has ended.
func (s JobState) Terminal() bool { return s == StateCompleted || s == StateFailed }

// CanTransitionTo tells whether the table of section 6 allows the step.
func (s JobState) CanTransitionTo(to JobState) bool {
	return s.known() && slices.Contains(jobStates[s].next, to)
}

// reportable tells whether a status snapshot may carry the state.
func (s JobState) reportable() bool { return s == StateQueued || s == StateRunning }

// completable tells whether a job may report its outcome. The table alone does not say: it takes a
// finalizing job to StateCompleted, too, but by another message.
func (s JobState) completable() bool {
	return s == StateQueued || s == StateRunning || s == StateCancelRequested
}

// A TrackedJob is what a Coordinator or a Worker knows about one job.
type TrackedJob struct {
	JobID     uint64
	RegionID  uint64   // the structured-concurrency region that owns the job
	State     JobState // where it stands
	LastSeqNo uint64   // the sequence number of the last message that this side sent about the job; 0 if none
}

// TransitionTo moves the job to another state. A step that the table does not have changes nothing
// and is an ErrInvalidTransition (a *TransitionError).
func (j *TrackedJob) TransitionTo(to JobState) error {
	if !j.State.CanTransitionTo(to) {
		return &TransitionError{j.JobID, j.State, to}
	}
	j.State = to
	return nil
}
