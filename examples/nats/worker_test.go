package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel"
)

// In the other direction, the worker ends its session.
func TestWorkerEndsABrokenSession(t *testing.T) {
	for _, test := range []struct {
		why   string
		broke func(t *testing.T, l *link, turns chan time.Time)
	}{
		{"nothing arrived in 8 turns", func(_ *testing.T, _ *link, turns chan time.Time) {
			for range maxSilence + 1 {
				turns <- time.Time{}
			}
		}},
		{"message 2 came after 0", func(t *testing.T, l *link, _ chan time.Time) {
			require.NoError(t, l.send(workerchannel.NewEnvelope(workerchannel.Header{SeqNo: 2}, workerchannel.PollStatus{JobID: 1})))
		}},
		{"the last one was 0, the beat says 1", func(t *testing.T, l *link, _ chan time.Time) {
			l.sent = 1
			require.NoError(t, l.turn())
		}},
		{workerchannel.ErrMalformed.Error(), func(t *testing.T, l *link, _ chan time.Time) {
			require.NoError(t, l.nc.Publish(l.to, []byte("neither a beat nor a message")))
		}},
		{"invalid syntax", func(t *testing.T, l *link, _ chan time.Time) {
			require.NoError(t, l.nc.Publish(l.to, []byte("not a beat")))
		}},
	} {
		t.Run(test.why, func(t *testing.T) {
			url := newServer(t)
			nc, worker := dial(t, url), dial(t, url)
			turns, ended := make(chan time.Time), make(chan error)
			up := subscribe(t, nc, upward(prefix, "*"))
			go func() { ended <- workSession(t.Context(), worker, prefix, turns, echo) }()
			test.broke(t, &link{nc: nc, to: downward(prefix, bootstrap(t, up))}, turns)
			assert.ErrorContains(t, <-ended, test.why)
		})
	}
}

func TestWorkerAnnouncesItselfAgainUntilADispatcherAnswers(t *testing.T) {
	url := newServer(t)
	nc := dial(t, url)
	up := subscribe(t, nc, upward(prefix, "*"))
	turns, ended := make(chan time.Time), make(chan error)
	ctx, leave := context.WithCancel(t.Context())
	go func() { ended <- work(ctx, nc, prefix, turns, echo) }()
	seen := make(map[string]bool)
	for range 3 {
		seen[bootstrap(t, up)] = true
		for range maxSilence + 2 { // and one more before it joins again
			turns <- time.Time{}
		}
	}
	assert.Len(t, seen, 3)
	leave()
	assert.NoError(t, <-ended)
}

// The test is the dispatcher, so that the DrainJob arrives while the task still runs.
func TestJobIsDrainedWhenItsTaskHasReturned(t *testing.T) {
	url := newServer(t)
	nc := dial(t, url)
	up := subscribe(t, nc, upward(prefix, "*"))
	returns := make(chan bool)
	runWorker(t, t.Context(), url, func(context.Context, []byte) ([]byte, error) {
		<-returns
		return nil, nil
	})
	c := workerchannel.NewCoordinator(0)
	down := link{nc: nc}
	receive := func() workerchannel.Op {
		env, err := c.Receive(next(t, up).Data)
		require.NoError(t, err)
		return env.Op
	}
	send := func() {
		for env := range c.Outbox() {
			require.NoError(t, down.send(env))
		}
	}
	ready := receive().(workerchannel.BootstrapReady)
	down.to = downward(prefix, ready.WorkerID)

	for job := range uint64(2) {
		require.NoError(t, c.SpawnJob(workerchannel.SpawnJob{JobID: job}))
		send()
		require.Equal(t, workerchannel.StatusSnapshot{JobID: job, State: workerchannel.StateRunning}, receive())
	}
	require.NoError(t, c.CancelJob(0, "test"))
	send()
	require.Equal(t, workerchannel.CancelAcknowledged{JobID: 0}, receive())
	require.NoError(t, c.PollStatus(1))
	send() // the DrainJob, and then the PollStatus
	require.Equal(t, workerchannel.StatusSnapshot{JobID: 1, State: workerchannel.StateRunning}, receive())

	returns <- true // to one of the two, and now to the other
	returns <- true
	assert.ElementsMatch(t, []workerchannel.Op{
		workerchannel.DrainCompleted{JobID: 0},
		workerchannel.JobCompleted{JobID: 1, Outcome: workerchannel.OutcomeOk{Payload: []byte{}}},
	}, []workerchannel.Op{receive(), receive()})
	send()
	assert.Equal(t, workerchannel.FinalizeCompleted{JobID: 0}, receive())
}
