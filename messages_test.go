package workerchannel

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// everyOp returns all operations, each with what its members can be.
func everyOp(worker string) []Op {
	return []Op{
		BootstrapReady{worker},
		BootstrapFailed{worker, ""},
		BootstrapFailed{worker, "no \"memory\"\n\\ \x00\x1f\x7f/<>&\u2028é€😀"},
		SpawnJob{1, 2, 3, 4, []byte{}},
		SpawnJob{1 << 63, 0, 1<<64 - 1, 10, []byte{0, 1, 9, 10, 99, 100, 255}},
		PollStatus{5},
		StatusSnapshot{6, StateCreated, nil},
		StatusSnapshot{6, StateQueued, new("")},
		StatusSnapshot{6, StateCancelRequested, new("half")},
		JobCompleted{7, OutcomeOk{[]byte{}}},
		JobCompleted{7, OutcomeOk{[]byte("result")}},
		JobCompleted{7, OutcomeErr{"code", "message"}},
		JobCompleted{7, OutcomeCancelled{"reason"}},
		JobCompleted{7, OutcomePanicked{"message"}},
		CancelJob{8, "reason"},
		CancelAcknowledged{9},
		DrainJob{10},
		DrainCompleted{11},
		FinalizeJob{12},
		FinalizeCompleted{13},
		ShutdownWorker{"reason"},
		ShutdownCompleted{},
		Diagnostic{LevelInfo, "category", "message", nil},
		Diagnostic{LevelWarn, "", "", new("")},
		Diagnostic{LevelError, "category", "message", new("metadata")},
	}
}

// jsonOf returns the message's canonical JSON.
func jsonOf(env Envelope) string { return string(written(env)) }

// Texts that tests change.
const (
	header         = `{"version":1,"message_id":2,"seq_no":3,"decision_seq":4,"seed":5,"issued_at_turn":6,`
	pollText       = header + `"replay_hash":7,"op":{"type":"PollStatus","job_id":8}}`
	stopText       = header + `"replay_hash":7,"op":{"type":"ShutdownWorker","reason":"r"}}`
	spawnText      = header + `"replay_hash":7,"op":{"type":"SpawnJob","job_id":8,"region_id":9,"task_id":10,"obligation_id":11,"payload":[1,2,255]}}`
	snapshotText   = header + `"worker_id":"w","replay_hash":7,"op":{"type":"StatusSnapshot","job_id":8,"state":"Running","detail":"d"}}`
	doneText       = header + `"worker_id":"w","replay_hash":7,"op":{"type":"JobCompleted","job_id":8,"outcome":{"status":"Ok","payload":[1,2,255]}}}`
	errText        = header + `"worker_id":"w","replay_hash":7,"op":{"type":"JobCompleted","job_id":8,"outcome":{"status":"Err","code":"c","message":"m"}}}`
	diagnosticText = header + `"worker_id":"w","replay_hash":7,"op":{"type":"Diagnostic","level":"Warn","category":"c","message":"m","metadata":"d"}}`
)

func payloadText(size int) string {
	return "[" + strings.TrimSuffix(strings.Repeat("7,", size), ",") + "]"
}

func replaceOnce(t *testing.T, text, old, new string) string {
	t.Helper()
	require.Equal(t, 1, strings.Count(text, old), "%q in %q", old, text)
	return strings.Replace(text, old, new, 1)
}
