package model

import (
	"cmp"
	"math"
	"slices"
	"unicode/utf8"

	wc "github.com/workerchannel/workerchannel"
)

// The model of the coordinator: PROTOCOL sections 6 and 7, written from their text in the most naive
// way. It keeps lists and looks through all of them whenever it is asked, and it calls no code that it judges.

// Transitions is the table of section 6.
var Transitions = map[wc.JobState][]wc.JobState{
	wc.StateCreated:         {wc.StateQueued, wc.StateFailed},
	wc.StateQueued:          {wc.StateRunning, wc.StateCancelRequested, wc.StateCompleted, wc.StateFailed},
	wc.StateRunning:         {wc.StateCancelRequested, wc.StateCompleted, wc.StateFailed},
	wc.StateCancelRequested: {wc.StateDraining, wc.StateCompleted, wc.StateFailed},
	wc.StateDraining:        {wc.StateFinalizing, wc.StateFailed},
	wc.StateFinalizing:      {wc.StateCompleted, wc.StateFailed},
}

// Ended reports whether a job in state s has ended.
func Ended(s wc.JobState) bool { return s == wc.StateCompleted || s == wc.StateFailed }

// Pollable reports whether a job in state s may be polled.
func Pollable(s wc.JobState) bool { return s == wc.StateQueued || s == wc.StateRunning }

// An Outbox is the outbox of either side, with its counters: section 1, "Numbering".
type Outbox struct {
	workerID *string
	Last     wc.Header // of the last message sent; its seed and turn are those of the next
	Waiting  []Message
}

// A Message waits to be sent.
type Message struct {
	wc.Envelope
	job *Job // that it is about, or nil
}

func (o *Outbox) send(op wc.Op, job *Job) (seq uint64) {
	o.Last.MessageID, o.Last.SeqNo, o.Last.DecisionSeq = o.Last.MessageID+1, o.Last.SeqNo+1, o.Last.DecisionSeq+1
	o.Waiting = append(o.Waiting, Message{wc.Envelope{Version: 1, Header: o.Last, Op: op}, job})
	if job != nil {
		job.LastSeqNo = o.Last.SeqNo
	}
	return o.Last.SeqNo
}

// Envelopes returns the waiting messages as they are before they are taken, without worker id and digest.
func (o *Outbox) Envelopes() (envelopes []wc.Envelope) {
	for _, m := range o.Waiting {
		envelopes = append(envelopes, m.Envelope)
	}
	return envelopes
}

// Take takes the oldest message.
func (o *Outbox) Take() (m Message, ok bool) {
	if len(o.Waiting) == 0 {
		return m, false
	}
	m, o.Waiting = o.Waiting[0], o.Waiting[1:]
	m.WorkerID = o.workerID
	m.Envelope = Seal(m.Envelope)
	return m, true
}

// A Job is a tracked job of either side.
type Job struct {
	wc.TrackedJob
	reason   string // of its cancel
	Answered bool   // on the worker's side: whether the phase that the job is in has been answered
}

// become makes a transition, which nobody has answered yet.
func (j *Job) become(to wc.JobState, turn uint64) error {
	if !slices.Contains(Transitions[j.State], to) {
		return &wc.TransitionError{JobID: j.JobID, From: j.State, To: to}
	}
	j.State, j.Since, j.Answered = to, turn, false
	return nil
}

// Jobs are the tracked jobs, in no particular order.
type Jobs []*Job

// Find returns the job with an id.
func (jobs Jobs) Find(jobID uint64) (*Job, error) {
	for _, j := range jobs {
		if j.JobID == jobID {
			return j, nil
		}
	}
	return nil, &wc.JobError{Kind: wc.ErrUnknownJobID, JobID: jobID}
}

// where returns the jobs that have a property, by ascending id.
func (jobs Jobs) where(property func(*Job) bool) (found Jobs) {
	for _, j := range jobs {
		if property(j) {
			found = append(found, j)
		}
	}
	slices.SortFunc(found, func(a, b *Job) int { return cmp.Compare(a.JobID, b.JobID) })
	return found
}

// All returns the jobs by ascending id, as the next two do.
func (jobs Jobs) All() Jobs { return jobs.where(func(*Job) bool { return true }) }

// Inflight returns those that have not ended.
func (jobs Jobs) Inflight() Jobs {
	return jobs.where(func(j *Job) bool { return !Ended(j.State) })
}

// Ended returns those that have ended.
func (jobs Jobs) Ended() Jobs {
	return jobs.where(func(j *Job) bool { return Ended(j.State) })
}

func (jobs Jobs) region(regionID uint64) Jobs {
	return jobs.where(func(j *Job) bool { return j.RegionID == regionID })
}

func (jobs *Jobs) forget(j *Job) {
	*jobs = slices.DeleteFunc(*jobs, func(other *Job) bool { return other == j })
}

// Values returns copies.
func (jobs Jobs) Values() (values []wc.TrackedJob) {
	for _, j := range jobs.All() {
		values = append(values, j.TrackedJob)
	}
	return values
}

// A Coordinator is section 7. Its methods are named for the calls.
type Coordinator struct {
	Outbox
	limits                   wc.Limits
	Jobs                     Jobs
	closed                   []uint64 // regions
	Active                   *string
	Ended                    []string
	Highest                  uint64
	Ready, Shutdown, Closing bool
	closingReason            string
	expected                 *uint64 // the turn in which a worker was expected
	taken                    []Message
	takenIn                  []uint64 // the turn in which each of them was taken
}

// NewCoordinator returns a coordinator whose first message has a certain decision_seq.
func NewCoordinator(seed, decision uint64, limits wc.Limits) *Coordinator {
	return &Coordinator{Outbox: Outbox{Last: wc.Header{Seed: seed, DecisionSeq: decision - 1}}, limits: limits}
}

func (p *Coordinator) Turn() uint64 { return p.Last.IssuedAtTurn }

func (p *Coordinator) endSession(cause wc.EndCause) {
	for _, j := range p.Jobs.Inflight() {
		j.State, j.Since, j.Cause = wc.StateFailed, p.Turn(), cause
	}
	if p.Active != nil {
		p.Ended = append(p.Ended, *p.Active)
	}
	p.Waiting, p.taken, p.takenIn = nil, nil, nil
	p.Active, p.Ready, p.Shutdown, p.Closing = nil, false, false, false
}

func (p *Coordinator) Spawn(s wc.SpawnJob, tag any) error {
	if !p.Ready {
		return wc.ErrWorkerNotReady
	}
	if p.Shutdown || p.Closing {
		return wc.ErrShutdownInProgress
	}
	if slices.Contains(p.closed, s.RegionID) {
		return &wc.RegionError{Kind: wc.ErrRegionClosed, RegionID: s.RegionID}
	}
	if len(s.Payload) > 262144 {
		return &wc.PayloadError{Size: len(s.Payload), Max: 262144}
	}
	if _, err := p.Jobs.Find(s.JobID); err == nil {
		return &wc.JobError{Kind: wc.ErrDuplicateJobID, JobID: s.JobID}
	}
	j := &Job{TrackedJob: wc.TrackedJob{
		JobID: s.JobID, RegionID: s.RegionID, TaskID: s.TaskID, ObligationID: s.ObligationID,
		State: wc.StateQueued, Since: p.Turn(), Tag: tag,
	}}
	p.Jobs = append(p.Jobs, j)
	p.send(s, j)
	return nil
}

// checkReason returns the first two errors of every call that has a reason.
func (p *Coordinator) checkReason(reason string) error {
	if !utf8.ValidString(reason) {
		return wc.ErrInvalidValue
	}
	if p.Shutdown {
		return wc.ErrShutdownInProgress
	}
	return nil
}

func (p *Coordinator) Cancel(jobID uint64, reason string) error {
	if err := p.checkReason(reason); err != nil {
		return err
	}
	j, err := p.Jobs.Find(jobID)
	if err != nil {
		return err
	}
	if err := j.become(wc.StateCancelRequested, p.Turn()); err != nil {
		return err
	}
	j.reason = reason
	p.send(wc.CancelJob{JobID: jobID, Reason: reason}, j)
	return nil
}

func (p *Coordinator) CancelRegion(regionID uint64, reason string, closing bool) (cancelled int, err error) {
	if err := p.checkReason(reason); err != nil {
		return 0, err
	}
	jobs := p.Jobs.region(regionID)
	if len(jobs) == 0 {
		return 0, &wc.RegionError{Kind: wc.ErrUnknownRegionID, RegionID: regionID}
	}
	if closing {
		p.closed = append(p.closed, regionID)
	}
	for _, j := range jobs {
		if Pollable(j.State) {
			_ = p.Cancel(j.JobID, reason)
			cancelled++
		}
	}
	return cancelled, nil
}

func (p *Coordinator) Poll(jobID uint64) error {
	if p.Shutdown {
		return wc.ErrShutdownInProgress
	}
	j, err := p.Jobs.Find(jobID)
	if err != nil {
		return err
	}
	if !Pollable(j.State) {
		return &wc.JobError{Kind: wc.ErrJobNotPollable, JobID: jobID, State: j.State}
	}
	p.send(wc.PollStatus{JobID: jobID}, j)
	return nil
}

func (p *Coordinator) RequestShutdown(reason string) error {
	if err := p.checkReason(reason); err != nil {
		return err
	}
	p.Shutdown, p.Closing = true, false
	p.Waiting, p.taken, p.takenIn = nil, nil, nil
	p.send(wc.ShutdownWorker{Reason: reason}, nil)
	return nil
}

func (p *Coordinator) ShutdownWhenIdle(reason string) error {
	if err := p.checkReason(reason); err != nil {
		return err
	}
	if p.Closing {
		return wc.ErrShutdownInProgress
	}
	p.Closing, p.closingReason = true, reason
	p.shutdownIfIdle()
	return nil
}

func (p *Coordinator) shutdownIfIdle() {
	if p.Closing && len(p.Jobs.Inflight()) == 0 {
		_ = p.RequestShutdown(p.closingReason)
	}
}

func (p *Coordinator) ExpectWorker() {
	turn := p.Turn()
	p.expected = &turn
}

func (p *Coordinator) WorkerLost() {
	if p.Active == nil {
		p.expected = nil
	}
	p.endSession(wc.CauseWorkerLost)
}

func (p *Coordinator) Retire(workerID string) {
	if p.Active != nil && *p.Active == workerID {
		p.endSession(wc.CauseWorkerLost)
	} else {
		p.Ended = append(p.Ended, workerID)
	}
}

func (p *Coordinator) forget(j *Job) {
	p.Jobs.forget(j)
	if len(p.Jobs.region(j.RegionID)) == 0 {
		p.closed = slices.DeleteFunc(p.closed, func(id uint64) bool { return id == j.RegionID })
	}
}

func (p *Coordinator) Remove(jobID uint64) (wc.JobState, error) {
	j, err := p.Jobs.Find(jobID)
	if err != nil {
		return 0, err
	}
	if !Ended(j.State) {
		return 0, &wc.JobError{Kind: wc.ErrJobNotTerminal, JobID: jobID, State: j.State}
	}
	p.forget(j)
	return j.State, nil
}

func (p *Coordinator) Reap() []wc.TrackedJob {
	ended := p.Jobs.Ended()
	for _, j := range ended {
		p.forget(j)
	}
	return ended.Values()
}

// Drain takes the oldest message. What nobody will answer any more needs no noting.
func (p *Coordinator) Drain() (wc.Envelope, bool) {
	m, ok := p.Take()
	if _, poll := m.Op.(wc.PollStatus); ok && !(poll && Ended(m.job.State)) {
		p.taken, p.takenIn = append(p.taken, m), append(p.takenIn, p.Turn())
	}
	return m.Envelope, ok
}

// requests returns all requests that are outstanding and under a limit; the one that is due first stands first.
func (p *Coordinator) requests() (requests []wc.Overdue) {
	add := func(limit uint64, o wc.Overdue) {
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
		add(p.limits.Boot, wc.Overdue{Since: *p.expected})
	}
	for i, m := range p.taken { // by ascending sequence number
		since := p.takenIn[i]
		switch op := m.Op.(type) {
		case wc.CancelJob:
			if m.job.State == wc.StateCancelRequested {
				add(p.limits.Cancel, wc.Overdue{Request: wc.OpCancelJob, JobID: op.JobID, Since: since})
			}
		case wc.DrainJob:
			if m.job.State == wc.StateDraining {
				add(p.limits.Drain, wc.Overdue{Request: wc.OpDrainJob, JobID: op.JobID, Since: since})
			}
		case wc.FinalizeJob:
			if m.job.State == wc.StateFinalizing {
				add(p.limits.Finalize, wc.Overdue{Request: wc.OpFinalizeJob, JobID: op.JobID, Since: since})
			}
		case wc.PollStatus:
			add(p.limits.Poll, wc.Overdue{Request: wc.OpPollStatus, JobID: op.JobID, Since: since})
		case wc.ShutdownWorker:
			add(p.limits.Shutdown, wc.Overdue{Request: wc.OpShutdownWorker, Since: since})
		}
	}
	slices.SortStableFunc(requests, func(a, b wc.Overdue) int { return cmp.Compare(a.Deadline, b.Deadline) })
	return requests
}

// Requests leaves out the polls after the first, which any message answers with it.
func (p *Coordinator) Requests() (requests []wc.Overdue) {
	polled := false
	for _, r := range p.requests() {
		if r.Request != wc.OpPollStatus || !polled {
			requests = append(requests, r)
		}
		polled = polled || r.Request == wc.OpPollStatus
	}
	return requests
}

func (p *Coordinator) NextDeadline() (turn uint64, ok bool) {
	if requests := p.requests(); len(requests) > 0 {
		return requests[0].Deadline, true
	}
	return 0, false
}

func (p *Coordinator) Overdue() (wc.Overdue, bool) {
	if requests := p.requests(); len(requests) > 0 && requests[0].Deadline <= p.Turn() {
		return requests[0], true
	}
	return wc.Overdue{}, false
}

func (p *Coordinator) Regions() (regions []wc.Region) {
	for _, j := range p.Jobs.All() {
		all := p.Jobs.region(j.RegionID)
		if all[0] == j { // once
			regions = append(regions, wc.Region{RegionID: j.RegionID, Tracked: len(all), Inflight: len(all.Inflight()), Closed: slices.Contains(p.closed, j.RegionID)})
		}
	}
	slices.SortFunc(regions, func(a, b wc.Region) int { return cmp.Compare(a.RegionID, b.RegionID) })
	return regions
}
