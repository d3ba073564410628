// Package natsconn carries the messages of examples/driver over NATS.
//
// A host has workers join, and attaches each of them:
//
//	sub, err := natsconn.Accept(nc, "jobs", host.Attach)
//
// and a worker joins one, and the next when that is gone:
//
//	return driver.ServeAgain(ctx, func(ctx context.Context) (driver.Conn, error) {
//		return natsconn.Join(ctx, nc, "jobs")
//	}, handler)
//
// NATS delivers a message at most once, and tells nobody that a peer is gone. So the frames of a connection are
// numbered, and each end sends a beat from time to time: a frame that is lost, on a reconnect for example, ends the
// connection, and so does a silence. The host then runs the jobs of that worker elsewhere.
//
// A message that is longer than the server accepts travels in several frames, so the server's default of 1 MiB will do.
// Whoever may publish on the subjects can be the worker; bound that by the permissions of NATS.
package natsconn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// Errors of Send and Recv. After one of them the connection is at its end. The last two are each a driver.ErrBroken.
var (
	ErrClosed   = errors.New("natsconn: connection is closed")
	ErrEnded    = errors.New("natsconn: peer has closed the connection")
	ErrLost     = errors.New("natsconn: a frame is lost")
	ErrSilent   = errors.New("natsconn: peer is silent")
	ErrTooLong  = fmt.Errorf("%w: natsconn: message is longer than driver.MaxLine", driver.ErrBroken)
	ErrBadFrame = fmt.Errorf("%w: natsconn: frame is malformed", driver.ErrBroken)
)

// An Option configures a connection.
type Option func(*conn)

// WithBeat sets how often an end sends a beat, which is every 2 seconds otherwise. Three times as long a silence of the
// peer ends the connection, or ten times as long before the peer is first heard; so both ends must have about the same
// time. A time that is not positive stands for the default.
func WithBeat(d time.Duration) Option {
	return func(c *conn) {
		if d > 0 {
			c.beat = d
		}
	}
}

// Frames that have arrived wait for Recv, up to these limits. What is more, NATS drops, which ends the connection.
const (
	maxPendingFrames = 64 << 10
	maxPendingBytes  = 64 << 20
)

// A frame is its kind, its number among the frames of its sender (8 bytes, big-endian) and a part of a message. A
// beat has the number of the last frame before it.
const (
	kindPart     byte = iota // more of the message follows
	kindLast                 // a whole message, or the last part of one
	kindBeat                 // nothing new
	kindFarewell             // the sender has closed its end
	headerLen    = 1 + 8
)

type conn struct {
	nc   *nats.Conn
	to   string
	sub  *nats.Subscription
	beat time.Duration

	ctx    context.Context // ends with this end, or with what Recv has failed with as its cause
	cancel context.CancelCauseFunc
	once   sync.Once
	beats  sync.WaitGroup

	mu    sync.Mutex // of frames, which Send and the beats number
	sent  uint64
	frame []byte

	seen  uint64 // Recv's
	heard bool
}

// New returns a connection that sends on one subject and receives on another; the peer has them the other way round. A
// subject must not contain wildcards and must belong to this one connection. The peer may come a little later, but
// what is sent before it has subscribed is lost, which ends the connection. nc remains the caller's, who closes it after the connection; many connections
// can share it.
//
// Send does not wait for the peer: a peer that does not receive is noticed by the limits of the driver, or when more
// waits than 64 MiB.
func New(nc *nats.Conn, send, receive string, opts ...Option) (driver.Conn, error) {
	return newConn(context.Background(), nc, send, receive, opts)
}

// newConn is New that waits for the server no longer than ctx lasts.
func newConn(ctx context.Context, nc *nats.Conn, send, receive string, opts []Option) (driver.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	sub, err := nc.SubscribeSync(receive)
	if err != nil {
		return nil, fmt.Errorf("natsconn: subscribing to %q: %w", receive, err)
	}
	if err := errors.Join(sub.SetPendingLimits(maxPendingFrames, maxPendingBytes), nc.FlushWithContext(ctx)); err != nil {
		return nil, errors.Join(err, sub.Unsubscribe())
	}
	c := &conn{nc: nc, to: send, sub: sub, beat: 2 * time.Second}
	for _, opt := range opts {
		if opt != nil {
			opt(c)
		}
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.beats.Go(c.sendBeats)
	return c, nil
}

func (c *conn) sendBeats() {
	ticker := time.NewTicker(c.beat)
	defer ticker.Stop()
	for {
		_ = c.publish(kindBeat, nil) // Recv notices that nc is closed
		select {
		case <-ticker.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// publish sends a frame.
func (c *conn) publish(kind byte, part []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil && kind != kindFarewell {
		return context.Cause(c.ctx)
	}
	if kind != kindBeat {
		c.sent++
	}
	c.frame = binary.BigEndian.AppendUint64(append(c.frame[:0], kind), c.sent)
	c.frame = append(c.frame, part...)
	return c.nc.Publish(c.to, c.frame)
}

func (c *conn) Send(msg []byte) error {
	most := int(c.nc.MaxPayload()) - headerLen
	if most <= 0 {
		most = 1<<20 - headerLen // not known yet
	}
	for len(msg) > most {
		if err := c.publish(kindPart, msg[:most]); err != nil {
			return err
		}
		msg = msg[most:]
	}
	return c.publish(kindLast, msg)
}

func (c *conn) Recv() ([]byte, error) {
	var msg []byte
	for c.ctx.Err() == nil {
		kind, part, err := c.receive()
		switch {
		case err != nil:
			c.cancel(err)
		case kind == kindPart || kind == kindLast:
			if len(msg)+len(part) > driver.MaxLine {
				c.cancel(ErrTooLong)
				break
			}
			if msg = append(msg, part...); kind == kindLast {
				return msg, nil
			}
		case kind == kindFarewell:
			c.cancel(ErrEnded)
		}
	}
	return nil, context.Cause(c.ctx)
}

// receive returns the next frame.
func (c *conn) receive() (kind byte, part []byte, err error) {
	silence := 10 * c.beat
	if c.heard {
		silence = 3 * c.beat
	}
	ctx, end := context.WithTimeoutCause(c.ctx, silence, ErrSilent)
	defer end()
	m, err := c.sub.NextMsgWithContext(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, nil, context.Cause(ctx)
	case errors.Is(err, nats.ErrSlowConsumer):
		return 0, nil, fmt.Errorf("%w: %w", ErrLost, err)
	case err != nil:
		return 0, nil, err
	case len(m.Data) < headerLen || m.Data[0] > kindFarewell:
		return 0, nil, ErrBadFrame
	}
	c.heard = true
	kind, part = m.Data[0], m.Data[headerLen:]
	if kind != kindBeat {
		c.seen++
	}
	if number := binary.BigEndian.Uint64(m.Data[1:]); number != c.seen {
		return 0, nil, fmt.Errorf("%w: expected number %d, got %d", ErrLost, c.seen, number)
	}
	return kind, part, nil
}

// Close says farewell, so that the peer need not wait for the silence.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.cancel(ErrClosed)
		_ = c.publish(kindFarewell, nil)
		_ = c.sub.Unsubscribe()
		c.beats.Wait()
		_ = c.nc.FlushTimeout(time.Second) // the caller may close nc right after
	})
	return nil
}
