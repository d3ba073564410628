package tool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/workerchannel/workerchannel/examples/internal/tool"
	"github.com/workerchannel/workerchannel/examples/internal/tooltest"
)

// programs are the directories of all programs of this module. Those of the other modules have tests of their own.
var programs = map[string]string{
	"browser": "browser", "conform": "conform", "demo": "driver/debug/demo", "inspect": "inspect", "quickstart": "quickstart",
	"replay": "replay", "subprocess": "subprocess",
}

const root = "../../../" // of the repository

var bin string // where the programs are

// The test binary is also the program that conform checks.
func TestMain(m *testing.M) {
	if how := os.Getenv("EVIL_PEER"); how != "" {
		evilPeer(how)
		return
	}
	var err error
	if bin, err = os.MkdirTemp("", "programs"); err != nil {
		panic(err)
	}
	build := []string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", bin + string(filepath.Separator)}
	for _, dir := range programs {
		build = append(build, "../../"+dir)
	}
	if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(bin)
	os.Exit(code)
}

func command(t *testing.T, name string, args ...string) *exec.Cmd {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // for a program that hangs
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, filepath.Join(bin, name), args...)
}

func run(t *testing.T, stdin, name string, args ...string) (status int, stdout, stderr string) {
	cmd := command(t, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); !errors.As(err, new(*exec.ExitError)) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestEveryProgramIsKnown(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, "github.com/workerchannel/workerchannel/...").Output()
	require.NoError(t, err)
	var want []string
	for _, dir := range programs {
		want = append(want, "github.com/workerchannel/workerchannel/examples/"+dir)
	}
	assert.ElementsMatch(t, want, strings.Fields(string(out)))
}

func TestHelpIsOneConvention(t *testing.T) {
	for name := range programs {
		status, out, errs := run(t, "", name, "-h")
		assert.Zero(t, status, name)
		assert.Empty(t, errs, name)
		form := `^[A-Z][^\n]*(\n[^\n]+)*\.\n\nUsage: ` + name + `( [^\n]+)*(\n +` + name + ` [^\n]+)*\n\nExamples:\n(  go run \./examples/[^\n]*\n)+\nFlags:\n(  -\w+( [^ \n]+)?\n( {8}[^\n]+\n)+)+\nExit status: 0; (1 if [^;]+; )?2 if`
		assert.Regexp(t, form, out, name)
		for line := range strings.Lines(out) {
			assert.LessOrEqual(t, utf8.RuneCountInString(line), 81, line)
			assert.NotRegexp(t, " \n$", line)
		}
		for _, other := range []string{"-help", "--help"} {
			_, again, _ := run(t, "", name, other)
			assert.Equal(t, out, again, name)
		}
	}
}

func TestWrongArgumentsAreOneLineOnStandardError(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"browser more", `unexpected argument "more"; -h prints the usage`},
		{"demo more", `unexpected argument "more"; -h prints the usage`},
		{"quickstart more", `unexpected argument "more"; -h prints the usage`},
		{"subprocess more", `unexpected argument "more"; -h prints the usage`},
		{"conform more", `expected worker, coordinator or pair, got "more"`},
		{"inspect session.jsonl -job 4", `flags stand before other arguments: "-job"; -h prints the usage`},
		{"replay session.jsonl -max=1", `flags stand before other arguments: "-max=1"; -h prints the usage`},
		{"demo -debug=", "-debug needs an address, such as localhost:0"},
		{"demo -debug nowhere", "listen tcp: address nowhere: missing port in address"},
		{"subprocess -debug nowhere", "listen tcp: address nowhere: missing port in address"},
		{"demo -journal /nonexistent/file", "open /nonexistent/file: no such file or directory"},
		{"subprocess -journal /nonexistent/file", "open /nonexistent/file: no such file or directory"},
		{"quickstart -record /nonexistent/file", "open /nonexistent/file: no such file or directory"},
		{"replay /nonexistent/file", "open /nonexistent/file: no such file or directory"},
		{"replay .", "read .: is a directory"},
		{"inspect .", "read .: is a directory"},
		{"inspect /nonexistent/file", "open /nonexistent/file: no such file or directory"},
		{"conform worker -- /nonexistent/file", "fork/exec /nonexistent/file: no such file or directory"},
		{"replay -max x", `invalid value "x" for flag -max: parse error; -h prints the usage`},
		{"inspect -job x", `invalid value "x" for flag -job: expected a number from 0 to 2^64-1; -h prints the usage`},
		{"subprocess -answer x", `invalid value "x" for flag -answer: parse error; -h prints the usage`},
	} {
		if runtime.GOOS != "linux" && strings.Contains(test.want, "directory") {
			continue
		}
		args := strings.Fields(test.args)
		status, out, errs := run(t, "", args[0], args[1:]...)
		assert.Equal(t, tool.Unable, status, test.args)
		assert.Empty(t, out, test.args)
		assert.Equal(t, args[0]+": "+test.want+"\n", errs)
	}
	for name := range programs {
		status, out, errs := run(t, "", name, "-nonsense")
		assert.Equal(t, tool.Unable, status, name)
		assert.Empty(t, out, name)
		assert.Equal(t, name+": flag provided but not defined: -nonsense; -h prints the usage\n", errs)
	}
}

func TestSomethingFoundIsExitStatus1(t *testing.T) {
	sessions, err := os.ReadFile(root + "examples/quickstart/testdata/session.jsonl")
	require.NoError(t, err)
	for name, in := range map[string]string{
		"replay":  strings.Replace(string(sessions), "dinner is ready", "dinner was ready", 1),
		"inspect": "no message\n",
	} {
		status, out, _ := run(t, in, name)
		assert.Equal(t, tool.Found, status, name)
		assert.NotEmpty(t, out, name)
	}
	t.Setenv("EVIL_PEER", "refused")
	status, out, _ := run(t, "", "conform", "-run", "^wire/announce$", "worker", "--", os.Args[0])
	assert.Equal(t, tool.Found, status, out)
	for name, want := range map[string]int{"replay": tool.Found, "inspect": tool.Fine} {
		status, _, _ := run(t, "", name)
		assert.Equal(t, want, status, "%s of nothing", name)
	}
}

// Tests look for what a program does when it has started.
func TestInterruptIsExitStatus130(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no interrupts for other processes")
	}
	file := filepath.Join(t.TempDir(), "session.jsonl")
	status, _, _ := run(t, "", "quickstart", "-record", file)
	require.Zero(t, status)
	for name, args := range map[string]string{
		"replay": "", "inspect": "", "demo": "-debug 127.0.0.1:0", "subprocess": "-jobs 4000 -size 1000000", "inspect -follow": file,
	} {
		words := strings.Fields(name + " " + args)
		cmd := command(t, words[0], words[1:]...)
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		require.NoError(t, cmd.Start())
		if args != "" {
			_, err = stdout.Read(make([]byte, 1))
			require.NoError(t, err, name)
		}
		var rest sync.WaitGroup
		rest.Go(func() { _, _ = io.Copy(io.Discard, stdout) })
		if args == "" { // a pipe takes no such text before somebody reads
			_, err = stdin.Write(bytes.Repeat([]byte("\n"), 1<<20))
			require.NoError(t, err, name)
		}
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		rest.Wait()
		_ = cmd.Wait()
		assert.Equal(t, tool.Interrupted, cmd.ProcessState.ExitCode(), "%s: %s", name, &errs)
		tooltest.CheckSafe(t, errs.String(), name)
		assert.Regexp(t, `^(`+words[0]+`: interrupted[^\n]*\n)?$`, errs.String())
	}
}

func TestCountHasPlurals(t *testing.T) {
	assert.Equal(t, "0 jobs, 1 job, 2 jobs", tool.Count(0, "job")+", "+tool.Count(uint64(1), "job")+", "+tool.Count(2, "job"))
}

func TestWrapBreaksAtSpacesAndIndents(t *testing.T) {
	for _, test := range []struct {
		text            string
		columns, indent int
		want            string
	}{
		{"one two three", 0, 4, "one two three\n"},
		{"one two three", 13, 4, "one two three\n"},
		{"one two three", 8, 2, "one two\n  three\n"},
		{"  one two three", 9, 2, "  one two\n  three\n"},
		{"onetwothree", 6, 2, "onetwo\n  thre\n  e\n"},
		{"世界 世界", 5, 0, "世界\n世界\n"},
		{"a\n\nb", 5, 0, "a\n\nb\n"},
		{"one two three", 8, 40, "one two\n  three\n"},
		{"", 8, 2, ""},
	} {
		assert.Equal(t, test.want, tool.Wrap(test.text, test.columns, test.indent), test.text)
	}
	assert.Equal(t, "世", tool.Cut("世界", 3))
	assert.Equal(t, "e\u0301e", tool.Cut("e\u0301ee", 2), "a mark takes no column")
}
