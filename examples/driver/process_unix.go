//go:build unix

package driver

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// leadGroup has the process lead a process group of its own, and reports whether it will.
func leadGroup(cmd *exec.Cmd) bool {
	if cmd.SysProcAttr != nil {
		return false
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return true
}

// killGroup kills the processes of a group. Its id is not used again as long as the group has a process, so killGroup
// must be called before the leader is reaped, or right after.
func killGroup(id int) { _ = syscall.Kill(-id, syscall.SIGKILL) }

// survivePipe has a write to the standard output or error return an error when its reader has gone, instead of ending
// the process. Processes that this one starts do not inherit it.
func survivePipe() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
