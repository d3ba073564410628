package debug

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/internal/safetext"
)

// A state is what the page shows.
type state struct {
	Time       time.Time       `json:"time"`
	Stopping   bool            `json:"stopping"`
	Counters   driver.Counters `json:"counters"`
	Phases     []phase         `json:"phases"`
	Workers    []worker        `json:"workers"`
	WorkersAll int             `json:"workers_all"`
	Starting   int             `json:"starting"` // workers that the host starts and that are not ready
	Ended      []ended         `json:"ended"`    // the workers that ended last, the latest first
	Due        []due           `json:"due"`
	Jobs       []job           `json:"jobs"`
	JobsAll    int             `json:"jobs_all"`
	Longest    []job           `json:"longest"` // those that run, the one that has run longest first
	Waited     latency         `json:"waited"`  // until calls were begun
	Ran        latency         `json:"ran"`     // from then on
	Events     []*event        `json:"events"`
	LastEvent  uint64          `json:"last_event"`
	Payloads   bool            `json:"payloads"`
}

type phase struct {
	Name string `json:"name"`
	Jobs int    `json:"jobs"`
}

type worker struct {
	Number  uint64  `json:"number"`
	ID      string  `json:"id"`
	Status  string  `json:"status"` // one word or two
	Trouble bool    `json:"trouble"`
	Calls   int     `json:"calls"`
	Quiet   float64 `json:"quiet"` // seconds since a message came, as far as something could be late; 0 if it is idle
	Outbox  int     `json:"outbox"`
	Idle    float64 `json:"idle,omitempty"` // seconds for which it has had no job
	Why     string  `json:"why,omitempty"`
	Before  []ended `json:"before,omitempty"` // its predecessors, the latest first
}

// A latency is a driver.Histogram.
type latency struct {
	Most   []float64 `json:"most"`   // the bounds of the buckets, in seconds
	Counts []uint64  `json:"counts"` // of times that are not longer; and then of all
}

// An ended is a worker that has ended.
type ended struct {
	Number  uint64  `json:"number"`
	ID      string  `json:"id"`
	Seconds float64 `json:"seconds"` // since then
	Trouble bool    `json:"trouble"`
	Why     string  `json:"why"`
}

// A due is something that a worker has to do. Times are in seconds.
type due struct {
	Worker  uint64  `json:"worker"`
	ID      string  `json:"id"`
	Limit   string  `json:"limit"` // the field of driver.Limits
	Job     uint64  `json:"job,omitempty"`
	Text    string  `json:"text"`
	Waited  float64 `json:"waited"`
	Allowed float64 `json:"allowed"`
	Overdue bool    `json:"overdue"`
}

type job struct {
	ID      uint64  `json:"id"`
	Label   string  `json:"label,omitempty"`
	Attempt int     `json:"attempt"` // 1 + the earlier workers that may have begun it
	Region  uint64  `json:"region,omitempty"`
	Worker  uint64  `json:"worker,omitempty"`
	Phase   string  `json:"phase"`
	InPhase float64 `json:"in_phase"` // seconds
	Seconds float64 `json:"seconds"`  // since Do was called
	Bytes   int     `json:"bytes"`
	Lost    int     `json:"lost,omitempty"` // workers that have ended with it alone
	Ran     float64 `json:"ran,omitempty"`  // seconds since the worker said that it runs it
}

const waiting = "waiting"

func (h *handler) state(after uint64) state {
	snapshot := h.host.Snapshot(maxListed)
	stats := snapshot.Stats
	s := state{
		Time: time.Now(), Stopping: stats.Stopping, Counters: stats.Counters,
		Phases: []phase{{waiting, stats.Waiting}}, WorkersAll: len(stats.Workers), JobsAll: stats.Waiting + stats.Assigned,
		Starting: stats.Starting, Workers: []worker{}, Due: []due{}, Jobs: []job{}, Longest: []job{}, Payloads: h.recent.payloads,
	}
	s.Ended = newEnded(stats.Ended, s.Time)
	s.Waited, s.Ran = newLatency(stats.Waited), newLatency(stats.Ran)
	for state := wc.StateCreated; !state.Terminal(); state++ {
		s.Phases = append(s.Phases, phase{state.String(), snapshot.Phases[state]})
	}
	for i := range snapshot.Sessions {
		one := &snapshot.Sessions[i]
		turns := func(n uint64) float64 { return (time.Duration(n) * snapshot.Turn).Seconds() }
		s.Workers = append(s.Workers, newWorker(one, s.Time, turns(one.Turn-one.Heard), stats.Stopping))
		for _, d := range one.Due {
			s.Due = append(s.Due, newDue(one, d))
		}
		for _, p := range one.Jobs {
			j := newJob(p)
			j.Phase, j.InPhase = p.State.String(), min(turns(one.Turn-p.Since), j.Seconds) // a turn may just have passed
			if p.State == 0 {
				j.Phase, j.InPhase = "assigned", j.Seconds
			}
			s.Jobs = append(s.Jobs, j)
		}
	}
	for _, p := range snapshot.Longest {
		s.Longest = append(s.Longest, newJob(p))
	}
	for _, p := range snapshot.Waiting {
		j := newJob(p)
		j.Phase, j.InPhase = waiting, j.Seconds
		s.Jobs = append(s.Jobs, j)
	}
	slices.SortStableFunc(s.Due, func(a, b due) int { return cmp.Compare(a.Allowed-a.Waited, b.Allowed-b.Waited) })
	s.Due = s.Due[:min(len(s.Due), maxListed)]
	slices.SortFunc(s.Workers, func(a, b worker) int { return cmp.Compare(a.Number, b.Number) })
	slices.SortFunc(s.Jobs, func(a, b job) int { return cmp.Compare(a.ID, b.ID) })
	s.Events, s.LastEvent = h.recent.after(after, maxListed)
	return s
}

func newJob(p driver.Pending) job {
	return job{ID: p.ID, Label: printedLabel(p.Label), Attempt: p.Attempt, Region: p.RegionID, Worker: p.Worker, Seconds: p.Age.Seconds(), Bytes: p.Bytes, Lost: p.Lost, Ran: p.Ran.Seconds()}
}

// newEnded returns how workers have ended, the latest first.
func newEnded(ends []driver.WorkerEnd, now time.Time) []ended {
	list := []ended{}
	for _, e := range slices.Backward(ends) {
		r := ended{Number: e.Number, ID: safetext.Printable(e.ID, 64), Seconds: now.Sub(e.At).Seconds(), Trouble: e.Err != nil, Why: "left in order"}
		switch {
		case e.Err != nil:
			r.Why = safetext.Escape(safetext.Cut(e.Err.Error(), maxLine))
		case e.Asked:
			r.Why = "left in order, as the host asked"
		}
		list = append(list, r)
	}
	return list
}

func newLatency(h driver.Histogram) (l latency) {
	for _, b := range h.Buckets {
		l.Most, l.Counts = append(l.Most, b.Most.Seconds()), append(l.Counts, b.Count)
	}
	l.Counts = append(l.Counts, h.Count)
	return l
}

func newWorker(one *driver.Session, now time.Time, quiet float64, stopping bool) worker {
	w := worker{Number: one.Number, ID: safetext.Printable(one.ID, 64), Calls: one.Calls, Quiet: quiet, Outbox: one.Outbox, Before: newEnded(one.Predecessors, now)}
	if one.Why != nil {
		w.Why = safetext.Escape(safetext.Cut(one.Why.Error(), maxLine))
	}
	if !one.Idle.IsZero() {
		w.Idle = now.Sub(one.Idle).Seconds()
	}
	late := slices.ContainsFunc(one.Due, func(d driver.Due) bool { return d.Overdue })
	w.Trouble = late || one.Silent()
	switch {
	case one.Why != nil:
		w.Status = "ending"
	case late:
		w.Status = "overdue"
	case one.Silent():
		w.Status = "does not answer"
	case one.Stopping && stopping:
		w.Status = "stopping"
	case one.Stopping:
		w.Status = "draining"
	case !one.Ready:
		w.Status = "starting"
	case one.Calls == 0:
		w.Status, w.Quiet = "idle", 0 // nothing is expected of it
	default:
		w.Status = "busy"
	}
	return w
}

// duties says what a worker has to do within each of the limits.
var duties = map[string]string{
	"Boot":     "announce itself",
	"Cancel":   "acknowledge the cancel of job %d",
	"Drain":    "return from job %d, which is cancelled",
	"Finalize": "clean up after job %d, which is cancelled",
	"Answer":   "give a sign of life, and was asked about job %d",
	"Send":     "read a message",
	"Shutdown": "shut down",
	"Close":    "let go of its connection, which is being closed",
}

func newDue(one *driver.Session, d driver.Due) due {
	text := duties[d.Limit]
	if d.JobID != 0 {
		text = fmt.Sprintf(text, d.JobID)
	}
	return due{
		Worker: one.Number, ID: safetext.Printable(one.ID, 64), Limit: d.Limit, Job: d.JobID, Text: text,
		Waited: d.Waited.Seconds(), Allowed: d.Allowed.Seconds(), Overdue: d.Overdue,
	}
}
