package benchrpc

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The method takes and returns the well-known message google.protobuf.BytesValue.
const grpcMethod = "/benchrpc.Worker/Work"

// window is the size of gRPC's windows for flow control. Beginning with its default of 64 KiB, it is slower for the
// largest payload.
const window = 4 << 20

func grpcService(do work) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "benchrpc.Worker",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Work",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				var in wrapperspb.BytesValue
				if err := decode(&in); err != nil {
					return nil, err
				}
				result, err := do(in.Value)
				return wrapperspb.Bytes(result), err
			},
		}},
	}
}

type grpcCaller struct {
	client *grpc.ClientConn
	server *grpc.Server
}

func connectGRPC(h, w pipe, do work) (caller, error) {
	s := grpc.NewServer(grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window))
	s.RegisterService(grpcService(do), nil)
	go func() { _ = s.Serve(newListener(w)) }()
	dialed := false
	client, err := grpc.NewClient("passthrough:///pipe",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if dialed {
				return nil, errors.New("benchrpc: the pipe has been used")
			}
			dialed = true
			return h, nil
		}))
	return grpcCaller{client, s}, err
}

func (c grpcCaller) Call(ctx context.Context, payload []byte) ([]byte, error) {
	var result wrapperspb.BytesValue
	err := c.client.Invoke(ctx, grpcMethod, wrapperspb.Bytes(payload), &result)
	return result.Value, err
}

func (c grpcCaller) Close() error {
	err := c.client.Close()
	c.server.Stop()
	return err
}

// A listener accepts one connection.
type listener struct {
	conn   chan net.Conn
	closed chan struct{}
	close  func()
}

func newListener(c net.Conn) *listener {
	l := &listener{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	l.conn <- c
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, io.EOF
	}
}

func (l *listener) Close() error   { l.close(); return nil }
func (l *listener) Addr() net.Addr { return pipeAddr{} }
