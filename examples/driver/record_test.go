package driver

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// recorded runs a host with several workers that die, hang and break the protocol, and calls that are cancelled, and
// returns its journal and how many workers it had.
func recorded(t *testing.T, o journal.Options) (text *bytes.Buffer, workers int) {
	text = new(bytes.Buffer)
	w, err := journal.NewWriter(text, o)
	require.NoError(t, err)
	works := serving(func(ctx context.Context, job *Job) ([]byte, error) {
		job.Progress("begun")
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Duration(len(job.Payload)) * 100 * time.Millisecond):
		}
		if len(job.Payload)%3 == 0 {
			return nil, errors.New("bad length")
		}
		return job.Payload, nil
	}, WithConcurrency(3))
	dies := func(p *peer) { p.begin() }
	lies := func(p *peer) {
		p.send(p.message(99, wc.JobCompleted{JobID: p.begin() + 70, Outcome: wc.OutcomeOk{}}))
		p.hang()
	}
	garbage := func(p *peer) {
		p.begin()
		p.send([]byte("garbage\n"))
		p.hang()
	}
	hangs := func(p *peer) { p.begin(); p.hang() }
	withHost(t, func(t *testing.T, h *Host) {
		var callers sync.WaitGroup
		for i := range 100 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+rand.IntN(60))*time.Second)
				defer cancel()
				_, _ = h.Do(ctx, bytes.Repeat([]byte("secret "), i%20), WithLabel(fmt.Sprint("invoice ", i)))
			})
		}
		callers.Wait()
		require.NotZero(t, h.Stats().Succeeded)
		require.NotZero(t, h.Stats().Cancelled)
		require.NotZero(t, h.Stats().WorkersKilled)
		require.NoError(t, h.Stop(t.Context()))
		workers = int(h.Stats().WorkersStarted)
	}, WithJournal(w), WithLimits(testLimits), WithWorkers(4, locked(play(t, dies, works, lies, hangs, garbage, works, hangs, dies, works))))
	require.NoError(t, w.Close())
	return text, workers
}

// locked lets several goroutines call a Dial of play.
func locked(dial Dial) Dial {
	var mu sync.Mutex
	return func(ctx context.Context) (Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		return dial(ctx)
	}
}

func TestSessionsOfAHostAreRecordedAndReplayed(t *testing.T) {
	for name, o := range map[string]journal.Options{"whole": {}, "with digests": {DigestOver: 20}} {
		t.Run(name, func(t *testing.T) {
			text, workers := recorded(t, o)
			calls := map[string]int{}
			ends := map[journal.EndKind]string{}
			labeled := map[string]bool{}
			walker := journal.NewWalker(func(e *journal.Event) error {
				calls[e.Call]++
				if e.JobID != nil {
					labeled[e.Call] = labeled[e.Call] || strings.HasPrefix(e.Label, "invoice ")
				}
				if e.Call == "end" {
					ends[e.Ending.How] += e.Ending.Why + "\n"
				}
				return nil
			})
			require.NoError(t, walker.Read("journal", bytes.NewReader(text.Bytes())))
			assert.Zero(t, walker.Divergences)
			assert.Zero(t, walker.Unreplayed)
			assert.Equal(t, workers, walker.Sessions)
			assert.Equal(t, workers, bytes.Count(text.Bytes(), []byte(`,"end":`)), "every session has ended")
			assert.Equal(t, workers, calls["end"])
			for _, call := range []string{"spawn_job", "drain_outbox", "handle_inbound", "cancel_job"} {
				assert.True(t, labeled[call], call)
			}
			for how, why := range map[journal.EndKind]string{
				journal.Left:   "driver: worker shut down\n",
				journal.Late:   "(Limits.",
				journal.Lost:   "EOF",
				journal.Broken: "job id is not tracked",
			} {
				assert.Contains(t, ends[how], why, how)
			}
			for _, call := range []string{"expect_worker", "spawn_job", "cancel_job", "poll_status", "worker_lost", "unreadable", "advance_turn"} {
				assert.NotZero(t, calls[call], call)
			}
		})
	}
}

func TestAJournalSaysWhyTheHostRefusedWhatTheCoordinatorWouldAccept(t *testing.T) {
	for name, c := range map[string]struct {
		play func(*peer)
		want string
	}{
		"announces itself again": {func(p *peer) {
			p.begin()
			p.send(p.message(10, wc.BootstrapReady{WorkerID: p.half.ID()}))
			p.hang()
		}, `BootstrapReady  [RefusedByHost: reason "driver: worker announced itself twice"]`},
		"answers before it has the job": {func(p *peer) {
			p.announce()
			p.sleep(time.Second) // until the host gives it as many as the window
			p.spawned()
			p.sleep(time.Second) // the coordinator has all three jobs, and the next message is not taken
			p.send(p.message(10, wc.JobCompleted{JobID: 3, Outcome: wc.OutcomeOk{Payload: bytes.Repeat([]byte("lie "), 100)}}))
			p.deaf()
		}, `JobCompleted job 3: ok, 400 bytes  [RefusedByHost: reason "driver: worker answered for a job that it had not been given"]`},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "journal")
			w, err := journal.Create(file, journal.Options{})
			require.NoError(t, err)
			withHost(t, func(t *testing.T, h *Host) {
				for _, answer := range []<-chan result{do(h, t.Context(), "a"), do(h, t.Context(), "b"), do(h, t.Context(), "c")} {
					require.NoError(t, (<-answer).err)
				}
				require.Equal(t, uint64(1), h.Stats().WorkersKilled)
			}, WithJournal(w), WithWindow(3), WithLimits(testLimits), WithWorkers(1, play(t, c.play, serving(echo))))
			require.NoError(t, w.Close())
			out, err := exec.Command("go", "run", "github.com/workerchannel/workerchannel/examples/inspect", "-failed", file).CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "something was refused")
			assert.Contains(t, string(out), c.want)
			out, err = exec.Command("go", "run", "github.com/workerchannel/workerchannel/examples/replay", file).CombinedOutput()
			assert.NoError(t, err)
			assert.Contains(t, string(out), " 0 divergences\n")
		})
	}
}

func TestAHostGoesOnWithoutItsJournal(t *testing.T) {
	var told error
	w, err := journal.NewWriter(fullDisk{}, journal.Options{OnError: func(err *journal.WriteError) { told = err }})
	require.NoError(t, err)
	withHost(t, func(t *testing.T, h *Host) {
		assert.Equal(t, result{[]byte("payload"), nil}, <-do(h, t.Context(), "payload"))
	}, WithJournal(w), WithWorkers(2, locked(play(t, serving(echo)))))
	assert.ErrorIs(t, told, errTest)
	assert.ErrorIs(t, w.Close(), errTest)
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errTest }

func TestJournalMustBeGiven(t *testing.T) {
	_, err := NewHost(WithJournal(nil))
	assert.ErrorIs(t, err, ErrOptions)
	assert.EqualError(t, err, fmt.Sprint(ErrOptions, ": WithJournal: writer is nil"))
}

func TestAJournalSaysHowAndWhyAWorkerEnded(t *testing.T) {
	leaves := func(p *peer) {
		p.announce()
		require.NoError(t, p.half.CompleteShutdown())
		p.flush()
		p.hang()
	}
	fails := func(p *peer) {
		require.NoError(t, p.half.Fail("no memory"))
		p.flush()
		p.hang()
	}
	for name, c := range map[string]struct {
		play func(*peer)
		want journal.Ending
	}{
		"shuts down":     {serving(echo), journal.Ending{How: journal.Left, Why: "driver: worker shut down"}},
		"leaves":         {leaves, journal.Ending{How: journal.Left, Why: "driver: worker shut down"}},
		"cannot work":    {fails, journal.Ending{How: journal.Failed, Why: `no memory`}},
		"is killed":      {func(p *peer) { p.announce(); p.hang() }, journal.Ending{How: journal.Stopped, Why: "driver: worker had not ended when the context of Host.Stop did"}},
		"is silent":      {(*peer).hang, journal.Ending{How: journal.Late, Why: "driver: worker has not announced itself within 10s (Limits.Boot)"}},
		"is gone":        {(*peer).announce, journal.Ending{How: journal.Lost, Why: "EOF"}},
		"sends no words": {func(p *peer) { p.send([]byte("hello")); p.hang() }, journal.Ending{How: journal.Broken, Why: "at byte 0: expected an object"}},
	} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			w, err := journal.NewWriter(&text, journal.Options{})
			require.NoError(t, err)
			withHost(t, func(t *testing.T, h *Host) {
				if c.want.How == journal.Late {
					time.Sleep(11 * time.Second)
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_ = h.Stop(ctx)
			}, WithJournal(w), WithLimits(testLimits), WithWorkers(1, play(t, c.play, serving(echo))))
			var first *journal.Ending
			require.NoError(t, journal.NewWalker(func(e *journal.Event) error {
				if e.Call == "end" && first == nil {
					first = &e.Ending
				}
				return nil
			}).Read("journal", &text))
			require.NotNil(t, first)
			assert.Equal(t, c.want.How, first.How)
			assert.Contains(t, first.Why, c.want.Why)
		})
	}
}

var recordedBytes = flag.Int("journal.bytes", 20<<20, "how many bytes of payload a host records in a journal of a fortieth; 2147483648 takes three minutes")

// A host that replaces its workers has short sessions, so its journal is bounded and can be replayed at every moment.
func TestAHostRecordsForEverInABoundedJournal(t *testing.T) {
	total, bound, size := *recordedBytes, *recordedBytes/40, 8<<10
	if total > 20<<20 {
		size = 64 << 10
	}
	name := filepath.Join(t.TempDir(), "journal")
	w, err := journal.Create(name, journal.Options{MaxFileBytes: int64(bound / 10), MaxFiles: 5})
	require.NoError(t, err)
	onDisk := func() (sum int) {
		entries, err := os.ReadDir(filepath.Dir(name))
		require.NoError(t, err)
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				sum += int(info.Size())
			}
		}
		return sum
	}
	replayed := 0
	replay := func() {
		cut := map[uint64]bool{}
		walker := journal.NewWalker(func(e *journal.Event) error {
			if cut[e.Session] = e.Coordinator == nil; e.Call == "end" {
				delete(cut, e.Session)
			}
			return nil
		})
		for _, part := range journal.Files(name) {
			require.NoError(t, walker.Read(part.Name, part))
			require.NoError(t, part.Close())
		}
		require.Zero(t, walker.Divergences)
		require.Zero(t, walker.Unreplayed)
		require.NotContains(t, slices.Collect(maps.Values(cut)), true, "what goes on has its beginning")
		require.Positive(t, walker.Steps-walker.Deleted)
		replayed++
	}
	withHost(t, func(t *testing.T, h *Host) {
		payload := bytes.Repeat([]byte{0xa5}, size)
		calls := total / (2 * size)
		for n := range calls {
			_, err := h.Do(t.Context(), payload)
			require.NoError(t, err)
			synctest.Wait() // until a worker that is replaced is gone; and while files are read none is deleted
			require.LessOrEqual(t, onDisk(), bound)
			if n%(calls/40) == 0 {
				replay()
			}
		}
	}, WithJournal(w), WithRecycle(4, 0), WithWorkers(1, play(t, serving(echo))))
	require.NoError(t, w.Close())
	replay()
	require.Greater(t, replayed, 40)
}

func TestSessionsOfAWorkerAreRecordedAndReplayed(t *testing.T) {
	stale := func(h *peerHost) {
		h.send(wc.SpawnJob{JobID: 1})
		h.seqNo--
		h.send(wc.PollStatus{JobID: 1})
	}
	for name, c := range map[string]struct {
		host  func(*peerHost)
		calls []string
		want  journal.Ending
	}{
		"shuts down": {func(h *peerHost) {
			h.send(wc.SpawnJob{JobID: 1, Payload: []byte("a")})
			h.until(wc.OpJobCompleted)
			h.send(wc.ShutdownWorker{Reason: "enough"})
			h.until(wc.OpShutdownCompleted)
		}, []string{"announce", "diagnose", "handle_inbound", "complete", "complete_shutdown"}, journal.Ending{How: journal.Left, Why: "the host has asked for it"}},
		"host is gone":     {func(h *peerHost) {}, []string{"announce"}, journal.Ending{How: journal.Lost, Why: "driver: host is gone: "}},
		"host sends noise": {func(h *peerHost) { _ = h.conn.Send([]byte("noise")); h.until(wc.OpBootstrapFailed) }, []string{"unreadable", "fail"}, journal.Ending{How: journal.Broken, Why: "workerchannel: malformed message: at byte 0: "}},
		"host counts back": {func(h *peerHost) { stale(h); h.until(wc.OpBootstrapFailed) }, []string{"refuse", "fail"}, journal.Ending{How: journal.Broken, Why: "workerchannel: "}},
	} {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			w, err := journal.NewWriter(&text, journal.Options{})
			require.NoError(t, err)
			synctest.Test(t, func(t *testing.T) {
				host, worker := Pipe(0)
				served := make(chan error, 1)
				go func() { served <- Serve(t.Context(), worker, "w-1", echo, WithConcurrency(1), WithServeJournal(w)) }()
				h := &peerHost{t: t, conn: host, seqNo: 1}
				h.until(wc.OpBootstrapReady)
				c.host(h)
				require.NoError(t, host.Close())
				<-served
			})
			calls := map[string]bool{}
			var end journal.Ending
			walker := journal.NewWalker(func(e *journal.Event) error {
				calls[e.Call], end = true, e.Ending
				assert.Equal(t, "w-1", e.Worker)
				return nil
			})
			require.NoError(t, walker.Read("journal", &text))
			assert.Zero(t, walker.Divergences)
			assert.Zero(t, walker.Unreplayed)
			assert.Equal(t, 1, walker.Sessions)
			for _, call := range c.calls {
				assert.True(t, calls[call], call)
			}
			assert.Equal(t, c.want.How, end.How)
			assert.Contains(t, end.Why, c.want.Why)
		})
	}
	assert.ErrorIs(t, Serve(t.Context(), nopConn{}, "w-1", echo, WithServeJournal(nil)), ErrOptions)
}

// A peerHost is a host that sends what a test wants.
type peerHost struct {
	t     *testing.T
	conn  Conn
	seqNo uint64
}

func (h *peerHost) send(op wc.Op) {
	require.NoError(h.t, h.conn.Send(message(h.seqNo, op)))
	h.seqNo++
}

// until takes messages in until one of that kind has come.
func (h *peerHost) until(want wc.OpType) {
	for {
		data, err := h.conn.Recv()
		require.NoError(h.t, err)
		env, err := wc.ParseEnvelope(data)
		require.NoError(h.t, err)
		if env.Op.Type() == want {
			return
		}
	}
}

type nopConn struct{}

func (nopConn) Send([]byte) error     { return nil }
func (nopConn) Recv() ([]byte, error) { return nil, errTest }
func (nopConn) Close() error          { return nil }
