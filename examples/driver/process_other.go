//go:build !unix

package driver

import (
	"os"
	"os/exec"
)

func leadGroup(*exec.Cmd) bool { return false }

func killGroup(int) {}

func groupLives(int) bool { return false }

func terminate(*os.Process, bool) bool { return false }

func killOwnGroup() {}

func survivePipe() {}

// howKilled is what howEnded returns for a process that was killed: on Windows, that is its exit status.
const howKilled = "exit status 1"

func howEnded(state *os.ProcessState) string { return state.String() }
