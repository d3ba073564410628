//go:build unix && !solaris

package driver

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// takeStdio moves the standard input and output to descriptors that children do not inherit. In their places it puts
// the null device and the standard error, so that whoever knows them by their numbers 0 and 1 does no harm.
func takeStdio() (in, out *os.File, err error) {
	syscall.ForkLock.RLock() // a child that is started meanwhile would inherit what is not marked yet
	defer syscall.ForkLock.RUnlock()
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case null < 2: // there is nobody to talk to, and the null device would not say so
		return nil, nil, fmt.Errorf("descriptor %d is closed", null)
	case null > 2:
		defer syscall.Close(null)
	} // else the standard error was closed, and is the null device now
	if in, err = moved(0, "/dev/stdin"); err != nil {
		return nil, nil, err
	}
	if out, err = moved(1, "/dev/stdout"); err != nil {
		return nil, nil, errors.Join(err, in.Close())
	}
	return in, out, errors.Join(dup2(null, 0), dup2(2, 1))
}

// moved returns a file of its own for what a descriptor stands for. If that is a pipe or a socket, Close makes a
// pending Read return. Other files, which may be shared with other programs, stay as they are.
func moved(fd int, name string) (*os.File, error) {
	fd, err := syscall.Dup(fd)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(fd)
	var info syscall.Stat_t
	if err := syscall.Fstat(fd, &info); err == nil {
		if kind := info.Mode & syscall.S_IFMT; kind == syscall.S_IFIFO || kind == syscall.S_IFSOCK {
			_ = syscall.SetNonblock(fd, true)
		}
	}
	return os.NewFile(uintptr(fd), name), nil
}
