package doctor

import "io/fs"

// Machine is what the system says about itself: a field of [Deps], so that a test has
// a machine whose disk is full.
type Machine struct {
	UID      int                                                 // -1: this system has none
	Owner    func(fs.FileInfo) (uid int, known bool)             // of a file
	Writable func(dir string) error                              // nil: it can be written
	Space    func(dir string) (bytes, inodes uint64, known bool) // what is left; inodes at most: not counted
	Files    func() (limit uint64, known bool)                   // how many may be open at once
}
