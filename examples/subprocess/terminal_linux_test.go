package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

// onTerminal starts the program at a terminal of so many columns.
func onTerminal(t *testing.T, columns int, args string) (p *program, person *os.File) {
	terminal, person := tooltest.Terminal(t, columns)
	p = &program{t: t, cmd: prepare(t, args)}
	p.cmd.Env = append(os.Environ(), "TERM=xterm")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = terminal, terminal, terminal
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, p.cmd.Start())
	require.NoError(t, terminal.Close())
	return p, person
}

func TestTerminalShowsProgressAndThenOnlyResults(t *testing.T) {
	t.Parallel()
	p, person := onTerminal(t, 80, "-jobs 4 -size 2500000")
	shown, _ := io.ReadAll(person) // its error says that the program has ended
	require.NoError(t, p.cmd.Wait())
	assert.Regexp(t, `\r\x1b\[K[1-9]\d?%, 0 of 4 jobs ended `, string(shown), "progress within a job")
	assert.Contains(t, string(shown), "%, 3 of 4 jobs ended ")
	requireResults(t, left(string(shown)), 4, 2_500_000, 664579)
}

// A line that the terminal has broken could not be cleared.
func TestProgressFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{10, 40, 80, 132} {
		p, person := onTerminal(t, columns, "-jobs 2000000 -size 1000")
		shown := ""
		for buf := make([]byte, 4096); !strings.Contains(shown, "primes from"); {
			n, err := person.Read(buf)
			require.NoError(t, err, shown)
			shown += string(buf[:n])
		}
		require.NoError(t, p.cmd.Process.Kill())
		_ = p.cmd.Wait()
		for line := range strings.SplitSeq(strings.ReplaceAll(shown, "\r\n", "\r\x1b[K"), "\r\x1b[K") {
			if strings.Contains(line, "%, ") {
				assert.Less(t, len(line), columns, line)
			}
		}
		assert.Contains(t, shown, "0%, 0 of 2000000 jobs ended "[:min(28, columns-1)])
	}
}

// left returns what is left on the screen when the cursor has gone back and cleared the line each time.
func left(shown string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(shown, "\r\n", "\n")) {
		cleared := strings.Split(line, "\r\x1b[K")
		b.WriteString(cleared[len(cleared)-1])
	}
	return b.String()
}

func TestControlCAtTheTerminalEndsTheProgramWithOneSummary(t *testing.T) {
	t.Parallel()
	p, person := onTerminal(t, 80, "-jobs 1000 -size 4000000")
	shown := ""
	for buf := make([]byte, 4096); !strings.Contains(shown, "primes from"); {
		n, err := person.Read(buf)
		require.NoError(t, err, shown)
		shown += string(buf[:n])
	}
	_, err := person.Write([]byte{3})
	require.NoError(t, err)
	rest, _ := io.ReadAll(person)
	_ = p.cmd.Wait()
	assert.Equal(t, 130, p.cmd.ProcessState.ExitCode())
	shown = left(shown + string(rest)) // without some of what was on its way at that moment, which terminals drop
	assert.Regexp(t, `subprocess: interrupted; \d+ of 1000 jobs had ended\n$`, shown)
	for _, other := range []string{"WARN", "cancelled", "primes below"} {
		assert.NotContains(t, shown, other)
	}
}

// holdPipes holds the pipes of a worker open until the end of the test, but for its standard error: those over which
// messages go are among them.
func holdPipes(t *testing.T, pid int) {
	held := 0
	stderr, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", pid))
	require.NoError(t, err)
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	require.NoError(t, err)
	for _, file := range files {
		if name, _ := os.Readlink(file); strings.HasPrefix(name, "pipe:") && name != stderr {
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			require.NoError(t, err)
			t.Cleanup(func() { _ = f.Close() })
			held++
		}
	}
	require.GreaterOrEqual(t, held, 2)
}

// A process that holds the worker's standard output open, as one that the worker has started can.
func TestHeldStandardOutputDoesNotHideTheDeathOfTheWorker(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("this test computes for a second; run it without -short")
	}
	p := start(t, "-v -jobs 40 -size 2500000")
	pid := p.worker()
	holdPipes(t, pid)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	code, stderr := p.end()
	assert.Zero(t, code)
	requireResults(t, p.stdout.String(), 40, 2_500_000, 5761455)
	assert.Contains(t, stderr, "ran again in another worker")
}

func TestResultThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	var stderr strings.Builder
	cmd := prepare(t, "-jobs 100 -size 10")
	cmd.Stdout, cmd.Stderr = full, &stderr
	_ = cmd.Run()
	assert.Equal(t, tool.Unable, cmd.ProcessState.ExitCode())
	assert.Regexp(t, `^subprocess: .*: no space left on device; \d+ of 100 jobs had ended\n$`, stderr.String())
}
