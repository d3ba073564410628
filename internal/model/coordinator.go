package workerchannel

import (
	"cmp"
	"math"
	"slices"
	"unicode/utf8"
)

// The reference model of the coordinator: PROTOCOL sections 6 and 7, written from their text in the most naive
// way. It keeps lists and looks through all of them whenever it is asked, and it calls no code that it judges.

// plainNext is the table of section 6.
var plainNext = map[JobState][]JobState{
	StateCreated:         {StateQueued, StateFailed},
	StateQueued:          {StateRunning, StateCancelRequested, StateCompleted, StateFailed},
	StateRunning:         {StateCancelRequested, StateCompleted, StateFailed},
	StateCancelRequested: {StateDraining, StateCompleted, StateFailed},
	StateDraining:        {StateFinalizing, StateFailed},
	StateFinalizing:      {StateCompleted, StateFailed},
}

func plainEnded(s JobState) bool { return s == StateCompleted || s == StateFailed }

func plainPollable(s JobState) bool { return s == StateQueued || s == StateRunning }

// A plainOutbox is the outbox of either side, with its counters: section 1, "Numbering".
type plainOutbox struct {
	workerID *string
	last     Header // of the last message sent; its seed and turn are those of the next
	waiting  []plainMessage
}

type plainMessage struct {
	Envelope
	job *plainJob // that it is about, or nil
}

func (o *plainOutbox) send(op Op, job *plainJob) (seq uint64) {
	o.last.MessageID, o.last.SeqNo, o.last.DecisionSeq = o.last.MessageID+1, o.last.SeqNo+1, o.last.DecisionSeq+1
	o.waiting = append(o.waiting, plainMessage{Envelope{Version: 1, Header: o.last, Op: op}, job})
	if job != nil {
		job.LastSeqNo = o.last.SeqNo
	}
	return o.last.SeqNo
}

// envelopes returns the waiting messages as they are before they are taken, without worker id and digest.
func (o *plainOutbox) envelopes() (envelopes []Envelope) {
	for _, m := range o.waiting {
		envelopes = append(envelopes, m.Envelope)
	}
	return envelopes
}

func (o *plainOutbox) take() (m plainMessage, ok bool) {
	if len(o.waiting) == 0 {
		return m, false
	}
	m, o.waiting = o.waiting[0], o.waiting[1:]
	m.WorkerID = o.workerID
	m.Envelope = plainSeal(m.Envelope)
	return m, true
}

// A plainJob is a tracked job of either side.
type plainJob struct {
	TrackedJob
	reason   string // of its cancel
	answered bool   // on the worker's side: whether the phase that the job is in has been answered
}

// become makes a transition, which nobody has answered yet.
func (j *plainJob) become(to JobState, turn uint64) error {
	if !slices.Contains(plainNext[j.State], to) {
		return &TransitionError{j.JobID, j.State, to}
	}
	j.State, j.Since, j.answered = to, turn, false
	return nil
}

// plainJobs are the tracked jobs, in no particular order.
type plainJobs []*plainJob

func (jobs plainJobs) find(jobID uint64) (*plainJob, error) {
	for _, j := range jobs {
		if j.JobID == jobID {
			return j, nil
		}
	}
	return nil, &JobError{Kind: ErrUnknownJobID, JobID: jobID}
}

// where returns the jobs that have a property, by ascending id.
func (jobs plainJobs) where(property func(*plainJob) bool) (found plainJobs) {
	for _, j := range jobs {
		if property(j) {
			found = append(found, j)
		}
	}
	slices.SortFunc(found, func(a, b *plainJob) int { return cmp.Compare(a.JobID, b.JobID) })
	return found
}

func (jobs plainJobs) all() plainJobs { return jobs.where(func(*plainJob) bool { return true }) }

func (jobs plainJobs) inflight() plainJobs {
	return jobs.where(func(j *plainJob) bool { return !plainEnded(j.State) })
}

func (jobs plainJobs) ended() plainJobs {
	return jobs.where(func(j *plainJob) bool { return plainEnded(j.State) })
}

func (jobs plainJobs) region(regionID uint64) plainJobs {
	return jobs.where(func(j *plainJob) bool { return j.RegionID == regionID })
}

func (jobs *plainJobs) forget(j *plainJob) {
	*jobs = slices.DeleteFunc(*jobs, func(other *plainJob) bool { return other == j })
}

func (jobs plainJobs) values() (values []TrackedJob) {
	for _, j := range jobs.all() {
		values = append(values, j.TrackedJob)
	}
	return values
}

// plainCoordinator is section 7.
type plainCoordinator struct {
	plainOutbox
	limits                   Limits
	jobs                     plainJobs
	closed                   []uint64 // regions
	active                   *string
	ended                    []string
	highest                  uint64
	ready, shutdown, closing bool
	closingReason            string
	expected                 *uint64 // the turn in which a worker was expected
	taken                    []plainMessage
	takenIn                  []uint64 // the turn in which each of them was taken
}

func newPlainCoordinator(seed, decision uint64, limits Limits) *plainCoordinator {
	return &plainCoordinator{plainOutbox: plainOutbox{last: Header{Seed: seed, DecisionSeq: decision - 1}}, limits: limits}
}

func (p *plainCoordinator) turn() uint64 { return p.last.IssuedAtTurn }

func (p *plainCoordinator) endSession(cause EndCause) {
	for _, j := range p.jobs.inflight() {
		j.State, j.Since, j.Cause = StateFailed, p.turn(), cause
	}
	if p.active != nil {
		p.ended = append(p.ended, *p.active)
	}
	p.waiting, p.taken, p.takenIn = nil, nil, nil
	p.active, p.ready, p.shutdown, p.closing = nil, false, false, false
}

func (p *plainCoordinator) spawn(s SpawnJob, tag any) error {
	if !p.ready {
		return ErrWorkerNotReady
	}
	if p.shutdown || p.closing {
		return ErrShutdownInProgress
	}
	if slices.Contains(p.closed, s.RegionID) {
		return &RegionError{ErrRegionClosed, s.RegionID}
	}
	if len(s.Payload) > 262144 {
		return &PayloadError{len(s.Payload), 262144}
	}
	if _, err := p.jobs.find(s.JobID); err == nil {
		return &JobError{Kind: ErrDuplicateJobID, JobID: s.JobID}
	}
	j := &plainJob{TrackedJob: TrackedJob{
		JobID: s.JobID, RegionID: s.RegionID, TaskID: s.TaskID, ObligationID: s.ObligationID,
		State: StateQueued, Since: p.turn(), Tag: tag,
	}}
	p.jobs = append(p.jobs, j)
	p.send(s, j)
	return nil
}

// checkReason returns the first two errors of every call that has a reason.
func (p *plainCoordinator) checkReason(reason string) error {
	if !utf8.ValidString(reason) {
		return ErrInvalidValue
	}
	if p.shutdown {
		return ErrShutdownInProgress
	}
	return nil
}

func (p *plainCoordinator) cancel(jobID uint64, reason string) error {
	if err := p.checkReason(reason); err != nil {
		return err
	}
	j, err := p.jobs.find(jobID)
	if err != nil {
		return err
	}
	if err := j.become(StateCancelRequested, p.turn()); err != nil {
		return err
	}
	j.reason = reason
	p.send(CancelJob{jobID, reason}, j)
	return nil
}

func (p *plainCoordinator) cancelRegion(regionID uint64, reason string, closing bool) (cancelled int, err error) {
	if err := p.checkReason(reason); err != nil {
		return 0, err
	}
	jobs := p.jobs.region(regionID)
	if len(jobs) == 0 {
		return 0, &RegionError{ErrUnknownRegionID, regionID}
	}
	if closing {
		p.closed = append(p.closed, regionID)
	}
	for _, j := range jobs {
		if plainPollable(j.State) {
			_ = p.cancel(j.JobID, reason)
			cancelled++
		}
	}
	return cancelled, nil
}

func (p *plainCoordinator) poll(jobID uint64) error {
	if p.shutdown {
		return ErrShutdownInProgress
	}
	j, err := p.jobs.find(jobID)
	if err != nil {
		return err
	}
	if !plainPollable(j.State) {
		return &JobError{ErrJobNotPollable, jobID, j.State}
	}
	p.send(PollStatus{jobID}, j)
	return nil
}

func (p *plainCoordinator) requestShutdown(reason string) error {
	if err := p.checkReason(reason); err != nil {
		return err
	}
	p.shutdown, p.closing = true, false
	p.waiting, p.taken, p.takenIn = nil, nil, nil
	p.send(ShutdownWorker{reason}, nil)
	return nil
}

func (p *plainCoordinator) shutdownWhenIdle(reason string) error {
	if err := p.checkReason(reason); err != nil {
		return err
	}
	if p.closing {
		return ErrShutdownInProgress
	}
	p.closing, p.closingReason = true, reason
	p.shutdownIfIdle()
	return nil
}

func (p *plainCoordinator) shutdownIfIdle() {
	if p.closing && len(p.jobs.inflight()) == 0 {
		_ = p.requestShutdown(p.closingReason)
	}
}

func (p *plainCoordinator) expectWorker() {
	turn := p.turn()
	p.expected = &turn
}

func (p *plainCoordinator) workerLost() {
	if p.active == nil {
		p.expected = nil
	}
	p.endSession(CauseWorkerLost)
}

func (p *plainCoordinator) retire(workerID string) {
	if p.active != nil && *p.active == workerID {
		p.endSession(CauseWorkerLost)
	} else {
		p.ended = append(p.ended, workerID)
	}
}

func (p *plainCoordinator) forget(j *plainJob) {
	p.jobs.forget(j)
	if len(p.jobs.region(j.RegionID)) == 0 {
		p.closed = slices.DeleteFunc(p.closed, func(id uint64) bool { return id == j.RegionID })
	}
}

func (p *plainCoordinator) remove(jobID uint64) (JobState, error) {
	j, err := p.jobs.find(jobID)
	if err != nil {
		return 0, err
	}
	if !plainEnded(j.State) {
		return 0, &JobError{ErrJobNotTerminal, jobID, j.State}
	}
	p.forget(j)
	return j.State, nil
}

func (p *plainCoordinator) reap() []TrackedJob {
	ended := p.jobs.ended()
	for _, j := range ended {
		p.forget(j)
	}
	return ended.values()
}

// drain takes the oldest message. What nobody will answer any more needs no noting.
func (p *plainCoordinator) drain() (Envelope, bool) {
	m, ok := p.take()
	if _, poll := m.Op.(PollStatus); ok && !(poll && plainEnded(m.job.State)) {
		p.taken, p.takenIn = append(p.taken, m), append(p.takenIn, p.turn())
	}
	return m.Envelope, ok
}

// requests returns all requests that are outstanding and under a limit; the one that is due first stands first.
func (p *plainCoordinator) requests() (requests []Overdue) {
	add := func(limit uint64, o Overdue) {
		if limit == 0 {
			return
		}
		o.Deadline = o.Since + limit
		if o.Deadline < limit {
			o.Deadline = math.MaxUint64
		}
		requests = append(requests, o)
	}
	if p.expected != nil {
		add(p.limits.Boot, Overdue{Since: *p.expected})
	}
	for i, m := range p.taken { // by ascending sequence number
		since := p.takenIn[i]
		switch op := m.Op.(type) {
		case CancelJob:
			if m.job.State == StateCancelRequested {
				add(p.limits.Cancel, Overdue{OpCancelJob, op.JobID, since, 0})
			}
		case DrainJob:
			if m.job.State == StateDraining {
				add(p.limits.Drain, Overdue{OpDrainJob, op.JobID, since, 0})
			}
		case FinalizeJob:
			if m.job.State == StateFinalizing {
				add(p.limits.Finalize, Overdue{OpFinalizeJob, op.JobID, since, 0})
			}
		case PollStatus:
			add(p.limits.Poll, Overdue{OpPollStatus, op.JobID, since, 0})
		case ShutdownWorker:
			add(p.limits.Shutdown, Overdue{OpShutdownWorker, 0, since, 0})
		}
	}
	slices.SortStableFunc(requests, func(a, b Overdue) int { return cmp.Compare(a.Deadline, b.Deadline) })
	return requests
}

func (p *plainCoordinator) nextDeadline() (turn uint64, ok bool) {
	if requests := p.requests(); len(requests) > 0 {
		return requests[0].Deadline, true
	}
	return 0, false
}

func (p *plainCoordinator) overdue() (Overdue, bool) {
	if requests := p.requests(); len(requests) > 0 && requests[0].Deadline <= p.turn() {
		return requests[0], true
	}
	return Overdue{}, false
}

func (p *plainCoordinator) regions() (regions []Region) {
	for _, j := range p.jobs.all() {
		all := p.jobs.region(j.RegionID)
		if all[0] == j { // once
			regions = append(regions, Region{j.RegionID, len(all), len(all.inflight()), slices.Contains(p.closed, j.RegionID)})
		}
	}
	slices.SortFunc(regions, func(a, b Region) int { return cmp.Compare(a.RegionID, b.RegionID) })
	return regions
}
