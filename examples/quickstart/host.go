package main

import (
	"bufio"
	"sync"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/journal"
)

// A host hands jobs to one worker at a time and keeps what came of them.
type host struct {
	c           *journal.Recorder // in your program a *workerchannel.Coordinator; this one notes its calls
	requests    chan func() error // what the rest of the program wants of the coordinator
	fromWorkers chan []byte       // what arrives, of whichever worker
	line        line              // to the present worker, if there is one
	jobs        map[uint64]*job

	out              *bufio.Writer   // the transcript
	scenes, messages int             // how many it has
	moving           *sync.WaitGroup // see story
}

// A job is what the host knows about a job and the coordinator need not.
type job struct {
	task    string
	state   wc.JobState // as last told
	outcome wc.Outcome  // nil until the worker has reported it, and for good if the job has none
}

// loop is the host's event loop, which is the one to copy: nothing else touches the coordinator.
func (h *host) loop() {
	for {
		h.c.AdvanceTurn() // a turn is one event and all that follows from it
		select {
		case data := <-h.fromWorkers: // the bytes of one message
			env, err := h.c.Receive(data) // read, verify and apply in one pass
			if done, ok := env.Op.(wc.JobCompleted); ok && err == nil {
				h.jobs[done.JobID].outcome = done.Outcome
			}
			h.received(env, err)
		case request, open := <-h.requests:
			if !open {
				return
			}
			if err := request(); err != nil {
				h.event("refused: %v", err)
			}
		case <-h.line.broken:
			h.event("the line to %s breaks", h.line.worker)
			h.line = line{}
			h.c.WorkerLost()
		}
		for env := range h.c.Outbox() {
			h.send(env)
		}
		for _, j := range h.c.Reap() {
			h.settle(j) // nobody waits forever
		}
		h.moving.Done() // for the story, not for you
	}
}

// send puts a message on the line. The channel has room for what the host sends between two messages
// of the worker; a transport that can block for long needs a queue of its own, so that the loop does not.
func (h *host) send(env wc.Envelope) {
	h.sent(env)
	data, err := env.AppendJSON(nil)
	if err != nil {
		h.event("not sent: %v", err) // the coordinator takes nothing that cannot be sent
		return
	}
	if h.line.toWorker != nil {
		h.moving.Add(1)
		h.line.toWorker <- data
	}
}

// settle takes the last word on a job to whoever asked for it.
func (h *host) settle(ended wc.TrackedJob) {
	j := h.jobs[ended.JobID]
	if j.state = ended.State; j.state == wc.StateFailed {
		h.event("job %d fails with its worker", ended.JobID)
	}
}

// spawn hands a task to the worker, for the first time or again.
func (h *host) spawn(id uint64, task string) error {
	if err := h.c.SpawnJob(wc.SpawnJob{JobID: id, RegionID: 1, TaskID: id, ObligationID: id, Payload: []byte(task)}); err != nil {
		return err
	}
	if h.jobs[id] == nil {
		h.jobs[id] = &job{task: task}
	}
	return nil
}

// connect starts a worker and joins it to the host.
func (h *host) connect(worker string) {
	h.event("the host starts worker %s", worker)
	h.line = line{
		worker:   worker,
		toWorker: make(chan []byte, 16),
		toHost:   h.fromWorkers,
		broken:   make(chan struct{}),
		late:     make(chan []byte, 16),
		moving:   h.moving,
	}
	h.moving.Add(1) // until it has announced itself
	go work(h.line)
}
