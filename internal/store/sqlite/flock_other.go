//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package sqlite

import (
	"errors"
	"os"
)

// tryLock is not supported: there is no lock that the kernel releases when the
// process ends.
func tryLock(*os.File) error { return errors.ErrUnsupported }
