//go:build unix

package driver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func init() {
	processes["locks"] = func() { // the file that its argument names, until SIGTERM
		lock, ended := os.Getenv(argumentEnv), make(chan os.Signal, 1)
		signal.Notify(ended, syscall.SIGTERM)
		if err := os.WriteFile(lock, nil, 0o600); err != nil {
			panic(err)
		}
		parent := os.Getppid()
		go func() {
			<-ended
			for strings.HasSuffix(lock, " of a child") && os.Getppid() == parent { // until the leader of its group has ended
				time.Sleep(time.Millisecond)
			}
			_ = os.Remove(lock)
			os.Exit(0)
		}()
		announced(Stdio())
		select {}
	}
	processes["ignores SIGTERM"] = func() {
		signal.Ignore(syscall.SIGTERM)
		announced(Stdio())
		select {}
	}
	processes["host"] = func() { // of a worker of the kind that its argument names
		h, err := NewHost(WithWorkers(1, func(context.Context) (Conn, error) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), workerEnv+"="+os.Getenv(argumentEnv))
			return Start(cmd)
		}))
		if err != nil {
			panic(err)
		}
		_, err = h.Do(context.Background(), nil, WithProgress(func(detail string) { fmt.Println(detail) }))
		panic(err)
	}
	orphan := func(opts ...ServeOption) {
		conn := Stdio()
		why := Serve(context.Background(), conn, "", func(ctx context.Context, job *Job) ([]byte, error) {
			child := exec.Command("sleep", "1000")
			if err := child.Start(); err != nil {
				return nil, err
			}
			job.Progress(fmt.Sprint(os.Getpid(), " ", child.Process.Pid))
			<-ctx.Done()
			return nil, nil
		}, opts...)
		if !errors.Is(why, ErrHostGone) {
			os.Exit(1)
		}
	}
	processes["orphan"] = func() { orphan() }
	processes["orphan that leads"] = func() { orphan(WithGroupKill()) }
}

func TestWhichProcessesLeadAGroup(t *testing.T) {
	for _, c := range []struct {
		given, want *syscall.SysProcAttr
		leads       bool
	}{
		{nil, &syscall.SysProcAttr{Setpgid: true}, true},
		{&syscall.SysProcAttr{Chroot: "/"}, &syscall.SysProcAttr{Chroot: "/", Setpgid: true}, true},
		{&syscall.SysProcAttr{Setpgid: true}, &syscall.SysProcAttr{Setpgid: true}, true},
		{&syscall.SysProcAttr{Setsid: true}, &syscall.SysProcAttr{Setsid: true}, true},
		{&syscall.SysProcAttr{Setpgid: true, Pgid: 7}, &syscall.SysProcAttr{Setpgid: true, Pgid: 7}, false},
		{&syscall.SysProcAttr{Foreground: true}, &syscall.SysProcAttr{Foreground: true}, false},
		{&syscall.SysProcAttr{Foreground: true, Setpgid: true}, &syscall.SysProcAttr{Foreground: true, Setpgid: true}, false},
	} {
		cmd := &exec.Cmd{SysProcAttr: c.given}
		var before syscall.SysProcAttr
		if c.given != nil {
			before = *c.given
		}
		assert.Equal(t, c.leads, leadGroup(cmd), "%+v", before)
		assert.Equal(t, c.want, cmd.SysProcAttr)
		if c.given != nil {
			assert.Equal(t, before, *c.given, "what the caller has is not changed")
		}
	}
}

func TestProcessesOfAGroupAreKilledTogether(t *testing.T) {
	for _, attr := range []*syscall.SysProcAttr{nil, {}, {Setpgid: true}, {Setsid: true}} {
		cmd := exec.Command("sh", "-c", `sleep 1000 & echo '{"version":1}'; wait`)
		cmd.Env = append(os.Environ(), workerEnv+"=shell", thisRun())
		cmd.SysProcAttr = attr
		conn, err := Start(cmd)
		require.NoError(t, err)
		_, err = conn.Recv()
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		assert.Eventually(t, func() bool { return len(children(t)) == 0 }, time.Minute, time.Millisecond)
	}
}

// A process in the group of somebody else is killed alone.
func TestAGroupThatAProcessJoinsIsLeftAlone(t *testing.T) {
	leader := shell(t, `echo '{"version":1}'; exec sleep 1000`)
	_, err := leader.Recv()
	require.NoError(t, err)
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: leader.cmd.Process.Pid}
	conn, err := Start(cmd)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	assert.True(t, groupLives(leader.cmd.Process.Pid))
	require.NoError(t, leader.Close())
	_, err = leader.Recv()
	assert.Equal(t, ErrConnClosed, err, "it was this Close that ended it")
}

func TestWithTermLetsAProcessRemoveItsLock(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"lock", "lock of a child"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it may wait for a second
			lock := filepath.Join(t.TempDir(), name)
			cmd := command(t, "locks")
			if name != "lock" { // the shell is the leader, and ends at once
				cmd.Args = []string{"sh", "-c", `"$0"; exit 1`, cmd.Path}
				cmd.Path = "/bin/sh"
			}
			cmd.Env = append(cmd.Env, argumentEnv+"="+lock)
			conn, err := Start(cmd, WithTerm(time.Minute)) // which passes where process 1 does not reap
			require.NoError(t, err)
			_, err = conn.Recv()
			require.NoError(t, err)
			require.FileExists(t, lock)
			require.NoError(t, conn.Close())
			assert.NoFileExists(t, lock)
			assert.Error(t, conn.Send([]byte("x")))
			_, err = conn.Recv()
			assert.Error(t, err)
		})
	}
}

// A worker may be late because somebody has stopped it.
func TestWithTermReachesAProcessThatIsStopped(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	cmd := command(t, "locks")
	cmd.Env = append(cmd.Env, argumentEnv+"="+lock)
	conn, err := Start(cmd, WithTerm(time.Minute))
	require.NoError(t, err)
	_, err = conn.Recv()
	require.NoError(t, err)
	require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
	require.NoError(t, conn.Close())
	assert.NoFileExists(t, lock)
}

func TestWithTermKillsAProcessThatDoesNotEnd(t *testing.T) {
	conn, err := Start(command(t, "ignores SIGTERM"), WithTerm(time.Millisecond))
	require.NoError(t, err)
	_, err = conn.Recv()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	assert.Equal(t, howKilled, conn.(*process).how)
}

// The time of WithTerm is that of the process, and not of a Send that waits for it to read.
func TestCloseEndsASendBeforeTheProcessHasEnded(t *testing.T) {
	p := shell(t, `trap "" TERM; echo '{"version":1}'; exec sleep 1000`, WithTerm(time.Hour))
	_, err := p.Recv()
	require.NoError(t, err)
	sent, closed := make(chan error), make(chan error)
	go func() {
		for {
			if err := p.Send(make([]byte, lineBuffer)); err != nil {
				sent <- err
				return
			}
		}
	}()
	go func() { closed <- p.Close() }()
	assert.Equal(t, os.ErrProcessDone, <-sent, "and not that it took too long")
	assert.False(t, passed(p.exited, 0))
	require.NoError(t, p.cmd.Process.Kill())
	require.NoError(t, <-closed)
}

func TestWithTermRefusesANegativeTime(t *testing.T) {
	_, err := Start(exec.Command("true"), WithTerm(-1))
	assert.EqualError(t, err, ErrOptions.Error()+": WithTerm: expected no negative time, got -1ns")
	conn, err := Start(exec.Command("true"), nil, WithTerm(0))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestTheTimeOfWithTermIsAddedToTheCloseLimit(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	h, err := NewHost(WithLimits(Limits{Close: 10 * time.Millisecond}), WithWorkers(1, func(context.Context) (Conn, error) {
		cmd := command(t, "locks")
		cmd.Env = append(cmd.Env, argumentEnv+"="+lock)
		return Start(cmd, WithTerm(time.Hour))
	}))
	require.NoError(t, err)
	require.NoError(t, h.WaitReady(t.Context(), 1))
	h.mu.Lock()
	for w := range h.workers {
		assert.Equal(t, h.turns.close+uint64(time.Hour/h.turns.length), w.session.turns.close)
	}
	h.mu.Unlock()
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, h.Stop(stopped), context.Canceled)
	s := h.Stats()
	assert.Zero(t, s.Abandoned)
	assert.Equal(t, errKilled, s.Ended[0].Err)
	assert.NoFileExists(t, lock)
}

// Three processes: this one, the host, which is killed, and its worker.
func TestAWorkerWhoseHostIsKilledEndsItself(t *testing.T) {
	for kind, childEnds := range map[string]bool{"orphan": false, "orphan that leads": true} {
		t.Run(kind, func(t *testing.T) {
			defer endOrphans(t)
			host := command(t, "host")
			host.Env = append(host.Env, argumentEnv+"="+kind)
			said, err := host.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, host.Start())
			line, err := bufio.NewReader(said).ReadString('\n')
			require.NoError(t, err)
			worker, child, ok := strings.Cut(strings.TrimSpace(line), " ")
			require.True(t, ok, line)
			require.ElementsMatch(t, []string{fmt.Sprint(host.Process.Pid), worker, child}, children(t))
			require.NoError(t, host.Process.Kill())
			require.Error(t, host.Wait())
			left := []string{child}
			if childEnds {
				left = nil
			}
			assert.Eventually(t, func() bool { return assert.ObjectsAreEqual(left, children(t)) }, time.Minute, time.Millisecond)
		})
	}
}
