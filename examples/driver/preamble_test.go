//go:build unix

package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/journal"
)

func init() {
	processes["prints first"] = func() { // its argument, without the call of a function
		if _, err := os.Stdout.WriteString(os.Getenv(argumentEnv)); err != nil {
			panic(err)
		}
		serveProcess(echo)
	}
	processes["only prints"] = func() {
		fmt.Print(os.Getenv(argumentEnv))
		os.Exit(3)
	}
	processes["prints blank lines"] = func() {
		conn := Stdio()
		_ = Serve(context.Background(), conn, "", func(_ context.Context, job *Job) ([]byte, error) {
			_, err := fmt.Fprint(channelOf(conn), "\n\r\n \t\n")
			return job.Payload, err
		})
	}
}

// printing returns a Dial that starts processes of a kind that print the text.
func printing(t *testing.T, kind, text string) Dial {
	return func(context.Context) (Conn, error) {
		cmd := command(t, kind)
		cmd.Env = append(cmd.Env, argumentEnv+"="+text)
		return Start(cmd, patient)
	}
}

const banner = "\uFEFFmy worker 1.0\n\n\r\n" +
	`{"time":"2026-11-30T12:00:00Z","level":"INFO","version":"v1.2.3","msg":"starts"}` + "\n" +
	`{"version":1.5}` + "\n" + `[{"version":1}]` + "\n" + "42\n\x1b[2Jlistening on :8080\n\uFEFF"

func TestWhatAProcessPrintsBeforeItsFirstMessageIsLogged(t *testing.T) {
	var log, text bytes.Buffer
	w, err := journal.NewWriter(&text, journal.Options{})
	require.NoError(t, err)
	withProcesses(t, func(h *Host) {
		requireResult(t, h, "1", "1")
		s := h.Stats()
		require.Equal(t, uint64(1), s.WorkersStarted)
		require.Zero(t, s.WorkersKilled)
	}, WithWorkers(1, printing(t, "prints first", banner)), WithLogger(slog.New(slog.NewTextHandler(&log, nil))), WithJournal(w))
	for _, want := range []string{
		`level=INFO msg="worker prints" worker=1 line="my worker 1.0"`,
		`line="{\"time\":\"2026-11-30T12:00:00Z\",\"level\":\"INFO\",\"version\":\"v1.2.3\",\"msg\":\"starts\"}"`,
		`line="{\"version\":1.5}"`, `line="[{\"version\":1}]"`, `line=42`, `line="\\x1b[2Jlistening on :8080"`,
	} {
		assert.Contains(t, log.String(), want+"\n")
	}
	assert.Equal(t, 6, strings.Count(log.String(), "worker prints"), "no blank lines")
	require.NoError(t, w.Close())
	walker := journal.NewWalker(func(*journal.Event) error { return nil })
	require.NoError(t, walker.Read("journal", &text))
	assert.Zero(t, walker.Divergences)
	assert.Zero(t, walker.Unreplayed)
}

// A print without a line feed is on the line of the first message.
func TestWhatStandsBeforeTheFirstMessageOnItsLineIsLogged(t *testing.T) {
	var log bytes.Buffer
	withProcesses(t, func(h *Host) {
		requireResult(t, h, "1", "1")
		require.Equal(t, uint64(1), h.Stats().WorkersStarted)
	}, WithWorkers(1, printing(t, "prints first", "\uFEFF10%\rLoading {\"version\": 2} ... ")), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	assert.Contains(t, log.String(), `level=INFO msg="worker prints" worker=1 line="10%\\rLoading {\"version\": 2} ... "`+"\n")
}

// Its last words may look like a message.
func TestALineThatEndsWithAnObjectIsNotAMessage(t *testing.T) {
	for _, line := range []string{`config {"version":2}`, `config {"version":1}`, `{"build":{"version":1}}`, ` ["version":1`, `x{"version"`} {
		p := preamble{log: func([]byte) {}}
		msg, ok, err := p.message([]byte(line))
		require.NoError(t, err)
		assert.False(t, ok, line)
		assert.Nil(t, msg)
		assert.False(t, p.over)
	}
}

func TestAProcessThatPrintsTooMuchBeforeItsFirstMessageIsEnded(t *testing.T) {
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{strings.Repeat("x\n", mostPreamble), true},
		{strings.Repeat("x\n", mostPreamble+1), false},
		{strings.Repeat("\n", mostPreamble+1), false},
		{strings.Repeat("x", bytesPreamble-1) + "\n", true},
		{strings.Repeat("x", bytesPreamble) + "\n", false},
		{strings.Repeat("x", bytesPreamble), false}, // on the line of the message
	} {
		conn, err := printing(t, "prints first", c.text)(t.Context())
		require.NoError(t, err)
		conn.(*process).preamble.log = func([]byte) {}
		message, err := conn.Recv()
		if c.ok {
			require.NoError(t, err)
			assert.Contains(t, string(message), "BootstrapReady")
		} else {
			require.ErrorIs(t, err, ErrPreamble)
			assert.Less(t, len(err.Error()), 300)
			_, again := conn.Recv()
			assert.Same(t, err, again)
		}
		require.NoError(t, conn.Close())
	}
}

func TestAProcessThatPrintsTooMuchCountsAsKilled(t *testing.T) {
	var h *Host
	var n atomic.Int32
	dials := []Dial{printing(t, "prints first", strings.Repeat("x\n", mostPreamble+1)), starting(t, "good")}
	withStoppedProcesses(t, func(host *Host) {
		h = host
		requireResult(t, h, "1", "1")
	}, WithWorkers(1, func(ctx context.Context) (Conn, error) { return dials[min(n.Add(1), 2)-1](ctx) }))
	assert.Equal(t, uint64(1), h.Stats().WorkersKilled)
	assert.EqualError(t, h.Stats().Ended[0].Err, ErrPreamble.Error()+`: "x"`)
}

func TestAProcessThatOnlyPrintsIsToldByItsEnd(t *testing.T) {
	for text, want := range map[string]string{
		"usage: worker\n":     `driver: process has ended: exit status 3`,
		"cannot open \x1b[2J": `driver: peer stopped in the middle of a line: "cannot open \x1b[2J": EOF (the process has ended: exit status 3)`,
	} {
		conn, err := printing(t, "only prints", text)(t.Context())
		require.NoError(t, err)
		conn.(*process).preamble.log = func([]byte) {}
		_, err = conn.Recv()
		assert.EqualError(t, err, want)
		require.NoError(t, conn.Close())
	}
}

func TestBlankLinesBetweenMessagesOfAProcessAreSkipped(t *testing.T) {
	withProcesses(t, func(h *Host) {
		requireResult(t, h, "1", "1")
		requireResult(t, h, "2", "2")
		require.Equal(t, uint64(1), h.Stats().WorkersStarted)
	}, WithWorkers(1, starting(t, "prints blank lines")))
}

func TestALineBetweenMessagesEndsTheProcessAndIsShown(t *testing.T) {
	var h *Host
	var log bytes.Buffer
	withStoppedProcesses(t, func(host *Host) {
		h = host
		requireResult(t, h, "1", "1")
	}, WithWorkers(1, starting(t, "garbage", "good")), WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
	why := h.Stats().Ended[0].Err
	assert.EqualError(t, why, `driver: worker broke the protocol: "\x1b[2Jdebug: got here" is not a message: at byte 0: expected an object`)
	assert.ErrorIs(t, why, wc.ErrMalformed)
	assert.ErrorAs(t, why, new(*wc.ParseError))
	assert.Equal(t, why.Error(), lineOf(t, &log, "worker has ended")["reason"], "it is not escaped again")
}

func TestTheFirstMessageIsAnObjectWithAnIntegerVersion(t *testing.T) {
	for line, want := range map[string]bool{
		`{"version":1}`: true, ` { "a" : {}, "version" : -20 } `: true, "{\"version\":0}\r": true,
		`{"version":18446744073709551616}`: true, // the core says what is wrong with it
		`{"version":1`:                     false,
		`{"version":"1"}`:                  false, `{"version":1.0}`: false, `{"version":1e3}`: false, `{"version":null}`: false,
		`{"Version":1}`: false, `{"a":{"version":1}}`: false, `{}`: false, `1`: false, `null`: false, ``: false, `version 1`: false,
		`{"version":1} {"version":1}`: false,
	} {
		assert.Equal(t, want, hasVersion([]byte(line)), line)
	}
}

func TestLinesShowTheLineThatTheyCannotRead(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("\x1b", MaxLine+lineBuffer) + "\n": ErrLineTooLong.Error() + `: "` + strings.Repeat(`\x1b`, 100) + `"… (`,
		`{"version":1,`: ErrHalfLine.Error() + `: "{\"version\":1,": EOF`,
	} {
		l := newLines(strings.NewReader(text), nil, func() error { return errors.New("not used") })
		_, err := l.Recv()
		require.Error(t, err)
		assert.True(t, strings.HasPrefix(err.Error(), want), "%v", err)
		assert.Less(t, len(err.Error()), 600)
	}
}

func TestEveryLineIsAMessageWithoutAHost(t *testing.T) {
	const text = "my worker 1.0\n\n{\"version\":1}\n \n"
	conn, err := printing(t, "only prints", text)(t.Context())
	require.NoError(t, err)
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		message, err := conn.Recv()
		require.NoError(t, err)
		assert.Equal(t, line, string(message))
	}
	_, err = conn.Recv()
	assert.EqualError(t, err, "driver: process has ended: exit status 3")
	require.NoError(t, conn.Close())
}
