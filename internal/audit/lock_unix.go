//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package audit

import (
	"os"
	"syscall"
)

// lockFile takes the lock of an open file, so that of two processes one renames it.
func lockFile(f *os.File) (unlock func()) {
	fd := int(f.Fd()) //nolint:gosec // a descriptor fits an int
	if syscall.Flock(fd, syscall.LOCK_EX) != nil {
		return func() {} // a file system without locks
	}
	return func() { _ = syscall.Flock(fd, syscall.LOCK_UN) } // closing it unlocks it, too
}
