package benchrpc

import (
	"context"
	"net/rpc"
)

// Worker is the service of net/rpc, which has a goroutine for each call. Its messages are encoded by encoding/gob.
type Worker struct{ do work }

// Work is the method that is called.
func (w *Worker) Work(payload []byte, result *[]byte) (err error) {
	*result, err = w.do(payload)
	return err
}

type netrpcCaller struct{ client *rpc.Client }

func connectNetRPC(h, w pipe, do work) (caller, error) {
	s := rpc.NewServer()
	if err := s.Register(&Worker{do}); err != nil {
		return nil, err
	}
	go s.ServeConn(w)
	return netrpcCaller{rpc.NewClient(h)}, nil
}

// Call returns when ctx ends; net/rpc cannot cancel a call, so the worker goes on.
func (c netrpcCaller) Call(ctx context.Context, payload []byte) ([]byte, error) {
	var result []byte
	call := c.client.Go("Worker.Work", payload, &result, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return result, call.Error
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c netrpcCaller) Close() error { return c.client.Close() }
