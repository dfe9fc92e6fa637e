package sqlite

import "golang.org/x/sys/unix"

// bootClock advances while the machine sleeps, like the wall clock.
const bootClock = unix.CLOCK_BOOTTIME
