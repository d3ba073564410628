package main

import (
	"fmt"
	"log"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/driver"
)

// A tally counts what has come of the jobs, and shows it. If the standard error is a terminal, its last line is for the
// progress.
type tally struct {
	killed atomic.Bool

	mu           sync.Mutex
	terminal     bool
	ended, total uint
	percent      map[string]int // how far the jobs are that have not ended, by payload
	again        []string       // the jobs that a second worker has been given
}

func newTally() *tally {
	info, err := os.Stderr.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	t := &tally{terminal: terminal, percent: make(map[string]int)}
	log.SetOutput(t)
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
		t.percent[payload] = percent
		_ = t.write(os.Stderr, "")
	}
}

func (t *tally) end(payload, answer string) error {
	count, err := strconv.ParseUint(answer, 10, 32)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.percent, payload)
	t.ended, t.total = t.ended+1, t.total+uint(count)
	return t.write(os.Stdout, fmt.Sprintf("primes from %s: %d\n", payload, count))
}

// Write is for package log.
func (t *tally) Write(lines []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(lines), t.write(os.Stderr, string(lines))
}

// write writes lines where the progress is, which moves down.
func (t *tally) write(f *os.File, lines string) error {
	if t.terminal {
		done := 100 * int(t.ended)
		for _, percent := range t.percent {
			done += percent
		}
		fmt.Fprint(os.Stderr, "\r\x1b[K")
		defer fmt.Fprintf(os.Stderr, "%d%%, %d of %d jobs have ended ", done/int(*jobs), t.ended, *jobs)
	}
	_, err := f.WriteString(lines)
	return err
}

// summary prints the total and what ran again. If something went wrong it returns that, and how many jobs had ended.
func (t *tally) summary(err error) error {
	if t.terminal {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
		t.terminal = false
	}
	if len(t.again) > 0 {
		log.Printf("%d jobs ran again in another worker: %s", len(t.again), strings.Join(t.again, ", "))
	}
	if err != nil {
		return fmt.Errorf("%w; %d of %d jobs had ended", err, t.ended, *jobs)
	}
	return t.write(os.Stdout, fmt.Sprintf("%s\nprimes below %d: %d\n", strings.Repeat("-", 40), *jobs**size, t.total))
}
