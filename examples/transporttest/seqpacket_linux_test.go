package transporttest

import (
	"net"
	"os"
	"syscall"
)

// openSeqpacket opens pairs of Unix sockets that keep messages apart. A message without bytes looks like the end
// there, so each has a byte before it.
func openSeqpacket() (host, worker Conn, stop func(), err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, nil, os.NewSyscallError("socketpair", err)
	}
	var ends [2]*packetConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "seqpacket")
		conn, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			return nil, nil, nil, err
		}
		ends[i] = &packetConn{conn.(*net.UnixConn)}
	}
	return ends[0], ends[1], nil, nil
}

type packetConn struct{ *net.UnixConn }

func (c *packetConn) Send(msg []byte) error {
	_, err := c.Write(append([]byte{0}, msg...))
	return err
}

func (c *packetConn) Recv() ([]byte, error) {
	buf := make([]byte, 1+32<<10)
	n, err := c.Read(buf)
	if err != nil {
		return nil, err
	}
	return buf[1:n], nil
}
