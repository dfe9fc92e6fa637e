//go:build !(darwin || freebsd || linux || openbsd)

package sqlite

import "time"

// sinceBoot returns zero: there is no clock that all processes share and that
// cannot be set.
func sinceBoot() time.Duration { return 0 }
