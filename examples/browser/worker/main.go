//go:build js

// Worker renders tiles in a Web Worker. It is compiled to Wasm; worker-go.js starts it.
package main

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"syscall/js"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/browser/mandel"
)

// rowsPerSlice is the number of rows of a tile that are rendered before the worker receives messages again.
const rowsPerSlice = 16

// A renderer does one job at a time, in the order in which they arrived. All its methods run on the worker's only
// thread, as callbacks for a message or for the next slice of work.
type renderer struct {
	half    *workerchannel.Worker
	queue   []*job
	awake   bool          // a slice is due
	wakeUp  func()        // makes it due
	stopped chan struct{} // closed to end the program
}

type job struct {
	id     uint64
	tile   mandel.Tile
	row    int // the next to render
	values []byte
}

func main() {
	global := js.Global()
	query := js.Global().Get("URLSearchParams").New(global.Get("location").Get("search"))
	seed, _ := strconv.ParseUint(query.Call("get", "seed").String(), 10, 64)
	// Every instance needs a new id, so that messages of another are not mistaken for its own.
	id := "go-" + strconv.FormatUint(uint64(rand.Uint32()), 36)

	r := &renderer{half: workerchannel.NewWorker(id, seed), stopped: make(chan struct{})}
	r.wakeUp = slicer(r.slice)
	onMessage := js.FuncOf(func(_ js.Value, args []js.Value) any {
		r.receive(args[0].Get("data").String())
		return nil
	})
	global.Set("onmessage", onMessage)
	r.check(r.half.Announce())
	r.send()
	<-r.stopped
}

// slicer returns a function after which slice is called when the messages that have already arrived are handled. It uses
// a message channel; setTimeout would wait for some milliseconds.
func slicer(slice func()) (wakeUp func()) {
	channel := js.Global().Get("MessageChannel").New()
	channel.Get("port1").Set("onmessage", js.FuncOf(func(js.Value, []js.Value) any {
		slice()
		return nil
	}))
	return func() { channel.Get("port2").Call("postMessage", js.Null()) }
}

// receive does what a message of the coordinator asks for. If it is refused, the worker fails and stops.
func (r *renderer) receive(text string) {
	if r.half.Closed() {
		return // the program is ending
	}
	r.half.AdvanceTurn()
	env, err := r.half.Receive([]byte(text))
	if err != nil {
		_ = r.half.Fail(err.Error()) // refused only if the worker is closed
		r.send()
		close(r.stopped)
		return
	}
	switch op := env.Op.(type) {
	case workerchannel.SpawnJob:
		tile, err := mandel.Decode(op.Payload)
		if err != nil {
			r.check(r.half.Complete(op.JobID, workerchannel.OutcomeErr{Code: "bad_tile", Message: err.Error()}))
			break
		}
		r.queue = append(r.queue, &job{id: op.JobID, tile: tile})
	case workerchannel.CancelJob:
		if _, ok := r.half.JobState(op.JobID); ok { // otherwise it has ended while the request travelled
			r.drop(op.JobID)
			r.check(r.half.AcknowledgeCancel(op.JobID))
		}
	case workerchannel.DrainJob:
		r.check(r.half.CompleteDrain(op.JobID)) // between two slices nothing is under way
	case workerchannel.FinalizeJob:
		r.check(r.half.CompleteFinalize(op.JobID))
	case workerchannel.ShutdownWorker:
		r.queue = slices.DeleteFunc(r.queue, func(j *job) bool { return j.row == 0 }) // a tile that has been begun is finished
	}
	r.send()
	r.wake()
}

// drop takes a job from the queue.
func (r *renderer) drop(jobID uint64) {
	r.queue = slices.DeleteFunc(r.queue, func(j *job) bool { return j.id == jobID })
}

// wake makes a slice due if there is something to do.
func (r *renderer) wake() {
	if !r.awake && (len(r.queue) > 0 || r.half.ShutdownRequested()) {
		r.awake = true
		r.wakeUp()
	}
}

// slice renders a part of the oldest job, or stops the worker if it has been asked to stop and has no job.
func (r *renderer) slice() {
	r.awake = false
	if r.half.Closed() {
		return
	}
	if len(r.queue) == 0 {
		if r.half.ShutdownRequested() {
			r.check(r.half.CompleteShutdown())
			r.send()
			close(r.stopped)
		}
		return
	}
	r.render(r.queue[0])
	r.send()
	r.wake()
}

func (r *renderer) render(j *job) {
	if j.row == 0 {
		r.check(r.half.Start(j.id))
	}
	size := int(j.tile.Size)
	for end := min(j.row+rowsPerSlice, size); j.row < end; j.row++ {
		j.values = j.tile.AppendRow(j.values, j.row)
	}
	if j.row < size {
		r.check(r.half.Report(j.id, strconv.Itoa(j.row)+" of "+strconv.Itoa(size)+" rows"))
		return
	}
	r.queue = r.queue[1:]
	r.check(r.half.Complete(j.id, workerchannel.OutcomeOk{Payload: j.values}))
}

// send posts the messages in the outbox, each as a string.
func (r *renderer) send() {
	for env := range r.half.Outbox() {
		text, _ := env.AppendJSON(nil) // the worker queues nothing that cannot be written
		js.Global().Call("postMessage", string(text))
	}
}

// check sends an error, which should not occur, to the coordinator's log.
func (r *renderer) check(err error) {
	if err == nil {
		return
	}
	d := workerchannel.Diagnostic{Level: workerchannel.LevelError, Category: "protocol", Message: err.Error()}
	if r.half.Diagnose(d) != nil {
		js.Global().Get("console").Call("error", err.Error())
	}
}
