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
// cancelled by the protocol's handshake; see [Host.Do] for how long that takes and what may still run when Do returns, and
// [ReturnAtOnce] and [WithRunLimit] for handlers that do not return.
//
// No call fails for another, unless [WithTries] is 1. A call that ends its worker is given up after [WithTries] workers that had nothing else, and
// those that were with it in the first run again, each alone, so that the guilty one is known. A worker that leaves in order
// costs nobody a try. A call does not wait while a worker that is ready has a handler free: a worker says how many it has
// (PROTOCOL.md, section 13), is given few calls in advance, and those that wait there are taken back when another worker
// can run them sooner. Regions that have calls waiting take turns.
//
// # What a worker can do to a host
//
// Little. A host keeps a bounded number of a worker's messages. It logs a bounded number of lines of bounded length, and
// quotes what a worker says. The transport must bound the size of a message, as [Lines] does. The protocol authenticates
// nobody: whoever can write to the connection can be the worker.
//
// # Recipes
//
// Among the examples are programs to begin with, each for one use:
//
//   - HttpService: requests become calls, with a deadline, a status code for each error, live page, metrics and journal,
//     and an end in order
//   - Batch: many calls, so many at a time, with the first error or all, and progress
//   - AtMostOnce: jobs that must not run twice, such as payments; what is known when a worker has ended
//   - ProcessPerCall: jobs that leave something behind, so that each needs a process of its own
//   - RollingUpdate: a new version of the worker while calls are made, by [Host.Replace]
//   - LargerData: files for what does not fit into a payload, which are removed whoever dies
//   - WorkersThatConnect: workers that come by themselves, also from other machines, and again when the host is gone, by
//     [Host.Attach] and [ServeAgain]
//
// A host can have workers that it starts and others that connect, over several transports.
//
// # What happens in it
//
// One number names a call: in [CallInfo], in log lines, on the live page, in the journal, and in [Job]. [WithLabel] has
// a name of the program's own stand beside it.
//
// [WithJournal] records every session so that it can be replayed (examples/journal) and looked at (examples/inspect).
// [WithServeJournal] does the same for a worker.
// [WithLogger] logs messages and ends as attributes and readable lines. Package examples/driver/debug is a page that
// shows it live, by [Host.Snapshot] and [Host.Observe].
//
// # Calls with names and types
//
// Package examples/driver/rpc makes jobs of calls such as rpc.Call[int](ctx, host, "add", args), with the deadline and
// metadata of ctx.
//
// # Worker processes
//
// A process that [Start] has started may print what it likes: [Stdio] takes the standard files for messages alone, what
// comes before the first message is logged, and the last lines of the standard error are in the error that says how it
// ended. [WithTerm] lets it remove its files. The page docs/processes.md of the repository says what containers and
// systemd must do.
//
// # Other transports
//
// Anything with the methods of [Conn] will do; examples/transporttest tests it. Modules of their own, so that their
// dependencies are not yours, carry messages over WebSockets (examples/driver/websocket) and NATS (examples/driver/nats).
package driver
