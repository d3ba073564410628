package modeltest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
	"pgregory.net/rapid"
)

// A workerTrial compares workers with the model of section 10.
type workerTrial struct {
	Trial[*wc.Worker]
	model *model.Worker
}

func TestWorkerMatchesModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := model.AnyNumber.Draw(t, "seed")
		id := rapid.SampledFrom([]string{"worker", "worker", "\n\U0001f600", "", "\xff"}).Draw(t, "id")
		oracle := model.NewWorker(id, seed)
		s := &workerTrial{NewTrial(func() *wc.Worker { return wc.NewWorker(id, seed) }, &oracle.Outbox, oracle.Inbound), oracle}
		s.repeat(t)
	})
}

func (s *workerTrial) repeat(t *rapid.T) {
	completeShutdown := func(t *rapid.T) { s.Call(t, s.model.CompleteShutdown(), (*wc.Worker).CompleteShutdown) }
	shutdown := func(t *rapid.T) { s.Deliver(t, s.model.Highest+1, nil, wc.ShutdownWorker{Reason: "why"}) }
	calls := map[string]func(*rapid.T){
		"":                  s.compare,
		"go on 1":           s.goOn,
		"go on 2":           s.goOn,
		"go on 3":           s.goOn,
		"go on 4":           s.goOn,
		"announce":          s.announce,
		"fail":              Seldom(Seldom(s.fail, s.goOn), s.goOn),
		"complete shutdown": Seldom(Seldom(completeShutdown, s.goOn), s.goOn),
		"start":             s.start,
		"report":            s.report,
		"complete":          s.complete,
		"answer":            s.answer,
		"diagnose":          s.diagnose,
		"turn":              s.AdvanceTurn,
		"drain":             func(t *rapid.T) { s.Drain(t, s.take) },
		"spawn":             s.spawn,
		"unfitting 1":       s.unfitting,
		"unfitting 2":       s.unfitting,
		"shutdown":          Seldom(shutdown, s.goOn),
		"stray":             s.stray,
		"damaged":           s.damaged,
		"unwritable":        func(t *rapid.T) { s.HandOver(t, model.DrawUnwritable(t, nil, s.model.Highest+1)) },
	}
	for range 6 {
		t.Repeat(calls)
	}
	for len(s.model.Waiting) > 0 { // what waits is compared when it is taken, and a worker drops nothing
		s.Drain(t, s.take)
	}
}

func (s *workerTrial) take() (wc.Envelope, bool) {
	m, ok := s.model.Take()
	return m.Envelope, ok
}

func (s *workerTrial) announce(t *rapid.T) { s.Call(t, s.model.Announce(), (*wc.Worker).Announce) }

func (s *workerTrial) fail(t *rapid.T) {
	reason := model.FewTexts.Draw(t, "reason")
	s.Call(t, s.model.Fail(reason), func(w *wc.Worker) error { return w.Fail(reason) })
}

func (s *workerTrial) start(t *rapid.T) { s.startJob(t, model.FewJobs.Draw(t, "job id")) }

func (s *workerTrial) startJob(t *rapid.T, id uint64) {
	s.Call(t, s.model.Start(id), func(w *wc.Worker) error { return w.Start(id) })
}

func (s *workerTrial) report(t *rapid.T) {
	id, detail := model.FewJobs.Draw(t, "job id"), model.FewTexts.Draw(t, "detail")
	s.Call(t, s.model.Report(id, detail), func(w *wc.Worker) error { return w.Report(id, detail) })
}

func (s *workerTrial) complete(t *rapid.T) {
	id := model.FewJobs.Draw(t, "job id")
	outcome := rapid.OneOf(model.FewOutcomes, rapid.SampledFrom([]wc.Outcome{
		wc.OutcomeOk{}, wc.OutcomeOk{Payload: model.TooLarge}, nil, &wc.OutcomeOk{},
		wc.OutcomeErr{Code: "\xff"}, wc.OutcomeErr{Message: "\xff"}, wc.OutcomeCancelled{Reason: "\xff"}, wc.OutcomePanicked{Message: "\xff"},
	})).Draw(t, "outcome")
	s.Call(t, s.model.Complete(id, outcome), func(w *wc.Worker) error { return w.Complete(id, outcome) })
}

func (s *workerTrial) answer(t *rapid.T) {
	phases := rapid.SampledFrom([]wc.JobState{wc.StateCancelRequested, wc.StateDraining, wc.StateFinalizing})
	s.answerPhase(t, model.FewJobs.Draw(t, "job id"), phases.Draw(t, "phase"))
}

func (s *workerTrial) answerPhase(t *rapid.T, id uint64, phase wc.JobState) {
	switch phase {
	case wc.StateCancelRequested:
		s.Call(t, s.model.Acknowledge(id), func(w *wc.Worker) error { return w.AcknowledgeCancel(id) })
	case wc.StateDraining:
		s.Call(t, s.model.CompleteDrain(id), func(w *wc.Worker) error { return w.CompleteDrain(id) })
	case wc.StateFinalizing:
		s.Call(t, s.model.CompleteFinalize(id), func(w *wc.Worker) error { return w.CompleteFinalize(id) })
	}
}

func (s *workerTrial) diagnose(t *rapid.T) {
	d := wc.Diagnostic{
		Level:    wc.Level(rapid.IntRange(0, 3).Draw(t, "level")),
		Category: model.FewTexts.Draw(t, "category"), Message: model.FewTexts.Draw(t, "message"), Metadata: model.AnyDetail.Draw(t, "metadata"),
	}
	s.Call(t, s.model.Diagnose(d), func(w *wc.Worker) error { return w.Diagnose(d) })
}

func (s *workerTrial) spawn(t *rapid.T) {
	s.Deliver(t, s.model.Highest+1, nil, wc.SpawnJob{
		JobID: model.FewJobs.Draw(t, "job id"), RegionID: model.FewRegion.Draw(t, "region"), TaskID: 2, ObligationID: 3,
		Payload: model.FewPayloads.Draw(t, "payload"),
	})
}

// goOn takes the next step in the life of a worker and its jobs.
func (s *workerTrial) goOn(t *rapid.T) {
	p := s.model
	switch {
	case p.Closed && rapid.Bool().Draw(t, "fail again"):
		s.fail(t)
		return
	case !p.Ready:
		s.announce(t)
		return
	case len(p.Jobs) == 0:
		s.spawn(t)
		return
	}
	job := rapid.SampledFrom(p.Jobs.All()).Draw(t, "job")
	if job.State == wc.StateQueued && rapid.Bool().Draw(t, "start") {
		s.startJob(t, job.JobID)
		return
	}
	if next, ok := map[wc.JobState]wc.Op{
		wc.StateQueued:          wc.CancelJob{JobID: job.JobID, Reason: "why"},
		wc.StateRunning:         wc.CancelJob{JobID: job.JobID, Reason: "why"},
		wc.StateCancelRequested: wc.DrainJob{JobID: job.JobID},
		wc.StateDraining:        wc.FinalizeJob{JobID: job.JobID},
	}[job.State]; ok && (job.Answered || model.Pollable(job.State)) {
		s.Deliver(t, p.Highest+1, nil, next)
		return
	}
	s.answerPhase(t, job.JobID, job.State)
}

// unfitting delivers anything that the coordinator could say about any job.
func (s *workerTrial) unfitting(t *rapid.T) {
	id := model.FewJobs.Draw(t, "job id")
	if len(s.model.Jobs) > 0 && rapid.IntRange(0, 3).Draw(t, "tracked") > 0 {
		id = rapid.SampledFrom(s.model.Jobs.All()).Draw(t, "job").JobID
	}
	op := rapid.SampledFrom([]wc.Op{wc.PollStatus{JobID: id}, wc.CancelJob{JobID: id, Reason: "why"}, wc.DrainJob{JobID: id}, wc.FinalizeJob{JobID: id}}).Draw(t, "op")
	s.Deliver(t, s.model.Highest+1, nil, op)
}

// stray delivers anything from anyone, sealed.
func (s *workerTrial) stray(t *rapid.T) {
	sender := rapid.SampledFrom([]*string{nil, new("worker"), new("")}).Draw(t, "sender")
	s.Deliver(t, DrawSeq(t, s.model.Highest), sender, model.DrawOp(t, model.FewJobs, model.FewPayloads))
}

// damaged delivers what would be fresh but for some damage.
func (s *workerTrial) damaged(t *rapid.T) {
	op := model.DrawOp(t, model.FewJobs, model.SmallPayload)
	s.HandOver(t, model.DrawDamage(t, model.Seal(wc.Envelope{Version: 1, Header: wc.Header{SeqNo: s.model.Highest + 1}, Op: op})))
}

// A workerView is everything that can be seen of a worker without naming a job.
type workerView struct {
	ID                      string
	Ready, Closed, Shutdown bool
	Turn, Seed              uint64
	Inflight                int
	Jobs                    []wc.TrackedJob
	Outbox                  int
}

func (s *workerTrial) compare(t *rapid.T) {
	s.RequireEqual(t)
	p, w := s.model, s.Witness
	require.Equal(t,
		workerView{p.ID, p.Ready, p.Closed, p.Shutdown, p.Turn(), p.Last.Seed, len(p.Jobs), p.Jobs.Values(), len(p.Waiting)},
		workerView{w.ID(), w.Ready(), w.Closed(), w.ShutdownRequested(), w.Turn(), w.Seed(), w.InflightCount(), slices.Collect(w.Jobs()), w.OutboxLen()})
	RequireJobs(t, p.Jobs, w.Job, w.JobState)
}
