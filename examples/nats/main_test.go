package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

func TestServerWithTooSmallMaxPayloadIsRefused(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	s.Start()
	defer s.Shutdown()
	require.True(t, s.ReadyForConnections(10*time.Second))
	_, err = connect(s.ClientURL())
	assert.ErrorContains(t, err, "set its max_payload to ")
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
