package workerchannel

import "iter"

// An outbox numbers the messages of one side and keeps them until they are taken (PROTOCOL section 1,
// "Numbering"). A message gets its digest only then, so one that is dropped costs none.
type outbox struct {
	_     noCopy
	last  Header // the numbers of the last message, and the seed and turn of the next
	queue []queued
	head  int // queue[:head] has been taken
}

// A queued message does not store its numbers: those of the queue are consecutive and end with those of outbox.last,
// which only push changes. It stores the turn, which may have advanced since.
type queued struct {
	job  *job // the job of a coordinator that the message is about, if any
	op   Op
	turn uint64
}

// noCopy has the methods by which go vet recognizes what must not be copied.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

func newOutbox(seed uint64) outbox { return outbox{last: Header{Seed: seed}} }

// push queues a message about j, which may be nil, and returns its sequence number.
func (o *outbox) push(op Op, j *job) uint64 {
	o.last.MessageID++
	o.last.SeqNo++
	o.last.DecisionSeq++
	o.queue = append(o.queue, queued{j, op, o.last.IssuedAtTurn})
	return o.last.SeqNo
}

// pop takes the oldest message, with its worker id but without its digest, into the zero env and the zero f, and returns
// the job that it is about. It releases memory as a long queue gets shorter.
func (o *outbox) pop(env *Envelope, f *flatOp, workerID *string) (j *job, ok bool) {
	if o.len() == 0 {
		return nil, false
	}
	o.number(env, 0)
	first := &o.queue[o.head]
	j, env.WorkerID, env.Op = first.job, workerID, first.op
	*first = queued{} // or the queue would keep the payload alive
	o.head++
	const small = 64
	switch rest := o.queue[o.head:]; {
	case cap(o.queue) > small && len(rest) <= o.head:
		o.queue, o.head = append([]queued(nil), rest...), 0
	case len(rest) == 0:
		o.queue, o.head = o.queue[:0], 0
	}
	f.set(env.Op)
	return j, true
}

// number fills in the version and the numbers of the i-th message that waits.
func (o *outbox) number(env *Envelope, i int) {
	later := uint64(o.len() - 1 - i)
	env.Version = ProtocolVersion
	env.MessageID, env.SeqNo, env.DecisionSeq = o.last.MessageID-later, o.last.SeqNo-later, o.last.DecisionSeq-later
	env.Seed, env.IssuedAtTurn = o.last.Seed, o.queue[o.head+i].turn
}

func (o *outbox) len() int { return len(o.queue) - o.head }

func (o *outbox) clear() { o.queue, o.head = nil, 0 }

// drained yields what drain returns until there is nothing more.
func drained(drain func() (Envelope, bool)) iter.Seq[Envelope] {
	return func(yield func(Envelope) bool) {
		for env, ok := drain(); ok && yield(env); env, ok = drain() {
		}
	}
}
