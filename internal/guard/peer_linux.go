package guard

import (
	"net"
	"syscall"
)

// peerUID asks the kernel for the user at the other end (SO_PEERCRED, unix(7)).
func peerUID(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var cred *syscall.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err == nil {
		err = sockErr
	}
	if err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}
