//go:build js

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/browser/mandel"
	"github.com/workerchannel/workerchannel/examples/driver"
)

const (
	callers     = 16 // tiles that are given to the host at a time
	historySize = 26 // jobs in the table
)

var (
	errAnother   = errors.New("another picture was requested")
	errCancelled = errors.New("cancelled on the page")
)

// A picture has the tiles of a view rendered, one job a tile. Each rendering of a view is a region of calls. When it is
// abandoned the region is closed, and the results of its jobs are dropped.
type picture struct {
	page    *page
	workers *workers

	place    string // the name of the place that was last chosen
	view     mandel.View
	number   int // of this rendering
	region   *driver.Region
	regionID uint64
	host     *driver.Host // the region's
	tiles    []mandel.Tile
	byJob    map[string]int // the tile of each payload
	waiting  []int          // tiles that have not been given to the host, the next one first
	calls    int            // tiles that have been, and have not ended
	drawn    int            // tiles that have been drawn
	failed   int            // tiles that ended with an error
	lastErr  error
	canceled bool

	history       []entry // the latest jobs, oldest first
	cancelledJobs int     // that a worker has cancelled, of all pictures
	started       float64 // in milliseconds
	ended         float64 // 0: not yet
}

// An entry is a job in the table.
type entry struct {
	job    uint64
	tile   int // in this rendering; -1 if it is another's
	place  string
	worker *webWorker
	state  string
	open   bool
	detail string
}

// render abandons the present picture and begins a new one.
func (p *picture) render(view mandel.View) {
	p.abandon(errAnother)
	p.number++
	p.view, p.tiles = view, view.Tiles()
	p.byJob = make(map[string]int)
	p.waiting = nil
	for i, tile := range p.tiles {
		p.byJob[string(tile.Encode())] = i
		p.waiting = append(p.waiting, i)
	}
	for i := range p.history {
		p.history[i].tile = -1
	}
	p.calls, p.drawn, p.failed, p.lastErr, p.canceled = 0, 0, 0, nil, false
	p.started, p.ended = now(), 0
	p.page.dim()
	p.page.place()
	p.resume()
}

// resume has the tiles that wait rendered, and starts a worker if there is none.
func (p *picture) resume() {
	switch {
	case p.workers.stopping:
		p.workers.again = true
		p.page.update()
		return
	case p.workers.host == nil:
		p.workers.start()
	}
	if p.host != p.workers.host {
		p.host, p.regionID = p.workers.host, 0
	}
	p.region = p.host.NewRegion()
	p.regionID++
	for range min(callers, len(p.waiting)) {
		go p.call(p.host, p.region, p.number)
	}
	p.page.update()
}

// call has tiles rendered, one after the other, as long as some wait.
func (p *picture) call(host *driver.Host, region *driver.Region, number int) {
	for number == p.number && region == p.region && len(p.waiting) > 0 {
		index := p.waiting[0]
		p.waiting = p.waiting[1:]
		p.calls++
		values, err := host.Do(context.Background(), p.tiles[index].Encode(), driver.InRegion(region))
		if number != p.number {
			return
		}
		p.calls--
		switch {
		case err == nil && len(values) == 2*mandel.TileSize*mandel.TileSize:
			p.drawn++
			p.page.draw(p.tiles[index], values)
		case errors.Is(err, driver.ErrStopped):
			p.waiting = append(p.waiting, index)
			slices.Sort(p.waiting)
			p.page.mark(p.tiles[index], "postponed")
			return
		case errors.Is(err, driver.ErrCancelled), errors.Is(err, driver.ErrRegionClosed): // if it was a job, that is marked
		default:
			p.failed++
			p.lastErr = err
			p.page.mark(p.tiles[index], "failed")
		}
		if !p.wanted() {
			p.ended = now()
		}
		p.page.update()
	}
}

// cancel cancels the jobs in flight and leaves the picture as it is.
func (p *picture) cancel() {
	p.abandon(errCancelled)
	p.waiting, p.canceled = nil, true
	p.ended = now()
	p.page.update()
}

func (p *picture) abandon(cause error) {
	if p.region != nil {
		go p.region.Close(cause) // it returns when the jobs have ended
	}
}

// hostStopped is called when the worker has shut down.
func (p *picture) hostStopped(again bool) {
	if again {
		p.resume()
	}
	p.page.update()
}

// workerGone is called when nothing more comes from a worker. The host has the jobs that it had run again.
func (p *picture) workerGone(w *webWorker) {
	for i := range p.history {
		if e := &p.history[i]; e.worker == w && e.open {
			e.open, e.state, e.detail = false, "lost", "runs again"
			if e.tile >= 0 {
				p.page.mark(p.tiles[e.tile], "lost")
			}
		}
	}
	p.page.update()
}

// complete reports whether every tile has been drawn.
func (p *picture) complete() bool { return len(p.tiles) > 0 && p.drawn == len(p.tiles) }

// wanted reports whether tiles are still to be rendered.
func (p *picture) wanted() bool { return len(p.waiting)+p.calls > 0 && !p.canceled }

// status returns a sentence on what is going on or what to do.
func (p *picture) status() string {
	state, _ := p.workers.state()
	left := counted(len(p.waiting)+p.calls, "tile")
	switch {
	case p.canceled && p.calls > 0:
		return "Cancelling: the worker lets go of its jobs."
	case state == "stopping":
		return "Shutting down: the worker finishes the tiles that it has. The others stay undone."
	case state == "stopped" && p.wanted():
		return "Shut down, with " + left + " to go. Start a worker, and they will be rendered."
	case p.canceled:
		return "Cancelled. Press Render to begin again."
	case p.failed > 0 && !p.wanted():
		return fmt.Sprintf("%s failed (%s). Press Render to try again.", counted(p.failed, "tile"), clip(p.lastErr.Error()))
	case p.complete():
		return "Done. Click into the picture to zoom in, or use its buttons."
	case state == "killed":
		return "Killed. The tiles of the worker (✕) wait for its successor, which is starting."
	case state == "starting" && !p.workers.ready():
		return "The worker is starting. " + left + " will be rendered when it is ready."
	}
	return "Rendering. Cancel it, or kill, replace or shut down the worker, and see what becomes of its jobs."
}

// seconds returns how long the picture took, or has taken so far.
func (p *picture) seconds() string {
	end := p.ended
	if end == 0 {
		end = now()
	}
	return strconv.FormatFloat((end-p.started)/1000, 'f', 1, 64) + " s"
}

// placeName returns the name of the view: that of a place, or how it was zoomed.
func (p *picture) placeName() string {
	for _, v := range mandel.Views {
		if v.Name == p.place {
			switch factor := v.Width / p.view.Width; {
			case p.view == v.View:
				return v.Name
			case factor > 1:
				return fmt.Sprintf("Near %s, %s× larger", v.Name, short(factor))
			case factor < 1:
				return fmt.Sprintf("Around %s, %s× wider", v.Name, short(1/factor))
			}
		}
	}
	return "Beside " + p.place
}

func short(n float64) string {
	if n < 1e5 {
		return strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	}
	return strconv.FormatFloat(n, 'e', 0, 64)
}

// message is called with each message to and from a worker.
func (p *picture) message(w *webWorker, env workerchannel.Envelope) {
	kind := "in"
	if env.Op.Type().Sender() == workerchannel.SenderCoordinator {
		kind = "out"
	}
	p.page.log(kind, describe(env))
	switch op := env.Op.(type) {
	case workerchannel.SpawnJob:
		p.remember(w, op)
	case workerchannel.StatusSnapshot:
		detail := ""
		if op.Detail != nil {
			detail = clip(*op.Detail)
		}
		p.note(w, op.JobID, op.State.String(), detail)
	case workerchannel.CancelJob:
		p.note(w, op.JobID, "cancel requested", "")
	case workerchannel.CancelAcknowledged:
		p.note(w, op.JobID, "draining", "")
	case workerchannel.DrainCompleted:
		p.note(w, op.JobID, "finalizing", "")
	case workerchannel.FinalizeCompleted:
		p.cancelledJobs++
		p.end(w, op.JobID, "cancelled", "")
	case workerchannel.JobCompleted:
		_, ok := op.Outcome.(workerchannel.OutcomeOk)
		p.end(w, op.JobID, choose(ok, "completed", "failed"), describeOutcome(op.Outcome))
	}
	p.page.update()
}

// remember puts a job into the table; if the table is full, the oldest job is removed.
func (p *picture) remember(w *webWorker, op workerchannel.SpawnJob) {
	e := entry{job: op.JobID, tile: -1, worker: w, state: "queued", open: true}
	if index, ok := p.byJob[string(op.Payload)]; ok && op.RegionID == p.regionID && p.host == p.workers.host {
		tile := p.tiles[index]
		e.tile = index
		e.place = strconv.Itoa(tile.Col/mandel.TileSize) + ", " + strconv.Itoa(tile.Row/mandel.TileSize)
		p.page.mark(tile, "queued")
	}
	if len(p.history) == historySize {
		p.history = slices.Delete(p.history, 0, 1)
	}
	p.history = append(p.history, e)
}

// note shows the state of a job, in the table and on its tile.
func (p *picture) note(w *webWorker, job uint64, state, detail string) {
	e := p.find(w, job)
	if e == nil {
		return
	}
	if detail != "" {
		e.detail = detail
	}
	if e.tile >= 0 && e.state != state {
		p.page.mark(p.tiles[e.tile], state)
	}
	e.state = state
}

// end shows how a job ended.
func (p *picture) end(w *webWorker, job uint64, state, detail string) {
	p.note(w, job, state, detail)
	if e := p.find(w, job); e != nil {
		e.open = false
	}
}

// find returns the entry of a job that has not ended; nil if it is not in the table.
func (p *picture) find(w *webWorker, job uint64) *entry {
	for i := range p.history {
		if e := &p.history[i]; e.worker == w && e.job == job && e.open {
			return e
		}
	}
	return nil
}
