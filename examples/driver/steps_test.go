package driver

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// staffed returns a scheduler with n calls, and as few workers as can have them.
func staffed(n int, r rules) (s *scheduler, workers []*slot) {
	s = newScheduler(r)
	for range n {
		_ = s.submit(new(call))
	}
	for s.backlog.len > 0 {
		w := readySlot(s)
		s.workerCapacity(w, maxCapacity)
		workers = append(workers, w)
	}
	for _, w := range workers {
		s.takeOrders(w)
		for i, c := range sortedCalls(w.calls) {
			s.callGiven(w, c)
			if i%2 == 0 {
				s.callBegun(w, c)
			}
		}
	}
	return s, workers
}

// suspected returns a scheduler with n suspects that wait.
func suspected(n int, r rules) *scheduler {
	s, workers := staffed(n, r)
	for _, w := range workers {
		s.workerLeft(w, endedByItself, errDied)
	}
	return s
}

// waitingIn returns n calls of a host that wait, of a region if there is one.
func waitingIn(h *Host, r *Region, n int) (answers []<-chan result) {
	for range n {
		answers = append(answers, do(h, context.Background(), "", InRegion(r)))
	}
	synctest.Wait()
	return answers
}

func requireAll(t *testing.T, answers []<-chan result, want error) {
	for _, a := range answers {
		require.ErrorIs(t, (<-a).err, want)
	}
}

// What ends n calls at once, or has them wait again.
var massEnds = map[string]func(t *testing.T, n int){
	"workers end by themselves, and the suspects run": func(t *testing.T, n int) {
		s := suspected(n, rules{})
		require.Len(t, s.backlog.suspects, n)
		w := readySlot(s)
		for range n {
			s.finish(w)
		}
		require.Equal(t, uint64(n), s.counts.Succeeded)
	},
	"suspects run in many workers": func(t *testing.T, n int) {
		s := suspected(n, rules{})
		var workers []*slot
		for range n / 16 {
			workers = append(workers, readySlot(s))
		}
		for i := range n {
			s.finish(workers[i%len(workers)])
		}
		require.Equal(t, uint64(n), s.counts.Succeeded)
	},
	"a region of suspects is cancelled beside many workers": func(t *testing.T, n int) {
		s := suspected(n, rules{})
		for range n / 16 {
			readySlot(s)
		}
		r := newRegion(1)
		for _, c := range s.backlog.suspects {
			c.region, r.calls[c.id] = r, c
		}
		require.Equal(t, n-n/16, s.cancelRegion(r, errTest, ""))
	},
	"workers leave in order": func(t *testing.T, n int) {
		s, workers := staffed(n, rules{attempts: 5})
		for _, w := range workers {
			s.workerCapacity(w, 0)
			s.workerLeft(w, endedInOrder, errLeft)
		}
		require.Equal(t, n, s.backlog.len)
	},
	"workers end that have not begun": func(t *testing.T, n int) {
		s, workers := staffed(n, rules{})
		for _, w := range workers {
			for _, c := range w.calls {
				c.given = false
			}
			s.workerEnding(w)
			s.workerLeft(w, endedByItself, errDied)
		}
		require.Equal(t, n, s.backlog.len)
	},
	"suspects are given up": func(t *testing.T, n int) {
		s := suspected(n, rules{attempts: 1})
		s.attemptFailed(new(post), errDied)
		require.Equal(t, uint64(n), s.counts.NoWorker)
	},
	"suspects wait too long": func(t *testing.T, n int) {
		s := suspected(n, rules{expire: true})
		s.expireAll(s.dry, time.Second)
		require.Equal(t, uint64(n), s.counts.NoWorker)
	},
	"a region of suspects is cancelled": func(t *testing.T, n int) {
		s := suspected(n, rules{})
		r := newRegion(1)
		for _, c := range s.backlog.suspects {
			c.region, r.calls[c.id] = r, c
		}
		require.Equal(t, n, s.cancelRegion(r, errTest, ""))
	},
	"suspects are stopped": func(t *testing.T, n int) {
		s := suspected(n, rules{})
		s.stop()
		require.Equal(t, uint64(n), s.counts.Stopped)
	},
	"workers die that have all calls": func(t *testing.T, n int) {
		withHost(t, func(t *testing.T, h *Host) {
			answers := waitingIn(h, nil, n)
			for range n / maxCapacity {
				conn, _ := play(t, func(p *peer) {
					p.announce()
					p.sayCapacity(fmt.Sprint(maxCapacity))
					time.AfterFunc(time.Second, func() { _ = p.conn.Close() })
					for {
						p.receive()
					}
				})(t.Context())
				require.NoError(t, h.Attach(conn))
			}
			time.Sleep(2 * time.Second)
			require.Equal(t, []uint64{uint64(n), uint64(n)}, []uint64{uint64(h.Stats().Waiting), h.Stats().Retries})
			require.NoError(t, h.Stop(t.Context()))
			requireAll(t, answers, ErrStopped)
		})
	},
	"a host stops": func(t *testing.T, n int) {
		withHost(t, func(t *testing.T, h *Host) {
			answers := waitingIn(h, nil, n)
			require.NoError(t, h.Stop(t.Context()))
			requireAll(t, answers, ErrStopped)
		})
	},
	"a region is cancelled": func(t *testing.T, n int) {
		withHost(t, func(t *testing.T, h *Host) {
			r := h.NewRegion()
			answers := waitingIn(h, r, n)
			require.Equal(t, n, r.Cancel(errTest))
			requireAll(t, answers, errTest)
		})
	},
	"no worker can be started": func(t *testing.T, n int) {
		withHost(t, func(t *testing.T, h *Host) {
			requireAll(t, waitingIn(h, nil, n), errDied)
		}, WithAttempts(1), WithWorkers(1, func(context.Context) (Conn, error) {
			time.Sleep(time.Second)
			return nil, errDied
		}))
	},
	"no worker has been ready for long": func(t *testing.T, n int) {
		withHost(t, func(t *testing.T, h *Host) {
			requireAll(t, waitingIn(h, nil, n), ErrNoWorker)
		}, WithNoWorkerAfter(time.Second))
	},
	"calls end with their context": func(t *testing.T, n int) {
		withHost(t, func(t *testing.T, h *Host) {
			ctx, cancel := context.WithCancel(t.Context())
			var answers []<-chan result
			for range n {
				answers = append(answers, do(h, ctx, ""))
			}
			synctest.Wait()
			cancel()
			requireAll(t, answers, context.Canceled)
		})
	},
}

var (
	stepsOf = flag.String("steps.of", "", "carry out this one of massEnds")
	stepsN  = flag.Int("steps.n", 0, "with so many calls")
)

func TestStepsOfOne(t *testing.T) {
	if *stepsOf == "" {
		t.Skip("TestTheEndOfManyCallsTakesStepsInProportion runs it, and counts")
	}
	massEnds[*stepsOf](t, *stepsN)
}

// A step is a statement of the driver or the core that is carried out, as the tool that measures coverage counts them.
// It does not see how much copy moves, so what may get long must not be a list in which elements are inserted or
// deleted.
func TestTheEndOfManyCallsTakesStepsInProportion(t *testing.T) {
	if !*full {
		t.Skip("compiles the driver once more; run it with -full")
	}
	program := filepath.Join(t.TempDir(), "driver.test")
	out, err := exec.Command("go", "test", "-c", "-o", program, "-covermode=atomic", "-coverpkg=.,github.com/workerchannel/workerchannel", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	count := func(t *testing.T, name string, n int) (steps int) {
		profile := filepath.Join(t.TempDir(), "profile")
		out, err := exec.Command(program, "-test.run=^TestStepsOfOne$", "-test.coverprofile="+profile, "-steps.of="+name, fmt.Sprint("-steps.n=", n)).CombinedOutput()
		require.NoError(t, err, "%s", out)
		text, err := os.ReadFile(profile)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			var where string
			var statements, times int
			if n, _ := fmt.Sscan(line, &where, &statements, &times); n == 3 {
				steps += statements * times
			}
		}
		return steps
	}
	for name := range massEnds {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			const n = 4 * maxCapacity
			once, twice := count(t, name, n), count(t, name, 2*n)
			t.Logf("%d steps for %d calls, %.2f times as many for twice as many", once, n, float64(twice)/float64(once))
			assert.Greater(t, once, 10*n)
			assert.Less(t, twice, once*5/2)
		})
	}
}
