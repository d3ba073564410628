//go:build js

package main

import (
	"slices"
	"strconv"

	"github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/browser/mandel"
)

const (
	window      = 8  // jobs in flight at most
	historySize = 26 // jobs in the table
)

// A picture is the Application of the host. It has the tiles of a view rendered, one job a tile, and every tile is
// drawn once, whatever happens to the workers.
//
// Each rendering of a view is a region of jobs. When it is abandoned the region is closed, and the results of its
// jobs are dropped.
type picture struct {
	host *Host
	page *page

	view    mandel.View
	region  uint64
	tiles   []mandel.Tile
	waiting []int          // tiles without a job, the next one first
	jobs    map[uint64]int // the tile of each job in flight in this region
	drawnBy map[int]string // the worker that rendered each tile that has been drawn
	draws   int            // how many times a tile has been drawn
	lastJob uint64

	history []entry // the latest jobs, oldest first
	tally   tally
	started float64 // in milliseconds
	ended   float64
}

// An entry is a job in the table.
type entry struct {
	job    uint64
	tile   mandel.Tile
	worker string
	ended  string // how it ended; empty while the job is in flight
	detail string
}

// A tally counts events since the page was opened.
type tally struct {
	cancelled int // jobs that ended by the cancel handshake
	failed    int // jobs that lost their worker
	erred     int // jobs that ended with an outcome other than a tile
	refused   int // messages and calls that were refused
}

// render abandons the present picture and begins a new one.
func (p *picture) render(view mandel.View) {
	p.host.Do(func(c *workerchannel.Coordinator) {
		p.abandon(c, "another picture was requested")
		p.view, p.tiles = view, view.Tiles()
		p.region++
		p.drawnBy, p.draws = make(map[int]string), 0
		for i := range p.tiles {
			p.waiting = append(p.waiting, i)
		}
		p.started, p.ended = now(), 0
		p.page.dim()
	})
}

// cancel cancels the jobs in flight and leaves the picture as it is.
func (p *picture) cancel() {
	p.host.Do(func(c *workerchannel.Coordinator) { p.abandon(c, "cancelled on the page") })
}

func (p *picture) abandon(c *workerchannel.Coordinator, reason string) {
	if len(p.jobs) > 0 && !c.ShutdownRequested() { // which ends its jobs anyway
		_, err := c.CloseRegion(p.region, reason)
		p.check(err)
		for _, index := range p.jobs {
			p.page.mark(p.tiles[index], "cancelled")
		}
	}
	p.waiting, p.jobs = nil, make(map[uint64]int)
	p.ended = now()
}

func (p *picture) shutDown() {
	p.host.Do(func(c *workerchannel.Coordinator) { p.check(c.RequestShutdown("shut down on the page")) })
}

// check logs an error.
func (p *picture) check(err error) {
	if err != nil {
		p.tally.refused++
		p.page.log("error", err.Error())
	}
}

// complete reports whether every tile has been drawn.
func (p *picture) complete() bool { return len(p.tiles) > 0 && len(p.drawnBy) == len(p.tiles) }

// wanted reports whether tiles have not been rendered.
func (p *picture) wanted() bool { return len(p.waiting)+len(p.jobs) > 0 }

// status returns a sentence on what is going on or what to do.
func (p *picture) status() string {
	c := p.host.coordinator
	_, active := c.ActiveWorker()
	switch {
	case len(p.tiles) == 0:
		return "Press Render."
	case c.ShutdownRequested():
		return "The worker finishes its tile and stops."
	case p.complete():
		return "Done. Click into the picture to zoom in, with shift to zoom out."
	case p.wanted() && !active:
		return strconv.Itoa(len(p.waiting)) + " tiles wait for a worker. Press Start worker."
	case p.wanted():
		return "Rendering. Cancel it, or kill or replace the worker, and see what happens to its jobs."
	case c.InflightCount() > 0:
		return "Waiting for the worker to end its jobs."
	}
	return "Stopped. Press Render to begin again."
}

// seconds returns how long the picture took, or has taken so far.
func (p *picture) seconds() string {
	end := p.ended
	if p.wanted() {
		end = now()
	}
	return strconv.FormatFloat((end-p.started)/1000, 'f', 1, 64) + " s"
}

// EventEnded keeps the worker busy.
func (p *picture) EventEnded() {
	c := p.host.coordinator
	worker, _ := c.ActiveWorker()
	for c.WorkerReady() && !c.ShutdownRequested() && c.InflightCount() < window && len(p.waiting) > 0 {
		index := p.waiting[0]
		tile := p.tiles[index]
		id := p.lastJob + 1
		err := c.SpawnJob(workerchannel.SpawnJob{
			JobID: id, RegionID: p.region, TaskID: uint64(index), ObligationID: id, Payload: tile.Encode(),
		})
		if err != nil {
			p.check(err)
			break
		}
		p.waiting = p.waiting[1:]
		p.jobs[id] = index
		p.lastJob = id
		p.remember(entry{job: id, tile: tile, worker: worker})
		p.page.mark(tile, "queued")
	}
	p.page.update()
}

// JobEnded draws the tile, or has it rendered again if the worker was gone.
func (p *picture) JobEnded(job workerchannel.TrackedJob) {
	index, current := p.jobs[job.JobID]
	delete(p.jobs, job.JobID)
	ended, detail := "completed", describeOutcome(job.Outcome)
	switch {
	case job.Cause == workerchannel.CauseCancelled:
		p.tally.cancelled++
		ended, detail = "cancelled", "" // so that the last progress stays
	case job.State == workerchannel.StateFailed:
		p.tally.failed++
		ended, detail = "failed", job.Cause.String()
		if current {
			p.waiting = slices.Insert(p.waiting, 0, index)
		}
	case !isTile(job.Outcome):
		p.tally.erred++
		ended = "failed"
	case current:
		p.draw(index, job.Outcome.(workerchannel.OutcomeOk).Payload)
	}
	if current && ended == "failed" {
		p.page.mark(p.tiles[index], ended)
	}
	if e := p.find(job.JobID); e != nil {
		e.ended = ended
		if detail != "" {
			e.detail = detail
		}
	}
}

func isTile(outcome workerchannel.Outcome) bool {
	ok, is := outcome.(workerchannel.OutcomeOk)
	return is && len(ok.Payload) == 2*mandel.TileSize*mandel.TileSize
}

func (p *picture) draw(index int, values []byte) {
	p.page.draw(p.tiles[index], values)
	p.draws++
	p.drawnBy[index], _ = p.host.coordinator.ActiveWorker()
	if p.complete() {
		p.ended = now()
	}
}

// WorkerLost logs the reason. JobEnded is called for the jobs.
func (p *picture) WorkerLost(reason string) { p.page.log("error", "worker lost: "+reason) }

// Sent logs a message to the worker.
func (p *picture) Sent(env workerchannel.Envelope) { p.page.log("out", describe(env)) }

// Received logs a message of a worker and shows the progress that it reports.
func (p *picture) Received(env workerchannel.Envelope, err error) {
	if env.Op != nil {
		p.page.log("in", describe(env))
	}
	p.check(err)
	switch op := env.Op.(type) {
	case workerchannel.StatusSnapshot:
		if e := p.find(op.JobID); e != nil && op.Detail != nil {
			e.detail = clip(*op.Detail)
		}
		if index, current := p.jobs[op.JobID]; current {
			p.page.mark(p.tiles[index], op.State.String())
		}
	case workerchannel.Diagnostic:
		if op.Level == workerchannel.LevelError {
			p.tally.refused++
		}
	}
}

// remember puts a job into the table; if the table is full, the oldest job is removed.
func (p *picture) remember(e entry) {
	if len(p.history) == historySize {
		p.history = slices.Delete(p.history, 0, 1)
	}
	p.history = append(p.history, e)
}

// find returns a job's entry in the table; nil if it has none.
func (p *picture) find(jobID uint64) *entry {
	for i := range p.history {
		if p.history[i].job == jobID {
			return &p.history[i]
		}
	}
	return nil
}
