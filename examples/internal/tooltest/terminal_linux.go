package tooltest

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// Terminal returns a terminal of so many columns, and what a person has of it: screen and keyboard.
func Terminal(t testing.TB, columns int) (terminal, person *os.File) {
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("this test needs a pseudo-terminal: ", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	var number, unlock int32
	size := [4]uint16{24, uint16(columns)}
	control := func(request uintptr, value unsafe.Pointer) {
		raw, err := person.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(value))
			require.Zero(t, errno)
		}))
	}
	control(syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	control(syscall.TIOCGPTN, unsafe.Pointer(&number))
	control(syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	return terminal, person
}
