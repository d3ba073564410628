package journal_test

import (
	"fmt"
	"os"
	"path/filepath"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

func Example() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "session.journal")

	// The program: a Recorder takes the place of the Coordinator.
	// README: begin
	log, err := journal.Create(name, journal.Options{MaxFileBytes: 64 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	limits := wc.Limits{Boot: 3}
	c := log.Record(wc.NewCoordinator(42, wc.WithLimits(limits)), journal.Setup{Limits: limits})
	// README: end
	c.ExpectWorker()
	worker := wc.NewWorker("w-1", 42)
	_ = worker.Announce()
	for env := range worker.Outbox() {
		data, _ := env.AppendJSON(nil)
		_, _ = c.Receive(data)
	}
	_ = c.SpawnJob(wc.SpawnJob{JobID: 7, Payload: []byte("hello")})
	c.DrainOutbox()
	_ = log.Close()

	// Later: what happened, and whether it happens again.
	walker := journal.NewWalker(func(e *journal.Event) error {
		if e.Envelope != nil {
			fmt.Printf("turn %d: %v\n", e.Turn, e.Envelope)
		}
		return nil
	})
	for _, part := range journal.Files(name) {
		if err := walker.Read(part.Name, part); err != nil {
			fmt.Println(err)
		}
		part.Close()
	}
	fmt.Println(walker.Steps, "steps,", walker.Divergences, "divergences")
	// Output:
	// turn 0: w-1 → BootstrapReady
	// turn 0: coordinator → SpawnJob job 7: 5 bytes
	// 4 steps, 0 divergences
}
