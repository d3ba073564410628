package main

import (
	"errors"
	"fmt"
	"hash/crc32"
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

const quickstart = "../quickstart/testdata/session.jsonl"

func TestJournalReplaysWithoutDivergence(t *testing.T) {
	data := read(t, quickstart)
	want := summary(data)
	for name, test := range map[string]struct {
		args  []string
		stdin string
	}{
		"a file":                  {[]string{quickstart}, ""},
		"standard input":          {nil, data},
		"standard input, as -":    {[]string{"-"}, data},
		"blank lines":             {nil, "\n" + strings.ReplaceAll(data, "\n", "\r\n \n")},
		"no line feed at the end": {nil, strings.TrimSpace(data)},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, notes := replayOf(test.stdin, test.args...)
			assert.Equal(t, want, out)
			assert.Empty(t, notes)
			assert.Zero(t, status)
		})
	}
}

func TestFilesAreCountedTogether(t *testing.T) {
	status, out, _ := replayOf(read(t, quickstart), quickstart, "-", quickstart)
	assert.Equal(t, summary(strings.Repeat(read(t, quickstart), 3)), out)
	assert.Zero(t, status)
}

func TestDivergenceIsOneLineWithItsPlace(t *testing.T) {
	all := session(`"call":"spawn_job","job_id":1,"region_id":1,"task_id":1,"obligation_id":1,"payload":"","error":{"kind":"WorkerNotReady"},"after":{"state":"waiting"}`) +
		session(`"call":"advance_turn","after":{"turn":1,"state":"waiting"}`,
			`"call":"poll_status","job_id":18446744073709551615,"error":{"kind":"UnknownJobID","job_id":18446744073709551614}`,
			`"call":"cancel_job","job_id":1,"reason":"","error":"\u009b\ud83d\ude00"`) +
		sealed(`{"journal":1,"session":1,"step":0,"seed":1,"worker_id":"w"`) +
		sealed(`{"session":1,"step":0,"call":"announce","error":null,"after":{"state":"closed","outbox":1}`) +
		sealed(`{"session":1,"end":1`)
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
				`PLACE:6: step 1: poll_status: error: wanted {"job_id":18446744073709551614,"kind":"UnknownJobID"}, got {"job_id":18446744073709551615,"kind":"UnknownJobID"}
PLACE:7: step 2: cancel_job: error: wanted "\u009b😀", got {"job_id":1,"kind":"UnknownJobID"}
PLACE:10: step 0: announce: after: wanted {"outbox":1,"state":"closed"}, got {"outbox":1,"state":"ready"}
3 sessions, 5 steps, 3 divergences
`, "PLACE", test.place), out)
			assert.Empty(t, notes)
			assert.Equal(t, 1, status)
		})
	}
}

func TestUnreadableInputExitsWith2AndSaysWhere(t *testing.T) {
	good := session(`"call":"advance_turn","after":{"turn":1,"state":"waiting"}`)
	begun := strings.Split(good, "\n")[0] + "\n"
	for name, test := range map[string]struct{ in, place string }{
		"no JSON":       {"{]\n", "stdin:4: after 2 bytes: "},
		"cut in string": {"{\"seed\n", "stdin:4: after 6 bytes: unexpected end"},
		"two values":    {"{} {}\n", "stdin:4: after 4 bytes: "},
		"no object":     {"[]\n", "stdin:4: "},
		"null":          {"null\n", "stdin:4: "},
		"ill-formed":    {"{\"\xff\":1}\n", "stdin:4: at byte 2: "},
		"no session":    {"{\"seed\":1,\"steps\":[]}\n", "stdin:4: session: member is missing"},
		"unknown call":  {begun + sealed(`{"session":1,"step":0,"call":"dance"`), `stdin:5: step 0: call: unknown name "dance"`},
		"missing field": {begun + sealed(`{"session":1,"step":0,"call":"reap"`), "stdin:5: step 0: reaped: member is missing"},
		"no envelope":   {begun + sealed(`{"session":1,"step":0,"call":"handle_inbound","wire":{},"error":null`), "stdin:5: step 0: wire: "},
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
		assert.Contains(t, notes, "testdata/nothing.jsonl")
	})
	t.Run("input fails", func(t *testing.T) {
		var notes strings.Builder
		in := io.MultiReader(strings.NewReader(good+"{"), iotest.ErrReader(errors.New("unplugged")))
		assert.Equal(t, 2, run(nil, in, io.Discard, &notes))
		assert.Equal(t, "replay: stdin:4: unplugged\n", notes.String())
	})
}

func TestDivergencesBeforeUnreadableInputAreStillPrinted(t *testing.T) {
	status, out, notes := replayOf(session(`"call":"poll_status","job_id":1,"error":"","after":{"state":"waiting"}`, `"call":"dance"`))
	assert.Equal(t, "stdin:2: step 0: poll_status: error: wanted \"\", got {\"job_id\":1,\"kind\":\"UnknownJobID\"}\n", out)
	assert.Contains(t, notes, "stdin:3: step 1: ")
	assert.Equal(t, 2, status)
}

func TestOutputAndUsageErrorsExitWith2(t *testing.T) {
	var notes strings.Builder
	assert.Equal(t, 2, run(nil, strings.NewReader(""), brokenWriter{}, &notes))
	assert.Equal(t, "replay: no room\n", notes.String())
	assert.Equal(t, 2, run([]string{"-nonsense"}, nil, nil, io.Discard))
	assert.Equal(t, 0, run([]string{"-help"}, nil, io.Discard, io.Discard))
}

// session returns a journal of one session of a coordinator.
func session(steps ...string) string {
	all := sealed(`{"journal":1,"session":1,"step":0,"seed":1,"first_decision_seq":1`)
	for i, step := range steps {
		all += sealed(fmt.Sprintf(`{"session":1,"step":%d,%s`, i, step))
	}
	return all + sealed(fmt.Sprintf(`{"session":1,"end":%d`, len(steps)))
}

// sealed ends a line with its checksum.
func sealed(line string) string {
	return fmt.Sprintf("%s,\"crc\":\"%08x\"}\n", line, crc32.Checksum([]byte(line), crc32.MakeTable(crc32.Castagnoli)))
}

func replayOf(stdin string, args ...string) (status int, out, notes string) {
	var stdout, stderr strings.Builder
	status = run(args, strings.NewReader(stdin), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// summary is the last line for journals without divergence.
func summary(journals string) string {
	return tool.Count(strings.Count(journals, `"journal":`), "session") + ", " + tool.Count(strings.Count(journals, `"call":`), "step") + ", 0 divergences\n"
}

func read(t *testing.T, file string) string {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotEmpty(t, data)
	return string(data)
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestNothingToReplayIsSaid(t *testing.T) {
	for _, in := range []string{"", "\n \n", "no whole line"} {
		status, out, notes := replayOf(in)
		assert.Equal(t, 1, status)
		assert.Contains(t, out, "0 sessions, 0 steps, 0 divergences\n")
		assert.Equal(t, "replay: nothing was replayed: the input has no step of a session\n", notes)
	}
}
