//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package durable

import "os"

// Lock does nothing: this system has no locks of this kind.
func Lock(*os.File) (unlock func()) { return func() {} }
