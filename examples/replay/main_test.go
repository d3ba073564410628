package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
)

const (
	sessions       = "../../testdata/sessions.jsonl"
	workerSessions = "../../testdata/worker_sessions.jsonl"
	quickstart     = "../quickstart/testdata/session.jsonl"
)

func TestJournalsOfIndependentImplementationReplayWithoutDivergence(t *testing.T) {
	for _, file := range []string{sessions, workerSessions} {
		data := read(t, file)
		want := summary(data)
		for name, test := range map[string]struct {
			args  []string
			stdin string
		}{
			"a file":                  {[]string{file}, ""},
			"standard input":          {nil, data},
			"standard input, as -":    {[]string{"-"}, data},
			"blank lines":             {nil, "\n" + strings.ReplaceAll(data, "\n", "\r\n \n")},
			"no line feed at the end": {nil, strings.TrimSpace(data)},
		} {
			t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) {
				if testing.Short() && name != "a file" {
					t.Skip("run this without -short")
				}
				status, out, notes := replayOf(test.stdin, test.args...)
				assert.Equal(t, want, out)
				assert.Empty(t, notes)
				assert.Zero(t, status)
			})
		}
	}
}

func TestJournalOfQuickstartReplaysWithoutDivergence(t *testing.T) {
	status, out, _ := replayOf("", quickstart)
	assert.Equal(t, summary(read(t, quickstart)), out)
	assert.Zero(t, status)
}

func TestFilesOfBothKindsAreCountedTogether(t *testing.T) {
	status, out, _ := replayOf("", quickstart, workerSessions, sessions, quickstart)
	assert.Equal(t, summary(read(t, quickstart)+read(t, workerSessions)+read(t, sessions)+read(t, quickstart)), out)
	assert.Zero(t, status)
}

func TestDivergenceIsOneLineWithItsPlace(t *testing.T) {
	good := session(`{"call":"spawn_job","job_id":1,"region_id":1,"task_id":1,"obligation_id":1,"payload":[],"error":{"kind":"WorkerNotReady"},` + idle + `}`)
	bad := session(`{"call":"advance_turn",`+idle+`}`,
		`{"call":"poll_status","job_id":18446744073709551615,"error":{"kind":"UnknownJobID","job_id":18446744073709551614},`+idle+`}`,
		`{"call":"drain_outbox","wire":"\u009b\ud83d\ude00",`+strings.Replace(idle, `"outbox":0`, `"outbox":1`, 1)+`}`)
	worker := `{"seed":1,"worker_id":"w","steps":[{"call":"announce","error":null,"after":{"ready":true,"closed":true,"shutdown_requested":false,"inflight":0,"outbox":1,"jobs":[]}}]}` + "\n"
	all := good + bad + worker
	file := filepath.Join(t.TempDir(), "bad.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(all), 0o666))
	for name, test := range map[string]struct {
		place, stdin string
		args         []string
	}{
		"file":  {file, "", []string{file}},
		"stdin": {"stdin", all, nil},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, notes := replayOf(test.stdin, test.args...)
			assert.Equal(t, strings.ReplaceAll(
				`PLACE:2: step 1: poll_status: error: wanted {"job_id":18446744073709551614,"kind":"UnknownJobID"}, got {"job_id":18446744073709551615,"kind":"UnknownJobID"}
PLACE:2: step 2: drain_outbox: wire: wanted "\u009b😀", got null
PLACE:2: step 2: drain_outbox: after.outbox: wanted 1, got 0
PLACE:3: step 0: announce: after.closed: wanted true, got false
3 sessions, 5 steps, 4 divergences
`, "PLACE", test.place), out)
			assert.Empty(t, notes)
			assert.Equal(t, 1, status)
		})
	}
}

func TestUnreadableInputExitsWith2AndSaysWhere(t *testing.T) {
	good := session(`{"call":"advance_turn",` + idle + `}`)
	for name, test := range map[string]struct{ in, place string }{
		"no JSON":       {"{]\n", "stdin:2: after 2 bytes: "},
		"cut off":       {good[:len(good)/2], fmt.Sprintf("stdin:2: after %d bytes: ", len(good)/2)},
		"cut in string": {"{\"seed\n", "stdin:2: after 6 bytes: unexpected end"},
		"two values":    {"{} {}\n", "stdin:2: after 4 bytes: "},
		"no object":     {"[]\n", "stdin:2: "},
		"null":          {"null\n", "stdin:2: "},
		"ill-formed":    {"{\"\xff\":1}\n", "stdin:2: at byte 2: "},
		"unknown call":  {session(`{"call":"advance_turn",`+idle+`}`, `{"call":"dance"}`), `stdin:2: step 1: call: unknown name "dance"`},
		"missing field": {session(`{"call":"reap",` + idle + `}`), "stdin:2: step 0: reaped: member is missing"},
		"no envelope":   {session(`{"call":"handle_inbound","wire":"{}","error":null,` + idle + `}`), "stdin:2: step 0: wire: "},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, notes := replayOf(good + test.in)
			assert.Equal(t, 2, status)
			assert.Empty(t, out, "no last line")
			assert.True(t, strings.HasPrefix(notes, "replay: "+test.place), notes)
			assert.Equal(t, 1, strings.Count(notes, "\n"))
		})
	}
	t.Run("no file", func(t *testing.T) {
		status, _, notes := replayOf("", quickstart, "testdata/nothing.jsonl")
		assert.Equal(t, 2, status)
		assert.Equal(t, "replay: open testdata/nothing.jsonl: no such file or directory\n", notes)
	})
	t.Run("input fails", func(t *testing.T) {
		var notes strings.Builder
		in := io.MultiReader(strings.NewReader(good+"{"), iotest.ErrReader(errors.New("unplugged")))
		assert.Equal(t, 2, run(nil, in, io.Discard, &notes))
		assert.Equal(t, "replay: stdin:2: unplugged\n", notes.String())
	})
}

func TestDivergencesBeforeUnreadableInputAreStillPrinted(t *testing.T) {
	status, out, notes := replayOf(session(`{"call":"drain_outbox","wire":"",`+idle+`}`, `{"call":"dance"}`))
	assert.Equal(t, "stdin:1: step 0: drain_outbox: wire: wanted \"\", got null\n", out)
	assert.Contains(t, notes, "stdin:1: step 1: ")
	assert.Equal(t, 2, status)
}

func TestLongLineIsRead(t *testing.T) {
	step := `{"call":"advance_turn",` + idle + `}`
	const steps = 10_000
	long := session(strings.TrimSuffix(strings.Repeat(step+",", steps), ","))
	status, out, _ := replayOf(long)
	assert.Equal(t, fmt.Sprintf("1 session, %d steps, 0 divergences\n", steps), out)
	assert.Zero(t, status)
}

func TestOutputAndUsageErrorsExitWith2(t *testing.T) {
	var notes strings.Builder
	assert.Equal(t, 2, run(nil, strings.NewReader(""), brokenWriter{}, &notes))
	assert.Equal(t, "replay: no room\n", notes.String())
	assert.Equal(t, 2, run([]string{"-nonsense"}, nil, nil, io.Discard))
	assert.Equal(t, 0, run([]string{"-help"}, nil, io.Discard, io.Discard))
}

func TestNothingToReplayIsSaid(t *testing.T) {
	for _, in := range []string{"", "\n \n"} {
		status, out, notes := replayOf(in)
		assert.Zero(t, status)
		assert.Equal(t, "0 sessions, 0 steps, 0 divergences\n", out)
		assert.Equal(t, "replay: nothing was replayed: the input has no step of a session\n", notes)
	}
}

// idle is the state of a coordinator without worker and jobs.
const idle = `"after":{"worker_ready":false,"shutdown_requested":false,"closing":false,"active_worker":null,"inflight":0,` +
	`"outbox":0,"next_deadline":null,"overdue":null,"regions":[],"jobs":[]}`

func session(steps ...string) string {
	return `{"seed":1,"first_decision_seq":1,"steps":[` + strings.Join(steps, ",") + "]}\n"
}

func replayOf(stdin string, args ...string) (status int, out, notes string) {
	var stdout, stderr strings.Builder
	status = run(args, strings.NewReader(stdin), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// summary is the last line for journals without divergence.
func summary(journals string) string {
	return tool.Count(strings.Count(journals, "\n"), "session") + ", " + tool.Count(strings.Count(journals, `"call":`), "step") + ", 0 divergences\n"
}

func read(t *testing.T, file string) string {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotEmpty(t, data)
	return string(data)
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }
