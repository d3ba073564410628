package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

// The test binary starts itself as the program.
func TestMain(m *testing.M) {
	if os.Getenv("NATS_EXAMPLE_PROGRAM") != "" || len(os.Args) > 1 && os.Args[1] == "-child" {
		if os.Getenv("NATS_EXAMPLE_EVIL") != "" && os.Args[1] == "-child" {
			os.Stderr.WriteString(tooltest.AllEvil + strings.Repeat("x", 1<<20) + "\n" + tooltest.AllEvil)
		}
		main()
		return
	}
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0") // otherwise each process ends a second later under the race detector
	os.Exit(m.Run())
}

// A program is a process.
type program struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func start(t *testing.T, args ...string) *program {
	p := &program{Cmd: exec.Command(os.Args[0], args...)}
	p.Env = append(os.Environ(), "NATS_EXAMPLE_PROGRAM=1")
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	require.NoError(t, p.Start())
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	return p
}

// kill -9
func (p *program) kill(t *testing.T) {
	require.NoError(t, p.Process.Kill())
	assert.Error(t, p.Wait())
}

// interrupt interrupts the program and returns what it exits with.
func (p *program) interrupt(t *testing.T) int {
	require.NoError(t, p.Process.Signal(os.Interrupt))
	_ = p.Wait()
	return p.ProcessState.ExitCode()
}

// newServer starts a NATS server with default settings and JetStream.
func newServer(t *testing.T) *server.Server {
	s, stop, err := startServer("127.0.0.1:0", t.TempDir())
	require.NoError(t, err)
	t.Cleanup(stop)
	return s
}

func dial(t *testing.T, url string) *nats.Conn {
	nc, err := connect(url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

const label = "test"

func newQueue(t *testing.T, nc *nats.Conn) *queue {
	q, err := openQueue(t.Context(), nc, "test", label, false)
	require.NoError(t, err)
	return q
}

// results reads the stream of results as it is.
func (q *queue) all(t *testing.T) (results map[string]string, messages uint64) {
	info, err := q.results.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	results = map[string]string{}
	for seq := info.State.FirstSeq; seq > 0 && seq <= info.State.LastSeq; seq++ {
		m, err := q.results.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		assert.Empty(t, m.Header.Get(errorHeader), "%s", m.Data)
		results[m.Subject] = string(m.Data)
	}
	return results, info.State.Msgs
}

// The dispatcher and two of four workers are killed with SIGKILL during 2,000 jobs.
func TestEveryResultIsThereOnceThoughTheDispatcherAndTwoOfFourWorkersAreKilled(t *testing.T) {
	const jobs, size = 2000, 5000
	url := newServer(t).ClientURL()
	var workers []*program
	for range 4 {
		workers = append(workers, start(t, "-worker", "-url", url, "-beat", "200ms"))
	}
	args := []string{"-url", url, "-workers", "0", "-jobs", fmt.Sprint(jobs), "-size", fmt.Sprint(size), "-beat", "200ms", "-stats"}
	first := start(t, args...)

	nc := dial(t, url)
	quarter := make(chan struct{})
	came := 0
	sub, err := nc.Subscribe(defaultPrefix+".result.*", func(*nats.Msg) {
		if came++; came == jobs/4 {
			close(quarter)
		}
	})
	require.NoError(t, err)
	defer sub.Unsubscribe()
	<-quarter
	first.kill(t)
	workers[0].kill(t)
	workers[1].kill(t)
	q, err := openQueue(t.Context(), nc, defaultPrefix, labelOf(jobs, size), false)
	require.NoError(t, err)
	results, _ := q.all(t)
	require.Less(t, len(results), jobs, "all were there before the dispatcher was killed")

	second := start(t, args...)
	require.NoError(t, second.Wait(), "%s", &second.stderr)
	assert.Contains(t, second.stdout.String(), "primes below 10000000: 664579\n")
	assert.Regexp(t, `\b[2-9] workers joined`, second.stdout.String(), "one that seems to be dead on a busy machine joins again")

	results, messages := q.all(t)
	assert.Len(t, results, jobs)
	assert.EqualValues(t, jobs, messages)
	total := 0
	for _, r := range results {
		n, err := strconv.Atoi(r)
		require.NoError(t, err)
		total += n
	}
	assert.Equal(t, 664_579, total, "the primes below 10 million")
	info, err := q.jobs.Info(t.Context())
	require.NoError(t, err)
	assert.Zero(t, info.State.Msgs, "jobs that have not been acknowledged")

	// The others wait for the next dispatcher.
	for _, w := range workers[2:] {
		assert.Equal(t, tool.Interrupted, w.interrupt(t))
		assert.Regexp(t, `^nats: interrupted; \d+ jobs done\n$`, w.stderr.String())
	}
	t.Log(second.stdout.String())
}

// Everything in one process tree, the server included, is killed; only the directory is left.
func TestProgramGoesOnFromItsDirectory(t *testing.T) {
	for jobs := 2000; ; jobs *= 2 { // until it is killed in the middle, as it may be fast
		dir, address, size := t.TempDir(), freeAddress(t), 10_000_000/jobs
		args := []string{"-store", dir, "-listen", address, "-jobs", fmt.Sprint(jobs), "-size", fmt.Sprint(size), "-workers", "2"}
		killWithResults(t, start(t, args...), address)

		_, stop, err := startServer(address, dir)
		require.NoError(t, err)
		q, err := openQueue(t.Context(), dial(t, "nats://"+address), defaultPrefix, labelOf(jobs, size), false)
		require.NoError(t, err)
		results, _ := q.all(t)
		stop()
		require.NotEmpty(t, results)
		if len(results) == jobs {
			continue
		}
		second := start(t, args...)
		require.NoError(t, second.Wait(), "%s", &second.stderr)
		assert.Equal(t, "primes below 10000000: 664579\n", second.stdout.String())
		return
	}
}

// killWithResults kills the program when 20 of its results have come, if it does not end before.
func killWithResults(t *testing.T, p *program, address string) {
	nc, err := nats.Connect("nats://"+address, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	require.NoError(t, err)
	defer nc.Close()
	sub, err := nc.SubscribeSync(defaultPrefix + ".result.*")
	require.NoError(t, err)
	running, ended := context.WithCancel(t.Context())
	go func() {
		_ = p.Wait()
		ended()
	}()
	for range 20 {
		if _, err := sub.NextMsgWithContext(running); err != nil {
			break
		}
	}
	_ = p.Process.Kill()
	<-running.Done()
}

func TestInterruptedProgramEndsWithOneSummary(t *testing.T) {
	url := newServer(t).ClientURL()
	nc := dial(t, url)
	sub, err := nc.SubscribeSync(defaultPrefix + ".result.*")
	require.NoError(t, err)
	p := start(t, "-url", url, "-workers", "2")
	_, err = sub.NextMsgWithContext(t.Context())
	require.NoError(t, err)
	assert.Equal(t, tool.Interrupted, p.interrupt(t))
	assert.Regexp(t, `^more workers join with: .*\nnats: interrupted; \d+ of 2000 results; \d workers? joined, \d+ jobs? ran again; the same command goes on\n$`, p.stderr.String())
	assert.Empty(t, p.stdout.String())
}

// A server that is restarted keeps its streams, and its clients connect again.
func TestWorkGoesOnWhenTheServerRestarts(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	_, stop, err := startServer(address, dir)
	require.NoError(t, err)
	url := "nats://" + address
	p := start(t, "-url", url, "-jobs", "400", "-size", "25000", "-workers", "2", "-beat", "200ms")
	sub, err := dial(t, url).SubscribeSync(defaultPrefix + ".result.*")
	require.NoError(t, err)
	for range 20 {
		_, err := sub.NextMsgWithContext(t.Context())
		require.NoError(t, err)
	}
	stop()
	_, stop, err = startServer(address, dir)
	require.NoError(t, err)
	defer stop()
	require.NoError(t, p.Wait(), "%s", &p.stderr)
	assert.Equal(t, "primes below 10000000: 664579\n", p.stdout.String())
}

// A worker that dies while there is nothing to do is not missed, and may come back.
func TestIdleWorkersComeAndGo(t *testing.T) {
	url := newServer(t).ClientURL()
	nc := dial(t, url)
	q := newQueue(t, nc)
	d, err := startDispatcher(t.Context(), nc, q, 50*time.Millisecond)
	require.NoError(t, err)
	results := make(chan string)
	stop, err := q.collect(t.Context(), func(job, result string, failed bool) { results <- fmt.Sprint(job, " ", result, failed) })
	require.NoError(t, err)
	defer stop()
	var w *program
	for n := range 3 {
		if w != nil {
			w.kill(t)
		}
		w = start(t, "-worker", "-url", url, "-prefix", "test", "-beat", "50ms")
		require.NoError(t, q.submit(t.Context(), n+1, func(int) []byte { return []byte("0 100") }))
		assert.Equal(t, fmt.Sprint(n+1, " 25", false), <-results)
	}
	d.close()
	assert.Equal(t, tool.Interrupted, w.interrupt(t))
}

func freeAddress(t *testing.T) string {
	s, stop, err := startServer("127.0.0.1:0", t.TempDir())
	require.NoError(t, err)
	defer stop()
	return s.Addr().String()
}
