package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel"
)

// The test binary starts itself as the workers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-worker" {
		main()
		return
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // otherwise each worker ends a second later under the race detector
	log.SetOutput(io.Discard)
	os.Exit(m.Run())
}

const prefix = "test"

func TestEveryResultArrivesOnceThoughTwoOfFourWorkersAreKilled(t *testing.T) {
	const jobs, size = 2000, 5000
	o := options{url: newServer(t), prefix: prefix, turn: 250 * time.Millisecond}
	d := newTestDispatcher(t, o.url, time.Tick(o.turn))

	// The dispatcher sends beats to the workers that have joined.
	joined := subscribe(t, dial(t, o.url), downward(prefix, "*"))
	var workers []*exec.Cmd
	for range 4 {
		w, err := startWorker(t.Context(), &o)
		require.NoError(t, err)
		workers = append(workers, w)
	}
	for seen := map[string]bool{}; len(seen) < len(workers); {
		seen[next(t, joined).Subject] = true
	}

	type result struct{ job, primes int }
	results := make(chan result)
	for job := range jobs {
		go func() {
			n, err := primesBetween(t.Context(), d.Dispatcher, job*size, (job+1)*size)
			assert.NoError(t, err)
			results <- result{job, n}
		}()
	}
	total, came := 0, map[int]int{}
	for n := range jobs {
		r := <-results
		total += r.primes
		came[r.job]++
		if n == jobs/4 {
			require.NoError(t, workers[0].Process.Kill()) // SIGKILL
			require.NoError(t, workers[1].Process.Kill())
		}
	}
	stats := d.stop(t)

	assert.Len(t, came, jobs)
	assert.Equal(t, 664_579, total, "the primes below 10 million")
	assert.GreaterOrEqual(t, stats.Lost, 2)
	assert.Positive(t, stats.Rerun)
	t.Logf("%+v", stats)
	for i, w := range workers {
		_ = w.Process.Signal(syscall.SIGTERM) // in case a worker was lost because the machine is slow
		err := w.Wait()
		assert.Equal(t, i < 2, err != nil, "worker %d ended with %v", i, err)
	}
}

func TestProgramCountsPrimesEvenIfAWorkerIsKilled(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, program(t, t.Context(), &out, "-workers", "3", "-kill", "1", "-jobs", "40", "-size", "25000", "-turn", "50ms", "-stats"))
	assert.True(t, strings.HasPrefix(out.String(), "primes below 1000000: 78498\n40 jobs in "), out.String())
}

func TestInterruptedProgramEnds(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	assert.EqualError(t, program(t, ctx, io.Discard, "-workers", "1"), "interrupted")
}

func TestResultThatCannotBeWrittenIsAnError(t *testing.T) {
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	assert.ErrorIs(t, program(t, t.Context(), w, "-workers", "1", "-jobs", "1", "-size", "10"), io.ErrClosedPipe)
}

// program runs the program as a dispatcher.
func program(t *testing.T, ctx context.Context, out io.Writer, args ...string) error {
	o, err := parse(args, io.Discard)
	require.NoError(t, err)
	return dispatch(ctx, o, out)
}

func TestWrongArgumentsAreReported(t *testing.T) {
	for args, want := range map[string]string{
		"-quick":                  "flag provided but not defined: -quick",
		"-stats true":             `unexpected argument "true"`,
		"-worker":                 "-worker needs the -url",
		"-turn 0":                 "-turn must be",
		"-turn 0s":                "-turn must be 1ms or more",
		"-workers -1":             "-workers must not be negative",
		"-kill -1":                "-kill must not be negative",
		"-kill 4":                 "-kill must be less than -workers",
		"-workers 0 -kill 1":      "-kill must be less than -workers",
		"-jobs -1":                "-jobs must be from 1",
		"-jobs 0":                 "-jobs must be from 1",
		"-size -1":                "-size must be from 1",
		"-size 100000000":         "-size must be from 1 to 67108864",
		"-size 4295 -jobs 999999": "-jobs times -size",
	} {
		var stderr bytes.Buffer
		_, err := parse(strings.Fields(args), &stderr)
		assert.ErrorContains(t, err, want, args)
		assert.Equal(t, 1, strings.Count(stderr.String(), want), "%s: %s", args, &stderr)
	}
}

func TestWorkersComeAndGo(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	early := d.do(t, "job") // there is no worker yet
	for range 3 {
		ctx, leave := context.WithCancel(t.Context())
		ended := runWorker(t, ctx, url, echo)
		assert.Equal(t, result{"job", ""}, <-early)
		leave()
		<-ended
		early = d.do(t, "job")
	}
	ended := runWorker(t, t.Context(), url, echo)
	assert.Equal(t, result{"job", ""}, <-early)
	stats := d.stop(t)
	stats.Rerun = 0 // a job may have been sent to a worker that was about to leave
	assert.Equal(t, Stats{Joined: 4, Left: 4}, stats)
	<-ended // it was asked to
}

func TestJobsOfAWorkerThatLeavesRunOnAnother(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	ctx, leave := context.WithCancel(t.Context())
	begun := make(chan bool)
	ended := runWorker(t, ctx, url, func(ctx context.Context, _ []byte) ([]byte, error) {
		begun <- true
		<-ctx.Done()
		return nil, ctx.Err()
	})
	job := d.do(t, "job")
	<-begun
	leave()
	<-ended
	runWorker(t, t.Context(), url, echo)
	assert.Equal(t, result{"job", ""}, <-job)
	assert.Equal(t, Stats{Joined: 2, Left: 2, Rerun: 1}, d.stop(t))
}

func TestSilentWorkerIsLostAndItsLateResultRefused(t *testing.T) {
	url := newServer(t)
	turns := make(chan time.Time)
	d := newTestDispatcher(t, url, turns)
	nc := dial(t, url)

	silent := join(t, nc)
	job := d.do(t, "job")
	lost := silent.nextJob(t)
	for range maxSilence + 1 {
		turns <- time.Time{}
	}
	healthy := join(t, nc)
	again := healthy.nextJob(t)
	assert.Equal(t, lost, again)

	// They share a connection, so the late result arrives first.
	silent.complete(t, lost.JobID, "late")
	healthy.complete(t, again.JobID, "in time")
	assert.Equal(t, result{"in time", ""}, <-job)
	healthy.leave(t)
	assert.Equal(t, Stats{Joined: 2, Left: 1, Lost: 1, Rerun: 1}, d.stop(t))
}

func TestBeatsKeepAWorker(t *testing.T) {
	url := newServer(t)
	turns := make(chan time.Time)
	d := newTestDispatcher(t, url, turns)
	nc := dial(t, url)
	slow := join(t, nc)
	var long []<-chan result
	for range window { // so that it gets no more jobs
		long = append(long, d.do(t, "long"))
		slow.nextJob(t)
	}
	quick := join(t, nc)
	for range 3 {
		require.NoError(t, slow.turn())
		short := d.do(t, "short")
		quick.complete(t, quick.nextJob(t).JobID, "done")
		assert.Equal(t, result{"done", ""}, <-short) // the beat that was sent before has arrived, too
		for range maxSilence {
			turns <- time.Time{}
		}
	}
	for job := range slow.Jobs() {
		slow.complete(t, job.JobID, "done")
	}
	for _, job := range long {
		assert.Equal(t, result{"done", ""}, <-job)
	}
	slow.leave(t)
	quick.leave(t)
	assert.Equal(t, Stats{Joined: 2, Left: 2}, d.stop(t))
}

// NATS may lose messages; the sequence numbers show it.
func TestLostMessageEndsTheSession(t *testing.T) {
	next := map[string]func(*testing.T, *handWorker){
		"the next message shows it": func(t *testing.T, w *handWorker) {
			require.NoError(t, w.Diagnose(workerchannel.Diagnostic{Level: workerchannel.LevelInfo}))
			w.flush(t)
		},
		"the next beat shows it": func(t *testing.T, w *handWorker) { require.NoError(t, w.turn()) },
	}
	for name, next := range next {
		t.Run(name, func(t *testing.T) {
			url := newServer(t)
			d := newTestDispatcher(t, url, nil)
			w := join(t, dial(t, url))
			job := d.do(t, "job")
			require.NoError(t, w.Complete(w.nextJob(t).JobID, workerchannel.OutcomeOk{}))
			lost, _ := w.DrainOutbox()
			w.sent = lost.SeqNo
			next(t, w)

			runWorker(t, t.Context(), url, echo)
			assert.Equal(t, result{"job", ""}, <-job)
			assert.Equal(t, Stats{Joined: 2, Left: 1, Lost: 1, Rerun: 1}, d.stop(t))
		})
	}
}

// A worker that is wrong in another way than by silence or loss.
func TestBrokenOrLateWorkerIsLost(t *testing.T) {
	send := func(t *testing.T, w *handWorker, op workerchannel.Op) {
		require.NoError(t, w.send(workerchannel.NewWorkerEnvelope(w.ID(), workerchannel.Header{SeqNo: w.sent + 1}, op)))
	}
	for name, breaks := range map[string]func(*testing.T, *handWorker){
		"sends a message that is refused": func(t *testing.T, w *handWorker) {
			send(t, w, workerchannel.JobCompleted{JobID: 99, Outcome: workerchannel.OutcomeOk{}})
		},
		"announces itself twice": func(t *testing.T, w *handWorker) {
			send(t, w, workerchannel.BootstrapReady{WorkerID: w.ID()})
		},
		"fails": func(t *testing.T, w *handWorker) {
			require.NoError(t, w.Fail("test"))
			w.flush(t)
		},
		"announces another worker": func(t *testing.T, w *handWorker) {
			other := workerchannel.Header{SeqNo: w.sent + 1}
			require.NoError(t, w.send(workerchannel.NewWorkerEnvelope("other", other, workerchannel.BootstrapReady{WorkerID: "other"})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := newServer(t)
			d := newTestDispatcher(t, url, nil)
			w := join(t, dial(t, url))
			job := d.do(t, "job")
			w.nextJob(t)
			breaks(t, w)
			runWorker(t, t.Context(), url, echo)
			assert.Equal(t, result{"job", ""}, <-job)
			assert.Equal(t, Stats{Joined: 2, Left: 1, Lost: 1, Rerun: 1}, d.stop(t))
		})
	}
}

func TestWorkerThatHangsInDrainIsLostThoughItSendsBeats(t *testing.T) {
	url := newServer(t)
	turns := make(chan time.Time)
	d := newTestDispatcher(t, url, turns)
	nc := dial(t, url)
	hung := join(t, nc)
	ctx, cancel := context.WithCancel(t.Context())
	go d.Do(ctx, []byte("job"))
	job := hung.nextJob(t)
	cancel()
	require.IsType(t, workerchannel.CancelJob{}, hung.next(t))
	require.NoError(t, hung.AcknowledgeCancel(job.JobID))
	hung.flush(t)
	require.IsType(t, workerchannel.DrainJob{}, hung.next(t))
	var long []<-chan result
	for range window - 1 { // so that it gets no more jobs
		long = append(long, d.do(t, "long"))
		hung.nextJob(t)
	}

	quick := join(t, nc)
	for range maxTurns / maxSilence {
		require.NoError(t, hung.turn())
		short := d.do(t, "short")
		quick.complete(t, quick.nextJob(t).JobID, "done")
		assert.Equal(t, result{"done", ""}, <-short) // the beat that was sent before has arrived, too
		for range maxSilence {
			turns <- time.Time{}
		}
	}
	for range long {
		quick.complete(t, quick.nextJob(t).JobID, "done")
	}
	for _, job := range long {
		assert.Equal(t, result{"done", ""}, <-job)
	}
	quick.leave(t)
	assert.Equal(t, Stats{Joined: 2, Left: 1, Lost: 1, Rerun: len(long)}, d.stop(t))
}

// Another worker's message on the subject of this one.
func TestStrayMessageIsIgnored(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	w := join(t, dial(t, url))
	job := d.do(t, "job")
	id := w.nextJob(t).JobID
	stray := workerchannel.NewWorkerEnvelope("other", workerchannel.Header{SeqNo: w.sent + 1}, workerchannel.ShutdownCompleted{})
	require.NoError(t, w.send(stray))
	// It has taken a sequence number of the subject, so the worker's next one is skipped here.
	require.NoError(t, w.Diagnose(workerchannel.Diagnostic{}))
	w.DrainOutbox()
	w.complete(t, id, "done")
	assert.Equal(t, result{"done", ""}, <-job)
	w.leave(t)
	assert.Equal(t, Stats{Joined: 1, Left: 1}, d.stop(t))
}

// In the other direction, the worker ends its session.
func TestWorkerEndsABrokenSession(t *testing.T) {
	for _, test := range []struct {
		why   string
		broke func(t *testing.T, l *link, turns chan time.Time)
	}{
		{"nothing arrived in 8 turns", func(_ *testing.T, _ *link, turns chan time.Time) {
			for range maxSilence + 1 {
				turns <- time.Time{}
			}
		}},
		{"message 2 came after 0", func(t *testing.T, l *link, _ chan time.Time) {
			require.NoError(t, l.send(workerchannel.NewEnvelope(workerchannel.Header{SeqNo: 2}, workerchannel.PollStatus{JobID: 1})))
		}},
		{"the last one was 0, the beat says 1", func(t *testing.T, l *link, _ chan time.Time) {
			l.sent = 1
			require.NoError(t, l.turn())
		}},
		{workerchannel.ErrMalformed.Error(), func(t *testing.T, l *link, _ chan time.Time) {
			require.NoError(t, l.nc.Publish(l.to, []byte("neither a beat nor a message")))
		}},
		{"invalid syntax", func(t *testing.T, l *link, _ chan time.Time) {
			require.NoError(t, l.nc.Publish(l.to, []byte("not a beat")))
		}},
	} {
		t.Run(test.why, func(t *testing.T) {
			url := newServer(t)
			nc, worker := dial(t, url), dial(t, url)
			turns, ended := make(chan time.Time), make(chan error)
			up := subscribe(t, nc, upward(prefix, "*"))
			go func() { ended <- workSession(t.Context(), worker, prefix, turns, echo) }()
			test.broke(t, &link{nc: nc, to: downward(prefix, bootstrap(t, up))}, turns)
			assert.ErrorContains(t, <-ended, test.why)
		})
	}
}

func TestWorkerAnnouncesItselfAgainUntilADispatcherAnswers(t *testing.T) {
	url := newServer(t)
	nc := dial(t, url)
	up := subscribe(t, nc, upward(prefix, "*"))
	turns, ended := make(chan time.Time), make(chan error)
	ctx, leave := context.WithCancel(t.Context())
	go func() { ended <- work(ctx, nc, prefix, turns, echo) }()
	seen := make(map[string]bool)
	for range 3 {
		seen[bootstrap(t, up)] = true
		for range maxSilence + 2 { // and one more before it joins again
			turns <- time.Time{}
		}
	}
	assert.Len(t, seen, 3)
	leave()
	assert.NoError(t, <-ended)
}

func TestJobThatIsLostTooOftenIsGivenUp(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	nc := dial(t, url)
	job := d.do(t, "poison")
	for range maxLosses {
		w := join(t, nc)
		w.nextJob(t)
		require.NoError(t, nc.Publish(w.to, []byte("not a message")))
	}
	assert.Equal(t, result{"", ErrGivenUp.Error()}, <-job)
	assert.Equal(t, Stats{Joined: maxLosses, Lost: maxLosses, Rerun: maxLosses - 1}, d.stop(t))
}

func TestCallThatIsGivenUpIsCancelledAtTheWorker(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	begun, ended := make(chan bool), make(chan bool)
	runWorker(t, t.Context(), url, func(ctx context.Context, payload []byte) ([]byte, error) {
		if string(payload) != "long" {
			return payload, nil
		}
		begun <- true
		<-ctx.Done()
		ended <- true
		return nil, ctx.Err()
	})
	// More than a window: a cancelled job leaves it.
	for range 2 * window {
		ctx, cancel := context.WithCancel(t.Context())
		long := make(chan error)
		go func() {
			_, err := d.Do(ctx, []byte("long"))
			long <- err
		}()
		<-begun
		cancel()
		assert.ErrorIs(t, <-long, context.Canceled)
		<-ended
	}
	assert.Equal(t, result{"short", ""}, <-d.do(t, "short"))
	assert.Equal(t, Stats{Joined: 1, Left: 1}, d.stop(t))
}

// The test is the dispatcher, so that the DrainJob arrives while the task still runs.
func TestJobIsDrainedWhenItsTaskHasReturned(t *testing.T) {
	url := newServer(t)
	nc := dial(t, url)
	up := subscribe(t, nc, upward(prefix, "*"))
	returns := make(chan bool)
	runWorker(t, t.Context(), url, func(context.Context, []byte) ([]byte, error) {
		<-returns
		return nil, nil
	})
	c := workerchannel.NewCoordinator(0)
	down := link{nc: nc}
	receive := func() workerchannel.Op {
		env, err := c.Receive(next(t, up).Data)
		require.NoError(t, err)
		return env.Op
	}
	send := func() {
		for env := range c.Outbox() {
			require.NoError(t, down.send(env))
		}
	}
	ready := receive().(workerchannel.BootstrapReady)
	down.to = downward(prefix, ready.WorkerID)

	for job := range uint64(2) {
		require.NoError(t, c.SpawnJob(workerchannel.SpawnJob{JobID: job}))
		send()
		require.Equal(t, workerchannel.StatusSnapshot{JobID: job, State: workerchannel.StateRunning}, receive())
	}
	require.NoError(t, c.CancelJob(0, "test"))
	send()
	require.Equal(t, workerchannel.CancelAcknowledged{JobID: 0}, receive())
	require.NoError(t, c.PollStatus(1))
	send() // the DrainJob, and then the PollStatus
	require.Equal(t, workerchannel.StatusSnapshot{JobID: 1, State: workerchannel.StateRunning}, receive())

	returns <- true // to one of the two, and now to the other
	returns <- true
	assert.ElementsMatch(t, []workerchannel.Op{
		workerchannel.DrainCompleted{JobID: 0},
		workerchannel.JobCompleted{JobID: 1, Outcome: workerchannel.OutcomeOk{Payload: []byte{}}},
	}, []workerchannel.Op{receive(), receive()})
	send()
	assert.Equal(t, workerchannel.FinalizeCompleted{JobID: 0}, receive())
}

func TestCallThatIsGivenUpBeforeItRunsIsForgotten(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	for range 2 * window { // each has reached the dispatcher, or not yet
		ctx, cancel := context.WithCancel(t.Context())
		abandoned := make(chan error)
		go func() {
			_, err := d.Do(ctx, []byte("abandoned"))
			abandoned <- err
		}()
		cancel()
		assert.ErrorIs(t, <-abandoned, context.Canceled)
	}
	runWorker(t, t.Context(), url, func(_ context.Context, payload []byte) ([]byte, error) {
		assert.NotEqual(t, "abandoned", string(payload))
		return payload, nil
	})
	assert.Equal(t, result{"job", ""}, <-d.do(t, "job"))
}

func TestLargestPayloadTravelsBothWays(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	runWorker(t, t.Context(), url, echo)
	payload := bytes.Repeat([]byte{255}, workerchannel.MaxPayloadBytes) // three digits each
	got, err := d.Do(t.Context(), payload)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(payload, got))

	_, err = d.Do(t.Context(), append(payload, 0))
	assert.ErrorIs(t, err, workerchannel.ErrPayloadTooLarge)
}

func TestServerWithTooSmallMaxPayloadIsRefused(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	s.Start()
	defer s.Shutdown()
	require.True(t, s.ReadyForConnections(10*time.Second))
	_, err = connect(s.ClientURL())
	assert.ErrorContains(t, err, "set its max_payload to ")
}

func TestFailureOfAJobReachesItsCaller(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	runWorker(t, t.Context(), url, func(_ context.Context, payload []byte) ([]byte, error) {
		switch string(payload) {
		case "panic":
			panic("out of cheese")
		case "too large":
			return make([]byte, workerchannel.MaxPayloadBytes+1), nil
		case "ill-formed":
			return nil, errors.New("\xff")
		}
		return nil, errors.New("no such job")
	})
	for payload, want := range map[string]string{
		"panic":      "panic: out of cheese",
		"too large":  "too_large: the result has 262145 bytes",
		"ill-formed": "failed: \uFFFD",
		"other":      "failed: no such job",
	} {
		assert.Equal(t, result{"", want}, <-d.do(t, payload))
	}
	assert.Equal(t, Stats{Joined: 1, Left: 1}, d.stop(t))
}

func TestStopEndsAllCalls(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	w := join(t, dial(t, url))
	var calls []<-chan result
	for range 2 * window { // some with the worker, some waiting
		calls = append(calls, d.do(t, "job"))
	}
	for range window {
		w.nextJob(t)
	}
	d.Stop()
	for _, call := range calls {
		assert.Equal(t, result{"", ErrStopped.Error()}, <-call)
	}
	assert.Equal(t, workerchannel.ShutdownWorker{Reason: "the dispatcher stops"}, w.next(t))
	assert.Equal(t, result{"", ErrStopped.Error()}, <-d.do(t, "while it stops"))
	w.leave(t)
	assert.Equal(t, Stats{Joined: 1, Left: 1}, d.stop(t))
	assert.Equal(t, result{"", ErrStopped.Error()}, <-d.do(t, "afterwards"))
}

func TestPrimesMatchTrialDivision(t *testing.T) {
	prime := func(n int) bool {
		for d := 2; d*d <= n; d++ {
			if n%d == 0 {
				return false
			}
		}
		return n >= 2
	}
	for _, span := range [][2]int{{0, 0}, {0, 3}, {2, 3}, {24, 26}, {0, 1000}, {961, 962}, {9000, 11000}, {30, 20}} {
		want := 0
		for n := span[0]; n < span[1]; n++ {
			if prime(n) {
				want++
			}
		}
		got, err := countPrimes(t.Context(), fmt.Appendf(nil, "%d %d", span[0], span[1]))
		require.NoError(t, err)
		assert.Equal(t, strconv.Itoa(want), string(got), "%d to %d", span[0], span[1])
	}
	for _, bad := range []string{"", "1", "-1 5", "0 99999999999", "0 4294967295"} {
		_, err := countPrimes(t.Context(), []byte(bad))
		assert.Error(t, err, bad)
	}
}

// Helpers.

func newServer(t *testing.T) (url string) {
	s, err := startServer("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(s.Shutdown)
	return s.ClientURL()
}

func dial(t *testing.T, url string) *nats.Conn {
	nc, err := connect(url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// subscribe returns when the server has the subscription.
func subscribe(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	sub, err := nc.SubscribeSync(subject)
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	return sub
}

func next(t *testing.T, sub *nats.Subscription) *nats.Msg {
	m, err := sub.NextMsgWithContext(t.Context())
	require.NoError(t, err)
	return m
}

// bootstrap waits for a worker to announce itself.
func bootstrap(t *testing.T, up *nats.Subscription) (worker string) {
	for {
		if env, err := workerchannel.ParseEnvelope(next(t, up).Data); err == nil {
			if ready, ok := env.Op.(workerchannel.BootstrapReady); ok {
				return ready.WorkerID
			}
		}
	}
}

// testDispatcher is a dispatcher that runs.
type testDispatcher struct {
	*Dispatcher
	stop func(*testing.T) Stats
}

func newTestDispatcher(t *testing.T, url string, turns <-chan time.Time) testDispatcher {
	nc := dial(t, url)
	d, err := NewDispatcher(nc, prefix)
	require.NoError(t, err)
	require.NoError(t, nc.Flush()) // from now on it receives every announcement
	var run sync.WaitGroup
	var stats Stats
	run.Go(func() { stats, err = d.Run(turns) })
	stop := func(t *testing.T) Stats {
		d.Stop()
		run.Wait()
		assert.NoError(t, err)
		return stats
	}
	t.Cleanup(func() { stop(t) })
	return testDispatcher{d, stop}
}

// A result is what a call returns, in a form that can be compared.
type result struct{ payload, err string }

func (d testDispatcher) do(t *testing.T, payload string) <-chan result {
	c := make(chan result, 1)
	go func() {
		got, err := d.Do(t.Context(), []byte(payload))
		if err != nil {
			c <- result{"", err.Error()}
		} else {
			c <- result{string(got), ""}
		}
	}()
	return c
}

func echo(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }

// runWorker runs a worker within this process, without turns. It ends with ctx, or with the test.
func runWorker(t *testing.T, ctx context.Context, url string, do task) (ended <-chan struct{}) {
	nc := dial(t, url)
	ctx, leave := context.WithCancel(ctx)
	c := make(chan struct{})
	go func() {
		defer close(c)
		assert.NoError(t, work(ctx, nc, prefix, nil, do))
	}()
	t.Cleanup(func() {
		leave()
		<-c
	})
	return c
}

// A handWorker is a worker whose every step the test makes.
type handWorker struct {
	*workerchannel.Worker
	link
	down *nats.Subscription
}

var hands int

func join(t *testing.T, nc *nats.Conn) *handWorker {
	hands++
	id := fmt.Sprintf("hand%d", hands)
	w := &handWorker{
		workerchannel.NewWorker(id, 0),
		link{nc: nc, to: upward(prefix, id)},
		subscribe(t, nc, downward(prefix, id)),
	}
	require.NoError(t, w.Announce())
	w.flush(t)
	return w
}

func (w *handWorker) flush(t *testing.T) {
	for env := range w.Outbox() {
		require.NoError(t, w.send(env))
	}
}

// next waits for a message and skips beats.
func (w *handWorker) next(t *testing.T) workerchannel.Op {
	for {
		v, isMessage, err := w.link.receive(next(t, w.down).Data)
		require.NoError(t, err)
		if isMessage {
			require.NoError(t, w.HandleVerified(v))
			return v.Envelope().Op
		}
	}
}

func (w *handWorker) nextJob(t *testing.T) workerchannel.SpawnJob {
	op := w.next(t)
	require.IsType(t, workerchannel.SpawnJob{}, op)
	return op.(workerchannel.SpawnJob)
}

func (w *handWorker) complete(t *testing.T, jobID uint64, payload string) {
	require.NoError(t, w.Complete(jobID, workerchannel.OutcomeOk{Payload: []byte(payload)}))
	w.flush(t)
}

func (w *handWorker) leave(t *testing.T) {
	require.NoError(t, w.CompleteShutdown())
	w.flush(t)
}
