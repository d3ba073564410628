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

// The test binary starts itself as the worker; the value of workerEnv says which one.
func TestMain(m *testing.M) {
	mode := os.Getenv(workerEnv)
	if mode == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0") // or the race detector has each worker linger for a second
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

func TestProgramCountsThePrimesAlsoWhenItsWorkerIsKilled(t *testing.T) {
	for _, args := range [][]string{nil, {"-kill"}, {"-v", "-kill"}} {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), append(args, "-jobs", "8", "-size", "125000"), &out))
		assert.True(t, strings.HasSuffix(out.String(), "\nprimes below 1000000: 78498\n"), out.String())
		assert.Equal(t, 8, strings.Count(out.String(), "primes from"), "every result once")
	}
}

func TestInterruptedProgramCancelsItsJobs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, run(ctx, []string{"-jobs", "2"}, io.Discard), context.Canceled)
}

func TestPrimesAreThoseThatTrialDivisionFinds(t *testing.T) {
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
