//go:build unix

package driver

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a program makes before it calls Stdio.
var (
	earlyOutput = os.Stdout
	earlyLogger = log.New(os.Stdout, "", 0)
	earlyFiles  = [...]string{fileOf(0), fileOf(1)}
)

// fileOf says what a descriptor stands for, if the system has /proc.
func fileOf(fd int) string {
	name, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", fd))
	return name
}

func init() {
	processes["careless"] = func() { serveCareless(Stdio()) }
	processes["careful"] = func() {
		os.Stdout = os.Stderr
		os.Stdin, _, _ = os.Pipe()
		serveCareless(Stdio())
	}
	processes["without a standard error"] = func() {
		_ = syscall.Close(2)
		serveCareless(Stdio())
	}
	processes["without a standard file"] = func() {
		fd, _ := strconv.Atoi(os.Getenv(argumentEnv))
		_ = syscall.Close(fd)
		conn := Stdio()
		_, err := conn.Recv()
		fmt.Fprintln(os.Stderr, err)
	}
	processes["calls Stdio twice"] = func() {
		conn, another := Stdio(), Stdio()
		_, err := another.Recv()
		fmt.Fprintln(os.Stderr, err, another.Send(nil), another.Close())
		serveCareless(conn)
	}
	processes["without descriptors"] = func() {
		free, _ := strconv.Atoi(os.Getenv(argumentEnv))
		if r, w, err := os.Pipe(); err == nil { // the runtime needs descriptors for the first pipe or timer
			_, _ = r.Close(), w.Close()
		}
		lowest, _ := syscall.Dup(0)
		_ = syscall.Close(lowest)
		var limit syscall.Rlimit
		put(&limit.Cur, lowest+free)
		put(&limit.Max, lowest+free)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			panic(err)
		}
		conn := Stdio()
		fmt.Fprintln(os.Stderr, conn.Send(nil))
		fmt.Fprintln(os.Stderr, Serve(context.Background(), conn, "", echo))
	}
}

// put sets a number whose type is not the same on all systems.
func put[T int64 | uint64](p *T, n int) { *p = T(n) }

// serveCareless is a worker whose handler does what the payload says to the standard files.
func serveCareless(conn Conn) {
	_ = Serve(context.Background(), conn, "", func(_ context.Context, job *Job) ([]byte, error) {
		do, ok := careless[string(job.Payload)]
		if !ok {
			return job.Payload, nil
		}
		out, err := do()
		return []byte(out), err
	})
}

var careless = map[string]func() (string, error){
	"package fmt":  func() (string, error) { return "", second(fmt.Println("printed")) },
	"early output": func() (string, error) { return "", second(fmt.Fprintln(earlyOutput, "printed")) },
	"early logger": func() (string, error) { earlyLogger.Println("printed"); return "", nil },
	"descriptor 1": func() (string, error) { return "", second(syscall.Write(1, []byte("printed\n"))) }, // as C code does
	"descriptor 0": func() (string, error) {
		n, err := syscall.Read(0, make([]byte, 100))
		fmt.Println("printed")
		return fmt.Sprint(n), err
	},
	"child": func() (string, error) {
		child := exec.Command("sh", "-c", "cat && echo printed")
		child.Stdin, child.Stdout = os.Stdin, earlyOutput
		return "", child.Run()
	},
	"child by numbers": func() (string, error) {
		pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "cat && echo printed"}, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
		if err == nil {
			_, err = syscall.Wait4(pid, nil, 0, nil)
		}
		return "", err
	},
	"descriptors of a child": func() (string, error) {
		fmt.Println("printed")
		list, err := exec.Command("sh", "-c", "ls -l /proc/self/fd").Output()
		return string(list), err
	},
	"what messages go over": func() (string, error) { return strings.Join(earlyFiles[:], " "), nil },
	"standard error":        func() (string, error) { return fileOf(2), nil },
}

// stderrOf starts a process of a kind, with what it is to write its standard error to.
func stderrOf(t *testing.T, kind string, stderr *bytes.Buffer) Dial {
	return func(context.Context) (Conn, error) {
		cmd := command(t, kind)
		cmd.Stderr = stderr
		return Start(cmd)
	}
}

// requireResult checks the result of a call.
func requireResult(t *testing.T, h *Host, payload, want string) {
	t.Helper()
	got, err := h.Do(t.Context(), []byte(payload))
	require.NoError(t, err, payload)
	require.Equal(t, want, string(got), payload)
}

func TestWhatAWorkerDoesToItsStandardFilesIsHarmless(t *testing.T) {
	for _, name := range []string{
		"package fmt", "early output", "early logger", "descriptor 1", "descriptor 0", "child", "child by numbers",
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			withProcesses(t, func(h *Host) {
				want := ""
				if name == "descriptor 0" {
					want = "0"
				}
				requireResult(t, h, name, want)
				requireResult(t, h, "and more", "and more")
				require.Equal(t, uint64(1), h.Stats().WorkersStarted)
			}, WithWorkers(1, stderrOf(t, "careless", &said)))
			assert.Equal(t, "printed\n", said.String())
		})
	}
}

func TestChildrenOfAWorkerDoNotInheritItsMessages(t *testing.T) {
	withProcesses(t, func(h *Host) {
		files, err := h.Do(t.Context(), []byte("what messages go over"))
		require.NoError(t, err)
		list, err := h.Do(t.Context(), []byte("descriptors of a child"))
		require.NoError(t, err)
		require.Contains(t, string(list), " 2 -> ")
		for _, name := range strings.Fields(string(files)) {
			require.Contains(t, name, "pipe:")
			require.NotContains(t, string(list), name)
		}
	}, WithWorkers(1, starting(t, "careless")))
}

func TestStdioCalledAgainReturnsAnError(t *testing.T) {
	var said bytes.Buffer
	withProcesses(t, func(h *Host) { requireResult(t, h, "1", "1") }, WithWorkers(1, stderrOf(t, "calls Stdio twice", &said)))
	const why = "driver: no connection over the standard files: Stdio was called before"
	assert.Equal(t, why+" "+why+" <nil>\n", said.String())
}

func TestWorkerWithoutAStandardErrorGetsTheNullDevice(t *testing.T) {
	withProcesses(t, func(h *Host) {
		requireResult(t, h, "package fmt", "")
		requireResult(t, h, "standard error", "/dev/null")
		requireResult(t, h, "child", "")
	}, WithWorkers(1, starting(t, "without a standard error")))
}

func TestStdioSaysThatAStandardFileIsClosed(t *testing.T) {
	for fd := range 2 {
		cmd := command(t, "without a standard file")
		cmd.Env = append(cmd.Env, fmt.Sprint(argumentEnv, "=", fd))
		var said bytes.Buffer
		cmd.Stderr = &said
		require.NoError(t, cmd.Run())
		assert.Equal(t, fmt.Sprintf("driver: no connection over the standard files: descriptor %d is closed\n", fd), said.String())
	}
}

func TestStdioSaysThatThereAreNoDescriptors(t *testing.T) {
	for free := range 3 { // one for the null device, and two
		cmd := command(t, "without descriptors")
		cmd.Env = append(cmd.Env, fmt.Sprint(argumentEnv, "=", free))
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		said, err := cmd.CombinedOutput()
		require.NoError(t, err, string(said))
		_ = stdin.Close()
		const why = "driver: no connection over the standard files: "
		assert.Regexp(t, "^"+why+"(dup: )?too many open files\n(.*: )?"+why+"(dup: )?too many open files\n$", string(said), free)
	}
}

// A worker that is started with something else than pipes.
func TestStdioTakesASocketThatIsInputAndOutput(t *testing.T) {
	a, b, err := socketPair()
	require.NoError(t, err)
	cmd := command(t, "careless")
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = b.(*os.File), b.(*os.File), &said
	require.NoError(t, cmd.Start())
	require.NoError(t, b.Close())
	h, err := NewHost()
	require.NoError(t, err)
	require.NoError(t, h.Attach(Lines(a)))
	requireResult(t, h, "child", "")
	requireResult(t, h, "1", "1")
	require.NoError(t, h.Stop(t.Context()))
	require.NoError(t, cmd.Wait())
	assert.Equal(t, "printed\n", said.String())
}

// A worker that runs in the process of its test, which has put pipes in the place of the standard files.
func TestStdioTakesPipesThatStandInForTheStandardFiles(t *testing.T) {
	defer func(in, out *os.File) { os.Stdin, os.Stdout = in, out }(os.Stdin, os.Stdout)
	var before, after [2]syscall.Stat_t
	for fd := range before {
		require.NoError(t, syscall.Fstat(fd, &before[fd]))
	}
	for range 2 {
		in, toWorker, err := os.Pipe()
		require.NoError(t, err)
		fromWorker, out, err := os.Pipe()
		require.NoError(t, err)
		os.Stdin, os.Stdout = in, out
		var served sync.WaitGroup
		conn := Stdio()
		served.Go(func() { assert.NoError(t, Serve(context.Background(), conn, "", echo)) })
		assert.Same(t, os.Stderr, os.Stdout, "what is printed does not come between the messages")
		assert.Same(t, original[0], os.Stdin)
		h, err := NewHost()
		require.NoError(t, err)
		require.NoError(t, h.Attach(Lines(stream{fromWorker, toWorker})))
		requireResult(t, h, "1", "1")
		require.NoError(t, h.Stop(t.Context()))
		served.Wait()
	}
	for fd := range after {
		require.NoError(t, syscall.Fstat(fd, &after[fd]))
	}
	assert.Equal(t, [...]uint64{before[0].Ino, before[1].Ino}, [...]uint64{after[0].Ino, after[1].Ino}, "0 and 1 are what they were")
}

// A program may have put something in the place of os.Stdout so that what is printed does not come between the
// messages.
func TestStdioTakesNothingElseThatStandsInForTheStandardFiles(t *testing.T) {
	withProcesses(t, func(h *Host) {
		requireResult(t, h, "package fmt", "")
		requireResult(t, h, "1", "1")
	}, WithWorkers(1, starting(t, "careful")))
}
