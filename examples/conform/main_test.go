package main

import (
	"encoding/json"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/conform"
)

// peerEnv makes the test binary a program under test: this half of the reference.
const peerEnv = "CONFORM_TEST_PEER"

func TestMain(m *testing.M) {
	if half := os.Getenv(peerEnv); half != "" {
		if err := conform.Serve(conform.NewReference(half)); err != nil {
			log.Fatal(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// call runs the program and returns what it prints.
func call(args ...string) (status int, stdout, stderr string) {
	var out, errs strings.Builder
	status = run(args, &out, &errs)
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

// The program under test is a worker that is taken for a coordinator.
func TestFailureSaysWhatWasSentWantedAndGot(t *testing.T) {
	t.Setenv(peerEnv, conform.WorkerHalf)
	status, out, stderr := call("-run", "^wire/first$", "coordinator", "--", os.Args[0])
	assert.Equal(t, 1, status)
	assert.Empty(t, stderr)
	assert.Contains(t, out, "failed      wire/first")
	for _, part := range []string{"sent    command new 42", "wanted  ok", "got     the program has ended (exit status 1); its standard error: ", "in step 0 of the check\n", "0 ok, 1 failed"} {
		assert.Contains(t, out, part)
	}

	status, out, _ = call("-run", "job/id-again", "coordinator", "--", os.Args[0])
	assert.Equal(t, 1, status)
	assert.NotContains(t, out, "after   ", "new is the first command")

	status, out, _ = call("-json", "-run", "^wire/first$", "coordinator", "--", os.Args[0])
	assert.Equal(t, 1, status)
	var l line
	first, summary, _ := strings.Cut(out, "\n")
	require.NoError(t, json.Unmarshal([]byte(first), &l))
	assert.Equal(t, "wire/first", l.Check)
	assert.Equal(t, "3", l.Section)
	assert.Equal(t, "failed", l.Result)
	assert.Equal(t, "command new 42", l.Sent)
	assert.Contains(t, summary, `"failed":1`)
}

func TestHangingProgramIsGivenUp(t *testing.T) {
	status, out, _ := call("-timeout", "50ms", "-run", "^reading/", "worker", "--", "sleep", "100")
	if status == 2 {
		t.Skip("this test needs the program sleep")
	}
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "got     no reply: timeout\n")
	assert.Contains(t, out, "why     the program did not answer in time 3 times\n")
	assert.Contains(t, out, "0 ok, 3 failed, ")
}

func TestListHasEveryCheck(t *testing.T) {
	status, out, _ := call("-list", "worker")
	assert.Zero(t, status)
	assert.Equal(t, len(conform.Checks(conform.WorkerHalf)), strings.Count(out, "\n"))
	assert.Contains(t, out, "job/id-again                   section 10  the id of a job")
	status, out, _ = call("worker", "-list", "-json", "-run", "^limits/")
	assert.Equal(t, 2, status)
	assert.Empty(t, out)
	status, out, _ = call("coordinator", "-list", "-json", "-run", "^limits/boot")
	assert.Zero(t, status)
	assert.JSONEq(t, `{"check":"limits/boot","section":"7","about":"an expected worker is late until it has announced itself"}`, out)
}

func TestWrongUsageIsExplained(t *testing.T) {
	for args, want := range map[string]string{
		"":                                  "expected worker or coordinator; -h prints the usage",
		"host -- x":                         `expected worker or coordinator, got "host"`,
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
	status, _, stderr := call("-h")
	assert.Zero(t, status)
	assert.Contains(t, stderr, "usage: conform [flags] worker|coordinator -- PROGRAM [ARG...]")
}
