// Package rpc makes typed calls by name over package driver: [Call] in a host, and a [Mux] of methods in a worker. What
// driver promises holds for these calls, too. A method may run more than once, unless driver.WithTries is 1.
//
//	mux := rpc.NewMux()
//	rpc.Handle(mux, "add", func(ctx context.Context, in Pair) (int, error) { return in.A + in.B, nil })
//	err := driver.Serve(ctx, driver.Stdio(), "", mux.Handler())
//
//	sum, err := rpc.Call[int](ctx, host, "add", Pair{1, 2})
//
// What you know, and what is here in its place:
//
//	net/rpc            jsonrpc2                 go-plugin               here
//	Register           HandlerWithError         Plugin, its interface   Handle, a function for each method
//	ServeConn          NewConn                  Serve                   driver.Serve(ctx, conn, "", mux.Handler())
//	Dial               NewConn                  NewClient               driver.NewHost, also for many workers
//	Client.Call        Conn.Call                Dispense, a method      Call
//	Client.Go          DispatchCall             go                      go Call
//	ServerError        Error.Code               error                   driver.JobError.Code
//	ErrShutdown        DisconnectNotify         Client.Exited           nothing to do: the call runs elsewhere
//	                   Conn.Notify              a second interface      Progress, OnProgress
//
// The deadline and the metadata ([WithMeta]) of a call reach the context of its method. The format is in docs/rpc.md,
// which names workers in Python and JavaScript.
package rpc
