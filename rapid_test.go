package workerchannel

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A coordinatorTrial compares coordinators with the model of section 7.
type coordinatorTrial struct {
	trial[*Coordinator]
	model *plainCoordinator
	tags  int
}

func TestCoordinatorMatchesModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed, decision, limits := anyNumber.Draw(t, "seed"), anyNumber.Draw(t, "first decision seq"), drawLimits(t)
		model := newPlainCoordinator(seed, decision, limits)
		fresh := func() *Coordinator { return NewCoordinator(seed, WithFirstDecisionSeq(decision), WithLimits(limits)) }
		s := &coordinatorTrial{trial: newTrial(fresh, &model.plainOutbox, model.inbound), model: model}
		s.repeat(t)
	})
}

// repeat makes calls in any order; what leads into the depth comes more often, what ends a session seldom.
func (s *coordinatorTrial) repeat(t *rapid.T) {
	lost := func(t *rapid.T) {
		s.model.workerLost()
		s.call(t, nil, func(c *Coordinator) error { c.WorkerLost(); return nil })
	}
	expect := func(t *rapid.T) {
		s.model.expectWorker()
		s.call(t, nil, func(c *Coordinator) error { c.ExpectWorker(); return nil })
	}
	drain := func(t *rapid.T) { s.drain(t, s.model.drain) }
	calls := map[string]func(*rapid.T){
		"":                   s.compare,
		"go on 1":            s.goOn,
		"go on 2":            s.goOn,
		"go on 3":            s.goOn,
		"go on 4":            s.goOn,
		"spawn":              s.spawn,
		"cancel":             s.cancel,
		"cancel region":      s.cancelRegion,
		"poll":               s.poll,
		"shutdown":           seldom(s.requestShutdown, s.goOn),
		"shutdown, also":     seldom(s.requestShutdown, s.poll),
		"shutdown when idle": s.shutdownWhenIdle,
		"expect":             expect,
		"lost":               seldom(lost, s.goOn),
		"retire":             seldom(s.retire, s.goOn),
		"remove":             s.remove,
		"reap":               seldom(s.reap, s.goOn),
		"turn 1":             s.advanceTurn,
		"turn 2":             s.advanceTurn,
		"drain 1":            drain,
		"drain 2":            drain,
		"bootstrap":          seldom(s.bootstrap, s.goOn),
		"ask":                s.ask,
		"unfitting 1":        s.unfitting,
		"unfitting 2":        s.unfitting,
		"stray":              s.stray,
		"damaged":            s.damaged,
		"unwritable":         func(t *rapid.T) { s.handOver(t, drawUnwritable(t, s.model.active, s.model.highest+1)) },
	}
	for range 6 {
		t.Repeat(calls)
	}
}

func (s *coordinatorTrial) spawn(t *rapid.T) {
	job := SpawnJob{fewJobs.Draw(t, "job id"), fewRegion.Draw(t, "region"), anyNumber.Draw(t, "task"), anyNumber.Draw(t, "obligation"), fewPayloads.Draw(t, "payload")}
	if rapid.IntRange(0, 9).Draw(t, "too large") == 9 {
		job.Payload = tooLarge
	}
	if rapid.Bool().Draw(t, "tagged") {
		s.tags++
		tag := s.tags
		s.call(t, s.model.spawn(job, tag), func(c *Coordinator) error { return c.SpawnTagged(job, tag) })
		return
	}
	s.call(t, s.model.spawn(job, nil), func(c *Coordinator) error { return c.SpawnJob(job) })
}

func (s *coordinatorTrial) cancel(t *rapid.T) {
	s.cancelJob(t, fewJobs.Draw(t, "job id"), fewTexts.Draw(t, "reason"))
}

func (s *coordinatorTrial) cancelJob(t *rapid.T, id uint64, reason string) {
	s.call(t, s.model.cancel(id, reason), func(c *Coordinator) error { return c.CancelJob(id, reason) })
}

// cancelRegion cancels or closes a region.
func (s *coordinatorTrial) cancelRegion(t *rapid.T) {
	id, reason, closing := fewRegion.Draw(t, "region"), fewTexts.Draw(t, "reason"), rapid.Bool().Draw(t, "close")
	cancelled, want := s.model.cancelRegion(id, reason, closing)
	s.call(t, want, func(c *Coordinator) error {
		call := c.CancelRegion
		if closing {
			call = c.CloseRegion
		}
		n, err := call(id, reason)
		require.Equal(t, cancelled, n)
		return err
	})
}

func (s *coordinatorTrial) poll(t *rapid.T) { s.pollJob(t, fewJobs.Draw(t, "job id")) }

func (s *coordinatorTrial) pollJob(t *rapid.T, id uint64) {
	s.call(t, s.model.poll(id), func(c *Coordinator) error { return c.PollStatus(id) })
}

func (s *coordinatorTrial) requestShutdown(t *rapid.T) {
	reason := fewTexts.Draw(t, "reason")
	s.call(t, s.model.requestShutdown(reason), func(c *Coordinator) error { return c.RequestShutdown(reason) })
}

func (s *coordinatorTrial) shutdownWhenIdle(t *rapid.T) {
	reason := fewTexts.Draw(t, "reason")
	s.call(t, s.model.shutdownWhenIdle(reason), func(c *Coordinator) error { return c.ShutdownWhenIdle(reason) })
}

// ask gives the worker several requests in one turn, which may then be due together, and lets turns pass.
func (s *coordinatorTrial) ask(t *rapid.T) {
	s.spawn(t)
	for _, job := range s.model.jobs.inflight() {
		switch rapid.IntRange(0, 2).Draw(t, "request") {
		case 0:
			s.cancelJob(t, job.JobID, "why")
		case 1:
			s.pollJob(t, job.JobID)
		}
	}
	s.drain(t, s.model.drain)
	s.drain(t, s.model.drain)
	for range rapid.IntRange(0, 4).Draw(t, "turns") {
		s.advanceTurn(t)
	}
}

// retire retires the active worker, or a former one, or one that has never spoken.
func (s *coordinatorTrial) retire(t *rapid.T) {
	id := rapid.SampledFrom(append(s.workers(), s.nextWorker())).Draw(t, "worker")
	s.model.retire(id)
	s.call(t, nil, func(c *Coordinator) error { c.RetireWorker(id); return nil })
}

func (s *coordinatorTrial) remove(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
	if ended := s.model.jobs.ended(); len(ended) > 0 && rapid.Bool().Draw(t, "ended") {
		id = rapid.SampledFrom(ended).Draw(t, "job").JobID
	}
	state, want := s.model.remove(id)
	s.call(t, want, func(c *Coordinator) error {
		removed, err := c.RemoveJob(id)
		require.Equal(t, state, removed)
		return err
	})
}

func (s *coordinatorTrial) reap(t *rapid.T) {
	want := s.model.reap()
	s.call(t, nil, func(c *Coordinator) error {
		require.Equal(t, want, c.Reap())
		return nil
	})
}

// workers returns the ids of the workers that have spoken or were retired.
func (s *coordinatorTrial) workers() []string {
	known := slices.Clone(s.model.ended)
	if s.model.active != nil {
		known = append(known, *s.model.active)
	}
	return known
}

func (s *coordinatorTrial) nextWorker() string { return fmt.Sprint("worker ", len(s.workers())) }

// bootstrap delivers a bootstrap of a new worker, or else of a former one.
func (s *coordinatorTrial) bootstrap(t *rapid.T) {
	id := s.nextWorker()
	if known := s.workers(); len(known) > 0 && rapid.IntRange(0, 3).Draw(t, "known") == 3 {
		id = rapid.SampledFrom(known).Draw(t, "worker")
	}
	var op Op = BootstrapReady{id}
	if rapid.IntRange(0, 3).Draw(t, "failed") == 3 {
		op = BootstrapFailed{id, "why"}
	}
	s.deliver(t, drawSeq(t, s.model.highest), &id, op)
}

// goOn takes the next step in the life of a session and its jobs.
func (s *coordinatorTrial) goOn(t *rapid.T) {
	p := s.model
	inflight := p.jobs.inflight()
	fresh := p.highest + 1
	switch {
	case !p.ready && rapid.IntRange(0, 3).Draw(t, "not yet") == 1:
		s.requestShutdown(t)
		s.spawn(t)
		return
	case !p.ready:
		id := s.nextWorker()
		if p.active != nil {
			id = *p.active
		}
		s.deliver(t, fresh, &id, BootstrapReady{id})
		return
	case p.shutdown && rapid.IntRange(0, 3).Draw(t, "stopped") == 1:
		s.deliver(t, fresh, p.active, ShutdownCompleted{})
		return
	case len(inflight) == 0:
		if rapid.IntRange(0, 3).Draw(t, "reap") == 1 {
			s.reap(t)
		}
		s.spawn(t)
		return
	}
	job := rapid.SampledFrom(inflight).Draw(t, "job")
	switch job.State {
	case StateQueued, StateRunning:
		switch how := rapid.IntRange(0, 3).Draw(t, "how"); {
		case how == 0:
			s.cancelJob(t, job.JobID, "why")
		case how == 1:
			s.pollJob(t, job.JobID)
			s.drain(t, p.drain)
		case job.State == StateQueued:
			s.deliver(t, fresh, p.active, StatusSnapshot{JobID: job.JobID, State: StateRunning})
		default:
			s.deliver(t, fresh, p.active, JobCompleted{job.JobID, fewOutcomes.Draw(t, "outcome")})
		}
	case StateCancelRequested:
		s.deliver(t, fresh, p.active, CancelAcknowledged{job.JobID})
	case StateDraining:
		s.deliver(t, fresh, p.active, DrainCompleted{job.JobID})
	case StateFinalizing:
		s.deliver(t, fresh, p.active, FinalizeCompleted{job.JobID})
	}
}

// unfitting delivers anything that the worker could say about any job.
func (s *coordinatorTrial) unfitting(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
	if len(s.model.jobs) > 0 && rapid.IntRange(0, 3).Draw(t, "tracked") > 0 {
		id = rapid.SampledFrom(s.model.jobs.all()).Draw(t, "job").JobID
	}
	op := rapid.SampledFrom([]Op{
		StatusSnapshot{id, StateQueued, nil}, StatusSnapshot{id, StateRunning, nil}, StatusSnapshot{id, anyJobState.Draw(t, "state"), nil},
		JobCompleted{id, fewOutcomes.Draw(t, "outcome")},
		CancelAcknowledged{id}, DrainCompleted{id}, FinalizeCompleted{id}, Diagnostic{},
	}).Draw(t, "op")
	s.deliver(t, s.model.highest+1, s.model.active, op)
}

// stray delivers anything from anyone, sealed.
func (s *coordinatorTrial) stray(t *rapid.T) {
	senders := []*string{s.model.active, nil, ptr("stranger"), ptr("")}
	for _, id := range s.model.ended {
		senders = append(senders, &id)
	}
	sender := rapid.SampledFrom(senders).Draw(t, "sender")
	s.deliver(t, drawSeq(t, s.model.highest), sender, s.ownOp(t, sender))
}

// ownOp draws any operation; a bootstrap is mostly the sender's own.
func (s *coordinatorTrial) ownOp(t *rapid.T, sender *string) Op {
	op := drawOp(t, fewJobs, fewPayloads)
	if sender == nil || rapid.IntRange(0, 9).Draw(t, "of another") == 9 {
		return op
	}
	switch op.(type) {
	case BootstrapReady:
		return BootstrapReady{*sender}
	case BootstrapFailed:
		return BootstrapFailed{*sender, "why"}
	}
	return op
}

// damaged delivers what would be fresh but for some damage.
func (s *coordinatorTrial) damaged(t *rapid.T) {
	op := s.ownOp(t, s.model.active)
	s.handOver(t, drawDamage(t, plainSeal(Envelope{Version: 1, Header: Header{SeqNo: s.model.highest + 1}, WorkerID: s.model.active, Op: op})))
}

// A coordinatorView is everything that can be seen of a coordinator without naming a job or a region.
type coordinatorView struct {
	Ready, Shutdown, Closing bool
	Active                   *string
	Turn, Seed               uint64
	Inflight                 int
	Jobs                     []TrackedJob
	Regions                  []Region
	Overdue                  Overdue
	Late                     bool
	Deadline                 uint64
	Limited                  bool
	Outbox                   []Envelope
}

func (s *coordinatorTrial) compare(t *rapid.T) {
	s.requireEqual(t)
	p, c := s.model, s.witness
	want := coordinatorView{
		Ready: p.ready, Shutdown: p.shutdown, Closing: p.closing, Active: p.active, Turn: p.turn(), Seed: p.last.Seed,
		Inflight: len(p.jobs.inflight()), Jobs: p.jobs.values(), Regions: p.regions(), Outbox: p.envelopes(),
	}
	want.Overdue, want.Late = p.overdue()
	want.Deadline, want.Limited = p.nextDeadline()
	got := coordinatorView{
		Ready: c.WorkerReady(), Shutdown: c.ShutdownRequested(), Closing: c.Closing(), Turn: c.Turn(), Seed: c.Seed(),
		Inflight: c.InflightCount(), Jobs: slices.Collect(c.Jobs()), Regions: slices.Collect(c.Regions()), Outbox: waiting(&c.out),
	}
	if id, ok := c.ActiveWorker(); ok {
		got.Active = &id
	}
	got.Overdue, got.Late = c.Overdue()
	got.Deadline, got.Limited = c.NextDeadline()
	require.Equal(t, want, got)
	require.Equal(t, len(p.waiting), c.OutboxLen())
	requireJobs(t, p.jobs, c.Job, c.JobState)
	for _, id := range fewRegions {
		region, ok := c.Region(id)
		i := slices.IndexFunc(want.Regions, func(r Region) bool { return r.RegionID == id })
		require.Equal(t, i >= 0, ok)
		if ok {
			require.Equal(t, want.Regions[i], region)
		}
	}
}
