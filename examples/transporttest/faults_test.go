package transporttest

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
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
	_ = flag.Set("test.parallel", "12")      // a hang is nothing but waiting
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or the race detector has each child process linger for a second
	os.Exit(m.Run())
}

// A faulty is a transport with a fault, and what is to be said about it.
type faulty struct {
	name  string
	fault fault
	says  string
	open  Opener
	opts  []Option
}

// bothSides are transports of which one end spoils what it sends.
func bothSides(name string, f fault, says string, spoil func() spoiler, opts ...Option) []faulty {
	return []faulty{
		{name + ", host", f, says, spoils("host", spoil), opts},
		{name + ", worker", f, says, spoils("worker", spoil), opts},
	}
}

// damage is what happens to messages.
var damage = slices.Concat(
	bothSides("loses the 7th", lost, "and h7 ", when(only(7), lose))[:1],
	bothSides("loses the 1000th", lost, "", when(only(1000), lose)),
	bothSides("loses every 5th", lost, "", when(every(5), lose)),
	bothSides("loses those larger than 100", lost, "", when(larger(100), lose)),
	bothSides("loses those larger than 1 MiB", lost, "", when(larger(1<<20), lose)),
	bothSides("loses powers of two", lost, "", when(powerOfTwo, lose)),
	bothSides("loses multiples of 4096", lost, "", when(pages, lose)),
	bothSides("repeats every 5th", repeated, "", when(every(5), twice)),
	bothSides("repeats at a reconnection", repeated, "", reconnects(50)),
	bothSides("swaps neighbours", reordered, "", withNext(5, swapped)),
	bothSides("swaps neighbours once in 200", reordered, "", withNext(200, swapped)),
	bothSides("swaps pieces", corrupted, "have moved", when(larger(128<<10), swapPieces)),
	bothSides("cuts the end", truncated, "only the first", when(every(5), func(msg []byte, send func([]byte) error) error {
		return send(msg[:max(len(msg)-1, 0)])
	})),
	bothSides("cuts the start", truncated, "", when(larger(40), func(msg []byte, send func([]byte) error) error { return send(msg[30:]) })),
	bothSides("cuts all", truncated, "only the first 0 bytes", when(every(5), func(_ []byte, send func([]byte) error) error { return send(nil) })),
	bothSides("cuts at 65,535", truncated, "only the first 65,535 bytes", when(larger(65_535), func(msg []byte, send func([]byte) error) error {
		return send(msg[:65_535])
	})),
	bothSides("splits every 5th", split, "2 pieces", when(func(n int, msg []byte) bool { return n%5 == 0 && len(msg) > 1 }, func(msg []byte, send func([]byte) error) error {
		return sendBoth(send, msg[:len(msg)/2], msg[len(msg)/2:])
	})),
	bothSides("splits the large", split, "", when(larger(32<<10), func(msg []byte, send func([]byte) error) error {
		return sendBoth(send, msg[:32<<10], msg[32<<10:])
	})),
	bothSides("flips a bit", corrupted, "", when(func(n int, msg []byte) bool { return n%5 == 0 && len(msg) > 0 }, flip)),
	bothSides("flips a bit once in 3,000", corrupted, "", when(every(3000), flip)),
	bothSides("flips a bit once in 20,000", corrupted, "", when(every(20_000), flip), WithBudget(60_000)),
	bothSides("drops a byte", corrupted, "", when(larger(60), func(msg []byte, send func([]byte) error) error {
		return send(slices.Concat(msg[:50], msg[51:]))
	})),
	bothSides("merges", merged, "", withNext(5, func(held, msg []byte, send func([]byte) error) error { return send(slices.Concat(held, msg)) })),
	bothSides("merges with a line feed", merged, "", withNext(5, func(held, msg []byte, send func([]byte) error) error {
		return send(slices.Concat(held, []byte("\n"), msg))
	})),
	bothSides("invents", invented, "ping", when(every(5), func(msg []byte, send func([]byte) error) error { return sendBoth(send, []byte("ping"), msg) })),
	bothSides("sends empty messages", empty, "", when(every(5), func(msg []byte, send func([]byte) error) error { return sendBoth(send, nil, msg) })),
	bothSides("fails", broken, "Send failed", when(every(5), func([]byte, func([]byte) error) error { return errors.New("no") })),
	bothSides("panics in Send", panics, "Send panicked", when(every(5), func([]byte, func([]byte) error) error { panic("oops") })),
	[]faulty{
		{"loses when 16 wait", lost, "", overflowing(16, math.MaxInt), nil},
		{"loses when 64 wait", lost, "", overflowing(64, math.MaxInt), nil},
		{"loses when 1,000 wait", lost, "", overflowing(1000, math.MaxInt), nil},
		{"loses when 4 MiB wait", lost, "", overflowing(math.MaxInt, 4<<20), nil},
	},
)

func TestDamageOfMessagesIsCaughtAndNamed(t *testing.T) {
	t.Parallel()
	for i, f := range damage {
		if *repetitions == 1 && i/2%2 != i%2 {
			continue // one side of each is enough
		}
		t.Run(f.name, func(t *testing.T) { f.requireCaught(t) })
	}
}

// requireCaught checks that the fault is found, every time, by its name and soon, and told in few lines.
func (f faulty) requireCaught(t *testing.T) {
	t.Parallel()
	f.requireCaughtNow(t)
}

func (f faulty) requireCaughtNow(t *testing.T) {
	opts := f.opts
	if *repetitions == 1 {
		opts = append([]Option{WithTimeout(time.Second), func(c *config) { c.shrink = 300 * time.Millisecond }}, opts...)
	}
	for range *repetitions {
		began := time.Now()
		err := Check(f.open, opts...)
		took := time.Since(began)
		require.Error(t, err)
		_, name, _ := strings.Cut(err.Error(), ": ")
		name, _, _ = strings.Cut(name, ":")
		require.Equal(t, string(f.fault), name, "%v", err)
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
