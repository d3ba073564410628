package transports

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"

	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// socket is an end of a WebSocket. Its Close makes the closing handshake, which takes 5 seconds if the peer does not receive.
type socket struct{ c *websocket.Conn }

func (s socket) Send(msg []byte) error {
	return s.c.Write(context.Background(), websocket.MessageBinary, msg)
}

func (s socket) Recv() ([]byte, error) {
	_, msg, err := s.c.Read(context.Background())
	return msg, err
}

func (s socket) Close() error { return s.c.Close(websocket.StatusNormalClosure, "") }

func openWebSocket() (host, worker transporttest.Conn, stop func(), err error) {
	accepted := make(chan *websocket.Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			accepted <- c
		}
	}))
	client, _, err := websocket.Dial(context.Background(), server.URL, nil)
	if err != nil {
		server.Close()
		return nil, nil, nil, err
	}
	c := <-accepted
	client.SetReadLimit(transporttest.MaxMessage)
	c.SetReadLimit(transporttest.MaxMessage)
	return socket{c}, socket{client}, server.Close, nil
}

func TestWebSocketPasses(t *testing.T) {
	transporttest.Test(t, openWebSocket,
		transporttest.WithKill(func(_, worker transporttest.Conn) { _ = worker.(socket).c.CloseNow() }))
}
