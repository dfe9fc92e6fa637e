//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package sqlite

import (
	"errors"
	"os"
)

// tryLock has no lock here that ends with the process.
func tryLock(*os.File) error { return errors.ErrUnsupported }
