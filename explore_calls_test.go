package workerchannel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// judgeCall looks at whether a call is refused when it has to be, and not otherwise.
func judgeCall(x *world, m move, err error) string {
	want := hostRefusalOf(x, m)
	if m.kind < hostSpawns {
		want = workerRefusalOf(x, m)
	}
	if want == nil && err != nil || !errors.Is(err, want) {
		return fmt.Sprintf("calls are refused for the reasons in the table: %v, expected %v", err, want)
	}
	return ""
}

// unless returns err unless ok.
func unless(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}

// hostRefusalOf returns what a call of the host is to be refused with (PROTOCOL section 7, "Calls of the host").
func hostRefusalOf(x *world, m move) error {
	id := uint64(m.n)
	j, tracked := x.c.Job(id)
	open := unless(!x.c.ShutdownRequested(), ErrShutdownInProgress)
	known := unless(tracked, ErrUnknownJobID)
	goesOn := j.State == StateQueued || j.State == StateRunning
	switch m.kind {
	case hostSpawns:
		job, region := x.jobAndRegion(id)
		r, _ := x.c.Region(region)
		_, tracked = x.c.Job(job)
		return cmp.Or(unless(x.c.WorkerReady(), ErrWorkerNotReady), open, unless(!x.c.Closing(), ErrShutdownInProgress),
			unless(!r.Closed, ErrRegionClosed), unless(!tracked, ErrDuplicateJobID))
	case hostCancels:
		return cmp.Or(open, known, unless(goesOn, ErrInvalidTransition))
	case hostPolls:
		return cmp.Or(open, known, unless(goesOn, ErrJobNotPollable))
	case hostCancelsRegion, hostClosesRegion:
		_, exists := x.c.Region(id)
		return cmp.Or(open, unless(exists, ErrUnknownRegionID))
	case hostRemoves:
		return cmp.Or(known, unless(j.State.Terminal(), ErrJobNotTerminal))
	case hostStops:
		return open
	case hostCloses:
		return cmp.Or(open, unless(!x.c.Closing(), ErrShutdownInProgress))
	}
	return nil
}

// workerRefusalOf returns what a call of the worker's application is to be refused with (PROTOCOL section 10).
func workerRefusalOf(x *world, m move) error {
	j, tracked := x.w.jobs.m[uint64(m.n)]
	known := unless(tracked, ErrUnknownJobID)
	state := StateCreated
	if tracked {
		state = j.state
	}
	closed := unless(!x.w.Closed(), ErrWorkerClosed)
	ready := cmp.Or(closed, unless(x.w.Ready(), ErrWorkerNotReady))
	from := func(err error, states ...JobState) error {
		return cmp.Or(ready, known, unless(slices.Contains(states, state), err))
	}
	switch m.kind {
	case workerAnnounces:
		return cmp.Or(closed, unless(!x.w.Ready(), ErrAlreadyAnnounced))
	case workerFails:
		return closed
	case workerObeys, workerStops, workerDiagnoses:
		return ready
	case workerStarts:
		return from(ErrInvalidTransition, StateQueued)
	case workerReports:
		return from(ErrInvalidStatusSnapshotState, StateQueued, StateRunning)
	case workerCompletes:
		return from(ErrUnexpectedCompletionPhase, StateQueued, StateRunning, StateCancelRequested)
	case workerAcknowledges:
		return from(ErrInvalidTransition, StateCancelRequested)
	case workerDrains:
		return from(ErrInvalidTransition, StateDraining)
	case workerFinalizes:
		return from(ErrInvalidTransition, StateFinalizing)
	}
	return nil
}
