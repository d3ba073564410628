//go:build !linux

package transporttest

import "errors"

func openSeqpacket() (host, worker Conn, stop func(), err error) {
	return nil, nil, nil, errors.ErrUnsupported
}
