package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/rpc"
)

// BenchmarkCall is a call of 64 bytes over an in-memory pipe, by Do alone and by Call: with a body as it is, with one
// that is JSON of 64 bytes, and with a deadline and metadata.
func BenchmarkCall(b *testing.B) {
	type text struct{ Text string }
	mux := rpc.NewMux()
	rpc.Handle(mux, "echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	rpc.Handle(mux, "echo_text", func(_ context.Context, in text) (text, error) { return in, nil })
	body := bytes.Repeat([]byte("x"), 64)
	in := text{string(body[:53])}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	traced := rpc.WithMeta(ctx, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	echo := func(_ context.Context, job *driver.Job) ([]byte, error) { return job.Payload, nil }
	echoText := func(_ context.Context, job *driver.Job) ([]byte, error) {
		var in text
		if err := json.Unmarshal(job.Payload, &in); err != nil {
			return nil, err
		}
		return json.Marshal(in)
	}
	for _, c := range []struct {
		name    string
		handler driver.Handler
		call    func(h *driver.Host) error
	}{
		{"Do", echo, func(h *driver.Host) error {
			_, err := h.Do(context.Background(), body)
			return err
		}},
		{"Do with a deadline", echo, func(h *driver.Host) error {
			_, err := h.Do(ctx, body)
			return err
		}},
		{"Do with JSON", echoText, func(h *driver.Host) error {
			payload, err := json.Marshal(in)
			if err != nil {
				return err
			}
			result, err := h.Do(context.Background(), payload)
			if err != nil {
				return err
			}
			var out text
			return json.Unmarshal(result, &out)
		}},
		{"bytes", mux.Handler(), func(h *driver.Host) error {
			_, err := rpc.Call[[]byte](context.Background(), h, "echo", body)
			return err
		}},
		{"JSON", mux.Handler(), func(h *driver.Host) error {
			_, err := rpc.Call[text](context.Background(), h, "echo_text", in)
			return err
		}},
		{"deadline", mux.Handler(), func(h *driver.Host) error {
			_, err := rpc.Call[[]byte](ctx, h, "echo", body)
			return err
		}},
		{"deadline and metadata", mux.Handler(), func(h *driver.Host) error {
			_, err := rpc.Call[[]byte](traced, h, "echo", body)
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := newHost(b, c.handler)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.call(h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
