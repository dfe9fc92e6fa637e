//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package durable

import (
	"os"
	"syscall"
)

// Lock waits for the exclusive lock of an open file, which ends with the process.
func Lock(f *os.File) (unlock func()) {
	fd := int(f.Fd()) //nolint:gosec // a descriptor fits an int
	if syscall.Flock(fd, syscall.LOCK_EX) != nil {
		return func() {} // a file system without locks
	}
	return func() { _ = syscall.Flock(fd, syscall.LOCK_UN) } // closing it unlocks it, too
}
