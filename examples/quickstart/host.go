package main

import (
	"bufio"
	"sync"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// limits are how many turns a worker may take for each kind of request.
var limits = wc.Limits{Boot: 3, Cancel: 3, Drain: 3, Finalize: 3, Poll: 3, Shutdown: 3}

// A host hands jobs to one worker at a time.
type host struct {
	c        *journal.Recorder // in your program a *workerchannel.Coordinator; this one records its calls
	line     line              // to the present worker; the zero line if there is none
	requests chan func() error // what the rest of the program wants of the coordinator
	turns    chan struct{}     // in your program the ticks of a clock

	jobs             map[uint64]*job // for the tables of the transcript
	closing          uint64          // the region that is being closed; 0 if none
	out              *bufio.Writer   // the transcript
	scenes, messages int             // how many it has so far
	moving           *sync.WaitGroup // see story
}

// A job is what the host knows about a job. It goes with the job as its tag.
type job struct {
	id, region uint64
	task       string
	state      wc.JobState // as last printed
	outcome    wc.Outcome
	cause      wc.EndCause
	scene      int // the last one in which something happened to it
}

// loop is the host's event loop. Nothing else uses the coordinator.
func (h *host) loop() {
	var next []byte // the message to be sent next
	for {
		if next == nil && h.line.toWorker != nil {
			next = h.take()
		}
		out := h.line.toWorker
		if next == nil {
			out = nil
		}
		select {
		case out <- next: // what the line takes at once is sent first, so that the transcript is always the same
			next = nil
			continue
		default:
		}
		h.moving.Done() // see story
		select {
		case out <- next: // sending never keeps the loop from receiving
			next = nil
			h.moving.Add(1)
		case data, alive := <-h.line.toHost: // closed when the worker is gone and all that it sent has been read
			if alive {
				h.receive(data)
				break
			}
			h.event("%s is gone", h.line.worker)
			h.line = line{}
			next = nil // it was for that worker
			h.c.WorkerLost()
		case request, open := <-h.requests:
			if !open {
				return
			}
			if err := request(); err != nil {
				h.event("REFUSED: %v", err)
			}
		case <-h.turns:
			h.c.AdvanceTurn()
			if late, ok := h.c.Overdue(); ok {
				h.kill(late)
			}
		}
		for _, ended := range h.c.Reap() {
			h.settle(ended.Tag.(*job), ended) // once for every job
		}
		h.checkRegion()
	}
}

// take takes the next message from the outbox; nil if there is none.
func (h *host) take() []byte {
	data, env, ok := h.c.AppendNext(nil)
	if ok {
		h.sent(env)
		h.moving.Add(1)
	}
	return data
}

// receive applies a message. If it is refused, the worker is broken and a job may wait for what was in the message;
// unless it is stray, which is a message of another session and harmless.
func (h *host) receive(data []byte) {
	env, err := h.c.Receive(data)
	h.received(env, err)
	if err != nil && !wc.IsStray(err) {
		h.kill(err)
	}
}

// kill stops the worker. The loop learns from the line that it is gone.
func (h *host) kill(why error) {
	h.event("%s", describeError(why))
	if h.line.cut != nil {
		h.event("the host kills %s", h.line.worker)
		h.line.cut()
	}
}

// settle tells whoever waits for a job how it ended. This host only keeps it for the tables.
func (h *host) settle(j *job, ended wc.TrackedJob) {
	j.state, j.outcome, j.cause, j.scene = ended.State, ended.Outcome, ended.Cause, h.scenes
	if j.state == wc.StateFailed {
		h.event("job %d fails: its worker is gone", j.id)
	}
}

// checkRegion reports that a closed region is quiescent. When its last job has been reaped, it is forgotten.
func (h *host) checkRegion() {
	if h.closing == 0 {
		return
	}
	if r, ok := h.c.Region(h.closing); !ok || r.Inflight == 0 {
		h.event("region %d is quiescent: no job of it is left", h.closing)
		h.closing = 0
	}
}

// spawn hands a task to the worker, for the first time or again.
func (h *host) spawn(id, region uint64, task string) error {
	j := &job{id: id, region: region, task: task}
	if again := h.jobs[id]; again != nil {
		j = again
	}
	err := h.c.SpawnTagged(wc.SpawnJob{JobID: id, RegionID: region, TaskID: id, ObligationID: id, Payload: []byte(task)}, j)
	if err == nil {
		h.jobs[id] = j
	}
	return err
}

// closeRegion closes a region and has all its jobs cancelled.
func (h *host) closeRegion(id uint64, reason string) error {
	cancelled, err := h.c.CloseRegion(id, reason)
	if err == nil {
		h.closing = id
		h.event("the host closes region %d; %d jobs are cancelled", id, cancelled)
	}
	return err
}

// start starts a worker with a line of its own.
func (h *host) start(worker string) error {
	h.event("the host starts worker %s", worker)
	h.line = newLine(worker, h.moving)
	h.c.ExpectWorker()
	h.moving.Add(1) // until it has announced itself
	go work(h.line)
	return nil
}
