//go:build !unix

package durable

import "io/fs"

const nonBlocking, noFollow = 0, 0

// checkOwner does nothing: this system has no Unix owners.
func checkOwner(string, fs.FileInfo, int) error { return nil }
