package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

const evilEnv = "WORKERCHANNEL_EXAMPLE_EVIL"

var executable string // the program, which the tests run as a user does

// The test binary is the program, too, with a worker that writes to its standard error what commands a terminal.
func TestMain(m *testing.M) {
	if os.Getenv(evilEnv) != "" {
		if os.Getenv(workerEnv) != "" {
			os.Stderr.WriteString(tooltest.AllEvil + strings.Repeat("x", 1<<20) + "\n" + tooltest.AllEvil)
		}
		main()
		return
	}
	dir, err := os.MkdirTemp("", "subprocess")
	if err != nil {
		panic(err)
	}
	executable = filepath.Join(dir, "subprocess.exe")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", executable, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// A program is the program while it runs.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr *bufio.Reader // the standard error of the host and of its workers
	errors strings.Builder
}

func prepare(t *testing.T, args string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // for a program that hangs
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, executable, strings.Fields(args)...)
	cmd.WaitDelay = time.Minute
	return cmd
}

func start(t *testing.T, args string) *program {
	p := &program{t: t, cmd: prepare(t, args)}
	p.cmd.Stdout = &p.stdout
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	p.stderr = bufio.NewReader(stderr)
	require.NoError(t, p.cmd.Start())
	return p
}

// await reads standard error up to a line that has the text, and returns the line.
func (p *program) await(text string) string {
	for {
		line, err := p.stderr.ReadString('\n')
		p.errors.WriteString(line)
		require.NoError(p.t, err, "before %q: %s", text, &p.errors)
		if strings.Contains(line, text) {
			return line
		}
	}
}

// end waits for the program and its workers, and returns the exit code and what was written to the standard error.
func (p *program) end() (int, string) {
	rest, err := io.ReadAll(p.stderr) // ends with the last process
	require.NoError(p.t, err)
	p.errors.Write(rest)
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode(), p.errors.String()
}

// run runs the program to its end.
func runProgram(t *testing.T, args string) (code int, stdout, stderr string) {
	p := start(t, args)
	code, stderr = p.end()
	return code, p.stdout.String(), stderr
}

// requireResults checks that every result was printed once, and the total.
func requireResults(t *testing.T, stdout string, jobs, size, total int) {
	t.Helper()
	for job := range jobs {
		assert.Equal(t, 1, strings.Count(stdout, fmt.Sprintf("primes from %d to %d: ", job*size, (job+1)*size)), stdout)
	}
	require.Equal(t, jobs+2, strings.Count(stdout, "\n"), stdout)
	assert.True(t, strings.HasSuffix(stdout, fmt.Sprintf("\nprimes below %d: %d\n", jobs*size, total)), stdout)
}

func TestEveryResultArrivesOnce(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runProgram(t, "-jobs 40 -size 25000")
	assert.Zero(t, code)
	requireResults(t, stdout, 40, 25_000, 78498)
	assert.Empty(t, stderr)
}

// There are more jobs than are under way at a time, so that the worker has some whenever it is killed.
func TestKillEndsTheWorkerAndSaysWhatRanAgain(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runProgram(t, "-kill -jobs 40 -size 250000")
	assert.Zero(t, code)
	requireResults(t, stdout, 40, 250_000, 664579)
	assert.Contains(t, stderr, "worker has ended") // by that signal, or with a broken pipe
	again := regexp.MustCompile(`(?m)^(\d+) jobs? ran again in another worker: (\d+ to \d+.*)$`).FindStringSubmatch(stderr)
	require.NotNil(t, again, stderr)
	assert.Equal(t, again[1], fmt.Sprint(strings.Count(again[2], ", ")+1), "as many as it says")
	assert.Equal(t, 2, strings.Count(stderr, "\n"), stderr)
}

func TestOutputThatIsNoTerminalHasNoProgress(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"-jobs 4", "-jobs 4 -v", "-kill"} {
		_, stdout, stderr := runProgram(t, args)
		assert.NotContains(t, stdout+stderr, "\r")
		assert.NotContains(t, stdout+stderr, "\x1b")
		assert.NotContains(t, stdout+stderr, "%, ")
	}
}

func TestVerboseShowsEveryMessage(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runProgram(t, "-v -jobs 2 -size 500")
	assert.Zero(t, code)
	requireResults(t, stdout, 2, 500, 168)
	for message, times := range map[string]int{
		"BootstrapReady": 1, "SpawnJob": 2, "JobCompleted": 2, "ShutdownWorker": 1, "ShutdownCompleted": 1,
	} {
		assert.Equal(t, times, strings.Count(stderr, "→ "+message), "%s in %s", message, stderr)
	}
}

func TestStandardErrorOfTheWorkerIsQuotedAndBounded(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"-v"}} {
		cmd := exec.Command(os.Args[0], append(args, "-jobs", "2", "-size", "500")...)
		cmd.Env = append(os.Environ(), evilEnv+"=1")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.NoError(t, cmd.Run(), &stderr)
		requireResults(t, stdout.String(), 2, 500, 168)
		tooltest.CheckSafe(t, stderr.String())
		assert.Contains(t, stderr.String(), `worker: \x1b[2J`)
		assert.Equal(t, 1, strings.Count(stderr.String(), "xxx…\n"), "the end of a long line is left out")
		assert.Equal(t, 2, strings.Count(stderr.String(), "\nworker: forged: 0 divergences"))
		assert.Equal(t, 2, strings.Count(stderr.String(), `\x9b2J`), "what has no line feed comes at the end")
		assert.Less(t, stderr.Len(), 10_000)
	}
}

func TestHelpSaysWhatTheProgramDoes(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runProgram(t, "-h")
	assert.Zero(t, code)
	assert.Empty(t, stderr)
	assert.Contains(t, stdout, "Counts primes in a worker process")
	for _, name := range []string{"-jobs", "-size", "-kill", "-answer", "-v"} {
		assert.Contains(t, stdout, "\n  "+name)
	}
}

func TestWrongArgumentsAreReported(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-quick":                   "flag provided but not defined: -quick;",
		"-v true":                  "unexpected argument \"true\";",
		"-jobs -1":                 "invalid value \"-1\" for flag -jobs: ",
		"-jobs 0":                  "-jobs must be from 1 to 4294967295\n",
		"-jobs 4294967296":         "-jobs must be from 1 to 4294967295\n",
		"-answer 0s":               "-answer must be more than 0\n",
		"-size 0":                  "-size must be from 1 to 268435455 for 16 jobs: the numbers have 32 bits\n",
		"-jobs 2 -size 3000000000": "-size must be from 1 to 2147483647 for 2 jobs: ",
	} {
		code, stdout, stderr := runProgram(t, args)
		assert.Equal(t, 2, code, args)
		assert.Empty(t, stdout, args)
		assert.True(t, strings.HasPrefix(stderr, "subprocess: "+want), "%s: %s", args, stderr)
	}
}

func TestPrimesMatchTrialDivision(t *testing.T) {
	prime := func(n uint64) bool {
		for d := uint64(2); d*d <= n; d++ {
			if n%d == 0 {
				return false
			}
		}
		return n >= 2
	}
	for _, span := range [][2]uint64{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {2, 3}, {3, 3}, {24, 26}, {0, 1000}, {1 << 18, 1<<18 + 500}, {1<<32 - 100, 1 << 32}} {
		want := 0
		for n := span[0]; n < span[1]; n++ {
			if prime(n) {
				want++
			}
		}
		assert.Equal(t, want, primes(span[0], span[1]), span)
	}
}
