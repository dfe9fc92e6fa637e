//go:build !(darwin || freebsd || linux || openbsd)

package sqlite

import "time"

// sinceBoot has no clock here that all processes share and nobody can set.
func sinceBoot() time.Duration { return 0 }
