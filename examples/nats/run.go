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

	"github.com/workerchannel/workerchannel/examples/internal/safetext"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

// A tally adds up the results.
type tally struct {
	most             int // primes in a job
	mu               sync.Mutex
	primes, done     int
	first            error // of the jobs that failed
	failed           int
	quarter, all     chan struct{}
	quarterAt, allAt int
}

func newTally(jobs, size int) *tally {
	return &tally{most: size, quarter: make(chan struct{}), all: make(chan struct{}), quarterAt: max(1, jobs/4), allAt: jobs}
}

// add takes the result of a job. There is one of each, but others may write to the stream, too.
func (t *tally) add(job, result string, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if number, err := strconv.Atoi(job); err != nil || number < 1 || number > t.allAt || job != strconv.Itoa(number) {
		log.Printf("ignoring a result of job %.100q, which is none of the jobs", job)
		return
	}
	n, err := strconv.Atoi(result)
	if failed || err != nil || n < 0 || n > t.most {
		t.failed++
		if t.first == nil {
			t.first = fmt.Errorf("job %s: %.200q", job, result)
		}
		n = 0
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
func dispatch(ctx context.Context, o *options, shown *tool.Progress, out io.Writer) error {
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

	results := newTally(o.jobs, o.size)
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
		return fmt.Sprintf("%d of %s; %s", results.count(), tool.Count(o.jobs, "result"), d)
	}
	stopProgress := sync.OnceFunc(showProgress(shown, report))
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
			return fmt.Errorf("%w; %s%s", context.Cause(ctx), report(), goOn(o))
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
		text += fmt.Sprintf("%s in %v: %.0f a second\n", tool.Count(o.jobs, "job"), took.Round(time.Millisecond), float64(o.jobs)/took.Seconds())
	}
	if o.stats || o.kill > 0 {
		text += d.String() + "\n"
	}
	if results.failed > 0 {
		return tool.Finding{Err: fmt.Errorf("%d of %s failed, the first was %w; -new runs all again", results.failed, tool.Count(o.jobs, "job"), results.first)}
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
type workforce struct {
	all  []*exec.Cmd
	said []*safetext.Lines // on their standard errors
}

func (w *workforce) start(o *options, serverURL string) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	for range o.workers {
		cmd := exec.Command(executable, "-child", "-url", serverURL, "-prefix", o.prefix, "-beat", o.beat.String())
		said := safetext.NewLines(func(line string) { log.Print("worker: ", line) })
		cmd.Stderr = said
		if _, err := cmd.StdinPipe(); err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		w.all, w.said = append(w.all, cmd), append(w.said, said)
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
	for i, cmd := range w.all {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
		w.said[i].Flush()
	}
}
