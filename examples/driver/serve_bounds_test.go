package driver

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// What a host can do to a worker: little.

// A bareServer is a server without goroutines, which one handler keeps busy, and the numbers of its host's messages.
type bareServer struct {
	*server
	t    *testing.T
	sent uint64
}

func newBareServer(t *testing.T) *bareServer {
	s, err := newServer(t.Context(), echo, []ServeOption{WithConcurrency(1)})
	require.NoError(t, err)
	s.w = wc.NewWorker("w", 0)
	s.running = 1
	require.NoError(t, s.w.Announce())
	return &bareServer{s, t, 0}
}

// gets has a message of the host arrive.
func (s *bareServer) gets(op wc.Op) (more bool) {
	s.sent++
	var a arrival
	a.text = message(s.sent, op)
	a.v, a.err = wc.Verify(a.text)
	defer s.look()
	defer s.begin()
	return s.take(&a)
}

func message(number uint64, op wc.Op) []byte {
	text, err := wc.NewEnvelope(wc.NewHeader(number, number, 1, 1), op).AppendJSON(nil)
	if err != nil {
		panic(err)
	}
	return text
}

// last returns the last message that is to be sent.
func (s *bareServer) last() (op wc.Op) {
	for env := range s.w.(*wc.Worker).Outbox() {
		op = env.Op
	}
	return op
}

func TestServeFailsWhenTooManyJobsWait(t *testing.T) {
	for name, test := range map[string]struct{ fit, size int }{
		"jobs":  {maxWaiting, 0},
		"bytes": {maxWaitingBytes / wc.MaxPayloadBytes, wc.MaxPayloadBytes},
	} {
		t.Run(name, func(t *testing.T) {
			s := newBareServer(t)
			payload := make([]byte, test.size)
			s.jobs[0] = &Job{begun: true, ctx: &jobContext{base: t.Context()}}
			for id := range uint64(test.fit) {
				s.accept(wc.SpawnJob{JobID: id + 1, Payload: payload})
				require.NoError(t, s.err)
			}
			s.accept(wc.SpawnJob{JobID: 1 << 40, Payload: payload})
			assert.Equal(t, ErrTooManyJobs, s.err)
			assert.True(t, s.w.Closed())
			assert.Equal(t, wc.BootstrapFailed{WorkerID: "w", Reason: "too many jobs"}, s.last())
			assert.False(t, s.gets(wc.PollStatus{}), "nothing more is read")
		})
	}
}

func TestServeFailsWhenAnswersAreNotRead(t *testing.T) {
	s := newBareServer(t)
	before := heapBytes()
	more := s.gets(wc.SpawnJob{JobID: 1 << 40})
	for id := uint64(1); more && s.sent < 5*maxUnread; id++ {
		for _, op := range []wc.Op{wc.SpawnJob{JobID: id}, wc.CancelJob{JobID: id}, wc.DrainJob{JobID: id}, wc.FinalizeJob{JobID: id}} {
			more = s.gets(op)
		}
	}
	assert.Equal(t, errUnread, s.err)
	assert.True(t, s.w.Closed())
	assert.LessOrEqual(t, s.w.OutboxLen(), maxUnread+1)
	assert.Less(t, heapBytes(), before+16<<20)
	for range 100 {
		assert.False(t, s.gets(wc.PollStatus{JobID: 1 << 40}))
	}
	assert.LessOrEqual(t, s.w.OutboxLen(), maxUnread+1, "and nothing is answered any more")
}

func TestAPollIsNotAnsweredAgainBeforeItsAnswerIsSent(t *testing.T) {
	s := newBareServer(t)
	s.gets(wc.SpawnJob{JobID: 1})
	s.gets(wc.SpawnJob{JobID: 2})
	for range maxUnread {
		require.True(t, s.gets(wc.PollStatus{JobID: 1}), "however often the host polls")
		require.True(t, s.gets(wc.PollStatus{JobID: 2}))
	}
	assert.Equal(t, 1+2, s.w.OutboxLen())
	for range 2 { // the announcement, the first answer
		s.next(&batch{messages: make([]wc.Outgoing, 1)})
	}
	for range 10 {
		s.gets(wc.PollStatus{JobID: 1})
		s.gets(wc.PollStatus{JobID: 2})
	}
	assert.Equal(t, 2, s.w.OutboxLen(), "that has been sent, so it has another answer")
	s.sent -= 2
	s.gets(wc.PollStatus{JobID: 2})
	assert.ErrorIs(t, s.err, wc.ErrInboundSequenceNotFresh, "what is repeated is refused as ever")
}

// A strangeConn is the worker's end of a connection that does what it should not.
type strangeConn struct {
	recv   func() ([]byte, error)
	send   func() error
	closes time.Duration // how long Close sends
	calls  atomic.Int64  // of Recv
}

func (c *strangeConn) Recv() ([]byte, error) { c.calls.Add(1); return c.recv() }
func (c *strangeConn) Send([]byte) error     { return c.send() }
func (c *strangeConn) Close() error          { time.Sleep(c.closes); return nil }

func sends() error { return nil }

func TestServeReadsNothingMoreWhenItHasRefusedAMessage(t *testing.T) {
	for name, send := range map[string]func() error{
		"and the host is told":  sends,
		"and it cannot be told": func() error { time.Sleep(time.Hour); return errTest },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &strangeConn{recv: func() ([]byte, error) { return nil, nil }, send: send}
				assert.ErrorIs(t, Serve(t.Context(), c, "", echo), wc.ErrMalformed)
				assert.Equal(t, int64(1), c.calls.Load())
				time.Sleep(time.Hour)
			})
		})
	}
}

func TestServeReadsNothingMoreWhenItHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		n := uint64(0)
		c := &strangeConn{send: sends, recv: func() ([]byte, error) { // also after Close
			time.Sleep(time.Second)
			n++
			return message(n, wc.PollStatus{JobID: 1}), nil
		}}
		time.AfterFunc(time.Minute, func() { cancel(errTest) })
		assert.Equal(t, errTest, Serve(ctx, c, "", echo))
		before := c.calls.Load()
		assert.InDelta(t, 60, before, 1)
		time.Sleep(time.Hour)
		assert.Equal(t, before, c.calls.Load())
	})
}

func TestTheGraceBoundsTheClosingOfTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTest)
		c := &strangeConn{send: sends, closes: time.Hour, recv: func() ([]byte, error) { time.Sleep(time.Hour); return nil, errTest }}
		assert.Equal(t, 3*time.Second, took(func() { assert.Equal(t, errTest, Serve(ctx, c, "", echo, WithGrace(3*time.Second))) }))
		time.Sleep(2 * time.Hour)
	})
}

// A slowConn has a closing handshake that nobody answers.
type slowConn struct{ Conn }

func (c slowConn) Cut() error   { return c.Conn.Close() }
func (c slowConn) Close() error { time.Sleep(time.Hour); return c.Conn.Close() }

func TestTheGraceBoundsWaitingForAHostThatDoesNotRead(t *testing.T) {
	for name, test := range map[string]struct {
		opts []ServeOption
		end  func(h *fakeHost, cancel func(error))
		want error
		text string
	}{
		"when the host has asked for the shutdown": {
			nil, func(h *fakeHost, _ func(error)) { _ = h.c.RequestShutdown(""); h.flush() },
			ErrHostGone, "driver: host is gone: it has not read the last messages within 3s",
		},
		"when Serve drains": {[]ServeOption{WithDrain()}, func(_ *fakeHost, cancel func(error)) { cancel(errTest) }, errTest, errTest.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				conn, worker := Pipe(0)
				h := &fakeHost{t, conn, wc.NewCoordinator(1), make(chan error, 1)}
				handler := func(context.Context, *Job) ([]byte, error) { time.Sleep(time.Minute); return nil, nil }
				go func() {
					h.served <- Serve(ctx, slowConn{worker}, "w", handler, append(test.opts, WithGrace(3*time.Second))...)
				}()
				h.receive() // its announcement
				h.spawn(1)
				synctest.Wait()
				test.end(h, cancel)
				time.AfterFunc(time.Minute+time.Second, func() { assert.NoError(t, conn.Send(message(10, wc.PollStatus{JobID: 1})), "it still reads") })
				assert.Equal(t, time.Minute+3*time.Second, took(func() {
					err := <-h.served
					assert.ErrorIs(t, err, test.want)
					assert.EqualError(t, err, test.text)
				}))
				synctest.Wait()
				assert.Error(t, conn.Send(nil), "the connection is cut")
			})
		})
	}
}

func TestJobsThatWereCancelledInTheQueueLeaveIt(t *testing.T) {
	s := newBareServer(t)
	for id := range uint64(10_000) {
		s.accept(wc.SpawnJob{JobID: id, Payload: make([]byte, 100)})
		s.cancel(wc.CancelJob{JobID: id})
		s.finalized(s.jobs[id])
		require.Zero(t, s.queue.len)
	}
	assert.Zero(t, s.waiting)
	assert.Empty(t, s.jobs)
}
