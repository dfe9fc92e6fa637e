//go:build unix

package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// windowSize returns the size of the terminal that f is; ok is false when it is none.
func windowSize(f *os.File) (width, height int, ok bool) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ) //nolint:gosec // a descriptor fits
	if err != nil {
		return 0, 0, false
	}
	return int(size.Col), int(size.Row), true
}
