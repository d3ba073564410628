package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// The conformance data, made by an independent implementation.
const (
	sessions  = "../../../testdata/sessions.jsonl"
	envelopes = "../../../testdata/envelopes.jsonl"
)

func TestARecorderNotesWhatAnIndependentImplementationDoes(t *testing.T) {
	eachLine(t, sessions, func(t *testing.T, line []byte) {
		var session struct {
			Seed             uint64            `json:"seed"`
			FirstDecisionSeq uint64            `json:"first_decision_seq"`
			Steps            []json.RawMessage `json:"steps"`
		}
		require.NoError(t, json.Unmarshal(line, &session))
		var noted Step
		c := wc.NewCoordinator(session.Seed, wc.WithFirstDecisionSeq(session.FirstDecisionSeq))
		r := Record(c, func(s Step) { noted = s })
		for i, text := range session.Steps {
			in, err := readObject(text)
			require.NoError(t, err)
			calls[in.text("call")].make(r, in)
			require.Equal(t, plain(text), plain(noted), "step %d", i)
		}
	})
}

func TestARecordedSessionReplaysWithoutDivergence(t *testing.T) {
	session := Session{Seed: 1<<64 - 1, FirstDecisionSeq: 1 << 63}
	c := wc.NewCoordinator(session.Seed, wc.WithFirstDecisionSeq(session.FirstDecisionSeq))
	r := Record(c, func(s Step) { session.Steps = append(session.Steps, s) })
	w := wc.NewWorker("<w>&\u2028", 3)
	exchange := func() {
		for env := range r.Outbox() {
			_, err := w.Receive(text(t, env))
			require.NoError(t, err)
		}
		for env := range w.Outbox() {
			_, err := r.Receive(text(t, env))
			require.NoError(t, err)
		}
	}
	assert.ErrorIs(t, r.SpawnJob(wc.SpawnJob{JobID: 1}), wc.ErrWorkerNotReady)
	require.NoError(t, w.Announce())
	exchange()
	r.AdvanceTurn()
	for id := range uint64(4) {
		require.NoError(t, r.SpawnJob(wc.SpawnJob{JobID: 1<<64 - 1 - id, RegionID: id, Payload: []byte{0, 255, byte(id)}}))
	}
	assert.ErrorIs(t, r.SpawnJob(wc.SpawnJob{JobID: 1, Payload: make([]byte, wc.MaxPayloadBytes+1)}), wc.ErrPayloadTooLarge)
	exchange()
	require.NoError(t, r.PollStatus(1<<64-1))
	require.NoError(t, r.CancelJob(1<<64-1, "\x00\u2028<"))
	_, err := r.RemoveJob(1<<64 - 1)
	assert.ErrorIs(t, err, wc.ErrJobNotTerminal)
	require.NoError(t, w.Complete(1<<64-2, wc.OutcomeOk{}))
	require.NoError(t, w.Complete(1<<64-3, wc.OutcomeErr{}))
	exchange()
	_, err = r.Receive([]byte("no envelope"))
	assert.ErrorIs(t, err, wc.ErrMalformed)
	_, err = r.Receive(text(t, wc.NewEnvelope(wc.Header{}, wc.PollStatus{})))
	assert.ErrorIs(t, err, wc.ErrUnexpectedDirection)
	state, err := r.RemoveJob(1<<64 - 2)
	assert.NoError(t, err)
	assert.Equal(t, wc.StateCompleted, state)
	assert.Len(t, r.Reap(), 1)
	require.NoError(t, r.RequestShutdown("end"))
	assert.ErrorIs(t, r.RequestShutdown("end"), wc.ErrShutdownInProgress)
	r.WorkerLost()
	assert.Len(t, r.Reap(), 2)

	called := map[any]bool{}
	for _, s := range session.Steps {
		called[s["call"]] = true
	}
	assert.Len(t, called, len(calls), "every call is in it")

	var line bytes.Buffer
	require.NoError(t, session.Write(&line))
	assert.Equal(t, 1, bytes.Count(line.Bytes(), []byte("\n")))
	steps, err := Replay(line.Bytes(), func(d Divergence) { t.Errorf("%+v", d) })
	assert.NoError(t, err)
	assert.Len(t, session.Steps, steps)
}

// An alteration changes a step's answer or what is said to follow, and tells which fields it has changed.
type alteration func(step map[string]any) (fields []string)

func TestEveryAlteredAnswerIsFoundInItsPlace(t *testing.T) {
	alterations := map[string]alteration{
		"error: another":       inError(func(e map[string]any) { e["kind"] = "UnknownWorker" }),
		"error: more data":     inError(func(e map[string]any) { e["more"] = json.Number("1") }),
		"error: none":          replaced("error", func(any) any { return nil }),
		"error: unwanted":      replaced("error", func(e any) any { return either(e, map[string]any{"kind": "WorkerNotReady"}) }),
		"wire":                 replaced("wire", func(w any) any { return altered(w) }),
		"wire: none":           replaced("wire", func(any) any { return nil }),
		"state":                replaced("state", altered),
		"reaped: one less":     replaced("reaped", oneLess),
		"reaped: one more":     replaced("reaped", oneMore),
		"after.jobs: one less": inAfter("jobs", oneLess),
		"after.jobs: one more": inAfter("jobs", oneMore),
	}
	for _, data := range []string{"job_id", "state", "from", "to", "expected", "actual", "last_seen", "worker_id", "reason", "op"} {
		alterations["error: "+data] = inError(func(e map[string]any) {
			if v, ok := e[data]; ok {
				e[data] = altered(v)
			}
		})
		alterations["error: without "+data] = inError(func(e map[string]any) { delete(e, data) })
	}
	for _, field := range []string{"worker_ready", "shutdown_requested", "inflight", "outbox"} {
		alterations["after."+field] = inAfter(field, altered)
	}
	for _, field := range []string{"job_id", "state"} {
		alterations["reaped: "+field] = func(step map[string]any) (fields []string) {
			jobs, _ := step["reaped"].([]any)
			for _, j := range jobs {
				j := j.(map[string]any)
				j[field] = altered(j[field])
				fields = []string{"reaped"}
			}
			return fields
		}
	}
	for _, field := range []string{"job_id", "region_id", "state", "last_seq_no"} {
		alterations["after.jobs: "+field] = func(step map[string]any) (fields []string) {
			for i, j := range step["after"].(map[string]any)["jobs"].([]any) {
				j := j.(map[string]any)
				j[field] = altered(j[field])
				fields = append(fields, fmt.Sprintf("after.jobs[%d].%s", i, field))
			}
			return fields
		}
	}
	for name, alter := range alterations {
		t.Run(name, func(t *testing.T) {
			changed := 0
			eachLine(t, sessions, func(t *testing.T, line []byte) {
				if changed >= 20 {
					return // seen enough
				}
				session := plain(json.RawMessage(line)).(map[string]any)
				var wanted, found []string
				for i, step := range session["steps"].([]any) {
					step := step.(map[string]any)
					for _, field := range alter(step) {
						wanted = append(wanted, fmt.Sprintf("step %d: %s: %s", i, step["call"], field))
					}
				}
				if len(wanted) == 0 {
					return
				}
				text, err := json.Marshal(session)
				require.NoError(t, err)
				_, err = Replay(text, func(d Divergence) {
					found = append(found, fmt.Sprintf("step %d: %s: %s", d.Step, d.Call, d.Field))
					assert.NotEqual(t, d.Wanted, d.Got)
				})
				require.NoError(t, err)
				assert.Equal(t, wanted, found)
				changed += len(wanted)
			})
			assert.NotZero(t, changed, "the data has nothing to alter")
		})
	}
}

// replaced alters one of the step's own members, unless it is an argument.
func replaced(field string, change func(any) any) alteration {
	return func(step map[string]any) []string {
		was, ok := step[field]
		if !ok || field == "wire" && step["call"] == "handle_inbound" {
			return nil
		}
		step[field] = change(was)
		if assert.ObjectsAreEqual(was, step[field]) {
			return nil
		}
		return []string{field}
	}
}

func inError(change func(map[string]any)) alteration {
	return replaced("error", func(e any) any {
		was, ok := e.(map[string]any)
		if !ok {
			return e
		}
		is := map[string]any{}
		for k, v := range was {
			is[k] = v
		}
		change(is)
		return is
	})
}

func inAfter(field string, change func(any) any) alteration {
	return func(step map[string]any) []string {
		after := step["after"].(map[string]any)
		was := after[field]
		after[field] = change(was)
		if assert.ObjectsAreEqual(was, after[field]) {
			return nil
		}
		return []string{"after." + field}
	}
}

// altered returns another value, as near as can be.
func altered(v any) any {
	switch v := v.(type) {
	case bool:
		return !v
	case json.Number:
		digits := []byte(v)
		digits[len(digits)-1] ^= 1 // in the last of 64 bits
		return json.Number(digits)
	case string:
		return v + " "
	}
	return "something"
}

func either(v, other any) any {
	if v == nil {
		return other
	}
	return v
}

func oneLess(list any) any {
	if l := list.([]any); len(l) > 0 {
		return l[:len(l)-1]
	}
	return list
}

func oneMore(list any) any { return append(list.([]any), map[string]any{"job_id": json.Number("1")}) }

func TestWhatIsNoJournalIsRefusedWithItsPlace(t *testing.T) {
	const after = `"after":{"worker_ready":false,"shutdown_requested":false,"inflight":0,"outbox":0,"jobs":[]}`
	step := func(s string) string { return `{"seed":1,"first_decision_seq":1,"steps":[` + s + `]}` }
	for text, want := range map[string]string{
		``:                                  "after 0 bytes: ",
		`{"seed":1`:                         "after 9 bytes: ",
		`7`:                                 "json: ",
		`null`:                              "null",
		"{\"\xff":                           "at byte 2: not well-formed UTF-8",
		"{\"\ufffd\":1,\"\xed\xa0\x80":      "at byte 10: not well-formed UTF-8",
		`{}`:                                "seed: the member is missing",
		`{"seed":null}`:                     "seed: null",
		`{"seed":-1}`:                       "seed: ",
		`{"seed":1.0}`:                      "seed: ",
		`{"seed":18446744073709551616}`:     "seed: ",
		`{"seed":"1"}`:                      "seed: ",
		`{"Seed":1}`:                        "seed: the member is missing",
		`{"seed":1,"steps":[]}`:             "first_decision_seq: the member is missing",
		`{"seed":1,"first_decision_seq":1}`: "steps: the member is missing",
		`{"seed":1,"first_decision_seq":1,"steps":{}}`: "steps: ",
		step(`7`):    "step 0: ",
		step(`null`): "step 0: null",
		step(`{"call":"reap","reaped":[],` + after + `},{}`):                                                                            "step 1: call: the member is missing",
		step(`{"call":"Reap"}`):                                                                                                         `step 0: call: "Reap" is unknown`,
		step(`{"call":"cancel_job","job_id":1,"error":null,` + after + `}`):                                                             "step 0: reason: the member is missing",
		step(`{"call":"cancel_job","job_id":"1","reason":"","error":null,` + after + `}`):                                               "step 0: job_id: ",
		step(`{"call":"cancel_job","job_id":1,"reason":7,"error":null,` + after + `}`):                                                  "step 0: reason: ",
		step(`{"call":"spawn_job","job_id":1,"region_id":1,"task_id":1,"obligation_id":1,"payload":"aGk=","error":null,` + after + `}`): "step 0: payload: ",
		step(`{"call":"spawn_job","job_id":1,"region_id":1,"task_id":1,"obligation_id":1,"payload":[256],"error":null,` + after + `}`):  "step 0: payload: 256",
		step(`{"call":"spawn_job","job_id":1,"region_id":1,"task_id":1,"obligation_id":1,"payload":null,"error":null,` + after + `}`):   "step 0: payload: null",
		step(`{"call":"handle_inbound","error":null,` + after + `}`):                                                                    "step 0: wire: the member is missing",
		step(`{"call":"handle_inbound","wire":null,"error":null,` + after + `}`):                                                        "step 0: wire: null",
		step(`{"call":"handle_inbound","wire":"{}","error":null,` + after + `}`):                                                        "step 0: wire: workerchannel: ",
		step(`{"call":"poll_status","job_id":1,` + after + `}`):                                                                         "step 0: error: the member is missing",
		step(`{"call":"drain_outbox",` + after + `}`):                                                                                   "step 0: wire: the member is missing",
		step(`{"call":"reap",` + after + `}`):                                                                                           "step 0: reaped: the member is missing",
		step(`{"call":"worker_lost"}`):                                                                                                  "step 0: after: the member is missing",
		step(`{"call":"worker_lost","after":{}}`):                                                                                       "step 0: after.inflight: the member is missing",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := Replay([]byte(text), func(d Divergence) { t.Errorf("%+v", d) })
			require.Error(t, err)
			assert.True(t, strings.HasPrefix(err.Error(), want), err.Error())
		})
	}
}

func TestALongDivergenceIsCutToWhereItIs(t *testing.T) {
	long := strings.Repeat("é", 1000)
	wanted, got := cut(long+"<here>"+long, long+"<there>"+long)
	assert.Less(t, len(wanted), 300)
	assert.Contains(t, wanted, "éé<here>éé")
	assert.Contains(t, wanted, "(bytes 1901 to 2101 of 4006)")
	assert.Contains(t, got, "éé<there>éé")
	wanted, got = cut("null", long)
	assert.Contains(t, wanted, "null")
	assert.Less(t, len(got), 300)
	wanted, got = cut("a", "b")
	assert.Equal(t, "a b", wanted+" "+got, "short ones are whole")
}

func TestWhatIsShownIsSafeToPrint(t *testing.T) {
	assert.Equal(t, `"<é>\u001b\u009b\u007f\u202e\udb40\udc01"`, show("<é>\x1b\u009b\x7f\u202e\U000e0001"))
}

func TestEveryKindOfErrorHasItsName(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../../errors.go", nil, 0)
	require.NoError(t, err)
	var sentinels []string
	for _, decl := range file.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.VAR {
			for _, spec := range d.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if strings.HasPrefix(name.Name, "Err") {
						sentinels = append(sentinels, strings.TrimPrefix(name.Name, "Err"))
					}
				}
			}
		}
	}
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	assert.ElementsMatch(t, sentinels, names)
}

func TestAnErrorIsDescribedByItsKindAndData(t *testing.T) {
	w := "w"
	for want, err := range map[string]error{
		`null`:                        nil,
		`{"kind":"WorkerNotReady"}`:   wc.ErrWorkerNotReady,
		`{"kind":""}`:                 errors.New("of somebody else"),
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
		`{"cause":"c","field":"f","kind":"InvalidValue"}`:                                &wc.ValueError{Field: "f", Cause: "c"},
		`{"cause":"c","kind":"Malformed","offset":7}`:                                    &wc.ParseError{Offset: 7, Cause: "c"},
	} {
		got, _ := json.Marshal(Describe(err))
		assert.Equal(t, want, string(got))
	}
}

func TestTheJobOfAnOperationIsTheOneOnTheWire(t *testing.T) {
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
		id, ok := JobOf(env.Op)
		if assert.Equal(t, op.JobID != nil, ok) && ok {
			assert.Equal(t, *op.JobID, id)
		}
		ops[env.Op.Type()] = true
	})
	assert.Len(t, ops, int(wc.OpDiagnostic), "every operation is in the data")
}

func eachLine(t *testing.T, file string, test func(t *testing.T, line []byte)) {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotEmpty(t, data)
	for line := range bytes.Lines(data) {
		test(t, line)
	}
}

func text(t *testing.T, env wc.Envelope) []byte {
	data, err := env.AppendJSON(nil)
	require.NoError(t, err)
	return data
}
