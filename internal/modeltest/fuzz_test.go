package modeltest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/internal/model"
)

// FuzzCoordinator plays a script to a coordinator and to a worker, line by line: a message, a message that is first
// sealed with the right digest (after a ~), or a call (a letter and the number of a job or region).
func FuzzCoordinator(f *testing.F) {
	for _, line := range model.Lines(f, "sessions.jsonl") {
		var session struct{ Steps []journalStep }
		require.NoError(f, json.Unmarshal(line, &session))
		var script, sealed []string
		for _, step := range session.Steps {
			if step.Wire != nil && step.Call == "handle_inbound" {
				script, sealed = append(script, *step.Wire), append(sealed, "~"+*step.Wire)
				continue
			}
			for letter, call := range fuzzHostCalls {
				if call == step.goName() {
					line := string(letter) + strconv.FormatUint(step.JobID+step.RegionID%2, 10)
					script, sealed = append(script, line), append(sealed, line)
				}
			}
		}
		const most = 40 // or the fuzzer takes its time
		f.Add([]byte(strings.Join(script[:min(most, len(script))], "\n")))
		f.Add([]byte(strings.Join(sealed[:min(most, len(sealed))], "\n")))
	}
	f.Add([]byte("A\nS1\nB1\nR1\nK1\nQ\nA"))
	f.Add([]byte("x0\nt0\nt0\nA\ns1\nd\nv1\nd\nt0\ni0\nh0\nd\nt0"))
	f.Fuzz(func(t *testing.T, script []byte) {
		p := newPlay(t)
		for _, line := range bytes.SplitN(script, []byte("\n"), 100) {
			p.line(line)
		}
	})
}

// The letters of the calls. The letters s, c, p, h, l, r, e, t, d and those of the worker are in testdata/fuzz.
var (
	fuzzHostCalls = map[byte]string{
		's': "SpawnJob", 'c': "CancelJob", 'p': "PollStatus", 'h': "RequestShutdown", 'l': "WorkerLost", 'r': "RemoveJob", 'e': "Reap",
		't': "AdvanceTurn", 'i': "ShutdownWhenIdle", 'x': "ExpectWorker", 'u': "RetireWorker", 'g': "CancelRegion", 'v': "CloseRegion",
		'd': "DrainOutbox",
	}
	fuzzWorkerCalls = map[byte]string{
		'A': "Announce", 'F': "Fail", 'S': "Start", 'R': "Report", 'K': "Complete", 'B': "AcknowledgeCancel", 'D': "CompleteDrain",
		'E': "CompleteFinalize", 'G': "Diagnose", 'Q': "CompleteShutdown", 'T': "AdvanceTurn", 'd': "DrainOutbox",
	}
)

// A play has both halves, and a twin of each that never sees what is refused.
type play struct {
	t         *testing.T
	c, cTwin  *wc.Coordinator
	w, wTwin  *wc.Worker
	jobStates map[uint64]wc.JobState
}

func newPlay(t *testing.T) *play {
	host := func() *wc.Coordinator {
		return wc.NewCoordinator(7, wc.WithLimits(wc.Limits{Boot: 4, Cancel: 3, Drain: 2, Finalize: 3, Poll: 2, Shutdown: 5}))
	}
	return &play{t, host(), host(), wc.NewWorker("w0", 7), wc.NewWorker("w0", 7), nil}
}

func (p *play) line(line []byte) {
	rest, reseal := bytes.CutPrefix(line, []byte("~"))
	var env wc.Envelope
	if reseal && env.UnmarshalJSON(rest) == nil {
		line = []byte(model.Wire(model.Seal(env)))
	}
	if len(line) == 0 {
		return
	}
	id, _ := strconv.ParseUint(string(line[1:]), 10, 64)
	a := arguments{id: id, region: id % 2, payload: []byte{1, 2}, text: "why", outcome: wc.OutcomeOk{}}
	hostCall, workerCall := fuzzHostCalls[line[0]], fuzzWorkerCalls[line[0]]
	if hostCall == "" && workerCall == "" {
		p.message(line)
	}
	switch hostCall {
	case "":
	case "DrainOutbox":
		p.drain(p.c, p.cTwin)
	case "RetireWorker":
		a.text = "w" + strconv.FormatUint(id, 10)
		fallthrough
	default:
		p.call(p.c, p.cTwin, hostCall, a)
	}
	switch workerCall {
	case "":
	case "DrainOutbox":
		p.drain(p.w, p.wTwin)
	default:
		p.call(p.w, p.wTwin, workerCall, a)
	}
	p.check()
}

func (p *play) call(h, twin Half, name string, a arguments) {
	if _, err := call(h, name, a); err == nil {
		_, err = call(twin, name, a)
		require.NoError(p.t, err)
	}
}

func (p *play) drain(h, twin Half) {
	if env, ok := h.DrainOutbox(); ok {
		require.NoError(p.t, env.Validate())
		twin.DrainOutbox()
	}
}

func (p *play) message(data []byte) {
	for _, pair := range [][2]Half{{p.c, p.cTwin}, {p.w, p.wTwin}} {
		if _, err := pair[0].Receive(data); !p.refused(err) {
			_, twin := pair[1].Receive(data)
			require.Equal(p.t, err, twin)
		}
	}
}

// refused reports whether a message was refused rather than received; its error must be of one kind.
func (p *play) refused(err error) bool {
	if err == nil {
		return false
	}
	kind := model.KindOf(err)
	require.Contains(p.t, model.ErrorKinds, kind)
	require.NotContains(p.t, []string{
		"InvalidValue", "WorkerNotReady", "WorkerClosed", "ShutdownInProgress", "AlreadyAnnounced", "JobNotPollable", "JobNotTerminal",
		"RegionClosed", "UnknownRegionID",
	}, kind)
	return slices.Contains([]string{
		"Malformed", "VersionMismatch", "ReplayHashMismatch", "UnexpectedWorkerIdentity", "MissingWorkerIdentity", "WorkerIdentityMismatch",
		"PayloadTooLarge", "UnexpectedDirection", "InboundSequenceNotFresh", "WorkerSessionMismatch", "RetiredWorker",
	}, kind)
}

// check is what holds at any time.
func (p *play) check() {
	require.True(p.t, reflect.DeepEqual(p.c, p.cTwin), "a refusal changed the coordinator")
	require.True(p.t, reflect.DeepEqual(p.w, p.wTwin), "a refusal changed the worker")

	_, active := p.c.ActiveWorker()
	require.True(p.t, active || !p.c.WorkerReady())
	require.False(p.t, p.c.Closing() && (p.c.ShutdownRequested() || p.c.InflightCount() == 0))
	states, inflight, regions := map[uint64]wc.JobState{}, 0, map[uint64]wc.Region{}
	for j := range p.c.Jobs() {
		states[j.JobID] = j.State
		r := regions[j.RegionID]
		r.RegionID = j.RegionID
		r.Tracked++
		require.Equal(p.t, model.Ended(j.State), j.Cause != wc.CauseNone)
		require.Equal(p.t, j.State == wc.StateCompleted, j.Outcome != nil)
		if !model.Ended(j.State) {
			inflight++
			r.Inflight++
			require.True(p.t, active, "a job outlives its session")
		}
		regions[j.RegionID] = r
		if was, ok := p.jobStates[j.JobID]; ok && was != j.State {
			require.Contains(p.t, model.Transitions[was], j.State)
		}
	}
	require.Equal(p.t, inflight, p.c.InflightCount())
	p.jobStates = states
	for r := range p.c.Regions() {
		r.Closed = false
		require.Equal(p.t, regions[r.RegionID], r)
		delete(regions, r.RegionID)
	}
	require.Empty(p.t, regions)
	due, ok := p.c.NextDeadline()
	late, overdue := p.c.Overdue()
	require.Equal(p.t, ok && due <= p.c.Turn(), overdue)
	require.True(p.t, !overdue || late.Deadline == due && late.Since <= p.c.Turn())

	ids := 0
	for j := range p.w.Jobs() {
		ids++
		require.Contains(p.t, []wc.JobState{wc.StateQueued, wc.StateRunning, wc.StateCancelRequested, wc.StateDraining, wc.StateFinalizing}, j.State)
	}
	require.Equal(p.t, ids, p.w.InflightCount())
	require.False(p.t, p.w.Closed() && (p.w.Ready() || ids > 0))
}
