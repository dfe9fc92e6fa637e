//go:build !linux && !darwin

package main

import "io/fs"

// thisMachine knows nothing here: what asks it is skipped, or takes the best.
func thisMachine() machine {
	return machine{
		uid:      -1,
		owner:    func(fs.FileInfo) (int, bool) { return 0, false },
		writable: func(string) error { return nil },
		space:    func(string) (uint64, uint64, bool) { return 0, 0, false },
		files:    func() (uint64, bool) { return 0, false },
	}
}
