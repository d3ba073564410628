package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A tally adds up the results.
type tally struct {
	mu               sync.Mutex
	primes, done     int
	first            error // of the jobs that failed
	failed           int
	quarter, all     chan struct{}
	quarterAt, allAt int
}

func newTally(jobs int) *tally {
	return &tally{quarter: make(chan struct{}), all: make(chan struct{}), quarterAt: max(1, jobs/4), allAt: jobs}
}

func (t *tally) add(job, result string, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := strconv.Atoi(result)
	if failed || err != nil {
		t.failed++
		if t.first == nil {
			t.first = fmt.Errorf("job %s: %.200q", job, result)
		}
	}
	t.primes += n
	t.done++
	if t.done == t.quarterAt {
		close(t.quarter)
	}
	if t.done == t.allAt {
		close(t.all)
	}
}

func (t *tally) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done
}

// dispatch submits the jobs, has workers do them, and adds the results up.
func dispatch(ctx context.Context, o *options, out io.Writer) error {
	serverURL := o.url
	if serverURL == "" {
		s, stop, err := startServer(o.listen, o.store)
		if err != nil {
			return err
		}
		defer stop()
		serverURL = s.ClientURL()
	}
	nc, err := connect(serverURL)
	if err != nil {
		return err
	}
	defer nc.Close()
	q, err := openQueue(ctx, nc, o.prefix, labelOf(o.jobs, o.size), o.fresh)
	if err != nil {
		return err
	}
	log.Printf("more workers join with: %s", hint(o, joinURL(serverURL)))

	results := newTally(o.jobs)
	stop, err := q.collect(ctx, results.add)
	if err != nil {
		return err
	}
	defer stop()
	d, err := startDispatcher(ctx, nc, q, o.beat)
	if err != nil {
		return err
	}
	began := time.Now()
	report := func() string {
		return fmt.Sprintf("%d of %d results; %s", results.count(), o.jobs, d)
	}
	stopProgress := sync.OnceFunc(showProgress(os.Stderr, report))
	workers := &workforce{}
	defer workers.end()
	end := sync.OnceFunc(func() { d.close(); stopProgress() })
	defer end()
	if err := workers.start(o, serverURL); err != nil {
		return err
	}
	submitted := make(chan error, 1)
	go func() {
		submitted <- q.submit(ctx, o.jobs, func(job int) []byte { return fmt.Appendf(nil, "%d %d", (job-1)*o.size, job*o.size) })
	}()

	for _, come := range []chan struct{}{results.quarter, results.all} {
		select {
		case <-come:
		case <-ctx.Done():
			end()
			return fmt.Errorf("interrupted: %s%s", report(), goOn(o))
		}
		if come == results.quarter {
			workers.kill(o.kill)
		}
	}
	took := time.Since(began)
	end()
	if err := <-submitted; err != nil {
		return err
	}
	text := fmt.Sprintf("primes below %d: %d\n", o.jobs*o.size, results.primes)
	if o.stats {
		text += fmt.Sprintf("%d jobs in %v: %.0f a second\n", o.jobs, took.Round(time.Millisecond), float64(o.jobs)/took.Seconds())
	}
	if o.stats || o.kill > 0 {
		text += d.String() + "\n"
	}
	if results.failed > 0 {
		return fmt.Errorf("%d of %d jobs failed, the first was %w; -new runs all again", results.failed, o.jobs, results.first)
	}
	_, err = io.WriteString(out, text)
	return err
}

func labelOf(jobs, size int) string { return fmt.Sprintf("primes: %d jobs of %d numbers", jobs, size) }

func goOn(o *options) string {
	if o.url == "" && o.store == "" {
		return ""
	}
	return "; the same command goes on"
}

// A workforce is the worker processes that this one has started. They end with it, however it ends.
type workforce struct{ all []*exec.Cmd }

func (w *workforce) start(o *options, serverURL string) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	for range o.workers {
		cmd := exec.Command(executable, "-child", "-url", serverURL, "-prefix", o.prefix, "-beat", o.beat.String())
		cmd.Stderr = os.Stderr
		if _, err := cmd.StdinPipe(); err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		w.all = append(w.all, cmd)
	}
	return nil
}

func (w *workforce) kill(n int) {
	for _, cmd := range w.all[:n] {
		_ = cmd.Process.Kill()
	}
}

// end waits for the workers. Those that have not shut down, because the dispatcher did not reach them, are told again.
func (w *workforce) end() {
	for _, cmd := range w.all {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
	}
}
