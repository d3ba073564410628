package benchrpc

import (
	"context"
	"encoding/json"

	"github.com/sourcegraph/jsonrpc2"
)

// message is the params and the result of a call. encoding/json writes the bytes as base64.
type message struct {
	Payload []byte `json:"payload"`
}

// A client calls a worker by JSON-RPC 2.
type client struct {
	conn *jsonrpc2.Conn
}

func newClient(p pipe) *client {
	return &client{newConn(p, jsonrpc2.HandlerWithError(refuse))}
}

// Call sends a payload to the worker and returns its result.
func (c *client) Call(ctx context.Context, payload []byte) ([]byte, error) {
	var result message
	err := c.conn.Call(ctx, "echo", message{payload}, &result)
	return result.Payload, err
}

// Close ends the connection; the worker ends with it.
func (c *client) Close() error { return c.conn.Close() }

// serveEchoJSONRPC2 is the worker. It returns the payloads of the calls, one after the other.
func serveEchoJSONRPC2(p pipe) error {
	<-newConn(p, jsonrpc2.HandlerWithError(echo)).DisconnectNotify()
	return nil
}

// serveEchoJSONRPC2Async has a goroutine for each call. It costs more, and is faster for large payloads if there are
// several cores.
func serveEchoJSONRPC2Async(p pipe) error {
	<-newConn(p, jsonrpc2.AsyncHandler(jsonrpc2.HandlerWithError(echo))).DisconnectNotify()
	return nil
}

// newConn uses the plain stream of JSON objects, which is faster here than the codecs that write the length before each.
func newConn(p pipe, h jsonrpc2.Handler) *jsonrpc2.Conn {
	return jsonrpc2.NewConn(context.Background(), jsonrpc2.NewPlainObjectStream(p), h)
}

func echo(_ context.Context, _ *jsonrpc2.Conn, req *jsonrpc2.Request) (any, error) {
	var params message
	if req.Params == nil {
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: "expected params"}
	}
	if err := json.Unmarshal(*req.Params, &params); err != nil {
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: err.Error()}
	}
	return params, nil
}

func refuse(context.Context, *jsonrpc2.Conn, *jsonrpc2.Request) (any, error) {
	return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeMethodNotFound, Message: "the client serves no calls"}
}
