package workerchannel

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A half is either side of the protocol, with all the ways in which it takes a message.
type half interface {
	HandleInbound(*Envelope) error
	HandleVerified(Verified) error
	Receive([]byte) (Envelope, error)
	DrainOutbox() (Envelope, bool)
	AdvanceTurn()
}

// A trial compares three halves, one for each way in, with their model. A fourth, the witness, never sees a call
// or a message that is refused, and yet must stay equal to them: a refusal changes nothing.
type trial[H half] struct {
	three   [3]H
	witness H
	outbox  *plainOutbox // of the model
	inbound func(Envelope) (refusal, answer error)
}

func newTrial[H half](fresh func() H, outbox *plainOutbox, inbound func(Envelope) (refusal, answer error)) trial[H] {
	return trial[H]{[3]H{fresh(), fresh(), fresh()}, fresh(), outbox, inbound}
}

// call makes a call, which the model answers with want.
func (s *trial[H]) call(t *rapid.T, want error, call func(H) error) {
	for _, h := range s.three {
		requireError(t, want, call(h))
	}
	if want == nil {
		require.NoError(t, call(s.witness))
	}
}

// requireError compares an error and its data with those of the model, which does not know what is wrong with a
// value that cannot be sent, or at which byte.
func requireError(t require.TestingT, want, got error, what ...any) {
	if want == ErrInvalidValue {
		e := new(ValueError)
		require.ErrorAs(t, got, &e, what...)
		return
	}
	if e := new(ParseError); errors.As(got, &e) && e.Err != nil {
		got = e.Err
	}
	require.Equal(t, want, got, what...)
}

func (s *trial[H]) advanceTurn(t *rapid.T) {
	s.outbox.last.IssuedAtTurn++
	s.call(t, nil, func(h H) error { h.AdvanceTurn(); return nil })
}

// drain takes messages from the outboxes; take does that of the model.
func (s *trial[H]) drain(t *rapid.T, take func() (Envelope, bool)) {
	for range rapid.IntRange(1, 4).Draw(t, "messages") {
		want, some := take()
		s.call(t, nil, func(h H) error {
			env, ok := h.DrainOutbox()
			require.Equal(t, some, ok)
			require.Equal(t, want, env)
			return nil
		})
	}
}

func (s *trial[H]) deliver(t *rapid.T, seq uint64, sender *string, op Op) {
	s.handOver(t, plainSeal(Envelope{Version: 1, Header: Header{SeqNo: seq, DecisionSeq: seq}, WorkerID: sender, Op: op}))
}

// handOver gives a message to each half by a way of its own.
func (s *trial[H]) handOver(t *rapid.T, env Envelope) {
	refusal, answer := s.inbound(env)
	want := cmp.Or(refusal, answer)
	held := env
	if env.WorkerID != nil {
		held.WorkerID = ptr(*env.WorkerID)
	}
	requireError(t, want, s.three[0].HandleInbound(&held), "HandleInbound")
	if held.WorkerID != nil {
		*held.WorkerID = "changed by its holder"
	}
	if refusal == nil {
		requireError(t, want, s.witness.HandleInbound(&env), "HandleInbound")
	}

	text, err := env.AppendJSON(nil)
	if err != nil { // it does not come as text
		require.Error(t, refusal)
		requireError(t, want, s.three[1].HandleInbound(&env), "HandleInbound")
		return
	}
	valid := plainVerdict(env) == nil

	v, err := Verify(text)
	if valid {
		require.NoError(t, err)
		requireError(t, want, s.three[1].HandleVerified(v), "HandleVerified")
	} else {
		requireError(t, want, err, "Verify")
		require.ErrorIs(t, s.three[1].HandleVerified(v), ErrInvalidValue)
	}

	read, err := s.three[2].Receive(text)
	clear(text)
	requireError(t, want, err, "Receive")
	if valid {
		require.Equal(t, plainWire(env), plainWire(read), "Receive")
	} else {
		require.Zero(t, read, "Receive")
	}
}

// requireEqual compares the halves with each other.
func (s *trial[H]) requireEqual(t *rapid.T) {
	for i, h := range s.three {
		require.True(t, reflect.DeepEqual(s.witness, h), "%d differs from one that never saw what was refused", i)
	}
}

// seldom makes the one call now and then, and mostly the other.
func seldom(now, mostly func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		if rapid.IntRange(0, 7).Draw(t, "seldom") == 6 {
			now(t)
		} else {
			mostly(t)
		}
	}
}

// drawSeq draws a sequence number about the highest that was accepted.
func drawSeq(t *rapid.T, highest uint64) uint64 {
	return rapid.SampledFrom([]uint64{highest + 1, highest + 3, highest, 1, 0}).Draw(t, "seq no")
}

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
		"shutdown when idle": seldom(s.shutdownWhenIdle, s.goOn),
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
		"unfitting":          s.unfitting,
		"stray":              s.stray,
		"damaged":            s.damaged,
		"unwritable":         func(t *rapid.T) { s.handOver(t, drawUnwritable(t, s.model.active, s.model.highest+1)) },
	}
	for range 3 {
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

func (s *coordinatorTrial) poll(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
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

// retire retires the active worker, or a former one, or one that has never spoken.
func (s *coordinatorTrial) retire(t *rapid.T) {
	id := rapid.SampledFrom(append(s.workers(), s.nextWorker())).Draw(t, "worker")
	s.model.retire(id)
	s.call(t, nil, func(c *Coordinator) error { c.RetireWorker(id); return nil })
}

func (s *coordinatorTrial) remove(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
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
		s.reap(t)
		s.spawn(t)
		return
	}
	job := rapid.SampledFrom(inflight).Draw(t, "job")
	switch cancel := rapid.Bool().Draw(t, "cancel"); job.State {
	case StateQueued, StateRunning:
		if cancel {
			s.cancelJob(t, job.JobID, "why")
		} else if job.State == StateQueued {
			s.deliver(t, fresh, p.active, StatusSnapshot{JobID: job.JobID, State: StateRunning})
		} else {
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
	op := rapid.SampledFrom([]Op{
		StatusSnapshot{id, anyJobState.Draw(t, "state"), nil}, JobCompleted{id, fewOutcomes.Draw(t, "outcome")},
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

// waiting returns the messages in an outbox, which have no worker id and no digest before they are taken.
func waiting[J any](o *outbox[J]) (envelopes []Envelope) {
	for _, m := range o.queue[o.head:] {
		envelopes = append(envelopes, m.Envelope)
	}
	return envelopes
}

// requireJobs looks every job up by its id.
func requireJobs(t *rapid.T, jobs plainJobs, job func(uint64) (TrackedJob, bool), state func(uint64) (JobState, bool)) {
	for _, id := range fewJobIDs {
		want, err := jobs.find(id)
		if err != nil {
			want = new(plainJob)
		}
		tracked, ok := job(id)
		require.Equal(t, err == nil, ok)
		require.Equal(t, want.TrackedJob, tracked)
		s, ok := state(id)
		require.Equal(t, err == nil, ok)
		require.Equal(t, want.State, s)
	}
}
