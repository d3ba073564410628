//go:build unix

package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// situationEnv is the file to which workers of the kind "situation" write what they begin, and what they do: how many
// handlers they have, after how many jobs they leave in order, and whether they drain then.
const situationEnv = "WORKERCHANNEL_SITUATION"

func init() { processes["situation"] = situation }

func situation() {
	var file string
	var handlers, leaveAfter int
	var drain bool
	if _, err := fmt.Sscan(os.Getenv(situationEnv), &file, &handlers, &leaveAfter, &drain); err != nil {
		panic(err)
	}
	begun, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	ctx, leave := context.WithCancelCause(context.Background())
	opts := []ServeOption{WithConcurrency(handlers)}
	if drain {
		opts = append(opts, WithDrain())
	}
	count := make(chan struct{}, 1000)
	go func() {
		for range leaveAfter {
			<-count
		}
		if leaveAfter > 0 {
			leave(errors.New("has done its jobs"))
		}
	}()
	_ = Serve(ctx, Stdio(), "", func(ctx context.Context, job *Job) ([]byte, error) {
		fmt.Fprintln(begun, job.ID) // one write
		count <- struct{}{}
		words := strings.Fields(string(job.Payload))
		d, err := time.ParseDuration(words[0])
		if err != nil {
			return nil, err
		}
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if len(words) > 1 {
			os.Exit(3)
		}
		return job.Payload, nil
	}, opts...)
}

// situations starts workers of the kind "situation", and returns how often each call is begun.
func situations(t *testing.T, handlers, leaveAfter int, drain bool) (Dial, func() map[uint64]int) {
	file := filepath.Join(t.TempDir(), "begun")
	dial := func(context.Context) (Conn, error) {
		cmd := command(t, "situation")
		cmd.Env = append(cmd.Env, fmt.Sprint(situationEnv, "=", file, " ", handlers, " ", leaveAfter, " ", drain))
		return Start(cmd)
	}
	return dial, func() map[uint64]int {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		begun := map[uint64]int{}
		for word := range strings.FieldsSeq(string(data)) {
			id, err := strconv.ParseUint(word, 10, 64)
			require.NoError(t, err)
			begun[id]++
		}
		return begun
	}
}

func TestProcessesThatExitTakeNoGoodCallWithThem(t *testing.T) {
	calls, runs := 100, 1
	if *full {
		calls, runs = 200, 100
	}
	for range runs {
		processesThatExit(t, calls)
	}
}

// processesThatExit makes calls of which one in twenty ends its worker at once.
func processesThatExit(t *testing.T, calls int) {
	dial, begun := situations(t, 1, 0, false)
	withProcesses(t, func(h *Host) {
		var good, bad []<-chan result
		for i := range calls {
			if i%20 == 7 {
				bad = append(bad, do(h, t.Context(), "0s exits"))
			} else {
				good = append(good, do(h, t.Context(), "1ms"))
			}
		}
		for _, c := range good {
			require.NoError(t, (<-c).err)
		}
		for _, c := range bad {
			var e *GivenUpError
			require.ErrorAs(t, (<-c).err, &e)
			assert.Equal(t, 3, e.Workers)
		}
		assert.Len(t, begun(), calls)
	}, WithBackoff(time.Millisecond, time.Millisecond), WithWorkers(4, dial))
}

func TestAPoisonCallInAProcessWithSeveralHandlersHarmsNoOther(t *testing.T) {
	for _, workers := range []int{1, 2, 4} {
		dial, _ := situations(t, 4, 0, false)
		withProcesses(t, func(h *Host) {
			poison := do(h, t.Context(), "10ms exits")
			var good []<-chan result
			for range 15 {
				good = append(good, do(h, t.Context(), "30ms"))
			}
			for _, c := range good {
				require.NoError(t, (<-c).err)
			}
			var e *GivenUpError
			require.ErrorAs(t, (<-poison).err, &e)
			assert.Equal(t, 3, e.Workers)
		}, WithBackoff(time.Millisecond, time.Millisecond), WithWorkers(workers, dial))
	}
}

func TestProcessesThatLeaveInOrderLoseNoCall(t *testing.T) {
	for _, handlers := range []int{1, 4} {
		for _, after := range []int{1, 2, 10} {
			for _, tries := range []int{1, 3} {
				t.Run(fmt.Sprint(handlers, " handlers, after ", after, ", tries ", tries), func(t *testing.T) {
					if tries > 1 && !*full && !raceEnabled {
						t.Skip("needs -full or -race")
					}
					dial, begun := situations(t, handlers, after, true)
					withProcesses(t, func(h *Host) {
						var calls []<-chan result
						for range 20 {
							calls = append(calls, do(h, t.Context(), "1ms"))
						}
						for _, c := range calls {
							require.NoError(t, (<-c).err)
						}
						for id, n := range begun() {
							if tries == 1 {
								assert.Equal(t, 1, n, "call %d", id)
							}
						}
					}, WithTries(tries), WithBackoff(time.Millisecond, time.Millisecond), WithWorkers(2, dial))
				})
			}
		}
	}
}

func TestAProcessThatIsAskedToEndIsNotChargedToItsCall(t *testing.T) {
	dial, begun := situations(t, 1, 1, false) // asked as soon as it has begun
	withProcesses(t, func(h *Host) {
		err := second(h.Do(t.Context(), []byte("1h")))
		assert.Equal(t, &NoWorkerError{Attempts: 4, Last: errLeft}, err)
		assert.Equal(t, map[uint64]int{1: 4}, begun())
	}, WithAttempts(4), WithBackoff(time.Millisecond, time.Millisecond), WithWorkers(1, dial))
}
