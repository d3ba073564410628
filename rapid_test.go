package workerchannel_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
	"github.com/workerchannel/workerchannel/internal/modeltest"
	"pgregory.net/rapid"
)

// A coordinatorTrial compares coordinators with the model of section 7.
type coordinatorTrial struct {
	modeltest.Trial[*wc.Coordinator]
	model *model.Coordinator
	tags  int
}

func TestCoordinatorMatchesModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed, decision, limits := model.AnyNumber.Draw(t, "seed"), model.AnyNumber.Draw(t, "first decision seq"), model.DrawLimits(t)
		oracle := model.NewCoordinator(seed, decision, limits)
		fresh := func() *wc.Coordinator {
			return wc.NewCoordinator(seed, wc.WithFirstDecisionSeq(decision), wc.WithLimits(limits))
		}
		s := &coordinatorTrial{Trial: modeltest.NewTrial(fresh, &oracle.Outbox, oracle.Inbound), model: oracle}
		s.repeat(t)
	})
}

// repeat makes calls in any order; what leads into the depth comes more often, what ends a session seldom.
func (s *coordinatorTrial) repeat(t *rapid.T) {
	lost := func(t *rapid.T) {
		s.model.WorkerLost()
		s.Call(t, nil, func(c *wc.Coordinator) error { c.WorkerLost(); return nil })
	}
	expect := func(t *rapid.T) {
		s.model.ExpectWorker()
		s.Call(t, nil, func(c *wc.Coordinator) error { c.ExpectWorker(); return nil })
	}
	drain := func(t *rapid.T) { s.Drain(t, s.model.Drain) }
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
		"shutdown":           modeltest.Seldom(s.requestShutdown, s.goOn),
		"shutdown, also":     modeltest.Seldom(s.requestShutdown, s.poll),
		"shutdown when idle": s.shutdownWhenIdle,
		"expect":             expect,
		"lost":               modeltest.Seldom(lost, s.goOn),
		"retire":             modeltest.Seldom(s.retire, s.goOn),
		"remove":             s.remove,
		"reap":               modeltest.Seldom(s.reap, s.goOn),
		"turn 1":             s.AdvanceTurn,
		"turn 2":             s.AdvanceTurn,
		"drain 1":            drain,
		"drain 2":            drain,
		"bootstrap":          modeltest.Seldom(s.bootstrap, s.goOn),
		"ask":                s.ask,
		"unfitting 1":        s.unfitting,
		"unfitting 2":        s.unfitting,
		"stray":              s.stray,
		"damaged":            s.damaged,
		"unwritable":         func(t *rapid.T) { s.HandOver(t, model.DrawUnwritable(t, s.model.Active, s.model.Highest+1)) },
	}
	for range 6 {
		t.Repeat(calls)
	}
}

func (s *coordinatorTrial) spawn(t *rapid.T) {
	job := wc.SpawnJob{model.FewJobs.Draw(t, "job id"), model.FewRegion.Draw(t, "region"), model.AnyNumber.Draw(t, "task"), model.AnyNumber.Draw(t, "obligation"), model.FewPayloads.Draw(t, "payload")}
	if rapid.IntRange(0, 9).Draw(t, "too large") == 9 {
		job.Payload = model.TooLarge
	}
	if rapid.Bool().Draw(t, "tagged") {
		s.tags++
		tag := s.tags
		s.Call(t, s.model.Spawn(job, tag), func(c *wc.Coordinator) error { return c.SpawnTagged(job, tag) })
		return
	}
	s.Call(t, s.model.Spawn(job, nil), func(c *wc.Coordinator) error { return c.SpawnJob(job) })
}

func (s *coordinatorTrial) cancel(t *rapid.T) {
	s.cancelJob(t, model.FewJobs.Draw(t, "job id"), model.FewTexts.Draw(t, "reason"))
}

func (s *coordinatorTrial) cancelJob(t *rapid.T, id uint64, reason string) {
	s.Call(t, s.model.Cancel(id, reason), func(c *wc.Coordinator) error { return c.CancelJob(id, reason) })
}

// cancelRegion cancels or closes a region.
func (s *coordinatorTrial) cancelRegion(t *rapid.T) {
	id, reason, closing := model.FewRegion.Draw(t, "region"), model.FewTexts.Draw(t, "reason"), rapid.Bool().Draw(t, "close")
	cancelled, want := s.model.CancelRegion(id, reason, closing)
	s.Call(t, want, func(c *wc.Coordinator) error {
		call := c.CancelRegion
		if closing {
			call = c.CloseRegion
		}
		n, err := call(id, reason)
		require.Equal(t, cancelled, n)
		return err
	})
}

func (s *coordinatorTrial) poll(t *rapid.T) { s.pollJob(t, model.FewJobs.Draw(t, "job id")) }

func (s *coordinatorTrial) pollJob(t *rapid.T, id uint64) {
	s.Call(t, s.model.Poll(id), func(c *wc.Coordinator) error { return c.PollStatus(id) })
}

func (s *coordinatorTrial) requestShutdown(t *rapid.T) {
	reason := model.FewTexts.Draw(t, "reason")
	s.Call(t, s.model.RequestShutdown(reason), func(c *wc.Coordinator) error { return c.RequestShutdown(reason) })
}

func (s *coordinatorTrial) shutdownWhenIdle(t *rapid.T) {
	reason := model.FewTexts.Draw(t, "reason")
	s.Call(t, s.model.ShutdownWhenIdle(reason), func(c *wc.Coordinator) error { return c.ShutdownWhenIdle(reason) })
}

// ask gives the worker several requests in one turn, which may then be due together, and lets turns pass.
func (s *coordinatorTrial) ask(t *rapid.T) {
	s.spawn(t)
	for _, job := range s.model.Jobs.Inflight() {
		switch rapid.IntRange(0, 2).Draw(t, "request") {
		case 0:
			s.cancelJob(t, job.JobID, "why")
		case 1:
			s.pollJob(t, job.JobID)
		}
	}
	s.Drain(t, s.model.Drain)
	s.Drain(t, s.model.Drain)
	for range rapid.IntRange(0, 4).Draw(t, "turns") {
		s.AdvanceTurn(t)
	}
}

// retire retires the active worker, or a former one, or one that has never spoken.
func (s *coordinatorTrial) retire(t *rapid.T) {
	id := rapid.SampledFrom(append(s.workers(), s.nextWorker())).Draw(t, "worker")
	s.model.Retire(id)
	s.Call(t, nil, func(c *wc.Coordinator) error { c.RetireWorker(id); return nil })
}

func (s *coordinatorTrial) remove(t *rapid.T) {
	id := model.FewJobs.Draw(t, "job id")
	if ended := s.model.Jobs.Ended(); len(ended) > 0 && rapid.Bool().Draw(t, "ended") {
		id = rapid.SampledFrom(ended).Draw(t, "job").JobID
	}
	state, want := s.model.Remove(id)
	s.Call(t, want, func(c *wc.Coordinator) error {
		removed, err := c.RemoveJob(id)
		require.Equal(t, state, removed)
		return err
	})
}

func (s *coordinatorTrial) reap(t *rapid.T) {
	want := s.model.Reap()
	s.Call(t, nil, func(c *wc.Coordinator) error {
		require.Equal(t, want, c.Reap())
		return nil
	})
}

// workers returns the ids of the workers that have spoken or were retired.
func (s *coordinatorTrial) workers() []string {
	known := slices.Clone(s.model.Ended)
	if s.model.Active != nil {
		known = append(known, *s.model.Active)
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
	var op wc.Op = wc.BootstrapReady{id}
	if rapid.IntRange(0, 3).Draw(t, "failed") == 3 {
		op = wc.BootstrapFailed{id, "why"}
	}
	s.Deliver(t, modeltest.DrawSeq(t, s.model.Highest), &id, op)
}

// goOn takes the next step in the life of a session and its jobs.
func (s *coordinatorTrial) goOn(t *rapid.T) {
	p := s.model
	inflight := p.Jobs.Inflight()
	fresh := p.Highest + 1
	switch {
	case !p.Ready && rapid.IntRange(0, 3).Draw(t, "not yet") == 1:
		s.requestShutdown(t)
		s.spawn(t)
		return
	case !p.Ready:
		id := s.nextWorker()
		if p.Active != nil {
			id = *p.Active
		}
		s.Deliver(t, fresh, &id, wc.BootstrapReady{id})
		return
	case p.Shutdown && rapid.IntRange(0, 3).Draw(t, "stopped") == 1:
		s.Deliver(t, fresh, p.Active, wc.ShutdownCompleted{})
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
	case wc.StateQueued, wc.StateRunning:
		switch how := rapid.IntRange(0, 3).Draw(t, "how"); {
		case how == 0:
			s.cancelJob(t, job.JobID, "why")
		case how == 1:
			s.pollJob(t, job.JobID)
			s.Drain(t, p.Drain)
		case job.State == wc.StateQueued:
			s.Deliver(t, fresh, p.Active, wc.StatusSnapshot{JobID: job.JobID, State: wc.StateRunning})
		default:
			s.Deliver(t, fresh, p.Active, wc.JobCompleted{job.JobID, model.FewOutcomes.Draw(t, "outcome")})
		}
	case wc.StateCancelRequested:
		s.Deliver(t, fresh, p.Active, wc.CancelAcknowledged{job.JobID})
	case wc.StateDraining:
		s.Deliver(t, fresh, p.Active, wc.DrainCompleted{job.JobID})
	case wc.StateFinalizing:
		s.Deliver(t, fresh, p.Active, wc.FinalizeCompleted{job.JobID})
	}
}

// unfitting delivers anything that the worker could say about any job.
func (s *coordinatorTrial) unfitting(t *rapid.T) {
	id := model.FewJobs.Draw(t, "job id")
	if len(s.model.Jobs) > 0 && rapid.IntRange(0, 3).Draw(t, "tracked") > 0 {
		id = rapid.SampledFrom(s.model.Jobs.All()).Draw(t, "job").JobID
	}
	op := rapid.SampledFrom([]wc.Op{
		wc.StatusSnapshot{id, wc.StateQueued, nil}, wc.StatusSnapshot{id, wc.StateRunning, nil}, wc.StatusSnapshot{id, model.AnyJobState.Draw(t, "state"), nil},
		wc.JobCompleted{id, model.FewOutcomes.Draw(t, "outcome")},
		wc.CancelAcknowledged{id}, wc.DrainCompleted{id}, wc.FinalizeCompleted{id}, wc.Diagnostic{},
	}).Draw(t, "op")
	s.Deliver(t, s.model.Highest+1, s.model.Active, op)
}

// stray delivers anything from anyone, sealed.
func (s *coordinatorTrial) stray(t *rapid.T) {
	senders := []*string{s.model.Active, nil, new("stranger"), new("")}
	for _, id := range s.model.Ended {
		senders = append(senders, &id)
	}
	sender := rapid.SampledFrom(senders).Draw(t, "sender")
	s.Deliver(t, modeltest.DrawSeq(t, s.model.Highest), sender, s.ownOp(t, sender))
}

// ownOp draws any operation; a bootstrap is mostly the sender's own.
func (s *coordinatorTrial) ownOp(t *rapid.T, sender *string) wc.Op {
	op := model.DrawOp(t, model.FewJobs, model.FewPayloads)
	if sender == nil || rapid.IntRange(0, 9).Draw(t, "of another") == 9 {
		return op
	}
	switch op.(type) {
	case wc.BootstrapReady:
		return wc.BootstrapReady{*sender}
	case wc.BootstrapFailed:
		return wc.BootstrapFailed{*sender, "why"}
	}
	return op
}

// damaged delivers what would be fresh but for some damage.
func (s *coordinatorTrial) damaged(t *rapid.T) {
	op := s.ownOp(t, s.model.Active)
	s.HandOver(t, model.DrawDamage(t, model.Seal(wc.Envelope{Version: 1, Header: wc.Header{SeqNo: s.model.Highest + 1}, WorkerID: s.model.Active, Op: op})))
}

// A coordinatorView is everything that can be seen of a coordinator without naming a job or a region.
type coordinatorView struct {
	Ready, Shutdown, Closing bool
	Active                   *string
	Turn, Seed               uint64
	Inflight                 int
	Jobs                     []wc.TrackedJob
	Regions                  []wc.Region
	Overdue                  wc.Overdue
	Late                     bool
	Deadline                 uint64
	Limited                  bool
	Requests                 []wc.Overdue
	Outbox                   []wc.Envelope
}

func (s *coordinatorTrial) compare(t *rapid.T) {
	s.RequireEqual(t)
	p, c := s.model, s.Witness
	want := coordinatorView{
		Ready: p.Ready, Shutdown: p.Shutdown, Closing: p.Closing, Active: p.Active, Turn: p.Turn(), Seed: p.Last.Seed,
		Inflight: len(p.Jobs.Inflight()), Jobs: p.Jobs.Values(), Regions: p.Regions(), Outbox: p.Envelopes(),
		Requests: p.Requests(),
	}
	want.Overdue, want.Late = p.Overdue()
	want.Deadline, want.Limited = p.NextDeadline()
	got := coordinatorView{
		Ready: c.WorkerReady(), Shutdown: c.ShutdownRequested(), Closing: c.Closing(), Turn: c.Turn(), Seed: c.Seed(),
		Inflight: c.InflightCount(), Jobs: slices.Collect(c.Jobs()), Regions: slices.Collect(c.Regions()), Outbox: c.Waiting(),
		Requests: slices.Collect(c.Requests()),
	}
	if id, ok := c.ActiveWorker(); ok {
		got.Active = &id
	}
	got.Overdue, got.Late = c.Overdue()
	got.Deadline, got.Limited = c.NextDeadline()
	require.Equal(t, want, got)
	require.Equal(t, len(p.Waiting), c.OutboxLen())
	modeltest.RequireJobs(t, p.Jobs, c.Job, c.JobState)
	for _, id := range model.FewRegions {
		region, ok := c.Region(id)
		i := slices.IndexFunc(want.Regions, func(r wc.Region) bool { return r.RegionID == id })
		require.Equal(t, i >= 0, ok)
		if ok {
			require.Equal(t, want.Regions[i], region)
		}
	}
}
