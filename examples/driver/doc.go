// Package driver runs jobs in workers over any transport that has Send, Recv and Close. It is the event loop around
// the protocol core workerchannel, written once: [Host.Do] hands a job to a worker and returns its result, and
// [Serve] is the worker.
//
//	host, err := driver.NewHost(driver.WithWorkers(4, func(context.Context) (driver.Conn, error) {
//		return driver.Start(exec.Command("./worker"))
//	}))
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer host.Stop(context.Background())
//	result, err := host.Do(ctx, []byte("shout"))
//
// and the worker:
//
//	err := driver.Serve(ctx, driver.Stdio(), "", func(ctx context.Context, job *driver.Job) ([]byte, error) {
//		return bytes.ToUpper(job.Payload), nil
//	})
//
// # What a call can count on
//
// Do returns exactly once, whatever workers do: with the result, or with an error that says why there is none. A worker
// that dies, hangs, breaks the protocol or does not read is noticed within the [Limits] and is ended, and its calls run
// elsewhere. So a job may run more than once, unless [WithTries] is 1. When the context of a call ends, the job is
// cancelled by the protocol's handshake; see [Host.Do] for what may still run when Do returns.
//
// # What a worker can do to a host
//
// Little. A host keeps a bounded number of a worker's messages. It logs a bounded number of lines of bounded length, and
// quotes what a worker says. The transport must bound the size of a message, as [Lines] does. The protocol authenticates
// nobody: whoever can write to the connection can be the worker.
//
// # What happens in it
//
// [WithJournal] records every session so that it can be replayed (examples/journal) and looked at (examples/inspect).
// [WithLogger] logs messages and ends as attributes and readable lines. Package examples/driver/debug is a page that shows it
// live, by [Host.Snapshot] and [Host.Observe].
//
// # Other transports
//
// Anything with the methods of [Conn] will do; examples/transporttest tests it. Modules of their own, so that their
// dependencies are not yours, carry messages over WebSockets (examples/driver/websocket) and NATS (examples/driver/nats).
//
// # Layout
//
// scheduler.go decides who gets which call; it is a plain state machine. host.go, call.go and dial.go are the API around
// it. session.go is what happens between a host and one worker, and worker.go its goroutines; server.go and serve.go are
// the same of a worker. record.go, observe.go, snapshot.go and log.go show what happens. lines.go and process.go are transports.
package driver
