package workerchannel

import (
	"cmp"
	"slices"
)

// A TrackedJob is what a [Coordinator] or a [Worker] knows about one job. It is a copy: changing it
// changes nothing else. A worker fills in the ids, State, Since and LastSeqNo.
type TrackedJob struct {
	JobID        uint64
	RegionID     uint64   // the structured-concurrency region that owns the job
	TaskID       uint64   // the task within the region
	ObligationID uint64   // the obligation that is committed when the outcome is an OutcomeOk
	State        JobState // the job's state
	Since        uint64   // the turn in which the job entered State
	LastSeqNo    uint64   // the sequence number of the last message that this side sent about the job; 0 if none
	Outcome      Outcome  // of a completed job; an OutcomeCancelled after the cancel handshake; nil if the job has failed or not ended
	Cause        EndCause // why the job ended; CauseNone if it has not
	Tag          any      // what was given to SpawnTagged
}

// TransitionTo moves the job to another state and returns the one in which it was. If the table of PROTOCOL section 6
// does not have the transition, it changes nothing and returns ErrInvalidTransition (a *TransitionError). Of the other
// fields it changes none.
func (j *TrackedJob) TransitionTo(to JobState) (from JobState, err error) {
	if from = j.State; !from.CanTransitionTo(to) {
		return from, &TransitionError{j.JobID, from, to}
	}
	j.State = to
	return from, nil
}

// A Region is what a [Coordinator] knows about the jobs with one RegionID (PROTOCOL section 7). A region
// exists while a job of it is tracked. It is quiescent when Inflight is 0.
type Region struct {
	RegionID uint64
	Tracked  int  // tracked jobs, including those that have ended
	Inflight int  // tracked jobs that have not ended
	Closed   bool // whether the region takes no more jobs
}

// A session is the time of one active worker. Its jobs point to it: when it ends they all fail at once,
// with its cause and in its last turn.
type session struct {
	cause EndCause // CauseNone until the session ends
	turn  uint64   // the turn in which it ended
}

func (s *session) ended() bool { return s.cause != CauseNone }

// A job is a tracked job of a coordinator.
type job struct {
	id, taskID, obligationID uint64
	region                   *region
	session                  *session
	since, lastSeqNo         uint64
	outcome                  Outcome // once a cancel is requested, the outcome that the handshake would give
	tag                      any
	sent                     uint64 // if timed: the turn in which the request was taken from the outbox
	links                    [2]link
	state                    JobState // the last one of its own; see now
	cause                    EndCause
	timed                    bool // a request about the job is under a limit and has been taken
}

// now returns the effective state of j: StateFailed once its session has ended, unless j had ended before.
func (j *job) now() JobState {
	if !j.state.Terminal() && j.session.ended() {
		return StateFailed
	}
	return j.state
}

func (j *job) tracked() TrackedJob {
	t := TrackedJob{
		JobID: j.id, RegionID: j.region.id, TaskID: j.taskID, ObligationID: j.obligationID,
		State: j.state, Since: j.since, LastSeqNo: j.lastSeqNo, Cause: j.cause, Tag: j.tag,
	}
	switch {
	case j.state.Terminal():
		t.Outcome = j.outcome
	case j.session.ended():
		t.State, t.Since, t.Cause = StateFailed, j.session.turn, j.session.cause
	}
	return t
}

// A region has the tracked jobs of one region id.
type region struct {
	id       uint64
	jobs     jobList
	session  *session // the session of the jobs in flight
	inflight int      // how many these are, or were when the session ended
	tracked  int
	closed   bool
}

// matching returns the region's jobs that are in one of the states, by ascending id.
func (r *region) matching(states stateSet) (jobs []*job) {
	for j := r.jobs.first; j != nil; j = j.links[byRegion].next {
		if states.has(j.now()) {
			jobs = append(jobs, j)
		}
	}
	slices.SortFunc(jobs, func(a, b *job) int { return cmp.Compare(a.id, b.id) })
	return jobs
}

func (r *region) snapshot() Region {
	s := Region{RegionID: r.id, Tracked: r.tracked, Closed: r.closed}
	if !r.session.ended() {
		s.Inflight = r.inflight
	}
	return s
}

// A jobTable has the tracked jobs and their regions. A job is in one of the lists by phase and in the list
// of its region. What an operation costs does not depend on how many jobs are tracked, on average over many: see
// table.remove.
type jobTable struct {
	byID     table[*job]
	regions  table[*region]
	live     jobList    // in flight, without a clock
	timed    [3]jobList // in flight with a clock, in the order of job.sent; see timedIn
	ended    jobList
	inflight int
}

// find returns a tracked job, or ErrUnknownJobID.
func (t *jobTable) find(jobID uint64) (*job, error) {
	if j, ok := t.byID.get(jobID); ok {
		return j, nil
	}
	return nil, &JobError{Kind: ErrUnknownJobID, JobID: jobID}
}

// add tracks a new job of a live session.
func (t *jobTable) add(j *job, regionID uint64) {
	r, ok := t.regions.get(regionID)
	if !ok {
		r = &region{id: regionID, jobs: jobList{by: byRegion}}
		t.regions.put(regionID, r)
	}
	if r.session != j.session {
		r.session, r.inflight = j.session, 0
	}
	r.inflight++
	r.tracked++
	r.jobs.push(j)
	j.region = r
	t.byID.put(j.id, j)
	t.live.push(j)
	t.inflight++
}

// setState moves a job in flight to another state and stops its clock.
func (t *jobTable) setState(j *job, to JobState, turn uint64) {
	if j.timed || to.Terminal() {
		t.list(j).remove(j)
		j.state, j.timed = to, false
		t.list(j).push(j)
	}
	j.state, j.since = to, turn
	if to.Terminal() {
		j.region.inflight--
		t.inflight--
	}
}

// startClock moves a job in flight behind those whose requests were taken before.
func (t *jobTable) startClock(j *job, turn uint64) {
	t.live.remove(j)
	j.timed, j.sent = true, turn
	t.list(j).push(j)
}

// list returns the list by phase that j is in.
func (t *jobTable) list(j *job) *jobList {
	switch {
	case j.now().Terminal():
		return &t.ended
	case j.timed:
		return t.timedIn(j.state)
	}
	return &t.live
}

// timedIn returns the jobs with a clock in a phase of the cancel handshake.
func (t *jobTable) timedIn(phase JobState) *jobList { return &t.timed[phase-StateCancelRequested] }

// failAll ends every job in flight. Their session has just ended.
func (t *jobTable) failAll() {
	t.ended.splice(&t.live)
	for i := range t.timed {
		t.ended.splice(&t.timed[i])
	}
	t.inflight = 0
}

// forget removes a job that has ended.
func (t *jobTable) forget(j *job) {
	t.ended.remove(j)
	t.byID.remove(j.id)
	r := j.region
	r.jobs.remove(j)
	if r.tracked--; r.tracked == 0 {
		t.regions.remove(r.id)
	}
}

// reap forgets every job that has ended and returns them by ascending id.
func (t *jobTable) reap() []TrackedJob {
	if t.ended.first == nil {
		return nil
	}
	reaped := make([]TrackedJob, 0, t.byID.len()-t.inflight)
	for j := t.ended.first; j != nil; j = t.ended.first {
		reaped = append(reaped, j.tracked())
		t.forget(j)
	}
	slices.SortFunc(reaped, func(a, b TrackedJob) int { return cmp.Compare(a.JobID, b.JobID) })
	return reaped
}

// A link holds the neighbours of a job in one of the lists that it is in.
type link struct{ prev, next *job }

// The lists that a job is in: an index of job.links.
const (
	byPhase = iota
	byRegion
)

// A jobList is a doubly linked list. The zero jobList is an empty list by phase.
type jobList struct {
	first, last *job
	by          uint8
}

func (l *jobList) push(j *job) {
	j.links[l.by] = link{prev: l.last}
	if l.last == nil {
		l.first = j
	} else {
		l.last.links[l.by].next = j
	}
	l.last = j
}

func (l *jobList) remove(j *job) {
	at := j.links[l.by]
	if at.prev == nil {
		l.first = at.next
	} else {
		at.prev.links[l.by].next = at.next
	}
	if at.next == nil {
		l.last = at.prev
	} else {
		at.next.links[l.by].prev = at.prev
	}
	j.links[l.by] = link{}
}

// splice appends all jobs of another list, which it leaves empty.
func (l *jobList) splice(other *jobList) {
	switch {
	case other.first == nil:
		return
	case l.last == nil:
		l.first = other.first
	default:
		l.last.links[l.by].next, other.first.links[l.by].prev = other.first, l.last
	}
	l.last = other.last
	other.first, other.last = nil, nil
}
