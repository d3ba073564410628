package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

func TestProgramCountsPrimesThoughAWorkerIsKilled(t *testing.T) {
	p := start(t, "-workers", "3", "-kill", "1", "-jobs", "40", "-size", "25000", "-beat", "100ms", "-stats")
	require.NoError(t, p.Wait(), "%s", &p.stderr)
	assert.Regexp(t, `^primes below 1000000: 78498\n40 jobs in .*\n\d workers? joined, \d+ jobs? ran again\n$`, p.stdout.String())
}

// The command that the program prints for joining works as it is printed.
func TestHintWorksAsPrinted(t *testing.T) {
	r, w := io.Pipe()
	ctx, interrupt := context.WithCancel(t.Context())
	o, err := parse(strings.Fields("-prefix other -beat 100ms -workers 0 -jobs 5 -size 100"), io.Discard)
	require.NoError(t, err)
	defer interrupt()
	logTo(t, w)
	done := make(chan error)
	var out bytes.Buffer
	go func() { done <- dispatch(ctx, o, tool.NewProgress(os.Stderr), &out); _ = w.Close() }()
	line := make([]byte, 1024)
	n, err := r.Read(line)
	require.NoError(t, err)
	go io.Copy(io.Discard, r)
	found := regexp.MustCompile(`: go run \. (.*)\n`).FindSubmatch(line[:n])
	require.NotNil(t, found, "%s", line[:n])
	p := start(t, strings.Fields(string(found[1]))...)
	require.NoError(t, <-done)
	assert.Equal(t, "primes below 500: 95\n", out.String())
	assert.Equal(t, tool.Interrupted, p.interrupt(t))
	assert.Regexp(t, `^nats: interrupted; \d+ jobs done\n$`, p.stderr.String()) // on a busy machine some run again
}

func logTo(t *testing.T, w io.Writer) {
	old := log.Writer()
	log.SetFlags(0)
	log.SetOutput(w)
	t.Cleanup(func() { log.SetOutput(old) })
}

func TestResultThatCannotBeWrittenIsAnError(t *testing.T) {
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	logTo(t, io.Discard)
	o, err := parse(strings.Fields("-workers 1 -jobs 1 -size 10"), io.Discard)
	require.NoError(t, err)
	assert.ErrorIs(t, dispatch(t.Context(), o, tool.NewProgress(os.Stderr), w), io.ErrClosedPipe)
}

func TestWrongArgumentsAreReported(t *testing.T) {
	for args, want := range map[string]string{
		"-quick":                  "flag provided but not defined: -quick",
		"-stats true":             `unexpected argument "true"`,
		"-worker":                 "-worker needs the -url",
		"-url x -store y":         "does not go with -url",
		"-prefix a.b":             "-prefix must be",
		"-prefix a*":              "-prefix must be",
		"-beat 1ms":               "-beat must be 10ms or more",
		"-workers -1":             "-workers must not be negative",
		"-kill -1":                "-kill must not be negative",
		"-kill 4":                 "-kill must be less than -workers",
		"-workers 0 -kill 1":      "-kill must be less than -workers",
		"-jobs 0":                 "-jobs must be from 1",
		"-size -1":                "-size must be from 1",
		"-size 100000000":         "-size must be from 1 to 67108864",
		"-size 4295 -jobs 999999": "-jobs times -size",
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, tool.Unable, run(t.Context(), strings.Fields(args), nil, &stdout, &stderr), args)
		assert.Empty(t, stdout.String(), args)
		assert.Equal(t, 1, strings.Count(stderr.String(), want), "%s: %s", args, &stderr)
	}
}

// Whoever may publish can write results that are none, and a worker can write what commands a terminal.
func TestForeignResultsAndWorkersNeitherCountNorCommandTheTerminal(t *testing.T) {
	url := newServer(t).ClientURL()
	nc := dial(t, url)
	q, err := openQueue(t.Context(), nc, defaultPrefix, labelOf(5, 100), false)
	require.NoError(t, err)
	foreign := []string{"\x1b[2J\u009b\u202e\x7f", "0", "6", "01", "-1", "99999999999999999999", "forged"}
	for _, job := range foreign {
		_, err := q.js.Publish(t.Context(), defaultPrefix+".result."+job, []byte("1000"))
		require.NoError(t, err, job)
	}
	t.Setenv("NATS_EXAMPLE_EVIL", "1")
	p := start(t, "-url", url, "-jobs", "5", "-size", "100", "-workers", "1")
	require.NoError(t, p.Wait(), "%s", &p.stderr)
	assert.Equal(t, "primes below 500: 95\n", p.stdout.String())
	assert.Equal(t, len(foreign), strings.Count(p.stderr.String(), "which is none of the jobs\n"), "%s", &p.stderr)
	assert.Contains(t, p.stderr.String(), `ignoring a result of job "\x1b[2J\u009b\u202e\x7f"`)
	assert.Contains(t, p.stderr.String(), "\nworker: forged: 0 divergences")
	tooltest.CheckSafe(t, p.stderr.String())
	assert.Less(t, p.stderr.Len(), 10_000)
}

func TestResultsThatCannotBeAreFailures(t *testing.T) {
	url := newServer(t).ClientURL()
	q, err := openQueue(t.Context(), dial(t, url), defaultPrefix, labelOf(4, 100), false)
	require.NoError(t, err)
	for i, result := range []string{"-5", "101", tooltest.AllEvil, ""} {
		require.NoError(t, q.record(t.Context(), uint64(i)+1, []byte(result), nil))
	}
	p := start(t, "-url", url, "-jobs", "4", "-size", "100", "-workers", "1")
	_ = p.Wait()
	assert.Equal(t, tool.Found, p.ProcessState.ExitCode())
	assert.Contains(t, p.stderr.String(), `nats: 4 of 4 jobs failed, the first was job 1: "-5"; -new runs all again`)
	tooltest.CheckSafe(t, p.stderr.String())
}

func TestArgumentsDoNotCommandTheTerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, evil := range tooltest.Evil {
		for _, args := range [][]string{{"-" + evil}, {evil}, {"-prefix", evil}, {"-url", evil}, {"-worker", "-url", evil}, {"-listen", evil}, {"-store", file + "/" + evil}} {
			p := start(t, args...)
			_ = p.Wait()
			assert.Equal(t, tool.Unable, p.ProcessState.ExitCode(), args)
			assert.Empty(t, p.stdout.String())
			assert.Equal(t, 1, strings.Count(p.stderr.String(), "\n"), "%s", &p.stderr)
			tooltest.CheckSafe(t, p.stderr.String(), args)
		}
	}
}

// The server says why at once.
func TestServerThatCannotStartSaysWhy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for args, want := range map[string]string{
		"-store " + file:                          "storage directory is not a directory",
		"-listen 127.0.0.1:99999":                 "invalid port",
		"-listen " + newServer(t).Addr().String(): "address already in use",
	} {
		p := start(t, strings.Fields(args)...)
		_ = p.Wait()
		assert.Equal(t, tool.Unable, p.ProcessState.ExitCode())
		assert.Contains(t, p.stderr.String(), want)
	}
}

func TestHelpSaysWhatTheProgramDoes(t *testing.T) {
	p := start(t, "-h")
	require.NoError(t, p.Wait())
	assert.Contains(t, p.stdout.String(), "Counts primes in worker processes")
	assert.Empty(t, p.stderr.String())
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
