package driver_test

import (
	"testing"

	"github.com/workerchannel/workerchannel/internal/layers"
)

// files are those of the package, a layer a line. A file uses its own layer and those below.
//
// scheduler.go decides who gets which call, balance.go when one is taken back, leave.go what becomes of those of a worker that
// has ended, and staff.go how many workers there are; call.go, region.go, slot.go, orders.go and backlog.go are what they keep.
// Together they are a plain state machine. session.go is what happens between a host and one worker, watch.go and runlimit.go
// what may be late there, closing.go how it ends, and tell.go what others learn of it. hub.go is what the sessions of a host
// share. worker.go has the goroutines of a session; server.go and serve.go are the same of a worker.
var files = []string{
	"doc.go",
	"host.go do.go pool.go dial.go options.go stats.go snapshot.go", // what programs call
	"serve.go again.go server.go job.go jobcontext.go",              // the worker's side
	"worker.go", // goroutines
	"session.go watch.go closing.go runlimit.go tell.go", // one worker
	"hub.go",
	"observe.go record.go log.go",
	"scheduler.go balance.go leave.go staff.go orders.go backlog.go slot.go call.go region.go", // all workers
	"send.go ping.go",
	"chain.go capacity.go limits.go counters.go histogram.go",
	"process.go process_unix.go process_other.go preamble.go lastwords.go " + // transports
		"stdio.go stdio_unix.go stdio_linux.go stdio_dup2.go stdio_windows.go stdio_other.go",
	"lines.go conn.go",
	"errors.go text.go",
}

func TestFilesUseOnlyTheLayersBelow(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the sources of all that the package imports")
	}
	layers.Check(t, files)
}
