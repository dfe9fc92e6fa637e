//go:build !(darwin || freebsd || linux || openbsd)

package sqlite

import "time"

// sinceBoot is zero: there is no clock here that all processes share and that
// cannot be set.
func sinceBoot() time.Duration { return 0 }
