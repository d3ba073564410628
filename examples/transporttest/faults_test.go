package transporttest

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var repetitions = flag.Int("transporttest.repeat", 1, "how often each faulty transport is tested")

func TestMain(m *testing.M) {
	if os.Getenv(relayEnv) != "" {
		relay()
		return
	}
	flag.Parse()
	parallel := "12" // a hang is nothing but waiting
	if raceEnabled {
		parallel = "4"
	}
	_ = flag.Set("test.parallel", parallel)
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0") // or the race detector has each child process linger for a second
	os.Exit(m.Run())
}

// sharedOrDamage is shared, or what became of a message: whether it takes both directions is seen only if they meet
// often.
const sharedOrDamage fault = "shared or damaged"

var damaged = []fault{shared, lost, repeated, truncated, split, merged, corrupted, invented, empty, broken}

// A faulty is a transport with a fault, and what is to be said about it.
type faulty struct {
	name  string
	fault fault
	says  string
	open  Opener
	opts  []Option
}

func TestDamageOfMessagesIsCaughtAndNamed(t *testing.T) {
	t.Parallel()
	for i, f := range oneSide(damage) {
		t.Run(f.name, func(t *testing.T) {
			if testing.Short() && i%4 != 0 {
				t.Skip("-short: one in four")
			}
			t.Parallel()
			f.requireCaughtInBubble(t)
		})
	}
}

func TestRareDamageIsCaughtAndNamed(t *testing.T) {
	t.Parallel()
	for i, f := range oneSide(rareDamage) {
		t.Run(f.name, func(t *testing.T) {
			switch {
			case testing.Short() && i > 0:
				t.Skip("-short: the first only")
			case i%2 != 0 && !*full:
				t.Skip("every other one needs -full")
			}
			t.Parallel()
			f.requireCaughtInBubble(t)
		})
	}
}

// oneSide returns those that are to be tested: unless all are, one side of each that has two, the host's and the
// worker's in turn.
func oneSide(list []faulty) (some []faulty) {
	for i, f := range list {
		other := [2]string{", worker", ", host"}[i/2%2]
		if *full || *repetitions > 1 || !strings.HasSuffix(f.name, other) {
			some = append(some, f)
		}
	}
	return some
}

func TestMistakesAreCaughtAndNamed(t *testing.T) {
	t.Parallel()
	for kind, list := range map[string][]faulty{"memory": memory, "blocking": blocking, "ending": ending, "living": living, "streams": streams,
		"sockets": sockets, "hidden": hidden} {
		t.Run(kind, func(t *testing.T) {
			if testing.Short() && (kind == "living" || kind == "hidden") {
				t.Skip("-short: waits for what stays, or for what less messages do not show")
			}
			t.Parallel()
			for i, f := range list {
				t.Run(f.name, func(t *testing.T) {
					if testing.Short() && i%4 != 0 {
						t.Skip("-short: one in four")
					}
					if (kind == "living" || kind == "hidden" || kind == "sockets") && i%3 != 0 && !*full {
						t.Skip("one in three of those that take long; all with -full")
					}
					if raceEnabled && (kind == "memory" || f.name == "Send and Recv share a frame" || f.name == "panics in a concurrent Close") {
						t.Skip("a data race, which the race detector reports itself")
					}
					if !*full {
						f.opts = append([]Option{WithMaxMessage(affordableMessage), WithTimeout(affordableTimeout)}, f.opts...)
					}
					t.Parallel()
					if kind == "living" || kind == "sockets" {
						f.requireCaught(t)
					} else {
						f.requireCaughtInBubble(t)
					}
				})
			}
		})
	}
}

// requireCaughtInBubble is like requireCaught, on virtual time, so that nothing seems to hang because there is much
// else to do, and no hang is waited for.
func (f faulty) requireCaughtInBubble(t *testing.T) {
	if *repetitions > 1 { // the harness itself is judged, as it works for users
		f.requireCaught(t)
		return
	}
	open := f.open
	f.open = func() (host, worker Conn, stop func(), err error) {
		time.Sleep(10 * time.Millisecond) // or shrinking would take no time, and not end before everything has been tried
		return open()
	}
	synctest.Test(t, func(t *testing.T) { f.requireCaught(t) })
}

// requireCaught checks that the fault is found, every time, by its name and soon, and told in few lines.
func (f faulty) requireCaught(t *testing.T) {
	opts := f.opts
	if *repetitions == 1 {
		opts = append([]Option{func(c *config) {
			c.shrink, c.allowed = 300*time.Millisecond, 10*time.Minute // also on a machine with much else to do
			if os.Getenv(seedEnv) == "" {
				c.seed = 1 // with some seeds a fault can show as another: a CR that is lost at the start of a message truncates it
			}
		}}, opts...)
	}
	for range *repetitions {
		began := time.Now()
		err := Check(f.open, opts...)
		took := time.Since(began)
		require.Error(t, err)
		subtest, name, _ := strings.Cut(err.Error(), ": ")
		name, _, _ = strings.Cut(name, ":")
		i := slices.IndexFunc(phases, func(p phase) bool { return p.name == subtest })
		assert.Contains(t, append(slices.Clone(anyPhase), phases[i].names...), fault(name), "the table of phases has the names that each can give")
		if f.fault != sharedOrDamage || !slices.Contains(damaged, fault(name)) {
			require.Equal(t, string(f.fault), name, "%v", err)
		}
		assert.Contains(t, err.Error(), f.says)
		assert.Less(t, strings.Count(err.Error(), "\n"), 40, "%v", err)
		if *repetitions > 1 && !raceEnabled {
			require.Less(t, took, 10*time.Second)
		}
		if testing.Verbose() {
			t.Log(fmt.Sprintf("after %v: ", took.Round(time.Millisecond)), err)
		}
	}
}

// A bubble whose goroutines are blocked panics itself, and does not say why.
func TestHangThatLeavesGoroutinesInABubblePanicsWithTheReport(t *testing.T) {
	t.Parallel()
	for says, f := range map[string]func(never chan struct{}) Opener{
		"hang: stop had not returned": func(never chan struct{}) Opener {
			return func() (host, worker Conn, stop func(), err error) {
				h, w := newChannels(8)
				return h, w, func() { <-never }, nil
			}
		},
		"hang: Recv had not returned": func(never chan struct{}) Opener {
			return replaced(8, func(c *channelConn, _ chan struct{}) Conn {
				return altered{Conn: c, recv: func() ([]byte, error) {
					msg, err := c.Recv()
					if err != nil {
						<-never
					}
					return msg, err
				}}
			})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			never := make(chan struct{})
			defer close(never)
			defer func() { assert.Contains(t, recover(), says) }()
			_ = Check(f(never))
		})
	}
}

func TestPanicIsReportedWithoutTheHarnesssOwnFunctions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, f := range []Opener{
			replaced(8, func(c *channelConn, _ chan struct{}) Conn { return &panicking{c, "Send"} }),
			replaced(8, func(c *channelConn, _ chan struct{}) Conn { return &panicking{c, "Recv"} }),
			replaced(8, func(c *channelConn, _ chan struct{}) Conn { return &panicking{c, "Close"} }),
		} {
			err := Check(f)
			require.ErrorContains(t, err, "panicked")
			var in []string
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if strings.HasPrefix(line, "      in ") {
					in = append(in, line)
				}
			}
			require.Len(t, in, 2, "%v", err)
			assert.Contains(t, in[0], "(*panicking).boom (")
			assert.Contains(t, in[1], "(*panicking).")
		}
	})
}

// A panicking end panics in one of its methods.
type panicking struct {
	*channelConn
	in string
}

func (p *panicking) boom(in string) {
	if p.in == in {
		panic("boom")
	}
}

func (p *panicking) Send(msg []byte) error { p.boom("Send"); return p.channelConn.Send(msg) }
func (p *panicking) Recv() ([]byte, error) { p.boom("Recv"); return p.channelConn.Recv() }
func (p *panicking) Close() error          { p.boom("Close"); return p.channelConn.Close() }

func TestIdleConnectionThatDiesIsCaught(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		err := Check(replaced(8, func(c *channelConn, _ chan struct{}) Conn {
			dies := time.AfterFunc(time.Minute, func() { _ = c.Close() })
			return altered{Conn: c, send: func(msg []byte) error { dies.Reset(time.Minute); return c.Send(msg) },
				close: func() error { dies.Stop(); return c.Close() }}
		}), affordable(affordableInMemory, []Option{WithIdle(2 * time.Minute), WithTimeout(10 * time.Second)})...)
		require.ErrorContains(t, err, "Idle: idle: after 2m0s without messages, Recv failed")
		t.Log(err)
	})
}

// A smaller plan can hang, where the transport waits for a message that the plan has left out.
func TestFaultIsReportedSoonThoughSmallerPlansHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := Check(reported["reorders"], func(c *config) { c.seed = 1 })
		require.ErrorContains(t, err, "Messages: reordered")
		assert.Less(t, time.Since(began), 3*time.Second)
	})
}
