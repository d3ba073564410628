package tool_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

// check runs a program and checks what it prints.
func check(t *testing.T, stdin, name string, args ...string) {
	t.Helper()
	_, out, errs := run(t, stdin, name, args...)
	tooltest.CheckSafe(t, out, "standard output of %s %q", name, args)
	tooltest.CheckSafe(t, errs, "standard error of %s %q", name, args)
	assert.NotEmpty(t, out+errs, "%s %q", name, args)
}

func TestArgumentsDoNotCommandTheTerminal(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	for _, evil := range tooltest.Evil {
		for name := range programs {
			check(t, "", name, "-"+evil)
			check(t, "", name, evil)
		}
		for _, args := range [][]string{
			{"conform", "worker", "--", evil}, {"conform", "-run", evil + "(", "worker", "--", "true"}, {"conform", "-run", evil, "-list", "worker"},
			{"conform", "-timeout", evil, "worker"}, {"conform", "-data", evil, "worker", "--", "true"},
			{"demo", "-debug", evil}, {"demo", "-journal", "/nonexistent/" + evil}, {"quickstart", "-record", "/nonexistent/" + evil},
			{"subprocess", "-debug", evil}, {"subprocess", "-journal", "/nonexistent/" + evil}, {"subprocess", "-jobs", evil},
			{"replay", "-max", evil}, {"inspect", "-job", evil}, {"inspect", "-turns", evil}, {"inspect", "-since", evil}, {"inspect", "-w", evil},
			{"inspect", "-worker", evil}, {"inspect", "-label", evil},
		} {
			check(t, "", args[0], args[1:]...)
		}
	}
}

// forms are the ways in which what a file says is printed.
var forms = [][]string{
	{"replay"}, {"replay", "-max", "0"}, {"inspect"}, {"inspect", "-calls"}, {"inspect", "-failed"}, {"inspect", "-json"}, {"inspect", "-stats"},
	{"inspect", "-mermaid"}, {"inspect", "-svg"}, {"inspect", "-hex"}, {"inspect", "-w", "40"},
}

func checkFile(t *testing.T, text string) {
	t.Helper()
	for _, form := range forms {
		check(t, text, form[0], form[1:]...)
	}
}

func TestFileNamesDoNotCommandTheTerminal(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	for _, evil := range tooltest.Evil {
		name := filepath.Join(t.TempDir(), evil)
		if os.WriteFile(name, []byte(`{"session":1,"step":5,"call":"dance","crc":"00000000"}`+"\nno step\n"), 0o600) != nil {
			continue // not all systems have such names
		}
		for _, form := range forms {
			check(t, "", form[0], append(slices.Clone(form[1:]), name)...)
		}
	}
}

func TestLinesOfFilesDoNotCommandTheTerminal(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	for _, begin := range []string{"", `{"version":`, `{"journal":`, `{"session":`, `{"session":1,"step":1,"call":"`, `{"seed":`, `{"seed":1,"steps":[{"call":"`} {
		for _, evil := range append(tooltest.Evil, strings.Repeat(tooltest.AllEvil, 1000)) {
			checkFile(t, begin+evil+"\n"+begin+evil)
		}
	}
}

func skipIfShort(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: runs programs hundreds of times")
	}
}

// Each string in a file is another text once. Messages are within strings.
func TestStringsOfJournalsDoNotCommandTheTerminal(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	lines := []string{
		`{"session":1,"step":5,"call":"dance","crc":"00000000","at":"2026-01-02T15:04:05Z","label":"l","how":"lost","why":"w","reason":"r","op":"o","worker":"w"}`,
		`{"journal":"workerchannel","version":1,"session":1,"step":0,"kind":"coordinator","setup":{"seed":1},"call":"end","how":"lost","why":"w","crc":"0"}`,
	}
	for _, file := range []string{"examples/quickstart/testdata/session.jsonl", "testdata/sessions.jsonl", "testdata/worker_sessions.jsonl"} {
		f, err := os.Open(root + file)
		require.NoError(t, err)
		line, err := bufio.NewReader(f).ReadString('\n')
		require.NoError(t, err)
		require.NoError(t, f.Close())
		lines = append(lines, line)
	}
	for _, line := range lines {
		keys := map[string]bool{}
		replaceStrings(t, line, func(key, s string) string { keys[key] = true; return s })
		assert.NotEmpty(t, keys)
		for key := range keys {
			checkFile(t, replaceStrings(t, line, func(k, s string) string {
				if k == key {
					return tooltest.Valid
				}
				return s
			})+"\n")
		}
	}
}

// replaceStrings replaces the strings of a JSON document, and of documents within its strings.
func replaceStrings(t *testing.T, document string, by func(key, s string) string) string {
	var replace func(key string, v any) any
	replace = func(key string, v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = replace(k, v[k])
			}
		case []any:
			for i := range v {
				v[i] = replace(key, v[i])
			}
		case string:
			if strings.HasPrefix(v, "{") {
				return replaceStrings(t, v, by)
			}
			return by(key, v)
		}
		return v
	}
	d := json.NewDecoder(strings.NewReader(document))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	text, err := json.Marshal(replace("", v))
	require.NoError(t, err)
	return string(text)
}

func TestStringsOfCapturesDoNotCommandTheTerminal(t *testing.T) {
	skipIfShort(t)
	evil := tooltest.Valid
	var in strings.Builder
	add := func(env wc.Envelope) {
		text, err := env.AppendJSON(nil)
		require.NoError(t, err)
		in.WriteString(string(text) + "\n")
	}
	for _, op := range []wc.Op{wc.CancelJob{JobID: 1, Reason: evil}, wc.ShutdownWorker{Reason: evil}, wc.SpawnJob{JobID: 1, Payload: []byte(evil)}} {
		add(wc.NewEnvelope(wc.Header{SeqNo: 1}, op))
	}
	for _, op := range []wc.Op{
		wc.BootstrapReady{WorkerID: evil}, wc.BootstrapFailed{WorkerID: evil, Reason: evil}, wc.StatusSnapshot{JobID: 1, State: wc.StateRunning, Detail: &evil},
		wc.Diagnostic{Level: wc.LevelError, Category: evil, Message: evil, Metadata: &evil}, wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeOk{Payload: []byte(evil)}},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeErr{Code: evil, Message: evil}}, wc.JobCompleted{JobID: 1, Outcome: wc.OutcomePanicked{Message: evil}},
		wc.JobCompleted{JobID: 1, Outcome: wc.OutcomeCancelled{Reason: evil}},
	} {
		add(wc.NewWorkerEnvelope(evil, wc.Header{SeqNo: 1}, op))
		add(wc.NewWorkerEnvelope("w-1", wc.Header{SeqNo: 1}, op))
	}
	checkFile(t, in.String())
	status, out, _ := run(t, in.String(), "inspect", "-json")
	require.NotEqual(t, tool.Unable, status)
	var first struct{ Wire string }
	require.NoError(t, json.NewDecoder(strings.NewReader(out)).Decode(&first))
	assert.Equal(t, strings.SplitAfter(in.String(), "\n")[0], first.Wire+"\n", "it is the same JSON")
}

func TestPeersUnderTestDoNotCommandTheTerminal(t *testing.T) {
	for _, how := range []string{"refused", "reply", "message", "stderr"} {
		t.Setenv("EVIL_PEER", how)
		for _, form := range []string{"-full", "-json", "-tcp"} {
			if form == "-tcp" && how == "stderr" {
				continue // it does not connect, which conform waits for
			}
			for _, half := range []string{"worker", "coordinator"} {
				check(t, "", "conform", form, "-run", "^wire/(announce|numbers|spawn|escapes)", half, "--", os.Args[0])
			}
		}
		check(t, "", "conform", "pair", "--", os.Args[0], "--", os.Args[0])
	}
}

// evilPeer is a program that conform checks.
func evilPeer(how string) {
	if how == "stderr" {
		_, _ = os.Stderr.WriteString(tooltest.AllEvil)
		os.Exit(3)
	}
	oneLine := strings.ReplaceAll(tooltest.AllEvil, "\n", "")
	commands, replies := io.Reader(os.NewFile(3, "commands")), io.Writer(os.NewFile(4, "replies"))
	if addr := os.Getenv("CONFORM_ADDR"); addr != "" {
		commands, replies = dial(addr)
	}
	for lines := bufio.NewScanner(commands); lines.Scan(); {
		switch how {
		case "refused":
			fmt.Fprintf(replies, "refused 0 %s\n", strings.ReplaceAll(oneLine, " ", ""))
		case "reply":
			fmt.Fprintln(replies, oneLine)
		case "message":
			fmt.Println(oneLine)
			fmt.Fprintln(replies, "ok 1", oneLine)
		}
	}
}

func dial(addr string) (io.Reader, io.Writer) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		os.Exit(4)
	}
	return conn, conn
}
