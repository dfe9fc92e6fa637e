package guard

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerOf asks the kernel for the process at the other end (LOCAL_PEERCRED and
// LOCAL_PEERPID, unix(4)).
func peerOf(c *net.UnixConn) (Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{-1, -1, -1}, err
	}
	var cred *unix.Xucred
	var sockErr error
	peer := Peer{-1, -1, -1}
	err = raw.Control(func(fd uintptr) {
		cred, sockErr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if pid, err := unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID); err == nil {
			peer.PID = pid
		}
	})
	if err == nil {
		err = sockErr
	}
	if err != nil {
		return Peer{-1, -1, -1}, err
	}
	if peer.UID = int(cred.Uid); cred.Ngroups > 0 {
		peer.GID = int(cred.Groups[0])
	}
	return peer, nil
}
