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
	idle    time.Duration
	kill    func(host, worker Conn)
	seed    uint64
}

// WithMaxMessage sets the size of the largest message that the transport carries, in bytes, in place of
// [MaxMessage]. It is at least 1. Below 1,024 the protocol's own messages do not fit, and their subtests are left out.
func WithMaxMessage(n int) Option {
	return func(c *config) { c.max = max(n, 1) }
}

// WithText is for transports that carry text: lines, JSON values, text frames of WebSockets. Every message is then one
// JSON array or object in UTF-8, of at least two bytes and without control characters, so that it has no
// line feed. Recv may return white space after it, as the line feed that ended a line.
func WithText() Option {
	return func(c *config) { c.text = true }
}

// WithTimeout sets how long nothing at all may happen on a connection, while a call that must return is pending, before
// that counts as a hang. The default is 5 seconds. A transport whose Close takes longer needs more.
func WithTimeout(d time.Duration) Option {
	return func(c *config) { c.timeout = d }
}

// WithBudget sets how many messages the subtest Stream sends over one connection, in place of 10,000. The number of
// connections that the other subtests open shrinks with it, and grows to twice as many at most. A good transport in memory takes some
// 10 microseconds a message. A run that would take longer than 30 seconds for a budget of 10,000 (and in proportion for a larger one), or
// longer than the test's -timeout allows, is cut short.
func WithBudget(messages int) Option {
	return func(c *config) { c.budget = max(messages, 1) }
}

// WithIdle adds the subtest Idle, which sends nothing for d over an open connection, and then checks that it
// still works.
func WithIdle(d time.Duration) Option {
	return func(c *config) { c.idle = d }
}

// WithKill adds the subtest Kill. kill makes the peer that has the worker's end die without closing it, as by killing its
// process or cutting its cable; then Recv must return an error at the host's end, and Send must return.
func WithKill(kill func(host, worker Conn)) Option {
	return func(c *config) { c.kill = kill }
}

// WithJRPC2Rules judges the transport by the weaker contract of github.com/creachadair/jrpc2/channel.
// There, Send may keep the message and write into its capacity; the result of Recv is valid until the next Recv; Close
// ends only the direction from this end to the other, is called once, and not while Send is
// pending. A caller that wants to use such channels gives Send a slice of its own each time, without spare capacity.
func WithJRPC2Rules() Option {
	return func(c *config) { c.jrpc2 = true }
}

// seedEnv names the environment variable with the seed to begin with.
const seedEnv = "TRANSPORTTEST_SEED"

func newConfig(open Opener, opts []Option) config {
	c := config{open: open, max: MaxMessage, timeout: 5 * time.Second, budget: 10_000, shrink: 1200 * time.Millisecond, seed: rand.Uint64()}
	if s, err := strconv.ParseUint(os.Getenv(seedEnv), 0, 64); err == nil {
		c.seed = s
	}
	for _, opt := range opts {
		opt(&c)
	}
	return c
}
