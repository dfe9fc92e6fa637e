//go:build unix

package systemd

import (
	"io/fs"
	"os"
	"syscall"
)

// accepts reports whether f is a listening socket: net.FileListener accepts any socket.
func accepts(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	listens, kind := 0, 0
	var lerr, kerr error
	err = raw.Control(func(fd uintptr) {
		listens, lerr = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
		kind, kerr = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TYPE)
	})
	return err == nil && lerr == nil && kerr == nil && listens != 0 && kind == syscall.SOCK_STREAM
}

func owner(fi fs.FileInfo) (uid int, known bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}
