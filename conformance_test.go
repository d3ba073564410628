package workerchannel

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The files testdata/*.jsonl come from an independent implementation of the protocol on Rust's
// serde_json. These tests hold this package against them.

func TestEnvelopesOfAnIndependentImplementation(t *testing.T) {
	eachLine(t, "testdata/envelopes.jsonl", func(t *testing.T, line []byte) {
		var want struct {
			Wire   string          `json:"wire"`
			OpJSON string          `json:"op_json"`
			Digest uint64          `json:"digest"`
			Error  json.RawMessage `json:"error"`
		}
		require.NoError(t, json.Unmarshal(line, &want))
		var env Envelope
		require.NoError(t, env.UnmarshalJSON([]byte(want.Wire)))
		text, err := env.AppendJSON(nil)
		require.NoError(t, err)
		assert.Equal(t, want.Wire, string(text), "canonical text")
		assert.Equal(t, want.OpJSON, opJSON(env.Op), "the operation's canonical text")
		assert.Equal(t, want.Digest, ReplayHash(env.Header, env.WorkerID, env.Op), "digest")
		assert.Equal(t, plain(want.Error), describeError(env.Validate()), "verdict of Validate")
		_, err = ParseEnvelope([]byte(want.Wire))
		assert.Equal(t, plain(want.Error), describeError(err), "verdict of ParseEnvelope")
	})
}

func TestDocumentsOfAnIndependentImplementation(t *testing.T) {
	eachLine(t, "testdata/documents.jsonl", func(t *testing.T, line []byte) {
		var want struct {
			Hex    string          `json:"hex"`
			Accept bool            `json:"accept"`
			Wire   string          `json:"wire"`
			Error  json.RawMessage `json:"error"`
		}
		require.NoError(t, json.Unmarshal(line, &want))
		text, err := hex.DecodeString(want.Hex)
		require.NoError(t, err)
		var env Envelope
		err = env.UnmarshalJSON(text)
		if !want.Accept {
			assert.Error(t, err, "%q", text)
			assert.Zero(t, env, "a refused text leaves the envelope alone")
			return
		}
		require.NoError(t, err, "%q", text)
		canonical, err := env.AppendJSON(nil)
		require.NoError(t, err)
		assert.Equal(t, want.Wire, string(canonical), "canonical text")
		assert.Equal(t, plain(want.Error), describeError(env.Validate()), "verdict of Validate")
		_, err = ParseEnvelope(text)
		assert.Equal(t, plain(want.Error), describeError(err), "verdict of ParseEnvelope")
	})
}

func TestSessionsOfAnIndependentImplementation(t *testing.T) {
	eachLine(t, "testdata/sessions.jsonl", func(t *testing.T, line []byte) {
		var session struct {
			Seed             uint64        `json:"seed"`
			FirstDecisionSeq uint64        `json:"first_decision_seq"`
			Steps            []journalStep `json:"steps"`
		}
		require.NoError(t, json.Unmarshal(line, &session))
		c := NewCoordinator(session.Seed, WithFirstDecisionSeq(session.FirstDecisionSeq))
		for i, step := range session.Steps {
			step.replay(t, c)
			if t.Failed() {
				t.Fatalf("step %d, %s, diverged", i, step.Call)
			}
		}
	})
}

type journalStep struct {
	Call         string          `json:"call"`
	Wire         *string         `json:"wire"`
	JobID        uint64          `json:"job_id"`
	RegionID     uint64          `json:"region_id"`
	TaskID       uint64          `json:"task_id"`
	ObligationID uint64          `json:"obligation_id"`
	Payload      []int           `json:"payload"`
	Reason       string          `json:"reason"`
	Error        json.RawMessage `json:"error"`
	State        JobState        `json:"state"`
	Reaped       []struct {
		JobID uint64   `json:"job_id"`
		State JobState `json:"state"`
	} `json:"reaped"`
	After struct {
		WorkerReady       bool `json:"worker_ready"`
		ShutdownRequested bool `json:"shutdown_requested"`
		Inflight          int  `json:"inflight"`
		Outbox            int  `json:"outbox"`
		Jobs              []struct {
			JobID     uint64   `json:"job_id"`
			RegionID  uint64   `json:"region_id"`
			State     JobState `json:"state"`
			LastSeqNo uint64   `json:"last_seq_no"`
		} `json:"jobs"`
	} `json:"after"`
}

func (step *journalStep) replay(t *testing.T, c *Coordinator) {
	var err error
	switch step.Call {
	case "handle_inbound":
		// Both ways in must come to the same, so the twin takes the other.
		twin := clone(c)
		_, err = c.Receive([]byte(*step.Wire))
		var env Envelope
		require.NoError(t, env.UnmarshalJSON([]byte(*step.Wire)))
		assert.Equal(t, describeError(err), describeError(twin.HandleInbound(&env)))
		assert.Equal(t, c, twin)
	case "spawn_job":
		payload := make([]byte, len(step.Payload))
		for i, b := range step.Payload {
			payload[i] = byte(b)
		}
		err = c.SpawnJob(SpawnJob{step.JobID, step.RegionID, step.TaskID, step.ObligationID, payload})
	case "cancel_job":
		err = c.CancelJob(step.JobID, step.Reason)
	case "poll_status":
		err = c.PollStatus(step.JobID)
	case "request_shutdown":
		err = c.RequestShutdown(step.Reason)
	case "remove_job":
		var state JobState
		state, err = c.RemoveJob(step.JobID)
		assert.Equal(t, step.State, state)
	case "reap":
		reaped := c.Reap()
		require.Len(t, reaped, len(step.Reaped))
		for i, j := range reaped {
			assert.Equal(t, step.Reaped[i].JobID, j.JobID)
			assert.Equal(t, step.Reaped[i].State, j.State)
		}
	case "worker_lost":
		c.WorkerLost()
	case "advance_turn":
		c.AdvanceTurn()
	case "drain_outbox":
		env, ok := c.DrainOutbox()
		require.Equal(t, step.Wire != nil, ok)
		if ok {
			text, err := env.AppendJSON(nil)
			require.NoError(t, err)
			assert.Equal(t, *step.Wire, string(text))
		}
	default:
		t.Fatalf("unknown call %q", step.Call)
	}
	assert.Equal(t, plain(step.Error), describeError(err))
	assert.Equal(t, step.After.WorkerReady, c.WorkerReady())
	assert.Equal(t, step.After.ShutdownRequested, c.ShutdownRequested())
	assert.Equal(t, step.After.Inflight, c.InflightCount())
	assert.Equal(t, step.After.Outbox, c.OutboxLen())
	var jobs []TrackedJob
	for _, j := range step.After.Jobs {
		jobs = append(jobs, TrackedJob{JobID: j.JobID, RegionID: j.RegionID, State: j.State, LastSeqNo: j.LastSeqNo})
	}
	assert.Equal(t, jobs, collect(c.Jobs()))
}

// eachLine runs a subtest for each line of a file.
func eachLine(t *testing.T, file string, test func(t *testing.T, line []byte)) {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	n := 0
	for lines.Scan() {
		n++
		t.Run("", func(t *testing.T) { test(t, lines.Bytes()) })
	}
	require.NoError(t, lines.Err())
	require.NotZero(t, n)
}

// plain gives a JSON value a form that compares exactly, all 64 bits of its numbers.
func plain(data json.RawMessage) any {
	if data == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

var errorKinds = map[string]error{
	"VersionMismatch":            ErrVersionMismatch,
	"ReplayHashMismatch":         ErrReplayHashMismatch,
	"InboundSequenceNotFresh":    ErrInboundSequenceNotFresh,
	"MissingWorkerIdentity":      ErrMissingWorkerIdentity,
	"UnexpectedWorkerIdentity":   ErrUnexpectedWorkerIdentity,
	"WorkerIdentityMismatch":     ErrWorkerIdentityMismatch,
	"WorkerSessionMismatch":      ErrWorkerSessionMismatch,
	"RetiredWorker":              ErrRetiredWorker,
	"PayloadTooLarge":            ErrPayloadTooLarge,
	"InvalidTransition":          ErrInvalidTransition,
	"TerminalStatusSnapshot":     ErrTerminalStatusSnapshot,
	"InvalidStatusSnapshotState": ErrInvalidStatusSnapshotState,
	"UnexpectedCompletionPhase":  ErrUnexpectedCompletionPhase,
	"JobNotPollable":             ErrJobNotPollable,
	"JobNotTerminal":             ErrJobNotTerminal,
	"RegionClosed":               ErrRegionClosed,
	"UnknownRegionID":            ErrUnknownRegionID,
	"WorkerNotReady":             ErrWorkerNotReady,
	"WorkerClosed":               ErrWorkerClosed,
	"ShutdownInProgress":         ErrShutdownInProgress,
	"DuplicateJobID":             ErrDuplicateJobID,
	"UnknownJobID":               ErrUnknownJobID,
	"BootstrapFailed":            ErrBootstrapFailed,
	"UnexpectedDirection":        ErrUnexpectedDirection,
	"AlreadyAnnounced":           ErrAlreadyAnnounced,
	"InvalidValue":               ErrInvalidValue,
	"Malformed":                  ErrMalformed,
}

// describeError gives an error the form in which the files have it: its kind and data, found by errors.Is
// and errors.As alone. An error of no kind, or of two, is described as just that.
func describeError(err error) any {
	if err == nil {
		return nil
	}
	kind := ""
	for name, sentinel := range errorKinds {
		if errors.Is(err, sentinel) {
			kind += name
		}
	}
	data := map[string]any{"kind": kind}
	if e := new(MismatchError); errors.As(err, &e) {
		data["expected"], data["actual"] = e.Expected, e.Actual
	}
	if e := new(SequenceError); errors.As(err, &e) {
		data["last_seen"], data["actual"] = e.LastSeen, e.Actual
	}
	if e := new(WorkerError); errors.As(err, &e) {
		switch kind {
		case "WorkerIdentityMismatch", "WorkerSessionMismatch":
			data["expected"], data["actual"] = e.Expected, e.WorkerID
		case "BootstrapFailed":
			data["worker_id"], data["reason"] = e.WorkerID, e.Reason
		default:
			data["worker_id"] = e.WorkerID
		}
	}
	if e := new(PayloadError); errors.As(err, &e) {
		data["size"], data["max"] = e.Size, e.Max
	}
	if e := new(DirectionError); errors.As(err, &e) {
		data["op"] = e.Op.String()
	}
	if e := new(TransitionError); errors.As(err, &e) {
		data["job_id"], data["from"], data["to"] = e.JobID, e.From, e.To
	}
	if e := new(JobError); errors.As(err, &e) {
		data["job_id"] = e.JobID
		if kind != "DuplicateJobID" && kind != "UnknownJobID" {
			data["state"] = e.State
		}
	}
	text, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return plain(text)
}
