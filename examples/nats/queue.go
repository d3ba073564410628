package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// maxPending is how many jobs a dispatcher has taken from the queue and not settled, at most.
	maxPending = 256

	// ackWait is how long after its last sign of life the jobs of a dispatcher go to another one, or to its successor.
	ackWait = 5 * time.Second

	// errorHeader is in a result whose job has failed; the data is the error.
	errorHeader = "Error"
)

// A queue is two streams of a NATS server: jobs, from which a job vanishes when it is acknowledged, and results. Both
// survive the death of everything but the server's disk.
type queue struct {
	js            jetstream.JetStream
	prefix        string
	jobs, results jetstream.Stream
}

// openQueue opens the queue of a prefix. label says what the jobs are; a queue that is there must have the same.
func openQueue(ctx context.Context, nc *nats.Conn, prefix, label string, fresh bool) (*queue, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	if _, err := js.AccountInfo(ctx); err != nil {
		return nil, fmt.Errorf("the NATS server at %s does not offer JetStream, which keeps the jobs (nats-server -js enables it): %w", nc.ConnectedUrlRedacted(), err)
	}
	q := &queue{js: js, prefix: prefix}
	for _, s := range []struct {
		stream *jetstream.Stream
		config jetstream.StreamConfig
	}{
		{&q.jobs, jetstream.StreamConfig{
			Name: prefix + "-jobs", Subjects: []string{prefix + ".job"}, Description: label,
			Retention: jetstream.WorkQueuePolicy,
		}},
		{&q.results, jetstream.StreamConfig{
			Name: prefix + "-results", Subjects: []string{prefix + ".result.*"}, Description: label,
			Duplicates: 2 * time.Minute, // within that time the Nats-Msg-Id tells a second result of a job; then its subject does
			Discard:    jetstream.DiscardNew, MaxMsgsPerSubject: 1, DiscardNewPerSubject: true,
		}},
	} {
		if fresh {
			if err := js.DeleteStream(ctx, s.config.Name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				return nil, fmt.Errorf("deleting stream %s: %w", s.config.Name, err)
			}
		}
		*s.stream, err = js.CreateStream(ctx, s.config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			err = errors.New("it is there and has other jobs; choose another -prefix, or delete it with -new")
		}
		if err != nil {
			return nil, fmt.Errorf("opening stream %s: %w", s.config.Name, err)
		}
	}
	return q, nil
}

// submit puts jobs 1 to n into the queue, except those that have been in it before: the number of a job is its sequence
// number in the stream, and the server refuses one that is not the next.
func (q *queue) submit(ctx context.Context, n int, payload func(job int) []byte) error {
	return retry(ctx, func() error {
		info, err := q.jobs.Info(ctx)
		if err != nil {
			return err
		}
		for last := info.State.LastSeq; last < uint64(n); last++ {
			msg := &nats.Msg{Subject: q.prefix + ".job", Data: payload(int(last) + 1)}
			if _, err := q.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequence(last)); err != nil {
				return err // also if the job has got there, but the news of it has not come back
			}
		}
		return nil
	})
}

// take calls do for each job, on a goroutine of its own, until stop is called. A job that nobody acknowledges comes again,
// to any dispatcher.
func (q *queue) take(ctx context.Context, do func(jetstream.Msg)) (stop func(), err error) {
	consumer, err := q.jobs.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: "dispatchers", AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: maxPending,
	})
	if err != nil {
		return nil, err
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) { go do(m) }, jetstream.PullMaxMessages(maxPending))
	if err != nil {
		return nil, err
	}
	return func() { consuming.Stop(); <-consuming.Closed() }, nil
}

// errRecorded says that a job had its result before.
var errRecorded = errors.New("the job has its result")

// record puts the result of a job, or its error, into the stream of results. A job has one result: of a second one
// record returns errRecorded.
func (q *queue) record(ctx context.Context, job uint64, result []byte, failure error) error {
	number := strconv.FormatUint(job, 10)
	msg := &nats.Msg{Subject: q.prefix + ".result." + number, Data: result}
	if failure != nil {
		msg.Header, msg.Data = nats.Header{errorHeader: {"1"}}, []byte(failure.Error())
	}
	return retry(ctx, func() error {
		ack, err := q.js.PublishMsg(ctx, msg, jetstream.WithMsgID(number))
		var refused *jetstream.APIError
		switch {
		case errors.As(err, &refused) && refused.ErrorCode == perSubject, err == nil && ack.Duplicate:
			return errRecorded
		case errors.Is(err, nats.ErrMaxPayload):
			why := fmt.Sprintf("its result has %d bytes, and the NATS server accepts at most %d (max_payload)", len(result), q.js.Conn().MaxPayload())
			msg.Header, msg.Data = nats.Header{errorHeader: {"1"}}, []byte(why)
		}
		return err
	})
}

// perSubject is the code of JetStream for a message that a stream does not store; that of results does not if the job
// has one.
const perSubject = 10077

// collect calls got for each result, in the order in which they were recorded, until stop is called.
func (q *queue) collect(ctx context.Context, got func(job, result string, failed bool)) (stop func(), err error) {
	consumer, err := q.results.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		got(m.Subject()[len(q.prefix+".result."):], string(m.Data()), m.Headers().Get(errorHeader) != "")
	})
	if err != nil {
		return nil, err
	}
	return func() { consuming.Stop(); <-consuming.Closed() }, nil
}

// retry calls f until it succeeds or ctx ends: the server may be starting again.
func retry(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || errors.Is(err, errRecorded) {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
