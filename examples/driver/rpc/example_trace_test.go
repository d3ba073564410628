package rpc_test

import (
	"context"
	"fmt"
	"log"

	"github.com/workerchannel/workerchannel/examples/driver"
	"github.com/workerchannel/workerchannel/examples/driver/rpc"
)

// One trace goes through host and worker, as metadata of the call. With OpenTelemetry, inject and extract are
//
//	func inject(ctx context.Context) context.Context {
//		carrier := propagation.MapCarrier{}
//		otel.GetTextMapPropagator().Inject(ctx, carrier)
//		for key, value := range carrier {
//			ctx = rpc.WithMeta(ctx, key, value)
//		}
//		return ctx
//	}
//
//	func extract(ctx context.Context) context.Context {
//		return otel.GetTextMapPropagator().Extract(ctx, propagation.MapCarrier(rpc.Meta(ctx)))
//	}
//
// and startSpan is Start of a trace.Tracer. Those of the example do the same for the header traceparent.
func Example_traceparent() {
	mux := rpc.NewMux()
	rpc.Handle(mux, "shout", traced("shout", func(ctx context.Context, in string) (string, error) { return in + "!", nil }))
	host, err := driver.NewHost(driver.WithWorkers(1, func(context.Context) (driver.Conn, error) {
		host, worker := driver.Pipe(0)
		go driver.Serve(context.Background(), worker, "", mux.Handler())
		return host, nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Stop(context.Background())

	ctx := startSpan(context.Background(), "request")
	result, err := rpc.Call[string](inject(ctx), host, "shout", "hello")
	fmt.Println(result, err)
	// Output:
	// trace 4bf92f3577b34da6a3ce929d0e0e4736: request is span 1, its parent 0
	// trace 4bf92f3577b34da6a3ce929d0e0e4736: shout is span 2, its parent 1
	// hello! <nil>
}

// traced is a method in a span of its own, whose parent is the caller's.
func traced[In, Out any](name string, f func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (Out, error) { return f(startSpan(extract(ctx), name), in) }
}

func inject(ctx context.Context) context.Context {
	s := ctx.Value(spanKey{}).(span)
	return rpc.WithMeta(ctx, "traceparent", fmt.Sprintf("00-%s-%016x-01", s.trace, s.id))
}

func extract(ctx context.Context) context.Context {
	var s span
	if _, err := fmt.Sscanf(rpc.Meta(ctx)["traceparent"], "00-%32s-%16x-01", &s.trace, &s.id); err != nil {
		return ctx // the caller has no trace
	}
	return context.WithValue(ctx, spanKey{}, s)
}

type span struct {
	trace string
	id    uint64
}

type spanKey struct{}

func startSpan(ctx context.Context, name string) context.Context {
	parent, ok := ctx.Value(spanKey{}).(span)
	if !ok {
		parent.trace = "4bf92f3577b34da6a3ce929d0e0e4736" // at random
	}
	s := span{parent.trace, parent.id + 1}
	fmt.Printf("trace %s: %s is span %d, its parent %d\n", s.trace, name, s.id, parent.id)
	return context.WithValue(ctx, spanKey{}, s)
}
