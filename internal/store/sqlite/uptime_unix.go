//go:build darwin || freebsd || linux || openbsd

package sqlite

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot reads a clock that all processes of the machine share and that cannot
// be set. It returns zero if that fails.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(bootClock, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
