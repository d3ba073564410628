package transporttest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// An Option changes how [Test] and [Check] work.
type Option func(*config)

type config struct {
	open    Opener
	max     int
	text    bool
	jrpc2   bool
	timeout time.Duration
	budget  int
	shrink  time.Duration
	allowed time.Duration // for a run, for a budget of 10,000
	idle    time.Duration
	kill    func(host, worker Conn)
	seed    uint64
}

// WithMaxMessage sets the size of the largest message that the transport carries, in bytes, instead of [MaxMessage]. It
// is at least 1. Below 1,024 the protocol's own messages do not fit, and the subtests that need them are left out.
func WithMaxMessage(n int) Option {
	return func(c *config) { c.max = max(n, 1) }
}

// WithText is for transports that carry text: lines, JSON values, text frames of WebSockets. Every message is then a
// JSON array or object in UTF-8, of at least two bytes and without control characters, so without a line feed. Recv may
// return white space after it, such as the line feed that ended a line.
func WithText() Option {
	return func(c *config) { c.text = true }
}

// WithTimeout sets after what time a call that must return counts as hanging, while nothing else happens on the
// connection. The default, also if d is not positive, is 5 seconds, or a fifth of -timeout if that is less. Large
// messages get more, by the speed that has been seen. A transport whose Close takes longer than 5 seconds, or a small
// message, needs a longer timeout. The whole test then takes longer, too: the limit that [WithBudget] tells of grows in
// proportion.
func WithTimeout(d time.Duration) Option {
	return func(c *config) {
		if d > 0 {
			c.timeout = d
		}
	}
}

// WithBudget sets how many messages, of both ends together, the subtest Stream sends over one connection, instead of
// 10,000; it is at least 1. With fewer than 10,000 the other subtests open fewer connections in proportion; with more,
// up to twice as many. A message over a good transport in memory takes a few microseconds. The whole test is cut short,
// and says so with -v, if it takes longer than 30 seconds (for a budget of more than 10,000 in proportion longer). What
// it needs at least, it does even so; if -timeout leaves no time for that, or it takes more than 10 minutes, the test
// fails with "slow".
func WithBudget(messages int) Option {
	return func(c *config) { c.budget = max(messages, 1) }
}

// WithIdle sets how long the subtest Idle pauses, twice, instead of 2.25 seconds; with less than the default budget,
// and with
// -short, the default is shorter in proportion. If d is not positive, the subtest is left out.
func WithIdle(d time.Duration) Option {
	return func(c *config) { c.idle = d }
}

// WithKill adds the subtest Kill. kill makes the peer at the worker's end die without closing it, for example by
// killing its process; then, at the host's end, Recv must return an error, and Send must return.
func WithKill(kill func(host, worker Conn)) Option {
	return func(c *config) { c.kill = kill }
}

// WithJRPC2Rules applies the weaker contract of github.com/creachadair/jrpc2/channel: Send may retain the message and
// write to its spare capacity; the result of Recv is valid until the next Recv; Close ends only the direction from this
// end to the other, is called once, and not while Send is pending. A caller of such a channel passes Send a new slice
// each time, without spare capacity.
func WithJRPC2Rules() Option {
	return func(c *config) { c.jrpc2 = true }
}

// seedEnv names the environment variable with the seed to begin with.
const seedEnv = "TRANSPORTTEST_SEED"

const (
	defaultTimeout = 5 * time.Second
	defaultIdle    = 2250 * time.Millisecond // more than deadlines of two seconds
)

func newConfig(open Opener, opts []Option) config {
	c := config{open: open, max: MaxMessage, timeout: defaultTimeout, idle: defaultIdle, budget: 10_000,
		shrink: 1200 * time.Millisecond, allowed: 30 * time.Second, seed: rand.Uint64()}
	if s, err := strconv.ParseUint(os.Getenv(seedEnv), 0, 64); err == nil {
		c.seed = s
	}
	for _, opt := range opts {
		opt(&c)
	}
	return c
}
