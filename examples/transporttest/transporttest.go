// Package transporttest tests transports for workerchannel, in the manner of
// golang.org/x/net/nettest: hand Test a function that opens a connected pair, and it has a Coordinator
// and a Worker talk over it in many ways.
//
// The protocol needs a transport that carries messages whole, in order, each once, and that ends when
// either side does. The three subtests say where one falls short:
//
//   - Conversation: arbitrary calls of both applications, sends and receives in arbitrary order. Every
//     message must arrive as it was sent, the two must come to rest, and no more must arrive then.
//   - Close: the same, until one end is closed with messages under way. Neither end may hang, and what
//     still arrives must be the beginning of what was sent.
//   - Largest: messages with the largest payload, in both directions at once.
//
// A failure is shrunk (by rapid) to a short conversation, which is printed with one of these diagnoses:
//
//	lost       a message did not arrive
//	repeated   a message arrived twice
//	reordered  a message arrived after a later one
//	truncated  only a piece of a message arrived, as if it were the whole
//	corrupted  a message arrived with other bytes than were sent
//	merged     several messages arrived as one
//	invented   a message arrived that nobody sent
//	broken     Send or Recv failed though both ends were open
//	open       Send succeeded on an end that had been closed
//	hang       a call did not return
//	refused    a message arrived as it was sent, and its receiver refused it: report that, it is a
//	           defect of workerchannel and not of the transport
//
// Nothing is judged by the clock but a hang: there the WithTimeout option counts.
package transporttest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A Conn is one end of a transport that carries messages. One goroutine sends, another receives, and
// a third may close, all at the same time.
type Conn interface {
	// Send hands over one message: canonical JSON, so that it has no line feed, of more than 1 MiB
	// for the largest payload. It may wait for the other end to receive. It must not keep msg, which
	// the caller may overwrite once Send has returned. When this end is closed it returns an error;
	// when the other is closed it may, and at least must return.
	Send(msg []byte) error

	// Recv waits for the next message, which stays valid until the next Recv. When either end is
	// closed, it may return what is under way, from the oldest on and without a gap, and then
	// returns an error.
	Recv() ([]byte, error)

	// Close ends the connection and makes pending calls of both ends return. It may lose what is
	// under way. Further calls are harmless.
	Close() error
}

// An Option changes how Test works.
type Option func(*harness)

// WithTimeout sets how long a call may take before it counts as a hang, in place of 10 seconds. While
// a failure is shrunk it is a tenth of that.
func WithTimeout(d time.Duration) Option {
	return func(h *harness) { h.timeout = d }
}

// Test checks the transport of which open makes a new, connected pair. stop is called when both ends
// have been closed, to free what else there is; it may be nil. Test opens hundreds of pairs, one
// after the other; -rapid.checks and the other flags of rapid apply.
func Test(t *testing.T, open func() (host, worker Conn, stop func(), err error), opts ...Option) {
	h := newHarness(open, opts...)
	for _, s := range subtests {
		t.Run(s.name, func(t *testing.T) {
			t.Helper()
			if report := s.check(h, t, s.play); report != "" {
				t.Fatal(report)
			}
		})
	}
}

var subtests = []struct {
	name  string
	check func(h *harness, tb rapid.TB, play play) (report string)
	play  play
}{
	{"Conversation", (*harness).checkMany, playConversation},
	{"Close", (*harness).checkMany, playClose},
	{"Largest", (*harness).checkOne, playLargest},
}

// A play has a conversation take its course.
type play func(*conversation, *rapid.T)

// A harness tests one transport.
type harness struct {
	open    func() (host, worker Conn, stop func(), err error)
	timeout time.Duration
	found   *diagnosis // the latest
}

func newHarness(open func() (host, worker Conn, stop func(), err error), opts ...Option) *harness {
	h := &harness{open: open, timeout: 10 * time.Second}
	for _, opt := range opts {
		opt(h)
	}
	return h
}

// checkOne plays a conversation that draws nothing.
func (h *harness) checkOne(_ rapid.TB, play play) (report string) {
	d, err := h.converse(nil, play)
	switch {
	case err != nil:
		return "open: " + err.Error()
	case d != nil:
		h.found = d
		return d.Error()
	}
	return ""
}

// checkMany plays many conversations, and returns what there is to say about the first fault, after
// shrinking.
func (h *harness) checkMany(tb rapid.TB, play play) (report string) {
	h.found = nil
	r := &recorder{TB: tb}
	rapid.Check(r, func(t *rapid.T) {
		d, err := h.converse(t, play)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		// Shrinking keeps to the fault that was found first, and to one line that fails: rapid tells
		// failures apart by their place and text.
		if d != nil && (h.found == nil || d.fault == h.found.fault && d.where == h.found.where) {
			h.found = d
			t.Fatal(string(d.fault))
		}
	})
	if h.found == nil {
		return r.errors.String()
	}
	report = h.found.Error()
	for line := range strings.Lines(r.errors.String()) {
		if strings.HasPrefix(line, "To ") { // reproduce
			report += "\n" + line
		}
	}
	return report
}

// converse plays one conversation over a new connection.
func (h *harness) converse(t *rapid.T, play play) (d *diagnosis, err error) {
	host, worker, stop, err := h.open()
	if err != nil {
		return nil, err
	}
	if stop == nil {
		stop = func() {}
	}
	timeout := h.timeout
	if h.found != nil {
		timeout /= 10
	}
	c := newConversation(host, worker, timeout)
	defer func() {
		p := recover()
		clean := c.abandon(stop)
		switch found, ok := p.(*diagnosis); {
		case ok:
			d = found
		case p != nil:
			panic(p) // rapid's own
		default:
			d = clean
		}
	}()
	play(c, t)
	return nil, nil
}

// A recorder keeps what rapid has to say, rather than failing the test or printing every draw.
type recorder struct {
	rapid.TB
	errors strings.Builder
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors.WriteString(strings.TrimSuffix(fmt.Sprintf(format, args...), "Failed test output:"))
}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Log(...any)          {}
func (r *recorder) Failed() bool        { return r.errors.Len() > 0 }
func (r *recorder) FailNow()            {} // rapid.Check calls it last of all
