//go:build !unix

package driver

import (
	"os"
	"os/exec"
)

func leadGroup(*exec.Cmd) bool { return false }

func killGroup(int) {}

func survivePipe() {}

func unblocked(f *os.File) *os.File { return f }
