//go:build darwin || dragonfly || freebsd || linux || netbsd

package tool

import (
	"syscall"
	"unsafe"
)

func columns(fd uintptr) int {
	var size struct{ rows, columns, x, y uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return 0
	}
	return int(size.columns)
}
