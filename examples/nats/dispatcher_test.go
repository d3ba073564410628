package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel"
)

func TestWorkersComeAndGo(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	early := d.do(t, "job") // there is no worker yet
	for range 3 {
		ctx, leave := context.WithCancel(t.Context())
		ended := runWorker(t, ctx, url, echo)
		assert.Equal(t, result{"job", ""}, <-early)
		leave()
		<-ended
		early = d.do(t, "job")
	}
	ended := runWorker(t, t.Context(), url, echo)
	assert.Equal(t, result{"job", ""}, <-early)
	stats := d.stop(t)
	stats.Rerun = 0 // a job may have been sent to a worker that was about to leave
	assert.Equal(t, Stats{Joined: 4, Left: 4}, stats)
	<-ended // it was asked to
}

func TestJobsOfAWorkerThatLeavesRunOnAnother(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	ctx, leave := context.WithCancel(t.Context())
	begun := make(chan bool)
	ended := runWorker(t, ctx, url, func(ctx context.Context, _ []byte) ([]byte, error) {
		begun <- true
		<-ctx.Done()
		return nil, ctx.Err()
	})
	job := d.do(t, "job")
	<-begun
	leave()
	<-ended
	runWorker(t, t.Context(), url, echo)
	assert.Equal(t, result{"job", ""}, <-job)
	assert.Equal(t, Stats{Joined: 2, Left: 2, Rerun: 1}, d.stop(t))
}

func TestSilentWorkerIsLostAndItsLateResultRefused(t *testing.T) {
	url := newServer(t)
	turns := make(chan time.Time)
	d := newTestDispatcher(t, url, turns)
	nc := dial(t, url)

	silent := join(t, nc)
	job := d.do(t, "job")
	lost := silent.nextJob(t)
	for range maxSilence + 1 {
		turns <- time.Time{}
	}
	healthy := join(t, nc)
	again := healthy.nextJob(t)
	assert.Equal(t, lost, again)

	// They share a connection, so the late result arrives first.
	silent.complete(t, lost.JobID, "late")
	healthy.complete(t, again.JobID, "in time")
	assert.Equal(t, result{"in time", ""}, <-job)
	healthy.leave(t)
	assert.Equal(t, Stats{Joined: 2, Left: 1, Lost: 1, Rerun: 1}, d.stop(t))
}

func TestBeatsKeepAWorker(t *testing.T) {
	url := newServer(t)
	turns := make(chan time.Time)
	d := newTestDispatcher(t, url, turns)
	nc := dial(t, url)
	slow := join(t, nc)
	var long []<-chan result
	for range window { // so that it gets no more jobs
		long = append(long, d.do(t, "long"))
		slow.nextJob(t)
	}
	quick := join(t, nc)
	for range 3 {
		require.NoError(t, slow.turn())
		short := d.do(t, "short")
		quick.complete(t, quick.nextJob(t).JobID, "done")
		assert.Equal(t, result{"done", ""}, <-short) // the beat that was sent before has arrived, too
		for range maxSilence {
			turns <- time.Time{}
		}
	}
	for job := range slow.Jobs() {
		slow.complete(t, job.JobID, "done")
	}
	for _, job := range long {
		assert.Equal(t, result{"done", ""}, <-job)
	}
	slow.leave(t)
	quick.leave(t)
	assert.Equal(t, Stats{Joined: 2, Left: 2}, d.stop(t))
}

// NATS may lose messages; the sequence numbers show it.
func TestLostMessageEndsTheSession(t *testing.T) {
	next := map[string]func(*testing.T, *handWorker){
		"the next message shows it": func(t *testing.T, w *handWorker) {
			require.NoError(t, w.Diagnose(workerchannel.Diagnostic{Level: workerchannel.LevelInfo}))
			w.flush(t)
		},
		"the next beat shows it": func(t *testing.T, w *handWorker) { require.NoError(t, w.turn()) },
	}
	for name, next := range next {
		t.Run(name, func(t *testing.T) {
			url := newServer(t)
			d := newTestDispatcher(t, url, nil)
			w := join(t, dial(t, url))
			job := d.do(t, "job")
			require.NoError(t, w.Complete(w.nextJob(t).JobID, workerchannel.OutcomeOk{}))
			lost, _ := w.DrainOutbox()
			w.sent = lost.SeqNo
			next(t, w)

			runWorker(t, t.Context(), url, echo)
			assert.Equal(t, result{"job", ""}, <-job)
			assert.Equal(t, Stats{Joined: 2, Left: 1, Lost: 1, Rerun: 1}, d.stop(t))
		})
	}
}

// A worker that is wrong in another way than by silence or loss.
func TestBrokenOrLateWorkerIsLost(t *testing.T) {
	send := func(t *testing.T, w *handWorker, op workerchannel.Op) {
		require.NoError(t, w.send(workerchannel.NewWorkerEnvelope(w.ID(), workerchannel.Header{SeqNo: w.sent + 1}, op)))
	}
	for name, breaks := range map[string]func(*testing.T, *handWorker){
		"sends a message that is refused": func(t *testing.T, w *handWorker) {
			send(t, w, workerchannel.JobCompleted{JobID: 99, Outcome: workerchannel.OutcomeOk{}})
		},
		"announces itself twice": func(t *testing.T, w *handWorker) {
			send(t, w, workerchannel.BootstrapReady{WorkerID: w.ID()})
		},
		"fails": func(t *testing.T, w *handWorker) {
			require.NoError(t, w.Fail("test"))
			w.flush(t)
		},
		"announces another worker": func(t *testing.T, w *handWorker) {
			other := workerchannel.Header{SeqNo: w.sent + 1}
			require.NoError(t, w.send(workerchannel.NewWorkerEnvelope("other", other, workerchannel.BootstrapReady{WorkerID: "other"})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := newServer(t)
			d := newTestDispatcher(t, url, nil)
			w := join(t, dial(t, url))
			job := d.do(t, "job")
			w.nextJob(t)
			breaks(t, w)
			runWorker(t, t.Context(), url, echo)
			assert.Equal(t, result{"job", ""}, <-job)
			assert.Equal(t, Stats{Joined: 2, Left: 1, Lost: 1, Rerun: 1}, d.stop(t))
		})
	}
}

func TestWorkerThatHangsInDrainIsLostThoughItSendsBeats(t *testing.T) {
	url := newServer(t)
	turns := make(chan time.Time)
	d := newTestDispatcher(t, url, turns)
	nc := dial(t, url)
	hung := join(t, nc)
	ctx, cancel := context.WithCancel(t.Context())
	go d.Do(ctx, []byte("job"))
	job := hung.nextJob(t)
	cancel()
	require.IsType(t, workerchannel.CancelJob{}, hung.next(t))
	require.NoError(t, hung.AcknowledgeCancel(job.JobID))
	hung.flush(t)
	require.IsType(t, workerchannel.DrainJob{}, hung.next(t))
	var long []<-chan result
	for range window - 1 { // so that it gets no more jobs
		long = append(long, d.do(t, "long"))
		hung.nextJob(t)
	}

	quick := join(t, nc)
	for range maxTurns / maxSilence {
		require.NoError(t, hung.turn())
		short := d.do(t, "short")
		quick.complete(t, quick.nextJob(t).JobID, "done")
		assert.Equal(t, result{"done", ""}, <-short) // the beat that was sent before has arrived, too
		for range maxSilence {
			turns <- time.Time{}
		}
	}
	for range long {
		quick.complete(t, quick.nextJob(t).JobID, "done")
	}
	for _, job := range long {
		assert.Equal(t, result{"done", ""}, <-job)
	}
	quick.leave(t)
	assert.Equal(t, Stats{Joined: 2, Left: 1, Lost: 1, Rerun: len(long)}, d.stop(t))
}

// Another worker's message on the subject of this one.
func TestStrayMessageIsIgnored(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	w := join(t, dial(t, url))
	job := d.do(t, "job")
	id := w.nextJob(t).JobID
	stray := workerchannel.NewWorkerEnvelope("other", workerchannel.Header{SeqNo: w.sent + 1}, workerchannel.ShutdownCompleted{})
	require.NoError(t, w.send(stray))
	// It has taken a sequence number of the subject, so the worker's next one is skipped here.
	require.NoError(t, w.Diagnose(workerchannel.Diagnostic{}))
	w.DrainOutbox()
	w.complete(t, id, "done")
	assert.Equal(t, result{"done", ""}, <-job)
	w.leave(t)
	assert.Equal(t, Stats{Joined: 1, Left: 1}, d.stop(t))
}

func TestJobThatIsLostTooOftenIsGivenUp(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	nc := dial(t, url)
	job := d.do(t, "poison")
	for range maxLosses {
		w := join(t, nc)
		w.nextJob(t)
		require.NoError(t, nc.Publish(w.to, []byte("not a message")))
	}
	assert.Equal(t, result{"", ErrGivenUp.Error()}, <-job)
	assert.Equal(t, Stats{Joined: maxLosses, Lost: maxLosses, Rerun: maxLosses - 1}, d.stop(t))
}

func TestCallThatIsGivenUpIsCancelledAtTheWorker(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	begun, ended := make(chan bool), make(chan bool)
	runWorker(t, t.Context(), url, func(ctx context.Context, payload []byte) ([]byte, error) {
		if string(payload) != "long" {
			return payload, nil
		}
		begun <- true
		<-ctx.Done()
		ended <- true
		return nil, ctx.Err()
	})
	// More than a window: a cancelled job leaves it.
	for range 2 * window {
		ctx, cancel := context.WithCancel(t.Context())
		long := make(chan error)
		go func() {
			_, err := d.Do(ctx, []byte("long"))
			long <- err
		}()
		<-begun
		cancel()
		assert.ErrorIs(t, <-long, context.Canceled)
		<-ended
	}
	assert.Equal(t, result{"short", ""}, <-d.do(t, "short"))
	assert.Equal(t, Stats{Joined: 1, Left: 1}, d.stop(t))
}

func TestCallThatIsGivenUpBeforeItRunsIsForgotten(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	for range 2 * window { // each has reached the dispatcher, or not yet
		ctx, cancel := context.WithCancel(t.Context())
		abandoned := make(chan error)
		go func() {
			_, err := d.Do(ctx, []byte("abandoned"))
			abandoned <- err
		}()
		cancel()
		assert.ErrorIs(t, <-abandoned, context.Canceled)
	}
	runWorker(t, t.Context(), url, func(_ context.Context, payload []byte) ([]byte, error) {
		assert.NotEqual(t, "abandoned", string(payload))
		return payload, nil
	})
	assert.Equal(t, result{"job", ""}, <-d.do(t, "job"))
}

func TestLargestPayloadTravelsBothWays(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	runWorker(t, t.Context(), url, echo)
	payload := bytes.Repeat([]byte{255}, workerchannel.MaxPayloadBytes) // three digits each
	got, err := d.Do(t.Context(), payload)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(payload, got))

	_, err = d.Do(t.Context(), append(payload, 0))
	assert.ErrorIs(t, err, workerchannel.ErrPayloadTooLarge)
}

func TestFailureOfAJobReachesItsCaller(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	runWorker(t, t.Context(), url, func(_ context.Context, payload []byte) ([]byte, error) {
		switch string(payload) {
		case "panic":
			panic("out of cheese")
		case "too large":
			return make([]byte, workerchannel.MaxPayloadBytes+1), nil
		case "ill-formed":
			return nil, errors.New("\xff")
		}
		return nil, errors.New("no such job")
	})
	for payload, want := range map[string]string{
		"panic":      "panic: out of cheese",
		"too large":  "too_large: the result has 262145 bytes",
		"ill-formed": "failed: \uFFFD",
		"other":      "failed: no such job",
	} {
		assert.Equal(t, result{"", want}, <-d.do(t, payload))
	}
	assert.Equal(t, Stats{Joined: 1, Left: 1}, d.stop(t))
}

func TestStopEndsAllCalls(t *testing.T) {
	url := newServer(t)
	d := newTestDispatcher(t, url, nil)
	w := join(t, dial(t, url))
	var calls []<-chan result
	for range 2 * window { // some with the worker, some waiting
		calls = append(calls, d.do(t, "job"))
	}
	for range window {
		w.nextJob(t)
	}
	d.Stop()
	for _, call := range calls {
		assert.Equal(t, result{"", ErrStopped.Error()}, <-call)
	}
	assert.Equal(t, workerchannel.ShutdownWorker{Reason: "the dispatcher stops"}, w.next(t))
	assert.Equal(t, result{"", ErrStopped.Error()}, <-d.do(t, "while it stops"))
	w.leave(t)
	assert.Equal(t, Stats{Joined: 1, Left: 1}, d.stop(t))
	assert.Equal(t, result{"", ErrStopped.Error()}, <-d.do(t, "afterwards"))
}
