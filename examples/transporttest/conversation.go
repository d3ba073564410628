package transporttest

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/workerchannel/workerchannel"
)

// A conversation is what a host and a worker say to each other over one connection. Its steps run one
// after the other in one goroutine; only the calls of the connection have goroutines of their own, for
// they may wait. A step that finds a fault panics with its *diagnosis.
type conversation struct {
	timeout      time.Duration
	coordinator  *workerchannel.Coordinator
	workerHalf   *workerchannel.Worker
	host, worker *end
	spawned      int
	closing      bool // an end has been closed
	script       []string
}

// An end is one end of the connection, and the half of the protocol that uses it.
type end struct {
	name string
	conn Conn
	half interface {
		Outbox() iter.Seq[workerchannel.Envelope]
		OutboxLen() int
		Receive([]byte) (workerchannel.Envelope, error)
	}
	peer *end
	sent []*message // all that it has sent
	got  int        // how many of the peer's messages it has received

	lastSend chan struct{} // closed when all its Sends have returned
	in       chan received // what Recv returns, one at a time, to the first error
	quit     chan struct{} // closed when nobody listens to in any more
}

// A message is one that has been given to Send.
type message struct {
	name string
	what workerchannel.OpType
	data []byte

	probe    bool          // it is the harness's own, and not for the receiver's half
	returned chan struct{} // closed when Send has returned,
	err      error         // this
}

func (m *message) String() string {
	return fmt.Sprintf("%s (%v, %d bytes)", m.name, m.what, len(m.data))
}

type received struct {
	data []byte
	err  error
}

func newConversation(host, worker Conn, timeout time.Duration) *conversation {
	c := &conversation{
		timeout:     timeout,
		coordinator: workerchannel.NewCoordinator(1),
		workerHalf:  workerchannel.NewWorker("w", 1),
	}
	c.host = newEnd("host", host)
	c.worker = newEnd("worker", worker)
	c.host.peer, c.host.half = c.worker, c.coordinator
	c.worker.peer, c.worker.half = c.host, c.workerHalf
	return c
}

func newEnd(name string, conn Conn) *end {
	e := &end{name: name, conn: conn, lastSend: make(chan struct{}), in: make(chan received), quit: make(chan struct{})}
	close(e.lastSend)
	go e.listen()
	return e
}

// listen always has a Recv pending, as an event loop would.
func (e *end) listen() {
	for {
		data, err := e.conn.Recv()
		select {
		case e.in <- received{bytes.Clone(data), err}:
		case <-e.quit:
			return
		}
		if err != nil {
			return
		}
	}
}

// underWay reports whether the end has yet to receive a message, other than a probe.
func (e *end) underWay() bool {
	return slices.ContainsFunc(e.peer.sent[e.got:], func(m *message) bool { return !m.probe })
}

// say adds a line to the transcript.
func (c *conversation) say(format string, args ...any) {
	c.script = append(c.script, fmt.Sprintf(format, args...))
}

func (c *conversation) fail(f fault, format string, args ...any) {
	panic(&diagnosis{f, format, fmt.Sprintf(format, args...), c.script})
}

// send sends what the end's half has to say.
func (c *conversation) send(e *end) {
	for env := range e.half.Outbox() {
		c.say("the %s sends %v", e.name, e.send(env, false))
	}
}

// send has the connection send a message once it is done with those before.
func (e *end) send(env workerchannel.Envelope, probe bool) *message {
	data, err := env.AppendJSON(nil)
	if err != nil {
		panic(err) // both halves and the probes send only what can be written
	}
	m := &message{
		name:     fmt.Sprintf("%c%d", e.name[0], len(e.sent)+1),
		what:     env.Op.Type(),
		data:     data,
		probe:    probe,
		returned: make(chan struct{}),
	}
	before := e.lastSend
	e.sent, e.lastSend = append(e.sent, m), m.returned
	go func() {
		defer close(m.returned)
		<-before
		buf := bytes.Clone(data)
		m.err = e.conn.Send(buf)
		clear(buf) // Send must not have kept it
	}()
	return m
}

// probe sends a message that neither half made.
func (c *conversation) probe(e *end) {
	h := workerchannel.Header{MessageID: uint64(len(e.sent)), SeqNo: 1 << 40}
	env := workerchannel.NewEnvelope(h, workerchannel.PollStatus{})
	if e == c.worker {
		env = workerchannel.NewWorkerEnvelope("probe", h, workerchannel.Diagnostic{Category: "probe"})
	}
	c.say("the %s sends %v", e.name, e.send(env, true))
}

// receive has the end receive the next message, which must be under way. It is never waited for alone:
// if nothing has been sent after it, a probe is. When that arrives in its place the message is lost,
// and no clock is needed to say so.
func (c *conversation) receive(e *end) {
	for {
		if e.got == len(e.peer.sent)-1 {
			c.probe(e.peer)
		}
		if m := c.receiveOne(e); !m.probe {
			return
		}
	}
}

// receiveProbes receives what else has been sent when there is no message under way, so that nothing
// comes after the last probe.
func (c *conversation) receiveProbes(e *end) {
	for e.got < len(e.peer.sent) {
		c.receiveOne(e)
	}
}

func (c *conversation) receiveOne(e *end) *message {
	m := e.peer.sent[e.got]
	c.check(e, c.next(e, m))
	c.say("the %s receives %s", e.name, m.name)
	c.take(e, m)
	return m
}

// take gives a message that has arrived to the half.
func (c *conversation) take(e *end, m *message) {
	e.got++
	if m.probe {
		return
	}
	if _, err := e.half.Receive(m.data); err != nil {
		c.fail(refused, "%v arrived as it was sent, and the %s refused it: %v", m, e.name, err)
	}
}

// next waits for a message.
func (c *conversation) next(e *end, m *message) []byte {
	timeout := time.After(c.timeout)
	returned := m.returned
	for {
		select {
		case r := <-e.in:
			if r.err != nil {
				c.recvFailed(e, r.err)
			}
			return r.data
		case <-returned:
			returned = nil
			if m.err != nil {
				c.sendFailed(m)
			}
		case <-timeout:
			c.explainSilence(e, m)
		}
	}
}

func (c *conversation) sendFailed(m *message) {
	c.fail(broken, "Send failed for %v while both ends were open: %v", m, m.err)
}

func (c *conversation) recvFailed(e *end, err error) {
	c.fail(broken, "Recv failed at the %s's end while both were open: %v", e.name, err)
}

// explainSilence fails with what is behind it when a message does not come.
func (c *conversation) explainSilence(e *end, m *message) {
	select {
	case <-m.returned:
	default:
		c.fail(hang, "Send had not returned after %v for %v, though the %s was receiving", c.timeout, m, e.name)
	}
	c.probe(e.peer)
	c.probe(e.peer)
	select {
	case r := <-e.in:
		if r.err != nil {
			c.recvFailed(e, r.err)
		}
		c.check(e, r.data)
		c.fail(hang, "%v did not arrive in %v, but when another message was sent after it", m, c.timeout)
	case <-time.After(c.timeout):
	}
	c.shut(e.peer)
	select {
	case r := <-e.in:
		if r.err != nil {
			c.fail(lost, "Send returned, but %v did not arrive in %v, nor when the %s's end was closed", m, c.timeout, e.peer.name)
		}
		c.check(e, r.data)
		c.fail(hang, "%v did not arrive in %v, but when the %s's end was closed: it seems that nothing flushed it", m, c.timeout, e.peer.name)
	case <-time.After(c.timeout):
		c.fail(hang, "%v did not arrive, and Recv did not return at the %s's end when the %s's was closed", m, e.name, e.peer.name)
	}
}

// check compares what has arrived with what was to come.
func (c *conversation) check(e *end, data []byte) {
	f, what, missing := compare(e.peer.sent, e.got, data)
	if missing {
		f = lost
		m := e.peer.sent[e.got]
		<-m.returned // before a later one was sent
		switch {
		case m.err != nil && !c.closing:
			c.sendFailed(m)
		case c.comesLater(e, m):
			f = reordered
		}
	}
	if f != "" {
		c.fail(f, "at the %s's end, %s", e.name, what)
	}
}

// comesLater reports whether a message that was left out still arrives: before the probes do, or when
// the sender's end is closed.
func (c *conversation) comesLater(e *end, m *message) bool {
	script := len(c.script)
	defer func() { c.script = c.script[:script] }() // what follows is not how it went wrong
	if !c.closing {
		probes := len(e.peer.sent)
		c.probe(e.peer)
		c.probe(e.peer)
		switch c.await(e, append(e.peer.sent[probes:], m)...) {
		case m:
			return true
		case nil:
			return false
		}
		c.shut(e.peer)
	}
	return c.await(e, m) == m
}

// await receives until one of the messages comes, and returns that; nil if none does.
func (c *conversation) await(e *end, messages ...*message) *message {
	timeout := time.After(c.timeout)
	for {
		select {
		case r := <-e.in:
			if r.err != nil {
				return nil
			}
			for _, m := range messages {
				if bytes.Equal(m.data, r.data) {
					return m
				}
			}
		case <-timeout:
			return nil
		}
	}
}

// shut closes one end.
func (c *conversation) shut(e *end) {
	c.closing = true
	c.say("the %s closes its end", e.name)
	c.mustReturn(func() { _ = e.conn.Close() }, "Close of the %s's end had not returned after %v", e.name, c.timeout)
}

// mustReturn calls f, which must return in time.
func (c *conversation) mustReturn(f func(), format string, args ...any) {
	if !within(c.timeout, f) {
		c.fail(hang, format, args...)
	}
}

func within(timeout time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-time.After(timeout):
		return false
	}
}

// part closes one end and then the other, and checks that all calls come to an end.
func (c *conversation) part(first *end) {
	c.shut(first)
	c.mustFailToSend(first)
	c.hearOut(first.peer)
	c.sendInVain(first.peer)
	c.hearOut(first)

	c.shut(first.peer)
	c.mustFailToSend(first.peer)
	for _, e := range []*end{first, first.peer} {
		c.mustReturn(func() { _ = e.conn.Close() }, "the second Close of the %s's end had not returned after %v", e.name, c.timeout)
	}
}

// last is sent over connections that have been closed. It fills the buffers that there may be.
var last = func() []byte {
	reason := string(bytes.Repeat([]byte("late "), 20_000))
	data, _ := workerchannel.NewEnvelope(workerchannel.Header{SeqNo: 1 << 41}, workerchannel.ShutdownWorker{Reason: reason}).AppendJSON(nil)
	return data
}()

// mustFailToSend checks that a closed end sends nothing more.
func (c *conversation) mustFailToSend(e *end) {
	if c.sendInVain(e) == nil {
		c.fail(open, "Send returned no error at the %s's end after that was closed", e.name)
	}
}

// sendInVain sends one more message, and returns what Send says.
func (c *conversation) sendInVain(e *end) (err error) {
	c.mustReturn(func() {
		<-e.lastSend
		err = e.conn.Send(bytes.Clone(last))
	}, "Send had not returned at the %s's end %v after an end was closed", e.name, c.timeout)
	return err
}

// hearOut has the end receive what there is, after an end was closed, to the error that must come.
func (c *conversation) hearOut(e *end) {
	for {
		select {
		case r := <-e.in:
			if r.err != nil {
				c.say("the %s learns that the connection is closed", e.name)
				return
			}
			c.check(e, r.data)
			m := e.peer.sent[e.got]
			c.say("the %s still receives %s", e.name, m.name)
			c.take(e, m)
		case <-time.After(c.timeout):
			c.fail(hang, "Recv had not returned at the %s's end %v after an end was closed", e.name, c.timeout)
		}
	}
}

// abandon frees everything, at whatever point the conversation has stopped, and tells if that hangs.
func (c *conversation) abandon(stop func()) *diagnosis {
	clean := within(c.timeout, func() {
		for _, e := range []*end{c.host, c.worker} {
			close(e.quit)
			_ = e.conn.Close()
		}
		stop()
	})
	if clean {
		return nil
	}
	return &diagnosis{hang, "stop", "stop had not returned after both ends were closed", c.script}
}
