package transports

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// subjects is an end of two NATS subjects, one for each direction. NATS does not tell a subscriber that its publisher is
// gone, so the last message is a farewell: each has a byte before it.
type subjects struct {
	nc     *nats.Conn
	to     string
	sub    *nats.Subscription
	ctx    context.Context // ends with this end, or when the peer has said farewell
	cancel context.CancelFunc
	once   sync.Once
}

const (
	more     = 0
	farewell = 1
)

var errEnded = errors.New("the connection has ended")

func (s *subjects) Send(msg []byte) error {
	if s.ctx.Err() != nil {
		return errEnded
	}
	return s.nc.Publish(s.to, append([]byte{more}, msg...))
}

func (s *subjects) Recv() ([]byte, error) {
	if s.ctx.Err() != nil {
		return nil, errEnded
	}
	msg, err := s.sub.NextMsgWithContext(s.ctx)
	if err != nil {
		s.cancel()
		return nil, err
	}
	if msg.Data[0] == farewell {
		s.cancel()
		return nil, errEnded
	}
	return msg.Data[1:], nil
}

func (s *subjects) Close() error {
	s.once.Do(func() {
		s.cancel()
		_ = s.nc.Publish(s.to, []byte{farewell})
		_ = s.nc.Flush()
		s.nc.Close()
	})
	return nil
}

var pairs atomic.Int64

func openNATS(url string) transporttest.Opener {
	end := func(from, to string) (*subjects, error) {
		nc, err := nats.Connect(url)
		if err != nil {
			return nil, err
		}
		sub, err := nc.SubscribeSync(from)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithCancel(context.Background())
		// Without limits, no message is dropped while the application does not receive.
		return &subjects{nc: nc, to: to, sub: sub, ctx: ctx, cancel: cancel}, errors.Join(sub.SetPendingLimits(-1, -1), nc.Flush())
	}
	return func() (host, worker transporttest.Conn, stop func(), err error) {
		down := fmt.Sprintf("pair.%d.down", pairs.Add(1))
		up := down + ".up"
		h, err := end(up, down)
		if err != nil {
			return nil, nil, nil, err
		}
		w, err := end(down, up)
		if err != nil {
			return nil, nil, nil, errors.Join(err, h.Close())
		}
		return h, w, nil, nil
	}
}

func TestNATSPasses(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, MaxPayload: transporttest.MaxMessage + 1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not listen")
	}
	transporttest.Test(t, openNATS(s.ClientURL()))
}
