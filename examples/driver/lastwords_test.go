//go:build unix

package driver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func init() {
	processes["panics"] = func() {
		fmt.Fprintln(os.Stderr, "worker 1.0 starts")
		serveProcess(func(context.Context, *Job) ([]byte, error) {
			panicked := make(chan struct{})
			go func() { defer close(panicked); panic("no configuration") }()
			<-panicked
			time.Sleep(time.Hour)
			return nil, nil
		})
	}
	processes["crashes deep"] = func() { crash(60) }
	processes["kills itself"] = func() {
		fmt.Fprintln(os.Stderr, "so long")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour)
	}
	processes["leaves a process in another session"] = func() { // which holds the standard output and error
		child := exec.Command("sleep", "1000")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		err := child.Start()
		fmt.Fprintln(os.Stderr, "last")
		if err == nil {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			time.Sleep(time.Hour)
		}
	}
	processes["is deaf and says so"] = func() {
		fmt.Fprintln(os.Stderr, "waiting for \x1b[1mthe lock")
		announced(Stdio())
		time.Sleep(time.Hour)
	}
}

// crash panics with a stack of more than mostWords bytes.
func crash(deep int) int {
	if deep == 0 {
		panic("deep")
	}
	return crash(deep-1) + 1
}

func TestLastWords(t *testing.T) {
	lines := func(n int) (s string) {
		for i := range n {
			s += fmt.Sprintf("\tline %d\n", i)
		}
		return s
	}
	for _, c := range []struct{ text, want string }{
		{"", ``},
		{" \n\r\n", ``},
		{"one", `"one"`},
		{"one\n\n  two\r\n\x1b[2J\xff \"three\"\n", `"one | two | \x1b[2J\xff \"three\""`},
		{lines(20), `"line 12 | line 13 | line 14 | line 15 | line 16 | line 17 | line 18 | line 19"`},
		{"panic: boom\n" + lines(8), `"panic: boom | ... | line 0 | line 1 | line 2 | line 3 | line 4 | line 5 | line 6 | line 7"`},
		{"panic: boom\n\n" + lines(7), `"panic: boom | line 0 | line 1 | line 2 | line 3 | line 4 | line 5 | line 6"`},
		{"starts\nfatal error: all goroutines are asleep - deadlock!\n\n" + lines(20),
			`"fatal error: all goroutines are asleep - deadlock! | ... | line 12 | line 13 | line 14 | line 15 | line 16 | line 17 | line 18 | line 19"`},
		{"panic: boom\n" + strings.Repeat("x", mostWords-6) + "\ntrue\n", `"panic: boom | ... | ` + strings.Repeat("x", 100) + "..." + strings.Repeat("x", 100) + ` | true"`},
		{"SIGABRT: abort\nPC=0x40\n" + strings.Repeat("stack\n", mostWords), `"SIGABRT: abort | ...` + strings.Repeat(" | stack", 8) + `"`},
		{"panic: recovered\n" + strings.Repeat("x\n", (mostTrace+mostWords)/2), `"x` + strings.Repeat(" | x", 7) + `"`},
		{"panic: 1\n" + lines(10) + "panic: 2\n" + lines(10), `"panic: 2 | ... | line 2 | line 3 | line 4 | line 5 | line 6 | line 7 | line 8 | line 9"`},
		{"it may panic: yes\nSIGNED\n" + lines(8), `"line 0 | line 1 | line 2 | line 3 | line 4 | line 5 | line 6 | line 7"`},
		{strings.Repeat("10%\r", mostWords) + "no space", `"` + strings.Repeat(`10%\r`, 25) + "..." + strings.Repeat(`10%\r`, 23) + `no space"`},
	} {
		for _, at := range []int{len(c.text), len(c.text) / 3} { // in one piece, and in two
			var w lastWords
			w.collect(strings.NewReader(c.text[:at]))
			w.collect(strings.NewReader(c.text[at:]))
			assert.Equal(t, c.want, w.String(), "%.40q", c.text)
			assert.LessOrEqual(t, len(w.text)+len(w.line), 2*mostWords)
		}
	}
}

// What a Go program writes last is the stacks of its goroutines, which are longer than what is kept.
func TestAGoProgramThatCrashesDeepSaysWhy(t *testing.T) {
	_, err := endOf(t, "crashes deep", func(h *Host) { requireResult(t, h, "1", "1") })
	assert.Regexp(t, `^driver: process has ended: exit status 2; last on its standard error: "panic: deep \| \.\.\. \| .*"$`, err.Error())
}

// shell starts a shell that carries out a script.
func shell(t *testing.T, script string, opts ...StartOption) *process {
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), workerEnv+"=shell", thisRun())
	conn, err := Start(cmd, append([]StartOption{patient}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*process)
}

func TestRecvSaysHowAProcessEndedAndWhatItSaidLast(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0":                             `^driver: process has ended: exit status 0$`,
		"kill -KILL $$":                      `^driver: process has ended: killed by SIGKILL$`,
		"kill -SEGV $$":                      `^driver: process has ended: killed by SIGSEGV( \(core dumped\))?$`,
		"ulimit -c 0; kill -ABRT $$":         `^driver: process has ended: killed by SIGABRT$`,
		"kill -TERM $$":                      `^driver: process has ended: killed by SIGTERM$`,
		"echo no >&2; echo more >&2; exit 7": `^driver: process has ended: exit status 7; last on its standard error: "no \| more"$`,
	} {
		p := shell(t, script)
		_, err := p.Recv()
		require.Error(t, err)
		assert.Regexp(t, want, err.Error(), script)
		_, again := p.Recv()
		assert.Equal(t, err, again)
		require.NoError(t, p.Close())
	}
}

// Another process that holds the standard error open does not delay the end for long, nor hide what was written.
func TestAHeldStandardErrorDoesNotHideTheEnd(t *testing.T) {
	t.Parallel() // it waits for a second
	defer endOrphans(t)
	conn, err := Start(command(t, "leaves a process in another session"), patient)
	require.NoError(t, err)
	_, err = conn.Recv()
	assert.EqualError(t, err, `driver: process has ended: killed by SIGKILL; last on its standard error: "last"`)
	require.NoError(t, conn.Close())
}

// endOrphans kills what processes of this test have started and is not in their groups.
func endOrphans(t *testing.T) {
	for _, pid := range processesWith(t, thisTest(t)) {
		id, err := strconv.Atoi(pid)
		require.NoError(t, err)
		_ = syscall.Kill(id, syscall.SIGKILL)
	}
}

func TestAWriterOfTheUserGetsAllOfTheStandardError(t *testing.T) {
	var said bytes.Buffer
	cmd := exec.Command("sh", "-c", "for i in 1 2 3; do echo $i >&2; done; exit 4")
	cmd.Stderr = &said
	conn, err := Start(cmd, patient)
	require.NoError(t, err)
	_, err = conn.Recv()
	assert.EqualError(t, err, "driver: process has ended: exit status 4")
	require.NoError(t, conn.Close())
	assert.Equal(t, "1\n2\n3\n", said.String())
}

// endOf returns why the first worker has ended, and what was logged.
func endOf(t *testing.T, kind string, do func(*Host), opts ...Option) (log string, err error) {
	var h *Host
	var text bytes.Buffer
	withStoppedProcesses(t, func(host *Host) {
		h = host
		do(h)
	}, append(opts, WithWorkers(1, starting(t, kind, "good")), WithLogger(slog.New(slog.NewTextHandler(&text, nil))))...)
	require.NotEmpty(t, h.Stats().Ended)
	return text.String(), h.Stats().Ended[0].Err
}

func TestWorkerEndHasTheLastWords(t *testing.T) {
	call := func(h *Host) { requireResult(t, h, "1", "1") }
	log, err := endOf(t, "panics", call)
	assert.Regexp(t, `^driver: process has ended: exit status 2; last on its standard error: ".*panic: no configuration \| .*goroutine \d+ .*"$`, err.Error())
	assert.Contains(t, log, "panic: no configuration")

	log, err = endOf(t, "kills itself", call)
	assert.EqualError(t, err, `driver: process has ended: killed by SIGKILL; last on its standard error: "so long"`)
	assert.Contains(t, log, "killed by SIGKILL")
}

// That the host has killed a worker is no news, but what that has said is.
func TestWorkerThatTheHostKillsIsNotSaidToHaveBeenKilled(t *testing.T) {
	h, err := NewHost(WithWorkers(1, starting(t, "is deaf and says so")))
	require.NoError(t, err)
	require.NoError(t, h.WaitReady(t.Context(), 1))
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, h.Stop(stopped), context.Canceled)
	assert.EqualError(t, h.Stats().Ended[0].Err, errKilled.Error()+`; last on its standard error: "waiting for \x1b[1mthe lock"`)

	p := shell(t, "exec sleep 1000")
	require.NoError(t, p.Close())
	_, err = p.Recv()
	assert.Equal(t, ErrConnClosed, err)
}

// Recv does not end, as another process holds the output.
func TestHowAProcessEndedIsKnownThoughSendFailsFirst(t *testing.T) {
	t.Parallel() // it waits for a second
	defer endOrphans(t)
	conn, err := Start(command(t, "leaves a process in another session"), patient)
	require.NoError(t, err)
	for conn.Send([]byte("x")) == nil {
	}
	require.NoError(t, conn.Close())
	assert.Equal(t, `process has ended: killed by SIGKILL; last on its standard error: "last"`, conn.(*process).ending())
}

// endingProcess returns a process that is about to end, though not a real one.
func endingProcess() *process {
	p := &process{cmd: &exec.Cmd{Process: &os.Process{}}, delay: exitDelay, due: make(chan struct{}), exited: make(chan struct{}), heard: make(chan struct{})}
	p.unread.Store(true)
	return p
}

func TestAProcessThatClosesItsOutputIsSaidTo(t *testing.T) {
	p := shell(t, "exec >&-; exec sleep 1000", func(p *process) { p.delay = time.Millisecond })
	_, err := p.Recv()
	assert.EqualError(t, err, "driver: process runs on without a standard output: EOF")
	assert.ErrorIs(t, err, io.EOF)
}

// That Close has ended a Send does not mean that the process ends by itself.
func TestASendThatCloseEndsDoesNotDelayIt(t *testing.T) {
	p := shell(t, "exec sleep 1000", func(p *process) { p.delay = time.Hour })
	require.NoError(t, p.stdin.SetWriteDeadline(time.Now())) // as Close does
	require.Equal(t, os.ErrProcessDone, p.Send([]byte("x")))
	require.NoError(t, p.Close())
}

// A Close that kills it at once would hide that somebody else has.
func TestAProcessThatDoesNotReadHasTimeToEnd(t *testing.T) {
	for after, killed := range map[time.Duration]bool{exitDelay - 1: false, exitDelay + 1: true} {
		synctest.Test(t, func(t *testing.T) {
			p := endingProcess()
			close(p.heard)
			time.AfterFunc(after, func() { close(p.exited) })
			p.end()
			assert.Equal(t, killed, p.killed)
		})
	}
}

func TestTheEndIsToldWhenAllOfTheStandardErrorIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, told := endingProcess(), make(chan string)
		p.how = "exit status 2"
		close(p.exited)
		go func() { told <- p.ending() }()
		closed := make(chan struct{})
		go func() { p.end(); close(closed) }()
		synctest.Wait()
		assert.False(t, passed(closed, 0), "Close closes the standard error")
		p.said.collect(strings.NewReader("so long"))
		close(p.heard)
		assert.Equal(t, `process has ended: exit status 2; last on its standard error: "so long"`, <-told)
		<-closed
	})
}
