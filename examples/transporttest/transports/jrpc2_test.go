package transports

import (
	"net"
	"testing"

	"github.com/creachadair/jrpc2/channel"

	"github.com/workerchannel/workerchannel/examples/transporttest"
)

// The interfaces are the same.
var (
	_ transporttest.Conn = channel.Channel(nil)
	_ channel.Channel    = transporttest.Conn(nil)
)

func TestJRPC2FramingsPass(t *testing.T) {
	over := func(framing channel.Framing) transporttest.Opener {
		return func() (host, worker transporttest.Conn, stop func(), err error) {
			a, b := net.Pipe()
			return framing(a, a), framing(b, b), nil, nil
		}
	}
	for name, open := range map[string]transporttest.Opener{
		"Line":    over(channel.Line),
		"Header":  over(channel.Header("application/json")),
		"LSP":     over(channel.LSP),
		"RawJSON": over(channel.RawJSON),
		"Direct": func() (host, worker transporttest.Conn, stop func(), err error) {
			host, worker = channel.Direct()
			return host, worker, nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := []transporttest.Option{transporttest.WithJRPC2Rules()}
			if name == "Line" || name == "RawJSON" {
				opts = append(opts, transporttest.WithText())
			}
			transporttest.Test(t, open, opts...)
		})
	}
}

// What jrpc2's contract leaves open, the full contract does not.
func TestJRPC2FramingsBreakTheFullContract(t *testing.T) {
	err := transporttest.Check(func() (host, worker transporttest.Conn, stop func(), err error) {
		a, b := net.Pipe()
		return channel.Line(a, a), channel.Line(b, b), nil, nil
	}, transporttest.WithText())
	if err == nil {
		t.Fatal("Line appends to the caller's slice, and nobody says so")
	}
	t.Log(err)
}
