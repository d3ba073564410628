package workerchannel

import (
	"fmt"
	"slices"
	"strings"
)

// key tells worlds apart, but for what makes no difference to anything that can still happen:
//
//   - Job ids are only ever compared for equality, so that exchanging them everywhere changes nothing: the lesser of
//     both ways to write a world stands for it. Where there are region calls, which cancel by ascending id, that is
//     not so, and job ids are not exchanged. Region ids are.
//   - So are worker ids. What counts is who is active, who is running, and who has ended; and those who
//     ended are gone from the world, but for the memory of them.
//   - A sequence number is only ever compared with the high-water mark of its reader, and with those of other
//     requests under a limit. All that are yet to come are greater than any there is, a queue has its own in order,
//     and settle removes the messages that are not fresh, so that for the requests it is enough in which order
//     they are. A mark without a session is never read again.
//   - Of an origin it matters whether it is that of the job that the coordinator has in flight now.
//   - A turn is only ever compared with the one in which a clock was started, so that for each clock it is
//     enough how many turns have passed. No turn passes while a request is overdue, so that number is at most the
//     limit. Without limits there are no clocks.
//   - Message ids, decision numbers, seeds and the turns in messages and jobs are carried and not looked at. So are
//     a region on its way, and how and when a job ended.
//
// That is an argument; explore also puts it to the test.
func (x *world) key() string {
	key := ""
	for _, jobs := range exchanges(x.jobs == 2 && x.regions == 0) {
		for _, regions := range exchanges(x.regions == 2) {
			b := x.writeNetwork(x.writeHost(nil, jobs, regions), jobs)
			if key == "" || string(b) < key {
				key = string(b)
			}
		}
	}
	return key
}

// hostKey is the part of the key that is about the coordinator, with nothing exchanged.
func (x *world) hostKey() string { return string(x.writeHost(nil, inPlace, inPlace)) }

// workerKey is what is about the worker, with nothing exchanged.
func (x *world) workerKey() string {
	y := *x
	y.toHost, y.toWorker = nil, nil
	return string(y.writeNetwork(nil, inPlace))
}

// An idOrder says how ids are exchanged. It is its own inverse.
type idOrder [3]byte

var inPlace = idOrder{0, 1, 2}

func exchanges(both bool) []idOrder {
	if both {
		return []idOrder{inPlace, {0, 2, 1}}
	}
	return []idOrder{inPlace}
}

func (x *world) writeHost(b []byte, jobs, regions idOrder) []byte {
	c := x.c
	b = append(b, flags(c.ready, c.shutdown, c.closing, c.session != nil))
	for _, id := range jobs[1 : 1+x.jobs] {
		if j, tracked := c.jobs.byID.m[uint64(id)]; tracked {
			b = append(b, byte(j.now()), regions[j.region.id])
			if isCancelling(j.now()) {
				b = append(b, byte(x.spent[id]))
			}
		} else {
			b = append(b, 0xff)
		}
	}
	for _, id := range regions[1 : 1+x.regions] {
		r, ok := c.jobs.regions.m[uint64(id)]
		b = append(b, flags(ok, ok && r.closed, ok && r.session == c.session))
	}
	for _, m := range c.out.queue[c.out.head:] {
		about := origin{}
		if m.job != nil {
			about = *m.job.tag.(*origin)
		}
		b = x.writeOp(b, m.op, jobs, about)
	}
	if x.limits == (Limits{}) {
		return append(b, 0xff)
	}
	age := func(turn uint64) byte { return byte(c.Turn() - turn) }
	b = append(b, 0xff)
	for _, a := range x.asked {
		b = append(b, byte(a.op), jobs[a.jobID], age(a.turn))
	}
	b = append(b, 0xff)
	for _, k := range []clock{c.clocks.boot, c.clocks.poll, c.clocks.shutdown} {
		if k.running {
			b = append(b, 1, jobs[k.jobID], age(k.since))
		} else {
			b = append(b, 0)
		}
	}
	if c.shutdown { // which stops the clocks of the jobs
		return b
	}
	for _, list := range c.jobs.timed {
		for j := list.first; j != nil; j = j.links[byPhase].next {
			b = append(b, jobs[j.id], age(j.sent))
		}
		b = append(b, 0xff)
	}
	return b
}

func (x *world) writeNetwork(b []byte, jobs idOrder) []byte {
	active, running := x.c.worker, x.w.id
	b = append(b, byte(x.w.phase), flags(x.c.session != nil && active == running, x.w.shutdown && !x.w.Closed()))
	for _, id := range jobs[1 : 1+x.jobs] {
		if j, ok := x.w.jobs.m[uint64(id)]; ok {
			b = append(b, byte(j.state), flags(x.current(uint64(id), x.taken[id])))
		} else {
			b = append(b, 0xff)
		}
	}
	for _, l := range x.toWorker {
		b = x.writeOp(b, l.Op, jobs, origin{running, l.SeqNo})
	}
	b = append(b, 0xff)
	last, other := "", byte(0)
	for _, l := range x.toHost {
		from := *l.WorkerID
		if from != last {
			last, other = from, other+1
		}
		b = x.writeOp(b, l.Op, jobs, l.about)
		switch from {
		case active:
			b = append(b, 'a')
		case running:
			b = append(b, 'r')
		default:
			b = append(b, other)
		}
	}
	return b
}

func (x *world) writeOp(b []byte, op Op, jobs idOrder, about origin) []byte {
	f := flatten(op)
	return append(b, byte(f.typ), jobs[f.jobID], byte(f.state), flags(x.current(f.jobID, about)))
}

// current reports whether an origin is that of the job in flight.
func (x *world) current(id uint64, o origin) bool {
	s, ok := x.c.JobState(id)
	return ok && !s.Terminal() && *x.spawned[id] == o
}

func flags(set ...bool) (b byte) {
	for i, f := range set {
		if f {
			b |= 1 << i
		}
	}
	return b
}

// in describes a move in a world.
func (m move) in(x *world) string {
	switch kind := moves[m.kind]; kind.over {
	case eachJob, eachJobUnlessTerse:
		return fmt.Sprint(kind.name, " job ", m.n)
	case eachRegion:
		return fmt.Sprint(kind.name, " region ", m.n)
	case eachJobInRegion:
		id, region := x.jobAndRegion(uint64(m.n))
		return fmt.Sprint(kind.name, " job ", id, " in region ", region)
	case messagesToWorker, messagesToHost:
		return fmt.Sprint(kind.name, " ", x.queue(kind.over)[m.n-1])
	default:
		return kind.name
	}
}

func (l onItsWay) String() string {
	f := flatten(l.Op)
	s := f.typ.String()
	if f.jobID != 0 {
		s += fmt.Sprint(" of job ", f.jobID)
	}
	if f.typ == OpStatusSnapshot {
		s += fmt.Sprint(" ", f.state)
	}
	if l.WorkerID != nil {
		s += " from " + *l.WorkerID
	}
	return s + fmt.Sprint(" (", l.SeqNo, ")")
}

func (x *world) String() string {
	b := new(strings.Builder)
	b.WriteString("host:")
	if id, ok := x.c.ActiveWorker(); ok {
		b.WriteString(" " + id)
	}
	for _, f := range []struct {
		set  bool
		text string
	}{{x.c.WorkerReady(), " ready"}, {x.c.ShutdownRequested(), ", shutdown requested"}, {x.c.Closing(), ", closing"}} {
		if f.set {
			b.WriteString(f.text)
		}
	}
	for j := range x.c.Jobs() {
		fmt.Fprint(b, ", job ", j.JobID, " ", j.State)
	}
	for r := range x.c.Regions() {
		if r.Closed {
			fmt.Fprint(b, ", region ", r.RegionID, " closed")
		}
	}
	for _, env := range waiting(&x.c.out) {
		fmt.Fprint(b, ", has ", onItsWay{Envelope: env}, " to send")
	}
	for _, a := range x.asked {
		fmt.Fprint(b, ", ", Overdue{a.op, a.jobID, a.turn, a.turn + limitFor(&x.limits, a.op)})
	}
	if x.limits != (Limits{}) {
		fmt.Fprint(b, ", turn ", x.c.Turn())
	}
	b.WriteString("; under way:")
	for _, l := range slices.Concat(x.toWorker, x.toHost) {
		fmt.Fprint(b, " ", l)
	}
	b.WriteString("; " + x.w.id + ":" + []string{" starting", " ready", " closed"}[x.w.phase])
	for id, j := range x.w.jobs.m {
		fmt.Fprint(b, ", job ", id, " ", j.state.public())
		if j.state.public() != j.state {
			b.WriteString(" answered")
		}
	}
	return b.String()
}
