package transports

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// stream is an end of a bidirectional gRPC stream of byte strings.
type stream struct {
	s interface {
		SendMsg(any) error
		RecvMsg(any) error
	}
	closed chan struct{}
	once   sync.Once
	cancel func()
}

var errStreamClosed = errors.New("the stream is closed")

func (s *stream) Send(msg []byte) error {
	select {
	case <-s.closed:
		return errStreamClosed
	default:
		return s.s.SendMsg(wrapperspb.Bytes(msg))
	}
}

func (s *stream) Recv() ([]byte, error) {
	select {
	case <-s.closed:
		return nil, errStreamClosed
	default:
	}
	var msg wrapperspb.BytesValue
	err := s.s.RecvMsg(&msg)
	return msg.Value, err
}

func (s *stream) Close() error {
	s.once.Do(func() { close(s.closed); s.cancel() })
	return nil
}

func openGRPC() (host, worker transporttest.Conn, stop func(), err error) {
	accepted := make(chan *stream, 1)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(2*transporttest.MaxMessage), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		if err := s.SendHeader(nil); err != nil {
			return err
		}
		end := &stream{s: s, closed: make(chan struct{}), cancel: func() {}}
		accepted <- end
		select {
		case <-end.closed: // the stream ends when this function returns
		case <-s.Context().Done():
		}
		return nil
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	go server.Serve(listener)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(2*transporttest.MaxMessage)))
	if err != nil {
		server.Stop()
		return nil, nil, nil, err
	}
	stop = func() { _ = conn.Close(); server.Stop() }
	ctx, cancel := context.WithCancel(context.Background())
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/transporttest/Stream")
	if err != nil {
		cancel()
		stop()
		return nil, nil, nil, err
	}
	return <-accepted, &stream{s: s, closed: make(chan struct{}), cancel: cancel}, stop, nil
}

func TestGRPCStreamPasses(t *testing.T) { transporttest.Test(t, openGRPC) }
