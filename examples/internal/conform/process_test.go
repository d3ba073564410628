package conform

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An argument with this prefix makes the test binary a program under test.
const behaviour = "behaviour: "

func TestMain(m *testing.M) {
	if name, ok := strings.CutPrefix(os.Args[len(os.Args)-1], behaviour); ok {
		behave(name)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// behave is a worker that does what a program can get wrong at the command pipe. One that is to be given up writes
// something before it is sent anything.
func behave(name string) {
	commands, replies, err := pipes()
	if err != nil {
		log.Fatal(err)
	}
	defer runtime.KeepAlive([]any{commands, replies}) // the collector would close them
	lines := bufio.NewReader(commands)
	next := func() { _, _ = lines.ReadString('\n') }
	hang := func() {
		fmt.Fprintln(os.Stderr, "hanging")
		_, _ = io.Copy(io.Discard, lines)
	}
	for _, half := range []string{WorkerHalf, CoordinatorHalf} {
		if alteration, ok := strings.CutPrefix(name, half+": "); ok {
			r := NewReference(half)
			r.half = &altered{half: r.half, alter: alterations[alteration]}
			if err := serve(r, os.Stdin, os.Stdout, lines, replies); err != nil {
				log.Fatal(err)
			}
			return
		}
	}
	switch name {
	case "does nothing":
		for {
			if _, err := lines.ReadString('\n'); err != nil {
				return
			}
			fmt.Fprintln(replies, "ok 0")
		}
	case "good":
		if err := serve(NewReference(WorkerHalf), os.Stdin, os.Stdout, lines, replies); err != nil {
			log.Fatal(err)
		}
	case "hangs":
		hang()
	case "has a child that holds its output": // the child says so
		child := exec.Command(os.Args[0], behaviour+"hangs")
		child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		child.ExtraFiles = []*os.File{os.NewFile(3, ""), os.NewFile(4, "")}
		if err := child.Start(); err != nil {
			log.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, lines)
	case "does not read messages": // a large one does not fit in the pipe
		fmt.Fprintln(os.Stderr, "reading commands")
		r := NewReference(WorkerHalf)
		for {
			line, err := readLine(lines)
			if err != nil {
				return
			}
			if string(line) == "receive" {
				hang()
			}
			reply, err := r.Do(string(line), nil)
			if err != nil {
				log.Fatal(err)
			}
			for _, m := range reply.Messages {
				fmt.Printf("%s\n", m)
			}
			fmt.Fprintln(replies, reply.head())
		}
	case "ends", "ends later":
		next()
		if name == "ends later" {
			fmt.Fprintln(replies, "ok 0")
			next()
		}
		fmt.Fprintln(os.Stderr, "no memory\nat all")
		os.Exit(3)
	case "ends well":
		next()
	case "closes its output":
		_, _ = os.Stdout.Close(), replies.(io.Closer).Close()
		hang()
	case "replies on standard output":
		fmt.Println("ok 0")
		_, _ = io.Copy(io.Discard, lines)
	case "writes messages on descriptor 4":
		fmt.Fprintln(replies, "ok 1\n"+`{"version":1}`)
		_, _ = io.Copy(io.Discard, lines)
	case "forgets a line feed":
		fmt.Fprint(replies, "ok 0")
		_, _ = io.Copy(io.Discard, lines)
	case "names an escape sequence":
		next()
		fmt.Fprintln(replies, "refused 0 \x1b[2J\x1b]0;owned\a")
		hang()
	case "talks nonsense":
		next()
		fmt.Fprintln(replies, "hello")
		hang()
	case "replies without a line feed":
		next()
		fmt.Fprint(replies, "ok 0")
	case "floods standard output":
		for out := bufio.NewWriter(os.Stdout); ; {
			if _, err := out.WriteString("nonsense\n"); err != nil {
				return
			}
		}
	case "floods standard error":
		for {
			if _, err := os.Stderr.WriteString(strings.Repeat("nonsense", 100) + "\n"); err != nil {
				return
			}
		}
	case "writes a line without end":
		next()
		fmt.Fprintln(replies, "ok 1")
		for {
			if _, err := os.Stdout.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
				return
			}
		}
	case "announces too much":
		fmt.Fprintln(replies, "ok 1")
		hang()
	case "announces too little":
		for {
			next()
			fmt.Println(`{"version":1}`)
			fmt.Fprintln(replies, "ok 0")
		}
	case "supports nothing optional": // but what the reference is asked for
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); slices.Contains(Optional, name) {
				fmt.Fprintln(replies, "unsupported")
			} else {
				fmt.Fprintln(replies, "ok 0")
			}
		}
	case "supports nothing":
		for {
			if _, err := lines.ReadString('\n'); err != nil {
				return
			}
			fmt.Fprintln(replies, "unsupported")
		}
	default:
		log.Fatal("unknown behaviour ", name)
	}
}

// run makes a check with a program of a behaviour.
func run(t *testing.T, name string, c Check, timeout time.Duration, tcp bool) Result {
	r := Runner{Half: WorkerHalf, Command: Command{Args: []string{os.Args[0], behaviour + name}, Timeout: timeout, TCP: tcp}}
	result, err := r.Run(c)
	require.NoError(t, err)
	r.Close()
	return result
}

func checkNamed(t *testing.T, name string) Check {
	for _, c := range Checks(WorkerHalf) {
		if c.Name == name {
			return c
		}
	}
	t.Fatal("no check ", name)
	return Check{}
}

func TestGoodProgramPasses(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		for _, c := range Checks(WorkerHalf) {
			if strings.HasPrefix(c.Name, "payload/") || strings.HasPrefix(c.Name, "cancel/") {
				result := run(t, "good", c, time.Minute, tcp)
				assert.Nil(t, result.Failure, c.Name)
				assert.Empty(t, result.Missing, c.Name)
			}
		}
	}
}

// runStarted makes a check with a program that must be given up. Its time for a command begins once it has written
// something, so that it may be short however long the program takes to start.
func runStarted(t *testing.T, name string, c Check) Result {
	r := Runner{Half: WorkerHalf, Command: Command{Args: []string{os.Args[0], behaviour + name}}}
	p, err := r.Command.Start()
	require.NoError(t, err)
	r.process = p
	defer r.Close()
	require.Eventually(t, func() bool {
		switch name {
		case "writes messages on descriptor 4":
			return len(p.replies.lines) == 2
		case "forgets a line feed":
			return p.replies.rest.Load() > 0
		}
		return p.stderr.String() != "" || len(p.stdout.lines) > 0 || len(p.replies.lines) > 0
	}, time.Minute, time.Millisecond)
	p.timeout = 200 * time.Millisecond
	result, err := r.Run(c)
	require.NoError(t, err)
	return result
}

// Whatever the program does, the check fails with what it did, within the time for one command, and nothing stays.
func TestBrokenProgramsAreReported(t *testing.T) {
	for name, want := range map[string]string{
		"hangs":                             "no reply: nothing came within 0.2 s: is the output flushed?; its standard error: hanging",
		"has a child that holds its output": "no reply: nothing came within 0.2 s: is the output flushed?",
		"does not read messages":            "no reply: nothing came within 0.2 s: is the output flushed?",
		"closes its output":                 "the program has closed its output but not ended",
		"replies on standard output":        "no reply: nothing came within 0.2 s, but ok 0 came on the wrong descriptor",
		"writes messages on descriptor 4":   `announces: nothing came within 0.2 s, but {"version":1} came on the wrong descriptor`,
		"forgets a line feed":               "no reply: nothing came within 0.2 s but 4 bytes without a line feed",
		"names an escape sequence":          `refused 0 "\x1b[2J\x1b]0;owned\a"`,
		"ends later":                        `the program has ended (exit status 3); its standard error: no memory\nat all`,
		"talks nonsense":                    "expected a reply as ok N TEXT, refused N KIND or unsupported, got hello",
		"floods standard output":            "no reply: nothing came within 0.2 s, but nonsense came on the wrong descriptor",
		"floods standard error":             "no reply: nothing came within 0.2 s: is the output flushed?; its standard error: ",
		"writes a line without end":         "a line of more than 4194304 bytes",
		"announces too much":                "message 1 of the 1 that the reply \"ok\" announces: nothing came within 0.2 s: is the output flushed?",
		"announces too little":              "",
		"supports nothing":                  "unsupported",
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.HasPrefix(name, "has a child") {
				t.Skip("Windows has no process groups that are killed as one")
			}
			t.Parallel()
			var result Result
			hangs := strings.Contains(want, "0.2 s") || name == "closes its output"
			if c := checkNamed(t, "payload/largest"); hangs {
				result = runStarted(t, name, c)
			} else {
				result = run(t, name, c, time.Minute, false)
			}
			require.NotNil(t, result.Failure)
			assert.Equal(t, hangs, errors.Is(result.Failure.Err, ErrTimeout))
			if name == "announces too little" {
				assert.Contains(t, result.Failure.Why, `it has written a message that no reply announced: {"version":1}`)
			}
			assert.Contains(t, result.Failure.Got, want)
			assert.NotContains(t, result.Failure.Got, "\n")
			assert.Less(t, len(result.Failure.Got), 10_000)
		})
	}
}

func TestProgramThatCannotBeStartedIsAnError(t *testing.T) {
	r := Runner{Half: WorkerHalf, Command: Command{Args: []string{"/nowhere/program"}}}
	_, err := r.Run(checkNamed(t, "wire/announce"))
	assert.ErrorContains(t, err, "/nowhere/program")
	r.Close()
}

// As every check would fail in the same way.
func TestProgramThatEndsBeforeItObeysIsAnError(t *testing.T) {
	for name, want := range map[string]string{
		"ends":                        `the program has ended (exit status 3); its standard error: no memory\nat all`,
		"ends well":                   "the program has ended (exit status 0)",
		"replies without a line feed": "the program has ended (exit status 0)",
	} {
		r := Runner{Half: WorkerHalf, Command: Command{Args: []string{os.Args[0], behaviour + name}, Timeout: time.Minute}}
		_, err := r.Run(checkNamed(t, "wire/announce"))
		assert.ErrorContains(t, err, want)
		r.Close()
	}
}

func TestReportsHaveTheBytesOfMessages(t *testing.T) {
	text := "{\"a\":\"\\\\ \\u001b \u2028\x1b\xff 😀\"}"
	assert.Equal(t, `{"a":"\\ \u001b <U+2028><1B><FF> 😀"}`, Exact(text, strconv.IsPrint))
	assert.Equal(t, "{\"a\":\"\\\\ \\u001b \u2028\x1b<FF> 😀\"}", Exact(text, func(rune) bool { return true }))

	long := strings.Repeat("é", 1000)
	assert.Equal(t, strings.Repeat("é", 100)+"... (2000 bytes)", Cut(long))
	assert.Equal(t, strings.Repeat("é", 99)+"x... (2001 bytes)", Cut(long[:198]+"x"+long[:1802]), "not within a character")
	a, b := CutBoth(long, long[:1000]+"x"+long[:1000])
	assert.Equal(t, "..."+strings.Repeat("é", 100)+"... (bytes 920 to 1120 of 2000)", a)
	assert.Equal(t, "..."+strings.Repeat("é", 40)+"x"+strings.Repeat("é", 59)+"... (bytes 920 to 1119 of 2001)", b)
	a, b = CutBoth("short", "other")
	assert.Equal(t, "short other", a+" "+b)
}

func TestProgramThatDoesNotConnectIsAnError(t *testing.T) {
	r := Runner{Half: WorkerHalf, Command: Command{Args: []string{os.Args[0], "-test.run=^$"}, Timeout: 300 * time.Millisecond, TCP: true}}
	_, err := r.Run(checkNamed(t, "wire/announce"))
	assert.ErrorContains(t, err, "did not connect to "+AddrEnv)
	r.Close()
}

func TestRepliesAreReadStrictly(t *testing.T) {
	for _, line := range []string{"", "ok", "ok x", "ok -1", "ok 10001", "refused 1", "refused", "refused 0 Two Words", "hello"} {
		_, _, err := parseReply(line)
		assert.Error(t, err, line)
	}
	for line, want := range map[string]Reply{
		"ok 0":                   {Verdict: "ok"},
		"ok 2 some text":         {Verdict: "ok", Text: "some text"},
		"refused 0 UnknownJobID": {Verdict: "refused UnknownJobID"},
		"unsupported":            {Verdict: "unsupported"},
	} {
		got, _, err := parseReply(line)
		assert.NoError(t, err, line)
		assert.Equal(t, want, got)
	}
}

// A check that needs an optional command is reported as not made, unless the step may be left out.
func TestUnsupportedCommandsAreReported(t *testing.T) {
	c := Check{Name: "test/optional", steps: fixed([]step{{command: "job 1", optional: true}, {command: "hold"}, {command: "announce"}})}
	result := run(t, "supports nothing optional", c, time.Minute, false)
	assert.Nil(t, result.Failure)
	assert.Equal(t, "the program does not support the command hold", result.Missing)
}
