//go:build unix

package driver

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// leadGroup has the process lead a process group of its own, unless it is to join another one or to be in the
// foreground, and reports whether it will.
func leadGroup(cmd *exec.Cmd) bool {
	var attr syscall.SysProcAttr
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr // which may be another command's, too
	}
	switch {
	case attr.Foreground || attr.Pgid != 0:
		return false
	case !attr.Setsid: // the leader of a session leads a group
		attr.Setpgid = true
		cmd.SysProcAttr = &attr
	}
	return true
}

// killGroup kills the processes of a group. Its id is not used again as long as the group has a process, so killGroup
// must be called before the leader is reaped, or right after, or right after groupLives.
func killGroup(id int) { _ = syscall.Kill(-id, syscall.SIGKILL) }

// groupLives reports whether a group has a process, if only one that has ended and whose parent does not want to know.
func groupLives(id int) bool { return syscall.Kill(-id, 0) == nil }

// terminate asks a process or its group to end, and reports whether that is possible.
func terminate(process *os.Process, group bool) bool {
	id := process.Pid
	if group {
		id = -id
	}
	_ = syscall.Kill(id, syscall.SIGTERM)
	_ = syscall.Kill(id, syscall.SIGCONT) // a process that is stopped would not notice
	return true
}

// killOwnGroup kills the process group that this process leads, and so itself. There is no group of its id unless it
// leads one. The end of process 1, whose group has no id for Kill, ends all others anyway.
func killOwnGroup() {
	if pid := os.Getpid(); pid > 1 {
		killGroup(pid)
	}
}

// survivePipe has a write to the standard output or error return an error when its reader has gone, instead of ending
// the process. Processes that this one starts do not inherit it.
func survivePipe() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// signals are the names of those that end a process.
var signals = map[syscall.Signal]string{
	syscall.SIGABRT: "SIGABRT", syscall.SIGALRM: "SIGALRM", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
	syscall.SIGHUP: "SIGHUP", syscall.SIGILL: "SIGILL", syscall.SIGINT: "SIGINT", syscall.SIGKILL: "SIGKILL",
	syscall.SIGPIPE: "SIGPIPE", syscall.SIGPROF: "SIGPROF", syscall.SIGQUIT: "SIGQUIT", syscall.SIGSEGV: "SIGSEGV",
	syscall.SIGSYS: "SIGSYS", syscall.SIGTERM: "SIGTERM", syscall.SIGTRAP: "SIGTRAP", syscall.SIGUSR1: "SIGUSR1",
	syscall.SIGUSR2: "SIGUSR2", syscall.SIGVTALRM: "SIGVTALRM", syscall.SIGXCPU: "SIGXCPU", syscall.SIGXFSZ: "SIGXFSZ",
}

// howKilled is what howEnded returns for a process that was killed.
const howKilled = "killed by SIGKILL"

// howEnded says how a process ended.
func howEnded(state *os.ProcessState) string {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return state.String()
	}
	name, ok := signals[status.Signal()]
	if !ok {
		name = fmt.Sprintf("signal %d", status.Signal())
	}
	if status.CoreDump() {
		name += " (core dumped)"
	}
	return "killed by " + name
}
