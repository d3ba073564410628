// Package wsconn carries the messages of examples/driver over WebSockets of github.com/coder/websocket, also in a Go
// program in the browser (GOOS=js, GOARCH=wasm), where a page can only dial. It is a module of its own:
//
//	import wsconn "github.com/workerchannel/workerchannel/examples/driver/websocket"
//
// A host that workers connect to attaches them:
//
//	http.HandleFunc("/worker", func(w http.ResponseWriter, r *http.Request) {
//		ws, err := websocket.Accept(w, r, nil)
//		if err != nil {
//			return // Accept has answered
//		}
//		_ = host.Attach(wsconn.New(ws)) // closes it if the host has stopped
//	})
//
// and a worker dials, again when the host is gone:
//
//	return driver.ServeAgain(ctx, func(ctx context.Context) (driver.Conn, error) {
//		ws, _, err := websocket.Dial(ctx, "ws://localhost:8080/worker", nil)
//		if err != nil {
//			return nil, err
//		}
//		return wsconn.New(ws), nil
//	}, handler)
//
// It returns nil, and does not dial again, when the host has asked it to shut down, as one does that stops in order.
// docs/processes.md of the repository says how such a worker is kept running, and what both ends log.
//
// Whoever can connect can be the worker: check the request first.
package wsconn

import (
	"context"
	"errors"
	"fmt"

	"github.com/coder/websocket"

	"github.com/workerchannel/workerchannel/examples/driver"
)

// New returns a connection that carries each message as a text frame over ws, which belongs to the connection from then
// on. A message that is longer than driver.MaxLine ends it.
//
// Close makes the closing handshake, so that what has been sent still arrives. If the peer does not answer, that takes
// 5 seconds; so a driver.Host cuts the connection of a worker that it ends for being late, and driver.Serve that of a
// host that is gone. Both ping a peer from which nothing has come for some time, see driver.Limits and
// driver.WithKeepAlive. A message must not take longer than that time and 5 seconds, for which coder/websocket lets the
// answer to a ping wait behind it. A program in the browser does not ping; the browser answers pings.
//
// Leave compression off, as it is if the options of Accept and Dial do not set it. With it, coder/websocket (as of
// v1.8.15) hands over what has arrived of a message when the connection is cut as if it were the whole. Such a message
// is refused, as its JSON ends too early, so nobody acts on it; but then the peer seems to have broken the protocol,
// where it has only gone.
func New(ws *websocket.Conn) driver.Conn {
	ws.SetReadLimit(driver.MaxLine)
	return conn{ws}
}

type conn struct{ ws *websocket.Conn }

func (c conn) Send(msg []byte) error {
	return c.ws.Write(context.Background(), websocket.MessageText, msg)
}

func (c conn) Recv() ([]byte, error) {
	_, msg, err := c.ws.Read(context.Background())
	if errors.Is(err, websocket.ErrMessageTooBig) {
		err = fmt.Errorf("%w: %w", driver.ErrBroken, err)
	}
	return msg, err
}

func (c conn) Close() error { return c.ws.Close(websocket.StatusNormalClosure, "") }

// Cut closes the connection without the closing handshake.
func (c conn) Cut() error { return c.ws.CloseNow() }

// Ping waits for the answer of the peer, which Recv takes in.
func (c conn) Ping(ctx context.Context) error { return c.ws.Ping(ctx) }
