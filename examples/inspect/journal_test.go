package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/journal"
)

var update = flag.Bool("update", false, "write the golden files")

// The journal of examples/quickstart, without times.
const quickstart = "../quickstart/testdata/session.jsonl"

func golden(t *testing.T, file, got string) {
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o666))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "run go test ./examples/inspect -update after a change on purpose")
}

func TestJournalIsShownWithWhatEachMessageLedTo(t *testing.T) {
	out, _ := inspectText(t, 0, "", "-job", "4", quickstart)
	assert.Equal(t, quickstart+`
  line  session  step  verdict      turn   seq  message
    22        1    20  sent            2     4  coordinator → SpawnJob job 4: 14 bytes  (queued)
    23        1    21  accepted        2     8  w-1 → StatusSnapshot job 4: running  (queued → running)
    26        1    24  sent            3     5  coordinator → PollStatus job 4
    27        1    25  accepted        3     9  w-1 → StatusSnapshot job 4: running
    30        1    28  sent            4     6  coordinator → CancelJob job 4: "dinner is ready"  (running → cancel_requested)
    31        1    29  accepted        4    10  w-1 → CancelAcknowledged job 4  (cancel_requested → draining)
    32        1    30  sent            4     7  coordinator → DrainJob job 4
    33        1    31  accepted        4    11  w-1 → DrainCompleted job 4  (draining → finalizing)
    34        1    32  sent            4     8  coordinator → FinalizeJob job 4
    35        1    33  accepted        4    12  w-1 → FinalizeCompleted job 4  (cancelled)
`, out)
}

func TestFiltersSelectAndDecideTheExitStatus(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		lines  int
		has    []string
	}{
		{nil, 1, 74, []string{"BootstrapReady"}},
		{[]string{"-q"}, 1, 0, nil},
		{[]string{"-q", "-job", "4"}, 0, 0, nil},
		{[]string{"-q", "-job", "7"}, 1, 0, nil},
		{[]string{"-worker", "w-2", "-job", "8"}, 0, 7, []string{"SpawnJob job 8", "w-2 → "}},
		{[]string{"-worker", "w-9"}, 0, 0, nil},
		{[]string{"-failed", "-turns", "8:13"}, 1, 5, []string{"refused", `[RetiredWorker: worker id "w-1"]`}},
		{[]string{"-failed", "-turns", "1:1"}, 0, 4, []string{"err, ", "panicked, "}},
		{[]string{"-turns", "17:"}, 1, 9, []string{"[WorkerNotReady]"}},
		{[]string{"-turns", "1:1", "-calls"}, 0, 18, []string{"advance turn", "reap"}},
		{[]string{"-session", "2"}, 0, 0, nil},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			out, _ := inspectText(t, test.status, "", append(test.args, quickstart)...)
			assert.Equal(t, test.lines, strings.Count(out, "\n"), out)
			for _, has := range test.has {
				assert.Contains(t, out, has)
			}
		})
	}
}

func TestStatsCountMessagesAndTurns(t *testing.T) {
	out, _ := inspectText(t, 1, "", "-stats", quickstart)
	golden(t, "testdata/stats.golden", out)
	out, _ = inspectText(t, 0, "", "-stats", "-job", "4", quickstart)
	assert.Contains(t, out, "job 4                         2  running, 2 turns\n")
	assert.Contains(t, out, "SpawnJob                      1          0           263\n")
}

// The README of package journal shows this file.
func TestDiagramOfTheReadmeIsCurrent(t *testing.T) {
	out, _ := inspectText(t, 1, "", "-svg", "-turns", "4:8", quickstart)
	golden(t, "../../docs/session.svg", out)
	assert.LessOrEqual(t, len(out), 15<<10)
}

func TestMermaidDiagram(t *testing.T) {
	out, _ := inspectText(t, 1, "", "-mermaid", "-turns", "4:8", quickstart)
	golden(t, "testdata/session.mmd", out)
}

// hostileCapture has everything that may not get into a diagram or onto a terminal as it is.
func hostileCapture(t *testing.T, messages int) string {
	const worst = "</text><script>alert(1)</script>\x1b[31m\u009b\u202e\"'&;#%%{}\n\x00\ufffe"
	var in strings.Builder
	for i := range uint64(messages) {
		id := fmt.Sprint(worst, i%20)
		in.WriteString(text(t, wc.NewWorkerEnvelope(id, wc.Header{SeqNo: i + 1}, wc.BootstrapReady{WorkerID: id})))
		in.WriteString(text(t, wc.NewEnvelope(wc.Header{SeqNo: i}, wc.CancelJob{JobID: i, Reason: worst + strings.Repeat("x", 5000)})))
		in.WriteString("<b>\x1b[31m\n")
	}
	return in.String()
}

func TestHostileMessagesAreDrawnAsPlainTextOfBoundedSize(t *testing.T) {
	in := hostileCapture(t, 500)
	for _, form := range []string{"-svg", "-mermaid", "-stats", "-json"} {
		out, _ := inspectText(t, 1, in, form)
		assert.NotRegexp(t, "[\x00-\x09\x0b-\x1f\x7f]", out, form)
		if form == "-json" {
			continue
		}
		assert.NotContains(t, out, "\u009b", form)
		assert.NotContains(t, out, "\u202e", form)
		assert.NotContains(t, out, "<script", form)
		assert.Less(t, len(out), 150<<10, form)
		if form == "-svg" {
			requireXML(t, out)
			assert.Equal(t, maxEnds, strings.Count(out, `class="m h"`))
			assert.Contains(t, out, " more, not drawn</text>")
		}
	}
}

func requireXML(t *testing.T, text string) {
	d := xml.NewDecoder(strings.NewReader(text))
	elements := map[string]bool{}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local] = true
		}
	}
	for name := range elements {
		assert.Contains(t, []string{"svg", "style", "rect", "path", "text", "circle"}, name)
	}
}

func TestMaxLimitsADiagram(t *testing.T) {
	out, _ := inspectText(t, 1, "", "-svg", "-max", "10", quickstart)
	assert.Equal(t, 10, strings.Count(out, `class="a"`)+strings.Count(out, `class="x"`)+strings.Count(out, "<circle"))
	requireXML(t, out)
}

func TestEmptyInputIsDrawn(t *testing.T) {
	for _, form := range []string{"-svg", "-mermaid", "-stats", "-json", "-q"} {
		inspectText(t, 0, "", form)
	}
	out, _ := inspectText(t, 0, "", "-svg")
	requireXML(t, out)
}

// record writes a journal of steps with a few files and returns its name.
func record(t *testing.T, o journal.Options) string {
	name := filepath.Join(t.TempDir(), "journal")
	w, err := journal.Create(name, o)
	require.NoError(t, err)
	c := w.Record(wc.NewCoordinator(1), journal.Setup{})
	k := wc.NewWorker("w-1", 1)
	require.NoError(t, k.Announce())
	for id := range uint64(20) {
		exchange(t, c, k)
		require.NoError(t, c.SpawnJob(wc.SpawnJob{JobID: id, Payload: make([]byte, 1000)}))
		exchange(t, c, k)
		require.NoError(t, k.Complete(id, wc.OutcomeOk{Payload: make([]byte, 1000)}))
		c.AdvanceTurn()
	}
	exchange(t, c, k)
	_, err = c.Receive([]byte("\x1b[31m no message"))
	require.Error(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, w.Close())
	return name
}

func exchange(t *testing.T, c *journal.Recorder, k *wc.Worker) {
	for env := range k.Outbox() {
		data, err := env.AppendJSON(nil)
		require.NoError(t, err)
		_, err = c.Receive(data)
		require.NoError(t, err)
	}
	for env := range c.Outbox() {
		require.NoError(t, k.HandleInbound(&env))
	}
}

func TestJournalsOfStepsAreShown(t *testing.T) {
	for name, test := range map[string]struct {
		options   journal.Options
		says, led string
	}{
		"one file": {journal.Options{}, "coordinator → SpawnJob job 19: 1000 bytes", "(queued)"},
		"files":    {journal.Options{MaxFileBytes: 5000}, "coordinator → SpawnJob job 19: 1000 bytes", "(queued)"},
		"digests":  {journal.Options{DigestOver: 10}, "coordinator → SpawnJob job 19: 1000 bytes", "(queued)"},
		"the end":  {journal.Options{MaxFileBytes: 5000, MaxFiles: 2}, "coordinator → SpawnJob job 19", "(queued)"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _ := inspectText(t, 1, "", record(t, test.options))
			assert.Contains(t, out, test.says+"  "+test.led+"\n")
			assert.Contains(t, out, "w-1 → JobCompleted job 19: ok, 1000 bytes  (queued → completed)\n")
			assert.Regexp(t, `unreadable .* 16 bytes that are no message: "\\x1b\[31m no message"  \[`, out)
			assert.NotContains(t, out, "diverges")
			assert.NotContains(t, out, "\x1b")
		})
	}
}

func TestStepsAsJSON(t *testing.T) {
	out, _ := inspectText(t, 0, "", "-json", "-job", "19", record(t, journal.Options{}))
	last := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
	var step map[string]any
	require.NoError(t, json.Unmarshal([]byte(last), &step))
	assert.Equal(t, "w-1 → JobCompleted job 19: ok, 1000 bytes", step["message"])
	assert.Equal(t, "job 19: queued → completed", step["led_to"])
	assert.Equal(t, "accepted", step["verdict"])
}

func TestDivergenceIsShownAndDamageExitsWith2(t *testing.T) {
	name := record(t, journal.Options{})
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	changed := bytes.Replace(data, []byte(`"op":"SpawnJob","job_id":5,`), []byte(`"op":"SpawnJob","job_id":4,`), 1)
	out, _ := inspectText(t, 1, string(changed))
	assert.Contains(t, out, "        diverges: job_id: wanted 4, got 5\n")
	assert.Contains(t, out, "        diverges: crc: wanted ")
	damaged := bytes.Replace(data, []byte(`"op":"SpawnJob","job_id":5,`), []byte(`"op":"SpawnJob","job_id":,,`), 1)
	_, notes := inspectText(t, 2, string(damaged))
	assert.Regexp(t, `^inspect: :\d+: after \d+ bytes: invalid character`, notes)
}

func TestADiagnosticBelongsToTheJobThatItNames(t *testing.T) {
	var text strings.Builder
	w, err := journal.NewWriter(&text, journal.Options{})
	require.NoError(t, err)
	c, k := w.Record(wc.NewCoordinator(1), journal.Setup{}), wc.NewWorker("w-1", 1)
	require.NoError(t, k.Announce())
	exchange(t, c, k)
	require.NoError(t, c.SpawnLabeled(wc.SpawnJob{JobID: 7}, nil, "invoice"))
	exchange(t, c, k)
	capture := ""
	for _, metadata := range []string{"job 7", "job 7: page 3", "job 71", "job 7 is late", "jobs 7", "job seven", "7: 7"} {
		require.NoError(t, k.Diagnose(wc.Diagnostic{Message: "about " + metadata, Metadata: &metadata}))
		line, _, _ := k.AppendNext(nil)
		capture += string(line) + "\n"
		_, err := c.Receive(line)
		require.NoError(t, err)
	}
	for _, in := range []string{text.String(), capture} {
		out, _ := inspectText(t, 0, in, "-job", "7")
		assert.Contains(t, out, "about job 7: page 3")
		assert.Equal(t, 2, strings.Count(out, "Diagnostic"), out)
	}
	out, _ := inspectText(t, 0, text.String(), "-label", "invoice")
	assert.Equal(t, 2, strings.Count(out, "Diagnostic"), out)
}

func TestFollowShowsWhatIsAddedAlsoInTheNextFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "journal")
	w, err := journal.Create(name, journal.Options{MaxFileBytes: 1000})
	require.NoError(t, err)
	c := w.Record(wc.NewCoordinator(1), journal.Setup{})
	reading, out := io.Pipe()
	ctx, interrupt := context.WithCancelCause(t.Context())
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"-follow", "-json", name}, nil, out, io.Discard)
		out.Close()
	}()
	lines := json.NewDecoder(reading)
	for n := range 30 {
		c.ExpectWorker()
		var step struct {
			Call string
			Step int
		}
		require.NoError(t, lines.Decode(&step))
		assert.Equal(t, "expect_worker", step.Call)
		assert.Equal(t, n, step.Step)
	}
	require.NoError(t, w.Close())
	interrupt(tool.ErrInterrupted)
	_, err = io.Copy(io.Discard, reading)
	require.NoError(t, err)
	assert.Equal(t, tool.Interrupted, <-status)
	assert.Greater(t, len(journal.Files(name)), 2)
}
