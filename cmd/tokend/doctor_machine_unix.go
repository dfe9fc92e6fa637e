//go:build linux || darwin

package main

import (
	"io/fs"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func thisMachine() machine {
	return machine{
		uid: os.Geteuid(),
		owner: func(fi fs.FileInfo) (int, bool) {
			st, ok := fi.Sys().(*syscall.Stat_t)
			if !ok {
				return 0, false
			}
			return int(st.Uid), true
		},
		writable: func(dir string) error {
			return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
		},
		space: func(dir string) (uint64, uint64, bool) {
			var st unix.Statfs_t
			if err := unix.Statfs(dir, &st); err != nil {
				return 0, 0, false
			}
			inodes := uint64(math.MaxUint64)
			if st.Files > 0 { // some file systems have no fixed number
				inodes = st.Ffree
			}
			return st.Bavail * uint64(st.Bsize), inodes, true //nolint:gosec // no block has a negative size
		},
		files: func() (uint64, bool) {
			var l unix.Rlimit
			err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
			return l.Cur, err == nil
		},
	}
}
