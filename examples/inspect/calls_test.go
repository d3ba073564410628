package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

// recordCalls writes the journal of a host, minute by minute: w-1 is lost with call 1, w-2 gives call 2 back and leaves in
// order, w-3 runs both and is then stopped. Call 3 fails, and call 4 is cancelled.
func recordCalls(t *testing.T) string {
	var text strings.Builder
	synctest.Test(t, func(t *testing.T) {
		w, err := journal.NewWriter(&text, journal.Options{})
		require.NoError(t, err)
		begin := func(id string) (*journal.Recorder, *wc.Worker) {
			c, k := w.Record(wc.NewCoordinator(1), journal.Setup{}), wc.NewWorker(id, 1)
			c.ExpectWorker()
			require.NoError(t, k.Announce())
			exchange(t, c, k)
			return c, k
		}
		spawn := func(c *journal.Recorder, k *wc.Worker, id uint64, label string) {
			require.NoError(t, c.SpawnLabeled(wc.SpawnJob{JobID: id, TaskID: id}, nil, label))
			exchange(t, c, k)
			require.NoError(t, k.Start(id))
			exchange(t, c, k)
		}
		end := func(c *journal.Recorder, how journal.EndKind, why string) {
			c.WorkerLost()
			c.Reap()
			require.NoError(t, c.End(journal.Ending{How: how, Why: why}))
			time.Sleep(time.Minute)
		}
		c, k := begin("w-1")
		spawn(c, k, 1, "invoice 7")
		end(c, journal.Lost, "exit status 2")

		c, k = begin("w-2")
		spawn(c, k, 2, "invoice 8")
		require.NoError(t, c.CancelJob(2, "sooner elsewhere"))
		exchange(t, c, k)
		require.NoError(t, k.AcknowledgeCancel(2))
		exchange(t, c, k)
		require.NoError(t, k.CompleteDrain(2))
		exchange(t, c, k)
		require.NoError(t, k.CompleteFinalize(2))
		exchange(t, c, k)
		c.Reap()
		require.NoError(t, c.ShutdownWhenIdle("done"))
		exchange(t, c, k)
		require.NoError(t, k.CompleteShutdown())
		exchange(t, c, k)
		end(c, journal.Left, "worker shut down")

		c, k = begin("w-3")
		for id, outcome := range map[uint64]wc.Outcome{1: wc.OutcomeOk{}, 2: wc.OutcomeOk{}, 3: wc.OutcomeErr{Code: "c"}, 4: wc.OutcomeCancelled{}} {
			spawn(c, k, id, map[uint64]string{1: "invoice 7", 2: "invoice 8"}[id])
			require.NoError(t, k.Complete(id, outcome))
			exchange(t, c, k)
		}
		end(c, journal.Stopped, "host stopped")
		require.NoError(t, w.Close())
	})
	name := filepath.Join(t.TempDir(), "journal")
	require.NoError(t, os.WriteFile(name, []byte(text.String()), 0o666))
	return name
}

func TestStatsCountCallsAndNotAttempts(t *testing.T) {
	name := recordCalls(t)
	out, _ := inspectText(t, 0, "", "-stats", name)
	assert.Contains(t, out, `
calls that ended          calls
cancelled                     1
error                         1
ok                            2
all                           4  in 6 jobs
`)
	out, _ = inspectText(t, 0, "", "-stats", "-worker", "w-1", name)
	assert.Contains(t, out, "lost                          1\nall                           1  in 1 job\n")

	data, err := os.ReadFile(name)
	require.NoError(t, err)
	again := filepath.Join(t.TempDir(), "journal") // another program has calls of the same numbers
	require.NoError(t, os.WriteFile(again, append(data, data...), 0o666))
	out, _ = inspectText(t, 0, "", "-stats", again)
	assert.Contains(t, out, "all                           8  in 12 jobs\n")
}

func TestFailedNamesWhatWasLostAndWhyAndNoCleanEnd(t *testing.T) {
	name := recordCalls(t)
	out, _ := inspectText(t, 0, "", "-failed", name)
	for _, has := range []string{"w-1 is lost  (job 1: running → failed)", "the session ends, lost: exit status 2", "w-3 is lost", "the session ends, stopped: host stopped", "JobCompleted job 3: err"} {
		assert.Contains(t, out, has)
	}
	assert.NotContains(t, out, "w-2")
	assert.NotContains(t, out, "left")
	out, _ = inspectText(t, 0, "", name)
	assert.Contains(t, out, "w-2 is gone\n")
	assert.Contains(t, out, "the session ends, left: worker shut down\n")
	out, _ = inspectText(t, 0, "", "-json", "-worker", "w-1", name)
	assert.Contains(t, out, `"how":"lost","why":"exit status 2"`)
	assert.Contains(t, out, `"at":"2000-01-01T00:00:00.000000Z"`)
}

func TestSelectionByTimeAndLabel(t *testing.T) {
	name := recordCalls(t)
	count := func(args ...string) (workers string) {
		out, _ := inspectText(t, 0, "", append(args, name)...)
		for _, w := range []string{"w-1", "w-2", "w-3"} {
			if strings.Contains(out, w) {
				workers += w[2:]
			}
		}
		return workers
	}
	assert.Equal(t, "123", count())
	assert.Equal(t, "23", count("-since", "2000-01-01T00:01:00Z"))
	assert.Equal(t, "3", count("-since", "2000-01-01T01:01:30+01:00"))
	assert.Equal(t, "1", count("-until", "2000-01-01T00:01:00Z"))
	assert.Equal(t, "2", count("-since", "2000-01-01T00:01:00Z", "-until", "2000-01-01T00:01:00.000001Z"))
	assert.Empty(t, count("-since", "24h"))
	assert.Equal(t, "123", count("-until", "24h"))
	assert.Equal(t, "13", count("-label", "invoice 7"))
	assert.Equal(t, "23", count("-label", "invoice 8"))
	assert.Empty(t, count("-label", "invoice 9"))
	out, _ := inspectText(t, 0, "", "-label", "invoice 7", "-until", "2000-01-01T00:01:00Z", name)
	assert.Contains(t, out, `
time                         line  session  step  verdict      turn   seq  message
2000-01-01T00:00:00.000000Z     5        1     3  sent            0     1  coordinator → SpawnJob job 1: 0 bytes  "invoice 7"  (queued)
`)
	_, notes := inspectText(t, 2, "", "-since", "noon", name)
	assert.Contains(t, notes, `invalid value "noon" for flag -since: expected a time such as `)
	out, _ = inspectText(t, 0, "", "-q", "-since", "1h", quickstart) // has no times
	assert.Empty(t, out)
}
