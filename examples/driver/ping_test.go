package driver

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// A pingConn is a connection with Ping and Cut, whose other end can vanish: then nothing comes any more, and what is
// sent is lost.
type pingConn struct {
	Conn
	pings, cuts atomic.Int64
	vanished    chan struct{}                               // closed
	answer      atomic.Pointer[func(context.Context) error] // of Ping; nil: nil unless the other end has vanished
	closed      chan struct{}
}

func newPingConn(conn Conn) *pingConn {
	return &pingConn{Conn: conn, vanished: make(chan struct{}), closed: make(chan struct{})}
}

func (c *pingConn) Ping(ctx context.Context) error {
	c.pings.Add(1)
	if answer := c.answer.Load(); answer != nil && *answer != nil {
		return (*answer)(ctx)
	}
	select {
	case <-c.vanished:
	default:
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closed:
		return ErrConnClosed
	}
}

func (c *pingConn) Recv() ([]byte, error) {
	data, err := c.Conn.Recv()
	select {
	case <-c.vanished:
		<-c.closed
		return nil, ErrConnClosed
	default:
		return data, err
	}
}

func (c *pingConn) Send(msg []byte) error {
	select {
	case <-c.vanished:
		return nil
	default:
		return c.Conn.Send(msg)
	}
}

// Close waits for the closing handshake, as WebSockets do.
func (c *pingConn) Close() error {
	select {
	case <-c.vanished:
		time.Sleep(time.Hour)
	default:
	}
	return c.Cut()
}

func (c *pingConn) Cut() error {
	if c.cuts.Add(1) == 1 {
		close(c.closed)
	}
	return c.Conn.Close()
}

var never = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// attached returns the host's end of a connection to a worker that serves.
func attached(t *testing.T, h *Host, handler Handler, opts ...ServeOption) *pingConn {
	host, worker := Pipe(100)
	c := newPingConn(host)
	go func() { _ = Serve(context.Background(), worker, "", handler, opts...) }()
	require.NoError(t, h.Attach(c))
	require.NoError(t, h.WaitReady(t.Context(), 1))
	synctest.Wait()
	return c
}

func TestAnIdleWorkerThatDoesNotAnswerAPingIsCut(t *testing.T) {
	for name, answer := range map[string]func(context.Context) error{
		"nothing comes":         nil,
		"Ping fails":            func(context.Context) error { return io.ErrClosedPipe },
		"Ping does not return":  func(context.Context) error { time.Sleep(time.Hour); return nil },
		"Ping ignores its end":  func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Second); return nil },
		"the answer comes late": func(context.Context) error { time.Sleep(10*time.Second + 1); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				var end Event
				h.Observe(func(e Event) {
					if e.Kind == EventEnded {
						end = e
					}
				})
				c := attached(t, h, echo)
				time.Sleep(time.Second)
				require.NoError(t, second(h.Do(t.Context(), nil)))
				synctest.Wait()
				close(c.vanished)
				c.answer.Store(&answer)
				assert.Equal(t, 15*time.Second, took(func() { <-c.closed }))
				synctest.Wait()
				assert.EqualError(t, end.Err, "driver: worker has not answered a ping within 10s (Limits.Answer)")
				assert.Empty(t, h.Stats().Workers)
				assert.Equal(t, uint64(1), h.Stats().WorkersKilled)
				time.Sleep(2 * time.Hour) // until Ping has returned in every case
			}, WithLimits(testLimits))
		})
	}
}

func TestAnIdleWorkerThatAnswersPingsStaysAndNoTurnsPass(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		c := attached(t, h, echo)
		time.Sleep(time.Minute + time.Second) // for turns that pass until it is known to be idle
		turn, pings := h.Snapshot(1).Sessions[0].Turn, c.pings.Load()
		time.Sleep(time.Hour)
		assert.Equal(t, turn, h.Snapshot(1).Sessions[0].Turn)
		assert.Equal(t, int64(time.Hour/(5*time.Second)), c.pings.Load()-pings)
		require.NoError(t, second(h.Do(t.Context(), nil)))
	}, WithLimits(testLimits))
}

func TestAWorkerIsPingedOnlyWhenNothingElseTellsOfIt(t *testing.T) {
	handler := func(_ context.Context, job *Job) ([]byte, error) {
		if string(job.Payload) == "long" {
			time.Sleep(time.Minute)
		}
		return nil, nil
	}
	for name, test := range map[string]struct {
		limits Limits
		during func(*Host)
	}{
		"it has a call, and is polled": {testLimits, func(h *Host) { _, _ = h.Do(context.Background(), []byte("long")) }},
		"something comes in time": {testLimits, func(h *Host) {
			for range 10 {
				_, _ = h.Do(context.Background(), nil)
				time.Sleep(5*time.Second - 1)
			}
		}},
		"no silence is too long": {Limits{Silence: -1}, func(*Host) { time.Sleep(time.Hour) }},
		"no answer is too late":  {Limits{Answer: -1}, func(*Host) { time.Sleep(time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				c := attached(t, h, handler)
				test.during(h)
				assert.Zero(t, c.pings.Load())
			}, WithLimits(test.limits))
		})
	}
}

func TestAPingThatFailsIsSentAgainAndAnyMessageAnswersIt(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		c := attached(t, h, echo)
		fails := func(context.Context) error {
			if c.pings.Load()%10 != 0 {
				return io.ErrClosedPipe // as when another message is being sent for long
			}
			return nil
		}
		c.answer.Store(&fails)
		time.Sleep(time.Hour)
		require.NotEmpty(t, h.Stats().Workers)
		c.answer.Store(&never)
		require.NoError(t, second(h.Do(t.Context(), nil)))
		for range 100 {
			time.Sleep(14 * time.Second)
			require.NoError(t, second(h.Do(t.Context(), nil)))
		}
		close(c.vanished)
		assert.Equal(t, 15*time.Second, took(func() { <-c.closed }), "after the last message")
	}, WithLimits(testLimits))
}

// serveOver has Serve serve over the worker's end of a connection that can ping.
func serveOver(t *testing.T, handler Handler, opts ...ServeOption) (*fakeHost, *pingConn) {
	conn, worker := Pipe(100)
	c := newPingConn(worker)
	h := &fakeHost{t, conn, wc.NewCoordinator(1), make(chan error, 1)}
	go func() { h.served <- Serve(t.Context(), c, "w", handler, opts...) }()
	h.receive() // its announcement
	return h, c
}

func TestServeNoticesAHostThatIsGoneThoughTheConnectionIsThere(t *testing.T) {
	for name, test := range map[string]struct {
		opts  []ServeOption
		limit time.Duration
		text  string
	}{
		"by default":          {nil, 15 * time.Second, "10s"},
		"with times":          {[]ServeOption{WithKeepAlive(time.Second, 2*time.Second)}, 3 * time.Second, "2s"},
		"with one time":       {[]ServeOption{WithKeepAlive(0, 2*time.Second)}, 7 * time.Second, "2s"},
		"with the other":      {[]ServeOption{WithKeepAlive(time.Second, 0)}, 11 * time.Second, "10s"},
		"while handlers work": {[]ServeOption{WithConcurrency(1)}, 15 * time.Second, "10s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cause error
				h, c := serveOver(t, func(ctx context.Context, _ *Job) ([]byte, error) {
					<-ctx.Done()
					cause = context.Cause(ctx)
					return nil, cause
				}, test.opts...)
				time.Sleep(time.Hour)
				assert.NotZero(t, c.pings.Load())
				h.spawn(1)
				synctest.Wait()
				close(c.vanished)
				assert.Equal(t, test.limit, took(func() {
					err := <-h.served
					assert.ErrorIs(t, err, ErrHostGone)
					assert.EqualError(t, err, "driver: host is gone: it has not answered a ping within "+test.text)
					assert.ErrorIs(t, cause, ErrHostGone)
				}), "it does not wait for the closing handshake")
				assert.NotZero(t, c.cuts.Load())
			})
		})
	}
}

func TestServeDoesNotPingIfItIsToldNotTo(t *testing.T) {
	for _, opt := range []ServeOption{WithKeepAlive(-1, 0), WithKeepAlive(0, -1)} {
		synctest.Test(t, func(t *testing.T) {
			h, c := serveOver(t, echo, opt)
			time.Sleep(time.Hour)
			assert.Zero(t, c.pings.Load())
			h.close()
		})
	}
}

func TestServePingsNoHostThatSendsOrIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, c := serveOver(t, echo)
		for id := range uint64(10) {
			time.Sleep(5*time.Second - 1)
			h.spawn(id)
			h.outcome(id)
		}
		assert.Zero(t, c.pings.Load())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		assert.Equal(t, int64(1), c.pings.Load())
		h.close()
		time.Sleep(time.Hour)
		assert.Equal(t, int64(1), c.pings.Load())
	})
}

func TestACallThatComesWhileAWorkerIsPingedIsPolled(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		var end Event
		h.Observe(func(e Event) {
			if e.Kind == EventEnded {
				end = e
			}
		})
		c := attached(t, h, untilCancelled)
		c.answer.Store(&never)
		time.Sleep(6 * time.Second)
		require.Equal(t, int64(1), c.pings.Load())
		do(h, t.Context(), "")
		synctest.Wait()
		close(c.vanished)
		<-c.closed
		synctest.Wait()
		assert.NotContains(t, end.Err.Error(), "ping", "it may have more to read than a ping")
		assert.Contains(t, strings.ToLower(end.Err.Error()), "poll")
	}, WithLimits(testLimits))
}

func TestAWatchEndsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		host, _ := Pipe(0)
		c := newPingConn(host)
		c.answer.Store(&never)
		late := errors.New("late")
		d := watchOver(c, time.Second, time.Second, func() bool { return true }, func() { panic(late) })
		time.Sleep(1500 * time.Millisecond)
		assert.Equal(t, int64(1), c.pings.Load())
		d.stop()
		time.Sleep(time.Hour)
	})
}
