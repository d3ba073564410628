package driver

import (
	"errors"
	"os"
	"syscall"
)

// takeStdio moves the standard input and output to files of their own, which children do not inherit. Whoever has the
// files of package os, such as a logger, or asks the system for them, gets the null device and the standard error in
// their places.
func takeStdio() (in, out *os.File, err error) {
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("open", err)
	}
	for _, h := range []syscall.Handle{syscall.Stdin, syscall.Stdout} {
		_ = syscall.SetHandleInformation(h, syscall.HANDLE_FLAG_INHERIT, 0) // a console has handles of another kind
	}
	err = errors.Join(setStdHandle(syscall.STD_INPUT_HANDLE, null), setStdHandle(syscall.STD_OUTPUT_HANDLE, syscall.Stderr))
	if err != nil {
		return nil, nil, err
	}
	own := [...]os.File{*original[0], *original[1]}
	*original[0], *original[1] = *os.NewFile(uintptr(null), os.DevNull), *os.Stderr
	syscall.Stdin, syscall.Stdout = null, syscall.Stderr
	return &own[0], &own[1], nil
}

var procSetStdHandle = syscall.NewLazyDLL("kernel32.dll").NewProc("SetStdHandle")

func setStdHandle(which int, to syscall.Handle) error {
	if ok, _, err := procSetStdHandle.Call(uintptr(uint32(which)), uintptr(to)); ok == 0 {
		return os.NewSyscallError("SetStdHandle", err)
	}
	return nil
}
