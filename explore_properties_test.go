package workerchannel

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
)

// What must hold in every state and of every move. Each function returns the promise that is broken, or "".

// isRefusal reports whether an error says that a message was refused, rather than that it counts as received but
// did not fit.
func isRefusal(err error) bool {
	return errors.Is(err, ErrInboundSequenceNotFresh) || errors.Is(err, ErrWorkerSessionMismatch) ||
		errors.Is(err, ErrRetiredWorker) || errors.Is(err, ErrUnexpectedDirection)
}

// judge looks at the move from x to y.
func judge(x, y *world, m move, err error) string {
	received := onItsWay{}
	if m.kind == hostReceives {
		received = x.toHost[m.n-1]
	}
	if m.kind <= hostReceives && err != nil && !errors.Is(err, ErrBootstrapFailed) {
		if !x.hostile {
			return "over an ordered lossless network no side refuses the other: " + err.Error()
		}
		c, w := clone(y.c), cloneWorker(y.w)
		c.lastSeen, c.clocks.poll, w.lastSeen = x.c.lastSeen, x.c.clocks.poll, x.w.lastSeen
		if !reflect.DeepEqual(c, x.c) || !reflect.DeepEqual(w, x.w) {
			return "a message that does not fit changes nothing but the high-water mark: " + err.Error()
		}
	}
	return cmp.Or(judgeSession(x, y, m, received), judgeJobs(x, y, m, received), judgeRegions(x, y, m))
}

func judgeSession(x, y *world, m move, received onItsWay) string {
	begun, ended := sessionChange(x, y)
	switch {
	case begun && (m.kind != hostReceives || !received.Op.Type().bootstrap() || y.c.worker != *received.WorkerID):
		return "a session begins with the bootstrap of its worker"
	case m.kind == hostReceives && y.c.lastSeen != received.SeqNo:
		return "the high-water mark becomes the number of every message that is accepted"
	case m.kind == hostRetires && !y.c.retired.has(x.c.worker), m.kind == hostRetiresLatest && !y.c.retired.has(x.w.ID()):
		return "a worker that is retired is remembered"
	case ended && endOf(x, m, received) == CauseNone:
		return "a session ends when the worker is lost, replaced, gives up or has stopped"
	case !ended && x.c.session != nil && endOf(x, m, received) != CauseNone:
		return "a session ends at once when the worker is lost, replaced, gives up or has stopped"
	case ended && (y.c.InflightCount() != 0 || y.c.OutboxLen() != 0 || y.c.ShutdownRequested() || y.c.Closing()):
		return "the end of a session ends all jobs, empties the outbox and settles the shutdown"
	case x.c.ShutdownRequested() && !y.c.ShutdownRequested() && !ended && m.kind != hostLoses && !errors.Is(ErrBootstrapFailed, failed(received)):
		return "a shutdown stays requested until the session that it is meant for ends"
	case !x.c.ShutdownRequested() && y.c.ShutdownRequested() && y.c.OutboxLen() != 1:
		return "a request for shutdown drops what has not been sent, and is sent alone"
	case !x.c.ShutdownRequested() && y.c.ShutdownRequested() && m.kind != hostStops && (m.kind != hostCloses && !x.c.Closing() || y.c.InflightCount() > 0):
		return "a shutdown is requested when the host asks for it, or asked for it when idle and no job is in flight"
	case x.c.ShutdownRequested() && y.c.ShutdownRequested() && y.c.OutboxLen() > x.c.OutboxLen():
		return "a worker that has been asked to stop is asked for nothing more"
	case x.c.Closing() && !y.c.Closing() && !y.c.ShutdownRequested() && !ended:
		return "a shutdown when idle is not forgotten"
	}
	return ""
}

func failed(l onItsWay) error {
	if l.Op != nil && l.Op.Type() == OpBootstrapFailed {
		return ErrBootstrapFailed
	}
	return nil
}

// sessionChange reports whether the move from x to y began a session, and whether it ended the one of x.
func sessionChange(x, y *world) (begun, ended bool) {
	begun = y.c.session != nil && y.c.worker != x.c.worker
	return begun, x.c.session != nil && (begun || y.c.session == nil)
}

// endOf returns the cause for which a move ends the session of x; CauseNone if it does not.
func endOf(x *world, m move, received onItsWay) EndCause {
	switch {
	case x.c.session == nil:
	case m.kind == hostLoses, m.kind == hostRetires, m.kind == hostRetiresLatest && x.w.ID() == x.c.worker:
		return CauseWorkerLost
	case m.kind != hostReceives:
	case *received.WorkerID != x.c.worker:
		return CauseReplaced
	case received.Op.Type() == OpBootstrapFailed:
		return CauseBootstrapFailed
	case received.Op.Type() == OpShutdownCompleted:
		return CauseShutdown
	}
	return CauseNone
}

// successors is the table of section 6 once more, so that the other is not its own judge.
var successors = map[JobState][]JobState{
	StateQueued:          {StateRunning, StateCancelRequested, StateCompleted, StateFailed},
	StateRunning:         {StateCancelRequested, StateCompleted, StateFailed},
	StateCancelRequested: {StateDraining, StateCompleted, StateFailed},
	StateDraining:        {StateFinalizing, StateFailed},
	StateFinalizing:      {StateCompleted, StateFailed},
}

// judgeJobs looks at what a move does to each job: it begins once, moves by its own messages, ends once, with a
// cause and an outcome that fit, and is given back once, as it ended.
func judgeJobs(x, y *world, m move, received onItsWay) string {
	for id := uint64(1); id <= uint64(x.jobs); id++ {
		before, was := x.c.Job(id)
		after, is := y.c.Job(id)
		returned := slices.DeleteFunc(slices.Clone(y.forgotten), func(j TrackedJob) bool { return j.JobID != id })
		switch {
		case was && is:
			if len(returned) != 0 {
				return "a job that is given back is forgotten"
			}
			if broken := judgeJob(x, y, m, received, before, after); broken != "" {
				return broken
			}
		case is:
			fresh := TrackedJob{
				JobID: id, RegionID: after.RegionID, State: StateQueued, Since: y.c.Turn(), LastSeqNo: after.LastSeqNo, Tag: y.spawned[id],
			}
			jobID, region := x.jobAndRegion(uint64(m.n))
			if m.kind != hostSpawns || id != jobID || after.RegionID != region || after != fresh {
				return "a job begins by being spawned, as queued, in its region and with its tag"
			}
		case was:
			mayForget := m.kind == hostReaps || m.kind == hostRemoves && id == uint64(m.n)
			if !mayForget || !before.State.Terminal() || len(returned) != 1 || returned[0] != before {
				return "a job that has ended is forgotten when the host asks, and given back once, as it ended"
			}
		case len(returned) != 0:
			return "a job is given back once"
		}
		if m.kind == hostReaps && is && after.State.Terminal() {
			return "every job that has ended is reaped"
		}
	}
	return ""
}

func judgeJob(x, y *world, m move, received onItsWay, before, after TrackedJob) string {
	id := before.JobID
	if after.State == before.State {
		before.LastSeqNo = after.LastSeqNo
		if after != before || after.State.Terminal() && after.LastSeqNo != before.LastSeqNo {
			return "a job that stays in its state stays as it is"
		}
		return ""
	}
	if !slices.Contains(successors[before.State], after.State) {
		return fmt.Sprintf("job states follow the table: from %v to %v", before.State, after.State)
	}
	same := before
	same.State, same.LastSeqNo, same.Since = after.State, after.LastSeqNo, y.c.Turn()
	by, ended := OpType(0), false
	switch after.State {
	case StateFailed:
		same.Cause = endOf(x, m, received)
		if _, ended = sessionChange(x, y); !ended || same.Cause == CauseNone {
			return "a job fails with its session only"
		}
		if x.worker != wild && x.c.Closing() && m.kind != hostLoses && m.kind != hostRetires {
			return "a shutdown when idle loses no job of an honest worker"
		}
	case StateCancelRequested:
		if m.kind != hostCancels && m.kind != hostCancelsRegion && m.kind != hostClosesRegion || m.kind == hostCancels && id != uint64(m.n) {
			return "a job is cancelled by the host only"
		}
	case StateRunning:
		by = OpStatusSnapshot
	case StateDraining:
		by = OpCancelAcknowledged
	case StateFinalizing:
		by = OpDrainCompleted
	case StateCompleted:
		by, same.Cause, same.Outcome = OpJobCompleted, CauseOutcome, OutcomeErr{Message: outcomeMessage}
		if before.State == StateFinalizing {
			by, same.Cause, same.Outcome = OpFinalizeCompleted, CauseCancelled, OutcomeCancelled{reasonOfCancel}
		}
	}
	if by != 0 {
		if m.kind != hostReceives || received.Op.Type() != by || flatten(received.Op).jobID != id {
			return fmt.Sprintf("a job becomes %v by a %v about it only", after.State, by)
		}
		if received.about != *x.spawned[id] || *received.WorkerID != received.about.worker {
			return "no job is moved by a message that is not of its own session and its own"
		}
	}
	if after != same {
		return fmt.Sprintf("a job has the cause, the outcome and the turn of its last move: %+v, expected %+v", after, same)
	}
	return ""
}

// judgeRegions looks at what a move does to the regions.
func judgeRegions(x, y *world, m move) string {
	ofRegion := m.kind == hostCancelsRegion || m.kind == hostClosesRegion
	cancelled, last := 0, uint64(0)
	for j := range x.c.Jobs() {
		if !ofRegion || j.RegionID != uint64(m.n) || j.State != StateQueued && j.State != StateRunning {
			continue
		}
		after, _ := y.c.Job(j.JobID)
		if cancelled++; after.State != StateCancelRequested || after.LastSeqNo <= last {
			return "to cancel or close a region cancels its jobs, by ascending id"
		}
		last = after.LastSeqNo
	}
	if ofRegion && (y.cancelled != cancelled || y.c.OutboxLen() != x.c.OutboxLen()+cancelled) {
		return "to cancel or close a region cancels its jobs and no others, and returns how many these are"
	}
	for id := uint64(0); id <= uint64(x.regions); id++ {
		before, was := x.c.Region(id)
		after, is := y.c.Region(id)
		switch {
		case was && before.Closed && is && !after.Closed:
			return "a closed region stays closed"
		case was && before.Closed && is && (after.Tracked > before.Tracked || after.Inflight > before.Inflight):
			return "a closed region gets no job"
		case !(was && before.Closed) && after.Closed && (m.kind != hostClosesRegion || id != uint64(m.n)):
			return "a region is closed by the host only"
		case m.kind == hostClosesRegion && id == uint64(m.n) && !after.Closed:
			return "a region that is closed is closed"
		}
	}
	return ""
}

// judgeHost looks at a coordinator by itself. What it returns depends on the host's part of the world only.
func judgeHost(x *world) string {
	inflight := 0
	var regions [3]Region
	for j := range x.c.Jobs() {
		r := &regions[j.RegionID]
		r.Tracked++
		if j.Tag != x.spawned[j.JobID] {
			return "a job comes with the tag that it was spawned with"
		}
		if j.State.Terminal() {
			continue
		}
		inflight++
		r.Inflight++
		switch {
		case x.c.session == nil || x.spawned[j.JobID].worker != x.c.worker:
			return "a job in flight is one of the present session"
		case j.Cause != CauseNone || j.Outcome != nil:
			return "a job has no cause and no outcome before it has ended"
		case r.Inflight > 0 && !isCancelling(j.State) && closed(x, j.RegionID):
			return "all jobs of a closed region are being cancelled"
		}
	}
	for id := range regions {
		r, ok := x.c.Region(uint64(id))
		if ok != (regions[id].Tracked > 0) || r.Tracked != regions[id].Tracked || r.Inflight != regions[id].Inflight {
			return "a region exists while a job of it is tracked, and counts its jobs"
		}
	}
	_, active := x.c.ActiveWorker()
	switch {
	case x.c.InflightCount() != inflight:
		return "the count of jobs in flight agrees with the jobs"
	case x.c.WorkerReady() && !active:
		return "a ready worker is the active one"
	case active && x.c.retired.has(x.c.worker):
		return "a session that has ended does not come back"
	case x.c.Closing() && (inflight == 0 || x.c.ShutdownRequested()):
		return "a shutdown when idle waits for jobs in flight only"
	case x.c.OutboxLen() > x.room+x.jobs:
		return "beyond what the host asked for, one message a job waits to be sent"
	}
	return cmp.Or(judgeClocks(x), judgeLoss(clone(x.c), inflight), judgeAnything(x), judgeOutcasts(x))
}

func closed(x *world, region uint64) bool {
	r, _ := x.c.Region(region)
	return r.Closed
}

// judgeWorld looks at what both halves and the network are together.
func judgeWorld(x *world) string {
	for _, j := range x.w.jobs.m {
		if x.w.Closed() || x.w.shutdown && j.state != j.state.public() {
			return "a worker forgets a job that it will get no request about"
		}
	}
	if x.hostile || len(x.toWorker)+len(x.toHost)+x.c.OutboxLen() > 0 || x.c.session == nil || x.c.worker != x.w.id {
		return ""
	}
	for id := uint64(1); id <= uint64(x.jobs); id++ {
		host, tracked := x.c.Job(id)
		inflight := tracked && !host.State.Terminal()
		j, taken := x.w.jobs.m[id]
		stopping := x.c.ShutdownRequested() // which has dropped what was to be sent
		if taken && !inflight || inflight && !taken && !stopping || taken && (j.state != host.State && !stopping || j.regionID != host.RegionID) {
			return fmt.Sprint("with nothing on its way, the two sides agree about job ", id)
		}
	}
	return ""
}

// judgeLoss loses the worker of a coordinator with so many jobs in flight.
func judgeLoss(c *Coordinator, inflight int) string {
	const promise = "worker lost ends everything, and the next worker starts afresh: "
	c.Reap()
	c.WorkerLost()
	failed := c.Reap()
	for _, j := range failed {
		if j.State != StateFailed || j.Cause != CauseWorkerLost {
			return fmt.Sprint(promise, "job ", j.JobID, " is ", j.State, " because ", j.Cause)
		}
	}
	if len(failed) != inflight || len(collect(c.Jobs())) != 0 || len(collect(c.Regions())) != 0 {
		return promise + "not all jobs have failed that were in flight"
	}
	if c.InflightCount() != 0 || c.OutboxLen() != 0 || c.WorkerReady() || c.ShutdownRequested() || c.Closing() {
		return promise + "something of the session is left"
	}
	w := NewWorker("next", 1)
	if err := w.Announce(); err != nil {
		return promise + err.Error()
	}
	hello, _ := w.DrainOutbox()
	if err := c.HandleInbound(&hello); err != nil {
		return promise + err.Error()
	}
	if _, some := c.NextDeadline(); some {
		return promise + "a request of the session is outstanding"
	}
	if err := c.SpawnJob(SpawnJob{JobID: 1, RegionID: 1}); err != nil {
		return promise + err.Error()
	}
	job, _ := c.DrainOutbox()
	if c.OutboxLen() != 0 || w.HandleInbound(&job) != nil || w.InflightCount() != 1 {
		return promise + "the first job does not arrive alone"
	}
	return ""
}

// judgeAnything lets the active worker say anything at all next, right or wrong, and another one announce itself
// or fail, and the host send what it then has to send.
func judgeAnything(x *world) string {
	all := slices.Clone(everything("stranger", 1)[:bootstraps])
	if x.c.session != nil {
		all = append(all, everything(x.c.worker, math.MaxUint64)...)
	}
	before := *x
	before.setup = &setup{hostile: true, jobs: x.jobs, regions: x.regions, room: x.room, limits: x.limits}
	before.forgotten = nil
	says := move{hostReceives, 1}
	for _, l := range all {
		if o := x.spawned[flatten(l.Op).jobID]; o != nil { // it may well be about the right job
			l.about = *o
		}
		before.toHost = []onItsWay{l}
		after := before
		after.c, after.asked = clone(x.c), slices.Clone(x.asked)
		if broken := judge(&before, &after, says, says.do(&after)); broken != "" {
			return says.in(&before) + "\n" + broken
		}
		for after.toWorker = nil; (move{kind: hostSends}).do(&after) == nil; {
			if broken := judgeClocks(&after); broken != "" {
				return says.in(&before) + "\nthe host sends\n" + broken
			}
		}
	}
	return ""
}
