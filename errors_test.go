package workerchannel

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryErrorHasOneKindAndSaysWhatHappened(t *testing.T) {
	const p = "workerchannel: "
	job := func(kind error) error { return &JobError{kind, 7, StateRunning} }
	untested := make(map[string]error)
	for name, kind := range errorKinds {
		untested[name] = kind
	}
	for _, e := range []struct {
		err  error
		kind string
		text string
	}{
		{&MismatchError{ErrVersionMismatch, 1, 2}, "VersionMismatch", "protocol version mismatch: expected 1, got 2"},
		{&MismatchError{ErrReplayHashMismatch, 1<<64 - 1, 0}, "ReplayHashMismatch", "replay digest mismatch: expected 18446744073709551615, got 0"},
		{ErrMissingWorkerIdentity, "MissingWorkerIdentity", "envelope of a worker's operation has no worker id"},
		{&WorkerError{Kind: ErrUnexpectedWorkerIdentity, WorkerID: "w"}, "UnexpectedWorkerIdentity",
			`envelope of a coordinator's operation has a worker id: worker "w"`},
		{&WorkerError{Kind: ErrWorkerIdentityMismatch, WorkerID: "w", Expected: new("x")}, "WorkerIdentityMismatch",
			`worker identity mismatch: worker "w", expected "x"`},
		{&PayloadError{262145, 262144}, "PayloadTooLarge", "payload too large: 262145 bytes, the limit is 262144"},
		{&ParseError{Offset: 5, Err: &PayloadError{262145, 262144}}, "PayloadTooLarge", "payload too large: 262145 bytes, the limit is 262144 (at byte 5)"},
		{&DirectionError{OpPollStatus}, "UnexpectedDirection", "operation sent in the wrong direction: PollStatus"},
		{&SequenceError{5, 4}, "InboundSequenceNotFresh", "inbound sequence number is not fresh: expected more than 5, got 4"},
		{&WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "w", Expected: new("")}, "WorkerSessionMismatch",
			`message is not of the active worker: worker "w", expected ""`},
		{&WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: "w"}, "WorkerSessionMismatch",
			`message is not of the active worker: worker "w", expected none`},
		{&WorkerError{Kind: ErrRetiredWorker, WorkerID: "w"}, "RetiredWorker", `bootstrap of a worker whose session ended: worker "w"`},
		{&WorkerError{Kind: ErrBootstrapFailed, WorkerID: "w", Reason: "no\nmemory"}, "BootstrapFailed",
			`worker bootstrap failed: worker "w": "no\nmemory"`},
		{&TransitionError{7, StateQueued, StateFinalizing}, "InvalidTransition", "invalid job state transition: job 7 from queued to finalizing"},
		{job(ErrTerminalStatusSnapshot), "TerminalStatusSnapshot", "status snapshot has a terminal state: job 7, state running"},
		{job(ErrInvalidStatusSnapshotState), "InvalidStatusSnapshotState", "status snapshot is neither queued nor running: job 7, state running"},
		{job(ErrUnexpectedCompletionPhase), "UnexpectedCompletionPhase", "job completed in a phase that allows no outcome: job 7, state running"},
		{job(ErrJobNotPollable), "JobNotPollable", "job is neither queued nor running, so not polled: job 7, state running"},
		{job(ErrJobNotTerminal), "JobNotTerminal", "job has not ended: job 7, state running"},
		{&JobError{Kind: ErrDuplicateJobID, JobID: 7}, "DuplicateJobID", "job id is already tracked: job 7"},
		{&JobError{Kind: ErrUnknownJobID, JobID: 7}, "UnknownJobID", "job id is not tracked: job 7"},
		{&RegionError{ErrRegionClosed, 7}, "RegionClosed", "region is closed: region 7"},
		{&RegionError{ErrUnknownRegionID, 7}, "UnknownRegionID", "no job of the region is tracked: region 7"},
		{ErrWorkerClosed, "WorkerClosed", "worker has failed or shut down"},
		{ErrWorkerNotReady, "WorkerNotReady", "worker is not ready"},
		{ErrShutdownInProgress, "ShutdownInProgress", "shutdown is in progress"},
		{ErrAlreadyAnnounced, "AlreadyAnnounced", "worker has already announced itself"},
		{&ValueError{"reason", "is not well-formed UTF-8"}, "InvalidValue", "value cannot be sent: reason is not well-formed UTF-8"},
		{&ParseError{Offset: 5, Cause: "expected a colon"}, "Malformed", "malformed message: at byte 5: expected a colon"},
	} {
		assert.Equal(t, e.kind, kindOf(e.err), "exactly one kind")
		assert.Equal(t, p+e.text, e.err.Error())
		assert.Equal(t, e.kind == "WorkerSessionMismatch" || e.kind == "RetiredWorker", IsStray(e.err))
		delete(untested, e.kind)
	}
	assert.Empty(t, untested)
	assert.False(t, IsStray(nil))
	assert.Equal(t, p+"unknown error: region 7", (&RegionError{RegionID: 7}).Error(), "of an error that a caller made")
}

// TestErrorsHaveTheDataOfSection8 finds it by errors.As in errors that the two halves have answered,
// all but those whose data the conformance data shows.
func TestErrorsHaveTheDataOfSection8(t *testing.T) {
	c := busyScene(t).c
	reason := "no " + strings.Repeat("é", 1<<20)
	env := fromWorker("x", 1, BootstrapFailed{"x", reason})
	err := c.HandleInbound(&env)
	var worker *WorkerError
	require.ErrorAs(t, err, &worker)
	assert.Equal(t, WorkerError{ErrBootstrapFailed, "x", nil, reason}, *worker, "the reason is whole in the data")
	assert.Less(t, len(err.Error()), 300, "and short in the text")

	_, err = ParseEnvelope([]byte(`{"op":7}`))
	var parse *ParseError
	require.ErrorAs(t, err, &parse)
	assert.Equal(t, ParseError{6, "expected an object", nil}, *parse)

	_, err = ParseEnvelope([]byte(replaceOnce(t, spawnText, `[1,2,255]`, payloadText(MaxPayloadBytes+1))))
	var payload *PayloadError
	require.ErrorAs(t, err, &payload)
	assert.Equal(t, PayloadError{MaxPayloadBytes + 1, MaxPayloadBytes}, *payload)
	require.ErrorAs(t, err, &parse)
	assert.NotErrorIs(t, err, ErrMalformed)

	var value *ValueError
	require.ErrorAs(t, c.CancelJob(1, illFormed), &value)
	assert.Equal(t, ValueError{"reason", notUTF8}, *value)

	var transition *TransitionError
	require.ErrorAs(t, c.CancelJob(7, ""), &transition)
	assert.Equal(t, TransitionError{7, StateFailed, StateCancelRequested}, *transition)
}

func TestErrorTextsAreOneBoundedLineWhateverThePeerSays(t *testing.T) {
	huge := strings.Repeat("\n\xffé", 2<<20) // 8 MiB
	for _, err := range []error{
		&WorkerError{Kind: ErrBootstrapFailed, WorkerID: huge, Reason: huge},
		&WorkerError{Kind: ErrWorkerIdentityMismatch, WorkerID: huge, Expected: &huge},
		&WorkerError{Kind: ErrWorkerSessionMismatch, WorkerID: huge, Expected: &huge},
		&WorkerError{Kind: ErrRetiredWorker, WorkerID: huge},
		&WorkerError{Kind: ErrUnexpectedWorkerIdentity, WorkerID: huge},
		new(JobState).UnmarshalText([]byte(huge)),
		new(PayloadTransferMode).UnmarshalText([]byte(huge)),
	} {
		text := err.Error()
		assert.Less(t, len(text), 1024)
		assert.True(t, utf8.ValidString(text))
		assert.NotContains(t, text, "\n")
	}

	for _, old := range []string{`"PollStatus"`, `"type"`} {
		var env Envelope
		err := env.UnmarshalJSON([]byte(replaceOnce(t, pollText, old, `"`+strings.Repeat("x", 1<<20)+`"`)))
		assert.ErrorIs(t, err, ErrMalformed)
		assert.Less(t, len(err.Error()), 300)
	}
}

func TestPeersStringsAreQuotedUpTo64Bytes(t *testing.T) {
	whole := strings.Repeat("x", 64)
	assert.Equal(t, `"`+whole+`"`, quote(whole))
	assert.Equal(t, `"`+whole+`"... (65 bytes)`, quote(whole+"y"))
}

// errorKinds are the kinds by their names.
var errorKinds = func() map[string]error {
	m := map[string]error{}
	for _, k := range kinds {
		m[k.name] = k.kind
	}
	return m
}()

// kindOf returns the name of the one kind that an error has: KindOf, but of several kinds all names.
func kindOf(err error) (kind string) {
	for name, sentinel := range errorKinds {
		if errors.Is(err, sentinel) {
			kind += name
		}
	}
	return kind
}
