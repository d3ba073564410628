//go:build unix

package driver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
)

// workerEnv makes the test program a worker process of the given kind.
const workerEnv = "WORKERCHANNEL_DRIVER_TEST_WORKER"

// argumentEnv is what the process is to know.
const argumentEnv = "WORKERCHANNEL_DRIVER_TEST_ARGUMENT"

func TestMain(m *testing.M) {
	if kind := os.Getenv(workerEnv); kind != "" {
		processes[kind]()
		os.Exit(0)
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "16")     // tests that run at the same time wait for limits
	if r, w, err := os.Pipe(); err == nil { // the descriptors of the poller, which the first pipe opens, stay
		_, _ = r.Close(), w.Close()
	}
	os.Exit(m.Run())
}

// processes are the kinds of worker processes.
var processes = map[string]func(){
	"good": func() { serveProcess(echo) },
	"many": func() {
		serveProcess(func(_ context.Context, job *Job) ([]byte, error) {
			time.Sleep(10 * time.Millisecond)
			return job.Payload, nil
		}, WithConcurrency(50))
	},
	"stops": func() { // itself, when the job begins, as SIGSTOP from outside would
		serveProcess(func(ctx context.Context, job *Job) ([]byte, error) {
			job.Progress("begun")
			if string(job.Payload) == "now" {
				stopSelf()
			}
			<-ctx.Done()
			if string(job.Payload) == "in drain" {
				stopSelf()
			}
			return nil, nil
		}, WithFinalizer(func(*Job) { stopSelf() }))
	},
	"stops in boot": stopSelf,
	"reports": func() {
		err := Serve(context.Background(), Stdio(), "", func(ctx context.Context, job *Job) ([]byte, error) {
			for ctx.Err() == nil {
				job.Progress(strings.Repeat("still at it ", 1000))
			}
			return nil, nil
		})
		fmt.Fprintln(os.Stderr, err)
	},
	"stops in shutdown": func() {
		conn := Stdio()
		w := announced(conn)
		for {
			data, err := conn.Recv()
			if err != nil {
				return
			}
			if env, _ := w.Receive(data); env.Op.Type() == wc.OpShutdownWorker {
				stopSelf()
			}
		}
	},
	"leaves a grandchild": func() {
		conn := Stdio()
		_ = Serve(context.Background(), conn, "", func(context.Context, *Job) ([]byte, error) {
			child := exec.Command("sleep", "1000")
			child.Stdout = channelOf(conn)
			child.Stderr = os.Stderr
			if err := child.Start(); err != nil {
				return nil, err
			}
			os.Exit(3)
			return nil, nil
		})
	},
	"deaf": func() {
		announced(Stdio())
		time.Sleep(time.Hour)
	},
	"beats": func() {
		conn := Stdio()
		w := announced(conn)
		for {
			_ = w.Diagnose(wc.Diagnostic{Message: "alive"})
			if text, _ := next(w); conn.Send(text) != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	},
	"garbage": func() {
		conn := Stdio()
		announced(conn)
		fmt.Fprintln(channelOf(conn), "\x1b[2Jdebug: got here")
		time.Sleep(time.Hour)
	},
	"half a line": func() { fmt.Print(`{"version":1,`) },
	"an endless line": func() {
		for {
			if _, err := fmt.Print(strings.Repeat("x", 4096)); err != nil {
				return
			}
		}
	},
	"prints": func() {
		serveProcess(func(_ context.Context, job *Job) ([]byte, error) {
			fmt.Println("a line between the messages")
			return job.Payload, nil
		})
	},
	"exits":  func() { os.Exit(7) },
	"relays": relay,
}

// channelOf returns the file over which a process sends messages.
func channelOf(stdio Conn) *os.File { return stdio.(*lines).w.(*os.File) }

// announced returns a worker that is ready.
func announced(conn Conn) *wc.Worker {
	w := wc.NewWorker(fmt.Sprint("w-", os.Getpid()), 0)
	_ = w.Announce()
	text, _ := next(w)
	_ = conn.Send(text)
	return w
}

func next(w *wc.Worker) ([]byte, error) {
	env, _ := w.DrainOutbox()
	return env.AppendJSON(nil)
}

func serveProcess(handler Handler, opts ...ServeOption) {
	_ = Serve(context.Background(), Stdio(), "", handler, opts...)
}

// stopSelf does not return, though the signal may take a moment.
func stopSelf() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	time.Sleep(time.Hour)
}

// command returns a worker process of a kind.
func command(t testing.TB, kind string) *exec.Cmd {
	executable, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(executable)
	cmd.Env = append(os.Environ(), workerEnv+"="+kind, thisRun(), thisTest(t))
	return cmd
}

// patient is an option of Start for a process that is about to end, however long that takes on a busy machine.
func patient(p *process) { p.delay = time.Minute }

// starting returns a Dial that starts processes of the given kinds, one after the other, the last for ever.
func starting(t testing.TB, kinds ...string) Dial {
	var n atomic.Int32
	return func(context.Context) (Conn, error) {
		i := min(int(n.Add(1)), len(kinds)) - 1
		return Start(command(t, kinds[i]), patient)
	}
}

// patience is the limits of processes that are well, however long they take on a busy machine.
var patience = Limits{
	Boot: time.Minute, Cancel: time.Minute, Drain: time.Minute, Finalize: time.Minute,
	Silence: time.Second, Answer: time.Minute, Send: time.Minute, Shutdown: time.Minute, Close: time.Minute,
}

// withProcesses runs f with a host of processes that are well, and checks that no goroutine, process, descriptor or memory is
// left.
func withProcesses(t *testing.T, f func(h *Host), opts ...Option) {
	t.Helper()
	leavesNothing(t, func() { withStoppedProcesses(t, f, opts...) })
}

// withStoppedProcesses runs f with a host of processes, and stops it.
func withStoppedProcesses(t *testing.T, f func(h *Host), opts ...Option) {
	t.Helper()
	h, err := NewHost(append([]Option{WithLimits(patience)}, opts...)...)
	require.NoError(t, err)
	f(h)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	require.NoError(t, h.Stop(ctx))
	s := h.Stats()
	require.Empty(t, s.Workers)
	require.Zero(t, s.Abandoned)
	require.Equal(t, s.Calls, s.Succeeded+s.Failed+s.Panicked+s.Cancelled+s.GivenUp+s.NoWorker+s.Stopped)
}

// leavesNothing runs f and checks that no goroutine, process, descriptor or memory is left.
func leavesNothing(t *testing.T, f func()) {
	t.Helper()
	files, goroutines, before := openFiles(t), runtime.NumGoroutine(), heapBytes()
	f()
	assert.Eventually(t, func() bool {
		return openFiles(t) <= files && runtime.NumGoroutine() <= goroutines+1 && len(children(t)) == 0
	}, time.Minute, time.Millisecond, "something is left")
	require.Less(t, heapBytes(), before+8<<20)
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	return len(entries)
}

// children returns the processes that this run of the tests has started and that have not ended, and their children.
func children(t *testing.T) []string { return processesWith(t, thisRun()) }

// processesWith returns the processes that have a variable of the environment.
func processesWith(t *testing.T, variable string) (pids []string) {
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		if strings.Contains("\x00"+string(env), "\x00"+variable+"\x00") {
			pids = append(pids, e.Name())
		}
	}
	return pids
}

// thisRun is an environment variable that only the processes of this run of the tests have.
func thisRun() string { return fmt.Sprint("WORKERCHANNEL_TEST_RUN=", os.Getpid()) }

// thisTest is one that only the processes of this test have.
func thisTest(t testing.TB) string {
	return fmt.Sprint("WORKERCHANNEL_TEST=", os.Getpid(), ".", t.Name())
}

func TestProcessDoesJobs(t *testing.T) {
	for _, kind := range []string{"good", "prints"} {
		withProcesses(t, func(h *Host) {
			data, err := h.Do(t.Context(), []byte(kind))
			require.NoError(t, err)
			assert.Equal(t, kind, string(data))
		}, WithWorkers(2, starting(t, kind)))
	}
}

// What is waited for here are limits, so these tests run at the same time. Each has one that is short; the others are for
// processes that are well.
func TestBadProcessesAreNoticedAndLeaveNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for processes that hang; run it without -short")
	}
	leavesNothing(t, func() {
		t.Run("all", func(t *testing.T) {
			for kind, c := range map[string]struct {
				limit string // the one that is short
				why   string
			}{
				"stops in boot":       {"Boot", "worker has not announced itself within 1s"},
				"stops":               {"Answer", "worker has not answered a poll of job"},
				"deaf":                {"Send", "worker has not read a message within 1s"},
				"leaves a grandchild": {"", "process has ended: exit status 3"},
				"half a line":         {"", ErrHalfLine.Error()},
				"an endless line":     {"", ErrLineTooLong.Error()},
				"garbage":             {"", "is not a message"},
				"exits":               {"", "process has ended: exit status 7"},
			} {
				t.Run("job of one that "+kind+" runs elsewhere", func(t *testing.T) {
					t.Parallel()
					jobRunsElsewhere(t, kind, short(c.limit), c.why)
				})
			}
			t.Run("stopped in drain", func(t *testing.T) {
				t.Parallel()
				stoppedInACancel(t, "in drain", short("Drain", "Cancel")) // whether it has still acknowledged the cancel or not
			})
			t.Run("stopped in finalize", func(t *testing.T) {
				t.Parallel()
				stoppedInACancel(t, "in finalize", short("Finalize"))
			})
			for _, kind := range []string{"stops in shutdown", "beats"} {
				t.Run(kind, func(t *testing.T) {
					t.Parallel()
					endedThoughItIgnoresAShutdown(t, kind)
				})
			}
		})
	})
}

// short returns limits some of which are short.
func short(limits ...string) Limits {
	l := patience
	l.each(func(name string, d *time.Duration, _ time.Duration) {
		if slices.Contains(limits, name) {
			*d = time.Second
		}
	})
	return l
}

// jobRunsElsewhere has a job given to a process of a kind, and run by one that is well, which may be taken for one that is not
// when the machine is busy.
func jobRunsElsewhere(t *testing.T, kind string, limits Limits, why string) {
	withStoppedProcesses(t, func(h *Host) {
		payload := []byte("now")
		if kind == "deaf" {
			payload = bytes.Repeat(payload, 50_000) // more than a pipe holds
		}
		data, err := h.Do(t.Context(), payload)
		require.NoError(t, err)
		assert.Equal(t, string(payload), string(data))
		assert.ErrorContains(t, h.Stats().Ended[0].Err, why)
	}, WithLimits(limits), WithTries(1000), WithAttempts(0), WithWorkers(1, starting(t, kind, "good")))
}

func stoppedInACancel(t *testing.T, phase string, limits Limits) {
	withStoppedProcesses(t, func(h *Host) {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := h.Do(ctx, []byte(phase), WithProgress(func(string) { cancel(errTest) }))
		assert.ErrorIs(t, err, errTest)
		assert.Equal(t, uint64(1), h.Stats().WorkersKilled)
		_, err = h.Do(t.Context(), nil)
		assert.NoError(t, err)
	}, WithLimits(limits), WithWorkers(1, starting(t, "stops", "good")))
}

func endedThoughItIgnoresAShutdown(t *testing.T, kind string) {
	withStoppedProcesses(t, func(h *Host) {
		require.NoError(t, h.WaitReady(t.Context(), 1))
		assert.NoError(t, h.Stop(t.Context()))
		assert.Equal(t, uint64(1), h.Stats().WorkersKilled)
		assert.ErrorContains(t, h.Stats().Ended[0].Err, "worker has not shut down within 1s")
	}, WithLimits(short("Shutdown")), WithWorkers(1, starting(t, kind)))
}

func TestStartRefusesACommandWithItsOwnPipes(t *testing.T) {
	cmd := command(t, "good")
	cmd.Stdin = strings.NewReader("")
	_, err := Start(cmd)
	assert.ErrorIs(t, err, ErrOptions)
	_, err = Start(exec.Command("/does/not/exist"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestRecvSaysHowTheProcessEnded(t *testing.T) {
	conn, err := Start(command(t, "exits"), patient)
	require.NoError(t, err)
	_, err = conn.Recv()
	assert.EqualError(t, err, "driver: process has ended: exit status 7")
	assert.NoError(t, conn.Close())
	assert.NoError(t, conn.Close())
}

func TestLinesBoundsWhatItReads(t *testing.T) {
	for text, want := range map[string]error{
		strings.Repeat("x", MaxLine+lineBuffer) + "\n": ErrLineTooLong,
		"half": ErrHalfLine,
	} {
		l := newLines(strings.NewReader(text), bufio.NewWriter(nil), func() error { return nil })
		_, err := l.Recv()
		assert.ErrorIs(t, err, want)
	}
}

func TestServeEndsByItselfWhenTheHostIsGone(t *testing.T) {
	cmd := command(t, "reports")
	var said bytes.Buffer
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	host, err := NewHost()
	require.NoError(t, err)
	require.NoError(t, host.Attach(Lines(stream{out, in})))
	reported := make(chan struct{})
	var once sync.Once
	go host.Do(context.Background(), nil, WithProgress(func(string) { once.Do(func() { close(reported) }) }))
	<-reported
	_ = out.Close() // as when the host is killed: what the worker writes has no reader
	_ = in.Close()
	assert.NoError(t, cmd.Wait(), "it was not killed by a signal")
	assert.Contains(t, said.String(), "host is gone")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = host.Stop(ended)
}

type stream struct {
	io.ReadCloser
	w io.WriteCloser
}

func (s stream) Write(p []byte) (int, error) { return s.w.Write(p) }
func (s stream) Close() error                { return errors.Join(s.ReadCloser.Close(), s.w.Close()) }
