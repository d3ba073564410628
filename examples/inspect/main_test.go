package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	wc "github.com/workerchannel/workerchannel"
)

func TestDocumentsGetVerdictsOfIndependentImplementation(t *testing.T) {
	docs := readLines(t, "../../testdata/documents.jsonl")
	var in strings.Builder
	for _, doc := range docs {
		in.WriteString(doc["hex"].(string) + "\n")
	}
	verdicts := inspectJSON(t, in.String(), "-hex", "-json")
	require.Len(t, verdicts, len(docs))
	for i, doc := range docs {
		delete(doc, "hex")
		delete(doc, "reason")         // for people
		delete(verdicts[i], "digest") // the file has none
		assert.Equal(t, doc, verdicts[i], "line %d", i+1)
	}
}

func TestEnvelopesGetCanonicalJSONDigestAndError(t *testing.T) {
	envelopes := readLines(t, "../../testdata/envelopes.jsonl")
	var in strings.Builder
	for _, env := range envelopes {
		in.WriteString(env["wire"].(string) + "\n")
	}
	verdicts := inspectJSON(t, in.String(), "-json")
	require.Len(t, verdicts, len(envelopes))
	for i, env := range envelopes {
		delete(env, "op_json")
		env["accept"] = true
		assert.Equal(t, env, verdicts[i], "line %d", i+1)
	}
}

func TestPayloadOverLimitIsReportedWithItsSize(t *testing.T) {
	text := spawn(t, wc.MaxPayloadBytes)
	over := strings.Replace(text, "[0,", "[0,0,", 1)
	out, _ := inspectText(t, 1, text+over, "-json")
	lines := strings.Split(out, "\n")
	require.Len(t, lines, 3)
	assert.Contains(t, lines[0], `{"accept":true,"wire":`)
	assert.Equal(t, `{"accept":false,"error":{"kind":"PayloadTooLarge","max":262144,"size":262145}}`, lines[1])
	out, _ = inspectText(t, 1, over)
	assert.Regexp(t, `\n     1  unreadable .*\[payload too large: 262145 bytes, the limit is 262144 \(at byte \d+\)\]\n$`, out)
}

func TestOutputForPeopleSaysWhatMessagesSay(t *testing.T) {
	header := func(n uint64) wc.Header {
		return wc.NewHeader(n, n, 0, n/2)
	}
	worker := func(n uint64, op wc.Op) wc.Envelope { return wc.NewWorkerEnvelope("w-1", header(n), op) }
	damaged := wc.NewEnvelope(header(7), wc.PollStatus{JobID: 7})
	digest := strconv.FormatUint(damaged.ReplayHash, 10)
	damaged.ReplayHash = 5
	hostile := wc.NewWorkerEnvelope("\x1b[2J\n"+strings.Repeat("x", 1000), header(1), wc.Diagnostic{Message: "\u202e\u009b"})
	in := ""
	for _, env := range []wc.Envelope{
		worker(1, wc.BootstrapReady{WorkerID: "w-1"}),
		wc.NewEnvelope(header(4), wc.SpawnJob{JobID: 7, Payload: []byte("hello")}),
		worker(2, wc.StatusSnapshot{JobID: 7, State: wc.StateRunning}),
		damaged,
		worker(3, wc.JobCompleted{JobID: 7, Outcome: wc.OutcomeErr{Code: "bad", Message: "no\nway"}}),
		hostile,
		wc.NewEnvelope(header(6), wc.DrainCompleted{JobID: 1<<64 - 1}),
	} {
		in += text(t, env)
	}
	in += "\n" + `{"op":1}`
	out, notes := inspectText(t, 1, in)
	assert.Empty(t, notes)
	for i, want := range []string{
		"  line  verdict      turn  bytes   seq  message",
		"     1  valid           0 N    1  w-1 → BootstrapReady  (w-1 is ready)",
		"     2  valid           2 N    4  coordinator → SpawnJob job 7: 5 bytes  (queued)",
		"     3  valid           2 N    2  w-1 → StatusSnapshot job 7: running  (queued → running)",
		"     4  invalid         2 N    7  coordinator → PollStatus job 7  [replay digest mismatch: expected " + digest + ", got 5]",
		`     5  valid           2 N    3  w-1 → JobCompleted job 7: err, "bad", "no\nway"  (running → completed)`,
		`     6  valid           2 N    1  "\x1b[2J\nxxxxxxxxx`,
		"     7  invalid         2 N    6  worker → DrainCompleted job 18446744073709551615  [" + described(wc.ErrMissingWorkerIdentity) + "]",
		"     8  unreadable      2 N       0 bytes that are no message  [" + described(wc.ErrMalformed) + ": at byte 0: ",
		"     9  unreadable      2 N       8 bytes that are no message: \"{\\\"op\\\":1}\"  [" + described(wc.ErrMalformed) + ": at byte 6: ",
	} {
		line := strings.Split(out, "\n")[i]
		line = regexp.MustCompile(`^( +\d+  \w+ +\d+) +\d+  ( {3}\d|  {3})  `).ReplaceAllString(line, "$1 N $2  ")
		assert.True(t, strings.HasPrefix(line, want), "%s\n%s", want, line)
	}
	assert.NotRegexp(t, "[\x00-\x09\x0b-\x1f\x7f\u009b\u202e]", out)
	for line := range strings.Lines(out) {
		assert.Less(t, len(line), 500)
	}
}

func TestLineThatIsNotHexadecimalIsReportedInItsPlace(t *testing.T) {
	good := hex.EncodeToString([]byte(strings.TrimSpace(spawn(t, 3))))
	in := "zz\n" + good + "\n7b7g\r\n7b7\n\n" + good + "\r\n" + strings.ToUpper(good)
	verdicts := inspectJSON(t, in, "-hex", "-json")
	var accepted []bool
	for _, a := range verdicts {
		accepted = append(accepted, a["accept"].(bool))
	}
	assert.Equal(t, []bool{false, true, false, false, false, true, true}, accepted)

	_, notes := inspectText(t, 1, in, "-hex", "-json")
	assert.Equal(t, "inspect: line 1: not hexadecimal at byte 0 of the line\n"+
		"inspect: line 3: not hexadecimal at byte 3 of the line\n"+
		"inspect: line 4: an odd number of hexadecimal digits\n", notes)

	out, notes := inspectText(t, 1, in, "-hex")
	assert.Contains(t, out, "     3  unreadable      0      4        4 bytes that are no message: \"7b7g\"  [not hexadecimal at byte 3 of the line]\n")
	assert.Empty(t, notes)
}

func TestLineOf8MiBIsReadAndLongerOneSkipped(t *testing.T) {
	envelope := strings.TrimSpace(spawn(t, 3))
	full := envelope + strings.Repeat(" ", maxLine-len(envelope))
	in := full + "\n" + full + " \n" + strings.Repeat(full, 3) + "\n" + full + " \r\n" + envelope + "\n" + full
	out, notes := inspectText(t, 1, in)
	lines := strings.SplitAfter(out, "\n")[1:]
	require.Len(t, lines, 7)
	for i, want := range []string{
		`     1  valid  .*  8388608 .*`,
		`     2  unreadable .* 8388609 .*\[the line is longer than 8388608 bytes\]`,
		`     3  unreadable .* 25165824 .*\[the line is longer than 8388608 bytes\]`,
		`     4  unreadable .* 8388610 .*\[the line is longer than 8388608 bytes\]`,
		`     5  valid .* ` + strconv.Itoa(len(envelope)) + ` .*`,
		`     6  valid .* 8388608 .*`,
	} {
		assert.Regexp(t, "^"+want+"\n$", lines[i])
	}
	assert.Empty(t, notes)

	out, notes = inspectText(t, 1, full+full, "-json")
	assert.Equal(t, "{\"accept\":false}\n", out)
	assert.Equal(t, "inspect: line 1: the line is longer than 8388608 bytes\n"+notAMessage, notes)
}

func TestHundredThousandLinesGiveAsManyVerdicts(t *testing.T) {
	lines := 100_000
	if testing.Short() {
		lines /= 10
	}
	var out bytes.Buffer
	status := run(t.Context(), []string{"-json"}, &repeated{text: spawn(t, 16), times: lines}, &out, io.Discard)
	assert.Zero(t, status)
	first, _, _ := strings.Cut(out.String(), "\n")
	assert.Contains(t, first, `{"accept":true,`)
	assert.True(t, strings.Repeat(first+"\n", lines) == out.String(), "all verdicts are the same")
}

func TestVerdictDoesNotWaitForNextLine(t *testing.T) {
	in, typing := io.Pipe()
	reading, out := io.Pipe()
	go func() {
		run(t.Context(), []string{"-json"}, in, out, io.Discard)
		out.Close()
	}()
	verdicts := bufio.NewReader(reading)
	for range 3 {
		_, err := io.WriteString(typing, "no envelope\n")
		require.NoError(t, err)
		verdict, err := verdicts.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "{\"accept\":false}\n", verdict)
	}
	typing.Close()
	_, err := verdicts.ReadByte()
	assert.Equal(t, io.EOF, err)
}

func TestInputOutputAndUsageErrorsExitWith2(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		in    io.Reader
		out   io.Writer
		notes string
	}{
		"input":  {nil, io.MultiReader(strings.NewReader("{}\n{"), iotest.ErrReader(errors.New("unplugged"))), io.Discard, "inspect: line 2: unplugged\n"},
		"output": {nil, strings.NewReader("{}\n"), brokenWriter{}, "inspect: no room\n"},
		"json":   {[]string{"-json"}, strings.NewReader(strings.Repeat("{}\n", 10_000)), brokenWriter{}, "inspect: no room\n"},
		"file":   {[]string{"none"}, strings.NewReader(""), io.Discard, "inspect: open none: no such file or directory\n"},
		"forms":  {[]string{"-svg", "-q"}, strings.NewReader(""), io.Discard, "inspect: -json, -mermaid, -svg, -stats and -q exclude one another\n"},
		"follow": {[]string{"-follow", "a", "b"}, strings.NewReader(""), io.Discard, "inspect: -follow follows one file\n"},
		"max":    {[]string{"-svg", "-max", "0"}, strings.NewReader(""), io.Discard, "inspect: -max must be at least 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var notes strings.Builder
			assert.Equal(t, 2, run(t.Context(), test.args, test.in, test.out, &notes))
			assert.Equal(t, test.notes, notes.String())
		})
	}
	assert.Equal(t, 2, run(t.Context(), []string{"-nonsense"}, nil, nil, io.Discard))
	assert.Equal(t, 0, run(t.Context(), []string{"-help"}, nil, io.Discard, io.Discard))
}

func inspectText(t *testing.T, status int, in string, args ...string) (out, notes string) {
	var stdout, stderr strings.Builder
	require.Equal(t, status, run(t.Context(), args, strings.NewReader(in), &stdout, &stderr), stderr.String())
	return stdout.String(), stderr.String()
}

func inspectJSON(t *testing.T, in string, args ...string) []map[string]any {
	var out strings.Builder
	require.NotEqual(t, 2, run(t.Context(), args, strings.NewReader(in), &out, io.Discard))
	return decode(t, strings.NewReader(out.String()))
}

func readLines(t *testing.T, file string) []map[string]any {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	lines := decode(t, f)
	require.NotEmpty(t, lines)
	return lines
}

// decode reads objects with all the digits of their numbers.
func decode(t *testing.T, in io.Reader) (objects []map[string]any) {
	d := json.NewDecoder(in)
	d.UseNumber()
	for {
		var o map[string]any
		err := d.Decode(&o)
		if err == io.EOF {
			return objects
		}
		require.NoError(t, err)
		objects = append(objects, o)
	}
}

func spawn(t *testing.T, payload int) string {
	return text(t, wc.NewEnvelope(wc.Header{SeqNo: 1}, wc.SpawnJob{JobID: 1, Payload: make([]byte, payload)}))
}

// described returns the description of an error as it is printed.
func described(err error) string { return strings.TrimPrefix(err.Error(), "workerchannel: ") }

func text(t *testing.T, env wc.Envelope) string {
	wire, err := env.AppendJSON(nil)
	require.NoError(t, err)
	return string(wire) + "\n"
}

// repeated is a reader of the same text many times over.
type repeated struct {
	text  string
	times int
	rest  string
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.times == 0 {
			return 0, io.EOF
		}
		r.times--
		r.rest = r.text
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }

const notAMessage = "inspect: no line is a message; expected a message a line, as JSON or with -hex in hexadecimal, or a journal\n"

func TestWhatCannotBeShownIsSaid(t *testing.T) {
	for _, test := range []struct {
		status int
		in     string
		args   string
		notes  string
	}{
		{0, "", "", "inspect: the input has no whole line\n"},
		{0, "", quickstart + " -job 99", "inspect: nothing matched\n"},
		{0, "", quickstart + " -worker w-9 -q", "inspect: nothing matched\n"},
		{0, "", quickstart + " -session 2 -stats", "inspect: nothing matched\n"},
		{0, "", quickstart + " -label none -json", "inspect: nothing matched\n"},
		{1, "", "../../testdata/envelopes.jsonl", notAMessage},
		{1, "no message\n", "-job 4 -q", notAMessage},
		{2, "", ".", "inspect: read .: is a directory\n"},
		{2, "", "/nonexistent", "inspect: open /nonexistent: no such file or directory\n"},
		{2, "", "-job x", "inspect: invalid value \"x\" for flag -job: expected a number from 0 to 2^64-1; -h prints the usage\n"},
		{2, "", "-turns 5", "inspect: invalid value \"5\" for flag -turns: expected two numbers A:B, the smaller one first; -h prints the usage\n"},
	} {
		args := strings.Fields(test.args)
		if len(args) > 1 && !strings.HasPrefix(args[0], "-") { // flags come first
			args = append(args[1:], args[0])
		}
		_, notes := inspectText(t, test.status, test.in, args...)
		assert.Equal(t, test.notes, notes, test.args)
	}
}

// Nothing is cut, and what goes on in the next line stands below the message, or a little to the right.
func TestLinesFitTheTerminal(t *testing.T) {
	whole, _ := inspectText(t, 1, "", quickstart)
	for _, columns := range []int{40, 80, 132} {
		for _, form := range []string{"-calls", "-stats"} {
			out, _ := inspectText(t, 1, "", "-w", fmt.Sprint(columns), form, quickstart)
			for line := range strings.Lines(out) {
				assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), columns, line)
			}
		}
		out, _ := inspectText(t, 1, "", "-w", fmt.Sprint(columns), quickstart)
		assert.Equal(t, strings.Fields(whole), strings.Fields(out))
	}
	out, _ := inspectText(t, 1, "", "-w", "100", "-turns", "8:8", quickstart)
	assert.Contains(t, out, "\n"+strings.Repeat(" ", 48)+"gone\"  [WorkerSessionMismatch:")
}
