//go:build darwin || freebsd || openbsd

package sqlite

import "golang.org/x/sys/unix"

const bootClock = unix.CLOCK_MONOTONIC
