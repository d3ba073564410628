package peers

import (
	"testing"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
)

func TestMistakesInGoWorkerAreFound(t *testing.T) {
	testMistakes(t, "go", conform.WorkerHalf, append(goReading, []mistake{
		{"wire/announce", "numbers from 0", "outbox.go", "	o.last.SeqNo++\n", ""},
		{"wire/announce", "digest without the worker id", "replayhash.go", "if workerID != nil {", "if workerID == nil {"},
		{"wire/escapes", "slashes are escaped", "encode.go", "t['\"'], t['\\\\'] = `\\\"`, `\\\\`", "t['\"'], t['\\\\'], t['/'] = `\\\"`, `\\\\`, `\\/`"},
		{"job/id-again", "a job spawned again is taken", "jobstate.go", "workerSpawned:     {in(untracked),", "workerSpawned:     {in(untracked, StateQueued, StateRunning),"},
		{"poll/others", "a draining job is reported", "jobstate.go", "workerPolled:      {in(StateQueued, StateRunning)", "workerPolled:      {in(StateQueued, StateRunning, StateDraining)"},
		{"cancel/crossed", "a cancel of an ended job is an error", "jobstate.go", "in(untracked), transitionTo(StateCancelRequested)", "none, transitionTo(StateCancelRequested)"},
		{"cancel/request-out-of-order", "a drain is taken before the acknowledgement", "jobstate.go", "workerDrain:       {in(stateAcknowledged)", "workerDrain:       {in(stateAcknowledged, StateCancelRequested)"},
		{"shutdown/no-drain", "a drain is waited for during shutdown", "jobstate.go", "workerShutDown:    {in(stateAcknowledged, stateDrained)", "workerShutDown:    {in(untracked)"},
		{"job/start-twice", "a running job is started", "jobstate.go", "workerStart:       {in(StateQueued)", "workerStart:       {in(StateQueued, StateRunning)"},
		{"cancel/no-outcome", "a job completes after its cancel was acknowledged", "jobstate.go", "workerComplete:    {in(StateQueued, StateRunning, StateCancelRequested)", "workerComplete:    {in(StateQueued, StateRunning, StateCancelRequested, stateAcknowledged)"},
		{"cancel/answer-once", "a cancel is acknowledged twice", "jobstate.go", "workerAcknowledge: {in(StateCancelRequested)", "workerAcknowledge: {in(StateCancelRequested, stateAcknowledged)"},
		{"session/direction", "a worker obeys a worker", "worker.go", "t.Sender() != SenderCoordinator", "t.Sender() == 0"},
		{"numbers/stale", "the same number is taken again", "worker.go", "if env.SeqNo <= w.lastSeen {", "if env.SeqNo < w.lastSeen {"},
		{"numbers/gaps", "a gap in the numbers is an error", "worker.go", "if env.SeqNo <= w.lastSeen {", "if env.SeqNo != w.lastSeen+1 {"},
		{"session/closed", "a closed worker goes on", "worker.go", "	w.phase = phaseClosed\n", ""},
		{"session/announce", "a poll is answered before the announcement", "worker.go", "w.phase == phaseReady {", "true {"},
		{"payload/largest", "a payload of any size is sent", "flatop.go", "if len(payload) > MaxPayloadBytes {", "if len(payload) > 2*MaxPayloadBytes {"},
	}...))
}

// goReading are mistakes of the reader, which both halves share: one of them is enough.
var goReading = []mistake{
	{"validate/order", "the version is not checked", "envelope.go", "case e.Version != ProtocolVersion:", "case e.Version == 99:"},
	{"reading/depth", "nesting is bounded too early", "scan.go", "const maxDepth = 127", "const maxDepth = 126"},
	{"validate/order", "the identity is not checked", "envelope.go", "case f.typ.bootstrap() && f.workerID != *e.WorkerID:", "case false:"},
	{"reading/unknown-names", "a name may begin with a capital", "wire.go", "if m.String() == string(name) {", "if n := string(name); m.String() == n || n != \"\" && m.String() == string(n[0]|' ')+n[1:] {"},
	{"reading/names", "what follows a type is ignored", "wire.go", "if opTable[t].name == string(name) && len(name) > 0 {", "if n := opTable[t].name; n != \"\" && len(n) <= len(name) && n == string(name[:len(n)]) {"},
	{"reading/escapes", "an escaped slash is an error", "scan.go", `case '"', '\\', '/':`, `case '"', '\\':`},
	{"reading/duplicates", "a member may occur twice", "decode.go", "case seen&(1<<m) != 0:", "case false:"},
	{"reading/other-version", "another version is malformed", "decode.go", "version != ProtocolVersion && errors.Is(err, ErrMalformed) {", "false && version != ProtocolVersion && errors.Is(err, ErrMalformed) {"},
	{"reading/other-version", "a version is believed though more follows", "decode.go", "d.end(\"envelope\"); d.err != nil {\n\t\treturn ProtocolVersion", "d.err != nil {\n\t\treturn ProtocolVersion"},
	{"reading/controls", "raw control characters are taken", "scan.go", "case c < ' ':", "case false:"},
	{"reading/number-form", "a leading zero is skipped", "scan.go", "case s.pos > start+1 && s.data[start] == '0':", "case false:"},
	{"reading/number-range", "the version wraps", "scan.go", "case n > limit:", "case false:"},
	{"reading/around", "what follows the object is ignored", "decode.go", "if d.pos < len(d.data) {", "if false {"},
	{"reading/utf8", "ill-formed UTF-8 is taken", "scan.go", "!utf8.Valid(raw) {", "len(raw) < 0 {"},
	{"reading/surrogates", "surrogates are replaced", "scan.go", "case !utf16.IsSurrogate(unit):", "case unit > 0:"},
	{"reading/missing", "a missing number is 0", "decode.go", "	default:\n		d.failAt(start, \"member", "	case mSeed:\n	default:\n		d.failAt(start, \"member"},
}

func TestMistakesInGoCoordinatorAreFound(t *testing.T) {
	testMistakes(t, "go", conform.CoordinatorHalf, []mistake{
		{"wire/first", "numbers from 0", "outbox.go", "	o.last.SeqNo++\n", ""},
		{"numbers/gaps", "a gap in the numbers is an error", "session.go", "if seqNo <= c.lastSeen {", "if seqNo != c.lastSeen+1 {"},
		{"numbers/stale", "the same number is taken again", "session.go", "if seqNo <= c.lastSeen {", "if seqNo < c.lastSeen {"},
		{"numbers/zero", "a bootstrap with number 0 is taken", "session.go", "case seqNo == 0:", "case false:"},
		{"session/foreign", "a message of any worker is taken", "session.go", "case !op.bootstrap():", "case false:"},
		{"session/late-bootstrap", "ended workers are forgotten", "session.go", "case c.retired.has(worker):", "case false:"},
		{"session/retired-memory", "only a few ended workers are remembered", "retired.go", "const retiredMost = 1024", "const retiredMost = 100"},
		{"session/failed", "BootstrapFailed is not an error", "session.go", "		return &WorkerError{Kind: ErrBootstrapFailed, WorkerID: op.WorkerID, Reason: op.Reason}\n", "		_ = op\n"},
		{"job/id-again", "ended ids may be used again", "coordinator.go", "ok := c.jobs.byID.get(spawn.JobID); ok {", "ok := c.jobs.byID.get(spawn.JobID); ok && !j.now().Terminal() {"},
		{"job/snapshots", "a running job becomes queued again", "jobstate.go", "hostSnapshotQueued:  {in(StateQueued)", "hostSnapshotQueued:  {in(StateQueued, StateRunning)"},
		{"cancel/snapshot-crossed", "a snapshot that crosses a cancel is an error", "jobstate.go", "in(StateRunning, StateCancelRequested), transitionTo(StateRunning)", "in(StateRunning), transitionTo(StateRunning)"},
		{"cancel/completion-crossed", "a completion that crosses a cancel is an error", "jobstate.go", "hostCompleted:       {in(StateQueued, StateRunning, StateCancelRequested)", "hostCompleted:       {in(StateQueued, StateRunning)"},
		{"cancel/no-outcome", "a completion after the acknowledgement counts", "jobstate.go", "hostCompleted:       {in(StateQueued, StateRunning, StateCancelRequested)", "hostCompleted:       {in(StateQueued, StateRunning, StateCancelRequested, StateDraining)"},
		{"cancel/answer-unasked", "FinalizeCompleted skips the handshake", "jobstate.go", "hostFinalized:       {in(StateFinalizing)", "hostFinalized:       {in(StateFinalizing, StateDraining)"},
		{"shutdown/outbox", "messages follow before a shutdown", "coordinator.go", "	c.out.clear()\n	c.out.push(ShutdownWorker", "	c.out.push(ShutdownWorker"},
		{"shutdown/announced-again", "an announcement undoes a shutdown", "session.go", "		c.ready = true\n", "		c.ready, c.shutdown = true, false\n"},
		{"limits/poll", "a poll is never answered", "session.go", "	c.clocks.poll.running = false\n", ""},
		{"session/replaced", "jobs survive their worker", "session.go", "c.endSession(CauseReplaced)", "c.retired.add(c.worker)"},
	})
}
