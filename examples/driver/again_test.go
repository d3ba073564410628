package driver

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// An address is where a worker dials: whoever plays the hosts takes the connections.
type address struct {
	conns chan Conn
	dials []time.Time
}

func newAddress() *address { return &address{conns: make(chan Conn)} }

// dial waits for a host as long as its context allows.
func (a *address) dial(ctx context.Context) (Conn, error) {
	a.dials = append(a.dials, time.Now())
	host, worker := Pipe(100)
	select {
	case a.conns <- host:
		return worker, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *address) serve(ctx context.Context, handler Handler, opts ...ServeOption) <-chan error {
	served := make(chan error, 1)
	go func() { served <- ServeAgain(ctx, a.dial, handler, opts...) }()
	return served
}

// host returns a host that a worker has dialled.
func (a *address) host(t *testing.T) *fakeHost {
	h := &fakeHost{t, <-a.conns, wc.NewCoordinator(1), nil}
	require.Equal(t, wc.OpBootstrapReady, h.receive().Type())
	return h
}

func TestAWorkerComesAgainWhenItsHostIsGoneUntilAHostStopsIt(t *testing.T) {
	for name, lose := range map[string]func(*fakeHost){
		"the connection ends":       func(h *fakeHost) { _ = h.conn.Close() },
		"the host sends bad things": func(h *fakeHost) { require.NoError(h.t, h.conn.Send([]byte("oh"))) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, ids := newAddress(), map[string]bool{}
				served := a.serve(t.Context(), echo)
				for range 5 {
					h := a.host(t)
					id, _ := h.c.ActiveWorker()
					ids[id] = true
					h.spawn(1)
					assert.Equal(t, wc.OutcomeOk{Payload: []byte{}}, h.outcome(1))
					lose(h)
				}
				h := a.host(t)
				require.NoError(t, h.c.RequestShutdown(""))
				h.flush()
				h.causes()
				assert.NoError(t, <-served)
				assert.Len(t, ids, 5, "each session has an id of its own")
			})
		})
	}
}

func TestAWorkerOfRealHostsRunsTheirCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAddress()
		served := a.serve(t.Context(), echo)
		for last := range 3 {
			h, err := NewHost()
			require.NoError(t, err)
			conn := <-a.conns
			require.NoError(t, h.Attach(conn))
			for range 10 {
				require.NoError(t, second(h.Do(t.Context(), nil)))
			}
			if last < 2 {
				_ = conn.Close() // the host dies
			}
			require.NoError(t, h.Stop(t.Context()))
		}
		assert.NoError(t, <-served)
	})
}

func TestAWorkerWaitsLongerEachTimeThatItHasNoHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended time.Time
		fails := func() (Conn, error) { ended = time.Now(); return nil, io.ErrUnexpectedEOF }
		session := func(f func(*fakeHost)) func() (Conn, error) {
			return func() (Conn, error) {
				host, worker := Pipe(100)
				go func() {
					h := &fakeHost{t, host, wc.NewCoordinator(1), nil}
					h.receive()
					f(h)
					ended = time.Now()
					_ = host.Close()
				}()
				return worker, nil
			}
		}
		goes := session(func(*fakeHost) {})
		stays := session(func(*fakeHost) { time.Sleep(time.Minute) })
		calls := session(func(h *fakeHost) { h.spawn(1); h.outcome(1) })
		attempts := []struct {
			dial func() (Conn, error)
			wait time.Duration // then, in ms, less up to a half
		}{
			{fails, 100}, {goes, 200}, {fails, 400}, {goes, 800}, {fails, 1600}, {fails, 3200}, {goes, 6400}, {fails, 10_000}, {goes, 10_000},
			{calls, 100}, {calls, 100}, {fails, 200}, {stays, 100}, {fails, 200},
		}
		n, differ := 0, false
		assert.ErrorIs(t, ServeAgain(t.Context(), func(context.Context) (Conn, error) {
			if n > 0 {
				wait, waited := attempts[n-1].wait*time.Millisecond, time.Since(ended)
				assert.LessOrEqual(t, waited, wait, n)
				assert.GreaterOrEqual(t, waited, wait/2, n)
				differ = differ || waited != wait
			}
			if n++; n > len(attempts) {
				return nil, ErrOptions
			}
			return attempts[n-1].dial()
		}, echo), ErrOptions)
		assert.True(t, differ, "not all workers of a host come at the same moment")
	})
}

func TestAWorkerThatComesAgainEndsWithItsContext(t *testing.T) {
	for name, test := range map[string]struct {
		before time.Duration // the context ends
		late   time.Duration // ServeAgain returns
		opts   []ServeOption
	}{
		"before it dials":                      {},
		"while it dials":                       {before: time.Second},
		"while it serves":                      {before: time.Minute},
		"while it serves, and it has to drain": {before: time.Minute, late: 20 * time.Second, opts: []ServeOption{WithDrain()}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(test.before, func() { cancel(errTest) })
				synctest.Wait()
				host, worker := Pipe(100)
				var dials atomic.Int64
				dial := func(context.Context) (Conn, error) { // whatever its context does
					dials.Add(1)
					time.Sleep(30 * time.Second)
					return worker, nil
				}
				go func() {
					h := &fakeHost{t, host, wc.NewCoordinator(1), nil}
					if _, err := host.Recv(); err == nil {
						_ = h.conn.Send(message(1, wc.SpawnJob{JobID: 1}))
						for ; err == nil; _, err = host.Recv() {
						}
					}
				}()
				var cause error
				assert.Equal(t, test.before+test.late, took(func() {
					assert.Equal(t, errTest, ServeAgain(ctx, dial, func(ctx context.Context, _ *Job) ([]byte, error) {
						select {
						case <-ctx.Done():
							cause = context.Cause(ctx)
						case <-time.After(50 * time.Second):
						}
						return nil, cause
					}, test.opts...))
				}))
				if test.before == time.Minute && test.late == 0 {
					assert.Equal(t, errTest, cause)
				}
				time.Sleep(time.Minute)
				assert.Equal(t, min(int64(test.before), 1), dials.Load())
				if dials.Load() > 0 {
					assert.Error(t, host.Send(nil), "it is closed, also if it comes later")
				}
				_ = worker.Close()
			})
		})
	}
}

func TestAWorkerThatComesAgainGivesUpWhatDoesNotGetBetter(t *testing.T) {
	never := func(context.Context) (Conn, error) { panic("dials") }
	assert.ErrorIs(t, ServeAgain(t.Context(), nil, echo), ErrOptions)
	assert.ErrorIs(t, ServeAgain(t.Context(), never, nil), ErrOptions)
	assert.ErrorIs(t, ServeAgain(t.Context(), never, echo, WithConcurrency(0)), ErrOptions)
	assert.ErrorIs(t, ServeAgain(t.Context(), func(context.Context) (Conn, error) { return nil, nil }, echo), ErrOptions)
}

func TestAConnectionThatIsDialledWithAnErrorIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		host, worker := Pipe(0)
		var log bytes.Buffer
		dial := func(context.Context) (Conn, error) { return worker, errTest }
		logger := WithServeLogger(slog.New(slog.NewTextHandler(&log, nil)))
		assert.ErrorIs(t, ServeAgain(ctx, dial, echo, logger), context.DeadlineExceeded)
		assert.Contains(t, log.String(), errTest.Error())
		assert.Error(t, host.Send(nil))
	})
}

func TestADialHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		start := time.Now()
		assert.ErrorIs(t, ServeAgain(t.Context(), func(ctx context.Context) (Conn, error) {
			<-ctx.Done()
			took = time.Since(start)
			return nil, ErrOptions
		}, echo), ErrOptions)
		assert.Equal(t, 10*time.Second, took)
	})
}

func TestTheHandlersOfTwoSessionsDoNotRunBesideEachOther(t *testing.T) {
	for name, test := range map[string]struct {
		cleanUp time.Duration // a handler returns so long after its context has ended
		want    error
	}{
		"it waits for those of the session before": {9 * time.Second, nil},
		"but not longer than the grace":            {11 * time.Second, ErrHostGone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var running, most atomic.Int64
				a := newAddress()
				served := a.serve(t.Context(), func(ctx context.Context, _ *Job) ([]byte, error) {
					most.Store(max(most.Load(), running.Add(1)))
					<-ctx.Done()
					time.Sleep(test.cleanUp)
					running.Add(-1)
					return nil, nil
				}, WithConcurrency(2))
				for range 3 {
					select {
					case conn := <-a.conns:
						h := &fakeHost{t, conn, wc.NewCoordinator(1), nil}
						h.receive()
						h.spawn(1)
						h.spawn(2)
						synctest.Wait()
						_ = conn.Close()
					case err := <-served:
						var left *HandlersLeftError
						require.ErrorAs(t, err, &left)
						assert.Equal(t, 2, left.Running)
						require.ErrorIs(t, err, test.want)
						time.Sleep(time.Minute)
						return
					}
				}
				require.NoError(t, test.want)
				h := a.host(t)
				assert.Equal(t, int64(2), most.Load())
				require.NoError(t, h.c.RequestShutdown(""))
				h.flush()
				assert.NoError(t, <-served)
			})
		})
	}
}
