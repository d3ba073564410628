package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The test binary starts itself as the worker that the value of workerEnv names.
func TestMain(m *testing.M) {
	mode := os.Getenv(workerEnv)
	if mode == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0") // otherwise each worker ends a second later under the race detector
		log.SetOutput(io.Discard)
		os.Exit(m.Run())
	}
	play, ok := workers[mode]
	if !ok {
		play = workers["primes"]
	}
	if play(os.Stdin, os.Stdout) != nil {
		os.Exit(1)
	}
}

func TestProgramCountsPrimesEvenIfItsWorkerIsKilled(t *testing.T) {
	for _, o := range []options{{}, {kill: true}, {kill: true, verbose: true}} {
		o.jobs, o.size = 8, 125_000
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), &o, &out))
		assert.True(t, strings.HasSuffix(out.String(), "\nprimes below 1000000: 78498\n"), out.String())
		assert.Equal(t, 8, strings.Count(out.String(), "primes from"), "every result once")
	}
}

func TestInterruptedProgramCancelsItsJobs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, run(ctx, &options{jobs: 2, size: 10}, io.Discard), context.Canceled)
}

func TestResultThatCannotBeWrittenIsAnError(t *testing.T) {
	r, w := io.Pipe()
	require.NoError(t, r.Close())
	assert.ErrorIs(t, run(t.Context(), &options{jobs: 2, size: 10}, w), io.ErrClosedPipe)
}

func TestWrongArgumentsAreReported(t *testing.T) {
	for args, want := range map[string]string{
		"-quick":                   "flag provided but not defined: -quick",
		"-v true":                  `unexpected argument "true"`,
		"-jobs -1":                 `invalid value "-1" for flag -jobs`,
		"-jobs 0":                  "-jobs must be from 1 to 1000000",
		"-jobs 1000001":            "-jobs must be from 1 to 1000000",
		"-size 0":                  "-size must be from 1",
		"-jobs 2 -size 3000000000": "-size must be from 1 to 2147483647 for 2 jobs",
	} {
		var stderr bytes.Buffer
		_, err := parse(strings.Fields(args), &stderr)
		assert.ErrorContains(t, err, want, args)
		assert.Equal(t, 1, strings.Count(stderr.String(), want), "%s: %s", args, &stderr)
	}
	o, err := parse([]string{"-jobs", "1", "-size", "4294967295"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, &options{jobs: 1, size: 4294967295}, o)
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
	const segment = 1 << 18
	for _, span := range [][2]int{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {2, 3}, {3, 2}, {24, 26}, {0, 1000}, {segment - 5, segment + 5}, {0, segment + 30}} {
		want := 0
		for n := span[0]; n < span[1]; n++ {
			if prime(n) {
				want++
			}
		}
		job := strconv.Itoa(span[0]) + " " + strconv.Itoa(span[1])
		got, err := countPrimes(t.Context(), []byte(job), func(string) {})
		require.NoError(t, err)
		assert.Equal(t, strconv.Itoa(want), string(got), job)
	}
	_, err := countPrimes(t.Context(), []byte("many"), nil)
	assert.Error(t, err)
}

func TestLinesAreWholeAndBounded(t *testing.T) {
	full := strings.Repeat("x", maxLine-1)
	for _, c := range []struct {
		in    string
		lines []string
		err   error
	}{
		{"", nil, nil},
		{"a\n\nb\r\n", []string{"a", "", "b\r"}, nil},
		{"a\nb", []string{"a"}, errHalfLine},
		{"a\n" + full + "\nb\n", []string{"a", full, "b"}, nil},
		{"a\n" + full + "x\nb\n", []string{"a"}, errLongLine},
		{full + full, nil, errLongLine},
	} {
		var lines []string
		err := readLines(strings.NewReader(c.in), func(line []byte) bool {
			lines = append(lines, string(line))
			return true
		})
		assert.Equal(t, c.err, err)
		assert.True(t, slices.Equal(c.lines, lines), "%.20q: %d lines", c.in, len(lines))
	}
}
