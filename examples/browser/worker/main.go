//go:build js

// Command worker renders tiles in a Web Worker. It is compiled to Wasm; worker-go.js starts it.
package main

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"syscall/js"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/browser/mandel"
)

// rowsPerSlice is how much of a tile is rendered before the worker looks for messages again.
const rowsPerSlice = 16

// A renderer does one job at a time, in the order in which they came. All its methods run on the
// worker's only thread: as callbacks for a message that has come, and for the next slice of work.
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
	// Every instance needs an id of its own, so that no message of another is taken for one of its.
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

// slicer returns a function that has slice called as soon as messages that have already come are
// handled. A message channel does so at once, where setTimeout would wait for milliseconds.
func slicer(slice func()) (wakeUp func()) {
	channel := js.Global().Get("MessageChannel").New()
	channel.Get("port1").Set("onmessage", js.FuncOf(func(js.Value, []js.Value) any {
		slice()
		return nil
	}))
	return func() { channel.Get("port2").Call("postMessage", js.Null()) }
}

// receive does what a message of the coordinator asks.
func (r *renderer) receive(text string) {
	r.half.AdvanceTurn()
	env, err := r.half.Receive([]byte(text))
	if err != nil {
		r.check(err)
		r.send()
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
		if _, ok := r.half.JobState(op.JobID); ok { // or it ended while the request travelled
			r.drop(op.JobID)
			r.check(r.half.AcknowledgeCancel(op.JobID))
		}
	case workerchannel.DrainJob:
		r.check(r.half.CompleteDrain(op.JobID)) // nothing is under way between two slices
	case workerchannel.FinalizeJob:
		r.check(r.half.CompleteFinalize(op.JobID))
	case workerchannel.ShutdownWorker:
		r.queue = slices.DeleteFunc(r.queue, func(j *job) bool { return j.row == 0 }) // what has begun is finished
	}
	r.send()
	r.wake()
}

// drop takes a job from the queue.
func (r *renderer) drop(jobID uint64) {
	r.queue = slices.DeleteFunc(r.queue, func(j *job) bool { return j.id == jobID })
}

// wake makes a slice due, if there is anything to do.
func (r *renderer) wake() {
	if !r.awake && (len(r.queue) > 0 || r.half.ShutdownRequested()) {
		r.awake = true
		r.wakeUp()
	}
}

// slice goes on with the oldest job, or stops if the worker is asked to and has none.
func (r *renderer) slice() {
	r.awake = false
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

// send posts what waits in the outbox. A message is posted as its text.
func (r *renderer) send() {
	for env := range r.half.Outbox() {
		text, err := env.AppendJSON(nil)
		if err != nil {
			complain(err)
			continue
		}
		js.Global().Call("postMessage", string(text))
	}
}

// check reports what should not have happened to the coordinator's log.
func (r *renderer) check(err error) {
	if err == nil {
		return
	}
	d := workerchannel.Diagnostic{Level: workerchannel.LevelError, Category: "protocol", Message: err.Error()}
	if r.half.Diagnose(d) != nil {
		complain(err)
	}
}

func complain(err error) { js.Global().Get("console").Call("error", err.Error()) }
