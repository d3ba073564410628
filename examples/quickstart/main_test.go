package main

import (
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/workerchannel/workerchannel/examples/journal"
)

var update = flag.Bool("update", false, "write the golden files")

func TestTranscriptMatchesGoldenFile(t *testing.T) {
	golden(t, "testdata/transcript.golden", play(t))
}

// The tests of examples/replay and examples/inspect read this golden file, too. It has no times.
func TestRecordedSessionMatchesGoldenFileAndReplays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "session.jsonl")
	assert.Equal(t, play(t), play(t, "-record", file), "recording does not change the transcript")
	recorded, err := os.ReadFile(file)
	require.NoError(t, err)
	timeless := withoutTimes(string(recorded))
	golden(t, "testdata/session.jsonl", timeless)

	for _, session := range []string{string(recorded), timeless} {
		w := journal.NewWalker(nil)
		require.NoError(t, w.Read(file, strings.NewReader(session)))
		assert.Equal(t, strings.Count(session, `"call":`), w.Steps)
		assert.Zero(t, w.Divergences+w.Unreplayed)
	}
}

// withoutTimes leaves out when each step was made, and makes the checksums right again.
func withoutTimes(session string) string {
	var out strings.Builder
	for line := range strings.Lines(session) {
		line = regexp.MustCompile(`,"at":\d+(,"crc":".{8}"}\n)$`).ReplaceAllString(line, "$1")
		line = line[:strings.LastIndex(line, `,"crc"`)]
		fmt.Fprintf(&out, "%s,\"crc\":\"%08x\"}\n", line, crc32.Checksum([]byte(line), crc32.MakeTable(crc32.Castagnoli)))
	}
	return out.String()
}

func TestTranscriptIsTheSameOnAnyNumberOfCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	first := play(t)
	for cores := 1; cores <= 8; cores *= 2 {
		runtime.GOMAXPROCS(cores)
		for range 50 {
			require.Equal(t, first, play(t))
		}
	}
}

func TestOutputAndUsageErrorsExitWith2(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		out   io.Writer
		notes string
	}{
		"output":   {nil, brokenWriter{}, "quickstart: no room\n"},
		"record":   {[]string{"-record", t.TempDir()}, io.Discard, "quickstart: open "},
		"argument": {[]string{"more"}, io.Discard, "quickstart: unexpected argument \"more\"; -h prints the usage\n"},
		"flag":     {[]string{"-more"}, io.Discard, "quickstart: flag provided but not defined: -more; -h prints the usage\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var notes strings.Builder
			assert.Equal(t, 2, run(test.args, nil, test.out, &notes))
			assert.True(t, strings.HasPrefix(notes.String(), test.notes), notes.String())
		})
	}
	assert.Zero(t, run([]string{"-help"}, nil, io.Discard, io.Discard))
}

func TestTranscriptFitsATerminalOf80Columns(t *testing.T) {
	for line := range strings.Lines(play(t)) {
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), 80, line)
	}
}

// What a reader copies is short, and its loop is that of the README, with a case more.
func TestLoopIsTheReadmes(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, shown, ok := strings.Cut(string(readme), "c := wc.NewCoordinator(seed, wc.WithLimits(limits))\n")
	require.True(t, ok)
	shown, _, _ = strings.Cut(shown, "```")
	host, err := os.ReadFile("host.go")
	require.NoError(t, err)
	_, loop, _ := strings.Cut(string(host), "done <-chan struct{}) {\n")
	loop = strings.Replace(loop, "\t\tcase call := <-calls:\n\t\t\tcall()\n", "", 1)
	loop = strings.TrimSuffix(strings.ReplaceAll("\n"+loop, "\n\t", "\n"), "}\n")
	assert.Equal(t, "\n"+shown, loop)
}

func TestProgramHasAtMost350Lines(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	lines := 0
	for _, file := range files {
		if text, err := os.ReadFile(file); assert.NoError(t, err) && !strings.HasSuffix(file, "_test.go") {
			lines += strings.Count(string(text), "\n")
		}
	}
	assert.LessOrEqual(t, lines, 350)
}

func play(t *testing.T, args ...string) string {
	var out, notes strings.Builder
	require.Zero(t, run(args, nil, &out, &notes))
	require.Empty(t, notes.String())
	return out.String()
}

func golden(t *testing.T, file, got string) {
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o666))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }
