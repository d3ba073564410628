package natsconn

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// Accept has workers join a host: attach is called with the connection to each worker that calls Join with the same
// prefix. If several hosts accept, a worker joins one of them. If attach returns an error, the worker hears of it;
// closing the connection then is up to attach, as Host.Attach does. Unsubscribe the result to accept no more.
func Accept(nc *nats.Conn, prefix string, attach func(driver.Conn) error, opts ...Option) (*nats.Subscription, error) {
	sub, err := nc.QueueSubscribe(prefix+".join", "hosts", func(m *nats.Msg) {
		answer := ""
		if err := accept(nc, prefix, string(m.Data), attach, opts); err != nil {
			answer = err.Error()
		}
		_ = m.Respond([]byte(answer))
	})
	if err != nil {
		return nil, fmt.Errorf("natsconn: accepting on %q: %w", prefix, err)
	}
	return sub, nc.Flush()
}

func accept(nc *nats.Conn, prefix, id string, attach func(driver.Conn) error, opts []Option) error {
	if id == "" || len(id) > 64 || strings.ContainsAny(id, ".*> \t\r\n") {
		return fmt.Errorf("natsconn: bad id %.64q", id)
	}
	conn, err := New(nc, down(prefix, id), up(prefix, id), opts...)
	if err != nil {
		return err
	}
	return attach(conn)
}

// Join connects a worker to a host that accepts with the same prefix. If there is none it returns
// nats.ErrNoResponders. The connection is that of one worker; to serve again, join again.
func Join(ctx context.Context, nc *nats.Conn, prefix string, opts ...Option) (driver.Conn, error) {
	id := strings.TrimPrefix(nats.NewInbox(), nats.InboxPrefix)
	conn, err := newConn(ctx, nc, up(prefix, id), down(prefix, id), opts)
	if err != nil {
		return nil, err
	}
	answer, err := nc.RequestWithContext(ctx, prefix+".join", []byte(id))
	if err == nil && len(answer.Data) > 0 {
		err = fmt.Errorf("refused: %.256q", answer.Data)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("natsconn: joining %q: %w", prefix, err)
	}
	return conn, nil
}

func up(prefix, id string) string   { return prefix + ".up." + id }
func down(prefix, id string) string { return prefix + ".down." + id }
