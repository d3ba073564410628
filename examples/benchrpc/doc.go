// Package benchrpc compares ways to make the same call over the same pipes: as a job of examples/driver, and with
// github.com/sourcegraph/jsonrpc2, net/rpc and gRPC. README.md has the commands, the figures and what the wire costs.
package benchrpc
