package sqlite

import "golang.org/x/sys/unix"

// bootClock goes on while the machine sleeps, as the wall clock does.
const bootClock = unix.CLOCK_BOOTTIME
