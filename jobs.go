package workerchannel

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
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

// TransitionTo moves the job to another state. If the table of PROTOCOL section 6 does not have the
// transition, it changes nothing and returns ErrInvalidTransition (a *TransitionError).
func (j *TrackedJob) TransitionTo(to JobState) error {
	if !j.State.CanTransitionTo(to) {
		return &TransitionError{j.JobID, j.State, to}
	}
	j.State = to
	return nil
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

// now returns the effective state of j: StateFailed once its session has ended before it.
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
	jobs     table[*job]
	regions  table[*region]
	live     jobList    // in flight, without a clock
	timed    [3]jobList // in flight with a clock, from StateCancelRequested on, in the order of job.sent
	ended    jobList
	inflight int
}

func (t *jobTable) find(jobID uint64) (*job, error) {
	if j, ok := t.jobs.m[jobID]; ok {
		return j, nil
	}
	return nil, &JobError{Kind: ErrUnknownJobID, JobID: jobID}
}

func (t *jobTable) findRegion(regionID uint64) (*region, error) {
	if r, ok := t.regions.m[regionID]; ok {
		return r, nil
	}
	return nil, &RegionError{ErrUnknownRegionID, regionID}
}

// add tracks a new job of a live session.
func (t *jobTable) add(j *job, regionID uint64) {
	r, ok := t.regions.m[regionID]
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
	t.jobs.put(j.id, j)
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
		return &t.timed[j.state-StateCancelRequested]
	}
	return &t.live
}

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
	t.jobs.remove(j.id)
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
	reaped := make([]TrackedJob, 0, len(t.jobs.m)-t.inflight)
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

// A table is a map by id that releases memory as it gets smaller, which a Go map does not.
type table[V any] struct {
	m    map[uint64]V
	peak int // the most entries that m has had
}

func (t *table[V]) put(id uint64, v V) {
	if t.m == nil {
		t.m = make(map[uint64]V)
	}
	t.m[id] = v
	t.peak = max(t.peak, len(t.m))
}

// remove removes an entry. It copies the map when less than an eighth of it is in use, which is
// seldom enough for the average cost of a call to stay constant.
func (t *table[V]) remove(id uint64) {
	delete(t.m, id)
	const small = 1024
	if t.peak > small && len(t.m) < t.peak/8 {
		smaller := make(map[uint64]V, len(t.m))
		maps.Copy(smaller, t.m)
		t.m, t.peak = smaller, len(smaller)
	}
}

// ascending yields what find returns for each id of m, by ascending id. It reads m only when the
// iteration starts; an id that find no longer knows by then is left out.
func ascending[V, T any](m *map[uint64]V, find func(uint64) (T, bool)) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, id := range slices.Sorted(maps.Keys(*m)) {
			if v, ok := find(id); ok && !yield(v) {
				return
			}
		}
	}
}

// retiredMost is the number of ended workers that are remembered.
const retiredMost = 1024

// retiredIDs remembers the latest workers whose sessions ended, in a bounded number of bytes.
type retiredIDs struct {
	keys  map[retiredKey]struct{}
	order []retiredKey // by age; once there are retiredMost, a ring whose oldest is at start
	start int
}

// A retiredKey is what is remembered of a worker id: the id itself up to 64 bytes, otherwise its beginning,
// length and digest. A worker whose long id has the key of an ended one is refused, too.
type retiredKey struct {
	beginning string
	length    int
	digest    digest
}

func newRetiredKey(workerID string) retiredKey {
	const most = 64
	if len(workerID) <= most {
		return retiredKey{beginning: workerID, length: len(workerID)}
	}
	return retiredKey{workerID[:most], len(workerID), chain(0, workerID)}
}

func (r *retiredIDs) has(workerID string) bool {
	_, ok := r.keys[newRetiredKey(workerID)]
	return ok
}

// add remembers an id as the latest.
func (r *retiredIDs) add(workerID string) {
	key := newRetiredKey(workerID)
	if r.keys == nil {
		r.keys = make(map[retiredKey]struct{})
	}
	if _, ok := r.keys[key]; ok { // seldom: only RetireWorker names an id again
		r.order, r.start = slices.Concat(r.order[r.start:], r.order[:r.start]), 0
		i := slices.Index(r.order, key)
		r.order = append(slices.Delete(r.order, i, i+1), key)
		return
	}
	key.beginning = strings.Clone(key.beginning) // or it could keep a longer string alive
	r.keys[key] = struct{}{}
	if len(r.order) < retiredMost {
		r.order = append(r.order, key)
		return
	}
	delete(r.keys, r.order[r.start])
	r.order[r.start] = key
	r.start = (r.start + 1) % retiredMost
}
