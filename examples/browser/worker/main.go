//go:build js

// Worker renders tiles in a Web Worker. It is compiled to Wasm; worker-go.js starts it.
package main

import (
	"context"
	"math/rand/v2"
	"strconv"
	"syscall/js"

	"github.com/workerchannel/workerchannel/examples/browser/mandel"
	"github.com/workerchannel/workerchannel/examples/browser/port"
	"github.com/workerchannel/workerchannel/examples/driver"
)

// rowsPerSlice is the number of rows of a tile that are rendered before the worker receives messages again.
const rowsPerSlice = 16

func main() {
	conn := port.New(js.Global(), func() {})
	// Every instance needs a new id, so that messages of another are not mistaken for its own.
	id := "go-" + strconv.FormatUint(uint64(rand.Uint32()), 36)
	pause := newPause()
	err := driver.Serve(context.Background(), conn, id, func(ctx context.Context, job *driver.Job) ([]byte, error) {
		tile, err := mandel.Decode(job.Payload)
		if err != nil {
			return nil, &driver.JobError{Code: "bad_tile", Message: err.Error()}
		}
		return render(ctx, tile, job.Progress, pause)
	}, driver.WithConcurrency(1)) // there is one thread
	if err != nil {
		panic(err)
	}
}

func render(ctx context.Context, tile mandel.Tile, report func(string), pause func()) ([]byte, error) {
	var values []byte
	size := int(tile.Size)
	for row := range size {
		if row > 0 && row%rowsPerSlice == 0 {
			report(strconv.Itoa(row) + " of " + strconv.Itoa(size) + " rows")
			if pause(); ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		values = tile.AppendRow(values, row)
	}
	return values, nil
}

// newPause returns a function that waits until the messages that have already arrived are handled. It uses a message
// channel, because time.Sleep would wait for some milliseconds.
func newPause() (pause func()) {
	channel := js.Global().Get("MessageChannel").New()
	due := make(chan struct{}, 1)
	channel.Get("port1").Set("onmessage", js.FuncOf(func(js.Value, []js.Value) any {
		due <- struct{}{}
		return nil
	}))
	return func() {
		channel.Get("port2").Call("postMessage", js.Null())
		<-due
	}
}
