package workerchannel

import (
	"cmp"
	"math"
	"slices"
)

// Limits says how many turns a worker may take for each kind of request; 0 is no limit (PROTOCOL section 7,
// "Limits"). A turn is as long as the host makes it: see [Coordinator.AdvanceTurn]. The clock of a request
// starts in the turn in which its message is taken from the outbox: what waits there is not held against the worker, but
// the time that the transport takes for it, and for what was taken before it, is. A queued or running job has no limit of
// its own: to notice a worker that no longer answers, call PollStatus for it every few turns.
type Limits struct {
	Boot     uint64 // from ExpectWorker to the worker's bootstrap
	Cancel   uint64 // from CancelJob until the job has left StateCancelRequested
	Drain    uint64 // from DrainJob until the job has left StateDraining
	Finalize uint64 // from FinalizeJob until the job has left StateFinalizing
	Poll     uint64 // from PollStatus until any message of the worker is accepted
	Shutdown uint64 // from ShutdownWorker to the end of the session
}

// An Overdue is a request that has a limit and is outstanding; Coordinator.Overdue returns it only when its limit has
// passed. Then it is also an error, to be given as the reason for which the host stops the worker.
type Overdue struct {
	Request  OpType // the request's operation; 0 for the bootstrap of an expected worker
	JobID    uint64 // the job that the request is about; 0 for the bootstrap and for OpShutdownWorker
	Since    uint64 // the turn in which the clock started
	Deadline uint64 // Since plus the limit: the turn from which the request is overdue
}

// Error says what the worker is late with. It is for a request that is overdue.
func (o Overdue) Error() string {
	what := "bootstrap"
	if o.Request != bootstrapRequest {
		what = o.Request.String()
	}
	if o.Request != bootstrapRequest && o.Request != OpShutdownWorker {
		what += " of job " + utoa(o.JobID)
	}
	return "workerchannel: worker is late: " + what + " sent in turn " + utoa(o.Since) + " was due in turn " + utoa(o.Deadline)
}

// handshake has the requests of a cancellation, and the phase of a job that waits for the answer.
var handshake = [...]struct {
	request OpType
	phase   JobState
}{
	{OpCancelJob, StateCancelRequested},
	{OpDrainJob, StateDraining},
	{OpFinalizeJob, StateFinalizing},
}

// of returns the limit of a request of the coordinator that has one, or of the bootstrap; 0 is no limit.
func (l *Limits) of(request OpType) uint64 {
	switch request {
	case OpCancelJob:
		return l.Cancel
	case OpDrainJob:
		return l.Drain
	case OpFinalizeJob:
		return l.Finalize
	case OpPollStatus:
		return l.Poll
	case OpShutdownWorker:
		return l.Shutdown
	default: // bootstrapRequest
		return l.Boot
	}
}

// bootstrapRequest stands for the bootstrap of an expected worker, for which no message asks.
const bootstrapRequest OpType = 0

// A clock runs for one request.
type clock struct {
	running      bool
	since        uint64
	seqNo, jobID uint64 // of the request's message
}

// clock returns the clock of a job that is timed.
func (j *job) clock() clock { return clock{true, j.sent, j.lastSeqNo, j.id} }

// The clocks of the requests that are about no job, and of the first poll: a message is the answer to all polls
// so far, so the others cannot be due before it. The clocks of the cancel handshake are in the job table.
type clocks struct {
	limits               Limits
	boot, poll, shutdown clock
}

// start starts the clock of a message that was just taken from the outbox, if there is a limit and anyone
// still has to answer it.
func (c *clocks) start(env *Envelope, j *job, jobs *jobTable, turn uint64) {
	switch op := env.Op.Type(); op {
	case OpSpawnJob: // has no limit
	case OpShutdownWorker:
		c.shutdown = clock{true, turn, env.SeqNo, 0}
	case OpPollStatus:
		if !c.poll.running && !j.now().Terminal() {
			c.poll = clock{true, turn, env.SeqNo, j.id}
		}
	default:
		for _, h := range handshake {
			if h.request == op && h.phase == j.now() && c.limits.of(op) != 0 {
				jobs.startClock(j, turn)
			}
		}
	}
}

// shutdownRequested stops all clocks but those of the shutdown and the bootstrap. The handshakes are frozen:
// nothing asks for the clocks of the job table any more before their session ends.
func (c *clocks) shutdownRequested() { c.poll.running = false }

// sessionEnded stops all clocks but that of the bootstrap.
func (c *clocks) sessionEnded() { c.poll.running, c.shutdown.running = false, false }

// A timedRequest is a request whose clock runs.
type timedRequest struct {
	Overdue
	seqNo uint64 // of its message; 0 for the bootstrap
}

func (r *timedRequest) compare(other *timedRequest) int {
	return cmp.Or(cmp.Compare(r.Deadline, other.Deadline), cmp.Compare(r.seqNo, other.seqNo))
}

// request returns the request of a clock; false if it does not run or there is no limit.
func (c *clocks) request(op OpType, k clock) (r timedRequest, ok bool) {
	limit := c.limits.of(op)
	if !k.running || limit == 0 {
		return r, false
	}
	due := k.since + limit
	if due < k.since {
		due = math.MaxUint64
	}
	return timedRequest{Overdue{op, k.jobID, k.since, due}, k.seqNo}, true
}

// first returns the request that is due first, if there is one. It looks at no more than six: of the jobs in one phase
// the first is due first.
func (c *clocks) first(jobs *jobTable, frozen bool) (first timedRequest, ok bool) {
	consider := func(op OpType, k *clock) {
		if !k.running { // as most are not; request would copy a request for each
			return
		}
		if r, runs := c.request(op, *k); runs && (!ok || r.compare(&first) < 0) {
			first, ok = r, true
		}
	}
	consider(bootstrapRequest, &c.boot)
	consider(OpShutdownWorker, &c.shutdown)
	consider(OpPollStatus, &c.poll)
	if frozen {
		return first, ok
	}
	for i := range handshake {
		h := &handshake[i]
		if j := jobs.timedIn(h.phase).first; j != nil {
			k := j.clock()
			consider(h.request, &k)
		}
	}
	return first, ok
}

// all returns the requests whose clocks run, by the turn in which they are due.
func (c *clocks) all(jobs *jobTable, frozen bool) (all []timedRequest) {
	add := func(op OpType, k clock) {
		if r, runs := c.request(op, k); runs {
			all = append(all, r)
		}
	}
	add(bootstrapRequest, c.boot)
	add(OpShutdownWorker, c.shutdown)
	add(OpPollStatus, c.poll)
	for _, h := range handshake {
		for j := jobs.timedIn(h.phase).first; j != nil && !frozen; j = j.links[byPhase].next {
			add(h.request, j.clock())
		}
	}
	slices.SortFunc(all, func(a, b timedRequest) int { return a.compare(&b) })
	return all
}
