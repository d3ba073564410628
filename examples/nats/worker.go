package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/workerchannel/workerchannel"
)

// A task does the work of a job. It must return soon after the context ends.
type task func(ctx context.Context, payload []byte) ([]byte, error)

// work joins a dispatcher, as one worker instance after another, until the dispatcher asks it to stop or ctx ends.
// While there is no dispatcher it announces itself again every few turns.
func work(ctx context.Context, nc *nats.Conn, prefix string, turns <-chan time.Time, do task) error {
	for {
		err := workSession(ctx, nc, prefix, turns, do)
		if err == nil || nc.IsClosed() {
			return err
		}
		log.Printf("session ended: %v", err)
		select {
		case <-turns:
		case <-ctx.Done():
			return nil
		}
	}
}

// A session is one worker instance. The goroutine of workSession owns it; each job has a goroutine of its own.
type session struct {
	w     *workerchannel.Worker
	link  link
	do    task
	jobs  map[uint64]*running
	ended chan ended
	ctx   context.Context // of the session; the jobs' contexts end with it
}

// running is a job that has not ended for the coordinator.
type running struct {
	cancel   context.CancelFunc
	returned bool // the task has returned
}

// ended is the outcome of a task that has returned.
type ended struct {
	jobID   uint64
	outcome workerchannel.Outcome
}

func workSession(ctx context.Context, nc *nats.Conn, prefix string, turns <-chan time.Time, do task) error {
	id := rand.Text()
	s := &session{
		w:     workerchannel.NewWorker(id, 0),
		link:  link{nc: nc, to: upward(prefix, id)},
		do:    do,
		jobs:  make(map[uint64]*running),
		ended: make(chan ended),
	}
	var end context.CancelFunc
	s.ctx, end = context.WithCancel(context.WithoutCancel(ctx))
	defer end()

	inbound := make(chan []byte)
	down, err := nc.Subscribe(downward(prefix, id), func(m *nats.Msg) {
		select {
		case inbound <- m.Data:
		case <-s.ctx.Done():
		}
	})
	if err != nil {
		return err
	}
	defer down.Unsubscribe()

	err = s.w.Announce()
	for {
		if err != nil { // such as a refused message: tell the dispatcher and stop
			_ = s.w.Fail(clip(err.Error()))
		}
		for env := range s.w.Outbox() {
			if err := s.link.send(env); err != nil {
				return err
			}
		}
		if s.w.Closed() {
			return cmp.Or(err, nc.Flush())
		}
		select {
		case data := <-inbound:
			err = s.receive(data)
		case e := <-s.ended:
			err = s.end(e)
		case <-turns:
			s.w.AdvanceTurn()
			err = s.link.turn()
		case <-ctx.Done():
			err = s.w.CompleteShutdown()
		}
	}
}

// receive does what the dispatcher asks for.
func (s *session) receive(data []byte) error {
	v, isMessage, err := s.link.receive(data)
	if err != nil || !isMessage {
		return err
	}
	if err := s.w.HandleVerified(v); err != nil {
		return err
	}
	switch op := v.Envelope().Op.(type) {
	case workerchannel.SpawnJob:
		return s.start(op)
	case workerchannel.CancelJob:
		if job, ok := s.jobs[op.JobID]; ok { // or it has completed in the meantime
			job.cancel()
			return s.w.AcknowledgeCancel(op.JobID)
		}
	case workerchannel.DrainJob:
		if s.jobs[op.JobID].returned { // otherwise end answers
			return s.w.CompleteDrain(op.JobID)
		}
	case workerchannel.FinalizeJob:
		delete(s.jobs, op.JobID)
		return s.w.CompleteFinalize(op.JobID)
	case workerchannel.ShutdownWorker:
		return s.w.CompleteShutdown()
	}
	return nil
}

func (s *session) start(job workerchannel.SpawnJob) error {
	ctx, cancel := context.WithCancel(s.ctx)
	s.jobs[job.JobID] = &running{cancel: cancel}
	go func() {
		e := ended{job.JobID, run(ctx, s.do, job.Payload)}
		select {
		case s.ended <- e:
		case <-s.ctx.Done():
		}
	}()
	return s.w.Start(job.JobID)
}

// end is called when a task has returned. A job whose cancel has been acknowledged has no outcome.
func (s *session) end(e ended) error {
	job := s.jobs[e.jobID]
	job.cancel()
	job.returned = true
	switch state, _ := s.w.JobState(e.jobID); state {
	case workerchannel.StateRunning:
		delete(s.jobs, e.jobID)
		return s.w.Complete(e.jobID, e.outcome)
	case workerchannel.StateDraining:
		return s.w.CompleteDrain(e.jobID)
	}
	return nil // the DrainJob has not arrived yet
}

// run does a job and returns its outcome, even if the task panics.
func run(ctx context.Context, do task, payload []byte) (o workerchannel.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = workerchannel.OutcomePanicked{Message: clip(fmt.Sprint(p))}
		}
	}()
	result, err := do(ctx, payload)
	switch {
	case err != nil:
		return workerchannel.OutcomeErr{Code: "failed", Message: clip(err.Error())}
	case len(result) > workerchannel.MaxPayloadBytes:
		return workerchannel.OutcomeErr{Code: "too_large", Message: fmt.Sprintf("the result has %d bytes", len(result))}
	}
	return workerchannel.OutcomeOk{Payload: result}
}

// clip makes any string short and well-formed, so that it can be sent.
func clip(s string) string {
	const most = 4 << 10
	return strings.ToValidUTF8(s[:min(len(s), most)], "\uFFFD")
}
