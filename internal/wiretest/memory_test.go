package wiretest

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

// allocatedBy returns how many bytes a call takes from the heap, including what it gives back.
func allocatedBy(call func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestDecodeTakesMemoryInProportionToTheInput(t *testing.T) {
	const head = `{"version":1,"message_id":1,"seq_no":1,"decision_seq":1,"seed":1,"issued_at_turn":1,"replay_hash":1,`
	const spawn = head + `"op":{"type":"SpawnJob","job_id":1,"region_id":1,"task_id":1,"obligation_id":1,"payload":[`
	const many = 1 << 16
	for name, text := range map[string]string{
		"nothing but arrays":         strings.Repeat("[", many),
		"deep arrays":                head + `"x":` + strings.Repeat("[", many),
		"deep objects":               head + `"x":` + strings.Repeat(`{"x":`, many),
		"commas":                     spawn + strings.Repeat(",", many),
		"a payload of small numbers": spawn + strings.Repeat("0,", many-1) + `0]}}`,
		"a payload too large":        spawn + strings.Repeat("0,", 2*wc.MaxPayloadBytes) + `0]}}`,
		"a payload without end":      spawn + strings.Repeat("0,", many/2),
		"a long text":                head + `"worker_id":"` + strings.Repeat("x", many) + `"}`,
		"long escapes":               head + `"worker_id":"` + strings.Repeat(`\u0041`, many) + `"}`,
		"short escapes":              head + `"worker_id":"` + strings.Repeat(`\n`, many) + `"}`,
		"surrogates":                 head + `"worker_id":"` + strings.Repeat(`\ud83d\ude00`, many) + `"}`,
		"text without end":           head + `"worker_id":"` + strings.Repeat(`\\`, many),
		"a long name":                head + `"` + strings.Repeat(`\u0041`, many) + `":0}`,
		"many names":                 head + strings.Repeat(`"\u0041":0,`, many) + `"op":{}}`,
		"many names before the type": head + `"op":{` + strings.Repeat(`"\n":0,`, many) + `"type":"ShutdownCompleted"}}`,
		"many names in the outcome":  head + `"op":{"type":"JobCompleted","job_id":1,"outcome":{` + strings.Repeat(`"\n":0,`, many) + `"status":"Ok","payload":[]}}}`,
		"a long unknown type":        head + `"op":{"type":"` + strings.Repeat(`\u0041`, many) + `"}}`,
		"a long unknown state":       head + `"op":{"type":"StatusSnapshot","job_id":1,"state":"` + strings.Repeat("x", many) + `"}}`,
		"a long number":              head + `"op":{"type":"PollStatus","job_id":` + strings.Repeat("0", many) + `1}}`,
	} {
		data := []byte(text)
		var err error
		allocated := allocatedBy(func() { _, err = wc.Verify(data) })
		require.Error(t, err, name)
		require.LessOrEqual(t, allocated, uint64(6*len(data)+1<<13), name)
		require.Less(t, len(err.Error()), 400, name)
	}
}

// What follows a payload in a message can be long: the room for it is not kept.
func TestShortPayloadKeepsNoRoomForALargeOne(t *testing.T) {
	for _, op := range []wc.Op{
		wc.SpawnJob{Payload: []byte{1, 2, 3}},
		wc.JobCompleted{Outcome: wc.OutcomeOk{Payload: []byte{1, 2, 3}}},
	} {
		env := wc.NewEnvelope(wc.Header{SeqNo: 1}, op)
		if op.Type().Sender() == wc.SenderWorker {
			env = wc.NewWorkerEnvelope("w", wc.Header{SeqNo: 1}, op)
		}
		for name, text := range map[string]string{
			"canonical": jsonOf(env) + strings.Repeat(" ", 1<<20),
			"other":     " " + jsonOf(env) + strings.Repeat(" ", 1<<20),
		} {
			read, err := wc.ParseEnvelope([]byte(text))
			require.NoError(t, err, name)
			if completed, ok := read.Op.(wc.JobCompleted); ok {
				require.LessOrEqual(t, cap(completed.Outcome.(wc.OutcomeOk).Payload), 128, name)
			} else {
				require.LessOrEqual(t, cap(read.Op.(wc.SpawnJob).Payload), 128, name)
			}
		}
	}
}
