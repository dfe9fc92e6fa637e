package main

import "io/fs"

// machine is what the system tells of itself; a field, so that tests have
// machines that are full or belong to others.
type machine struct {
	uid      int                                                 // -1: this system has none
	owner    func(fs.FileInfo) (uid int, known bool)             // of a file
	writable func(dir string) error                              // nil: it can be written
	space    func(dir string) (bytes, inodes uint64, known bool) // what is left; inodes at most: not counted
	files    func() (limit uint64, known bool)                   // how many may be open at once
}
