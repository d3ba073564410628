package main

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

// A tally counts what has come of the jobs, and shows it.
type tally struct {
	killed atomic.Bool
	shown  *tool.Progress
	stdout io.Writer

	mu           sync.Mutex
	ended, total uint
	percent      map[string]int // how far the jobs are that have not ended, by payload
	again        []string       // the jobs that a second worker has been given
}

func newTally() *tally {
	t := &tally{shown: tool.NewProgress(os.Stderr), percent: make(map[string]int)}
	t.stdout = t.shown.Above(os.Stdout)
	log.SetOutput(t.shown)
	if !*verbose {
		slog.SetLogLoggerLevel(slog.LevelWarn)
	}
	return t
}

// message sees every message.
func (t *tally) message(e driver.Event) {
	if e.Kind != driver.EventSent && e.Kind != driver.EventReceived {
		return
	}
	env := e.Envelope
	if *verbose {
		log.Print(env)
	}
	if op, ok := env.Op.(workerchannel.SpawnJob); ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		payload := string(op.Payload)
		if _, given := t.percent[payload]; given {
			t.again = append(t.again, payload)
		}
		t.percent[payload] = 0
	}
}

func (t *tally) progress(payload, detail string) {
	if percent, err := strconv.Atoi(strings.TrimSuffix(detail, "%")); err == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.percent[payload] = min(max(percent, 0), 100)
		t.show()
	}
}

func (t *tally) end(payload, answer string) error {
	count, err := strconv.ParseUint(answer, 10, 32)
	if err != nil {
		return fmt.Errorf("expected a number of primes, got %.100q", answer)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.percent, payload)
	t.ended, t.total = t.ended+1, t.total+uint(count)
	t.show()
	_, err = fmt.Fprintf(t.stdout, "primes from %s: %d\n", payload, count)
	return err
}

func (t *tally) show() {
	done := 100 * int(t.ended)
	for _, percent := range t.percent {
		done += percent
	}
	t.shown.Show(fmt.Sprintf("%d%%, %d of %s ended ", done/int(*jobs), t.ended, tool.Count(*jobs, "job")))
}

// summary prints the total and what ran again. If something went wrong it returns that, and how many jobs had ended.
func (t *tally) summary(err error) error {
	t.shown.Show("")
	if len(t.again) > 0 {
		log.Printf("%s ran again in another worker: %s", tool.Count(len(t.again), "job"), strings.Join(t.again, ", "))
	}
	if err != nil {
		return fmt.Errorf("%w; %d of %s had ended", err, t.ended, tool.Count(*jobs, "job"))
	}
	_, err = fmt.Fprintf(t.stdout, "%s\nprimes below %d: %d\n", strings.Repeat("-", 40), *jobs**size, t.total)
	return err
}
