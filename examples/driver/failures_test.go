package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// message returns a message of the worker that its half would not send.
func (p *peer) message(seqNo uint64, op wc.Op) []byte {
	text, err := wc.NewWorkerEnvelope(p.half.ID(), wc.Header{SeqNo: seqNo}, op).AppendJSON(nil)
	require.NoError(p.t, err)
	return text
}

// badWorkers take a job and do not do it. After each a worker that works must get the job, within the time.
var badWorkers = []struct {
	name   string
	within time.Duration
	killed bool // by the host; otherwise it goes by itself
	play   func(*peer)
}{
	{"dies before it announces itself", 0, false, func(p *peer) {}},
	{"is silent from the start", 12 * time.Second, true, func(p *peer) { p.hang() }},
	{"reports that it cannot start", 0, false, func(p *peer) { _ = p.half.Fail("no disk"); p.flush(); p.hang() }},
	{"announces itself and dies", 0, false, func(p *peer) { p.announce() }},
	{"takes a job and dies", 0, false, func(p *peer) { p.announce(); p.receive() }},
	{"begins a job and dies", 0, false, func(p *peer) { p.begin() }},
	{"begins a job and is silent", 17 * time.Second, true, func(p *peer) { p.begin(); p.hang() }},
	{"takes a job and is silent", 17 * time.Second, true, func(p *peer) { p.announce(); p.receive(); p.hang() }},
	{"takes a job, shuts down and stays", 0, false, func(p *peer) {
		p.announce()
		p.receive()
		_ = p.half.CompleteShutdown()
		p.flush()
		p.hang()
	}},
	{"takes a job, shuts down and goes", 0, false, func(p *peer) {
		p.announce()
		p.receive()
		_ = p.half.CompleteShutdown()
		p.flush()
	}},
	{"begins a job and fails", 0, false, func(p *peer) { p.begin(); _ = p.half.Fail("no memory"); p.flush(); p.hang() }},
	{"does not read", 12 * time.Second, true, func(p *peer) { p.announce(); p.deaf() }},
	{"writes garbage", 0, true, func(p *peer) { p.begin(); p.send([]byte("debug: \x1b[2J")); p.hang() }},
	{"writes garbage first", 0, true, func(p *peer) { p.send([]byte("debug: got here")); p.hang() }},
	{"echoes the host's message", 0, true, func(p *peer) {
		p.begin()
		text, _ := wc.NewEnvelope(wc.Header{SeqNo: 9}, wc.PollStatus{JobID: 1}).AppendJSON(nil)
		p.send(text)
		p.hang()
	}},
	{"answers for a job that it never had", 0, true, func(p *peer) {
		p.begin()
		p.send(p.message(99, wc.JobCompleted{JobID: 77, Outcome: wc.OutcomeOk{}}))
		p.hang()
	}},
	{"repeats a message", 0, true, func(p *peer) {
		p.begin()
		p.send(p.message(1, wc.Diagnostic{}))
		p.hang()
	}},
	{"announces itself again under the same id", 0, true, func(p *peer) {
		p.begin()
		for seq := uint64(10); ; seq++ {
			p.send(p.message(seq, wc.BootstrapReady{WorkerID: p.half.ID()}))
		}
	}},
	{"announces itself again under new ids", 0, true, func(p *peer) {
		p.begin()
		for n := 0; ; n++ {
			id := fmt.Sprint("worker-", n)
			text, _ := wc.NewWorkerEnvelope(id, wc.Header{SeqNo: 1}, wc.BootstrapReady{WorkerID: id}).AppendJSON(nil)
			p.send(text)
		}
	}},
}

func TestJobsOfABadWorkerRunElsewhere(t *testing.T) {
	for _, bad := range badWorkers {
		t.Run(bad.name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				var got result
				d := took(func() { got = <-do(h, t.Context(), "payload") })
				assert.Equal(t, result{[]byte("payload"), nil}, got)
				assert.LessOrEqual(t, d, bad.within+time.Second)
				s := h.Stats()
				assert.Equal(t, bad.killed, s.WorkersKilled == 1, "%d were killed", s.WorkersKilled)
				assert.Equal(t, uint64(2), s.WorkersStarted)
			}, WithWorkers(1, play(t, bad.play, serving(echo))), WithLimits(testLimits))
		})
	}
}

func TestAWorkerThatBreaksTheTransportCountsAsKilled(t *testing.T) {
	writes := func(text string) func() Conn {
		return func() Conn {
			host, worker := net.Pipe()
			go func() {
				_, _ = io.WriteString(worker, text)
				_ = worker.Close()
			}()
			return Lines(host)
		}
	}
	for name, c := range map[string]struct {
		open func() Conn
		why  error
		cut  bool
	}{
		"a line that is too long": {writes(strings.Repeat("x", MaxLine+lineBuffer) + "\n"), ErrLineTooLong, true},
		"a broken frame":          {func() Conn { return endsWith(fmt.Errorf("%w: a frame of 7 bits", ErrBroken)) }, ErrBroken, true},
		"half a line":             {writes("half"), ErrHalfLine, false},
		"death":                   {writes(""), io.EOF, false},
	} {
		t.Run(name, func(t *testing.T) {
			cut := 0
			withHost(t, func(t *testing.T, h *Host) {
				require.NoError(t, h.Attach(cutConn{c.open(), &cut}))
				time.Sleep(2 * time.Hour)
				s := h.Stats()
				require.Len(t, s.Ended, 1)
				assert.ErrorIs(t, s.Ended[0].Err, c.why)
				assert.Contains(t, s.Ended[0].Err.Error(), "driver: ")
				assert.Equal(t, c.cut, s.WorkersKilled == 1)
				assert.Equal(t, c.cut, cut == 1)
			}, WithLimits(testLimits))
		})
	}
}

// endsWith returns a connection whose Recv fails.
func endsWith(err error) Conn {
	conn, _ := Pipe(0)
	return endedConn{conn, err}
}

type endedConn struct {
	Conn
	err error
}

func (c endedConn) Recv() ([]byte, error) { return nil, c.err }

func TestNothingIsBelievedAfterAMessageThatWasRefused(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		assert.Equal(t, result{[]byte("payload"), nil}, <-do(h, t.Context(), "payload"))
	}, WithWorkers(1, func() Dial {
		n := 0
		return func(context.Context) (Conn, error) {
			host, worker := Pipe(100) // so that both messages are under way when the first is refused
			p := &peer{t, worker, wc.NewWorker(fmt.Sprint(n), 1)}
			if n++; n > 1 {
				go serving(echo)(p)
				return host, nil
			}
			go func() {
				id := p.begin()
				p.send([]byte("garbage"))
				_ = p.half.Complete(id, wc.OutcomeOk{Payload: []byte("a lie")})
				p.flush()
				p.hang()
			}()
			return host, nil
		}
	}()))
}

func TestAWorkerThatAnswersForAJobThatItWasNotGivenIsEnded(t *testing.T) {
	for name, answer := range map[string]func(id uint64) wc.Op{
		"completed": func(id uint64) wc.Op {
			return wc.JobCompleted{JobID: id, Outcome: wc.OutcomeOk{Payload: []byte("a lie")}}
		},
		"queued": func(id uint64) wc.Op { return wc.StatusSnapshot{JobID: id, State: wc.StateQueued} },
	} {
		t.Run(name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				var calls []<-chan result
				for range 3 {
					calls = append(calls, do(h, t.Context(), "payload"))
				}
				for _, c := range calls {
					assert.Equal(t, result{[]byte("payload"), nil}, <-c)
				}
				assert.Equal(t, uint64(1), h.Stats().WorkersKilled)
			}, WithWindow(3), WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
				p.announce()
				p.spawned() // the coordinator has all three jobs, and the next message is not taken
				env := wc.NewWorkerEnvelope(p.half.ID(), wc.Header{MessageID: 9, SeqNo: 9, DecisionSeq: 9}, answer(3))
				text, err := env.AppendJSON(nil)
				require.NoError(p.t, err)
				p.send(text)
				p.deaf()
			}, serving(echo))))
		})
	}
}

func TestALimitHoldsWhateverAWorkerSaysItHasReached(t *testing.T) {
	s := &session{turns: turns{perMiB: 10}, watch: watch{sentBytes: 10, reached: 1 << 20}}
	assert.Equal(t, uint64(1), s.allowance())
}

func TestACallIsCancelledWhileItsProgressIsSlow(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := h.Do(ctx, []byte("payload"), WithProgress(func(string) { time.Sleep(time.Minute) }))
		assert.ErrorIs(t, err, ErrCancelled)
		assert.Less(t, time.Since(began), 2*time.Minute, "the handler was not told at the end of the minute only")
	}, WithWorkers(1, play(t, serving(func(ctx context.Context, job *Job) ([]byte, error) {
		job.Progress("begun")
		began := time.Now()
		<-ctx.Done()
		assert.LessOrEqual(t, time.Since(began), 2*time.Second)
		return nil, ctx.Err()
	}))))
}

func TestALoggerThatAsksTheHostIsNoDeadlock(t *testing.T) {
	var h *Host
	asks := slog.New(asking(func() { h.Stats() }))
	var started sync.WaitGroup
	started.Add(1)
	h, err := NewHost(WithLogger(asks), WithBackoff(time.Millisecond, time.Millisecond), WithAttempts(2), WithWorkers(1, func(context.Context) (Conn, error) {
		started.Wait()
		return nil, errors.New("no program")
	}))
	require.NoError(t, err)
	started.Done()
	_, err = h.Do(t.Context(), nil)
	assert.ErrorIs(t, err, ErrNoWorker)
	assert.NoError(t, h.Stop(t.Context()))
}

// asking is a slog.Handler that calls a function.
type asking func()

func (a asking) Enabled(context.Context, slog.Level) bool  { return true }
func (a asking) Handle(context.Context, slog.Record) error { a(); return nil }
func (a asking) WithAttrs([]slog.Attr) slog.Handler        { return a }
func (a asking) WithGroup(string) slog.Handler             { return a }

func TestACauseIsAskedForItsTextByTheCaller(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		r := h.NewRegion()
		answer := make(chan error, 1)
		go func() { _, err := h.Do(t.Context(), []byte("hang"), InRegion(r)); answer <- err }()
		synctest.Wait()
		r.Close(askingError(func() { h.Stats() }))
		assert.ErrorIs(t, <-answer, ErrCancelled)
		assert.Panics(t, func() { r.Cancel((*JobError)(nil)) }, "in the goroutine that passed it")
	}, WithWorkers(1, play(t, serving(func(ctx context.Context, _ *Job) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }))))
}

type askingError func()

func (f askingError) Error() string { f(); return "asked" }

func TestAWorkerThatHasReadWhatWasSentHasNoMoreTime(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		for range 40 { // 14 MiB as text
			require.NoError(t, second(h.Do(t.Context(), bytes.Repeat([]byte{255}, 100_000))))
		}
		d := took(func() { require.NoError(t, second(h.Do(t.Context(), []byte("hang")))) })
		assert.Less(t, d, 18*time.Second)
		assert.Equal(t, uint64(1), h.Stats().WorkersKilled)
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		p.announce()
		for {
			spawn := p.spawned()
			if string(spawn.Payload) == "hang" {
				p.hang()
			}
			_ = p.half.Complete(spawn.JobID, wc.OutcomeOk{})
			p.flush()
		}
	}, serving(echo))))
}

func TestAWorkerWhoseConnectionIsBeingClosedGetsNoCalls(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		conn, worker := Pipe(0)
		require.NoError(t, h.Attach(slowToClose{conn}))
		go func() { (&peer{t, worker, wc.NewWorker("bad", 1)}).announce(); _ = worker.Send([]byte("garbage")) }()
		synctest.Wait()
		conn, worker = Pipe(0)
		require.NoError(t, h.Attach(conn))
		go serving(echo)(&peer{t, worker, wc.NewWorker("good", 1)})
		synctest.Wait()
		require.Len(t, h.Stats().Workers, 2)
		assert.Zero(t, took(func() {
			for range 20 {
				require.NoError(t, second(h.Do(t.Context(), nil)))
			}
		}))
	})
}

type slowToClose struct{ Conn }

func (c slowToClose) Close() error { time.Sleep(4 * time.Second); return c.Conn.Close() }

func TestJobsThatEveryWorkerLeavesAreGivenUp(t *testing.T) {
	for _, bad := range badWorkers {
		if strings.Contains(bad.name, "start") || strings.Contains(bad.name, "first") || strings.Contains(bad.name, "dies before") || bad.name == "announces itself and dies" {
			continue // these have not had a job
		}
		t.Run(bad.name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				_, err := h.Do(t.Context(), nil)
				assert.NotContains(t, err.Error(), "\x1b")
				if strings.Contains(bad.name, "shuts down") { // in order, which charges nobody
					assert.Equal(t, &NoWorkerError{Attempts: 5, Last: errLeft}, err)
					return
				}
				var e *GivenUpError
				if assert.ErrorAs(t, err, &e) {
					assert.Equal(t, 3, e.Workers)
					assert.Error(t, e.Last)
				}
			}, WithWorkers(1, play(t, bad.play)), WithLimits(testLimits))
		})
	}
}

func TestCallsWithoutAWorkerThatGetsReadyAreAnswered(t *testing.T) {
	for _, bad := range badWorkers[:3] {
		t.Run(bad.name, func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				_, err := h.Do(t.Context(), nil)
				assert.ErrorIs(t, err, ErrNoWorker)
			}, WithWorkers(1, play(t, bad.play)), WithLimits(testLimits))
		})
	}
}

// answersTo is a worker that goes through the cancel handshake, and is silent from the given phase on.
func answersTo(last wc.OpType) func(*peer) {
	return func(p *peer) {
		id := p.begin()
		for {
			op := p.receive()
			if op.Type() == last {
				p.hang()
			}
			switch op.(type) {
			case wc.CancelJob:
				_ = p.half.AcknowledgeCancel(id)
			case wc.DrainJob:
				_ = p.half.CompleteDrain(id)
			}
			p.flush()
		}
	}
}

func TestAWorkerThatHangsInACancelIsEnded(t *testing.T) {
	for _, phase := range []wc.OpType{wc.OpCancelJob, wc.OpDrainJob, wc.OpFinalizeJob} {
		t.Run(phase.String(), func(t *testing.T) {
			withHost(t, func(t *testing.T, h *Host) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				var err error
				d := took(func() { _, err = h.Do(ctx, nil) })
				assert.Equal(t, &CancelError{Cause: context.DeadlineExceeded}, err)
				assert.InDelta(t, 11, d.Seconds(), 2.5)
				data, err := h.Do(t.Context(), []byte("next"))
				assert.NoError(t, err)
				assert.Equal(t, "next", string(data))
			}, WithWorkers(1, play(t, answersTo(phase), serving(echo))), WithLimits(testLimits))
		})
	}
}

func TestAWorkerThatBeatsButIgnoresAShutdownIsEnded(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		_, err := h.Do(t.Context(), nil)
		require.NoError(t, err)
		assert.InDelta(t, 11, took(func() { assert.NoError(t, h.Stop(t.Context())) }).Seconds(), 1.5)
		assert.Equal(t, uint64(1), h.Stats().WorkersKilled)
	}, WithLimits(testLimits), WithWorkers(1, play(t, func(p *peer) {
		id := p.begin()
		_ = p.half.Complete(id, wc.OutcomeOk{})
		for {
			_ = p.half.Diagnose(wc.Diagnostic{Message: "alive"})
			p.flush()
			p.sleep(time.Second)
		}
	})))
}

func TestOutcomesThatArrivedBeforeTheDeathCount(t *testing.T) {
	withHost(t, func(t *testing.T, h *Host) {
		var answers []<-chan result
		for range 100 {
			answers = append(answers, do(h, t.Context(), ""))
		}
		for _, a := range answers {
			assert.NoError(t, (<-a).err)
		}
		assert.Zero(t, h.Stats().Retries)
	}, WithWindow(100), WithWorkers(1, func(ctx context.Context) (Conn, error) {
		host, worker := Pipe(1000)
		go func() {
			defer worker.Close()
			p := &peer{t, worker, wc.NewWorker("w", 1)}
			p.announce()
			for range 100 {
				spawn := p.spawned()
				_ = p.half.Complete(spawn.JobID, wc.OutcomeOk{})
			}
			p.flush() // all at once, and then it is gone
		}()
		return host, nil
	}))
}

func TestASlowWorkerThatReadsLargeMessagesIsNotLate(t *testing.T) {
	const jobs, size = 45, 100_000
	withHost(t, func(t *testing.T, h *Host) {
		var answers []<-chan result
		for range jobs {
			answers = append(answers, do(h, t.Context(), strings.Repeat("\xff", size)))
		}
		for _, a := range answers {
			require.NoError(t, (<-a).err)
		}
		assert.Zero(t, h.Stats().WorkersKilled)
	}, WithWindow(jobs), WithLimits(testLimits), WithWorkers(1, func(context.Context) (Conn, error) {
		host, worker := Pipe(1000) // a transport that takes them all at once
		go func() {
			defer worker.Close()
			p := &peer{t, worker, wc.NewWorker("slow", 1)}
			p.announce()
			var ids []uint64
			for len(ids) < jobs {
				switch op := p.receive().(type) {
				case wc.SpawnJob:
					time.Sleep(390 * time.Millisecond) // verifying; 18 s in all
					ids = append(ids, op.JobID)
					p.half.DrainOutbox()
				}
			}
			for _, id := range ids {
				_ = p.half.Complete(id, wc.OutcomeOk{})
			}
			p.flush()
			for {
				if _, ok := p.receive().(wc.ShutdownWorker); ok {
					_ = p.half.CompleteShutdown()
					p.flush()
					return
				}
			}
		}()
		return host, nil
	}))
}

func TestAConnectionThatDoesNotCloseDoesNotHoldUpStop(t *testing.T) {
	release := make(chan struct{})
	h, err := NewHost(WithLimits(Limits{Close: 50 * time.Millisecond}))
	require.NoError(t, err)
	require.NoError(t, h.Attach(stuckConn{release}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, h.Stop(ctx), context.Canceled)
	assert.Equal(t, uint64(1), h.Stats().Abandoned)
	close(release)
}

// A stuckConn breaks the promise of Close.
type stuckConn struct{ release chan struct{} }

func (c stuckConn) Send([]byte) error     { <-c.release; return ErrConnClosed }
func (c stuckConn) Recv() ([]byte, error) { <-c.release; return nil, ErrConnClosed }
func (c stuckConn) Close() error          { <-c.release; return nil }
