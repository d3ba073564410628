package driver

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// deafFor is a handler that ignores its context and returns after a time that its payload gives.
func deafFor(_ context.Context, job *Job) ([]byte, error) {
	d, err := time.ParseDuration(string(job.Payload))
	time.Sleep(d)
	return job.Payload, err
}

func TestARunLimitEndsAHandlerAndTheCall(t *testing.T) {
	long := func(ctx context.Context, job *Job) ([]byte, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Hour):
			return job.Payload, nil
		}
	}
	limits := testLimits
	limits.Run = time.Minute
	withHost(t, func(t *testing.T, h *Host) {
		for d, want := range map[time.Duration]time.Duration{0: time.Hour, -1: time.Hour, 3 * time.Second: 3 * time.Second, 2 * time.Hour: time.Hour} {
			var err error
			assert.Equal(t, want, took(func() { _, err = h.Do(t.Context(), nil, WithRunLimit(d)) }), d)
			if want == time.Hour {
				assert.NoError(t, err)
			} else {
				assert.Equal(t, &CancelError{Cause: ErrRunLimit}, err)
			}
		}
		var err error
		assert.Equal(t, time.Minute, took(func() { _, err = h.Do(t.Context(), nil) }), "the host's")
		assert.ErrorIs(t, err, ErrRunLimit)
		assert.Zero(t, h.Stats().Retries)
		assert.Zero(t, h.Stats().WorkersKilled)
	}, WithLimits(limits), WithWorkers(1, play(t, serving(long))))
}

func TestARunLimitDoesNotCountTheTimeThatACallWaitsAtItsWorker(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		var answers []<-chan result
		for range 3 {
			answers = append(answers, do(h, t.Context(), "40s", WithRunLimit(time.Minute)))
		}
		for _, a := range answers {
			assert.NoError(t, (<-a).err)
		}
	}, WithWorkers(1, play(t, serving(deafFor, WithConcurrency(1)))))
}

func TestARunLimitCountsFromSendingAtAWorkerThatSaysNothing(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		var err error
		assert.Equal(t, 7*time.Second, took(func() { _, err = h.Do(t.Context(), nil, WithRunLimit(7*time.Second)) }))
		assert.ErrorIs(t, err, ErrRunLimit)
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		p.announce()
		for {
			p.lets(p.receive()) // polls are answered by receive
		}
	})))
}

// lets answers a message of the cancel handshake, and a shutdown.
func (p *peer) lets(op wc.Op) {
	switch op := op.(type) {
	case wc.CancelJob:
		_ = p.half.AcknowledgeCancel(op.JobID)
	case wc.DrainJob:
		_ = p.half.CompleteDrain(op.JobID)
	case wc.FinalizeJob:
		_ = p.half.CompleteFinalize(op.JobID)
	case wc.ShutdownWorker:
		_ = p.half.CompleteShutdown()
	}
	p.flush()
}

func TestARunLimitCountsAtAWorkerThatDoesNotReportThoughItSaysItsCapacity(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		const limit = 7 * time.Second
		start := time.Now()
		var answers []<-chan result
		for range 3 { // it has room for two
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			answers = append(answers, do(h, ctx, "", WithRunLimit(limit)))
			synctest.Wait()
		}
		unlimited := do(h, t.Context(), "")
		for i, a := range answers {
			assert.Equal(t, &CancelError{Cause: ErrRunLimit}, (<-a).err)
			least := time.Duration(1+i/2) * (testLimits.Answer + limit)
			assert.GreaterOrEqual(t, time.Since(start), least, "call %d", i)
			assert.Less(t, time.Since(start), least+time.Duration(1+i/2)*(testLimits.Silence+3*time.Second), "call %d", i)
		}
		time.Sleep(time.Hour)
		assert.Empty(t, unlimited)
		assert.Zero(t, h.Stats().WorkersKilled)
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		p.announce()
		p.sayCapacity("2")
		for {
			p.lets(p.receive()) // polls are answered by receive
		}
	})))
}

func TestARunLimitBeginsWithTheReportHoweverLongItHasBeenUnderWay(t *testing.T) {
	for name, when := range map[string]func(*peer){
		"said before the call": func(p *peer) { p.sayCapacity("1"); p.spawned() },
		"said after the call":  func(p *peer) { p.spawned(); p.sayCapacity("1") },
	} {
		t.Run(name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				var err error
				assert.Equal(t, 9*time.Second, took(func() { _, err = h.Do(t.Context(), nil, WithRunLimit(time.Second)) }))
				assert.ErrorIs(t, err, ErrRunLimit)
			}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
				p.announce()
				when(p)
				p.sleep(8 * time.Second)
				require.NoError(t, p.half.Start(1))
				p.flush()
				for {
					p.lets(p.receive())
				}
			})))
		})
	}
}

func TestARunLimitOfAHandlerThatIgnoresItChargesNoOther(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		deaf := do(h, t.Context(), "1000h", WithRunLimit(time.Second))
		beside := do(h, t.Context(), "25s")
		assert.ErrorIs(t, (<-deaf).err, ErrRunLimit)
		assert.NoError(t, (<-beside).err)
		assert.Equal(t, uint64(1), h.Stats().WorkersKilled)
		assert.Equal(t, uint64(1), h.Stats().Retries)
	}, WithTries(2), WithLimits(testLimits), WithWorkers(1, func() Dial {
		n := 0
		return func(ctx context.Context) (Conn, error) {
			host, worker := Pipe(0)
			n++
			go serving(func(ctx context.Context, job *Job) ([]byte, error) {
				if string(job.Payload) == "1000h" {
					select {
					case <-worker.(*pipeEnd).peer.closed:
					case <-time.After(1000 * time.Hour):
					}
					return nil, nil
				}
				return deafFor(ctx, job)
			}, WithConcurrency(2))(&peer{t, worker, wc.NewWorker("w", 1)})
			return host, nil
		}
	}()))
}

func TestDoReturnsAtOnceWhenAsked(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		r := h.NewRegion()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTest)
		defer cancel()
		payload := []byte("5s")
		var err error
		assert.Equal(t, time.Second, took(func() { _, err = h.Do(ctx, payload, ReturnAtOnce(), InRegion(r)) }))
		assert.Equal(t, &CancelError{Cause: errTest}, err)
		clear(payload) // it is the caller's again
		s := h.Stats()
		assert.Equal(t, 1, s.Assigned, "it still has its place")
		assert.Equal(t, 4*time.Second, took(func() { r.Close(nil) }), "waits for the handler")
		s = h.Stats()
		assert.Equal(t, []uint64{1, 1, 0}, []uint64{s.Calls, s.Cancelled, s.Succeeded})
	}, WithWorkers(1, play(t, serving(deafFor))))
}

func TestDoReturnsAtOnceWhateverCancelsTheCall(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		assert.Equal(t, time.Second, took(func() {
			assert.ErrorIs(t, second(h.Do(t.Context(), []byte("20s"), ReturnAtOnce(), WithRunLimit(time.Second))), ErrRunLimit)
		}))
		for name, cancel := range map[string]func(*Region){
			"Cancel": func(r *Region) { r.Cancel(errTest) },
			"Close":  func(r *Region) { r.Close(errTest) },
		} {
			r := h.NewRegion()
			answer := do(h, t.Context(), "20s", ReturnAtOnce(), InRegion(r))
			time.Sleep(time.Second)
			go cancel(r)
			assert.Zero(t, took(func() { assert.ErrorIs(t, (<-answer).err, errTest, name) }))
		}
		time.Sleep(time.Minute)
		assert.Equal(t, uint64(3), h.Stats().Cancelled)
	}, WithWorkers(1, play(t, serving(deafFor, WithConcurrency(3)))))
}

func TestACallThatReturnedAtOnceIsCancelledThoughItsResultComes(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := h.Do(ctx, nil, ReturnAtOnce())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(time.Minute)
		s := h.Stats()
		assert.Equal(t, []uint64{1, 1, 0}, []uint64{s.Calls, s.Cancelled, s.Succeeded})
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		id := p.begin()
		p.receive() // the cancel
		p.sleep(time.Second)
		_ = p.half.Complete(id, wc.OutcomeOk{})
		p.flush()
		p.hang()
	})))
}

func TestDoThatReturnsAtOnceReturnsTheResultThatCameFirst(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := h.Do(ctx, []byte("1s"), ReturnAtOnce())
			cancel()
			if err != nil {
				assert.Equal(t, &CancelError{Cause: context.DeadlineExceeded}, err)
			}
		}
		synctest.Wait()
		s := h.Stats()
		assert.Equal(t, uint64(100), s.Succeeded+s.Cancelled)
	}, WithWorkers(1, play(t, serving(deafFor))))
}

// cutConn is a connection whose Close waits for the other end.
type cutConn struct {
	Conn
	cut *int
}

func (c cutConn) Close() error { time.Sleep(time.Hour); return c.Conn.Close() }
func (c cutConn) Cut() error   { *c.cut++; return c.Conn.Close() }

func TestTheConnectionOfALateOrBrokenWorkerIsCut(t *testing.T) {
	for name, bad := range map[string]func(*peer){
		"late":   func(p *peer) { p.begin(); p.hang() },
		"broken": func(p *peer) { p.begin(); p.send([]byte("garbage")); p.hang() },
	} {
		t.Run(name, func(t *testing.T) {
			cut := 0
			dial := play(t, bad, serving(echo))
			first := true
			withHost(t, func(t *testing.T, h *Host) {
				require.Less(t, took(func() { require.NoError(t, second(h.Do(t.Context(), nil))) }), 18*time.Second)
				assert.Equal(t, 1, cut)
			}, WithLimits(testLimits), WithWorkers(1, func(ctx context.Context) (Conn, error) {
				conn, err := dial(ctx)
				if first {
					first = false
					return cutConn{conn, &cut}, err
				}
				return conn, err
			}))
		})
	}
}

func TestSnapshotNamesTheCallsThatHaveRunLongest(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		for range 12 {
			_ = do(h, t.Context(), "10h")
			time.Sleep(time.Second)
		}
		s := h.Snapshot(100)
		var ids []uint64
		for _, p := range s.Longest {
			ids = append(ids, p.ID)
			assert.Equal(t, p.Age, p.Ran)
		}
		assert.Equal(t, []uint64{1, 2, 3, 4, 5}, ids)
		assert.Equal(t, 12*time.Second, s.Longest[0].Ran)
		for _, one := range s.Sessions { // either worker may have been ready first
			holds := slices.ContainsFunc(one.Jobs, func(p Pending) bool { return p.ID == 1 })
			assert.Equal(t, holds, one.Number == s.Longest[0].Worker)
		}
		assert.Len(t, h.Snapshot(2).Longest, 2)
		h.Stop(expired(t))
		time.Sleep(11 * time.Hour)
	}, WithWorkers(2, locked(play(t, serving(deafFor, WithConcurrency(3))))))
}

func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestACallOfAWorkerThatIsEndingHasItsTimeElsewhere(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		var err error
		assert.Equal(t, 7*time.Second, took(func() { _, err = h.Do(t.Context(), []byte("2s"), WithRunLimit(3*time.Second)) }))
		assert.NoError(t, err)
	}, WithLimits(testLimits), WithWorkers(1, closingSlowly(play(t, func(p *peer) {
		p.begin()
		p.sleep(time.Second)
		p.send([]byte("garbage"))
		p.hang()
	}, serving(takes)))))
}
