//go:build !unix

package durable

import "io/fs"

const nonBlocking = 0

// checkOwner does nothing: the system has no owners as Unix has them.
func checkOwner(string, fs.FileInfo, int) error { return nil }
