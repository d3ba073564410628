//go:build unix

package conform

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the command the first of a process group, so that kill reaches what it starts.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func kill(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // an error means that all have ended
}
