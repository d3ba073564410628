package benchrpc

import "context"

// A contender is a way to call a worker.
type contender struct {
	name    string
	connect func(host, worker pipe, do work) (caller, error)
}

// A caller is connected to a worker, which ends when the caller is closed. Any number of goroutines may call at a time.
type caller interface {
	Call(ctx context.Context, payload []byte) ([]byte, error)
	Close() error
}

// work is what the worker does with a payload, which is its own. It is called on several goroutines.
type work func(payload []byte) ([]byte, error)

var contenders = []contender{
	{"workerchannel", connectDriver},
	{"jsonrpc2", connectJSONRPC2},
	{"jsonrpc2 async", connectJSONRPC2Async},
	{"net/rpc", connectNetRPC},
	{"gRPC", connectGRPC},
}
