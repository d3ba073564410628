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
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

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
	out, _ := inspectText(t, text+over, "-json")
	lines := strings.Split(out, "\n")
	require.Len(t, lines, 3)
	assert.Contains(t, lines[0], `{"accept":true,"wire":`)
	assert.Equal(t, `{"accept":false,"error":{"kind":"PayloadTooLarge","max":262144,"size":262145}}`, lines[1])
	out, _ = inspectText(t, over)
	assert.Regexp(t, `^     1  unreadable .* bytes  payload too large: 262145 bytes, the limit is 262144 \(at byte \d+\)\n$`, out)
}

func TestOutputForPeopleHasOneLineAMessage(t *testing.T) {
	header := wc.Header{MessageID: 1, SeqNo: 1, DecisionSeq: 1, Seed: 42}
	ready := wc.NewWorkerEnvelope("w-1", header, wc.BootstrapReady{WorkerID: "w-1"})
	poll := wc.NewEnvelope(header, wc.PollStatus{JobID: 7})
	damaged := poll
	damaged.ReplayHash = 5
	hostile := wc.NewWorkerEnvelope("\x1b[2J\n"+strings.Repeat("x", 1000), header, wc.Diagnostic{})
	nobody := wc.NewEnvelope(header, wc.DrainCompleted{JobID: 1<<64 - 1})
	digest := strconv.FormatUint(poll.ReplayHash, 10)
	texts := []string{text(t, ready), text(t, poll), text(t, damaged), text(t, hostile), text(t, nobody), "\n", `{"op":1}`}
	columns := []string{
		`     1  valid       worker "w-1"        BootstrapReady                `,
		`     2  valid       coordinator         PollStatus          job 7     `,
		`     3  invalid     coordinator         PollStatus          job 7     `,
		`     4  valid       worker "\x1b[2J\nxxxxxxxxxxxxxxxxxxx"...  Diagnostic                    `,
		`     5  invalid     worker              DrainCompleted      job 18446744073709551615  `,
		`     6  unreadable                                                    `,
		`     7  unreadable                                                    `,
	}
	wrong := []string{
		``,
		``,
		`  replay digest mismatch: expected ` + digest + `, got 5`,
		``,
		`  ` + described(wc.ErrMissingWorkerIdentity),
		`  ` + described(wc.ErrMalformed) + `: at byte 0: `,
		`  ` + described(wc.ErrMalformed) + `: at byte 6: `,
	}
	out, notes := inspectText(t, strings.Join(texts, ""))
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	require.Len(t, lines, len(texts))
	for i, line := range lines {
		want := fmt.Sprintf("%s%7d bytes%s", columns[i], len(strings.TrimSuffix(texts[i], "\n")), wrong[i])
		if strings.HasSuffix(want, ": ") {
			assert.Greater(t, len(line), len(want), "a cause")
			line = line[:len(want)]
		}
		assert.Equal(t, want, line)
	}
	assert.Empty(t, notes)
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

	_, notes := inspectText(t, in, "-hex", "-json")
	assert.Equal(t, "inspect: line 1: not hexadecimal at byte 0 of the line\n"+
		"inspect: line 3: not hexadecimal at byte 3 of the line\n"+
		"inspect: line 4: an odd number of hexadecimal digits\n", notes)

	out, notes := inspectText(t, in, "-hex")
	assert.Contains(t, out, "     3  unreadable                                                          4 bytes  not hexadecimal at byte 3 of the line\n")
	assert.Empty(t, notes)
}

func TestLineOf8MiBIsReadAndLongerOneSkipped(t *testing.T) {
	envelope := strings.TrimSpace(spawn(t, 3))
	full := envelope + strings.Repeat(" ", maxLine-len(envelope))
	in := full + "\n" + full + " \n" + strings.Repeat(full, 3) + "\n" + full + " \r\n" + envelope + "\n" + full
	out, notes := inspectText(t, in)
	lines := strings.SplitAfter(out, "\n")
	require.Len(t, lines, 7)
	for i, want := range []string{
		`     1  valid .* 8388608 bytes`,
		`     2  unreadable .* 8388609 bytes  the line is longer than 8388608 bytes`,
		`     3  unreadable .* 25165824 bytes  the line is longer than 8388608 bytes`,
		`     4  unreadable .* 8388610 bytes  the line is longer than 8388608 bytes`,
		`     5  valid .* ` + strconv.Itoa(len(envelope)) + ` bytes`,
		`     6  valid .* 8388608 bytes`,
	} {
		assert.Regexp(t, "^"+want+"\n$", lines[i])
	}
	assert.Empty(t, notes)

	out, notes = inspectText(t, full+full, "-json")
	assert.Equal(t, "{\"accept\":false}\n", out)
	assert.Equal(t, "inspect: line 1: the line is longer than 8388608 bytes\n", notes)
}

func TestHundredThousandLinesGiveAsManyVerdicts(t *testing.T) {
	const lines = 100_000
	var out bytes.Buffer
	status := run([]string{"-json"}, &repeated{text: spawn(t, 16), times: lines}, &out, io.Discard)
	assert.Zero(t, status)
	first, _, _ := strings.Cut(out.String(), "\n")
	assert.Contains(t, first, `{"accept":true,`)
	assert.True(t, strings.Repeat(first+"\n", lines) == out.String(), "all verdicts are the same")
}

func TestVerdictDoesNotWaitForNextLine(t *testing.T) {
	in, typing := io.Pipe()
	reading, out := io.Pipe()
	go func() {
		run([]string{"-json"}, in, out, io.Discard)
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
		"input":     {nil, io.MultiReader(strings.NewReader("{}\n{"), iotest.ErrReader(errors.New("unplugged"))), io.Discard, "inspect: line 2: unplugged\n"},
		"output":    {nil, strings.NewReader("{}\n"), brokenWriter{}, "inspect: no room\n"},
		"json":      {[]string{"-json"}, strings.NewReader(strings.Repeat("{}\n", 10_000)), brokenWriter{}, "inspect: no room\n"},
		"arguments": {[]string{"file"}, strings.NewReader(""), io.Discard, "inspect: unexpected argument \"file\"; messages are read from standard input\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var notes strings.Builder
			assert.Equal(t, 2, run(test.args, test.in, test.out, &notes))
			assert.Equal(t, test.notes, notes.String())
		})
	}
	assert.Equal(t, 2, run([]string{"-nonsense"}, nil, nil, io.Discard))
	assert.Equal(t, 0, run([]string{"-help"}, nil, nil, io.Discard))
}

func inspectText(t *testing.T, in string, args ...string) (out, notes string) {
	var stdout, stderr strings.Builder
	require.Zero(t, run(args, strings.NewReader(in), &stdout, &stderr))
	return stdout.String(), stderr.String()
}

func inspectJSON(t *testing.T, in string, args ...string) []map[string]any {
	out, _ := inspectText(t, in, args...)
	return decode(t, strings.NewReader(out))
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
