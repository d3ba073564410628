package workerchannel

import (
	"errors"
	"fmt"
	"slices"
)

// A setup says which worlds are explored together.
type setup struct {
	name    string
	large   bool    // it takes too long to be explored whole by default
	long    bool    // it takes too long for -short
	huge    bool    // it takes too long to be explored at all by default
	hostile bool    // the network loses, repeats and reorders messages
	worker  manners // what the worker may do
	jobs    int     // how many jobs there are at a time, 1 or 2; their ids count from 1
	regions int     // how many regions they are spawned into, 0 to 2; with 0 there are no region calls
	room    int     // how many messages each queue has room for
	terse   bool    // nobody polls, reports or sends a diagnostic
	limits  Limits  // all are set, perhaps but for Boot, or none is; without them turns do not matter and none passes
}

// manners says what a worker may do besides its part.
type manners uint8

const (
	wild   manners = iota // it may also fail, stop and die at any time
	honest                // it stops only when it is asked to; it may be as slow as it likes
	prompt                // honest, and it answers every message in the turn in which it gets it
)

// A world is the state of both halves and of everything that is on its way between them, with what an
// observer must remember to judge them.
//
// An ordered lossless network delivers each message once and in order. A hostile one delivers any message at
// any time, again and again, or never. Its queues hold only the messages that may still be accepted; what
// refusing the others does not depend on how they got there, and outcasts has them all.
type world struct {
	*setup
	c                *Coordinator
	w                *Worker // the latest instance, which may not have announced itself yet, or be closed
	born             int     // how many instances there have been
	toWorker, toHost []onItsWay

	spawned [3]*origin // by job: the SpawnJob of the tracked job, which is also its tag
	taken   [3]origin  // by job: the SpawnJob of the worker's job
	asked   []asked    // the requests under a limit that the worker has to answer
	spent   [3]uint64  // by job: the turns that passed while the worker had to answer for its cancellation

	// What the last move returned.
	forgotten []TrackedJob
	cancelled int
}

// onItsWay is a message between the two sides. One of the worker's is about a job: the one that it was given
// by a certain SpawnJob.
type onItsWay struct {
	Envelope
	about origin
}

// An origin names a SpawnJob: the worker that it was for, and its sequence number.
type origin struct {
	worker string
	seqNo  uint64
}

func newWorld(s *setup) *world {
	x := &world{setup: s, c: NewCoordinator(1, WithLimits(s.limits))}
	x.startWorker()
	return x
}

func (x *world) clone() *world {
	y := *x
	y.c, y.w = clone(x.c), cloneWorker(x.w)
	y.toWorker, y.toHost, y.asked = slices.Clone(x.toWorker), slices.Clone(x.toHost), slices.Clone(x.asked)
	y.forgotten, y.cancelled = nil, 0
	return &y
}

// A move is one call, delivery or accident: one of moves, for one job, region or message or for none.
type move struct {
	kind, n uint8
}

const (
	reasonOfCancel = "no longer wanted"
	outcomeMessage = "done"
)

// moves are the things that can happen. Up to workerCompletes they are what happens once the host asks for nothing
// more and everybody does their part, in this order.
var moves = [...]struct {
	name string
	over over
	do   func(x *world, n uint64) error
}{
	workerReceives:     {"the worker receives", messagesToWorker, (*world).deliverToWorker},
	hostReceives:       {"the host receives", messagesToHost, (*world).deliverToHost},
	hostSends:          {"the host sends", once, (*world).send},
	workerAnnounces:    {"the worker announces itself", once, func(x *world, _ uint64) error { return x.w.Announce() }},
	workerObeys:        {"the worker stops as it was asked to", once, (*world).obey},
	workerAcknowledges: {"the worker acknowledges the cancel of", eachJob, func(x *world, id uint64) error { return x.w.AcknowledgeCancel(id) }},
	workerDrains:       {"the worker has drained", eachJob, func(x *world, id uint64) error { return x.w.CompleteDrain(id) }},
	workerFinalizes:    {"the worker has finalized", eachJob, func(x *world, id uint64) error { return x.w.CompleteFinalize(id) }},
	workerIsReplaced:   {"a worker is started in place of the closed one", once, (*world).replaceClosed},
	workerCompletes:    {"the worker completes", eachJob, (*world).complete},

	workerStarts:    {"the worker starts", eachJob, func(x *world, id uint64) error { return x.w.Start(id) }},
	workerReports:   {"the worker reports on", eachJobUnlessTerse, func(x *world, id uint64) error { return x.w.Report(id, "") }},
	workerDiagnoses: {"the worker sends a diagnostic", unlessTerse, func(x *world, _ uint64) error { return x.w.Diagnose(Diagnostic{}) }},
	workerFails:     {"the worker fails", ifWild, func(x *world, _ uint64) error { return x.w.Fail("") }},
	workerStops:     {"the worker stops", ifWild, func(x *world, _ uint64) error { return x.w.CompleteShutdown() }},
	workerDies:      {"the worker dies, and another is started", ifWild, func(x *world, _ uint64) error { x.startWorker(); return nil }},

	hostSpawns:        {"the host spawns", eachJobInRegion, (*world).spawn},
	hostCancels:       {"the host cancels", eachJob, func(x *world, id uint64) error { return x.c.CancelJob(id, reasonOfCancel) }},
	hostCancelsRegion: {"the host cancels", eachRegion, (*world).cancelRegion},
	hostClosesRegion:  {"the host closes", eachRegion, (*world).closeRegion},
	hostPolls:         {"the host polls", eachJobUnlessTerse, func(x *world, id uint64) error { return x.c.PollStatus(id) }},
	hostRemoves:       {"the host removes", eachJob, (*world).remove},
	hostReaps:         {"the host reaps", once, func(x *world, _ uint64) error { x.forgotten = x.c.Reap(); return nil }},
	hostStops:         {"the host requests shutdown", once, func(x *world, _ uint64) error { return x.c.RequestShutdown("") }},
	hostCloses:        {"the host shuts down when idle", once, func(x *world, _ uint64) error { return x.c.ShutdownWhenIdle("") }},
	hostLoses:         {"the host learns that the worker is lost", once, (*world).loseWorker},
	hostRetires:       {"the host retires the active worker", once, (*world).retireActive},
	hostRetiresLatest: {"the host retires the latest worker", ifWild, func(x *world, _ uint64) error { x.c.RetireWorker(x.w.ID()); return nil }},
	hostExpects:       {"the host expects a worker", ifBootTimed, (*world).expect},
	turnPasses:        {"a turn passes", ifTimed, (*world).passTurn},

	losesToWorker: {"the network loses", messagesToWorker, func(x *world, n uint64) error { return x.lose(&x.toWorker, n) }},
	losesToHost:   {"the network loses", messagesToHost, func(x *world, n uint64) error { return x.lose(&x.toHost, n) }},
}

const (
	workerReceives = iota
	hostReceives
	hostSends
	workerAnnounces
	workerObeys
	workerAcknowledges
	workerDrains
	workerFinalizes
	workerIsReplaced
	workerCompletes
	workerStarts
	workerReports
	workerDiagnoses
	workerFails
	workerStops
	workerDies
	hostSpawns
	hostCancels
	hostCancelsRegion
	hostClosesRegion
	hostPolls
	hostRemoves
	hostReaps
	hostStops
	hostCloses
	hostLoses
	hostRetires
	hostRetiresLatest
	hostExpects
	turnPasses
	losesToWorker
	losesToHost
)

// over says what a move is made for, one by one.
type over uint8

const (
	once over = iota
	ifWild
	ifTimed
	ifBootTimed
	unlessTerse
	eachJob
	eachJobUnlessTerse
	eachRegion
	eachJobInRegion // number n is job (n-1)%jobs+1 in region (n-1)/jobs+1, or in region 0 if there are none
	messagesToWorker
	messagesToHost
)

func (x *world) count(o over) int {
	switch o {
	case ifWild:
		return toInt(x.worker == wild)
	case ifTimed:
		return toInt(x.limits != Limits{})
	case ifBootTimed:
		return toInt(x.limits.Boot != 0)
	case unlessTerse:
		return toInt(!x.terse)
	case eachJob:
		return x.jobs
	case eachJobUnlessTerse:
		return x.jobs * toInt(!x.terse)
	case eachRegion:
		return x.regions
	case eachJobInRegion:
		return x.jobs * max(1, x.regions)
	case messagesToWorker, messagesToHost:
		if n := len(x.queue(o)); x.hostile {
			return n
		} else {
			return min(1, n)
		}
	}
	return 1
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (x *world) queue(o over) []onItsWay {
	if o == messagesToWorker {
		return x.toWorker
	}
	return x.toHost
}

// do makes the move.
func (m move) do(x *world) error {
	active, sender := x.c.worker, ""
	if m.kind == hostReceives {
		sender = *x.toHost[m.n-1].WorkerID
	}
	err := moves[m.kind].do(x, uint64(m.n))
	if isRefusal(err) {
		sender = ""
	}
	x.settleRequests(m, active, sender)
	return err
}

var errNotNow = errors.New("nothing to do")

func (x *world) spawn(n uint64) error {
	id, region := x.jobAndRegion(n)
	tag := new(origin)
	if err := x.c.SpawnTagged(SpawnJob{JobID: id, RegionID: region}, tag); err != nil {
		return err
	}
	j, _ := x.c.Job(id)
	*tag = origin{x.c.worker, j.LastSeqNo}
	x.spawned[id], x.spent[id] = tag, 0
	return nil
}

func (x *world) jobAndRegion(n uint64) (jobID, regionID uint64) {
	jobs := uint64(x.jobs)
	return (n-1)%jobs + 1, min((n-1)/jobs+1, uint64(x.regions))
}

func (x *world) cancelRegion(n uint64) (err error) {
	x.cancelled, err = x.c.CancelRegion(n, reasonOfCancel)
	return err
}

func (x *world) closeRegion(n uint64) (err error) {
	x.cancelled, err = x.c.CloseRegion(n, reasonOfCancel)
	return err
}

func (x *world) remove(id uint64) error {
	j, _ := x.c.Job(id)
	_, err := x.c.RemoveJob(id)
	if err == nil {
		x.forgotten = []TrackedJob{j}
	}
	return err
}

func (x *world) retireActive(uint64) error {
	if x.c.session == nil {
		return errNotNow
	}
	x.c.RetireWorker(x.c.worker)
	return nil
}

// loseWorker tells the coordinator that the worker is lost. If that takes back a shutdown that a worker without a
// session has perhaps been told of, that worker must really be gone, with everything that it has sent: the
// coordinator has no id by which to refuse its bootstrap.
func (x *world) loseWorker(uint64) error {
	if !x.hostile && x.c.session == nil && x.c.ShutdownRequested() {
		x.w.phase = phaseClosed
		clear(x.w.jobs.m)
		x.toHost = nil
	}
	x.c.WorkerLost()
	return nil
}

func (x *world) complete(id uint64) error {
	return x.w.Complete(id, OutcomeErr{Message: outcomeMessage})
}

func (x *world) obey(uint64) error {
	if !x.w.ShutdownRequested() {
		return errNotNow
	}
	return x.w.CompleteShutdown()
}

// send puts the coordinator's next message on the way to the worker whose session it is. Without a session that
// can only be the worker that is being started; the host has received before what is left of others.
func (x *world) send(uint64) error {
	to, active := x.c.ActiveWorker()
	if !active && (x.worker != wild && x.w.Closed() || !x.hostile && slices.ContainsFunc(x.toHost, x.notOfLatest)) {
		return errNotNow
	}
	env, ok := x.c.DrainOutbox()
	if !ok {
		return errNotNow
	}
	x.noteRequest(&env)
	if !active || to == x.w.ID() {
		x.toWorker = append(x.toWorker, onItsWay{Envelope: env})
	}
	return nil
}

func (x *world) notOfLatest(l onItsWay) bool { return *l.WorkerID != x.w.ID() }

func (x *world) deliverToWorker(n uint64) error {
	env := x.toWorker[n-1].Envelope
	if !x.hostile {
		x.toWorker = slices.Delete(x.toWorker, 0, 1)
	}
	err := x.w.HandleInbound(&env)
	if op, ok := env.Op.(SpawnJob); ok && err == nil {
		x.taken[op.JobID] = origin{x.w.ID(), env.SeqNo}
	}
	return err
}

func (x *world) deliverToHost(n uint64) error {
	env := x.toHost[n-1].Envelope
	if !x.hostile {
		x.toHost = slices.Delete(x.toHost, 0, 1)
	}
	return x.c.HandleInbound(&env)
}

func (x *world) lose(queue *[]onItsWay, n uint64) error {
	if !x.hostile {
		return errNotNow
	}
	*queue = slices.Delete(*queue, int(n)-1, int(n))
	return nil
}

func (x *world) replaceClosed(uint64) error {
	if !x.w.Closed() {
		return errNotNow
	}
	x.startWorker()
	return nil
}

// startWorker starts a new instance. The channel to the old one goes with it; what that had sent is still on
// its way.
func (x *world) startWorker() {
	x.born++
	x.w = NewWorker(fmt.Sprint("w", x.born), 1)
	x.toWorker = nil
}

// settle moves what the worker sends to its queue, and takes everything that can have no effect any more out of
// the world: outcasts tries all of it in every state.
func (x *world) settle() {
	for env := range x.w.Outbox() {
		x.toHost = append(x.toHost, onItsWay{env, x.taken[flatten(env.Op).jobID]})
	}
	if x.c.retired.has(x.w.ID()) { // it may go on, but there is no way back
		x.w.phase = phaseClosed
		clear(x.w.jobs.m)
	}
	x.toHost = slices.DeleteFunc(x.toHost, func(l onItsWay) bool { return x.c.retired.has(*l.WorkerID) })
	if x.w.Closed() {
		x.toWorker = nil
	}
	if !x.hostile {
		return
	}
	x.toWorker = slices.DeleteFunc(x.toWorker, func(l onItsWay) bool { return l.SeqNo <= x.w.lastSeen })
	begun := "" // whose bootstrap is on its way
	x.toHost = slices.DeleteFunc(x.toHost, func(l onItsWay) bool {
		switch {
		case x.c.session != nil && *l.WorkerID == x.c.worker:
			return l.SeqNo <= x.c.lastSeen
		case l.Op.Type().bootstrap():
			begun = *l.WorkerID
		}
		return begun != *l.WorkerID
	})
}
