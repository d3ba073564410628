package workerchannel

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A workerTrial compares workers with the model of section 10.
type workerTrial struct {
	trial[*Worker]
	model *plainWorker
}

func TestWorkerMatchesModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := anyNumber.Draw(t, "seed")
		id := rapid.SampledFrom([]string{"worker", "worker", "\n\U0001f600", "", "\xff"}).Draw(t, "id")
		model := newPlainWorker(id, seed)
		s := &workerTrial{newTrial(func() *Worker { return NewWorker(id, seed) }, &model.plainOutbox, model.inbound), model}
		s.repeat(t)
	})
}

func (s *workerTrial) repeat(t *rapid.T) {
	completeShutdown := func(t *rapid.T) { s.call(t, s.model.completeShutdown(), (*Worker).CompleteShutdown) }
	shutdown := func(t *rapid.T) { s.deliver(t, s.model.highest+1, nil, ShutdownWorker{"why"}) }
	calls := map[string]func(*rapid.T){
		"":                  s.compare,
		"go on 1":           s.goOn,
		"go on 2":           s.goOn,
		"go on 3":           s.goOn,
		"go on 4":           s.goOn,
		"announce":          s.announce,
		"fail":              seldom(seldom(s.fail, s.goOn), s.goOn),
		"complete shutdown": seldom(seldom(completeShutdown, s.goOn), s.goOn),
		"start":             s.start,
		"report":            s.report,
		"complete":          s.complete,
		"answer":            s.answer,
		"diagnose":          s.diagnose,
		"turn":              s.advanceTurn,
		"drain":             func(t *rapid.T) { s.drain(t, s.take) },
		"spawn":             s.spawn,
		"unfitting 1":       s.unfitting,
		"unfitting 2":       s.unfitting,
		"shutdown":          seldom(shutdown, s.goOn),
		"stray":             s.stray,
		"damaged":           s.damaged,
		"unwritable":        func(t *rapid.T) { s.handOver(t, drawUnwritable(t, nil, s.model.highest+1)) },
	}
	for range 6 {
		t.Repeat(calls)
	}
}

func (s *workerTrial) take() (Envelope, bool) {
	m, ok := s.model.take()
	return m.Envelope, ok
}

func (s *workerTrial) announce(t *rapid.T) { s.call(t, s.model.announce(), (*Worker).Announce) }

func (s *workerTrial) fail(t *rapid.T) {
	reason := fewTexts.Draw(t, "reason")
	s.call(t, s.model.fail(reason), func(w *Worker) error { return w.Fail(reason) })
}

func (s *workerTrial) start(t *rapid.T) { s.startJob(t, fewJobs.Draw(t, "job id")) }

func (s *workerTrial) startJob(t *rapid.T, id uint64) {
	s.call(t, s.model.start(id), func(w *Worker) error { return w.Start(id) })
}

func (s *workerTrial) report(t *rapid.T) {
	id, detail := fewJobs.Draw(t, "job id"), fewTexts.Draw(t, "detail")
	s.call(t, s.model.report(id, detail), func(w *Worker) error { return w.Report(id, detail) })
}

func (s *workerTrial) complete(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
	outcome := rapid.OneOf(fewOutcomes, rapid.SampledFrom([]Outcome{
		OutcomeOk{}, OutcomeOk{tooLarge}, nil, &OutcomeOk{},
		OutcomeErr{Code: "\xff"}, OutcomeErr{Message: "\xff"}, OutcomeCancelled{"\xff"}, OutcomePanicked{"\xff"},
	})).Draw(t, "outcome")
	s.call(t, s.model.complete(id, outcome), func(w *Worker) error { return w.Complete(id, outcome) })
}

func (s *workerTrial) answer(t *rapid.T) {
	phases := rapid.SampledFrom([]JobState{StateCancelRequested, StateDraining, StateFinalizing})
	s.answerPhase(t, fewJobs.Draw(t, "job id"), phases.Draw(t, "phase"))
}

func (s *workerTrial) answerPhase(t *rapid.T, id uint64, phase JobState) {
	switch phase {
	case StateCancelRequested:
		s.call(t, s.model.acknowledge(id), func(w *Worker) error { return w.AcknowledgeCancel(id) })
	case StateDraining:
		s.call(t, s.model.completeDrain(id), func(w *Worker) error { return w.CompleteDrain(id) })
	case StateFinalizing:
		s.call(t, s.model.completeFinalize(id), func(w *Worker) error { return w.CompleteFinalize(id) })
	}
}

func (s *workerTrial) diagnose(t *rapid.T) {
	d := Diagnostic{Level(rapid.IntRange(0, 3).Draw(t, "level")), fewTexts.Draw(t, "category"), fewTexts.Draw(t, "message"), anyDetail.Draw(t, "metadata")}
	s.call(t, s.model.diagnose(d), func(w *Worker) error { return w.Diagnose(d) })
}

func (s *workerTrial) spawn(t *rapid.T) {
	s.deliver(t, s.model.highest+1, nil, SpawnJob{fewJobs.Draw(t, "job id"), fewRegion.Draw(t, "region"), 2, 3, fewPayloads.Draw(t, "payload")})
}

// goOn takes the next step in the life of a worker and its jobs.
func (s *workerTrial) goOn(t *rapid.T) {
	p := s.model
	switch {
	case p.closed && rapid.Bool().Draw(t, "fail again"):
		s.fail(t)
		return
	case !p.ready:
		s.announce(t)
		return
	case len(p.jobs) == 0:
		s.spawn(t)
		return
	}
	job := rapid.SampledFrom(p.jobs.all()).Draw(t, "job")
	if job.State == StateQueued && rapid.Bool().Draw(t, "start") {
		s.startJob(t, job.JobID)
		return
	}
	if next, ok := map[JobState]Op{
		StateQueued:          CancelJob{job.JobID, "why"},
		StateRunning:         CancelJob{job.JobID, "why"},
		StateCancelRequested: DrainJob{job.JobID},
		StateDraining:        FinalizeJob{job.JobID},
	}[job.State]; ok && (job.answered || plainPollable(job.State)) {
		s.deliver(t, p.highest+1, nil, next)
		return
	}
	s.answerPhase(t, job.JobID, job.State)
}

// unfitting delivers anything that the coordinator could say about any job.
func (s *workerTrial) unfitting(t *rapid.T) {
	id := fewJobs.Draw(t, "job id")
	if len(s.model.jobs) > 0 && rapid.IntRange(0, 3).Draw(t, "tracked") > 0 {
		id = rapid.SampledFrom(s.model.jobs.all()).Draw(t, "job").JobID
	}
	op := rapid.SampledFrom([]Op{PollStatus{id}, CancelJob{id, "why"}, DrainJob{id}, FinalizeJob{id}}).Draw(t, "op")
	s.deliver(t, s.model.highest+1, nil, op)
}

// stray delivers anything from anyone, sealed.
func (s *workerTrial) stray(t *rapid.T) {
	sender := rapid.SampledFrom([]*string{nil, ptr("worker"), ptr("")}).Draw(t, "sender")
	s.deliver(t, drawSeq(t, s.model.highest), sender, drawOp(t, fewJobs, fewPayloads))
}

// damaged delivers what would be fresh but for some damage.
func (s *workerTrial) damaged(t *rapid.T) {
	op := drawOp(t, fewJobs, smallPayload)
	s.handOver(t, drawDamage(t, plainSeal(Envelope{Version: 1, Header: Header{SeqNo: s.model.highest + 1}, Op: op})))
}

// A workerView is everything that can be seen of a worker without naming a job.
type workerView struct {
	ID                      string
	Ready, Closed, Shutdown bool
	Turn, Seed              uint64
	Inflight                int
	Jobs                    []TrackedJob
	Outbox                  []Envelope
}

func (s *workerTrial) compare(t *rapid.T) {
	s.requireEqual(t)
	p, w := s.model, s.witness
	require.Equal(t,
		workerView{p.id, p.ready, p.closed, p.shutdown, p.turn(), p.last.Seed, len(p.jobs), p.jobs.values(), p.envelopes()},
		workerView{w.ID(), w.Ready(), w.Closed(), w.ShutdownRequested(), w.Turn(), w.Seed(), w.InflightCount(), slices.Collect(w.Jobs()), waiting(&w.out)})
	require.Equal(t, len(p.waiting), w.OutboxLen())
	requireJobs(t, p.jobs, w.Job, w.JobState)
}
