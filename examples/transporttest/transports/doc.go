// Package transports tests transports of other modules with transporttest: WebSockets (coder/websocket), NATS, gRPC, QUIC (quic-go),
// and the framings of jrpc2. It is a module of its own, so that their dependencies are not those of workerchannel.
//
// Each file shows how such a transport is made a transporttest.Conn.
package transports
