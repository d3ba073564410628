package main

import (
	"errors"
	"fmt"
	"os/exec"

	"github.com/workerchannel/workerchannel"
)

// The errors of Do and Run when a job ends without an outcome of the worker.
var (
	ErrStopped  = errors.New("the host has stopped")
	ErrGivenUp  = errors.New("every worker that ran the job died")
	ErrNoWorker = errors.New("too many workers died without beginning a job")

	errCancelled = errors.New("cancelled") // Do returns the cause of its context instead

	errDeaf    = errors.New("the worker does not read what it is sent")
	errTwice   = errors.New("the worker announced itself twice")
	errLingers = errors.New("the worker has shut down and does not exit")
	errUnasked = errors.New("the worker stopped without being asked")
)

// Limits say how many jobs, workers and turns the host allows. None of them is zero. Turns are ticks of its loop.
type Limits struct {
	Window int // jobs that the worker has at a time
	Tries  int // workers that may die while they run a job before it is given up
	Losses int // workers that may die in a row without beginning a job before the host gives up

	Worker workerchannel.Limits // for the worker's answers
	Beat   uint64               // turns between two polls of a worker that has jobs
	Send   uint64               // turns for the worker to read a message
	Stop   uint64               // turns for the worker to end its jobs when the host stops
}

// DefaultLimits suit ticks of a tenth of a second.
var DefaultLimits = Limits{
	Window: 4, Tries: 3, Losses: 5, Beat: 10, Send: 50, Stop: 50,
	Worker: workerchannel.Limits{Boot: 100, Cancel: 20, Drain: 20, Finalize: 20, Poll: 50, Shutdown: 20},
}

// A Config says how a host works.
type Config struct {
	Command func() *exec.Cmd // makes the command that starts a worker
	Limits  Limits
	Seed    uint64                                        // of the coordinator
	Log     func(format string, args ...any)              // prints what goes wrong
	Trace   func(turn uint64, env workerchannel.Envelope) // is called for every message, in the loop; may be nil
}

// An OutcomeError is an outcome that is not a success.
type OutcomeError struct{ Outcome workerchannel.Outcome }

// Error returns the outcome's code, reason and message.
func (e *OutcomeError) Error() string {
	switch o := e.Outcome.(type) {
	case workerchannel.OutcomeErr:
		return o.Code + ": " + o.Message
	case workerchannel.OutcomeCancelled:
		return "cancelled: " + o.Reason
	case workerchannel.OutcomePanicked:
		return "panic: " + o.Message
	}
	return fmt.Sprintf("the job ended with %v", e.Outcome)
}

func outcomeResult(o workerchannel.Outcome) ([]byte, error) {
	if ok, is := o.(workerchannel.OutcomeOk); is {
		return ok.Payload, nil
	}
	return nil, &OutcomeError{o}
}
