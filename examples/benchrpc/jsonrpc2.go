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

type jsonrpc2Caller struct{ conn *jsonrpc2.Conn }

// connectJSONRPC2 has a worker that answers calls in order.
func connectJSONRPC2(h, w pipe, do work) (caller, error) {
	newJSONRPC2Conn(w, jsonrpc2Worker(do))
	return jsonrpc2Caller{newJSONRPC2Conn(h, nobody)}, nil
}

// connectJSONRPC2Async has a worker with a goroutine for each call.
func connectJSONRPC2Async(h, w pipe, do work) (caller, error) {
	newJSONRPC2Conn(w, jsonrpc2.AsyncHandler(jsonrpc2Worker(do)))
	return jsonrpc2Caller{newJSONRPC2Conn(h, nobody)}, nil
}

// newJSONRPC2Conn uses the plain stream of JSON objects, which is faster here than the codecs that write the length
// before each.
func newJSONRPC2Conn(p pipe, h jsonrpc2.Handler) *jsonrpc2.Conn {
	return jsonrpc2.NewConn(context.Background(), jsonrpc2.NewPlainObjectStream(p), h)
}

func jsonrpc2Worker(do work) jsonrpc2.Handler {
	return jsonrpc2.HandlerWithError(func(_ context.Context, _ *jsonrpc2.Conn, req *jsonrpc2.Request) (any, error) {
		if req.Params == nil {
			return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: "expected params"}
		}
		var params message
		if err := json.Unmarshal(*req.Params, &params); err != nil {
			return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: err.Error()}
		}
		result, err := do(params.Payload)
		return message{result}, err
	})
}

var nobody = jsonrpc2.HandlerWithError(func(context.Context, *jsonrpc2.Conn, *jsonrpc2.Request) (any, error) {
	return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeMethodNotFound, Message: "the host serves no calls"}
})

func (c jsonrpc2Caller) Call(ctx context.Context, payload []byte) ([]byte, error) {
	var result message
	err := c.conn.Call(ctx, "work", message{payload}, &result)
	return result.Payload, err
}

func (c jsonrpc2Caller) Close() error { return c.conn.Close() }
