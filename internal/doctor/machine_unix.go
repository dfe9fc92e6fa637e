//go:build linux || darwin

package doctor

import (
	"io/fs"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ThisMachine is the machine that the program runs on.
func ThisMachine() Machine {
	return Machine{
		UID: os.Geteuid(),
		Owner: func(fi fs.FileInfo) (int, bool) {
			st, ok := fi.Sys().(*syscall.Stat_t)
			if !ok {
				return 0, false
			}
			return int(st.Uid), true
		},
		Writable: func(dir string) error {
			return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
		},
		Space: func(dir string) (uint64, uint64, bool) {
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
		Files: func() (uint64, bool) {
			var l unix.Rlimit
			err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
			return l.Cur, err == nil
		},
	}
}
