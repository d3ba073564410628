package journal

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

func TestErrorIsDescribedByKindAndData(t *testing.T) {
	w := "w"
	for want, err := range map[string]error{
		`null`:                        nil,
		`{"kind":"WorkerNotReady"}`:   wc.ErrWorkerNotReady,
		`{"kind":""}`:                 errors.New("of another package"),
		`{"kind":"AlreadyAnnounced"}`: wc.ErrAlreadyAnnounced,
		`{"actual":2,"expected":1,"kind":"VersionMismatch"}`:                             &wc.MismatchError{Kind: wc.ErrVersionMismatch, Expected: 1, Actual: 2},
		`{"actual":1,"kind":"InboundSequenceNotFresh","last_seen":2}`:                    &wc.SequenceError{LastSeen: 2, Actual: 1},
		`{"actual":"v","expected":"w","kind":"WorkerIdentityMismatch"}`:                  &wc.WorkerError{Kind: wc.ErrWorkerIdentityMismatch, WorkerID: "v", Expected: &w},
		`{"actual":"v","expected":null,"kind":"WorkerSessionMismatch"}`:                  &wc.WorkerError{Kind: wc.ErrWorkerSessionMismatch, WorkerID: "v"},
		`{"kind":"RetiredWorker","worker_id":"v"}`:                                       &wc.WorkerError{Kind: wc.ErrRetiredWorker, WorkerID: "v"},
		`{"kind":"BootstrapFailed","reason":"","worker_id":"v"}`:                         &wc.WorkerError{Kind: wc.ErrBootstrapFailed, WorkerID: "v"},
		`{"kind":"PayloadTooLarge","max":1,"size":2}`:                                    &wc.ParseError{Err: &wc.PayloadError{Size: 2, Max: 1}},
		`{"kind":"UnexpectedDirection","op":"DrainJob"}`:                                 &wc.DirectionError{Op: wc.OpDrainJob},
		`{"from":"CancelRequested","job_id":1,"kind":"InvalidTransition","to":"Queued"}`: &wc.TransitionError{JobID: 1, From: wc.StateCancelRequested, To: wc.StateQueued},
		`{"job_id":0,"kind":"JobNotTerminal","state":"Created"}`:                         &wc.JobError{Kind: wc.ErrJobNotTerminal},
		`{"job_id":0,"kind":"UnknownJobID"}`:                                             &wc.JobError{Kind: wc.ErrUnknownJobID},
		`{"job_id":1,"kind":"JobNotPollable","state":"Draining"}`:                        &wc.JobError{Kind: wc.ErrJobNotPollable, JobID: 1, State: wc.StateDraining},
		`{"kind":"RegionClosed","region_id":3}`:                                          &wc.RegionError{Kind: wc.ErrRegionClosed, RegionID: 3},
		`{"kind":"WorkerClosed"}`:                                                        wc.ErrWorkerClosed,
		`{"cause":"c","field":"f","kind":"InvalidValue"}`:                                &wc.ValueError{Field: "f", Cause: "c"},
		`{"cause":"c","kind":"Malformed","offset":7}`:                                    &wc.ParseError{Offset: 7, Cause: "c"},
	} {
		got, _ := json.Marshal(Describe(err))
		assert.Equal(t, want, string(got))
	}
}

func TestJobOfReturnsJobIDOnTheWire(t *testing.T) {
	ops := map[wc.OpType]bool{}
	eachLine(t, envelopes, func(t *testing.T, line []byte) {
		var l struct {
			Wire   string `json:"wire"`
			OpJSON string `json:"op_json"`
		}
		require.NoError(t, json.Unmarshal(line, &l))
		var env wc.Envelope
		require.NoError(t, env.UnmarshalJSON([]byte(l.Wire)))
		var op struct {
			JobID *uint64 `json:"job_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(l.OpJSON), &op))
		id, ok := wc.JobOf(env.Op)
		if assert.Equal(t, op.JobID != nil, ok) && ok {
			assert.Equal(t, *op.JobID, id)
		}
		ops[env.Op.Type()] = true
	})
	assert.Len(t, ops, int(wc.OpDiagnostic), "every operation is in the data")
}
