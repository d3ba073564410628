package transports

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// quicConn is an end of one QUIC stream, on which every message has its length before it.
type quicConn struct {
	conn *quic.Conn
	s    *quic.Stream
	r    *bufio.Reader
}

func newQUIC(conn *quic.Conn, s *quic.Stream) *quicConn {
	return &quicConn{conn, s, bufio.NewReader(s)}
}

func (c *quicConn) Send(msg []byte) error {
	_, err := c.s.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(msg)), uint32(len(msg))), msg...))
	return err
}

func (c *quicConn) Recv() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > transporttest.MaxMessage {
		return nil, errors.New("the message is too long")
	}
	msg := make([]byte, n)
	_, err := io.ReadFull(c.r, msg)
	return msg, err
}

func (c *quicConn) Close() error { return c.conn.CloseWithError(0, "closed") }

// certificate is one that the server made itself.
func certificate(t *testing.T) tls.Certificate {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func TestQUICPasses(t *testing.T) {
	protocols := []string{"transporttest"}
	listener, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: protocols}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	client := &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}
	transporttest.Test(t, func() (host, worker transporttest.Conn, stop func(), err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		dialled, err := quic.DialAddr(ctx, listener.Addr().String(), client, nil)
		if err != nil {
			return nil, nil, nil, err
		}
		accepted, err := listener.Accept(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		// A stream is there for the peer only when something has been written on it.
		a, err := dialled.OpenStreamSync(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		if _, err := a.Write([]byte{0}); err != nil {
			return nil, nil, nil, err
		}
		b, err := accepted.AcceptStream(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
			return nil, nil, nil, err
		}
		return newQUIC(accepted, b), newQUIC(dialled, a), nil, nil
	})
}
