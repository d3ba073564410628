package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel"
)

// workers are the programs that the tests run as the worker, by name. Those made by tasked are right in
// all but what they do for a job; those made by faulty announce themselves, and break the rules when
// the first job comes.
var workers = map[string]func(in io.Reader, out io.Writer) error{
	"primes": tasked(countPrimes),

	"hash": tasked(func(_ context.Context, payload []byte, _ func(string)) ([]byte, error) {
		return digest(payload), nil
	}),
	"talkative": tasked(func(_ context.Context, payload []byte, report func(string)) ([]byte, error) {
		for range 100 {
			report(strings.Repeat("so far so good ", 500))
		}
		return payload, nil
	}),
	"obedient": tasked(func(ctx context.Context, _ []byte, report func(string)) ([]byte, error) {
		report("begun")
		<-ctx.Done()
		return nil, ctx.Err()
	}),
	"stuck": tasked(func(_ context.Context, _ []byte, report func(string)) ([]byte, error) {
		report("begun")
		return nil, hang()
	}),
	"gated": tasked(func(_ context.Context, payload []byte, report func(string)) ([]byte, error) {
		report("begun")
		return digest(payload), hang()
	}),
	"moody": tasked(func(_ context.Context, payload []byte, _ func(string)) ([]byte, error) {
		switch string(payload) {
		case "die":
			os.Exit(1)
		case "panic":
			panic("the job panics\xff")
		case "fail":
			return nil, errors.New("the job fails")
		case "burst":
			return make([]byte, workerchannel.MaxPayloadBytes+1), nil
		}
		return digest(payload), nil
	}),

	"garbage": faulty(func(out io.Writer) {
		fmt.Fprintln(out, "debug: got a job")
		_ = hang()
	}),
	"echo": faulty(func(out io.Writer) {
		line, _ := appendLine(nil, workerchannel.NewEnvelope(workerchannel.Header{SeqNo: 9}, workerchannel.PollStatus{JobID: 1}))
		_, _ = out.Write(line)
		_ = hang()
	}),
	"half a line": faulty(func(out io.Writer) {
		fmt.Fprint(out, `{"version":1,"message_id":2,"seq_no":`)
	}),
	"endless line": faulty(func(out io.Writer) {
		for {
			fmt.Fprint(out, strings.Repeat("x", 4096))
		}
	}),
	"exits": faulty(func(io.Writer) {}),
	"deaf": func(_ io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		return errors.Join(w.Announce(), flush(w, out), hang())
	},
	"stops its ears": func(in io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		return errors.Join(in.(io.Closer).Close(), w.Announce(), flush(w, out), hang())
	},
	"leaves": func(in io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		return errors.Join(w.Announce(), w.CompleteShutdown(), flush(w, out), never(in))
	},
	"refuses": func(in io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		return errors.Join(w.Fail("no will to live"), flush(w, out), never(in))
	},
	"mute": func(in io.Reader, _ io.Writer) error { return never(in) },
}

func digest(payload []byte) []byte {
	sum := sha256.Sum256(payload)
	return sum[:]
}

func tasked(do task) func(io.Reader, io.Writer) error {
	return func(in io.Reader, out io.Writer) error { return serve(instanceID(), in, out, do) }
}

func faulty(fault func(io.Writer)) func(io.Reader, io.Writer) error {
	return func(in io.Reader, out io.Writer) error {
		w := workerchannel.NewWorker(instanceID(), 0)
		if err := errors.Join(w.Announce(), flush(w, out)); err != nil {
			return err
		}
		if _, err := bufio.NewReader(in).ReadSlice('\n'); err != nil {
			return err
		}
		fault(out)
		return nil
	}
}

func flush(w *workerchannel.Worker, out io.Writer) error {
	for env := range w.Outbox() {
		line, err := appendLine(nil, env)
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// hang does nothing until the test opens the gate, or is no more.
func hang() error {
	_, err := io.Copy(io.Discard, os.NewFile(3, "gate"))
	return err
}

// never reads what comes in, and says nothing, until the host has gone.
func never(in io.Reader) error {
	_, err := io.Copy(io.Discard, in)
	return err
}

// A stage is a host whose successive workers are those named; the last comes again and again. The test
// owns the ticks.
type stage struct {
	*Host
	t     *testing.T
	ticks chan time.Time
	gate  *os.File // closing it opens the gate
	ran   chan error
	trace chan workerchannel.Op // all but status snapshots

	mu       sync.Mutex
	commands []*exec.Cmd
	log      []string
	ids      []string // of the workers that announced themselves
}

func newStage(t *testing.T, limits Limits, names ...string) *stage {
	if runtime.GOOS == "windows" {
		t.Skip("a process on Windows cannot inherit the pipe that is the workers' gate")
	}
	inner, gate, err := os.Pipe()
	require.NoError(t, err)
	s := &stage{t: t, ticks: make(chan time.Time), gate: gate, ran: make(chan error, 1), trace: make(chan workerchannel.Op, 1000)}
	s.Host = NewHost(Config{
		Limits: limits,
		Command: func() *exec.Cmd {
			s.mu.Lock()
			defer s.mu.Unlock()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), workerEnv+"="+names[min(len(s.commands), len(names)-1)])
			cmd.ExtraFiles = []*os.File{inner}
			s.commands = append(s.commands, cmd)
			return cmd
		},
		Log: func(format string, args ...any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.log = append(s.log, fmt.Sprintf(format, args...))
		},
		Trace: func(_ uint64, env workerchannel.Envelope) {
			switch op := env.Op.(type) {
			case workerchannel.StatusSnapshot:
				return
			case workerchannel.BootstrapReady:
				s.mu.Lock()
				s.ids = append(s.ids, op.WorkerID)
				s.mu.Unlock()
			}
			s.trace <- env.Op
		},
	})
	go func() {
		defer close(s.ran)
		s.ran <- s.Run(s.ticks)
	}()
	t.Cleanup(func() {
		s.Stop()
		for s.tick() {
		}
		for range s.ran { // until Run has returned
		}
		gate.Close()
		inner.Close()
		assert.Equal(t, len(s.commands), len(s.exits()), "every process has been waited for")
		assert.Eventually(t, func() bool { return !strings.Contains(stacks(), "main.(*process)") }, 10*time.Second, time.Millisecond, "goroutines are left")
	})
	return s
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// tick begins a turn; false if the host has ended.
func (s *stage) tick() bool {
	select {
	case s.ticks <- time.Time{}:
		return true
	case <-s.done:
		return false
	}
}

// await waits until the host has sent or received a message like it.
func (s *stage) await(op workerchannel.Op) {
	for got := range s.trace {
		if assert.ObjectsAreEqual(op, got) {
			return
		}
	}
}

func (s *stage) started() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.commands)
}

// exits tells how the processes ended that have.
func (s *stage) exits() (states []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cmd := range s.commands {
		if cmd.ProcessState != nil {
			states = append(states, cmd.ProcessState.String())
		}
	}
	return states
}

// kill sends SIGKILL to the present worker, as anybody may.
func (s *stage) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(s.t, s.commands[len(s.commands)-1].Process.Kill())
}

// A call is one call of Do in a goroutine of its own.
type call struct {
	payload []byte
	cancel  context.CancelFunc
	begun   chan struct{} // closed by the first progress
	result  chan result
}

func (s *stage) call(payload []byte) *call {
	ctx, cancel := context.WithCancel(context.Background())
	c := &call{payload: payload, cancel: cancel, begun: make(chan struct{}), result: make(chan result, 1)}
	s.t.Cleanup(cancel)
	var once sync.Once
	go func() {
		answer, err := s.Do(ctx, payload, func(string) { once.Do(func() { close(c.begun) }) })
		c.result <- result{answer, err}
	}()
	return c
}

// calls makes n calls, one after the other, so that call i is job i+1.
func (s *stage) calls(n int) (calls []*call) {
	for i := range n {
		r := &request{payload: fmt.Appendf(nil, "payload %d", i), result: make(chan result, 1)}
		c := &call{payload: r.payload, begun: make(chan struct{}), result: r.result}
		var once sync.Once
		r.progress = func(string) { once.Do(func() { close(c.begun) }) }
		c.cancel = func() { s.cancelled <- r }
		s.submitted <- r
		calls = append(calls, c)
	}
	return calls
}

// requireHashes checks that every call is answered, and answered right.
func requireHashes(t *testing.T, calls []*call) {
	for _, c := range calls {
		res := <-c.result
		require.NoError(t, res.err)
		require.Equal(t, digest(c.payload), res.payload)
	}
}

func TestJobsOfAKilledWorkerFailAtOnceAndRunAgainInItsSuccessor(t *testing.T) {
	s := newStage(t, DefaultLimits, "stuck", "hash")
	calls := s.calls(6)
	<-calls[0].begun
	s.kill()
	requireHashes(t, calls) // without a tick: nothing waited for a deadline
	assert.Equal(t, 2, s.started())
	s.Stop()
	require.NoError(t, <-s.ran)
	assert.Equal(t, []string{"signal: killed", "exit status 0"}, s.exits())
	assert.Len(t, s.ids, 2)
	assert.NotEqual(t, s.ids[0], s.ids[1])

	var spawned, completed []uint64
	close(s.trace)
	for op := range s.trace {
		switch op := op.(type) {
		case workerchannel.SpawnJob:
			spawned = append(spawned, op.JobID)
		case workerchannel.JobCompleted:
			completed = append(completed, op.JobID)
		}
	}
	assert.Equal(t, []uint64{1, 2, 3, 4, 1, 2, 3, 4, 5, 6}, spawned, "the window is four jobs")
	assert.Equal(t, []uint64{1, 2, 3, 4, 5, 6}, completed)
}

func TestCancelledJobOfADeadWorkerDoesNotRunAgain(t *testing.T) {
	s := newStage(t, DefaultLimits, "stuck", "hash")
	calls := s.calls(3)
	<-calls[0].begun
	calls[0].cancel()
	calls[1].cancel()
	s.await(workerchannel.DrainJob{JobID: 1})
	s.kill()
	requireHashes(t, calls[2:])
	assert.ErrorIs(t, (<-calls[0].result).err, errCancelled)
	assert.ErrorIs(t, (<-calls[1].result).err, errCancelled)
}

func TestEveryBrokenWorkerIsReplacedAndItsJobsRunAgain(t *testing.T) {
	for name, cause := range map[string]string{
		"garbage":        workerchannel.ErrMalformed.Error(),
		"echo":           workerchannel.ErrUnexpectedDirection.Error(),
		"half a line":    errHalfLine.Error(),
		"endless line":   errLongLine.Error(),
		"exits":          "EOF",
		"stops its ears": "killed",
		"leaves":         "stopped unasked",
		"refuses":        "no will to live",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, DefaultLimits, name, name, "hash")
			requireHashes(t, s.calls(6))
			assert.Equal(t, 3, s.started())
			require.Len(t, s.log, 2)
			assert.Contains(t, s.log[0], cause)
			assert.Contains(t, s.log[1], cause)
		})
	}
}

func TestWorkerThatHangsInDrainIsKilledAtItsDeadlineAndNotBefore(t *testing.T) {
	limits := DefaultLimits
	limits.CancelTurns = 7
	s := newStage(t, limits, "stuck", "hash")
	calls := s.calls(3)
	<-calls[0].begun
	calls[0].cancel()
	s.await(workerchannel.DrainJob{JobID: 1})
	for range 6 {
		s.tick()
	}
	calls = append(calls, s.calls(1)...) // the loop has done with the sixth tick when it takes this
	assert.Equal(t, 1, s.started())
	s.tick()
	requireHashes(t, calls[1:])
	assert.ErrorIs(t, (<-calls[0].result).err, errCancelled)
	assert.Equal(t, 2, s.started())
	assert.Equal(t, []string{"lost the worker: it took too long to cancel job 1"}, s.log)
}

func TestCancelledJobLetsTheWorkerLive(t *testing.T) {
	limits := DefaultLimits
	limits.Window = 2
	s := newStage(t, limits, "obedient")
	running, queued, waiting := s.call(nil), (*call)(nil), (*call)(nil)
	<-running.begun
	queued = s.call(nil)
	s.await(workerchannel.SpawnJob{JobID: 2, TaskID: 2, Payload: nil})
	waiting = s.call(nil)
	for _, c := range []*call{waiting, queued, running} {
		c.cancel()
		assert.Equal(t, result{nil, context.Canceled}, <-c.result)
	}
	assert.Equal(t, 1, s.started())
	assert.Empty(t, s.log)
}

func TestWorkerThatNeverAnnouncesItselfIsKilledAtItsDeadline(t *testing.T) {
	limits := DefaultLimits
	limits.BootTurns = 5
	s := newStage(t, limits, "mute", "hash")
	calls := s.calls(2)
	for range 4 {
		s.tick()
	}
	calls = append(calls, s.calls(1)...)
	assert.Equal(t, 1, s.started())
	s.tick()
	requireHashes(t, calls)
	assert.Equal(t, 2, s.started())
}

// A worker that does not read fills the pipe; the host's loop must go on regardless.
func TestDeafWorkerDoesNotBlockTheHost(t *testing.T) {
	s := newStage(t, DefaultLimits, "deaf", "hash")
	payload := bytes.Repeat([]byte{255}, workerchannel.MaxPayloadBytes)
	first := s.call(payload)
	s.await(workerchannel.SpawnJob{JobID: 1, TaskID: 1, Payload: payload})
	calls := []*call{s.call(payload), s.call(payload), s.call(payload)}
	first.cancel()
	s.await(workerchannel.CancelJob{JobID: 1, Reason: "the caller has gone"})
	for range DefaultLimits.CancelTurns {
		s.tick()
	}
	requireHashes(t, calls)
	assert.Equal(t, context.Canceled, (<-first.result).err)
	assert.Equal(t, 2, s.started())
}

func TestBothPipesMayBeFullAtOnce(t *testing.T) {
	s := newStage(t, DefaultLimits, "talkative")
	var calls []*call
	for i := range 8 {
		calls = append(calls, s.call(bytes.Repeat([]byte{200 + byte(i)}, workerchannel.MaxPayloadBytes)))
	}
	for _, c := range calls {
		res := <-c.result
		require.NoError(t, res.err)
		require.True(t, bytes.Equal(c.payload, res.payload))
	}
	assert.Equal(t, 1, s.started())
}

func TestStopLetsTheRunningJobEnd(t *testing.T) {
	s := newStage(t, DefaultLimits, "gated")
	calls := s.calls(6)
	<-calls[0].begun
	s.Stop()
	s.Stop()
	late := s.calls(1)[0]
	s.await(stopsLater)
	s.gate.Close()
	requireHashes(t, calls[:1])
	for _, c := range append(calls[1:], late) {
		assert.Equal(t, result{nil, ErrStopped}, <-c.result)
	}
	require.NoError(t, <-s.ran)
	assert.Equal(t, []string{"exit status 0"}, s.exits())
	_, err := s.Do(t.Context(), nil, nil)
	assert.Equal(t, ErrStopped, err)
}

func TestWorkerThatDoesNotStopIsKilledAtItsDeadline(t *testing.T) {
	limits := DefaultLimits
	limits.StopTurns = 3
	s := newStage(t, limits, "stuck")
	calls := s.calls(2)
	<-calls[0].begun
	s.Stop()
	s.tick()
	s.tick()
	select {
	case err := <-s.ran:
		t.Fatal("the host ended before the deadline: ", err)
	case s.ticks <- time.Time{}:
	}
	for _, c := range calls {
		assert.Equal(t, result{nil, ErrStopped}, <-c.result)
	}
	require.NoError(t, <-s.ran)
	assert.Equal(t, []string{"signal: killed"}, s.exits())
}

func TestJobThatKillsItsWorkersIsGivenUp(t *testing.T) {
	s := newStage(t, DefaultLimits, "moody")
	calls := []*call{s.call([]byte("die")), s.call([]byte("die"))}
	for range 10 {
		calls = append(calls, s.call([]byte("live")))
	}
	for _, c := range calls[:2] {
		assert.Equal(t, result{nil, ErrGivenUp}, <-c.result)
	}
	requireHashes(t, calls[2:])
	assert.GreaterOrEqual(t, s.started(), 2*DefaultLimits.Tries, "each was tried")
}

func TestJobThatEndsBadlyLetsTheWorkerLive(t *testing.T) {
	s := newStage(t, DefaultLimits, "moody")
	for payload, want := range map[string]workerchannel.Outcome{
		"panic": workerchannel.OutcomePanicked{Message: "the job panics\uFFFD"},
		"fail":  workerchannel.OutcomeErr{Code: "failed", Message: "the job fails"},
		"burst": workerchannel.OutcomeErr{Code: "too_large", Message: "the result has 262145 bytes"},
	} {
		var bad *OutcomeError
		require.ErrorAs(t, (<-s.call([]byte(payload)).result).err, &bad)
		assert.Equal(t, want, bad.Outcome)
	}
	requireHashes(t, []*call{s.call([]byte("live"))})
	assert.Equal(t, 1, s.started())

	_, err := s.Do(t.Context(), make([]byte, workerchannel.MaxPayloadBytes+1), nil)
	assert.ErrorIs(t, err, workerchannel.ErrPayloadTooLarge)
}

func TestHostGivesUpWhenNoWorkerBeginsAJob(t *testing.T) {
	s := newStage(t, DefaultLimits, "refuses")
	calls := s.calls(3)
	for _, c := range calls {
		assert.Equal(t, result{nil, ErrNoWorker}, <-c.result)
	}
	assert.Equal(t, ErrNoWorker, <-s.ran)
	assert.Equal(t, DefaultLimits.Losses, s.started())
}

func TestHostGivesUpWhenTheWorkerCannotBeStarted(t *testing.T) {
	// With the extension the error is the same on Windows, where a name without one is looked up.
	h := NewHost(Config{Limits: DefaultLimits, Command: func() *exec.Cmd { return exec.Command("/nowhere/worker.exe") }})
	var callErr error
	var wg sync.WaitGroup
	wg.Go(func() { _, callErr = h.Do(t.Context(), nil, nil) })
	err := h.Run(nil)
	wg.Wait()
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.Equal(t, err, callErr)
}
