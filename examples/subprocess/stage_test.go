package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel"
)

// A stage is a host whose workers are those named, one after the other; the last is started again and again. The
// test owns the ticks.
type stage struct {
	*Host
	t     *testing.T
	ticks chan time.Time
	gate  *os.File // closing it opens the gate
	ran   chan error
	trace chan workerchannel.Op // all messages but status snapshots
	plain chan workerchannel.Op // status snapshots without a detail

	mu       sync.Mutex
	commands []*exec.Cmd
	log      []string
	ids      []string // of the workers that announced themselves
}

func newStage(t *testing.T, limits Limits, names ...string) *stage {
	if runtime.GOOS == "windows" {
		t.Skip("a process on Windows cannot inherit the pipe that is the workers' gate")
	}
	inner, gate, err := os.Pipe()
	require.NoError(t, err)
	s := &stage{t: t, ticks: make(chan time.Time), gate: gate, ran: make(chan error, 1), trace: make(chan workerchannel.Op, 1000), plain: make(chan workerchannel.Op, 1000)}
	s.Host = NewHost(Config{
		Limits: limits,
		Command: func() *exec.Cmd {
			s.mu.Lock()
			defer s.mu.Unlock()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), workerEnv+"="+names[min(len(s.commands), len(names)-1)])
			cmd.ExtraFiles = []*os.File{inner}
			s.commands = append(s.commands, cmd)
			return cmd
		},
		Log: func(format string, args ...any) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.log = append(s.log, fmt.Sprintf(format, args...))
		},
		Trace: func(_ uint64, env workerchannel.Envelope) {
			switch op := env.Op.(type) {
			case workerchannel.StatusSnapshot:
				if op.Detail == nil {
					select {
					case s.plain <- op:
					default:
					}
				}
				return
			case workerchannel.BootstrapReady:
				s.mu.Lock()
				s.ids = append(s.ids, op.WorkerID)
				s.mu.Unlock()
			}
			s.trace <- env.Op
		},
	})
	go func() {
		defer close(s.ran)
		s.ran <- s.Run(s.ticks)
	}()
	t.Cleanup(func() {
		s.Stop()
		for s.tick() {
		}
		for range s.ran { // until Run has returned
		}
		gate.Close()
		inner.Close()
		assert.Equal(t, len(s.commands), len(s.exits()), "every process has been waited for")
		assert.Eventually(t, func() bool { return !strings.Contains(stacks(), "main.(*process)") }, 10*time.Second, time.Millisecond, "goroutines are left")
	})
	return s
}

// history returns the jobs that were spawned and those that completed, after Run has returned.
func (s *stage) history() (spawned, completed []uint64) {
	close(s.trace)
	for op := range s.trace {
		switch op := op.(type) {
		case workerchannel.SpawnJob:
			spawned = append(spawned, op.JobID)
		case workerchannel.JobCompleted:
			completed = append(completed, op.JobID)
		}
	}
	return spawned, completed
}

func countOf(ids []uint64, id uint64) (n int) {
	for _, i := range ids {
		if i == id {
			n++
		}
	}
	return n
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// tick begins a turn. It returns false if the host has ended.
func (s *stage) tick() bool {
	select {
	case s.ticks <- time.Time{}:
		return true
	case <-s.done:
		return false
	}
}

// await waits until the host has taken from the outbox or received such a message.
func (s *stage) await(op workerchannel.Op) {
	for got := range s.trace {
		if assert.ObjectsAreEqual(op, got) {
			return
		}
	}
}

func (s *stage) started() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.commands)
}

// exits returns how the processes that have ended did so.
func (s *stage) exits() (states []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cmd := range s.commands {
		if cmd.ProcessState != nil {
			states = append(states, cmd.ProcessState.String())
		}
	}
	return states
}

// kill kills the present worker, as anybody may do.
func (s *stage) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(s.t, s.commands[len(s.commands)-1].Process.Kill())
}

// A call is one call of Do in a goroutine of its own.
type call struct {
	payload []byte
	cancel  context.CancelFunc
	begun   chan struct{} // closed by the first progress
	result  chan result
}

func (s *stage) call(payload []byte) *call {
	ctx, cancel := context.WithCancel(context.Background())
	c := &call{payload: payload, cancel: cancel, begun: make(chan struct{}), result: make(chan result, 1)}
	s.t.Cleanup(cancel)
	var once sync.Once
	go func() {
		answer, err := s.Do(ctx, payload, func(string) { once.Do(func() { close(c.begun) }) })
		c.result <- result{answer, err}
	}()
	return c
}

// submit does what Do does first. The loop has received the call when submit returns, and its cancel when cancel
// returns.
func (s *stage) submit(payload []byte) *call {
	r := &request{payload: payload, result: make(chan result, 1)}
	c := &call{payload: payload, begun: make(chan struct{}), result: r.result}
	var once sync.Once
	r.progress = func(string) { once.Do(func() { close(c.begun) }) }
	c.cancel = func() { s.cancelled <- r }
	s.submitted <- r
	return c
}

// calls submits n calls, so that the first call i is job i+1.
func (s *stage) calls(n int) (calls []*call) {
	for i := range n {
		calls = append(calls, s.submit(fmt.Appendf(nil, "payload %d", i)))
	}
	return calls
}

// requireHashes checks that every call returns the right result.
func requireHashes(t *testing.T, calls []*call) {
	for _, c := range calls {
		res := <-c.result
		require.NoError(t, res.err)
		require.Equal(t, digest(c.payload), res.payload)
	}
}
