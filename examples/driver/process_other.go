//go:build !unix

package driver

import "os/exec"

func leadGroup(*exec.Cmd) bool { return false }

func killGroup(int) {}

func survivePipe() {}
