package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/driver"
)

func TestJobHasOneResult(t *testing.T) {
	q := newQueue(t, dial(t, newServer(t).ClientURL()))
	require.NoError(t, q.record(t.Context(), 7, []byte("first"), nil))
	assert.ErrorIs(t, q.record(t.Context(), 7, []byte("second"), nil), errRecorded)
	require.NoError(t, q.record(t.Context(), 8, []byte("another"), nil))

	// The Nats-Msg-Id tells a second result, and the subject does when the server has forgotten that.
	ack, err := q.js.Publish(t.Context(), "test.result.9", nil, jetstream.WithMsgID("7"))
	require.NoError(t, err)
	assert.True(t, ack.Duplicate)
	_, err = q.js.Publish(t.Context(), "test.result.7", []byte("third"))
	var refused *jetstream.APIError
	require.ErrorAs(t, err, &refused)
	assert.EqualValues(t, perSubject, refused.ErrorCode)

	results, messages := q.all(t)
	assert.Equal(t, map[string]string{"test.result.7": "first", "test.result.8": "another"}, results)
	assert.EqualValues(t, 2, messages)
}

// A dispatcher may die between recording a result and acknowledging the job.
func TestJobThatComesAgainWithItsResultRecordedIsAcknowledged(t *testing.T) {
	url := newServer(t).ClientURL()
	nc := dial(t, url)
	q := newQueue(t, nc)
	require.NoError(t, q.submit(t.Context(), 2, func(int) []byte { return []byte("0 100") }))
	require.NoError(t, q.record(t.Context(), 1, []byte("recorded"), nil))
	d, err := startDispatcher(t.Context(), nc, q, time.Second)
	require.NoError(t, err)
	go func() { _ = new(worker).work(t.Context(), dial(t, url), "test", time.Second, true) }()
	results := make(chan string)
	stop, err := q.collect(t.Context(), func(job, result string, _ bool) { results <- job + ": " + result })
	require.NoError(t, err)
	defer stop()
	assert.Equal(t, "1: recorded", <-results)
	assert.Equal(t, "2: 25", <-results)
	d.close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for left := uint64(2); left > 0; { // the server takes acknowledgements in some time after they came
		info, err := q.jobs.Info(ctx)
		require.NoError(t, err, "%d jobs are not acknowledged", left)
		left = info.State.Msgs
	}
	_, messages := q.all(t)
	assert.EqualValues(t, 2, messages)
}

func TestJobsAreSubmittedOnce(t *testing.T) {
	nc := dial(t, newServer(t).ClientURL())
	q := newQueue(t, nc)
	payload := func(job int) []byte { return []byte(strings.Repeat("x", job)) }
	for _, n := range []int{2, 5, 5, 3} {
		require.NoError(t, q.submit(t.Context(), n, payload))
	}
	info, err := newQueue(t, nc).jobs.Info(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 5, info.State.Msgs)
	for job := range uint64(5) {
		m, err := q.jobs.GetMsg(t.Context(), job+1)
		require.NoError(t, err)
		assert.Len(t, m.Data, int(job)+1)
	}
}

// Jobs that have not been done when the dispatcher stops go to the next one, at once.
func TestJobsOfADispatcherThatStopsAreGivenBack(t *testing.T) {
	nc := dial(t, newServer(t).ClientURL())
	q := newQueue(t, nc)
	require.NoError(t, q.submit(t.Context(), maxPending+50, func(int) []byte { return []byte("0 100") }))
	took := make(chan uint64, maxPending+50)
	d, err := startDispatcher(t.Context(), nc, q, time.Second) // without workers
	require.NoError(t, err)
	for d.host.Stats().Waiting < maxPending {
		require.NoError(t, nc.Flush())
	}
	consumer, err := q.jobs.Consumer(t.Context(), "dispatchers")
	require.NoError(t, err)
	assert.Equal(t, maxPending, consumer.CachedInfo().NumAckPending, "more jobs are pending than may be")
	d.close()
	began := time.Now()
	stop, err := q.take(t.Context(), func(m jetstream.Msg) {
		meta, _ := m.Metadata()
		_ = m.Ack()
		took <- meta.Sequence.Stream
	})
	require.NoError(t, err)
	defer stop()
	seen := map[uint64]bool{}
	for len(seen) < maxPending+50 {
		seen[<-took] = true
	}
	t.Log("given back and taken in", time.Since(began))
}

func TestFailedJobsHaveTheirErrorAsResult(t *testing.T) {
	q := newQueue(t, dial(t, newServer(t).ClientURL()))
	require.NoError(t, q.record(t.Context(), 1, nil, &driver.JobError{Code: "failed", Message: "no paper"}))
	got := make(chan string)
	stop, err := q.collect(t.Context(), func(_, result string, failed bool) {
		assert.True(t, failed)
		got <- result
	})
	require.NoError(t, err)
	defer stop()
	assert.Contains(t, <-got, "no paper")
}

func TestResultThatDoesNotFitTheServerIsAnError(t *testing.T) {
	s := newServerWith(t, &server.Options{JetStream: true, StoreDir: t.TempDir(), MaxPayload: 64 << 10})
	q := newQueue(t, dial(t, s.ClientURL()))
	require.NoError(t, q.record(t.Context(), 1, make([]byte, 100_000), nil))
	m, err := q.results.GetLastMsgForSubject(t.Context(), "test.result.1")
	require.NoError(t, err)
	assert.Equal(t, "its result has 100000 bytes, and the NATS server accepts at most 65536 (max_payload)", string(m.Data))
	assert.NotEmpty(t, m.Header.Get(errorHeader))
}

func TestServerWithoutJetStreamIsRefused(t *testing.T) {
	s := newServerWith(t, &server.Options{})
	_, err := openQueue(t.Context(), dial(t, s.ClientURL()), "test", label, false)
	assert.ErrorContains(t, err, "nats-server -js")
	assert.ErrorIs(t, err, jetstream.ErrJetStreamNotEnabled)
}

func TestQueueOfOtherJobsIsNotMistaken(t *testing.T) {
	nc := dial(t, newServer(t).ClientURL())
	q := newQueue(t, nc)
	require.NoError(t, q.record(t.Context(), 1, []byte("old"), nil))
	_, err := openQueue(t.Context(), nc, "test", "other", false)
	require.ErrorContains(t, err, "delete it with -new")
	q, err = openQueue(t.Context(), nc, "test", "other", true)
	require.NoError(t, err)
	results, _ := q.all(t)
	assert.Empty(t, results)
}

func TestServerThatIsNotThereIsReported(t *testing.T) {
	_, err := connect("nats://" + freeAddress(t))
	assert.ErrorContains(t, err, "connecting to the NATS server: ")
	_, _, err = startServer("nowhere", "")
	assert.ErrorContains(t, err, "-listen: ")
}

func newServerWith(t *testing.T, o *server.Options) *server.Server {
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(o)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(s.Shutdown)
	require.True(t, s.ReadyForConnections(10*time.Second))
	return s
}
