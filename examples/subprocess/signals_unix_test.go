//go:build unix

package main

import (
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// worker waits until a worker runs a job and returns its process id. The program shows messages.
func (p *program) worker() int {
	line := p.await(" running, ")
	pid, err := strconv.Atoi(regexp.MustCompile(`^worker-(\d+)-`).FindStringSubmatch(line)[1])
	require.NoError(p.t, err)
	return pid
}

func (p *program) interrupt() { require.NoError(p.t, p.cmd.Process.Signal(os.Interrupt)) }

func TestInterruptEndsTheProgramWithOneSummary(t *testing.T) {
	t.Parallel()
	p := &program{t: t, cmd: prepare(t, "-jobs 1000 -size 4000000")}
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	var stderr strings.Builder
	p.cmd.Stderr = &stderr
	require.NoError(t, p.cmd.Start())
	first := make([]byte, 1)
	_, err = io.ReadFull(stdout, first)
	require.NoError(t, err)
	p.interrupt()
	rest, err := io.ReadAll(stdout)
	require.NoError(t, err)
	_ = p.cmd.Wait()
	assert.Equal(t, 130, p.cmd.ProcessState.ExitCode())
	results := strings.Count(string(rest), "\n")
	assert.Equal(t, "subprocess: interrupted; "+strconv.Itoa(results)+" of 1000 jobs had ended\n", stderr.String())
	assert.NotContains(t, string(rest), "primes below")
}

// Without the second interrupt the stopped worker would be given its time.
func TestSecondInterruptKillsTheWorker(t *testing.T) {
	t.Parallel()
	p := start(t, "-v -jobs 1000 -size 4000000")
	require.NoError(t, syscall.Kill(p.worker(), syscall.SIGSTOP))
	p.interrupt()
	p.await("CancelJob")
	p.interrupt()
	code, stderr := p.end() // returns when the worker is gone, too
	assert.Equal(t, 130, code)
	assert.Regexp(t, `\nsubprocess: interrupted twice, worker killed; \d+ of 1000 jobs had ended\n$`, stderr)
	assert.NotContains(t, stderr, "DrainJob")
}

func TestWorkerThatHangsIsReplaced(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("this test waits until the worker is late; run it without -short")
	}
	p := start(t, "-v -answer 2s -jobs 40 -size 2500000")
	require.NoError(t, syscall.Kill(p.worker(), syscall.SIGSTOP))
	code, stderr := p.end()
	assert.Zero(t, code)
	requireResults(t, p.stdout.String(), 40, 2_500_000, 5761455)
	assert.Contains(t, stderr, "worker has not answered a poll of job")
	assert.Contains(t, stderr, "ran again in another worker")
}

func TestHostThatIsKilledLeavesNoWorker(t *testing.T) {
	t.Parallel()
	p := start(t, "-v -jobs 1000 -size 4000000")
	p.worker()
	require.NoError(t, p.cmd.Process.Kill())
	p.end() // returns when the worker is gone, too
}
