package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wc "github.com/workerchannel/workerchannel"
	"github.com/workerchannel/workerchannel/examples/internal/conform"
)

// peerEnv makes the test binary a program under test: this half of the reference, one that ends, or one that answers
// every command with this reply. The argument peer= does the same for one of a pair.
const peerEnv = "CONFORM_TEST_PEER"

func TestMain(m *testing.M) {
	peer := os.Getenv(peerEnv)
	if half, ok := strings.CutPrefix(os.Args[len(os.Args)-1], "peer="); ok {
		peer = half
	}
	switch peer {
	case "":
		os.Exit(m.Run())
	case conform.WorkerHalf, conform.CoordinatorHalf:
		if err := conform.Serve(conform.NewReference(peer)); err != nil {
			log.Fatal(err)
		}
	case "ends":
		log.Fatal("no memory")
	default:
		replies := os.NewFile(4, "replies")
		for commands := bufio.NewScanner(os.NewFile(3, "commands")); commands.Scan(); {
			fmt.Fprintln(replies, peer)
		}
	}
}

// call runs the program and returns what it prints.
func call(args ...string) (status int, stdout, stderr string) {
	var out, errs strings.Builder
	status = run(context.Background(), args, nil, &out, &errs)
	return status, out.String(), errs.String()
}

func TestReferencePassesEveryCheck(t *testing.T) {
	for _, half := range []string{conform.WorkerHalf, conform.CoordinatorHalf} {
		t.Setenv(peerEnv, half)
		status, out, stderr := call("-data", "../../testdata", half, "--", os.Args[0])
		assert.Zero(t, status)
		assert.Empty(t, stderr)
		assert.NotContains(t, "\n"+out, "\nfailed ")
		assert.Contains(t, out, " ok, 0 failed, 0 not checked, in ")
		assert.Contains(t, out, "ok          wire/escapes                   section 3   strings escape what section 3 says and nothing else\n")
		assert.Contains(t, out, "not checked: the byte offset")
		for _, c := range conform.Checks(half) {
			assert.Contains(t, out, " "+c.Name+" ")
		}
		rule := map[string]string{
			conform.WorkerHalf:      "data/rule-8                    section 10  the direction is checked before the sequence number\n",
			conform.CoordinatorHalf: "data/rule-3                    section 7   an id that ends again becomes the latest\n",
		}[half]
		assert.Contains(t, out, "ok          "+rule, "the name of the rule")
	}
}

func TestFailureSaysWhatWasSentWantedAndGot(t *testing.T) {
	t.Setenv(peerEnv, "ok 0")
	const wanted = `ok 1, and {"version":1,"message_id":1,"seq_no":1,"decision_seq":1,"seed":42,"issued_at_turn":0,`
	status, out, stderr := call("-run", "^wire/first$", "coordinator", "--", os.Args[0])
	assert.Equal(t, 1, status)
	assert.Empty(t, stderr)
	assert.Contains(t, out, "failed      wire/first")
	for _, part := range []string{"after   command new 42\n", "sent    command request_shutdown s726561736f6e\n", "wanted  " + wanted, "got     ok 0\n", "why     message 1 is missing\n", "in step 1 of the check\n", "0 ok, 1 failed"} {
		assert.Contains(t, out, part)
	}

	status, out, _ = call("-json", "-run", "^wire/first$", "coordinator", "--", os.Args[0])
	assert.Equal(t, 1, status)
	var l line
	first, summary, _ := strings.Cut(out, "\n")
	require.NoError(t, json.Unmarshal([]byte(first), &l))
	assert.Equal(t, "wire/first", l.Check)
	assert.Equal(t, "3", l.Section)
	assert.Equal(t, "failed", l.Result)
	assert.Equal(t, 1, l.Step)
	assert.Equal(t, []string{"command new 42"}, l.After)
	assert.Equal(t, "command request_shutdown s726561736f6e", l.Sent)
	assert.Contains(t, l.Wanted, wanted)
	assert.Equal(t, "ok 0", l.Got)
	assert.Contains(t, summary, `"failed":1`)
}

func TestReportsHaveTheBytesOfMessages(t *testing.T) {
	t.Setenv(peerEnv, "ok 0")
	report := func(half, check string, flags ...string) string {
		_, out, _ := call(append(flags, "-run", "^"+check+"$", half, "--", os.Args[0])...)
		return out
	}
	const wanted = `"reason":"\"\\\u0000\u0001\b\t\n\f\r\u001b\u001f /<>&'`
	assert.Contains(t, report(conform.WorkerHalf, "wire/escapes"), wanted+`<7F><U+0080>é<U+2028><U+2029><U+FEFF><U+FFFF>😀<U+10FFFF>\\u0041"}}`+"\n")

	// What is long is cut in a line only.
	const begin, end = `sent    message {"version":1,"message_id":1,`, `/<>&'<7F><U+0080>é<U+2028><U+2029><U+FEFF><U+FFFF>😀<U+10FFFF>\\u0041"}}` + "\n"
	assert.Regexp(t, regexp.QuoteMeta(begin)+`.*\.\.\. \(\d{3} bytes\)`+"\n", report(conform.CoordinatorHalf, "wire/read-strings"))
	assert.Regexp(t, regexp.QuoteMeta(begin)+".*"+regexp.QuoteMeta(end), report(conform.CoordinatorHalf, "wire/read-strings", "-full"))
	var l line
	first, _, _ := strings.Cut(report(conform.CoordinatorHalf, "wire/read-strings", "-json"), "\n")
	require.NoError(t, json.Unmarshal([]byte(first), &l))
	message, ok := strings.CutPrefix(l.Sent, "message ")
	assert.True(t, ok)
	_, err := wc.Verify([]byte(message))
	assert.NoError(t, err)
	assert.Contains(t, message, "\u2028")
}

// What cannot even begin is told once, not once a check.
func TestProgramThatEndsAtOnceIsOneError(t *testing.T) {
	t.Setenv(peerEnv, "ends")
	status, out, stderr := call("worker", "--", os.Args[0])
	assert.Equal(t, 2, status)
	assert.Empty(t, out)
	assert.Contains(t, stderr, "conform: the program has ended (exit status 1); its standard error: ")
	assert.Contains(t, stderr, "no memory")
}

func TestWhatTheProgramWritesDoesNotCommandTheTerminal(t *testing.T) {
	t.Setenv(peerEnv, "refused 0 \x1b[2J\x1b]0;owned\a\u009b31m\xff")
	for _, flags := range [][]string{nil, {"-full"}, {"-json"}} {
		status, out, _ := call(append(flags, "-run", "^wire/", "worker", "--", os.Args[0])...)
		assert.Equal(t, 1, status)
		assert.Contains(t, out, `owned`)
		assert.False(t, strings.ContainsFunc(out, func(r rune) bool { return r != '\n' && !strconv.IsPrint(r) }), "%q", out)
		if flags == nil {
			assert.Contains(t, out, `got     refused 0 "\x1b[2J\x1b]0;owned\a\u009b31m\xff"`+"\n")
		}
	}
}

func TestPairOfPrograms(t *testing.T) {
	status, out, stderr := call("pair", "--", os.Args[0], "peer=worker", "--", os.Args[0], "peer=coordinator")
	assert.Zero(t, status)
	assert.Empty(t, stderr)
	assert.Contains(t, out, "ok          pair/lost                      section 8   a worker is lost, and ")
	assert.Contains(t, out, fmt.Sprintf("\n%d ok, 0 failed, 0 not checked, in ", len(conform.Checks(conform.PairOfHalves))))

	status, out, _ = call("pair", "-json", "-run", "pair/cancel", "--", os.Args[0], "peer=ok 0", "--", os.Args[0], "peer=coordinator")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, `"after":["command to the coordinator new 1","command to the worker new s7731 2","command to the worker announce"],`+
		`"sent":"command to the coordinator spawn_job 1 0 0 0 b","wanted":"ok","got":"refused 0 WorkerNotReady"}`)
}

func TestHangingProgramIsGivenUp(t *testing.T) {
	status, out, _ := call("-timeout", "50ms", "-run", "^reading/", "worker", "--", "sleep", "100")
	if status == 2 {
		t.Skip("this test needs the program sleep")
	}
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "got     no reply: nothing came within 0.05 s: is the output flushed?\n")
	assert.Contains(t, out, "why     the program did not answer in time 3 times\n")
	assert.Contains(t, out, "0 ok, 3 failed, ")
}

func TestListHasEveryCheck(t *testing.T) {
	status, out, _ := call("-list", "worker")
	assert.Zero(t, status)
	assert.Equal(t, len(conform.Checks(conform.WorkerHalf)), strings.Count(out, "\n"))
	assert.Contains(t, out, "job/id-again                   section 10  the id of a job")
	status, out, _ = call("-list", "pair")
	assert.Zero(t, status)
	assert.Equal(t, len(conform.Checks(conform.PairOfHalves)), strings.Count(out, "\n"))
	status, out, _ = call("worker", "-list", "-json", "-run", "^limits/")
	assert.Equal(t, 2, status)
	assert.Empty(t, out)
	status, out, _ = call("coordinator", "-list", "-json", "-run", "^limits/boot$")
	assert.Zero(t, status)
	assert.JSONEq(t, `{"check":"limits/boot","section":"7","about":"an expected worker is late until it has announced itself"}`, out)
}

func TestWrongUsageIsExplained(t *testing.T) {
	for args, want := range map[string]string{
		"":                                  "expected worker, coordinator or pair; -h prints the usage",
		"host -- x":                         `expected worker, coordinator or pair, got "host"`,
		"pair -- x":                         "expected -- and the worker, -- and the coordinator; -h prints the usage",
		"pair -- x --":                      "expected -- and the worker, -- and the coordinator; -h prints the usage",
		"pair -- -- x":                      "expected -- and the worker, -- and the coordinator; -h prints the usage",
		"-data x pair -- x -- x":            "-data is for one half",
		"worker":                            "expected -- and the program to be checked",
		"worker --":                         "expected -- and the program to be checked",
		"worker python3":                    `expected -- before the program, got "python3"`,
		"-list worker -- x":                 "-list takes no program",
		"-run ( worker -- x":                "-run: error parsing regexp",
		"-run nothing worker -- x":          "-run matches no check",
		"-timeout 0 worker -- x":            "-timeout must be at least 1ms",
		"-x worker -- x":                    "flag provided but not defined",
		"worker -- /nowhere/program":        "/nowhere/program",
		"-data /nowhere worker -- x":        "/nowhere",
		"-tcp -timeout 9ms worker -- sleep": "",
	} {
		status, out, stderr := call(strings.Fields(args)...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, out, args)
		assert.Contains(t, stderr, want, args)
	}
	status, stdout, _ := call("-h")
	assert.Zero(t, status)
	assert.Contains(t, stdout, "Usage: conform [flags] worker|coordinator -- PROGRAM [ARG...]")
}
