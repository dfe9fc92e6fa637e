//go:build unix

package durable

import (
	"fmt"
	"io/fs"
	"syscall"
)

// nonBlocking opens a named pipe without waiting for its writer.
const nonBlocking = syscall.O_NONBLOCK

// noFollow fails to open a symbolic link.
const noFollow = syscall.O_NOFOLLOW

// checkOwner refuses a file that belongs to neither uid nor root. That holds for root
// as well: the owner could replace the file, and the file's group decides who reads.
func checkOwner(path string, fi fs.FileInfo, uid int) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == uid || st.Uid == 0 {
		return nil
	}
	return refuse(fmt.Sprintf("run it as that user, or chown %d %s", uid, path), "%s belongs to user %d, and this runs as user %d", path, st.Uid, uid)
}
