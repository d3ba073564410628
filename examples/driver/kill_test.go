//go:build unix

package driver

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Processes are killed, as by kill -9, each when it has 50 jobs in flight, while 500 callers go on calling.
func TestEveryCallerHasOneAnswerThoughWorkersAreKilled(t *testing.T) {
	const callers, workers, window = 500, 2, 50
	kills := 4
	switch {
	case *full:
		kills = 10
	case raceEnabled:
		kills = 6
	case testing.Short():
		kills = 2
	}
	var mu sync.Mutex
	started := map[uint64]*exec.Cmd{} // by the ids of the processes
	dial := func(context.Context) (Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		cmd := command(t, "many")
		conn, err := Start(cmd)
		if err == nil {
			started[uint64(cmd.Process.Pid)] = cmd
		}
		return conn, err
	}
	withProcesses(t, func(h *Host) {
		busiest := func() *exec.Cmd { // a process all of whose jobs are in flight
			for _, w := range h.Stats().Workers {
				var pid uint64
				if _, err := fmt.Sscanf(w.ID, "worker-%d-", &pid); err == nil && w.Calls == window {
					mu.Lock()
					defer mu.Unlock()
					cmd := started[pid]
					delete(started, pid)
					return cmd
				}
			}
			return nil
		}
		done := make(chan struct{})
		var killer, callersLeft sync.WaitGroup
		killer.Go(func() {
			defer close(done)
			for range kills {
				var victim *exec.Cmd
				if !assert.Eventually(t, func() bool { victim = busiest(); return victim != nil }, time.Minute, time.Millisecond) {
					return
				}
				_ = victim.Process.Kill()
			}
		})
		var answered atomic.Uint64
		for i := range callers {
			callersLeft.Go(func() {
				for j := 0; ; j++ {
					payload := fmt.Sprint(i, "/", j)
					data, err := h.Do(t.Context(), []byte(payload))
					if assert.NoError(t, err) && assert.Equal(t, payload, string(data)) {
						answered.Add(1)
					}
					select {
					case <-done:
						if j >= 4 {
							return
						}
					default:
					}
				}
			})
		}
		callersLeft.Wait()
		killer.Wait()
		s := h.Stats()
		assert.Equal(t, s.Calls, answered.Load())
		assert.Equal(t, s.Calls, s.Succeeded)
		assert.GreaterOrEqual(t, s.Retries, uint64(kills*window/2))
		t.Logf("%d calls, %d workers, %d retries", s.Calls, s.WorkersStarted, s.Retries)
	}, WithWorkers(workers, dial), WithWindow(window), WithTries(kills+1))
}
