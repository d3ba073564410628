package main

import (
	"fmt"
	"strings"

	wc "github.com/workerchannel/workerchannel"
)

// maxTracked is how many jobs in flight a tracker follows. What a capture says is not to be believed, and neither is
// how many jobs it says there are.
const maxTracked = 100_000

// A tracker follows the states of jobs, as far as the messages that were accepted tell: so it needs no more than a capture
// of both directions, and works for what is left of a journal.
type tracker struct {
	sessions map[uint64]*tracked
	jobs     int // in flight, in all sessions
	began    func(*job)
	ended    func(*job)
}

type tracked struct {
	worker string
	last   string // the last worker that has announced itself
	left   bool   // it has left in order
	jobs   map[uint64]*job
}

// A job is a job in flight.
type job struct {
	id      uint64
	call    callKey // which call it is an attempt of; of task 0: of none
	how     string  // it ended, if that is known better than by its state
	state   wc.JobState
	since   uint64     // the turn in which it entered the state
	began   uint64     // the turn in which it was spawned
	turns   [10]uint64 // in each state so far
	visited [10]bool
}

// A callKey names a call whose attempts are jobs of several workers: it is their task, as a driver.Host has it.
type callKey struct {
	run  int // of entries
	task uint64
}

func newTracker(began, ended func(*job)) *tracker {
	return &tracker{sessions: map[uint64]*tracked{}, began: began, ended: ended}
}

// follow notes what an entry leads to.
func (t *tracker) follow(e *entry) {
	if e.verdict.bad() {
		return
	}
	s := t.sessions[e.session]
	if s == nil {
		if len(t.sessions) >= maxTracked {
			return
		}
		s = &tracked{jobs: map[uint64]*job{}}
		t.sessions[e.session] = s
	}
	switch e.op {
	case "":
		switch e.call {
		case "expect_worker":
			s.last, s.left = "", false
		case "worker_lost":
			e.worker, e.inOrder = s.last, s.left
			if s.last != "" {
				e.says = quoteID(s.last) + " is lost"
			}
			if s.left {
				e.says = quoteID(s.last) + " is gone"
			}
		case "end":
			e.worker = s.last
			t.jobs -= len(s.jobs)
			delete(t.sessions, e.session)
		}
		if e.call == "worker_lost" || e.call == "retire_worker" && e.env == nil && strings.HasSuffix(e.says, ": "+quote(s.worker)) {
			e.led = t.endSession(s, e.turn)
		}
	case "BootstrapReady":
		e.led = quoteID(e.worker) + " is ready"
		if s.worker != "" && s.worker != e.worker {
			if failed := t.endSession(s, e.turn); failed != "" {
				e.led += "; " + failed
			}
		}
		s.worker, s.last, s.left = e.worker, e.worker, false
	case "BootstrapFailed", "ShutdownCompleted":
		e.led = "the session has ended"
		if failed := t.endSession(s, e.turn); failed != "" {
			e.led += "; " + failed
		}
		s.worker, s.left = "", e.op == "ShutdownCompleted"
	case "SpawnJob":
		if e.jobID != nil {
			if _, twice := s.jobs[*e.jobID]; !twice && t.jobs < maxTracked {
				t.jobs++
				j := &job{id: *e.jobID, state: wc.StateQueued, since: e.turn, began: e.turn}
				if e.env != nil {
					j.call = callKey{e.run, e.env.Op.(wc.SpawnJob).TaskID}
				}
				s.jobs[j.id] = j
				t.began(j)
				e.led = change(*e.jobID, 0, wc.StateQueued)
			}
		}
	default:
		t.step(s, e)
	}
}

// next has the states between which messages move a job.
var next = map[string]struct {
	from []wc.JobState
	to   wc.JobState
}{
	"StatusSnapshot":     {[]wc.JobState{wc.StateQueued}, wc.StateRunning},
	"CancelJob":          {[]wc.JobState{wc.StateQueued, wc.StateRunning}, wc.StateCancelRequested},
	"CancelAcknowledged": {[]wc.JobState{wc.StateCancelRequested}, wc.StateDraining},
	"DrainCompleted":     {[]wc.JobState{wc.StateDraining}, wc.StateFinalizing},
	"FinalizeCompleted":  {[]wc.JobState{wc.StateFinalizing}, wc.StateCompleted},
	"JobCompleted":       {[]wc.JobState{wc.StateQueued, wc.StateRunning, wc.StateCancelRequested}, wc.StateCompleted},
}

func (t *tracker) step(s *tracked, e *entry) {
	rule, moves := next[e.op]
	if e.jobID == nil || !moves {
		return
	}
	j := s.jobs[*e.jobID]
	if j == nil {
		return
	}
	if e.env != nil {
		if snapshot, ok := e.env.Op.(wc.StatusSnapshot); ok && snapshot.State != wc.StateRunning {
			return
		}
	}
	for _, from := range rule.from {
		if j.state == from {
			e.led = change(j.id, from, rule.to)
			if e.op == "FinalizeCompleted" {
				e.led, j.how = fmt.Sprintf("job %d: cancelled", j.id), "cancelled"
			} else if e.env != nil && e.op == "JobCompleted" {
				j.how = outcomeName(e.env.Op.(wc.JobCompleted).Outcome)
			}
			t.move(s, j, rule.to, e.turn)
			return
		}
	}
}

func (t *tracker) move(s *tracked, j *job, to wc.JobState, turn uint64) {
	j.visited[j.state] = true
	if turn > j.since {
		j.turns[j.state] += turn - j.since
	}
	j.state, j.since = to, turn
	if to.Terminal() {
		delete(s.jobs, j.id)
		t.jobs--
		t.ended(j)
	}
}

func outcomeName(o wc.Outcome) string {
	switch o.(type) {
	case wc.OutcomeErr:
		return "error"
	case wc.OutcomeCancelled:
		return "cancelled"
	case wc.OutcomePanicked:
		return "panicked"
	}
	return "ok"
}

func change(id uint64, from, to wc.JobState) string {
	if from == 0 {
		return fmt.Sprintf("job %d: %s", id, to)
	}
	return fmt.Sprintf("job %d: %s → %s", id, from, to)
}

// endSession fails the jobs in flight and says how many they were.
func (t *tracker) endSession(s *tracked, turn uint64) string {
	n := len(s.jobs)
	only := ""
	for id, j := range s.jobs {
		only = fmt.Sprintf("job %d: %s → %s", id, j.state, wc.StateFailed)
		t.move(s, j, wc.StateFailed, turn)
	}
	switch n {
	case 0:
		return ""
	case 1:
		return only
	}
	return fmt.Sprintf("%d jobs fail", n)
}
